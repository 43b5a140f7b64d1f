"""Figures of more trainings than one panel shows: what shares a panel, what its lines are called."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from netsim.report.families import MOST_LINES, families
from netsim.report.layout import provenance
from netsim.report.points import expanded
from netsim.report.style import PALE
from netsim.report.training import named, training_summary
from netsim.report.training_figures import curves, time_to_target

OPTIMIZERS = {"momentum(lr=0.05)": 4, "sgd(lr=0.05)": 2, "pactrain(lr=0.05, pruned=0.5)": 5, "pactrain(lr=0.05)": 5}


def runs(optimizers: dict[str, int]) -> pd.DataFrame:
    """Return a table of trainings over two bandwidths, so many schemes an optimizer."""
    cells = [
        (bandwidth, optimizer, "none" if not place else f"scheme{place}")
        for bandwidth in (1e6, 1e7)
        for optimizer, count in optimizers.items()
        for place in range(count)
    ]
    table = pd.DataFrame(cells, columns=["bandwidth_bytes_per_s", "optimizer", "scheme"])
    table["point"] = [f"{place:04x}" for place in range(len(table))]
    return table.assign(
        scenario="synthetic", sync="ring", workload="digits", workers=8, latency_s=1e-4, topology="star", seed=0,
        target=0.9, target_of="accuracy", time_to_target_s=range(1, len(table) + 1),
        compute_device="stated: 0.001 s a gradient",
    )  # fmt: skip


def points(table: pd.DataFrame) -> pd.DataFrame:
    """Return a curve of three points a training."""
    found = table.loc[table.index.repeat(3)].assign(epoch=[1, 2, 3] * len(table), metric=[0.5, 0.7, 0.9] * len(table))
    return found.assign(time_s=found["epoch"] * found["time_to_target_s"], wire_bytes_per_worker=found["epoch"] * 1e3)


def test_few_lines_share_one_panel() -> None:
    table = runs({"sgd": MOST_LINES})
    assert families(table.assign(name=table["scheme"])) == [["none", *(f"scheme{n}" for n in range(1, MOST_LINES))]]


@pytest.mark.parametrize("optimizers", [OPTIMIZERS, {"sgd": 30}], ids=["some", "one"])
def test_of_many_lines_each_has_one_panel_and_the_first_has_all(optimizers: dict[str, int]) -> None:
    table = runs(optimizers)
    table["name"] = named(table)
    shared = families(table)
    first, *others = table["name"].unique()
    assert [one[0] for one in shared] == [first] * len(shared)
    assert sorted(itertools.chain(*(one[1:] for one in shared))) == sorted(others)
    assert 1 < len(shared) <= 5
    for part in table.groupby("optimizer")["name"]:
        assert len(optimizers) == 1 or sum(not set(part[1]).isdisjoint(one[1:]) for one in shared) == 1


def test_families_are_columns_whose_other_lines_are_pale() -> None:
    table = runs(OPTIMIZERS)
    for drawn, rows in ((curves(points(table), table), 4), (time_to_target(table), 1)):
        renderer = FigureCanvasAgg(drawn).get_renderer()
        drawn.draw(renderer)
        assert len(drawn.axes) == 3 * rows
        assert not drawn.legends
        for axes in drawn.axes:
            pale = [line for line in axes.lines if line.get_color() == PALE]
            coloured = {line.get_color() for line in axes.lines} - {PALE, "black"}
            assert len(pale) + len(coloured) == 16
            assert len(coloured) == 6
            assert axes.get_window_extent(renderer).width > 0.75 * drawn.bbox.width / 3
        boxes = [axes.get_tightbbox(renderer) for axes in drawn.axes]
        for one, other in itertools.combinations(boxes, 2):
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            assert min(across, min(one.y1, other.y1) - max(one.y0, other.y0)) < 3


def test_names_say_what_tells_trainings_apart() -> None:
    """A parameter of one value is told only where nothing else differs; what is coded says whose gradients it codes."""
    labels = ["lamb(lr=0.1, batch=8)", "lamb(lr=0.1, batch=8)", "onebit_lamb(lr=0.1)", "onebit_lamb(lr=0.1, warm_up=9)"]
    table = pd.DataFrame({"optimizer": labels, "scheme": ["none", "fp16", "none", "none"], "workload": "digits"})
    assert named(table).tolist() == ["lamb", "lamb fp16", "onebit_lamb", "onebit_lamb(warm_up=9)"]


def test_stated_seconds_are_not_called_measured() -> None:
    table = runs({"sgd": 1})
    assert "timing stated: 0.001 s a gradient;" in provenance(table)
    assert "timing measured on NVIDIA H200;" in provenance(table.assign(compute_device="NVIDIA H200"))


def test_what_a_sweep_varies_beside_the_cluster_parts_tables_and_panels() -> None:
    table = runs({"sgd": 2}).query("bandwidth_bytes_per_s == 1e6")
    spreads = [
        table.assign(
            swept=f"job.straggler.spread={spread}", point=table["point"] + str(spread), time_to_target_s=time_s
        )
        for spread, time_s in ((0, 1.0), (0.5, 2.0))
    ]
    both = pd.concat(spreads, ignore_index=True)
    figure = time_to_target(expanded(both))
    assert [axes.get_title("left") for axes in figure.axes] == [
        "job.straggler.spread 0",
        "job.straggler.spread 0.5",
    ]
    drawn = curves(points(both), expanded(both))
    assert len(drawn.axes) == 2 * 3
    for axes in drawn.axes[:1]:
        assert all((line.get_xdata()[1:] > line.get_xdata()[:-1]).all() for line in axes.lines[:1])
    told = both.assign(
        status="target", best=0.9, steps_to_target=1.0, epochs_to_target=1.0, speedup_to_target_x=1.0, speedup_x=1.0,
        wire_bytes_per_worker=1.0, total_s=1.0, baseline_time_to_target_s=1.0,
    )  # fmt: skip
    assert training_summary(told).count("Training at job.straggler.spread") == 2
    many = pd.concat([spreads[0].assign(swept=f"job.straggler.spread={n}", latency_s=n) for n in range(9)])
    assert "6 of 9 points" in time_to_target(expanded(many)).texts[-1].get_text()
