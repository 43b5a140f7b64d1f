"""Bytes that frameworks send: of GRACE for ResNet-50 as logged in its public data (ICDCS 2021), of others by hand.

PyTorch's own hooks are run in test_pytorch_hooks.py. BytePS: its repository as of f5df52f, byteps/common/compressor.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import netsim.workload
from netsim.compress import (
    QSGD,
    AsShipped,
    Bf16,
    Fp16,
    Int8,
    Natural,
    NaturalDithering,
    OneBitColumns,
    Peer,
    PowerSGD,
    RandomK,
    RmsSign,
    ScaledSign,
    Scheme,
    SignMajority,
    TernGrad,
    TopK,
    TwoWay,
    Uncompressed,
    compress,
)
from netsim.compress.base import Reply

MODEL = Path(netsim.workload.__file__).parent / "models" / "resnet50.json"
WHOLE = 2**31
"""Elements of a bucket that holds any tensor."""

LOGGED: list[tuple[Scheme, float]] = [
    (Uncompressed(), 1.02236e8),
    (TopK(ratio=0.01), 2.04426e6),
    (TopK(ratio=0.1), 2.04466e7),
    (TopK(ratio=0.25), 5.11182e7),
    (TopK(ratio=0.5), 1.02236e8),
    (RandomK(ratio=0.01), 1.02213e6),
    (RandomK(ratio=0.1), 1.02233e7),
    (RandomK(ratio=0.25), 2.55591e7),
    (RandomK(ratio=0.5), 5.11182e7),
    (ScaledSign(), 2.55597e7),
    (SignMajority(momentum=0), 2.55591e7),
    (SignMajority(), 2.55591e7),
    (TernGrad(), 2.55597e7),
    (Natural(), 2.55591e7),
    (Int8(bucket=WHOLE), 2.55597e7),
    (QSGD(levels=256, bucket=WHOLE, norm="l2"), 5.11188e7),
]


def _message_bits(scheme: Scheme, shape: tuple[int, ...], grad: torch.Tensor | None = None) -> list[int]:
    """Return the bits of each message that travels to others, of one worker."""
    start = scheme.init(torch.Size(shape), Peer(0, workers=1, owners=1, seed=0))
    running = scheme.exchange(torch.zeros(shape) if grad is None else grad, start)
    sent, reply = [], None
    while True:
        try:
            message = running.send(reply)
        except StopIteration:
            return sent
        sent.append(message.nbits)
        reply = Reply([message.parts])


def _shapes() -> list[tuple[int, ...]]:
    return [tuple(shape) for _, shape, _ in json.loads(MODEL.read_text())["tensors"]]


@pytest.mark.parametrize(("scheme", "logged_bytes"), LOGGED, ids=lambda one: getattr(one, "label", ""))
def test_bytes_of_resnet50_are_those_logged(scheme: Scheme, logged_bytes: float) -> None:
    nbits = sum(_message_bits(AsShipped(scheme), shape)[0] for shape in _shapes())
    assert nbits / 8 == pytest.approx(logged_bytes, rel=0.005)


def test_grace_takes_a_tensor_for_one_column() -> None:
    nbits = sum(_message_bits(AsShipped(OneBitColumns()), (math.prod(shape),))[0] for shape in _shapes())
    assert nbits / 8 == pytest.approx(2.55604e7, rel=0.005)


RESNET20_V2 = [
    *[(16, 3, 3, 3), *[(16, 16, 3, 3)] * 6],
    *[(32, 16, 3, 3), *[(32, 32, 3, 3)] * 5],
    *[(64, 32, 3, 3), *[(64, 64, 3, 3)] * 5],
    *[(11, 64), (11,), *[(32,)] * 6, *[(36,)] * 24],
]
"""Ten classes and background; 51 tensors, 269,467 elements, as logged; 30 tensors, 1,056 elements of normalisation."""


@pytest.mark.parametrize(
    ("shapes", "logged_bytes", "rel"), [(_shapes(), 5.46719e7, 1e-4), (RESNET20_V2, 498175, 1e-3)], ids=["50", "20"]
)
def test_powersgd_of_grace_as_it_was_logged(shapes: list[tuple[int, ...]], logged_bytes: float, rel: float) -> None:
    """The published script takes as many lines of the log of ten steps for a step as the model has tensors.

    PowerSGD logs two for a matrix, so that 13 such pieces are nine steps and the first lines of the tenth. These are of
    vectors and of P, which are small in any order: Q waits for P. The rank that explains both models is 2.
    """
    sent = [_message_bits(AsShipped(PowerSGD(rank=2)), shape) for shape in shapes]
    step = [one[0] / 8 for one in sent] + [one[1] / 8 for one in sent if len(one) > 1]
    lines, tensors = 10 * step, len(shapes)
    pieces = [sum(lines[start : start + tensors]) for start in range(0, len(lines) - tensors + 1, tensors)]
    assert len(pieces) == 13
    assert sum(pieces) / len(pieces) == pytest.approx(logged_bytes, rel=rel)


def test_powersgd_of_grace_saves_a_fifth_of_resnet50() -> None:
    nbits = sum(sum(_message_bits(AsShipped(PowerSGD(rank=2)), shape)) for shape in _shapes())
    whole = sum(32 * math.prod(shape) for shape in _shapes())
    assert nbits / whole == pytest.approx(0.772, abs=0.001)


@pytest.mark.parametrize(
    ("scheme", "framework", "nbits"),
    [
        (TopK(ratio=0.1), "grace_tensorflow", 100 * (32 + 32)),
        (TopK(ratio=0.1), "grace_torch", 100 * (32 + 64)),
        (ScaledSign(), "grace_torch", 32 + 8 * 1000),
        (TwoWay(RmsSign()), "deepspeed", 32 + 1000),
        (PowerSGD(), "deepspeed", 32 * 1000),
    ],
    ids=lambda one: getattr(one, "label", str(one)),
)
def test_sizes_by_hand(scheme: Scheme, framework: str, nbits: int) -> None:
    assert _message_bits(AsShipped(scheme, framework), (1000,))[0] == nbits


LARGE = 20_001
"""More than the 16,384 elements, 64 KiB, from which BytePS compresses (global.cc: BYTEPS_MIN_COMPRESS_BYTES)."""
WORDS = 32 * 626
"""Bits of words of 32 signs for as many elements (onebit.cc), with a float32 after them in any case."""

BYTEPS: list[tuple[Scheme, int, list[int]]] = [
    (TopK(ratio=0.5), 2**14 - 1, [32 * (2**14 - 1)]),
    (TopK(ratio=0.5), 2**14, [2**13 * (32 + 32)]),
    (TopK(ratio=0.01), LARGE, [200 * (32 + 32)]),
    (RandomK(ratio=0.01), LARGE, [200 * (32 + 32)]),  # randomk.cc: pairs of index and value
    (ScaledSign(), LARGE, [WORDS + 32]),
    (RmsSign(), LARGE, [WORDS + 32]),
    (SignMajority(momentum=0), LARGE, [WORDS + 32] * 2),  # `scaling` off: the scale is 1, and sent
    (TwoWay(ScaledSign()), LARGE, [WORDS + 32] * 2),
    (Fp16(), LARGE, [16 * LARGE]),
    (QSGD(), LARGE, [32 + 32]),  # of zeros: dithering.cc sends the number of bits, none, and the norm
    (QSGD(bucket=128), 2_048_001, [32 + 3 * 32]),  # global.cc: pieces of 4,096,000 bytes, each with its norm
    (NaturalDithering(), LARGE, [32 + 32]),
    (TernGrad(), LARGE, [32 + 64 * 690]),  # not in BytePS: 29 digits a word of 46 bits, held by one of 64
    (Natural(), LARGE, [16 * LARGE]),
    (Int8(bucket=WHOLE), LARGE, [32 + 8 * LARGE]),
]


@pytest.mark.parametrize(("scheme", "numel", "nbits"), BYTEPS, ids=lambda one: getattr(one, "label", ""))
def test_sizes_of_byteps_by_hand(scheme: Scheme, numel: int, nbits: list[int]) -> None:
    assert _message_bits(AsShipped(scheme, "byteps"), (numel,)) == nbits


@pytest.mark.parametrize(
    ("scheme", "level_bits"), [(QSGD(levels=7), 5), (NaturalDithering(levels=8, norm="max"), 14)], ids=["7", "2^7"]
)
def test_dithering_of_byteps_by_hand(scheme: Scheme, level_bits: int) -> None:
    """The norm at places 0, 9 and 10,009: distances 1, 9 and 10,000 take 1, 8 and 20 bits, the sign one.

    7 takes 5 bits, and 128, which is the highest of natural dithering's levels as BytePS counts them, 14.
    """
    grad = torch.zeros(LARGE)
    grad[[0, 9, 10_009]] = torch.tensor([0.5, -0.5, 0.5])
    bits = 1 + 8 + 20 + 3 * (1 + level_bits)
    sent = AsShipped(scheme, "byteps")
    assert _message_bits(sent, (LARGE,), grad) == [32 + 32 + 32 * math.ceil(bits / 32)]
    assert torch.equal(compress(sent, grad[None]).mean, grad)


SAME: list[Scheme] = [RandomK(ratio=0.01), ScaledSign(), TopK(ratio=0.01), NaturalDithering(), QSGD(bucket=WHOLE)]


@pytest.mark.parametrize("scheme", SAME, ids=lambda one: one.label)
def test_estimates_of_byteps_are_those_of_the_scheme(scheme: Scheme) -> None:
    grads = torch.randn(2, LARGE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(compress(AsShipped(scheme, "byteps"), grads).mean, compress(scheme, grads).mean)


PYTORCH: list[tuple[Scheme, tuple[int, ...], list[int]]] = [
    (Fp16(), (1000,), [16_000]),
    (Bf16(), (1000,), [16_000]),
    (PowerSGD(rank=2), (64, 6, 8), [32 * 2 * 64, 32 * 2 * 48]),
    (PowerSGD(rank=2), (8, 8), [32 * 64]),  # 2 (8 + 8) 2 is not less than 64; at a rate of 1 it is
    (PowerSGD(rank=2, min_compression_rate=20), (64, 6, 8), [32 * 64 * 48]),
    (PowerSGD(rank=1), (1000,), [32_000]),
    (TopK(ratio=0.1), (1000,), [100 * (32 + 64)]),  # no hook: indices as torch.topk returns them
    (ScaledSign(), (1000,), [32 + 8 * 1000]),
]


@pytest.mark.parametrize(("scheme", "shape", "nbits"), PYTORCH, ids=lambda one: getattr(one, "label", ""))
def test_sizes_of_pytorch_by_hand(scheme: Scheme, shape: tuple[int, ...], nbits: list[int]) -> None:
    assert _message_bits(AsShipped(scheme, "pytorch"), shape) == nbits


@pytest.mark.parametrize("framework", ["deepspeed", "pytorch", "byteps"])
def test_forms_of_grace_are_its_own(framework: str) -> None:
    assert [one.shipped(framework) for one in (TernGrad(), Natural())] == [TernGrad(), Natural()]
    assert TernGrad().shipped("grace_torch") != TernGrad()
