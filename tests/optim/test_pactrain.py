"""PacTrain: a pruned network that stays pruned, the same mask everywhere, and nothing but its values on the wire."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.engine.learn import Learner, learn
from netsim.engine.simulate import simulate
from netsim.optim.pactrain import PacTrain, grasp
from netsim.workload import Ridge
from tests.engine.live import point

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


def test_the_smallest_weights_of_matrices_go() -> None:
    problem = point().workload.problem(4, 0)
    kept, x = PacTrain(pruned=0.5).init(problem, 0).kept, problem.start()
    vectors = np.repeat([len(one.shape) < 2 for one in problem.tensors], [one.numel for one in problem.tensors])
    assert kept[vectors].all()
    assert np.abs(x[~kept]).max() <= np.abs(x[kept & ~vectors]).min()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_accuracy_stays_within_two_points_of_dense(share: float) -> None:
    """A pre-trained ResNet-8 of full width, fine-tuned for two epochs on 8 workers, dense and pruned."""
    task = "{kind: resnet20-digits, blocks_per_stage: 1}"
    changes = {
        "topology": "{kind: star, workers: 8, bandwidth: 100 Mbit/s}",
        "workload": f"{{kind: live, task: {task}, held_out: 397, pretrained: 4}}",
    }
    text = "{{optimizer: {{kind: {}, lr: 0.02, batch: 8}}, max_epochs: 2, gradient_time: 1 ms}}"
    dense = simulate(point(**changes, train=text.format("momentum")))
    one = point(**changes, train=text.format(f"pactrain, pruned: {share}"), schemes=SCHEME % "")
    found = simulate(one)
    reached = [float(result.curves["metric"].iloc[-1]) for result in (dense, found)]
    assert reached[0] > 0.93
    assert reached[1] >= reached[0] - 0.02, reached
