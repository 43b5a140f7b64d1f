"""The device that gradients are captured on: its name, its driver, its clock. CUDA is touched here only."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

from netsim.errors import InputError
from netsim.lazy import torch


class Clock(Protocol):
    """Marks moments of a device's work and measures between them."""

    def mark(self) -> Any:
        """Return a mark of this moment."""

    def settle(self) -> None:
        """Wait until every mark can be measured."""

    def seconds(self, start: Any, end: Any) -> float:
        """Return the seconds between two marks."""


class CpuClock:
    """The monotonic clock: on a CPU a call has returned when its work is done."""

    def mark(self) -> float:
        """Return the monotonic clock's seconds."""
        return time.perf_counter()

    def settle(self) -> None:
        """Do nothing."""

    def seconds(self, start: float, end: float) -> float:
        """Return the difference."""
        return end - start


class ThreadClock(CpuClock):
    """The CPU time of this thread: what its work takes on a core of its own, whatever else the machine does."""

    def mark(self) -> float:
        """Return the seconds that a core has worked for this thread."""
        return time.thread_time()


class CudaClock:
    """CUDA events on the current stream: a call returns before its work is done, so the device keeps the time."""

    def mark(self) -> torch.cuda.Event:
        """Record an event."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def settle(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the seconds between two events."""
        return float(start.elapsed_time(end)) / 1e3


def clock_of(device: torch.device) -> Clock:
    """Return the clock that tells the time of work on `device`."""
    return CudaClock() if device.type == "cuda" else CpuClock()


def choose_device(name: str) -> torch.device:
    """Return the device called `auto` (CUDA where there is one), `cuda` or `cpu`; raise InputError otherwise."""
    if name not in {"auto", "cuda", "cpu"}:
        raise InputError(f"unknown device {name!r}", "valid names: auto, cuda, cpu", "device")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError("torch finds no CUDA device", "choose 'cpu', or install a build of torch for CUDA", "device")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


def device_name(device: torch.device) -> str:
    """Return the device's model, a CPU's with the words `CPU` and the number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(models or [platform.processor() or platform.machine()])[0]} CPU, {len(models) or 'unknown'} cores"


def driver_name(device: torch.device) -> str:
    """Return the version of the device's driver; a CPU has none."""
    if device.type != "cuda":
        return "none"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return f"unknown, CUDA {torch.version.cuda}"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30).stdout.split()
    return f"{(answer or ['unknown'])[0]}, CUDA {torch.version.cuda}"
