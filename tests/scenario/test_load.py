"""A scenario's text becomes exactly the points that it describes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netsim.compress.base import schemes
from netsim.errors import ScenarioErrors
from netsim.network.transport import transports
from netsim.scenario.dump import dump_yaml, scenario_hash
from netsim.scenario.load import build, load, load_all, parse_text
from netsim.topology.base import topologies

DESIGN = """\
about: at which bandwidth does top-k start to pay on 16 workers?
seed: 7
topology: {kind: star, workers: 16, bandwidth: 10 Gbit/s, latency: 25 us}
network:  {kind: flow, transport: tcp}
workload: {kind: recorded, trace: tiny}
schemes:
  - none
  - [error_feedback, {kind: topk, ratio: 0.01}]
  - {kind: powersgd, rank: 2}
sync: [ring, {kind: parameter_server, servers: 4}]
sweep: {topology.bandwidth: [1 Gbit/s, 10 Gbit/s, 100 Gbit/s]}
"""
SMALL = "topology: {kind: star, workers: 2, bandwidth: 10 Gbit/s}\nworkload: {kind: recorded, trace: tiny}\n"


def of(folder, text):
    return parse_text(text, folder)


def unnamed(scenarios):
    return [replace(one, name="", swept=()) for one in scenarios]


def test_every_swept_value_architecture_and_scheme_is_a_point_in_that_order(folder):
    points = of(folder, DESIGN)
    assert len(points) == 3 * 2 * 3
    assert [one.topology.bandwidth for one in points[::6]] == [1e9 / 8, 1e10 / 8, 1e11 / 8]
    assert [one.sync.kind for one in points[:6]] == ["ring"] * 3 + ["parameter_server"] * 3
    assert [one.scheme.kind for one in points[:3]] == ["none", "error_feedback", "powersgd"]
    assert points[1].scheme.inner.ratio == 0.01
    assert points[3].sync.servers == 4
    assert points[0].seed == 7
    assert points[-1].swept == (("topology.bandwidth", "100 Gbit/s"),)
    assert points[0].workload.trace == str(folder / "traces" / "tiny.trace")


def test_defaults(folder):
    (point,) = of(folder, SMALL)
    assert (point.seed, point.network.kind, point.transport.kind) == (0, "flow", "tcp")
    assert (point.scheme.kind, point.sync.kind, point.cost.kind) == ("none", "ring", "documented")
    assert point.job.overlap == "ddp"
    assert point.swept == ()


def test_the_baseline_is_added_once(folder):
    assert [one.scheme.kind for one in of(folder, SMALL + "schemes: [topk]\n")] == ["none", "topk"]
    assert [one.scheme.kind for one in of(folder, SMALL + "schemes: [topk, none]\n")] == ["topk", "none"]


def test_a_baseline_that_the_swept_key_does_not_touch_is_one_point(folder):
    points = of(folder, SMALL + "schemes: [none, topk]\nsweep: {schemes.1.ratio: [0.1, 0.2, 0.3]}\n")
    assert [getattr(one.scheme, "ratio", None) for one in points] == [None, 0.1, 0.2, 0.3]


def test_the_ideal_network_has_the_ideal_transport(folder):
    (point,) = of(folder, SMALL + "network: ideal\n")
    assert point.transport.kind == "ideal"
    points = of(folder, SMALL + "network: {transport: tcp}\nsweep: {network.kind: [ideal, flow]}\n")
    assert [one.transport.kind for one in points] == ["ideal", "tcp"]


def test_the_same_text_in_another_form(folder):
    long = """\
workload:
  kind: recorded
  trace: traces/tiny.trace
topology:
  kind: star
  bandwidth: 1.25 GB/s
  workers: 2
network: flow
schemes: [none]
sync: ring
"""
    assert unnamed(of(folder, long)) == unnamed(of(folder, SMALL))


def test_a_transport_with_its_own_fields(folder):
    (point,) = of(folder, SMALL + "network: {kind: flow, transport: {kind: tcp, overhead: 5 ms}}\n")
    assert point.transport == transports.get("tcp")(overhead=5 * 1e-3)


def test_anchors_share_values(folder):
    points = of(folder, SMALL + "schemes: [{kind: topk, ratio: &r 0.25}, {kind: randomk, ratio: *r}]\n")
    assert [one.scheme.ratio for one in points[1:]] == [0.25, 0.25]


def test_words_that_older_yaml_takes_for_booleans_stay_words(folder):
    (point,) = of(folder, "about: on\n" + SMALL)
    assert point.about == "on"


def test_zip_goes_in_step_and_grid_takes_all(folder):
    sweep = """\
