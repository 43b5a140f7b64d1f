"""Calls that need one another's results, over processes."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from concurrent.futures import Executor, Future

THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"
ENVIRONMENT = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
"""Gradients that a process keeps are no leak, for which it would be ended and begin anew."""
IDLE_S = 300
"""Seconds after which processes without work end; a sweep that begins before finds them started."""


@dataclass(frozen=True)
class Call:
    """A function that another process can import, its arguments, and the calls whose results follow these."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    after: tuple[Hashable, ...] = ()


def results(calls: Mapping[Hashable, Call], jobs: int = 1) -> Iterator[tuple[Hashable, Any]]:
    """Yield the key of each call and what it returned, in order in one process, as they finish in several.

    Args:
        calls: by key; each stands behind those that it needs.
        jobs: processes; -1 for one a core.

    Raises:
        InputError: a process was ended from outside.
        Exception: what the first call that failed raised; calls that are under way are given up.
    """
    if jobs == 1 or len(calls) < 2:
        known: dict[Hashable, Any] = {}
        for key, call in calls.items():
            known[key] = call.function(*call.args, *(known[one] for one in call.after))
            yield key, known[key]
        return
    from concurrent.futures.process import BrokenProcessPool

    from loky import cpu_count, get_reusable_executor

    processes = cpu_count() if jobs == -1 else jobs
    threads = str(max(cpu_count() // processes, 1))
    environment = {name: os.environ.get(name, threads) for name in THREADS} | ENVIRONMENT
    with _interrupts_ignored():
        pool = get_reusable_executor(processes, timeout=IDLE_S, env=environment)
    try:
        yield from _as_finished(calls, pool, processes)
    except BrokenProcessPool as error:
        message = "a process of the sweep was ended from outside, most likely for want of memory"
        raise InputError(message, "run with fewer --jobs; finished points are kept for --resume") from error
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise


def _as_finished(calls: Mapping[Hashable, Call], pool: Executor, processes: int) -> Iterator[tuple[Hashable, Any]]:
    """Yield results as they are there, and have every call begin as soon as it can."""
    order = TopologicalSorter({key: call.after for key, call in calls.items()})
    order.prepare()
    ready: deque[Hashable] = deque()
    running: dict[Future[Any], Hashable] = {}
    known: dict[Hashable, Any] = {}
    while order.is_active():
        ready.extend(order.get_ready())
        # One in hand for each process hides the way there and back; near the end it would keep work from idle ones.
        while ready and len(running) < (2 * processes if len(ready) > processes else processes):
            key = ready.popleft()
            with _interrupts_ignored():
                call = calls[key]
                future = pool.submit(_in_process, call.function, *call.args, *map(known.get, call.after))
            running[future] = key
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            key = running.pop(future)
            known[key] = future.result()
            order.done(key)
            yield key, known[key]


def _in_process(function: Callable[..., Any], *args: Any) -> Any:
    result = function(*args)
    _settle(len(sys.modules))
    return result


@cache
def _settle(_modules: int) -> None:
    """Take what has been imported out of garbage collection, which a process of the pool runs in full each second."""
    gc.collect()
    gc.freeze()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let the processes that start meanwhile ignore Ctrl-C: this one answers it, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
