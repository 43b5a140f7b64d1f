"""What the commands print and write."""

from __future__ import annotations

import functools
import json
import re
import shutil

import pandas as pd
import pytest

import netsim.engine.calibrate
from netsim.cli import main
from netsim.cli.catalogue import REGISTRIES, member
from netsim.network.transport import transports
from netsim.report.points import of_row
from netsim.scenario.fields import fields_of
from netsim.scenario.load import load


def run(*arguments):
    return main([str(one) for one in arguments])


@pytest.fixture(scope="module")
def result(home, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "small"
    assert run("run", home / "small.yaml", "--out", out, "--jobs", 1) == 0
    return out


def test_run_writes_tables_and_figures(result):
    assert {file.name for file in (result / "plots").iterdir()} == {"speedup.png", "breakdown.png", "heatmap.png"}
    assert all(file.stat().st_size > 10_000 for file in (result / "plots").iterdir())
    runs = pd.read_csv(result / "runs.csv")
    assert len(runs) == 12
    text = (result / "table.txt").read_text()
    assert "Verdict" in text
    assert "step time" in text
    assert max(map(len, text.splitlines())) <= 120


def test_run_prints_the_table_and_where_the_files_are(at_home, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("run", "small.yaml", "--out", out, "--jobs", 1, "--no-plots", "--set", "sync=ring") == 0
    text = capsys.readouterr().out
    assert "topk(ratio=0.1)+error_feedback" in text
    assert "Verdict" in text
    assert f"Tables: {out}" in text
    assert not (out / "plots").exists()


def test_run_needs_resume_or_a_new_folder_and_then_prints_json(result, at_home, capsys):
    assert run("run", "small.yaml", "--out", result) == 1
    assert "--resume" in capsys.readouterr().err
    assert run("run", "small.yaml", "--out", result, "--resume", "--json", "--no-plots", "--jobs", 1) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)["runs"]) == 12
    assert "Verdict" in said.err


def test_run_writes_to_results_and_the_scenarios_name(at_home, capsys):
    arguments = ("--network", "ideal", "--set", "sync=ring", "--set", "topology.bandwidth=1 Gbit/s", "--no-plots")
    assert run("run", "small.yaml", "--jobs", 1, *arguments) == 0
    runs = pd.read_csv(at_home / "results" / "small" / "runs.csv")
    assert set(runs["network"]) == {"ideal"}
    assert len(runs) == 3


