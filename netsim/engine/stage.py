"""One collective of a bucket: the messages of its coded units, joined, and which part of them goes to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from netsim.engine.sparsity import count_holders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.compress.base import Message
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


def fuse(outcomes: Sequence[Outcome], owners: int) -> tuple[Stage, ...]:
    """Join the messages of a bucket's units: those with the same place and op travel together."""
    joined: dict[tuple[int, str], list[tuple[list[Message], int]]] = {}
    for unit, outcome in enumerate(outcomes):
        for place, messages in enumerate(outcome.messages):
            joined.setdefault((place, messages[0].op), []).append((messages, unit))
    stages = []
    for (place, op), units in sorted(joined.items()):
        if op == "shard":
            continue
        sent = [messages for messages, _ in units]
        down_bytes, up_shares, down_shares = np.zeros(len(units)), None, None
        if op == "owner":
            back = [messages for messages, _ in joined[place + 1, "shard"]]
            down_bytes = np.array([sum(_bytes(one) for one in messages) for messages in back], np.float64)
            up_shares, down_shares = _pushed(sent, owners), _pulled(back, owners)
        up_bytes = np.array([[_bytes(one) for one in messages] for messages in sent], np.float64).T
        coded = [outcomes[unit] for _, unit in units]
        held = [count_holders(outcome.own) for outcome in coded] if op == "gather" else []
        sum_bits = []
        for messages in sent:
            supports = [one.support() for one in messages if one.support]
            if supports:
                held.append(count_holders([one.present for one in supports]))
                sum_bits.append(supports[0][1:])
        stages.append(
            Stage(
                cast("Collective", op),
                up_bytes.sum(axis=1),
                float(down_bytes.sum()),
                np.array([outcome.mean.numel() for outcome in coded], dtype=np.int64),
                np.array(held, dtype=np.int64),
                up_shares,
                down_shares,
                np.array([unit for _, unit in units], dtype=np.int64),
                up_bytes,
                down_bytes,
                np.array(sum_bits, dtype=np.float64) if sum_bits else None,
            )
        )
    return tuple(stages)


def _pushed(units: Sequence[Sequence[Message]], owners: int) -> NDArray[np.float64] | None:
    """Return [m, owners] which part of each worker's messages goes to each owner, or None where all get alike."""
    if not any(one.weigh for messages in units for one in messages):
        return None
    return shares(np.sum([[_parts(one, owners) for one in messages] for messages in units], axis=0))


def _pulled(units: Sequence[Sequence[Message]], owners: int) -> NDArray[np.float64] | None:
    """Return [owners] which part each owner hands out, or None where all hand out alike."""
    if not any(one.weigh for messages in units for one in messages):
        return None
    nbytes = np.zeros(owners)
    for messages in units:
        for rank, one in enumerate(messages):
            mine = nbytes[rank :: len(messages)]
            mine += _parts(one, len(mine))
    return shares(nbytes)


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
