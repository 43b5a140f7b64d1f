"""Any bytes in front of any decoder: an error or a tensor of the right shape, in bounded time and memory."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from netsim.compress import Message, OneShot, Peer, Scheme, Wrapper, schemes, wire
from netsim.compress.base import Key, Reply
from netsim.compress.codes import (
    delta_decode,
    delta_encode,
    entropy_decode,
    entropy_encode,
    gamma_decode,
    gamma_encode,
    pack_trits,
    unpack_trits,
)
from netsim.compress.indices import Index, decode_index, encode_index
from netsim.compress.wire import Field, WireError, stream
from netsim.scenario.fields import core_type, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPES = [torch.Size(one) for one in ((6, 7), (300,), (), (3, 0), (1,), (40, 30))]
WORKERS, OWNERS = 3, 4
DEFAULT, ALL = 300, 100_000
MOST_BYTES = 32 * 2**20
"""Memory that a decoder may take: strings of 10 kB at most at 64 bytes a bit, as compress/wire.py says, six times."""
LONGEST_S = 10.0
"""A string takes some milliseconds at most, also where others share the processor."""


# ------------------------------------------------------------------------------------------------ damage


def _damaged(packed: bytes, draw: np.random.Generator) -> bytes:
    """Return random bytes, or those of a message with bytes or bits changed, cut off or added."""
    data, size = bytearray(packed), len(packed)
    way = draw.integers(6)
    if way == 0:
        return draw.bytes(int(draw.integers(0, 2 * size + 8)))
    if way == 1:
        return draw.bytes(size)
    if way == 2:
        return packed[: int(draw.integers(size + 1))]
    if way == 3:
        return packed + draw.bytes(int(draw.integers(1, 20)))
    for _ in range(int(draw.integers(1, 6)) if size else 0):
        place = int(draw.integers(size))
        data[place] = int(draw.integers(256)) if way == 4 else data[place] ^ 1 << int(draw.integers(8))
    return bytes(data)


def _rewritten(message: Message, draw: np.random.Generator) -> bytes:
    """Return a message of the same layout whose parts are other ones: damage that no length gives away."""
    parts = []
    for part, field in zip(message.parts, message.layout, strict=True):
        flat = part.flatten()
        if field.open and draw.integers(2):
            flat = torch.cat([flat[: int(draw.integers(len(flat) + 1))], flat[: int(draw.integers(4))]])
        parts.append(_changed(flat, draw).reshape(_shape(field, flat)))
    return wire.pack(parts, message.layout)


def _changed(flat: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    if flat.dtype == torch.bool:
        return flat ^ torch.from_numpy(draw.random(len(flat)) < 0.1)
    if not len(flat):
        return flat
    each, count = flat.element_size(), int(draw.integers(4))
    stored = flat.clone().as_strided(flat.shape, (1,)).view(torch.uint8).numpy().reshape(-1, each)
    stored[draw.integers(len(flat), size=count)] = draw.integers(256, size=(count, each))
    return torch.from_numpy(stored).reshape(-1).view(flat.dtype)


def _shape(field: Field, flat: torch.Tensor) -> tuple[int, ...]:
    return (len(flat),) if field.open else field.shape


def _strings(message: Message, draw: np.random.Generator) -> Iterator[bytes]:
    packed = message.pack()
    while True:
        yield _rewritten(message, draw) if draw.integers(3) == 0 else _damaged(packed, draw)


# ---------------------------------------------------------------------------------------------- decoders


@dataclass
class Tally:
    """Strings tried, those of them that could be read at all, and those that gave a tensor."""

    tried: int = 0
    read: int = 0
    decoded: int = 0
    slowest_s: float = 0.0

    def unpacked(self, data: bytes, layout: tuple[Field, ...]) -> tuple[torch.Tensor, ...] | None:
        """Return the parts, None where bytes are refused."""
        self.tried += 1
        try:
            parts = wire.unpack(data, layout)
        except WireError:
            return None
        self.read += 1
        assert [(_shape(field, part), field.dtype) for field, part in zip(layout, parts, strict=True)] == [
            (tuple(part.shape), part.dtype) for part in parts
        ]
        return parts

    def decode(self, decode: Callable[[], None]) -> None:
        """Decode one string; it may be refused."""
        start = time.perf_counter()
        with suppress(WireError):
            decode()
            self.decoded += 1
        self.slowest_s = max(self.slowest_s, time.perf_counter() - start)


def _check(tensor: torch.Tensor, shape: torch.Size) -> None:
    assert tensor.shape == shape
    assert tensor.dtype == torch.float32
    assert not tensor.isnan().any()


def _fuzz_one_shot(scheme: OneShot, draw: np.random.Generator, strings: int, shape: torch.Size, tally: Tally) -> None:
    key = Key(1, 0)
    message = scheme.encode(_gradient(shape, draw), key)
    _check(scheme.decode(message.parts, shape, key), shape)
    for _, data in zip(range(strings), _strings(message, draw), strict=False):
        parts = tally.unpacked(data, message.layout)
        if parts is not None:
            tally.decode(lambda parts=parts: _check(scheme.decode(parts, shape, key), shape))


def _fuzz_exchange(scheme: Scheme, draw: np.random.Generator, strings: int, shape: torch.Size, tally: Tally) -> None:
    """Exchange in vain and again, with one worker's message of one round damaged."""
    grads = [_gradient(shape, draw) for _ in range(WORKERS)]
    states = [scheme.init(shape, Peer(rank, WORKERS, OWNERS, seed=1)) for rank in range(WORKERS)]
    rounds, states = _exchange(scheme, grads, states, lambda parts, _: parts)  # of a second step, as of all later ones
    rounds = _exchange(scheme, grads, states, lambda parts, _: parts)[0] or rounds
    before = tally.tried
    while tally.tried < before + strings:
        target, rank = int(draw.integers(rounds)), int(draw.integers(WORKERS))

        def damage(messages: list[Message], at: int, target: int = target, rank: int = rank) -> list[Message]:
            if at != target:
                return messages
            victim, tries = messages[rank], _strings(messages[rank], draw)
            for _, data in zip(range(16), tries, strict=False):
                parts = tally.unpacked(data, victim.layout)
                if parts is not None:
                    messages[rank] = replace(victim, parts=parts)
                    break
            return messages

        tally.decode(lambda damage=damage: _exchange(scheme, grads, states, damage))


