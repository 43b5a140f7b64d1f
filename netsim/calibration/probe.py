"""Measures messages and all-reduces with torch.distributed on the user's own machines."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from netsim.calibration.sample import POINT_TO_POINT, Sample
from netsim.errors import InputError
from netsim.lazy import torch
from netsim.units import format_size
from netsim.workload.device import clock_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netsim.ticker import Tell

BACKENDS = ("auto", "gloo", "nccl")
STATISTICS = {"median": 0.5, "least": 0.0}
"""What is taken of several calls, as a quantile: the least is what a busy machine would do if it were idle."""
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells every process."""
PASSES = 3
"""Times that all sizes take their turn: what else a machine does may disturb one for seconds."""
WARM_UP = 2
"""Calls that do not count: the first opens connections, and their windows grow."""
_COMMAND = (
    "torchrun --nnodes 2 --nproc-per-node 1 --node-rank 0 --master-addr FIRST_HOST --master-port 29500 "
    "--no-python netsim probe --out transport.yaml (on each host, with its own --node-rank)"
)
_PATIENCE = timedelta(minutes=2)


def rank_and_size(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return this process's rank and how many there are; raise InputError where nothing started several."""
    missing = [name for name in VARIABLES if not environment.get(name)]
    if missing:
        raise InputError(f"not started by torchrun: {', '.join(missing)} not set", f"start it with {_COMMAND}")
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except ValueError as error:
        raise InputError(f"RANK or WORLD_SIZE is not a number ({error})", f"start it with {_COMMAND}") from error
    if size < 2 or not 0 <= rank < size:
        raise InputError(f"rank {rank} of {size}: there is nobody to talk to", f"start two or more: {_COMMAND}")
    return rank, size


def probe(
    sizes_bytes: Sequence[int],
    repeats: int,
    backend: str = "auto",
    statistic: str = "median",
    progress: Tell | None = None,
) -> tuple[list[Sample], str]:
    """Return a sample for each size of a message between ranks 0 and 1 and of an all-reduce, and the backend used.

    Every process calls it and gets the same samples. A time is of a message half of its way there and back, of an
    all-reduce the slowest rank's from a barrier on. Tensors hold float32.

    Args:
        sizes_bytes: bytes, each a multiple of 4.
        repeats: calls that count in each of PASSES.
        statistic: which of them is taken, `median` or `least`.
        backend: `gloo` (on the CPU), `nccl` (on the GPU LOCAL_RANK), or `auto`: nccl where there is a GPU.
        progress: told before each size is measured how many are done of those of all passes.

    Raises:
        InputError: not started by torchrun, no such backend here, or the ranks do not reach each other.
    """
    rank, size = rank_and_size(os.environ)
    device = _device(backend)
    chosen = "nccl" if device.type == "cuda" else "gloo"
    distributed = torch.distributed
    try:
        distributed.init_process_group(chosen, timeout=_PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"the ranks do not find each other: {said}",
            "check MASTER_ADDR and MASTER_PORT; GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME names the interface",
        ) from error
    try:
        taken: dict[tuple[str, int, int], list[torch.Tensor]] = {}
        for one in range(PASSES):
            for place, size_bytes in enumerate(sizes_bytes):
                if progress:
                    progress(one * len(sizes_bytes) + place, PASSES * len(sizes_bytes), format_size(size_bytes))
                tensor = torch.zeros(size_bytes // 4, device=device)
                there_and_back_s = _taken_s(partial(_there_and_back, tensor, rank), device, repeats)
                taken.setdefault((POINT_TO_POINT, 2, size_bytes), []).append(there_and_back_s / 2)
                all_reduce_s = _taken_s(partial(distributed.all_reduce, tensor), device, repeats, together=True)
                taken.setdefault(("all_reduce", size, size_bytes), []).append(all_reduce_s)
        part = STATISTICS[statistic]
        samples = [Sample(*key, float(torch.cat(parts).quantile(part))) for key, parts in taken.items()]
        return sorted(samples, key=lambda one: one.operation != POINT_TO_POINT), chosen
    finally:
        distributed.destroy_process_group()


def about(backend: str, statistic: str) -> list[str]:
    """Return where and with what a probe was measured."""
    when = datetime.now(UTC).date().isoformat()
    host = f"{platform.system()} {platform.release()}"
    return [
        f"netsim probe, {when}, torch {torch.__version__}, backend {backend}, {host}",
        f"{'the least' if statistic == 'least' else 'medians'} of the slowest rank",
    ]


def _device(backend: str) -> torch.device:
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}", f"valid names: {', '.join(BACKENDS)}", "--backend")
    has_gpu = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    if backend == "nccl" and not has_gpu:
        raise InputError("NCCL needs a GPU and a build of torch for CUDA", "use --backend gloo", "--backend")
    if backend == "gloo" or not has_gpu:
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise InputError(f"no GPU for local rank {local}", f"start at most {torch.cuda.device_count()} a host")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _there_and_back(tensor: torch.Tensor, rank: int) -> None:
    if rank == 0:
        torch.distributed.send(tensor, 1)
        torch.distributed.recv(tensor, 1)
    elif rank == 1:
        torch.distributed.recv(tensor, 0)
        torch.distributed.send(tensor, 0)


def _taken_s(call: Callable[[], object], device: torch.device, repeats: int, *, together: bool = False) -> torch.Tensor:
    """Return [repeats] the seconds that calls took the slowest rank, or rank 0.

    `together` lets all ranks begin behind a barrier. Without it calls follow one another, as messages there
    and back do.
    """
    clock, taken_s = clock_of(device), []
    torch.distributed.barrier()
    for _ in range(WARM_UP + repeats):
        if together:
            torch.distributed.barrier()
        clock.settle()
        start = clock.mark()
        call()
        end = clock.mark()
        clock.settle()
        taken_s.append(clock.seconds(start, end))
    seconds = torch.tensor(taken_s[WARM_UP:], dtype=torch.float64, device=device)
    if together:
        torch.distributed.all_reduce(seconds, torch.distributed.ReduceOp.MAX)
    else:
        torch.distributed.broadcast(seconds, 0)
    return seconds.cpu()
