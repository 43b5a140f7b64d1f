"""Any bytes in front of any decoder: an error that says so, or a tensor of the right shape."""

from __future__ import annotations

from contextlib import suppress
from math import ceil

import numpy as np
import pytest
import torch

from netsim.compress import Message, OneShot, Peer, Scheme, Wrapper, schemes, wire
from netsim.compress.base import Key, Reply
from netsim.compress.wire import WireError

SHAPE = torch.Size([6, 7])
WORKERS = 8
PLAIN = [one for one in (schemes.get(kind).example() for kind in schemes) if not isinstance(one, Wrapper)]


def _variants() -> list[Scheme]:
    """Return every scheme, and once more with the other of its codes and scales."""
    found = list(PLAIN)
    for one in PLAIN:
        for field, value in (("code", "entropy"), ("code", "elias"), ("scale", "shared")):
            kind = schemes.get(one.kind)
            if (one.kind, value) in {("lloyd_max", "entropy"), ("qsgd", "elias"), ("terngrad", "shared")}:
                found.append(kind(**{field: value}))
    return found


def _broken(message: Message, packed: bytes, draw: np.random.Generator) -> tuple[torch.Tensor, ...] | None:
    """Return the parts read from random bytes, a damaged message or one of another length; None where refused."""
    data = bytearray(packed)
    way = draw.integers(4)
    if way == 0:
        data = bytearray(draw.bytes(int(draw.integers(0, 2 * len(data) + 2))))
    elif way == 1:
        data = bytearray(draw.bytes(ceil(message.nbits / 8)))
    elif data:
        for _ in range(int(draw.integers(1, 4))):
            data[int(draw.integers(len(data)))] = int(draw.integers(256))
        data = data[: int(draw.integers(len(data) + 1))] if way == 3 else data
    try:
        return wire.unpack(bytes(data), message.layout)
    except WireError:
        return None


def _try(scheme: Scheme, draw: np.random.Generator, grad: torch.Tensor, states: list[object]) -> tuple[int, int]:
    """Exchange once with broken messages in each round; return how many were sent and how many were read."""
    workers = [scheme.exchange(grad, state) for state in states]
    messages = [next(worker) for worker in workers]
    sent = read = 0
    while True:
        parts = [_broken(message, message.pack(), draw) for message in messages]
        sent += len(parts)
        read += sum(part is not None for part in parts)
        good = [message.parts if part is None else part for part, message in zip(parts, messages, strict=True)]
        reply, messages, ended = Reply(good), [], []
        for worker in workers:
            try:
                messages.append(worker.send(reply))
            except StopIteration as end:
                ended.append(end.value[0])
            except WireError:
                return sent, read
        if not messages:
            assert all(_valid(one) for one in ended)
            return sent, read


def _valid(tensor: torch.Tensor) -> bool:
    return tensor.shape == SHAPE and tensor.dtype == torch.float32


def _decode(scheme: OneShot, message: Message, packed: bytes, draw: np.random.Generator) -> int:
    """Decode one broken message; return whether it could be read."""
    parts = _broken(message, packed, draw)
    if parts is None:
        return 0
    with suppress(WireError):
        assert _valid(scheme.decode(parts, SHAPE, Key(1, 0)))
    return 1


def _fuzz(scheme: Scheme, strings: int) -> tuple[int, int]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    draw = np.random.default_rng(3)
    grad = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    states: list[object] = [scheme.init(SHAPE, Peer(rank, WORKERS, WORKERS, seed=1)) for rank in range(WORKERS)]
    sent = read = 0
    while isinstance(scheme, OneShot) and sent < strings:
        if sent % 1000 == 0:
            message = scheme.encode(torch.randn(SHAPE, generator=torch.Generator().manual_seed(sent)), Key(1, 0))
            packed = message.pack()
        sent, read = sent + 1, read + _decode(scheme, message, packed, draw)
    while sent < strings:
        more, good = _try(scheme, draw, grad, states)
        sent, read = sent + more, read + good
    torch.set_num_threads(threads)
    return sent, read


every_scheme = pytest.mark.parametrize("scheme", _variants(), ids=lambda one: one.label)


@every_scheme
def test_decoders_take_anything(scheme: Scheme) -> None:
    sent, read = _fuzz(scheme, 300)
    assert sent >= 300
    assert read  # some get past the reader, or the decoder is not tried


@pytest.mark.slow
@every_scheme
def test_decoders_take_100_000_strings(scheme: Scheme) -> None:
    assert _fuzz(scheme, 100_000)[0] >= 100_000
