"""What a user may hand to netsim's Python calls: what is plainly meant is taken, all else is an error with a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

import netsim
from netsim.compress import schemes
from netsim.engine.measure import measure
from netsim.errors import InputError
from netsim.scenario.load import parse_text
from netsim.workload.base import Tensor, Timing
from netsim.workload.capture import capture
from netsim.workload.tasks import Samples, Task
from netsim.workload.trace import write_trace
from netsim.workload.trace_header import Origin, TraceFacts

STAR = netsim.topology("star", workers=3, bandwidth="1 Gbit/s")
TOPK = netsim.scheme("topk", ratio=0.5)
GRADS = torch.tensor([[1.0, -2.0, 3.0, 0.5], [2.0, 1.0, 0.0, -4.0]])
ONE = {"src": 0, "dst": 1, "nbytes": 1.0}
REDUCE = {"topology": STAR, "collective": "all_reduce", "nbytes": 1e6}


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    """A scenario file beside its trace."""
    folder = tmp_path_factory.mktemp("calls")
    origin = Origin(
        task="small", device="made up", driver="", torch="0", netsim="0", python="3", dtype="float32",
        date="2026-01-01", batch=8, threads=1, seed=0,
    )  # fmt: skip
    facts = TraceFacts(
        tensors=(Tensor("weight", (4, 5)),), timing=Timing(1e-3, 2e-3, 1e-4, (1e-3,)), steps=(0,), num_workers=2,
        losses=((1.0, 1.0),), origin=origin,
    )  # fmt: skip
    write_trace(folder / "small.trace", facts, (torch.ones(4, 5) for _ in facts.entries()))
    path = folder / "small.yaml"
    path.write_text(
        "topology: {kind: star, workers: 2, bandwidth: 1 Gbit/s}\nworkload: {kind: recorded, trace: small.trace}\n"
    )
    return path


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: netsim.topology(None), "write a name"),
        (lambda: netsim.topology(3), "write a name"),
        (lambda: netsim.topology("stra"), "did you mean 'star'"),
        (lambda: netsim.topology("star", workers=-2, bandwidth="1 Gbit/s"), "workers: must be at least 1"),
        (lambda: netsim.topology("star", workers=True, bandwidth="1 Gbit/s"), "workers: must be an integer"),
        (lambda: netsim.topology("star", workers=2, bandwidth=1e9), "needs a unit"),
        (lambda: netsim.topology("star", workers=2, bandwidth="1 Gbit/s", servers=-1), "servers: cannot be -1"),
        (lambda: netsim.topology("star", workers=2, bandwidth="1 Gbit/s", servers="2"), "servers: cannot be '2'"),
        (lambda: netsim.topology("star", workers=2, bandwidth="1 Gbit/s", servers=1.5), "servers: cannot be 1.5"),
        (lambda: netsim.topology("file", path=Path("nope.graphml")), "path: file 'nope.graphml' is not found"),
        (lambda: netsim.scheme(None), "write a name"),
        (lambda: netsim.scheme(type(TOPK)), "write a name"),
        (lambda: netsim.scheme("top_k"), "did you mean 'topk'"),
        (lambda: netsim.scheme("per_bucket"), "'per_bucket' is no scheme; write job: {coding_unit: bucket}"),
        (lambda: netsim.scheme("topk", ration=0.1), "ration: unknown key 'ration' of scheme 'topk'"),
        (lambda: netsim.scheme({"kind": "topk", "ration": 0.1}), "ration: unknown key 'ration' of scheme 'topk'"),
        (lambda: netsim.scheme({"ratio": 0.1}), "scheme has no 'kind'"),
        (lambda: netsim.scheme([]), "is an empty list"),
        (lambda: netsim.scheme("topk", ratio=-1), "ratio: must be more than 0"),
        (lambda: netsim.scheme("topk", ratio="0.1"), "ratio: must be a number"),
        (lambda: netsim.scheme("topk", ratio=float("nan")), "ratio: must be finite"),
        (lambda: netsim.scheme("topk", ratio=torch.ones(2)), "ratio: must be a number"),
        (lambda: netsim.scheme("error_feedback"), "inner: missing key"),
        (lambda: netsim.compress("topk", GRADS), "scheme: 'topk' is no scheme"),
        (lambda: netsim.compress({"kind": "topk"}, GRADS), "is no scheme; build one"),
        (lambda: netsim.compress(GRADS, TOPK), "scheme: tensor"),
        (lambda: netsim.compress(TOPK, None), "grads: None is no array"),
        (lambda: netsim.compress(TOPK, "grads"), "grads: 'grads' is no array"),
        (lambda: netsim.compress(TOPK, {"weight": GRADS}), "is no array of numbers"),
        (lambda: netsim.compress(TOPK, nn.Linear(2, 2)), "grads: Linear"),
        (lambda: netsim.compress(TOPK, []), "stacked along a first dimension of workers"),
        (lambda: netsim.compress(TOPK, torch.ones(0, 3)), "stacked along a first dimension of workers"),
        (lambda: netsim.compress(TOPK, 1.0), "stacked along a first dimension of workers"),
        (lambda: netsim.compress(TOPK, torch.ones(2, 3, dtype=torch.int64)), "torch.int64"),
        (lambda: netsim.compress(TOPK, np.ones((2, 3), dtype=bool)), "torch.bool"),
        (lambda: netsim.compress(TOPK, torch.ones(2, 3, dtype=torch.complex64)), "torch.complex64"),
        (lambda: netsim.compress(TOPK, np.array([["a"], ["b"]])), "is no array of numbers"),
        (lambda: netsim.compress(TOPK, [torch.ones(5), None]), r"grads\[1\]: None is no array"),
        (lambda: netsim.compress(TOPK, [torch.ones(5), torch.ones(6)]), r"grads\[1\]: has shape \[6\]"),
        (lambda: netsim.compress(TOPK, [[1.0, 2.0], [3.0]]), r"grads\[1\]: has shape \[1\]"),
        (lambda: netsim.compress(TOPK, nn.Linear(3, 2).parameters()), r"grads\[1\]: has shape \[2\]"),
        (lambda: netsim.compress(TOPK, [torch.ones(5), torch.ones(5, device="meta")]), r"grads\[1\]: .*'meta'"),
        (lambda: netsim.compress(TOPK, torch.full((2, 3), float("nan"))), "3 of 3 values are NaN"),
        (lambda: netsim.compress(TOPK, GRADS, seed=-1), "seed: cannot be -1"),
        (lambda: netsim.compress(TOPK, GRADS, seed=None), "seed: cannot be None"),
        (lambda: netsim.load(None), "path: None is no path"),
        (lambda: netsim.load(["a.yaml"]), "is no path"),
        (lambda: netsim.load(""), "path: '' is no path"),
        (lambda: netsim.load("nope.yaml"), "nope.yaml: cannot be read"),
        (lambda: netsim.load("topology: star\nworkload: {}"), "is a scenario's text"),
        (lambda: netsim.load("nope.yaml", ["topology.workers=2"]), "overrides: cannot be"),
        (lambda: netsim.load("nope.yaml", {3: 4}), "give a dict of dotted keys"),
        (lambda: netsim.simulate(None), "None is no scenario"),
        (lambda: netsim.simulate([1]), "netsim.sweep takes them all"),
        (lambda: netsim.sweep([]), "no point to simulate"),
        (lambda: netsim.sweep("small.yaml"), "is no list of scenarios"),
        (lambda: netsim.transfer_times("star", 0, 1, 1.0), "topology"),
        (lambda: netsim.transfer_times(STAR, None, 1, 1.0), "None is no list of nodes"),
        (lambda: netsim.transfer_times(STAR, 1.5, 1, 1.0), "1.5 is no list of nodes"),
        (lambda: netsim.transfer_times(STAR, np.zeros((2, 2), int), 1, 1.0), "no node"),
        (lambda: netsim.transfer_times(STAR, **ONE, network=None), "network cannot be"),
        (lambda: netsim.transfer_times(STAR, **ONE, transport=["tcp"]), "transport cannot be"),
        (lambda: netsim.transfer_times(STAR, 0, 1, 1j), "nbytes is not a number"),
        (lambda: netsim.collective_time(**REDUCE | {"collective": ["all_reduce"]}), "did you mean 'all_reduce'"),
        (lambda: netsim.collective_time(**REDUCE | {"nbytes": [1.0, 2.0]}), "nbytes has shape"),
        (lambda: netsim.collective_time(**REDUCE, workers=2), r"write for example \[2\]"),
        (lambda: netsim.collective_time(**REDUCE, workers="worker1"), r"write for example \['worker1'\]"),
        (lambda: netsim.collective_time(**REDUCE, algorithm=None), "sync architecture cannot be"),
        (lambda: netsim.collective_time(**REDUCE, transport={"kind": "tcp", "efficency": 1}), "did you mean 'effic"),
        (lambda: netsim.Topology.from_networkx(None), "None is no graph"),
        (lambda: netsim.Topology.from_networkx("my.graphml"), "reads GraphML"),
        (lambda: netsim.Topology.from_networkx(nx.MultiGraph()), "parallel edges"),
        (lambda: netsim.Topology.from_networkx(nx.Graph([(0, 1, {"bandwidth": None})])), "the bandwidth None"),
    ],
)
def test_a_wrong_input_is_one_error_with_its_remedy(call, said):
    with pytest.raises(netsim.NetsimError, match=said) as caught:
        call()
    assert str(caught.value).count("\n") == 0
    for one in getattr(caught.value, "problems", [caught.value]):
        assert "; " in str(one)  # the problem, and the remedy


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": None}, "jobs is None"),
        ({"jobs": True}, "jobs is True"),
        ({"jobs": np.int64(0)}, "give 1 or more"),
        ({"out": 3}, "out: 3 is no path"),
        ({"engine": 3}, "3 is no engine"),
        ({"resume": True}, "nothing to resume without a folder"),
    ],
)
def test_a_sweep_refuses_wrong_options(options, said, scenario):
    with pytest.raises(InputError, match=said):
        netsim.sweep(netsim.load(scenario), **options)


def test_a_simulation_takes_one_scenario(scenario):
    (one,) = netsim.load(scenario)
    with pytest.raises(InputError, match=r"is no measurement; give one scenario"):
        netsim.simulate(one, one)
    with pytest.raises(InputError, match="1 baselines for"):
        netsim.simulate(one, baselines=[1.0])


@pytest.mark.parametrize(
    "grads",
    [
        GRADS.numpy(),
        GRADS.numpy()[:, ::-1][:, ::-1],
        np.broadcast_to(GRADS.numpy(), (1, 2, 4))[0],
        GRADS.numpy().astype(">f8"),
        GRADS.numpy().astype(np.longdouble),
        list(GRADS),
        tuple(GRADS.numpy()),
        iter(GRADS),
        GRADS.tolist(),
        GRADS.to_sparse(),
        [one.to_sparse() for one in GRADS],
        GRADS.clone().requires_grad_(),
    ],
)
def test_gradients_are_taken_as_people_have_them(grads):
    expected, found = netsim.compress(TOPK, GRADS), netsim.compress(TOPK, grads)
    assert torch.equal(found.mean, expected.mean)
    assert found.rel_error == pytest.approx(expected.rel_error)
    assert found.nbits_per_worker == expected.nbits_per_worker


def test_numbers_of_numpy_and_torch_maps_and_lists_are_taken(scenario):
    assert len(netsim.topology("star", workers=np.int64(2), bandwidth="1 Gbit/s", servers=np.int8(1)).servers) == 1
    assert len(netsim.topology({"kind": "star", "workers": 4, "bandwidth": "1 Gbit/s"}).workers) == 4
    listed = ["error_feedback", {"kind": "powersgd", "rank": np.int32(4)}]
    assert netsim.scheme(listed) == netsim.scheme("error_feedback", inner=netsim.scheme("powersgd", rank=4))
    assert netsim.scheme(TOPK) is TOPK
    (wider,) = netsim.load(scenario, {"topology.workers": np.int64(4)})
    assert wider.topology.workers == 4
    assert len(netsim.sweep((one for one in [wider]), jobs=np.int64(1))) == 1
    seconds = netsim.transfer_times(STAR, torch.tensor([0]), np.int64(1), torch.tensor(1e6, requires_grad=True))
    assert seconds == netsim.transfer_times(STAR, [0], [1], 1e6)
    half = {"kind": "tcp", "efficiency": 0.5, "overhead": "0 s"}
    full = half | {"efficiency": 1.0}
    slow, fast = (netsim.collective_time(**REDUCE, transport=one) for one in (half, full))
    latency_s = 4 * 25e-6  # of the four rounds
    assert slow - latency_s == pytest.approx(2 * (fast - latency_s))


@pytest.mark.parametrize(("name", "units", "buckets"), [("per_layer", 161, 5), ("per_bucket", 5, 5), ("flat", 1, 1)])
def test_where_grouping_is_said_it_groups(name, units, buckets, scenario):
    said = schemes.elsewhere[name].split("}")[0] + ", steps: 1, skip_steps: 0}"
    text = scenario.read_text().replace("{kind: recorded, trace: small.trace}", "{kind: published, model: resnet50}")
    *_, one = parse_text(f"{text}\n{said}\nschemes: [{{kind: topk, ratio: 0.001}}]\nsync: [ring]")
    measured = measure(one)
    assert sum(len(of_bucket) for of_bucket in measured.units) == units
    assert len(measured.buckets) == buckets


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def trained(module, optimizer, _):
    module(torch.ones(4, 3)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": 3}, "model: 3 is no torch.nn.Module"),
        ({"model": len}, "model: .* is no torch.nn.Module"),
        ({"model": nn.Linear}, "model: Linear is a class"),
        ({"model": nn.Tanh()}, "no parameter that gets a gradient"),
        ({"model": nn.LazyLinear(2)}, "has no shape yet"),
        ({"model": nn.Linear(2, 2, device="meta")}, "'meta'"),
        ({"model": nn.Linear(2, 2, dtype=torch.complex64)}, "is torch.complex64"),
        ({"optimizer": None}, "optimizer: None is no torch.optim.Optimizer"),
        ({"optimizer": torch.optim.SGD}, "is no torch.optim.Optimizer"),
        ({"optimizer": [torch.optim.SGD(model().parameters())]}, "whose step"),
        (
            {"optimizer": torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD(model().parameters()))},
            "give its `optimizer`",
        ),
        ({"steps": 3}, "steps cannot be 3"),
        ({"steps": "0,1"}, "steps cannot be '0,1'"),
        ({"steps": None}, "steps cannot be None"),
        ({"steps": (0.0,)}, r"steps cannot be \[0.0\]"),
        ({"steps": (0, "1")}, "steps cannot be"),
        ({"batch": -3}, "batch: cannot be -3"),
        ({"batch": "32"}, "batch: cannot be '32'"),
        ({"task": 3}, "task: 3 is no text"),
        ({"path": None}, "path: None is no path"),
        ({"path": "a\0b"}, "is no path"),
        ({"body": lambda *_: None}, "ended after 0 optimizer steps"),
        ({"body": lambda _, optimizer, __: optimizer.step()}, "never called"),
        ({"body": lambda module, optimizer, _: (module(torch.ones(4, 3)), optimizer.step())}, "no backward pass"),
        ({"body": lambda *given: given[2].log_loss("low")}, "loss: 'low' is no number"),
        ({"body": lambda *given: given[2].log_loss(torch.ones(3))}, "is no number"),
    ],
)
def test_what_cannot_be_recorded_is_one_error_with_its_remedy(given, said, tmp_path):
    module = given.get("model", model())
    options = {"path": tmp_path / "my.trace", "steps": (0,), "optimizer": torch.optim.SGD(model().parameters())}
    if isinstance(module, nn.Sequential):
        options["optimizer"] = torch.optim.SGD(module.parameters())
    options |= {key: one for key, one in given.items() if key not in {"model", "body"}}
    path = options.pop("path")
    with (
        pytest.raises(netsim.NetsimError, match=said) as caught,
        netsim.record_gradients(module, path, **options) as recording,
    ):
        given.get("body", trained)(module, options["optimizer"], recording)
    assert caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_steps_and_batch_may_be_those_of_numpy_and_torch(tmp_path):
    module = model()
    optimizer = torch.optim.SGD(module.parameters())
    steps = torch.tensor([0]), np.array([0]), range(1)
    for number, one in enumerate(steps):
        path = str(tmp_path / f"{number}.trace")
        with netsim.record_gradients(module, path, optimizer=optimizer, steps=one, batch=np.int64(4)) as recording:
            recording.log_loss(np.float32(0.5))
            trained(module, optimizer, recording)
        assert Path(path).is_file()


def test_an_optimizer_of_another_model_is_told_of_where_the_recording_begins(tmp_path):
    module, other = model(), torch.optim.SGD(model().parameters())
    with (
        pytest.warns(UserWarning, match="none of the model's parameters") as told,
        netsim.record_gradients(module, tmp_path / "my.trace", optimizer=other, steps=(0,)),
    ):
        trained(module, other, None)
    assert told[0].filename == __file__


def test_an_error_of_the_users_own_loop_comes_through_as_it_is(tmp_path):
    module = model()
    optimizer = torch.optim.SGD(module.parameters())
    with (
        pytest.raises(RuntimeError, match="scalar outputs"),
        netsim.record_gradients(module, tmp_path / "my.trace", optimizer=optimizer),
    ):
        module(torch.ones(4, 3)).backward()


@dataclass(frozen=True)
class Broken(Task):
    """A task of a plug-in, with something wrong."""

    wrong: str
    kind = "broken"
    default_batch, default_steps = 2, (0,)

    def samples(self):
        return Samples(torch.ones(64, 3), torch.ones(64, 1))

    def model(self):
        return model()

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters)

    def loss(self, model, inputs, targets):
        losses = {
            "vector": lambda: (model(inputs) - targets)[:, 0],
            "number": lambda: 0.5,
            "detached": lambda: model(inputs).mean().detach(),
            "unused": lambda: model[0](inputs).mean(),
        }
        return losses[self.wrong]()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("vector", r"loss: the loss of task 'broken' is a tensor of shape \[2\]; return one number"),
        ("number", r"is 0\.5; return one number"),
        ("detached", "has no gradient; compute it from the model's output"),
        ("unused", r"parameter '2\.weight' got no gradient"),
    ],
)
def test_a_task_whose_loss_cannot_train_it_is_told_so(wrong, said, tmp_path):
    with pytest.raises(InputError, match=said):
        capture(Broken(wrong), tmp_path / "my.trace", workers=1, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_cuda_device_that_is_not_there_is_told_so(tmp_path):
    with pytest.raises(InputError, match="device: torch finds no CUDA device; choose 'cpu'"):
        capture("resnet20-digits", tmp_path / "my.trace", device="cuda")
