"""Encoding and decoding 25 million elements on the CPU, against straightforward PyTorch: `pytest -s tests/bench`.

Each rendering below is the method as its paper says it, in the array operations that come to mind first, for one
worker: what its encoder and its decoder compute, together. It runs in turn with our scheme, on one thread; medians of
CPU time are compared.
Randomness is drawn anew by both. Of schemes that keep something from step to step, steps after the first are timed.
"""

from __future__ import annotations

import math
import os
import time
from statistics import median

import numpy as np
import pytest
import torch

from netsim import codebooks
from netsim.compress import OneShot, Peer, Wrapper, schemes, wire
from netsim.compress.base import Key, Reply
from netsim.compress.thc import _table

ROWS = COLUMNS = 5000
NUMEL = ROWS * COLUMNS
REPEATS = int(os.environ.get("NETSIM_BENCH_REPEATS", "5"))

LEAST = {"topk": 3.0, "scaled_sign": 4.0, "qsgd": 2.0}
"""How many times faster than the rendering; 1 for all others, less the scatter of medians."""
SCATTER = 0.95
"""The least ratio in twenty trials of one and the same rendering against itself, on a machine that others use, too."""


def _mean(received):
    """What owners and servers compute of what arrives, here from one worker."""
    return torch.stack(received).mean(dim=0)


KEPT = {}
"""What renderings keep from step to step."""


def _gradient():
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))


def _buckets(g, size):
    flat = g.flatten()
    return torch.nn.functional.pad(flat, (0, -len(flat) % size)).view(-1, size)


def _scatter(values, index, numel=NUMEL):
    return torch.zeros(numel).scatter_(0, index, values)


def half(g):
    return g.half().float()


def brain(g):
    return g.bfloat16().float()


def fp8(g):
    scale = g.abs().max() / 448
    return (g / scale).to(torch.float8_e4m3fn).float() * scale


def int8(g):
    rows = _buckets(g, 2048)
    scale = rows.abs().amax(dim=1, keepdim=True) / 127
    code = torch.round(rows / scale).to(torch.int8)
    return (code.float() * scale).flatten()[:NUMEL]


PLACES = torch.arange(8, dtype=torch.uint8)


def scaled_sign(g):
    """As it has to be sent: eight signs a byte."""
    flat = g.flatten()
    scale = flat.abs().mean()
    packed = ((flat >= 0).view(-1, 8).to(torch.uint8) << PLACES).sum(dim=1, dtype=torch.uint8)
    signs = (packed[:, None] >> PLACES & 1).flatten()
    return (signs.float() * 2 - 1) * scale


def rms_sign(g):
    flat = g.flatten()
    scale, signs = flat.norm() / math.sqrt(NUMEL), flat >= 0
    return (signs.float() * 2 - 1) * scale


def compressed_all_reduce(g):
    """Signs of gradient and error up, those of their mean and the owner's error down."""
    buffer = g.flatten()
    for place in ("worker", "owner"):
        buffer = _mean([buffer]) + KEPT.get(place, torch.zeros(NUMEL))
        sent = ((buffer >= 0).float() * 2 - 1) * (buffer.norm() / math.sqrt(NUMEL))
        KEPT[place] = buffer - sent
        buffer = sent
    return sent


def onebit_columns(g):
    plus = g >= 0
    above = (g * plus).sum(dim=0) / plus.sum(dim=0)
    below = (g * ~plus).sum(dim=0) / (~plus).sum(dim=0)
    return torch.where(plus, above, below)


def sign_majority(g):
    KEPT["momentum"] = momentum = 0.9 * KEPT.get("momentum", torch.zeros(NUMEL)) + 0.1 * g.flatten()
    signs = momentum >= 0
    vote = torch.stack([signs]).sum(dim=0) * 2 >= 1
    return vote.float() * 2 - 1, signs.float() * 2 - 1


