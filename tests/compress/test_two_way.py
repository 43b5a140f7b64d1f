"""The compressed all-reduce of 1-bit Adam: two_way(rms_sign) under error feedback, against a plain rendering."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from netsim.compress import Cast, ErrorFeedback, GTopK, Peer, PowerSGD, RmsSign, Scheme, TopK, TwoWay, Uncompressed
from netsim.compress.drive import exchange
from netsim.errors import InputError


class PlainCompressedAllReduce:
    """Two-sided error compensation written as the paper describes it: loops over workers and chunks, float64."""

    def __init__(self, workers: int, owners: int, numel: int) -> None:
        self.worker_error = np.zeros((workers, numel))
        self.cuts = np.array_split(np.arange(numel), owners)
        self.server_error = [np.zeros(len(cut)) for cut in self.cuts]

    @staticmethod
    def code(vector: np.ndarray) -> np.ndarray:
        scale = np.linalg.norm(vector) / math.sqrt(len(vector))
        return scale * np.where(vector >= 0, 1.0, -1.0)

    def step(self, grads: np.ndarray) -> np.ndarray:
        decoded = np.zeros_like(grads)
        for worker, grad in enumerate(grads):
            corrected = grad + self.worker_error[worker]
            decoded[worker] = self.code(corrected)
            self.worker_error[worker] = corrected - decoded[worker]
        result = np.zeros(grads.shape[1])
        for owner, cut in enumerate(self.cuts):
            if len(cut):
                corrected = decoded[:, cut].mean(axis=0) + self.server_error[owner]
                result[cut] = self.code(corrected)
                self.server_error[owner] = corrected - result[cut]
        return result


@pytest.mark.parametrize("owners", [1, 2, 4, 7], ids="{} owners".format)
@pytest.mark.parametrize("numel", [3, 250])
def test_two_sided_error_recursion(owners: int, numel: int) -> None:
    workers, scheme = 4, ErrorFeedback(TwoWay(RmsSign()))
    plain = PlainCompressedAllReduce(workers, owners, numel)
    peers = [Peer(rank, workers, owners, seed=0) for rank in range(workers)]
    states = [scheme.init(torch.Size([numel]), peer) for peer in peers]
    draw = np.random.default_rng(8)
    for _ in range(25):
        grads = draw.standard_normal((workers, numel)).astype(np.float32)
        expected = plain.step(grads.astype(np.float64))
        outcome = exchange(scheme, [torch.from_numpy(grad) for grad in grads], states)
        states = outcome.states
        assert np.allclose(outcome.mean.numpy(), expected, atol=1e-4)
        assert np.allclose(np.stack([state[1].numpy() for state in states]), plain.worker_error, atol=1e-4)
        kept = {
            shard: error
            for rank, (two_way, _) in enumerate(states)
            for shard, error in zip(range(rank, owners, workers), two_way.errors, strict=True)
        }
        for shard, error in enumerate(plain.server_error):
            assert np.allclose(kept[shard].numpy(), error, atol=1e-4)


@pytest.mark.parametrize(("workers", "owners", "numel"), [(4, 4, 100), (4, 1, 100), (2, 5, 100), (4, 4, 3), (3, 2, 0)])
def test_owners_send_their_shards_and_nothing_else(workers: int, owners: int, numel: int) -> None:
    scheme = TwoWay(RmsSign())
    states = [scheme.init(torch.Size([numel]), Peer(rank, workers, owners, seed=0)) for rank in range(workers)]
    up, down = exchange(scheme, [torch.randn(numel) for _ in range(workers)], states).messages
    assert {message.op for message in up} == {"owner"}
    assert {message.op for message in down} == {"shard"}
    shards = [len(cut) for cut in np.array_split(np.arange(numel), owners)]
    for rank, message in enumerate(down):
        assert message.nbits == sum(size + 32 for size in shards[rank::workers] if size)
    assert sum(message.nbits for message in down) == numel + 32 * min(owners, numel)


@pytest.mark.parametrize("inner", [Uncompressed(), TopK(ratio=1.0)], ids=lambda one: one.label)
def test_exact_inner_scheme_gives_the_mean(inner: object) -> None:
    scheme = TwoWay(inner)
    grads = [torch.randn(7, 11) for _ in range(3)]
    states = [scheme.init(torch.Size([7, 11]), Peer(rank, 3, 2, seed=0)) for rank in range(3)]
    assert torch.allclose(exchange(scheme, grads, states).mean, torch.stack(grads).mean(0), atol=1e-6)


@pytest.mark.parametrize("inner", [PowerSGD(), ErrorFeedback(RmsSign()), GTopK()], ids=lambda one: one.label)
@pytest.mark.parametrize("wrapper", [TwoWay, Cast])
def test_inner_scheme_of_several_messages_or_wrapper_is_refused(wrapper: type[Scheme], inner: Scheme) -> None:
    """Nor is gTop-k wrapped: its merges would not happen."""
    with pytest.raises(InputError, match=rf"{wrapper.kind} cannot wrap '{inner.kind}'; put a scheme of one message"):
        wrapper(inner)
