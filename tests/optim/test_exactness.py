"""Distributed optimizers against their single-machine forms, written out as plain loops or taken from torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netsim.optim import (
    ASGD,
    DSAGA,
    DSVRG,
    LAMB,
    PSSVRG,
    SAGA,
    SGD,
    SVRG,
    Adam,
    CentralVR,
    CentralVRAsync,
    CentralVRSync,
    Momentum,
)
from netsim.optim.base import Task, generator
from netsim.optim.sgd import batch_rows, visits
from netsim.workload import Logistic, Problem, Ridge

if TYPE_CHECKING:
    from numpy.typing import NDArray

LR, SEED, ROUNDS = 0.2, 3, 4
PROBLEMS = {"ridge": Ridge(samples=30, features=5), "logistic": Logistic(samples=30, features=5, penalty=0.01)}


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param].problem(1, SEED)


def rounds(optimizer, problem: Problem, count: int = ROUNDS) -> NDArray[np.float64]:
    state = optimizer.init(problem, SEED)
    for _ in range(count):
        running, known = optimizer.turn(problem, state), None
        try:
            while True:
                known = running.send(known).result
        except StopIteration as end:
            state = end.value
    return optimizer.model(state)


def alone(optimizer, problem: Problem, count: int = ROUNDS) -> NDArray[np.float64]:
    """Run an asynchronous optimizer on one worker, whose messages take no time."""
    server, rows = optimizer.serve(problem), optimizer.begin(problem)
    for turn in range(count):
        task = Task(np.array([0]), np.array([turn]), optimizer.pull(server)[None], rows, SEED)
        push, rows = optimizer.compute(problem, task)
        server = optimizer.apply(problem, server, 0, push[0])
    return optimizer.model(server)


def sample_gradient(problem: Problem, i: int, x: NDArray[np.float64], worker: int = 0) -> NDArray[np.float64]:
    a, b = problem.features[worker, i], problem.targets[worker, i]
    slope = a @ x - b if problem.loss == "squared" else -b / (1 + np.exp(b * (a @ x)))
    return slope * a


def test_the_gradient_is_that_of_the_value(problem: Problem) -> None:
    x = np.linspace(-1, 1, problem.size)
    steps = 1e-6 * np.eye(problem.size)
    numeric = [(problem.value(x + one)[0] - problem.value(x - one)[0]) / 2e-6 for one in steps]
    assert problem.gradient(x) == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def central_vr(problem: Problem) -> NDArray[np.float64]:
    n, x, mean = problem.samples, np.zeros(problem.size), np.zeros(problem.size)
    table = np.zeros((n, problem.size))
    for turn in range(ROUNDS):
        fresh = np.zeros(problem.size)
        for i in generator(SEED, 0, turn).permutation(n):
            grad = sample_gradient(problem, i, x)
            x = x - LR * (grad - table[i] + mean + problem.penalty * x)
            table[i] = grad
            fresh += grad / n
        mean = fresh
    return x


def svrg(problem: Problem) -> NDArray[np.float64]:
    n, x = problem.samples, np.zeros(problem.size)
    for turn in range(ROUNDS):
        snapshot = x
        exact = np.mean([sample_gradient(problem, i, snapshot) for i in range(n)], axis=0)
        for i in generator(SEED, 0, turn).integers(0, n, 2 * n):
            change = sample_gradient(problem, i, x) - sample_gradient(problem, i, snapshot)
            x = x - LR * (change + exact + problem.penalty * x)
    return x


def saga(problem: Problem) -> NDArray[np.float64]:
    n, x, table = problem.samples, np.zeros(problem.size), np.zeros((problem.samples, problem.size))
    for turn in range(ROUNDS):
        for i in generator(SEED, 0, turn).integers(0, n, n):
            grad = sample_gradient(problem, i, x)
            x = x - LR * (grad - table[i] + table.mean(axis=0) + problem.penalty * x)
            table[i] = grad
    return x


@pytest.mark.parametrize(
    ("optimizer", "reference"),
    [(CentralVR(lr=LR), central_vr), (SVRG(lr=LR), svrg), (SAGA(lr=LR), saga), (CentralVRSync(lr=LR), central_vr)],
    ids=lambda one: getattr(one, "kind", ""),
)
def test_one_worker_is_the_plain_loop(problem: Problem, optimizer, reference) -> None:
    assert rounds(optimizer, problem) == pytest.approx(reference(problem), rel=1e-10)


def torch_model(problem: Problem, optimizer: torch.optim.Optimizer, x: torch.Tensor, batch: int, steps: int) -> None:
    """Take steps along the mean gradient of the joined batches of all workers, in torch."""
    features, targets = torch.from_numpy(problem.features), torch.from_numpy(problem.targets)
    for turn in range(steps):
        rows = batch_rows(problem, SEED, turn, batch)
        a = torch.cat([features[w, rows[w]] for w in range(problem.workers)])
        b = torch.cat([targets[w, rows[w]] for w in range(problem.workers)])
        out = a @ x
        loss = (
            ((out - b) ** 2).mean() / 2 if problem.loss == "squared" else torch.nn.functional.softplus(-b * out).mean()
        )
        optimizer.zero_grad()
        (loss + problem.penalty / 2 * x @ x).backward()
        optimizer.step()


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        (SGD(lr=LR, batch=7), lambda x: torch.optim.SGD([x], lr=LR)),
        (Momentum(lr=LR, batch=7), lambda x: torch.optim.SGD([x], lr=LR, momentum=0.9)),
        (Adam(lr=LR, batch=7), lambda x: torch.optim.Adam([x], lr=LR)),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_workers_are_torch_on_the_joined_batch(kind: str, workers: int, optimizer, make) -> None:
    problem = PROBLEMS[kind].problem(workers, SEED)
    x = torch.zeros(problem.size, dtype=torch.float64, requires_grad=True)
    torch_model(problem, make(x), x, 7, 12)
    assert rounds(optimizer, problem, 12) == pytest.approx(x.detach().numpy(), rel=1e-10)


def test_lamb_is_adams_direction_times_a_clipped_factor(problem: Problem) -> None:
    optimizer = LAMB(lr=LR, batch=7, beta1=0.0, beta2=0.0, least=0.1, most=0.2)
    state, x = optimizer.init(problem, SEED), np.zeros(problem.size)
    for _ in range(5):
        grad = np.linspace(-1, 2, problem.size) + x
        update = grad / (np.abs(grad) + 1e-6)
        x = x - LR * np.clip(np.linalg.norm(x) / np.linalg.norm(update), 0.1, 0.2) * update
        state = optimizer.step(problem, state, np.linspace(-1, 2, problem.size) + state.x)
        assert state.x == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "turns"),
    [
        (CentralVRAsync(lr=LR), CentralVRSync(lr=LR), ROUNDS),
        (DSAGA(lr=LR), SAGA(lr=LR), ROUNDS),
        (ASGD(lr=LR, batch=7), SGD(lr=LR, batch=7), 9),
        (PSSVRG(lr=LR, epochs=0.5), SVRG(lr=LR, epochs=0.5), ROUNDS),
    ],
    ids=["central_vr", "saga", "sgd", "svrg"],
)
def test_asynchronous_on_one_worker_without_delay_is_synchronous(problem: Problem, one, other, turns: int) -> None:
    # A round of SVRG is a push of the exact gradient and one a step.
    pushes = turns * (1 + problem.samples // 2) if isinstance(one, PSSVRG) else turns
    assert alone(one, problem, pushes) == pytest.approx(rounds(other, problem, turns), rel=1e-12)


def test_asynchronous_svrg_in_lockstep_is_svrg_on_the_joined_batch() -> None:
    """W workers whose pushes arrive together each take a W-th of a step, at the model that all of them pulled."""
    problem, optimizer = PROBLEMS["logistic"].problem(3, SEED), PSSVRG(lr=LR, epochs=0.2, batch=2)
    server, rows, everyone = optimizer.serve(problem), optimizer.begin(problem), np.arange(3)
    x = np.zeros(problem.size)
    for loop in range(3):
        snapshot = x
        for at in range(-1, 3):
            task = Task(everyone, np.zeros(3), np.tile(optimizer.pull(server), (3, 1)), rows, SEED)
            pushes, rows = optimizer.compute(problem, task)
            for worker in everyone:
                assert not optimizer.waits(server, worker)
                server = optimizer.apply(problem, server, worker, pushes[worker])
            if at < 0:
                continue
            order = [generator(SEED, worker, loop).integers(0, 30, 6)[2 * at : 2 * at + 2] for worker in everyone]
            picked = [
                np.mean(
                    [sample_gradient(problem, i, x, w) - sample_gradient(problem, i, snapshot, w) for i in order[w]],
                    axis=0,
                )
                for w in everyone
            ]
            exact = problem.gradient(snapshot) - problem.penalty * snapshot
            x = x - LR * (np.mean(picked, axis=0) + exact + problem.penalty * x)
            assert optimizer.model(server) == pytest.approx(x, rel=1e-12)


def test_an_outer_loop_of_asynchronous_svrg_ends_when_everybody_is_back() -> None:
    problem, optimizer = PROBLEMS["ridge"].problem(3, SEED), PSSVRG(epochs=0.1)
    server, push = optimizer.serve(problem), np.ones(problem.size)
    for worker in (0, 1):
        server = optimizer.apply(problem, server, worker, push)
        assert optimizer.waits(server, worker)
    server = optimizer.apply(problem, server, 2, push)
    assert (server.exact, server.steps) == (pytest.approx(push), 9)
    for _ in range(7):  # the fastest does all but those that the others are at
        assert not optimizer.waits(server, 0)
        server = optimizer.apply(problem, server, 0, push)
    assert optimizer.waits(server, 0)
    assert server.number == 0
    for worker in (1, 2):
        assert not optimizer.waits(server, worker)
        server = optimizer.apply(problem, server, worker, push)
    assert server.number == 1
    assert server.snapshot == pytest.approx(-9 * 0.1 / 3 * push)
    assert not any(optimizer.waits(server, worker) for worker in range(3))


def test_distributed_svrg_with_a_single_step_is_the_joined_batch() -> None:
    """After one local step each, the average moves along the exact gradient: corrections are zero at the snapshot."""
    problem = PROBLEMS["logistic"].problem(4, SEED)
    x = np.zeros(problem.size)
    for _ in range(3):
        x = x - LR * problem.gradient(x)
    assert rounds(DSVRG(lr=LR, epochs=1 / problem.samples), problem, 3) == pytest.approx(x, rel=1e-12)


def test_distributed_svrg_has_no_floor() -> None:
    """It stays at the minimum, from where a step without correction leads away: there the exact gradient is zero."""
    problem, optimizer = PROBLEMS["ridge"].problem(4, SEED), DSVRG(lr=LR)
    a, b = problem.features.reshape(-1, problem.size), problem.targets.ravel()
    least = np.linalg.solve(a.T @ a / len(b) + problem.penalty * np.eye(problem.size), a.T @ b / len(b))
    running = optimizer.turn(problem, optimizer.init(problem, SEED)._replace(x=least))
    assert np.abs(next(running).result + problem.penalty * least).max() < 1e-14
    assert next(running).result == pytest.approx(least, rel=1e-11)


def test_distributed_svrg_of_one_worker_is_svrg_by_either_gradient(problem: Problem) -> None:
    for gradient in ("global", "local"):
        assert rounds(DSVRG(lr=LR, gradient=gradient), problem) == pytest.approx(
            rounds(SVRG(lr=LR), problem), rel=1e-12
        )


def minima(problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return [W, d, d] the Hessians of least squares of each worker's samples, and [W, d] its minimum."""
    a = problem.features
    hessians = np.einsum("wnd,wne->wde", a, a) / problem.samples + problem.penalty * np.eye(problem.size)
    right = np.einsum("wnd,wn->wd", a, problem.targets) / problem.samples
    return hessians, np.linalg.solve(hessians, right[:, :, None])[:, :, 0]


