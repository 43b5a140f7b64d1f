from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from netsim.errors import InputError
from netsim.report import layout, scales, style
from netsim.report.breakdown import breakdown
from netsim.report.error import error
from netsim.report.heatmap import heatmap
from netsim.report.plot import ASYNCHRONOUS, KINDS, STANDARD, TRAINING, draw, save
from netsim.report.speedup import speedup
from netsim.report.timeline import timeline
from tests.report.synthetic import GBIT, runs, spans

OF_RUNS = (speedup, breakdown, heatmap, error)


def missing():
    table = runs(gbits=(1, 10))
    numbers = ["step_time_s", "speedup_x", "compute_s", "exposed_comm_s", "vs_best_dense_x", "rel_error", "headroom_x"]
    table.loc[table["scheme"] == "fp16", numbers] = np.nan
    return table.drop(index=table[(table["scheme"] == "bf16") & (table["sync"] == "ring")].index).reset_index(drop=True)


FEW = ("none", "fp16", "topk(ratio=0.01)+error_feedback+two_way")
LONG = "topk_quantized(ratio=0.001, levels=16, index=elias_gamma)+error_feedback+warm_up(steps=100)"
LONG_SYNC = "parameter_server(servers=16, sharding=hash, partition=4 MiB, staleness=unbounded, local_aggregation=true)"
TABLES = {
    "full": lambda: runs(),
    "workers": lambda: runs(FEW, workers=(4, 64), gbits=(1, 10)),
    "workers only": lambda: runs(FEW, workers=(4, 16, 64), gbits=(1,)),
    "one point": lambda: runs(gbits=(10,), syncs=("ring",)),
    "one scheme": lambda: runs(("none",), gbits=(1, 10)),
    "one row": lambda: runs(("none",), gbits=(10,), syncs=("ring",)),
    "missing": missing,
    "few columns": lambda: runs(FEW).drop(columns=["compute_device", "cost_source", "extrapolated", "vs_best_dense_x"]),
    "many panels": lambda: runs(("none", "fp16"), workers=(2, 3, 4, 5, 6), gbits=(1, 2)),
    "long names": lambda: runs(FEW, gbits=(1, 10)).assign(bottleneck="link machine0.hub0->machine11.hub1"),
    "failures": lambda: runs(FEW, gbits=(10,), syncs=("ring",)).assign(lost_s=0.1),
    "one long name": lambda: runs(FEW, gbits=(10,), syncs=("ring",)).replace("fp16", LONG),
    "longest names": lambda: runs(FEW, gbits=(1, 10)).replace("fp16", LONG).replace("ring", LONG_SYNC),
    "large": lambda: runs(FEW, gbits=(1e-6, 1e3)),
}


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("draw_it", OF_RUNS, ids=lambda one: one.__name__)
def test_every_figure_draws_every_table_without_overlaps(draw_it, table):
    figure = draw_it(TABLES[table]())
    data = png(figure)
    assert data.startswith(b"\x89PNG")
    assert len(data) > 3000
    assert all(axes.has_data() for axes in figure.axes), "a panel is empty"
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [one.get_window_extent(renderer) for one in (*figure.legends, *figure.texts)]
    for one, other in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        along = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(across, along) < 3, f"{one} overlaps {other}"
    for box in boxes:
        assert box.x0 > -1
        assert box.y0 > -1
        assert box.x1 < figure.bbox.x1 + 1
        assert box.y1 < figure.bbox.y1 + 1


def drawn_points(axes, look):
    markers = [line for line in axes.lines if line.get_marker() == look.marker and line.get_color() == look.colour]
    return {(float(x), float(y)) for line in markers for x, y in zip(*line.get_data(), strict=True)}


def test_the_speedup_lines_are_the_table():
    table = runs()
    figure = speedup(table)
    looks = style.looks(table["scheme"])
    for axes, sync in zip(figure.axes, ("ring", "parameter_server"), strict=True):
        assert axes.get_title("left") == sync
        for scheme in table["scheme"].unique():
            rows = table[(table["sync"] == sync) & (table["scheme"] == scheme)]
            expected = set(zip(rows["bandwidth_bytes_per_s"], rows["speedup_x"], strict=True))
            assert drawn_points(axes, looks[scheme]) == expected


def test_bandwidths_are_ticks_with_units():
    figure = speedup(runs())
    png(figure)
    labels = [text.get_text().replace("\n", " ") for text in figure.axes[0].get_xticklabels()]
    assert labels == ["100 Mbit/s", "1 Gbit/s", "10 Gbit/s", "25 Gbit/s", "100 Gbit/s"]