def test_check_counts_points(at_home, capsys):
    assert run("check", "small.yaml") == 0
    assert capsys.readouterr().out == "small: 12 points, no problem found\n"
    assert run("check", "small.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"errors": [], "points": {"small": 12}}


@pytest.mark.parametrize(
    "what", ["schemes", "sync", "topologies", "networks", "transports", "tasks", "traces", "models"]
)
def test_list_names_members(what, at_home, capsys):
    assert run("list", what, "--json") == 0
    (members,) = json.loads(capsys.readouterr().out).values()
    assert members
    assert all(member["name"] and member["summary"] for member in members)
    assert run("list", what) == 0
    text = capsys.readouterr().out
    assert all(member["name"] in text for member in members)
    assert max(map(len, text.splitlines())) <= 120


def test_list_of_everything(at_home, capsys):
    assert run("list") == 0
    text = capsys.readouterr().out
    for word in ("schemes", "topk", "ring", "star", "flow", "tcp", "resnet20-digits", "small", "optimizers"):
        assert word in text
    assert "made up" in text


@pytest.mark.parametrize("kind", ["speedup", "breakdown", "heatmap", "timeline", "error"])
def test_plot_draws_every_kind(kind, result, tmp_path, capsys):
    assert run("plot", result, "--kind", kind, "--out", tmp_path / "x.svg", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"figure": str(tmp_path / "x.svg")}
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


def test_plot_draws_beside_the_tables(result, tmp_path, capsys):
    copy = shutil.copytree(result, tmp_path / "copy")
    assert run("plot", copy, "--kind", "timeline", "--point", 2, "--point", 3) == 0
    assert capsys.readouterr().out.strip() == str(copy / "plots" / "timeline.png")


def test_rd_measures_traces_and_draws_them(at_home, tmp_path, capsys):
    out = tmp_path / "rd"
    given = ("traces/small.trace", "--schemes", "scaled_sign,none", "{kind: topk, ratio: 0.1}", "--out", out)
    assert run("rd", *given) == 0
    text = capsys.readouterr().out
    assert "topk(ratio=0.1)" in text
    assert "step 5" in text
    assert (out / "rate-distortion.png").stat().st_size > 10_000
    assert set(pd.read_csv(out / "points.csv")["scheme"]) == {"scaled_sign", "none", "topk(ratio=0.1)"}
    assert run("rd", *given, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["points"]) == 3 * (1 + 2 * 3)
    assert run("rd", "traces/small.trace", "--schemes", "topq") == 1
    assert "topk" in capsys.readouterr().err


def test_inspect_shows_what_a_trace_holds(at_home, capsys):
    assert run("inspect", "traces/small.trace") == 0
    text = capsys.readouterr().out
    for word in (
        "made up",
        "36,500 parameters in 3 tensors",
        "body.weight",
        "300x100",
        "Gaussian",
        "4, each with 8",
        "top 0.01",
    ):
        assert word in text
    assert run("inspect", "traces/small.trace", "--json") == 0
    held = json.loads(capsys.readouterr().out)
    assert held["parameters"] == 36_500
    assert {row["elements"] for row in held["sparsity"]} == {"not zero", "top 0.01"}
    assert all(row["hash_imbalance"] >= 1 and row["shard_skew"] >= 1 for row in held["sparsity"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("topologies", "gpu_cluster"), (r"machines +2$", r"bandwidth +required, for example 10 Gbit/s$")),
        (("conditions", "link_profile"), (r"links +required, for example \[name\]$", r"at +\[\], or for example")),
        (
            ("sync", "parameter_server"),
            (r"placement +dedicated, or colocated$", "`placement`: `dedicated` servers are"),
        ),
        (("transports", "tcp"), (r"congestion +cubic, or reno$",)),
        (("schemes", "error_feedback"), (r"inner +required", "Add what the last steps left unsent")),
    ],
)
def test_list_says_all_of_one_member(arguments, said, capsys):
    assert run("list", *arguments) == 0
    text = capsys.readouterr().out
    for pattern in said:
        assert re.search(pattern, text, re.MULTILINE), pattern
    assert run("list", *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == arguments[1]
    assert all(key["example"] for key in found["keys"])


def test_every_member_of_every_registry_says_its_keys():
    for what, registry in REGISTRIES.items():
        for name in registry:
            keys = member(what, name).keys
            assert [one.name for one in keys] == list(fields_of(registry.get(name)).names)
            assert all(one.said for one in keys)


def test_collective_prints_the_columns_of_nccl_tests(capsys):
    topology = "{kind: star, workers: 4, bandwidth: 1 GB/s, latency: 10 us}"
    arguments = ("collective", "all_reduce", "--topology", topology, "--sizes", "4MB")
    assert run(*arguments, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    # Ring: 2 (n - 1) rounds of latency + S / (n B).
    assert row["time_s"] == pytest.approx(6 * (10e-6 + 1e-3))
    assert row["busbw_bytes_per_s"] == pytest.approx(1.5 * row["algbw_bytes_per_s"])
    assert row["elements"] == 1e6
    assert run(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["size", "count", "type", "time", "algbw", "busbw"]
    assert lines[4].split() == ["4000000", "1000000", "float", "6060.00", "0.660", "0.990"]


def test_collective_of_a_process_group(capsys):
    topology = "{kind: star, workers: 8, bandwidth: 1 GB/s, latency: 10 us}"
    arguments = ("collective", "all_reduce", "--topology", topology, "--sizes", "3MB", "--workers")
    assert run(*arguments, "0-1, worker5", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["time_s"] == pytest.approx(4 * (10e-6 + 1e-3))
    assert run(*arguments, "3-99") == 1
    assert "--workers: the topology has no node" in capsys.readouterr().err
    assert run(*arguments, "100-200") == 1
    assert "--workers: the topology has no node 100" in capsys.readouterr().err
    assert run(*arguments, "3-0") == 1
    assert "--workers: the range 3-0 ends before it begins; write 0-3" in capsys.readouterr().err
    assert run(*arguments, "0,0") == 1
    assert "name each of them once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("collective", "algorithm", "busbw", "elements"),
    [
        ("all_gather", "ring", 0.75, 0.25e6),
        ("reduce_scatter", "halving_doubling", 0.75, 0.25e6),
        ("all_to_all", "all_to_all", 0.75, 0.25e6),
        ("broadcast", "ring", 1.0, 1e6),
        ("reduce", "tree", 1.0, 1e6),
    ],
)
def test_every_collective_has_the_columns_of_nccl_tests(capsys, collective, algorithm, busbw, elements):
    topology = "{kind: star, workers: 4, bandwidth: 1 GB/s, latency: 10 us}"
    arguments = ("collective", collective, "--topology", topology, "--sizes", "4MB", "--algorithm", algorithm, "--json")
    assert run(*arguments) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["busbw_bytes_per_s"] == pytest.approx(busbw * row["algbw_bytes_per_s"])
    assert row["busbw_bytes_per_s"] <= 1e9
    assert row["elements"] == elements


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("{kind: tcp, efficiency: 0.5}", "tcp(efficiency=0.5)"),
        ("network:\n  kind: flow\n  transport: {kind: tcp, efficiency: 0.5}\n", "tcp(efficiency=0.5)"),
        ("{kind: tcp, efficiency: 0.5}\n", "tcp(efficiency=0.5)"),
        ("network: flow\n", "tcp"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_collective_takes_what_a_scenarios_transport_takes(written, named, in_file, tmp_path, capsys):
    if in_file:
        (tmp_path / "network.yaml").write_text(written)
        written = tmp_path / "network.yaml"
    given = ("collective", "all_reduce", "--sizes", "100MB")
    assert run(*given, "--transport", written) == 0
    first, *_, row = capsys.readouterr().out.splitlines()
    assert first == f"# all_reduce between 8 workers over ring, flow network, {named}"
    assert run(*given, "--transport", "tcp") == 0
    usual_us = float(capsys.readouterr().out.splitlines()[-1].split()[3])
    slower = float(row.split()[3]) / usual_us
    assert slower == pytest.approx(transports.get("tcp")().efficiency / 0.5 if "0.5" in named else 1.0, rel=0.01)


@pytest.mark.parametrize("suffix", [".graphml", ".json"])
def test_collective_and_export_take_the_file_of_a_graph(suffix, tmp_path, capsys):
    graph = tmp_path / f"mine{suffix}"
    assert run("export", "{kind: star, workers: 3, bandwidth: 1 Gbit/s}", "--out", graph) == 0
    assert run("collective", "all_reduce", "--sizes", "3MB", "--topology", graph) == 0
    assert "# all_reduce between 3 workers" in capsys.readouterr().out
    again = tmp_path / f"again{suffix}"
    assert run("export", graph, "--out", again) == 0
    assert again.read_text() == graph.read_text()


def test_collective_takes_a_scenario_and_builds_servers(at_home, capsys):
    assert run("collective", "all_reduce", "--topology", "small.yaml", "--algorithm", "parameter_server") == 0
    assert "between 4 workers over parameter_server" in capsys.readouterr().out


def test_explain_says_where_the_time_goes_and_what_matters(at_home, capsys):
    assert run("explain", "small.yaml", "--point", 1, "--json") == 0
    said = capsys.readouterr()
    (point,) = json.loads(said.out)
    step_s = point["run"]["step_time_s"]
    change = {one["what"]: one["change"] for one in point["changes"]}
    busiest = point["links"][0]["link"]
    assert point["run"]["bottleneck"] == f"link {busiest}"
    assert [one["utilisation"] for one in point["links"]] == sorted(
        (one["utilisation"] for one in point["links"]), reverse=True
    )
    assert set(change) == {
        f"{busiest} x2",
        "bandwidth x2",
        "latency /2",
        "compute x2 faster",
        "free coding",
        "sockets x2",
        "ideal transport",
    }
    # 100 Mbit/s: the network is the bottleneck, so its bandwidth matters most; coding is free already.
    assert min(change, key=change.get) == "bandwidth x2"
    assert -0.5 < change["bandwidth x2"] < -0.3
    assert change["free coding"] == 0
    assert "bottleneck: link" in said.err
    parts = ("compute_s", "encode_s", "exposed_comm_s", "decode_s", "optimizer_s")
    assert sum(point["run"][part] for part in parts) == pytest.approx(step_s)


def test_explain_names_a_window_where_no_link_is_full(at_home, capsys):
    """100 bytes a round trip: more bandwidth changes nothing, and is not what is named."""
    window = "network={kind: flow, transport: {kind: tcp, window: 100 B}}"
    assert run("explain", "small.yaml", "--point", 1, "--set", window, "--json") == 0
    said = capsys.readouterr()
    (point,) = json.loads(said.out)
    change = {one["what"]: one["change"] for one in point["changes"]}
    assert "bottleneck: window worker0->worker1" in said.err
    assert abs(change["bandwidth x2"]) < 1e-3
    assert change["sockets x2"] == pytest.approx(-0.5, abs=0.05)
    assert change["ideal transport"] < -0.5


def test_explain_goes_through_all_points(at_home, capsys):
    assert run("explain", "small.yaml", "--set", "sync=ring", "--set", "topology.bandwidth=1 Gbit/s") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("Point")] == [
        "Point 1: none over ring, 4 workers, 1 Gbit/s",
        "Point 2: fp16 over ring, 4 workers, 1 Gbit/s",
        "Point 3: topk(ratio=0.1)+error_feedback over ring, 4 workers, 1 Gbit/s",
    ]


def test_schema_is_json(capsys):
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_two_scenarios_in_one_result_keep_their_steps_apart(at_home, tmp_path):
    (at_home / "slow.yaml").write_text((at_home / "small.yaml").read_text())
    one = ("--set", "sweep=null", "--set", "sync=ring", "--set", "schemes=[none]", "--no-plots", "--jobs", "1")
    assert run("run", "small.yaml", "slow.yaml", *one, "--out", tmp_path / "out") == 0
    runs, spans, steps, links = (
        pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("runs", "spans", "steps", "links")
    )
    assert list(runs["scenario"]) == ["small", "slow"]
    for _, row in runs.iterrows():
        assert (of_row(spans, row)["what"].eq("forward") & of_row(spans, row)["worker"].eq(0)).sum() == 1
        assert len(of_row(steps, row)) == len(steps) // 2
        assert len(of_row(links, row)) == len(links) // 2


def test_traces_go_by_their_names(at_home, capsys):
    assert run("inspect", "small") == 0
    by_name = capsys.readouterr().out
    assert run("inspect", "traces/small.trace") == 0
    assert capsys.readouterr().out == by_name


def test_calibrate_writes_a_table_that_a_scenario_can_use(at_home, tmp_path, monkeypatch, capsys):
    small = functools.partial(netsim.engine.calibrate.calibrate, sizes=(64, 256), repeats=1)
    monkeypatch.setattr("netsim.engine.calibrate.calibrate", small)
    assert run("calibrate-schemes", "--out", tmp_path / "costs.json", "--device", "cpu") == 0
    assert "schemes measured on" in capsys.readouterr().out
    assert run("check", "small.yaml", "--set", f"cost={{kind: measured, table: {tmp_path / 'costs.json'}}}") == 0


def test_calibrate_measures_what_a_scenario_and_a_user_name(at_home, tmp_path, monkeypatch, capsys):
    small = functools.partial(netsim.engine.calibrate.calibrate, sizes=(64, 256), repeats=1)
    monkeypatch.setattr("netsim.engine.calibrate.calibrate", small)
    out, named = tmp_path / "costs.json", ("--schemes", "[error_feedback, {kind: topk, ratio: 0.3}]")
    use = ("--set", f"cost={{kind: measured, table: {out}}}")
    # A table that is not there yet keeps nobody from measuring it.
    assert run("calibrate-schemes", "small.yaml", *use, "--out", out, "--device", "cpu") == 0
    held = json.loads(out.read_text())["schemes"]
    assert [one["fields"]["ratio"] for one in held["topk"]] == [0.1]
    assert set(held) == {"none", "fp16", "error_feedback", "topk"}
    assert run("calibrate-schemes", *named, "--add", "--statistic", "least", "--out", out, "--device", "cpu") == 0
    held = json.loads(out.read_text())
    assert [one["fields"]["ratio"] for one in held["schemes"]["topk"]] == [0.1, 0.3]
    assert held["statistic"] == "least or median"
    assert run("run", "small.yaml", *use, "--jobs", "1", "--no-plots", "--out", tmp_path / "own") == 0
    assert "coding times assumed" not in capsys.readouterr().out
    near = *use, "--set", "schemes=[{kind: topk, ratio: 0.2}]"
    assert run("run", "small.yaml", *near, "--jobs", "1", "--no-plots", "--out", tmp_path / "near") == 0
    assert "coding times assumed: topk(ratio=0.2) between ratio 0.1 and 0.3" in capsys.readouterr().out
    assert run("calibrate-schemes", "--schemes", "tpok", "--out", out) == 1
    assert "did you mean 'topk'" in capsys.readouterr().err


def test_calibrate_writes_a_section_that_a_scenario_takes(at_home, tmp_path, capsys):
    log = tmp_path / "log.csv"
    rows = [f"{size},{1e-3 + size / 1.1e8 * (1 + 0.01 * (-1) ** place)}" for place, size in enumerate((1e4, 1e6, 1e7))]
    log.write_text("\n".join(["size_bytes,time_s", *rows]))
    out, plot = tmp_path / "network.yaml", tmp_path / "fit.svg"
    given = ("calibrate", log, "--transport", "{kind: gloo, window: 1 GB}", "--bandwidth", "1 Gbit/s", "--out", out)
    assert run(*given, "--plot", plot) == 0
    text = capsys.readouterr().out
    for word in (
        "gloo, fitted to 3 samples",
        "efficiency 0.8",
        "95 % of",
        "overhead",
        "median error",
        "point_to_point",
    ):
        assert word in text
    assert out.read_text() in text
    assert plot.read_text().startswith("<?xml")
    scenario = at_home / "calibrated.yaml"
    scenario.write_text((at_home / "small.yaml").read_text() + "\n" + out.read_text())
    assert run("check", scenario) == 0
    transport = load(scenario)[0].transport
    assert (transport.kind, transport.window) == ("gloo", 1e9)  # what was fitted holds with this window only
    assert transport.efficiency == pytest.approx(0.88, rel=0.03)
    assert "section of a scenario, whose topology has bandwidth 1 Gbit/s\n" in out.read_text()
    capsys.readouterr()
    assert run(*given, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["transport"] == "gloo"
    assert found["fitted"]["efficiency"]["low"] < found["fitted"]["efficiency"]["value"]
    assert len(found["samples"]) == 3


def test_capture_hands_its_options_on(tmp_path, monkeypatch, capsys):
    given = {}

    def capture(task, out, **options):
        given.update(options, task=task)
        out.write_bytes(b"trace")
        options["progress"] and options["progress"](1, 1)

    monkeypatch.setattr("netsim.workload.capture.capture", capture)
    out = tmp_path / "x.trace"
    arguments = ("--workers", 2, "--steps", "0,10", "--device", "cpu", "--batch", 8, "--seed", 3)
    assert run("capture", "gpt-stdlib", "--out", out, *arguments) == 0
    del given["progress"]
    expected = {"task": "gpt-stdlib", "workers": 2, "steps": (0, 10), "device": "cpu", "batch": 8, "seed": 3}
    assert given == expected
    assert capsys.readouterr().out.startswith(f"{out} (5 bytes)")
