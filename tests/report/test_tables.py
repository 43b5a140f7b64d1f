from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from netsim.report.points import expanded, label, point_columns, spread, value_label
from netsim.report.tables import details, pivots, summary
from netsim.report.verdict import verdicts
from tests.report.synthetic import GBIT, runs


def test_no_line_is_wider_than_a_terminal():
    table = runs(workers=(8, 32))
    for text in (summary(table), details(table), pivots(table)):
        assert max(map(len, text.splitlines())) <= 120


def test_schemes_are_sorted_by_speedup():
    table = runs(gbits=(10,), syncs=("ring",))
    lines = details(table, width=200).splitlines()[3:15]
    shown = [line.split()[0] for line in lines]
    assert shown == list(table.sort_values("speedup_x", ascending=False, kind="stable")["scheme"])
    # At the width of a terminal, names too long lose their middle only.
    assert [line.split()[0][-8:] for line in details(table).splitlines()[3:15]] == [name[-8:] for name in shown]


def test_a_single_point_is_shown_in_detail_without_a_pivot():
    text = summary(runs(gbits=(10,)))
    assert "step time" in text
    assert "Speedup over" not in text


def test_a_long_sweep_is_a_pivot_and_verdicts():
    text = summary(runs())
    assert "step time" not in text
    assert text.count("Speedup over") == 2
    assert text.count("  at ") == 5


def test_the_pivot_marks_the_fastest_scheme_of_every_point():
    table = runs(syncs=("ring",))
    lines = pivots(table).splitlines()
    for place, (_, point) in enumerate(table.groupby("bandwidth_bytes_per_s")):
        best = point.loc[point["speedup_x"].idxmax()]
        line = next(line for line in lines if line.split()[0] == best["scheme"])
        assert line.split()[1 + place].endswith("*")


def test_extrapolated_rows_are_marked_and_explained():
    text = details(runs(gbits=(1,), workers=(8, 64)))
    assert "fp16~" in text
    assert "~ extrapolated" in text
    assert "~" not in details(runs(gbits=(1,), workers=(8,)))


def test_missing_values_are_dashes():
    table = runs(gbits=(1,), syncs=("ring",))
    table.loc[table["scheme"] == "fp16", ["step_time_s", "speedup_x", "vs_best_dense_x"]] = np.nan
    line = next(line for line in details(table).splitlines() if "fp16" in line)
    assert line.split()[1:4] == ["-", "-", "-"]
    assert summary(table.assign(bandwidth_bytes_per_s=[*[GBIT] * 6, *[2 * GBIT] * 6]))


def test_nothing_simulated_is_said():
    assert summary(runs().head(0)) == "no point was simulated"


def test_the_verdict_measures_against_the_best_uncompressed_architecture():
    table = runs(gbits=(10,), schemes=("none", "fp16"))
    (line,) = verdicts(table)
    best = table[table["scheme"] == "fp16"].sort_values("step_time_s").iloc[0]
    dense_s = table[table["scheme"] == "none"]["step_time_s"].min()
    assert f"fp16 over {best['sync']}, {dense_s / best['step_time_s']:.2f}x" in line
    # The bound is the same infinitely fast step in the same measure.
    bound = dense_s / (best["compute_s"] + best["optimizer_s"])
    assert f"of a possible {bound:.2f}x against none over the same" in line


def test_the_verdict_says_where_nothing_pays():
    first, *_, last = verdicts(runs())
    assert "at 100 Mbit/s: powersgd" in first
    assert "at 100 Gbit/s: no scheme pays" in last


def test_the_verdict_names_what_keeps_most_of_the_update_where_the_fastest_does_not():
    table = runs(gbits=(0.1,))
    (line,) = verdicts(table)
    fastest, keeping = line.split("; ")
    assert "powersgd(rank=2)+error_feedback over ring" in fastest
    kept = table[(table["rel_error"] <= 0.5) & (table["scheme"] != "none")].sort_values("step_time_s").iloc[0]
    gain = table[table["scheme"] == "none"]["step_time_s"].min() / kept["step_time_s"]
    assert keeping == f"below an error of 0.5, {kept['scheme']} over {kept['sync']}, {gain:.2f}x (0.0003)"
    unknown = table["rel_error"].where(~table["scheme"].str.startswith("powersgd"))
    assert verdicts(table.assign(rel_error=unknown))[0].endswith(keeping)  # a majority's sign has no error
    assert ";" not in verdicts(runs(gbits=(0.1,), schemes=("none", "fp16")))[0]
    lossy = runs(gbits=(0.1,), schemes=("none", "powersgd(rank=2)+error_feedback"))
    assert verdicts(lossy)[0].endswith("; nothing with an error below 0.5 pays")


