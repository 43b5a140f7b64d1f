from __future__ import annotations

import math

import pytest

from netsim.report.text import Column, entries, fraction, nbytes, ratio, seconds, shorten, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (1.234567, "1.235 s"),
        (12.0, "12.00 s"),
        (0.0123456, "12.35 ms"),
        (999.96e-6, "1.000 ms"),
        (25e-6, "25.00 us"),
        (3e-9, "3.000 ns"),
        (math.nan, "-"),
    ],
)
def test_seconds_have_four_digits_and_the_prefix_that_reads_best(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1, "1.00 B"), (999.9, "1.00 kB"), (48_200, "48.2 kB"), (102e6, "102 MB"), (math.nan, "-")],
)
def test_sizes_are_decimal(value, text):
    assert nbytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1.00x"),
        (0.954, "0.95x"),
        (9.996, "10.0x"),
        (99.96, "100x"),
        (374.2, "374x"),
        (math.inf, "inf"),
        (math.nan, "-"),
    ],
)
def test_ratios_have_three_digits(value, text):
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (3e-8, "0"), (0.0003, "0.0003"), (0.0996, "0.10"), (0.78, "0.78"), (math.nan, "-")]
)
def test_errors_below_float32_rounding_are_zero(value, text):
    assert fraction(value) == text


def test_names_in_the_first_column_are_shortened_last():
    columns = [Column("scheme", words=True), Column("time"), Column("bottleneck", words=True)]
    name, link = "powersgd(rank=4)+error_feedback", "machine0.hub0->machine0.hub1"
    lines = table(columns, [[name, "1.157 s", link]], width=60)
    assert lines[1].split() == [name, "1.157", "s", "machine...0.hub1"]
    assert not any(name in line for line in table(columns, [[name, "1.157 s", link]], width=50))


def test_shorten_keeps_both_ends():
    assert shorten("topk(ratio=0.01)+error_feedback", 15) == "topk(r...edback"
    assert shorten("short", 5) == "short"


def test_a_table_is_aligned_and_as_wide_as_asked():
    columns = [Column("scheme", words=True), Column("step|time"), Column("note", words=True)]
    lines = table(columns, [["a" * 80, "1 ms", "b" * 80], ["x", "10 ms", "y"]], width=60)
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].index("step") + len("step") == lines[2].index("1 ms") + len("1 ms")
    assert "a..." in lines[2]
    assert "...b" in lines[2]


def test_entries_lose_no_word():
    text = "word " * 60
    lines = entries([("name", text), ("longer_name", "x")], width=80)
    assert all(len(line) <= 80 for line in lines)
    assert " ".join(lines).split()[1:61] == text.split()
