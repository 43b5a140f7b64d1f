"""Seconds of one exchange on a star in the latency-bandwidth model, one full-duplex link a host.

n workers, S bytes of gradients on each, a seconds from host to host, B bytes/s of each link (Thakur, Rabenseifner,
Gropp 2005, sections 3 and 4; Patarasuk, Yuan 2009, section 3).
"""

from __future__ import annotations

from math import ceil, log2


def ring_all_reduce_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(n-1)(a + S/(nB))."""
    return 2 * (workers - 1) * (latency_s + nbytes / (workers * bytes_per_s))


def ring_all_gather_s(workers: int, message_bytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return (n-1)(a + M/B) for messages of M bytes."""
    return (workers - 1) * (latency_s + message_bytes / bytes_per_s)


def binomial_tree_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2 ceil(log2 n)(a + S/B)."""
    return 2 * ceil(log2(workers)) * (latency_s + nbytes / bytes_per_s)


def owner_exchange_s(workers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(a + (n-1)S/(nB)): direct all-to-all of shards, direct all-gather of the reduced ones."""
    return 2 * (latency_s + (workers - 1) * nbytes / (workers * bytes_per_s))


def parameter_server_s(workers: int, servers: int, nbytes: float, bytes_per_s: float, latency_s: float) -> float:
    """Return 2(a + max(n/s, 1) S/B) for s dedicated servers with even shards: the busier of server and worker links."""
    return 2 * (latency_s + max(workers / servers, 1.0) * nbytes / bytes_per_s)