def terngrad(g):
    flat = g.flatten()
    limit = 2.5 * (flat - flat.mean()).square().mean().sqrt()
    clipped = flat.clamp(-limit, limit)
    scale = clipped.abs().max()
    digits = (clipped.sign() * (torch.rand(NUMEL) * scale < clipped.abs())).long() + 1
    powers = 3 ** torch.arange(29)
    blocks = (_buckets(digits, 29) * powers).sum(dim=1)
    back = (blocks[:, None] // powers % 3).flatten()[:NUMEL]
    return (back - 1) * scale, (digits.float() - 1) * scale


def natural(g):
    bits = g.flatten().view(torch.int32)
    up = (bits & 0x7FFFFF) > torch.randint(0x7FFFFF, (NUMEL,), dtype=torch.int32)
    exponent = ((bits & 0x7F800000) >> 23) + up
    code = exponent | (bits < 0).int() << 8
    size = ((code & 255) << 23).view(torch.float32)
    return torch.where(code > 255, -size, size)


def natural_dithering(g, levels=8):
    flat = g.flatten()
    norm = flat.norm()
    unit = flat.abs() / norm
    exponent = torch.floor(torch.log2(unit)).clamp(min=-levels)
    lower = torch.where(exponent > -levels, torch.exp2(exponent), 0.0)
    upper = torch.where(exponent > -levels, 2 * lower, 2.0 ** (1 - levels))
    up = torch.rand(NUMEL) < (unit - lower) / (upper - lower)
    level = (exponent + levels + up).clamp(max=levels)
    code = (flat.sign() * level + levels).byte()
    level = code.float() - levels
    return torch.where(level == 0, 0.0, level.sign() * torch.exp2(level.abs() - levels)) * norm


def _lloyd(unit, levels):
    points = torch.tensor(codebooks.lloyd_max(levels), dtype=torch.float32)
    return torch.bucketize(unit, (points[1:] + points[:-1]) / 2), points


def lloyd_max(g):
    flat = g.flatten()
    scale = flat.square().mean().sqrt()
    code, points = _lloyd(flat / scale, 4)
    return points[code] * scale


def vector_quantizer(g):
    flat = g.flatten()
    scale = flat.square().mean().sqrt()
    book = torch.tensor(codebooks.linde_buzo_gray(4, 16), dtype=torch.float32)
    vectors = (flat / scale).view(-1, 4)
    code = torch.cat([torch.cdist(one, book).argmin(dim=1) for one in vectors.split(2**18)])
    return book[code].flatten() * scale


def hadamard(x):
    """The textbook's butterflies."""
    x, step = x.clone(), 1
    while step < len(x):
        pairs = x.view(-1, 2, step)
        x = torch.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], dim=1).flatten()
        step *= 2
    return x / math.sqrt(len(x))


def _rotated(flat):
    size = 1 << (len(flat) - 1).bit_length()
    signs = torch.randint(2, (size,)) * 2.0 - 1
    return hadamard(torch.nn.functional.pad(flat, (0, size - len(flat))) * signs), signs


def drive(g):
    flat = g.flatten()
    rotated, signs = _rotated(flat)
    scale, plus = flat.square().sum() / rotated.abs().sum(), rotated >= 0
    return scale * (hadamard(plus.float() * 2 - 1) * signs)[:NUMEL]


def eden(g):
    flat = g.flatten()
    rotated, signs = _rotated(flat)
    code, points = _lloyd(rotated * (math.sqrt(len(rotated)) / flat.norm()), 4)
    scale = flat.square().sum() / (points[code] @ rotated)
    return scale * (hadamard(points[code]) * signs)[:NUMEL]


def thc(g):
    flat, edge = g.flatten(), 2.1539
    limit = edge * flat.norm() / math.sqrt(1 << (NUMEL - 1).bit_length())
    rotated, signs = _rotated(flat / limit)
    table = torch.tensor(_table(16, 30, edge), dtype=torch.float32)
    place = (rotated.clamp(-1, 1) + 1) * 15
    lower = (torch.bucketize(place, table, right=True) - 1).clamp(0, 14)
    up = torch.rand(len(place)) < (place - table[lower]) / (table[lower + 1] - table[lower])
    code = (lower + up).byte()
    total = table[code.long()]
    return [(hadamard(one / 15 - 1) * signs)[:NUMEL] * limit for one in (total, table[code.long()])]


