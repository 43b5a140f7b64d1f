"""PacTrain: a pruned network that stays pruned, the same mask everywhere, and nothing but its values on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netsim.engine.learn import Learner, learn
from netsim.engine.simulate import simulate
from netsim.optim.pactrain import PacTrain, grasp
from netsim.workload import Ridge, workloads
from tests.engine.live import GPT, LSTM, RESNET, point

TRAIN = "{optimizer: {kind: pactrain, lr: 0.1, batch: 2, pruned: %s}, max_epochs: 1, every: 1, gradient_time: 1 ms}"
SCHEME = "[{kind: pactrain, pruned: 0%s}]"


def pruned(share: float, more: str = "", **changes: str):
    return point(**({"train": TRAIN % share, "schemes": SCHEME % more} | changes))


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_packed_bytes_are_the_values_left_without_indices(share: float) -> None:
    """A flag of a byte a tensor, agreed by all, then 4 bytes a weight that is left, but for the first step."""
    one = pruned(share)
    problem = one.workload.problem(4, one.seed)
    kept = PacTrain(pruned=share).init(problem, 0).kept
    assert 1 - kept.mean() == pytest.approx(share, abs=0.05)
    learned = learn(one, one.train)
    ((part),) = learned.parts
    sent = [sum(stage.up_bytes[0] for bucket in step for stage in bucket) for step in part.measurement.stages]
    assert sent[0] == 4 * problem.size
    silent = [bytes_ - len(problem.tensors) for bytes_ in sent[1:]]
    # Embeddings of bytes that no batch has held yet have no gradient, and are found to be zero too.
    assert all(0 < bytes_ <= 4 * kept.sum() for bytes_ in silent[-3:])
    assert all(bytes_ % 4 == 0 for bytes_ in silent)


def test_all_workers_have_the_mask_of_the_weights() -> None:
    one = pruned(0.8)
    learner = Learner(one, one.train, one.workload.problem(4, one.seed))
    while not learner.over:
        learner.turn()
    kept, x = learner.state.kept, learner.optimizer.model(learner.state)
    assert not x[~kept].any()
    assert not learner.state.moments.first[~kept].any()
    (channel,) = learner.channels.values()
    places, first = [channel.coder.states[key] for key in sorted(channel.coder.states)], 0
    for states, tensor in zip(places, channel.tensors, strict=True):
        mine = [state.places.tolist() for state in states]
        assert mine == [mine[0]] * 4
        assert kept[first : first + tensor.numel][mine[0]].all()
        first += tensor.numel


def test_a_mask_that_one_worker_breaks_is_broken_for_all() -> None:
    """Rows of the embedding that a batch holds for the first time make the step dense, on every worker."""
    one = pruned(0.5)
    (part,) = learn(one, one.train).parts
    embedding = [step[-1][-1].up_bytes for step in part.measurement.stages]
    assert all((one == one[0]).all() for one in embedding)
    assert len({float(one[0]) for one in embedding}) > 1


def test_packing_trains_as_momentum_on_the_kept_weights_does() -> None:
    packed, dense = (simulate(pruned(0.5, schemes=scheme)).curves["loss"] for scheme in (SCHEME % "", "[none]"))
    assert packed.to_numpy() == pytest.approx(dense.to_numpy(), rel=1e-5)


def test_a_packed_step_is_as_much_faster_as_it_is_smaller() -> None:
    """On a slow network, against momentum SGD that sends everything; ternary values send a quarter of that again."""
    rows = [simulate(pruned(0.8, more)).runs.iloc[0] for more in ("", ", ternary: true")]
    assert 1.5 < rows[0]["speedup_x"] < rows[1]["speedup_x"]
    assert rows[0]["compression_x"] < rows[1]["compression_x"]


def test_grasp_is_the_fall_of_the_gradients_norm() -> None:
    problem = Ridge(samples=64, features=4, penalty=0.01).problem(2, 1)
    x = np.array([1.0, -2.0, 0.5, 3.0])
    fall = []
    for weight in range(4):
        less = x.copy()
        less[weight] *= 1 - 1e-6
        fall.append(
            (problem.gradient(x) @ problem.gradient(x) - problem.gradient(less) @ problem.gradient(less)) / 2e-6
        )
    assert grasp(problem, x) == pytest.approx(fall, rel=1e-4)


@pytest.mark.parametrize("task", [GPT, LSTM, RESNET])
def test_a_networks_curvature_is_the_change_of_its_gradient(task: str) -> None:
    """The product with the Hessian is symmetric, and what a difference of gradients says, unless kinks lie between."""
    problem = point(workload=f"{{kind: live, task: {task}, samples: 32, held_out: 8}}").workload.problem(4, 1)
    x, draw = problem.start(), np.random.default_rng(0)
    u, v = draw.standard_normal((2, problem.size)).astype(np.float32)
    everyone, rows = np.arange(4), np.tile(np.arange(problem.samples), (4, 1))
    along_u, along_v = (problem.curvature(rows, x, one) for one in (u, v))
    assert u @ along_v == pytest.approx(v @ along_u, abs=1e-3 * float(np.abs(u * along_v).sum()))
    if task != RESNET:
        ends = [problem.batch_gradients(everyone, rows, np.tile(x + by * v, (4, 1))).mean(0) for by in (1e-3, -1e-3)]
        difference = (ends[0] - ends[1]) / 2e-3
        assert np.linalg.norm(difference - along_v) < 0.1 * np.linalg.norm(along_v)


@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_a_linear_models_curvature_is_the_change_of_its_gradient(kind: str) -> None:
    problem = workloads.get(kind)(samples=16, features=4, penalty=0.01).problem(2, 1)
    rows, x, v = np.tile(np.arange(16), (2, 1)), np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.3, 1.0, -1.0, 0.2])
    difference = (problem.gradient(x + 1e-5 * v) - problem.gradient(x - 1e-5 * v)) / 2e-5
    assert problem.curvature(rows, x, v) == pytest.approx(difference, rel=1e-6)


def test_the_smallest_weights_of_matrices_go() -> None:
    problem = point().workload.problem(4, 0)
    kept, x = PacTrain(pruned=0.5).init(problem, 0).kept, problem.start()
    vectors = np.repeat([len(one.shape) < 2 for one in problem.tensors], [one.numel for one in problem.tensors])
    assert kept[vectors].all()
    assert np.abs(x[~kept]).max() <= np.abs(x[kept & ~vectors]).min()


def reached(optimizer: str, pretrained: int, epochs: int, lr: float, schemes: str = "[none]") -> float:
    """Return the accuracy of a ResNet-8 of full width after so many epochs on 8 workers."""
    task = "{kind: resnet20-digits, blocks_per_stage: 1}"
    one = point(
        topology="{kind: star, workers: 8, bandwidth: 100 Mbit/s}",
        workload=f"{{kind: live, task: {task}, held_out: 397, pretrained: {pretrained}}}",
        train=f"{{optimizer: {{kind: {optimizer}, lr: {lr}, batch: 8}}, max_epochs: {epochs}, gradient_time: 1 ms}}",
        schemes=schemes,
    )
    return float(simulate(one).curves["metric"].iloc[-1])


@pytest.mark.slow
@pytest.mark.parametrize("score", ["magnitude", "grasp"])
def test_accuracy_stays_within_two_points_of_dense(score: str) -> None:
    """Magnitude prunes what four epochs have trained and is packed for two more; GraSP prunes what nobody has trained.

    GraSP keeps what lets the gradient flow, not what the network can do: after it, a trained network starts anew.
    """
    given = {"pretrained": 4, "epochs": 2, "lr": 0.02} if score == "magnitude" else FROM_SCRATCH
    dense = reached("momentum", **given)
    scheme = SCHEME % "" if score == "magnitude" else "[none]"
    pruned = [reached(f"pactrain, pruned: {share}, score: {score}", **given, schemes=scheme) for share in (0.5, 0.8)]
    print(f"{score}: dense {dense:.3f}, 50 and 80 % pruned", pruned)  # noqa: T201
    assert dense > 0.93
    assert min(pruned) >= dense - 0.02


FROM_SCRATCH: dict[str, Any] = {"pretrained": 0, "epochs": 16, "lr": 0.05}
