"""Bytes that frameworks send for ResNet-50, against those logged in GRACE's public data (Xu et al., ICDCS 2021)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import netsim.workload
from netsim.compress import (
    QSGD,
    AsShipped,
    OneBit,
    Peer,
    PowerSGD,
    RandomK,
    ScaledSign,
    Scheme,
    TopK,
    TwoWay,
    Uncompressed,
)

MODEL = Path(netsim.workload.__file__).parent / "models" / "resnet50.json"
GRACE_QSGD = QSGD(levels=256, bucket=2**31, norm="l2")

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
    (GRACE_QSGD, 5.11188e7),
]


def _message_bits(scheme: Scheme, shape: tuple[int, ...]) -> int:
    state = scheme.init(torch.Size(shape), Peer(0, workers=1, owners=1, seed=0))
    return next(scheme.exchange(torch.zeros(shape), state)).nbits


@pytest.mark.parametrize(("scheme", "logged_bytes"), LOGGED, ids=lambda one: getattr(one, "label", ""))
def test_bytes_of_resnet50_are_those_logged(scheme: Scheme, logged_bytes: float) -> None:
    shapes = [tuple(shape) for _, shape, _ in json.loads(MODEL.read_text())["tensors"]]
    nbits = sum(_message_bits(AsShipped(scheme), shape) for shape in shapes)
    assert nbits / 8 == pytest.approx(logged_bytes, rel=0.005)


@pytest.mark.parametrize(
    ("scheme", "framework", "nbits"),
    [
        (TopK(ratio=0.1), "grace_tensorflow", 100 * (32 + 32)),
        (TopK(ratio=0.1), "grace_torch", 100 * (32 + 64)),
        (ScaledSign(), "grace_torch", 32 + 8 * 1000),
        (TwoWay(OneBit()), "deepspeed", 32 + 1000),
        (PowerSGD(), "deepspeed", 32 * 1000),
    ],
    ids=lambda one: getattr(one, "label", str(one)),
)
def test_sizes_by_hand(scheme: Scheme, framework: str, nbits: int) -> None:
    assert _message_bits(AsShipped(scheme, framework), (1000,)) == nbits
