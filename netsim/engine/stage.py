"""One collective of a bucket: the messages of its coded units, joined, and which part of them goes to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.engine.sparsity import count_holders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.compress.base import Message, Op
    from netsim.compress.drive import Outcome
    from netsim.sync.base import Collective


@dataclass(frozen=True, eq=False)
class Stage:
    """One collective of one bucket: messages of all its coded units, fused.

    Attributes:
        op: how the messages travel.
        up_bytes: [m] bytes of every measured worker's message.
        down_bytes: bytes of the re-encoded aggregate (`owner`), else 0.
        units: [u] elements of each coded unit whose messages are fused here.
        held: [u, m + 1] for `gather`, elements of each unit to which exactly 0..m workers have contributed; where sums
            grow, its items.
        up_shares: [m, owners] which part of each message goes to each owner (`owner`); None: equal parts.
        down_shares: [owners] which part of the aggregate each owner hands out; None: equal parts.
        places: [u] the place of each of these units among all of the bucket.
        unit_bytes: [m, u] bytes of each worker's message of each unit; None: in proportion to their elements.
        unit_down_bytes: [u] bytes of the re-encoded aggregate of each unit (`owner`).
        sum_bits: [u, 3] where sums grow, the bits of one that holds nothing, of every item, and the most there are.
    """

    op: Collective
    up_bytes: NDArray[np.float64]
    down_bytes: float
    units: NDArray[np.int64]
    held: NDArray[np.int64]
    up_shares: NDArray[np.float64] | None = None
    down_shares: NDArray[np.float64] | None = None
    places: NDArray[np.int64] | None = None
    unit_bytes: NDArray[np.float64] | None = None
    unit_down_bytes: NDArray[np.float64] | None = None
    sum_bits: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Sent:
    """What all workers send of one unit in one round of its exchange; the tensors themselves are not kept.

    Attributes:
        op: how it travels.
        numel: elements of the unit.
        nbytes: [m] bytes of every measured worker's message.
        parts: bytes for (`owner`: [m, owners]) or from (`shard`: [owners]) each owner, else None.
        weighs: whether these parts are unlike.
        held: [m + 1] as in a stage, or None.
        sum_bits: the bits of one that holds nothing, of every item, and the most there are, or None.
    """

    op: Op
    numel: int
    nbytes: NDArray[np.float64]
    parts: NDArray[np.float64] | None
    weighs: bool
    held: NDArray[np.int64] | None
    sum_bits: tuple[float, ...] | None


def sent(outcome: Outcome, owners: int) -> tuple[Sent, ...]:
    """Return what the rounds of a unit's exchange send."""
    return tuple(_sent(messages, outcome, owners) for messages in outcome.messages)


def _sent(messages: Sequence[Message], outcome: Outcome, owners: int) -> Sent:
    op, parts, held = messages[0].op, None, None
    if op == "owner":
        parts = np.stack([_parts(one, owners) for one in messages])
    elif op == "shard":
        parts = np.zeros(owners)
        for rank, one in enumerate(messages):
            mine = parts[rank :: len(messages)]
            mine += _parts(one, len(mine))
    supports = [one.support() for one in messages if one.support]
    if op == "gather":
        held = count_holders(outcome.own)
    elif supports:
        held = count_holders([one.present for one in supports])
    return Sent(
        op,
        outcome.mean.numel(),
        np.array([_bytes(one) for one in messages], np.float64),
        parts,
        any(one.weigh for one in messages),
        held,
        supports[0][1:] if supports else None,
    )


def fuse(units: Sequence[Sequence[Sent]]) -> tuple[Stage, ...]:
    """Join what a bucket's units send: rounds with the same place and op travel together."""
    joined: dict[tuple[int, Op], list[tuple[Sent, int]]] = {}
    for unit, rounds in enumerate(units):
        for place, one in enumerate(rounds):
            joined.setdefault((place, one.op), []).append((one, unit))
    stages = []
    for (place, op), numbered in sorted(joined.items()):
        if op == "shard":
            continue
        together = [one for one, _ in numbered]
        back = [one for one, _ in joined[place + 1, "shard"]] if op == "owner" else []
        down_bytes = np.array([one.nbytes.sum() for one in back]) if back else np.zeros(len(together))
        up_bytes = np.array([one.nbytes for one in together]).T
        sum_bits = [one.sum_bits for one in together if one.sum_bits]
        stages.append(
            Stage(
                op,
                up_bytes.sum(axis=1),
                float(down_bytes.sum()),
                np.array([one.numel for one in together], dtype=np.int64),
                np.array([one.held for one in together if one.held is not None], dtype=np.int64),
                _shares_of(together),
                _shares_of(back),
                np.array([unit for _, unit in numbered], dtype=np.int64),
                up_bytes,
                down_bytes,
                np.array(sum_bits, dtype=np.float64) if sum_bits else None,
            )
        )
    return tuple(stages)


def _shares_of(units: Sequence[Sent]) -> NDArray[np.float64] | None:
    """Return which part each owner gets or hands out of all units together, or None where all parts are alike."""
    parts = [one.parts for one in units if one.parts is not None]
    return shares(np.sum(parts, axis=0)) if any(one.weighs for one in units) and parts else None


def _parts(message: Message, parts: int) -> NDArray[np.float64]:
    """Return [parts] the bytes of each part of a message."""
    weights = np.array(message.weigh() if message.weigh else np.ones(parts), dtype=np.float64)
    total = weights.sum()
    return _bytes(message) * (weights / total if total else np.full(parts, 1 / max(parts, 1)))


def shares(nbytes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return bytes [..., owners] as shares of their sums."""
    total = nbytes.sum(axis=-1, keepdims=True)
    return np.where(total > 0, nbytes / np.where(total > 0, total, 1.0), 1 / nbytes.shape[-1])


def _bytes(message: Message) -> int:
    return -(-message.nbits // 8)