sweep:
  grid: {seed: [1, 2]}
  zip:
    topology.workers: [2, 4]
    topology.bandwidth: [1 Gbit/s, 2 Gbit/s]
"""
    points = of(folder, SMALL + sweep)
    assert [(one.seed, one.topology.workers) for one in points] == [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert points[1].topology.bandwidth == 2e9 / 8
    assert points[1].swept == (("seed", "1"), ("topology.workers", "4"), ("topology.bandwidth", "2 Gbit/s"))


def test_whole_sections_and_list_entries_are_swept(folder):
    sweep = """\
schemes: [none, [error_feedback, topk]]
sweep:
  topology:
    - {kind: star, workers: 4, bandwidth: 1 Gbit/s}
    - {kind: gpu_cluster, machines: 2, gpus_per_machine: 2, bandwidth: 1 Gbit/s}
  schemes.1.1.ratio: [0.1, 0.2]
"""
    points = of(folder, SMALL + sweep)
    assert [(one.topology.kind, one.scheme.kind) for one in points[:3]] == [
        ("star", "none"), ("star", "error_feedback"), ("star", "error_feedback")
    ]  # fmt: skip
    assert points[0].swept[0] == ("topology", "{kind: star, workers: 4, bandwidth: 1 Gbit/s}")
    assert len(points) == 6


def test_overrides_replace_what_is_written_and_swept(folder, tmp_path):
    path = folder / "design.yaml"
    path.write_text(DESIGN)
    points = load(path, overrides={"topology.bandwidth": "40 Gbit/s", "job.steps": "9", "network": "ideal"})
    assert len(points) == 6
    assert {one.topology.bandwidth for one in points} == {40e9 / 8}
    assert {one.job.steps for one in points} == {9}
    assert points[0].name == "design"
    longer = load(path, overrides={"sweep.topology.workers": "[2, 4]"})
    assert len(longer) == 3 * 2 * 6
    assert len(load(path, overrides={"sweep": "null"})) == 6


def test_an_override_of_a_zipped_key_leaves_the_others(folder):
    path = folder / "zipped.yaml"
    path.write_text(SMALL + "sweep: {zip: {topology.workers: [2, 4], seed: [1, 2]}}\n")
    assert [(one.topology.workers, one.seed) for one in load(path, {"seed": "5"})] == [(2, 5), (4, 5)]


def test_what_an_override_makes_idle_is_no_error_but_an_idle_override_is(folder):
    path = folder / "tcp.yaml"
    path.write_text(SMALL + "network: {kind: flow, transport: tcp}\n")
    (point,) = load(path, {"network.kind": "ideal"})
    assert (point.network.kind, point.transport.kind) == ("ideal", "ideal")
    with pytest.raises(ScenarioErrors, match=r"--set job.bucket: job.bucket: has no effect"):
        load(path, {"job.overlap": "per_tensor", "job.bucket": "1 MiB"})


def test_override_errors_name_the_option(folder):
    path = folder / "small.yaml"
    path.write_text(SMALL)
    with pytest.raises(ScenarioErrors) as caught:
        load(path, overrides={"topology.bandwidth": "10", "tolopogy.workers": "3", "seed": "[", "job.steps": "-1"})
    said = str(caught.value)
    assert "--set tolopogy.workers: tolopogy.workers: unknown key 'tolopogy'; did you mean 'topology'?" in said
    assert "--set seed: is not YAML" in said
    with pytest.raises(ScenarioErrors) as caught:
        load(path, overrides={"topology.bandwidth": "10", "job.steps": "-1"})
    assert [(one.file, one.line) for one in caught.value.problems] == [
        ("--set job.steps", 0), ("--set topology.bandwidth", 0)
    ]  # fmt: skip


def test_all_files_are_read_and_all_their_problems_are_told(folder):
    (folder / "one.yaml").write_text("seed: -1\n")
    (folder / "two.yaml").write_text(SMALL + "seeed: 3\n")
    with pytest.raises(ScenarioErrors) as caught:
        load_all([folder / "one.yaml", folder / "two.yaml", folder / "three.yaml"])
    assert [Path(one.file).name for one in caught.value.problems] == ["one.yaml"] * 3 + ["two.yaml", "three.yaml"]
    assert "scenarios in that folder: " in caught.value.problems[-1].remedy


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_swept_key_below_another_is_what_the_points_say_in_either_order(folder, order):
    star = "{{kind: star, workers: {}, bandwidth: 5 Mbit/s}}"
    axes = ["topology.bandwidth: [1 Gbit/s, 10 Gbit/s]", f"topology: [{star.format(2)}, {star.format(4)}]"]
    points = of(folder, SMALL + f"sweep: {{{', '.join(axes[order])}}}\n")
    assert len({(one.topology.workers, one.topology.bandwidth) for one in points}) == 4
    for one in points:
        assert (
            one.topology.bandwidth
            == {"1 Gbit/s": 1e9 / 8, "10 Gbit/s": 1e10 / 8}[dict(one.swept)["topology.bandwidth"]]
        )


def test_members_are_built_from_python_too():
    star = build(topologies, {"kind": "star", "workers": 8, "bandwidth": "10 Gbit/s"})
    assert star == topologies.get("star")(workers=8, bandwidth=1.25e9)
    inner = build(schemes, {"kind": "topk", "ratio": 0.5})
    wrapped = build(schemes, {"kind": "error_feedback", "inner": inner})
    assert wrapped == build(schemes, ["error_feedback", {"kind": "topk", "ratio": 0.5}])
    with pytest.raises(ScenarioErrors, match="bandwidth 10 needs a unit"):
        build(topologies, {"kind": "star", "bandwidth": 10})
    with pytest.raises(ScenarioErrors, match="must be a number"):
        build(schemes, {"kind": "topk", "ratio": [object()]})


def test_what_is_dumped_loads_as_the_same_points(folder):
    points = of(folder, DESIGN)
    assert unnamed(of(folder, dump_yaml(points))) == unnamed(points)


FAILURE = "[{kind: link_failure, links: [worker0], at: 0.1 s, duration: 1 s}]"
RIDGE = SMALL.replace("{kind: recorded, trace: tiny}", "ridge") + "sync: parameter_server\n"


@pytest.mark.parametrize("swept", [f"[{FAILURE}, []]", f"[[], {FAILURE}]", "[[], null]"])
def test_points_with_and_without_conditions_are_dumped_as_they_are(folder, swept):
    points = of(folder, SMALL + f"sweep: {{conditions: {swept}}}\n")
    assert unnamed(of(folder, dump_yaml(points))) == unnamed(points)


@pytest.mark.parametrize("befalls", ["[]", FAILURE])
def test_points_that_train_are_dumped_beside_others_in_either_order(folder, befalls):
    steps = of(folder, SMALL)
    trains = of(folder, RIDGE + f"train: {{optimizer: central_vr_sync, max_epochs: 3}}\nconditions: {befalls}\n")
    for points in (steps + trains, trains + steps):
        assert unnamed(of(folder, dump_yaml(points))) == unnamed(points)


def test_the_hash_depends_on_what_matters_alone(folder, tmp_path):
    (tmp_path / "traces").mkdir()
    trace = tmp_path / "traces" / "tiny.trace"
    trace.write_bytes((folder / "traces" / "tiny.trace").read_bytes())
    (here,), (there,) = of(folder, SMALL), parse_text("about: elsewhere\n" + SMALL, tmp_path, "other")
    assert scenario_hash(here) == scenario_hash(there)
    assert scenario_hash(replace(here, seed=1)) != scenario_hash(here)
    assert len({scenario_hash(one) for one in of(folder, DESIGN)}) == 18


def test_a_file_that_is_named_by_default_is_found_as_one_that_a_user_names(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL.replace("{kind: recorded, trace: tiny}", "{kind: published, model: resnet50}"))
    (one,) = load(path)
    assert Path(one.workload.gradients).is_file()
