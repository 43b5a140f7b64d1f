"""Seconds of one exchange on a star in the latency-bandwidth model, one full-duplex link a host.

n workers, S bytes of gradients on each, a seconds from host to host, B bytes/s of each link (Thakur, Rabenseifner,
Gropp 2005, sections 3 and 4; Patarasuk, Yuan 2009, section 3).
"""

from __future__ import annotations

from math import floor, log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def ring_all_reduce_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(n-1)(a + S/(nB))."""
    return 2 * (workers - 1) * (latency_s + nbytes / (workers * bytes_per_s))


def pipelined_server_s(
    workers: int, servers: int, nbytes: float, bytes_per_s: float, latency_s: float, *, pieces: int
) -> float:
    """Return 2a + (k+1)/k max(n/s, 1) S/B: the push of k pieces one after the other, and the pull of the last."""
    return 2 * latency_s + (pieces + 1) / pieces * max(workers / servers, 1.0) * nbytes / bytes_per_s


def asynchronous_server_s(workers: int, alone_s: float, transfer_s: float) -> float:
    """Return the mean seconds of a worker's step at one asynchronous server, by exact mean value analysis.

    Workers go round between a delay of mean `alone_s` and two processor-sharing stations, the server's links in and
    out, with `transfer_s` each (Baskett, Chandy, Muntz, Palacios 1975; Reiser, Lavenberg 1980). At most the larger of
    n transfers and everything alone is reached: n / step <= min(n / (alone + 2 transfers), B / S).
    """
    queue, step_s = 0.0, alone_s
    for present in range(1, workers + 1):
        station_s = transfer_s * (1 + queue)
        step_s = alone_s + 2 * station_s
        queue = present / step_s * station_s
    return step_s


def halving_doubling_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(log2 p a + (p-1)S/(pB)) for p = 2^k workers, and up to 2(a + S/B) more for others."""
    power = 1 << floor(log2(workers))
    hand_s = latency_s + nbytes / bytes_per_s if workers > power else 0.0
    return 2 * (log2(power) * latency_s + (power - 1) * nbytes / (power * bytes_per_s) + hand_s)


def recursive_doubling_all_gather_s(workers: int, message_bytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return log2 n a + (n-1)M/B for n = 2^k messages of M bytes."""
    return log2(workers) * latency_s + (workers - 1) * message_bytes / bytes_per_s


def recursive_doubling_sum_s(sum_bytes: Sequence[float], bytes_per_s: float, latency_s: float) -> float:
    """Return the sum of a + M_k/B over k = 1, 2, 4, ..., n/2: M_k bytes hold what k workers have, for n = 2^j of them.

    SparCML's recursive doubling (Zen, OSDI 2025, section 2: hierarchical centralisation), latency added.
    """
    rounds = int(log2(len(sum_bytes)))
    return rounds * latency_s + sum(sum_bytes[(1 << one) - 1] for one in range(rounds)) / bytes_per_s


def torus_2d_s(rows: int, columns: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(c-1)(a + S/(cB)) + 2(r-1)(a + S/(rcB)): rows of c workers, columns of r."""
    along_s = 2 * (columns - 1) * (latency_s + nbytes / (columns * bytes_per_s))
    return along_s + ring_all_reduce_s(rows, nbytes / columns, bytes_per_s, latency_s)


def sliced_ring_all_reduce_s(
    workers: int, nbytes: float, bytes_per_s: float, latency_s: float, *, slices: int
) -> float:
    """Return a + C/B + (2n-3) max(C/B, a + C/(kB)): chunks of C = S/n bytes that are passed on in k slices."""
    chunk_s = nbytes / (workers * bytes_per_s)
    return latency_s + chunk_s + (2 * workers - 3) * max(chunk_s, latency_s + chunk_s / slices)


def all_to_all_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return a + (n-1)S/(nB): everyone sends everyone else its n-th part at once."""
    return latency_s + (workers - 1) * nbytes / (workers * bytes_per_s)


def chain_broadcast_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float, *, slices: int) -> float:
    """Return (n-1)(a + s/B) + max((S-s)/B, a + s/B): a slice s = S/k goes down a chain, then the rest behind it."""
    slice_s, rest_s = nbytes / slices / bytes_per_s, nbytes * (1 - 1 / slices) / bytes_per_s
    behind_s = max(rest_s, latency_s + slice_s) if slices > 1 else 0.0
    return (workers - 1) * (latency_s + slice_s) + behind_s
