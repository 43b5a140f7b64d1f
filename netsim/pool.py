"""Calls that need one another's results, over processes: the one that asks for them is the first to work."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from concurrent.futures import Executor

THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"
ENVIRONMENT = {
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""Gradients that a process keeps are no leak, for which it would be ended and begin anew; and memory that the next
tensor will need is kept: to give it back and get it again, page by page, is a tenth of the work."""
IDLE_S = 300
"""Seconds after which processes without work end; a sweep that begins before finds them started."""
PATIENCE_S = 5.0
"""Seconds that compiled code has to come to an end where a call is given up; what Python does ends at once."""


@dataclass(frozen=True)
class Call:
    """A function that another process can import, its arguments, and the calls whose results follow these."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    after: tuple[Hashable, ...] = ()


def results(calls: Mapping[Hashable, Call], jobs: int = 1) -> Iterator[tuple[Hashable, Any]]:
    """Yield the key of each call and what it returned, in order in one process, as they finish in several.

    Args:
        calls: by key; each stands behind those that it needs, and those that take longest first.
        jobs: processes, this one among them, which works in a thread of its own; -1 for one a core.

    Raises:
        InputError: a process was ended from outside.
        Exception: what the first call that failed raised; calls that are under way are given up.
    """
    if jobs == -1:
        from loky import cpu_count

        jobs = cpu_count()
    if jobs == 1 or len(calls) < 2:
        known: dict[Hashable, Any] = {}
        for key, call in calls.items():
            known[key] = call.function(*call.args, *(known[one] for one in call.after))
            yield key, known[key]
        return
    from concurrent.futures.process import BrokenProcessPool

    from loky import cpu_count, get_reusable_executor

    threads = str(max(cpu_count() // jobs, 1))
    environment = {name: os.environ.get(name, threads) for name in THREADS} | ENVIRONMENT
    with _interrupts_ignored():
        pool = get_reusable_executor(jobs - 1, timeout=IDLE_S, env=environment)
    here = _Here()
    try:
        yield from _as_finished(calls, here, pool, jobs - 1)
    except BrokenProcessPool as error:
        here.interrupt()
        message = "a process of the sweep was ended from outside, most likely for want of memory"
        raise InputError(message, "run with fewer --jobs; finished points are kept for --resume") from error
    except BaseException:
        pool.shutdown(kill_workers=True)
        here.interrupt()
        raise


def _as_finished(
    calls: Mapping[Hashable, Call], here: _Here, pool: Executor, others: int
) -> Iterator[tuple[Hashable, Any]]:
    """Yield results as they are there, and have every call begin as soon as it can, here or in one of the others."""
    order = TopologicalSorter({key: call.after for key, call in calls.items()})
    order.prepare()
    ready: deque[Hashable] = deque()
    running: dict[Future[Any], Hashable] = {}
    known: dict[Hashable, Any] = {}
    while order.is_active():
        ready.extend(order.get_ready())
        while ready:
            # One in hand for each process hides the way there and back; near the end it would keep work from idle ones.
            room = 2 * others if len(ready) > others else others
            if here.busy and len(running) > room:
                break
            # The first calls last longest and take most memory: others make them; this process works from the end.
            key = ready.popleft() if here.busy else ready.pop()
            call = calls[key]
            args = call.args + tuple(map(known.get, call.after))
            if here.busy:
                with _interrupts_ignored():
                    running[pool.submit(_elsewhere, call.function, *args)] = key
            else:
                running[here.submit(call.function, *args)] = key
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            key = running.pop(future)
            known[key] = future.result()
            order.done(key)
            yield key, known[key]


class _Here:
    """This process as one that works, at once: it has imported already what others are yet to import."""

    def __init__(self) -> None:
        self._future: Future[Any] | None = None
        self._thread = threading.Thread()

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._future is not None and not self._future.done()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Return what a call will have returned; the main thread goes on, to answer Ctrl-C and to give out the rest."""
        self._future = Future()
        self._thread = threading.Thread(target=_answer, args=(self._future, function, *args), daemon=True)
        self._thread.start()
        return self._future

    def interrupt(self) -> None:
        """End the call that is under way, before what it writes to is used again."""
        if self.busy and self._thread.ident:
            thread = ctypes.c_ulong(self._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(SystemExit))
            self._thread.join(PATIENCE_S)


def _answer(future: Future[Any], function: Callable[..., Any], *args: Any) -> None:
    try:
        future.set_result(function(*args))
    except BaseException as error:
        future.set_exception(error)


def _elsewhere(function: Callable[..., Any], *args: Any) -> Any:
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
