"""One step as Chrome trace events, which Perfetto and chrome://tracing open: a track a resource, counters a link.

Format: the JSON object format of the "Trace Event Format" (Google, 2016). Times are microseconds from the step's begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsim.report.tracks import tracks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_WORKERS, _LINKS = 1, 2
_LANES = {"communicate": "network", "encode": "coding", "decode": "coding", "down": "down"}
_MICRO = 1e6


def trace_events(
    spans: pd.DataFrame,
    links: Sequence[str],
    seen: Iterable[tuple[float, NDArray[np.float64], NDArray[np.int64]]],
    title: str,
) -> dict[str, Any]:
    """Return the trace of one step.

    Args:
        spans: rows of what workers did: worker, what, bucket, start_s and end_s.
        links: [L] names.
        seen: seconds in order, and from each on the bytes/s [L] that links carry and the transfers [L] on them.
        title: what was simulated.
    """
    begin_s = float(spans["start_s"].min())
    end_s = float(spans["end_s"].max())
    events = [_name("process_name", _WORKERS, 0, f"workers: {title}"), _name("process_name", _LINKS, 0, "links")]
    events += _tracks(spans, begin_s)
    events += _counters(links, seen, begin_s, end_s)
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"title": title}}


def _name(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "ts": 0, "args": {"name": name}}


def _tracks(spans: pd.DataFrame, begin_s: float) -> Iterator[dict[str, Any]]:
    """Yield what workers did, each lane of a worker on a track; what overlaps goes on tracks of its own."""
    threads: dict[tuple[int, str, int], int] = {}
    ordered = spans.sort_values(["worker", "start_s"], kind="stable", ignore_index=True)
    lanes = ordered.assign(lane=ordered["what"].map(_LANES).fillna("compute")).groupby(["worker", "lane"])
    row_of = {place: row for _, one in lanes for place, row in zip(one.index, _rows(one), strict=True)}
    for place, span in zip(ordered.index, ordered.to_dict("records"), strict=True):
        what, bucket, start_s, end_s = (span[key] for key in ("what", "bucket", "start_s", "end_s"))
        lane, row = (int(span["worker"]), _LANES.get(what, "compute")), row_of[place]
        if (*lane, row) not in threads:
            threads[*lane, row] = len(threads) + 1
            again = f" {row + 1}" if row else ""
            yield _name("thread_name", _WORKERS, threads[*lane, row], f"worker {lane[0]}: {lane[1]}{again}")
        yield {
            "name": what if bucket < 0 else f"{what} {bucket}",
            "cat": what,
            "ph": "X",
            "pid": _WORKERS,
            "tid": threads[*lane, row],
            "ts": (start_s - begin_s) * _MICRO,
            "dur": (end_s - start_s) * _MICRO,
            "args": {"bucket": int(bucket)},
        }


def _rows(spans: pd.DataFrame) -> list[int]:
    return tracks(zip(spans["start_s"], spans["end_s"], strict=True))


def _counters(
    links: Sequence[str],
    seen: Iterable[tuple[float, NDArray[np.float64], NDArray[np.int64]]],
    begin_s: float,
    end_s: float,
) -> Iterator[dict[str, Any]]:
    """Yield the counters of links where they change; what was so when the step began stands at its begin."""
    shown: dict[int, tuple[float, int]] = {}
    for at_s, rates, numbers in seen:
        if at_s > end_s:
            return
        for link in (rates > 0).nonzero()[0].tolist() + list(shown):
            now = float(rates[link]), int(numbers[link])
            if shown.get(link, (0.0, 0)) == now:
                continue
            shown[link] = now
            place = {"pid": _LINKS, "tid": 0, "ts": max(at_s - begin_s, 0.0) * _MICRO, "ph": "C"}
            yield {"name": f"{links[link]} Mbit/s", **place, "args": {"Mbit/s": now[0] * 8 / 1e6}}
            yield {"name": f"{links[link]} transfers", **place, "args": {"transfers": now[1]}}