def test_where_nothing_is_compressed_architectures_are_compared_by_the_seconds_of_a_step():
    table = runs(schemes=("none",), gbits=(1, 10))
    at_one = table[table["bandwidth_bytes_per_s"] == GBIT].set_index("sync")["step_time_s"]
    ring_s, server_s = at_one["ring"], at_one["parameter_server"]
    text = summary(table, blocks=0)
    assert "Speedup" not in text
    assert f"ring               {ring_s:.3f} s*" in text
    (one, _) = verdicts(table)
    assert "over ring" in one
    assert one.endswith(f", {server_s / ring_s:.2f}x as fast as over parameter_server")
    alone = verdicts(runs(schemes=("none",), gbits=(1,), syncs=("ring",)))
    assert alone[0].endswith("a step over ring")
    assert "miss 7 updates" in verdicts(table.assign(staleness_mean=7.0))[0]
    assert verdicts(table.assign(step_time_s=np.nan))[0].endswith("nothing was simulated")


def test_points_are_told_apart_by_what_varies():
    assert point_columns(runs()) == ["bandwidth_bytes_per_s"]
    assert point_columns(runs(workers=(4, 8), gbits=(1,))) == ["workers"]
    assert point_columns(runs(gbits=(1,))) == ["bandwidth_bytes_per_s"]


def test_scenarios_are_named_only_where_nothing_else_tells_them_apart():
    four, eight = (
        runs(workers=(4,), gbits=(1,)).assign(scenario="a"),
        runs(workers=(8,), gbits=(1,)).assign(scenario="b"),
    )
    assert point_columns(pd.concat([four, eight], ignore_index=True)) == ["workers"]
    twice = pd.concat([four, four.assign(scenario="b")], ignore_index=True)
    assert point_columns(twice) == ["scenario"]
    assert "at scenario b: " in summary(twice)


def test_a_swept_key_without_a_column_makes_points():
    one, two = runs(gbits=(1,)), runs(gbits=(1,))
    one["swept"], two["swept"] = "job.bucket=25 MiB, topology={kind: star, workers: 16}", "job.bucket=1 MiB"
    both = expanded(pd.concat([one, two], ignore_index=True))
    assert point_columns(both) == ["job.bucket"]
    assert sorted(both["job.bucket"].unique()) == ["1 MiB", "25 MiB"]
    assert "at job.bucket 1 MiB" in summary(both)


def test_what_is_added_up_stands_below_each_other_in_headings():
    table = runs(gbits=(1,), syncs=("ring",))
    every = table.assign(conditions="link_profile + background + node_failure")
    text = pivots(pd.concat([table.assign(conditions="none"), every], ignore_index=True))
    above, middle, below = text.splitlines()[1:4]
    assert above.strip() == "link_profile +"
    assert len(above) == len(middle) == len(below)
    assert below.split() == ["scheme", "undisturbed", "node_failure"]
    assert "topk(ratio=0.001)+error_feedback" in text


def test_a_swept_scheme_key_makes_no_point():
    table = runs(gbits=(1,))
    table["swept"] = [f"schemes.1.ratio={scheme}" for scheme in table["scheme"]]
    assert point_columns(expanded(table)) == ["bandwidth_bytes_per_s"]


def test_spread_takes_the_ends_and_the_middle():
    points = spread(runs(), ["bandwidth_bytes_per_s"])
    assert [key[0] / GBIT for key, _ in points] == [0.1, 10, 100]


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("bandwidth_bytes_per_s", 1.25e9, "10 Gbit/s"),
        ("latency_s", 25e-6, "25 us latency"),
        ("workers", 16, "16 workers"),
        ("workers", 1, "1 worker"),
        ("seed", 3, "seed 3"),
        ("topology", "star", "star"),
        ("topology", None, "topology unknown"),
    ],
)
def test_values_carry_their_unit(column, value, text):
    assert value_label(column, value) == text
    assert label([column, "topology"], [value, "x"]) == f"{text}, x"