def test_ticks_that_would_touch_are_left_out():
    values = [0.1, 1, 10, 25, 40, 50, 100]
    assert scales.thinned(values, math.log) == [0.1, 1, 10, 40, 100]
    assert scales.thinned([4.0], float) == [4.0]
    figure = speedup(runs(FEW, gbits=values, syncs=("ring",)))
    png(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_words_on_an_axis_do_not_touch():
    figure = speedup(runs(FEW, syncs=("ring",)), "scheme")
    png(figure)
    texts = figure.axes[0].get_xticklabels()
    assert [text.get_text() for text in texts] == list(FEW)
    assert {text.get_rotation() for text in texts} == {30.0}
    assert {text.get_rotation() for text in speedup(runs(FEW), "sync").axes[0].get_xticklabels()} == {0.0}


def test_extrapolated_rows_are_hollow_and_said():
    figure = speedup(runs(workers=(8, 64), gbits=(1,)))
    faces = {line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "o"}
    assert faces == {"#0072B2", "white"}
    assert any(line.get_linestyle() == "--" for line in figure.axes[0].lines)
    assert "extrapolated" in figure.texts[-1].get_text()
    assert "extrapolated" not in speedup(runs(workers=(8, 16), gbits=(1,))).texts[-1].get_text()


def test_looks_are_distinct_and_do_not_depend_on_the_panel():
    table = runs()
    looks = style.looks(table["scheme"])
    assert len({(look.colour, look.marker) for look in looks.values()}) == table["scheme"].nunique()
    assert style.looks(table[table["sync"] == "ring"]["scheme"]) == looks


def test_forty_names_look_different_and_the_first_ten_by_colour_alone():
    looks = list(style.looks(["none", *map(str, range(40))]).values())
    assert len({(look.colour, look.pattern) for look in looks}) == 41
    assert len({look.colour for look in looks[:11]}) == 11
    # Dashes say that statistics are extrapolated, dashes with dots are the headroom.
    assert not {"--", "-."} & {look.pattern for look in looks}


@pytest.mark.parametrize("name", ["fp16", "local_sgd(batch=4, beta=0.9, steps=1)+adaptive_steps(share=0.5, most=8)"])
def test_a_legend_of_long_names_leaves_panels_their_width(name):
    figure, (axes,) = layout.panel_figure([("", runs())], 5.0, 3.6, legend=layout.legend_inches([name]))
    handle = style.legend_handle(name, style.looks([name])[name])
    figure.legend(handles=[handle], loc="outside right upper", fontsize=8, frameon=False)
    png(figure)
    assert 4.0 < axes.get_position().width * figure.get_size_inches()[0] < 6.5


def test_any_column_can_be_the_x_axis():
    table = runs(FEW, gbits=(1,))
    assert png(speedup(table, "wire_bytes_per_worker"))
    assert png(speedup(table, "sync"))
    with pytest.raises(InputError, match=r"no column 'wrkers'.*'workers'"):
        speedup(runs(), "wrkers")


def test_the_bars_of_the_breakdown_add_up_to_the_step():
    table = runs(gbits=(1,), syncs=("ring",))
    (axes,) = breakdown(table).axes
    ends = {}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        ends[place] = ends.get(place, 0.0) + bar.get_width()
    order = [text.get_text() for text in axes.get_yticklabels()]
    found = {order[place]: end for place, end in ends.items()}
    assert found == pytest.approx(table.set_index("scheme")["step_time_s"].to_dict(), rel=1e-9)


def test_the_heatmap_shows_the_winner_of_every_cell():
    table = runs()
    (axes,) = heatmap(table).axes
    shown = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    syncs, bandwidths = list(table["sync"].unique())[::-1], sorted(table["bandwidth_bytes_per_s"].unique())
    for (bandwidth, sync), cell in table.groupby(["bandwidth_bytes_per_s", "sync"]):
        best = cell["speedup_x"].max()
        text = shown[bandwidths.index(bandwidth), syncs.index(sync)]
        assert text == ("none wins" if best <= 1.01 else f"{best:.3g}x" if best >= 10 else f"{best:.2f}x")
    assert "none wins" in shown.values()


def test_the_heatmap_of_workers_seeks_over_architectures():
    table = runs(workers=(4, 16))
    (axes,) = heatmap(table).axes
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == 10
    assert any("parameter\nserver" in text for text in texts)
    assert any("ring" in text for text in texts)


def test_the_footer_names_workload_device_network_and_transport():
    text = speedup(runs()).texts[-1].get_text()
    for word in (
        "resnet50",
        "measured on NVIDIA H200",
        "coding cost AMD EPYC CPU",
        "network flow",
        "transport tcp",
        "star",
    ):
        assert word in text


@pytest.mark.parametrize("kind", [breakdown, error])
def test_what_has_no_room_is_said(kind):
    table = runs(gbits=(0.1, 1, 10, 25), syncs=("ring", "parameter_server", "tree", "all_to_all", "hierarchical"))
    note = kind(table).texts[-1].get_text()
    assert "3 of 4 points." in note
    assert "4 of 5 architectures." in note


def test_the_timeline_shows_uncompressed_training_and_the_fastest_scheme():
    table = runs(gbits=(10,))
    figure = timeline(spans(table), table)
    assert png(figure)
    titles = [axes.get_title("left").split(" over ")[0] for axes in figure.axes]
    best = table[table["sync"] == "ring"].sort_values("step_time_s").iloc[0]["scheme"]
    assert titles == ["none", best]


def test_the_timeline_of_asked_rows_and_steps():
    table = runs(gbits=(10,)).head(3)
    recorded = spans(table, steps=2, workers=9)
    figure = timeline(recorded, table, rows=(1,), step=1)
    assert png(figure)
    assert "first 4 of 9 workers" in figure.texts[-1].get_text()
    # A later step begins at zero too.
    assert min(bar.get_x() for bar in figure.axes[0].patches) == pytest.approx(0.0)
    with pytest.raises(InputError, match="no step of point 4"):
        timeline(recorded, table, rows=(3,))
    # Rows that train are left out of the table and counted all the same.
    title = timeline(recorded, table.drop(index=0), rows=(1,)).axes[0].get_title("left")
    assert title.startswith(table.loc[1, "scheme"])
    with pytest.raises(InputError, match="no spans of step 7; recorded steps: 0, 1"):
        timeline(recorded, table, step=7)
    with pytest.raises(InputError, match="no spans were recorded"):
        timeline(recorded.head(0), table)


def test_what_overlaps_in_a_lane_of_the_timeline_is_drawn_below_one_another():
    """Two of three buckets are under way at once: the lane has two rows, and bars of a row never overlap."""
    table = runs(gbits=(10,)).head(1)
    keys = spans(table).iloc[[0]].drop(columns=["what", "bucket", "start_s", "end_s"])
    times = [(0, 0.0, 2.0), (1, 1.0, 3.0), (2, 2.0, 4.0)]
    rows = [keys.assign(what="communicate", bucket=one, start_s=begin, end_s=end) for one, begin, end in times]
    bars = [(bar.get_y(), bar.get_x()) for bar in timeline(pd.concat(rows), table, rows=(0,)).axes[0].patches]
    (first, x0), (second, x1), (third, x2) = sorted(bars, key=lambda bar: bar[1])
    assert (x0, x1, x2) == (0.0, 1.0, 2.0)
    assert first == third == pytest.approx(second - 0.39)


def test_figures_come_from_the_folder_alone(tmp_path):
    table = runs(FEW, gbits=(1, 10))
    table.to_parquet(tmp_path / "runs.parquet")
    spans(table[table["bandwidth_bytes_per_s"] == GBIT]).to_parquet(tmp_path / "spans.parquet")
    replayed = [kind for kind in KINDS if kind not in TRAINING + ASYNCHRONOUS]
    for kind in replayed:
        save(draw(tmp_path, kind), tmp_path / "plots" / f"{kind}.png")
    assert set(STANDARD) < set(KINDS)
    assert {file.stem for file in (tmp_path / "plots").glob("*.png")} == set(replayed)
    for kind in TRAINING:
        with pytest.raises(InputError, match="no point of this result"):
            draw(tmp_path, kind)


def test_staleness_is_drawn_from_runs_and_steps(tmp_path):
    syncs = ("parameter_server", "parameter_server(staleness=1)", "parameter_server(staleness=unbounded)")
    table = runs(("none", "fp16"), syncs=syncs, gbits=(1, 10)).assign(staleness_max=[0.0, 3.0, 5.0] * 4)
    table["staleness_max"] = table["sync"].map(dict(zip(syncs, (0.0, 3.0, 5.0), strict=True)))
    table.to_parquet(tmp_path / "runs.parquet")
    steps = table[["point", "scheme", "sync"]].merge(pd.DataFrame({"staleness": [0, 1, 1, 3]}), how="cross")
    steps.to_parquet(tmp_path / "steps.parquet")
    figure = draw(tmp_path, "staleness")
    assert png(figure).startswith(b"\x89PNG")
    outlines = [patch for axes in figure.axes for patch in axes.patches if hasattr(patch, "get_data")]
    assert len(outlines) == 2 * 2
    assert [list(one.get_data().values) for one in outlines] == [[0.25, 0.5, 0.0, 0.25]] * 4
    table.assign(staleness_max=0.0).to_parquet(tmp_path / "runs.parquet")
    steps.drop(columns="staleness").to_parquet(tmp_path / "steps.parquet")  # as of jobs whose workers wait
    with pytest.raises(InputError, match="synchronous"):
        draw(tmp_path, "staleness")


def test_wrong_folders_kinds_and_formats_are_user_errors(tmp_path):
    with pytest.raises(InputError, match=r"no runs.parquet"):
        draw(tmp_path, "speedup")
    with pytest.raises(InputError, match="unknown plot 'pie'"):
        draw(tmp_path, "pie")
    (tmp_path / "runs.parquet").write_text("not a table")
    with pytest.raises(InputError, match="not a readable table"):
        draw(tmp_path, "speedup")
    runs().drop(columns="headroom_x").to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"runs.parquet: has no column 'headroom_x'.*; run the scenario again"):
        draw(tmp_path, "speedup")
    with pytest.raises(InputError, match=r"cannot write a pgn picture.*'png'"):
        save(speedup(runs(gbits=(1,))), tmp_path / "x.pgn")
    runs().head(0).to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match="no point was simulated"):
        draw(tmp_path, "speedup")