def count_sketch(g, rows=5):
    flat, index = g.flatten(), torch.arange(NUMEL)
    columns, prime = round(0.1 * NUMEL / rows), 2**31 - 1
    factors = torch.randint(1, prime, (rows, 4)).tolist()
    hashes = [((a * index + b) % prime % columns, (c * index + d) % prime % 2 * 2 - 1) for a, b, c, d in factors]
    sketch = torch.stack([torch.zeros(columns).scatter_add_(0, at, flat * sign) for at, sign in hashes])
    estimate = (
        torch.stack([row[at] * sign for row, (at, sign) in zip(sketch, hashes, strict=True)]).median(dim=0).values
    )
    chosen = estimate.abs().topk(NUMEL // 100).indices
    return _scatter(estimate[chosen], chosen)


def topk(g, share=100):
    flat = g.flatten()
    index = flat.abs().topk(NUMEL // share).indices
    return _scatter(flat[index], index)


def topk_quantized(g):
    flat = g.flatten()
    index = flat.abs().topk(NUMEL // 100).indices
    signs, size = flat[index] >= 0, flat[index].abs().mean()
    return _scatter(torch.where(signs, size, -size), index)


def threshold(g):
    flat = g.flatten()
    index = (flat.abs() > 0.01).nonzero().flatten()
    return _scatter(flat[index], index)


def adaptive_threshold(g):
    flat, out = g.flatten(), torch.zeros(NUMEL)
    for sign in (1, -1):
        side = torch.where(flat * sign > 0, flat * sign, 0.0)
        index = side.topk(int((side > 0).sum()) // 100).indices
        out[index] = sign * side[index].mean()
    return out


def block_topk(g):
    rows = _buckets(g, 32)
    index = rows.norm(dim=1).topk(len(rows) // 100).indices
    return torch.zeros_like(rows).index_copy_(0, index, rows[index])


def dgc(g):
    before, unsent = KEPT.get("dgc", (torch.zeros(NUMEL), torch.zeros(NUMEL)))
    velocity = 0.9 * before + g.flatten()
    unsent = unsent + velocity
    sample = unsent.abs()[torch.randint(NUMEL, (NUMEL // 100,))]
    edge = sample.topk(len(sample) // 1000).values.min()
    index = (unsent.abs() >= edge).nonzero().flatten()
    values = unsent[index]
    sent = torch.zeros(NUMEL, dtype=torch.bool).index_fill_(0, index, True)
    KEPT["dgc"] = velocity.masked_fill(sent, 0), unsent.masked_fill(sent, 0)
    return _scatter(values, index)


def oktopk(g):
    flat = g.flatten()
    for edge in (2.5758, 2.5758):
        index = (flat.abs() >= edge).nonzero().flatten()
        flat = _mean([_scatter(flat[index], index)])
    return flat, torch.where(flat != 0, g.flatten(), 0.0)


def pactrain(g):
    flat, places = g.flatten(), KEPT.setdefault("places", torch.arange(0, NUMEL, 5))
    values = flat[places]
    return _scatter(values, places), _scatter(values, places)


def omnireduce(g):
    flat = g.flatten()
    for _ in ("push", "pull"):
        rows = _buckets(flat, 256)
        index = rows.any(dim=1).nonzero().flatten()
        flat = _mean([torch.zeros_like(rows).index_copy_(0, index, rows[index]).flatten()[:NUMEL]])
    return flat


def zen(g):
    """Non-zeros in the order of their owners; one owner here, who answers with a bitmap."""
    flat, index = g.flatten(), torch.arange(NUMEL)
    order = torch.argsort(index * 2654435761 % 2**32 // 2**32, stable=True)
    pushed = flat.nonzero().flatten()
    mean = _mean([_scatter(flat[pushed], pushed)])[order]
    bitmap = mean != 0
    values = mean[bitmap]
    back = torch.zeros(NUMEL)
    back[bitmap] = values
    return torch.zeros(NUMEL).index_copy_(0, order, back)


def sparcml(g):
    """Sparse streams of values and places, there and back."""
    flat = g.flatten()
    for _ in ("push", "pull"):
        index = flat.nonzero().flatten()
        flat = _mean([_scatter(flat[index], index)])
    return flat


def randomk(g):
    flat, index = g.flatten(), torch.randperm(NUMEL)[: NUMEL // 100]
    return _scatter(flat[index], index)


def qsgd(g, levels=7):
    rows = _buckets(g, 512)
    norm = rows.abs().amax(dim=1, keepdim=True)
    level = rows.abs() / norm * levels
    lower = level.floor()
    code = (rows.sign() * (lower + (torch.rand(rows.shape) < level - lower))).to(torch.int8)
    return (code.float() / levels * norm).flatten()[:NUMEL]


def powersgd(g):
    basis = KEPT.get("basis", torch.randn(COLUMNS, 2))
    p = torch.linalg.qr(g @ basis).Q
    q = g.T @ p
    KEPT["basis"] = torch.linalg.qr(q).Q
    return p @ q.T


RENDERED = {
    "fp16": half, "bf16": brain, "fp8": fp8, "int8": int8, "scaled_sign": scaled_sign, "rms_sign": rms_sign,
    "onebit_columns": onebit_columns, "sign_majority": sign_majority, "terngrad": terngrad, "natural": natural,
    "natural_dithering": natural_dithering, "lloyd_max": lloyd_max, "vector_quantizer": vector_quantizer,
    "drive": drive, "eden": eden, "thc": thc, "count_sketch": count_sketch, "topk": topk,
    "topk_quantized": topk_quantized, "threshold": threshold, "adaptive_threshold": adaptive_threshold,
    "block_topk": block_topk, "dgc": dgc, "gtopk": topk, "oktopk": oktopk, "pactrain": pactrain,
    "omnireduce": omnireduce, "sparcml": sparcml, "zen": zen, "randomk": randomk, "qsgd": qsgd,
    "powersgd": powersgd, "compressed_all_reduce": compressed_all_reduce,
}  # fmt: skip


class Driven:
    """A scheme of one worker: encoding and decoding, or an exchange of which the state is carried on."""

    def __init__(self, kind, grad):
        self.kind, self.grad, self.scheme = kind, grad, schemes.get(kind).example()
        self.state = self.scheme.init(grad.shape, Peer(rank=0, workers=1, owners=1, seed=0))

    def __call__(self):
        if self.kind == "scaled_sign":
            message = self.scheme.encode(self.grad, self.state)
            return self.scheme.decode(wire.unpack(message.pack(), message.layout), self.grad.shape, self.state)
        if isinstance(self.scheme, OneShot):
            self.state = self.state.next()
            return self.scheme.decode(self.scheme.encode(self.grad, self.state).parts, self.grad.shape, self.state)
        worker, reply = self.scheme.exchange(self.grad, self.state), None
        while True:
            try:
                reply = Reply([worker.send(reply).parts])
            except StopIteration as end:
                estimate, _, self.state = end.value
                return estimate


def test_every_scheme_has_its_rendering():
    plain = {kind for kind in schemes if not issubclass(schemes.get(kind), Wrapper)}
    assert plain - {"none"} == set(RENDERED)
    assert isinstance(Key(0, 0), Key)


@pytest.mark.parametrize("kind", RENDERED)
def test_never_slower_than_straightforward_pytorch(kind):
    grad = _gradient()
    ours, rendered = Driven(kind, grad), RENDERED[kind]
    seconds = []
    torch.set_num_threads(1)
    for _ in range(REPEATS + 1):
        start = time.process_time()
        ours()
        middle = time.process_time()
        rendered(grad)
        seconds.append((middle - start, time.process_time() - middle))
    netsim_s, rendered_s = (median(times) for times in np.array(seconds[1:]).T.tolist())
    ratio = rendered_s / netsim_s
    print(f"\n  {kind:20s} {netsim_s * 1e3:8.0f} ms, PyTorch {rendered_s * 1e3:8.0f} ms: {ratio:5.1f} times as fast")
    assert ratio >= LEAST.get(kind, SCATTER)
