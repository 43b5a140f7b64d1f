"""Hosts as network namespaces on one bridge, every link shaped in both directions by a token bucket (tc tbf)."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager

MTU = 9000
"""Large frames: two processor cores must move the packets of all hosts."""
BURST = "20kb"
"""Two frames: what a bucket lets go at once is not shaped."""
QUEUE = "400ms"
"""Enough for an incast of all hosts without a loss."""
CONGESTION_CONTROL = "reno"


def why_not() -> str:
    """Return why hosts cannot be built here, or nothing."""
    if os.geteuid():
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "tc", "chrt") if not shutil.which(tool)]
    if missing:
        return f"{' and '.join(missing)} not installed"
    try:
        with shaped(1, "100mbit"):
            return ""
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return f"no network namespaces here: {' '.join(said.split())}"


@contextmanager
def shaped(hosts, rate):
    """Yield a prefix of commands for each host, and take everything down again; `rate` is tc's, such as 100mbit."""
    tag = f"ns{os.getpid() % 100_000}"
    names = [f"{tag}h{host}" for host in range(hosts)]
    try:
        _do(f"ip link add {tag}b type bridge")
        for host, name in enumerate(names):
            _do(f"ip netns add {name}")
            _do(f"ip link add {tag}v{host} type veth peer name eth0 netns {name}")
            _do(f"ip link set {tag}v{host} mtu {MTU} master {tag}b up")
            _do(f"ip -n {name} addr add {address(host)}/24 dev eth0")
            _do(f"ip -n {name} link set eth0 mtu {MTU} up")
            _do(f"ip -n {name} link set lo up")
            _do(f"ip netns exec {name} sysctl -qw net.ipv4.tcp_congestion_control={CONGESTION_CONTROL}")
            shaper = f"root tbf rate {rate} burst {BURST} latency {QUEUE}"
            _do(f"tc qdisc add dev {tag}v{host} {shaper}")
            _do(f"ip netns exec {name} tc qdisc add dev eth0 {shaper}")
        _do(f"ip link set {tag}b mtu {MTU} up")
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for host, name in enumerate(names):
            _do(f"ip link del {tag}v{host}", check=False)
            _do(f"ip netns del {name}", check=False)
        _do(f"ip link del {tag}b", check=False)


def address(host):
    """Return the host's address."""
    return f"10.77.0.{host + 1}"


def run_ranks(prefixes, command, patience_s=300):
    """Run a command as one torch.distributed rank on every host, and return what rank 0 printed."""
    shared = {"WORLD_SIZE": str(len(prefixes)), "MASTER_ADDR": address(0), "MASTER_PORT": "29500"}
    shared |= {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    running = [
        subprocess.Popen(
            [*prefix, *command], env=os.environ | shared | {"RANK": str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank, prefix in enumerate(prefixes)
    ]  # fmt: skip
    try:
        said = [one.communicate(timeout=patience_s) for one in running]
    finally:
        for one in running:
            one.kill()
    for one, (_, error) in zip(running, said, strict=True):
        if one.returncode:
            raise RuntimeError(error)
    return said[0][0]


def _do(command, *, check=True):
    subprocess.run(command.split(), check=check, capture_output=True, text=True)
