"""Bytes that frameworks send for ResNet-50, against those logged in GRACE's public data (Xu et al., ICDCS 2021)."""

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
    Int8,
    Natural,
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


def _message_bits(scheme: Scheme, shape: tuple[int, ...]) -> list[int]:
    """Return the bits of each message that travels to others, of one worker."""
    running = scheme.exchange(torch.zeros(shape), scheme.init(torch.Size(shape), Peer(0, workers=1, owners=1, seed=0)))
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