def _exchange(
    scheme: Scheme, grads: list[torch.Tensor], states: list[Any], damage: Callable[[list[Message], int], list[Message]]
) -> tuple[int, list[Any]]:
    """Return the rounds of an exchange, and the states after it."""
    running = [scheme.exchange(grad, state) for grad, state in zip(grads, states, strict=True)]
    reply, rounds = None, 0
    while True:
        messages, ended = [], []
        for worker in running:
            try:
                messages.append(worker.send(reply))
            except StopIteration as end:
                ended.append(end.value)
        if ended:
            assert not messages, "a damaged message made some workers end before others"
            for mean, own, _ in ended:
                _check(mean, grads[0].shape)
                _check(own, grads[0].shape)
            return rounds, [state for _, _, state in ended]
        reply = Reply([message.parts for message in damage(messages, rounds)])
        rounds += 1


def _gradient(shape: torch.Size, draw: np.random.Generator) -> torch.Tensor:
    grad = torch.from_numpy(draw.standard_normal(shape).astype(np.float32))
    return grad * (torch.from_numpy(draw.random(shape)) < draw.choice([0.1, 1.0]))


def _fuzz_scheme(scheme: Scheme, draw: np.random.Generator, strings: int, tally: Tally) -> None:
    turns = max(len(SHAPES), strings // 1000)
    for turn in range(turns):
        each = (strings - tally.tried) // (turns - turn)
        fuzz: Any = _fuzz_one_shot if isinstance(scheme, OneShot) else _fuzz_exchange
        fuzz(scheme, draw, each, SHAPES[turn % len(SHAPES)], tally)


# ------------------------------------------------------------------------------------------------ codecs


def _index(code: Index, draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    numel = int(draw.choice([1, 40, 5000]))
    kept = int(draw.integers(min(numel, 60) + 1))
    index = torch.from_numpy(draw.permutation(numel)[:kept])
    _, part, field = encode_index(index, numel, code, counted=bool(draw.integers(2)))

    def decode(part: torch.Tensor) -> None:
        found = decode_index(part, kept, numel, code)
        assert len(found) == kept
        assert not kept or 0 <= int(found.min()) <= int(found.max()) < numel

    return Message.of("gather", (part, field)), decode


def _entropy(draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    count, numel = int(draw.integers(2, 300)), int(draw.integers(300))
    symbols = torch.from_numpy(draw.choice(count, numel, p=draw.dirichlet(np.full(count, 0.2))))

    def decode(words: torch.Tensor) -> None:
        found = entropy_decode(words, count, numel)
        assert len(found) == numel
        assert not numel or 0 <= int(found.min()) <= int(found.max()) < count

    return Message.of("gather", stream(entropy_encode(symbols, count), 32)), decode


def _gamma(draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    values = torch.from_numpy(2 ** draw.integers(0, draw.integers(2, 60), size=int(draw.integers(60))))

    def decode(bits: torch.Tensor) -> None:
        found = gamma_decode(bits, len(values))
        assert len(found) == len(values)
        assert not len(found) or int(found.min()) >= 1

    return Message.of("gather", stream(gamma_encode(values), 1)), decode


def _delta(draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    sizes = torch.from_numpy(2 ** draw.integers(0, draw.integers(2, 60), size=int(draw.integers(60))) // 2)

    def decode(words: torch.Tensor) -> None:
        found = delta_decode(words, len(sizes))
        assert [len(one) for one in found] == [len(sizes)] * 2

    return Message.of("gather", stream(delta_encode(sizes, sizes % 3 == 1), 32)), decode


def _trits(draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    digits = torch.from_numpy(draw.integers(0, 3, size=int(draw.integers(120))))

    def decode(blocks: torch.Tensor) -> None:
        found = unpack_trits(blocks, len(digits))
        assert len(found) == len(digits)
        assert not len(found) or int(found.max()) < 3

    return Message.of("gather", wire.symbols(pack_trits(digits), 3**29)), decode


DTYPES = torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64


def _layout(draw: np.random.Generator) -> tuple[Message, Callable[..., None]]:
    coded = []
    for _ in range(int(draw.integers(5))):
        dtype, count = DTYPES[int(draw.integers(len(DTYPES)))], int(draw.integers(20))
        bits = 8 * dtype.itemsize
        width = bits if dtype.is_floating_point else 1 if dtype is torch.bool else int(draw.integers(1, bits))
        part = torch.from_numpy(draw.integers(0, 2 ** min(width, 50), size=count)).to(dtype)
        coded.append(stream(part, width) if draw.integers(2) else (part, Field((count,), dtype, width)))
    return Message.of("gather", *coded), lambda *_: None


CODECS: dict[str, Callable[[np.random.Generator], tuple[Message, Callable[..., None]]]] = {
    "wire": _layout,
    "entropy": _entropy,
    "gamma": _gamma,
    "delta": _delta,
    "trits": _trits,
} | {f"index {code}": partial(_index, code) for code in get_args(Index)}


def _fuzz_codec(name: str, draw: np.random.Generator, strings: int, tally: Tally) -> None:
    while tally.tried < strings:
        message, decode = CODECS[name](draw)
        for _, data in zip(range(25), _strings(message, draw), strict=False):
            parts = tally.unpacked(data, message.layout)
            if parts is not None:
                tally.decode(partial(decode, *parts))


# ------------------------------------------------------------------------------------------------- tests


def _variants() -> list[Scheme]:
    """Return every scheme with every code and form that it has, and every wrapper around top-k."""
    found: list[Scheme] = []
    for kind in schemes:
        one = schemes.get(kind).example()
        if isinstance(one, Wrapper):
            found.append(replace(one, inner=schemes.get("topk").example()))
            continue
        hints = {field.name: core_type(fields_of(type(one)).hints[field.name]) for field in fields(one)}
        choices = {name: get_args(hint) or (False, True) for name, hint in hints.items() if _few(hint)}
        other = [replace(one, **{name: value}) for name, values in choices.items() for value in values]
        found += [one, *other]
    return list({one.label: one for one in found}.values())


def _few(hint: Any) -> bool:
    return hint is bool or get_origin(hint) is Literal


DECODERS: dict[str, Callable[[np.random.Generator, int, Tally], None]] = {
    **{name: partial(_fuzz_codec, name) for name in CODECS},
    **{one.label: partial(_fuzz_scheme, one) for one in _variants()},
}


def _fuzz(name: str, strings: int) -> Tally:
    threads, tally = torch.get_num_threads(), Tally()
    torch.set_num_threads(1)
    DECODERS[name](np.random.default_rng(2), 2 * len(SHAPES), Tally())  # loops are compiled
    before = _memory("VmRSS", reset=True)
    DECODERS[name](np.random.default_rng(3), strings, tally)
    torch.set_num_threads(threads)
    assert _memory("VmHWM") - before < MOST_BYTES
    assert tally.slowest_s < LONGEST_S
    return tally


def _memory(name: str, *, reset: bool = False) -> int:
    """Return the memory of this process now (VmRSS) or at its most since the last reset (VmHWM); 0 if nobody says."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return 1024 * int(line[1]) if line else 0


@pytest.mark.parametrize("name", [one for one in DECODERS if "(index=" not in one])  # whose codes are decoders, too
def test_decoders_take_anything(name: str) -> None:
    tally = _fuzz(name, DEFAULT)
    assert tally.tried >= DEFAULT
    assert tally.read  # some get past the reader, or the decoder is not tried


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_take_100_000_strings(name: str) -> None:
    tally = _fuzz(name, ALL)
    print(f"\n  {name:45s} {tally}")  # noqa: T201
    assert tally.tried >= ALL
    assert tally.read