@pytest.mark.parametrize("steps", [3, 2000])
def test_local_svrg_on_one_sample_each_closes_in_on_the_mean_of_the_workers_minima(steps: int) -> None:
    """Steps at the only sample are those of gradient descent: (I - lr H)^k is left of a worker's way to its minimum."""
    draw = np.random.default_rng(SEED)
    problem = Problem(draw.normal(size=(5, 1, 3)) / 2, draw.normal(size=(5, 1)), "squared", 0.1, "least squares")
    hessians, ends = minima(problem)
    left = np.stack([np.linalg.matrix_power(np.eye(3) - LR * one, steps) for one in hessians])
    x = np.zeros(3)
    for _ in range(ROUNDS):
        x = (ends + np.einsum("wde,we->wd", left, x - ends)).mean(axis=0)
    assert rounds(DSVRG(lr=LR, epochs=steps, gradient="local"), problem) == pytest.approx(x, rel=1e-9)
    assert bool(np.abs(x - ends.mean(axis=0)).max() < 1e-12) == (steps == 2000)


def test_local_svrg_has_a_floor_where_the_mean_of_minima_is_not_the_minimum() -> None:
    """On samples enough for each, that mean is where it ends, but for its noise; the global gradient goes on."""
    problem = Ridge(samples=60, features=3, conditioning=1).problem(6, SEED)
    mean = minima(problem)[1].mean(axis=0)
    floor = np.linalg.norm(problem.gradient(mean))
    local = DSVRG(lr=0.02, epochs=30, gradient="local")
    settled = [rounds(local, problem, count) for count in range(2, 22)]
    assert np.linalg.norm(problem.gradient(np.mean(settled, axis=0))) == pytest.approx(floor, rel=0.2)
    assert np.linalg.norm(problem.gradient(rounds(DSVRG(lr=0.02, epochs=30), problem, 12))) < 1e-6 * floor


def test_a_worker_visits_every_sample_once_an_epoch() -> None:
    assert sorted(visits(1, 2, 3, 40).tolist()) == list(range(40))
