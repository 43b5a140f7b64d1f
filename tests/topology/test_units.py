"""Units: what is written is what is meant, or it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.errors import InputError
from netsim.units import BANDWIDTH, DURATION, SIZE, format_bandwidth, format_duration, format_size

QUANTITIES = [BANDWIDTH, DURATION, SIZE]
NUMBERS = st.floats(1e-3, 1e6)
DECIMAL = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
FACTORS = {prefix: 10.0**power for prefix, power in DECIMAL.items()} | {
    prefix: 2.0**power for prefix, power in BINARY.items()
}


@given(NUMBERS, st.sampled_from(sorted(FACTORS)))
def test_bits_are_an_eighth_of_bytes_for_every_prefix(number, prefix):
    as_bytes = BANDWIDTH.parse(f"{number!r} {prefix}B/s")
    assert as_bytes == pytest.approx(number * FACTORS[prefix], rel=1e-12)
    for unit in ("bit/s", "bps"):
        assert BANDWIDTH.parse(f"{number!r} {prefix}{unit}") == pytest.approx(as_bytes / 8, rel=1e-12)
    assert SIZE.parse(f"{number!r}{prefix}B") == pytest.approx(as_bytes, rel=1e-12)


@given(NUMBERS, st.sampled_from("kMGT"))
def test_binary_prefixes_are_larger_than_decimal_ones_by_the_known_factor(number, prefix):
    power = "kMGT".index(prefix) + 1
    binary = prefix.upper() + "i"
    ratio = SIZE.parse(f"{number!r} {binary}B") / SIZE.parse(f"{number!r} {prefix}B")
    assert ratio == pytest.approx(1.024**power, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "text", "expected"),
    [
        (BANDWIDTH, "10 Gbit/s", 1.25e9),
        (BANDWIDTH, "100Mbps", 1.25e7),
        (BANDWIDTH, "  1.5e1 GB/s ", 1.5e10),
        (BANDWIDTH, "1 GiB/s", 2.0**30),
        (BANDWIDTH, "8 Gibit/s", 2.0**30),
        (DURATION, "25 us", 25e-6),
        (DURATION, "25 µs", 25e-6),
        (DURATION, "25 \u03bcs", 25e-6),  # the Greek letter
        (DURATION, ".5ms", 5e-4),
        (DURATION, "2 min", 120.0),
        (DURATION, "1 h", 3600.0),
        (DURATION, "0", 0.0),
        (DURATION, 0, 0.0),
        (DURATION, "0 s", 0.0),
        (SIZE, "25 MiB", 25 * 2.0**20),
        (SIZE, "1 kB", 1000.0),
        (SIZE, "3. B", 3.0),
    ],
)
def test_what_is_written_is_what_is_meant(quantity, text, expected):
    assert quantity.parse(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("quantity", "text", "said"),
    [
        (BANDWIDTH, "10", "needs a unit"),
        (BANDWIDTH, 10, "needs a unit"),
        (BANDWIDTH, 1e9, "needs a unit"),
        (BANDWIDTH, "10 Gb/s", "'bit' for bits or 'B' for bytes"),
        (BANDWIDTH, "10 Gb", "'bit' for bits or 'B' for bytes"),
        (BANDWIDTH, "10 Gbit", "per second"),
        (BANDWIDTH, "10 GB", "per second"),
        (BANDWIDTH, "10 gbit/s", "not a unit"),
        (BANDWIDTH, "10 KB/s", "not a unit"),
        (BANDWIDTH, "0 Gbit/s", "more than zero"),
        (BANDWIDTH, "-1 Gbit/s", "more than zero"),
        (BANDWIDTH, "1e999 Gbit/s", "finite"),
        (BANDWIDTH, "0", "needs a unit"),
        (BANDWIDTH, "nan Gbit/s", "not a bandwidth"),
        (BANDWIDTH, "inf Gbit/s", "not a bandwidth"),
        (BANDWIDTH, "1,5 Gbit/s", "not a unit|not a bandwidth"),
        (BANDWIDTH, "10 Gbit /s", "not a bandwidth"),
        (BANDWIDTH, "Gbit/s", "not a bandwidth"),
        (BANDWIDTH, "", "not a bandwidth"),
        (DURATION, "5", "needs a unit"),
        (DURATION, "-5 us", "zero or more"),
        (DURATION, "5 mS", "not a unit"),
        (DURATION, "5 m", "not a unit"),
        (DURATION, True, "cannot be True"),
        (DURATION, None, "cannot be None"),
        (DURATION, ["5 us"], "cannot be"),
        (DURATION, float("nan"), "not a duration"),
        (SIZE, "25 Mb", "'bit' for bits or 'B' for bytes"),
        (SIZE, "25 Mbit", "sizes are in bytes"),
        (SIZE, "25 MB/s", "not a unit"),
        (SIZE, "1000", "needs a unit"),
        (SIZE, "-1 B", "zero or more"),
    ],
)
def test_what_is_not_clear_is_refused_with_a_remedy(quantity, text, said):
    with pytest.raises(InputError, match=said) as caught:
        quantity.parse(text)
    assert caught.value.remedy


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_an_input_error(text):
    for quantity in QUANTITIES:
        try:
            value = quantity.parse(text)
        except InputError:
            continue
        assert value >= 0


@given(
    st.floats(1e-9, 1e15),
    st.sampled_from([(BANDWIDTH, format_bandwidth), (DURATION, format_duration), (SIZE, format_size)]),
)
def test_what_is_printed_is_read_back_to_its_four_digits(value, pair):
    quantity, text_of = pair
    assert quantity.parse(text_of(value)) == pytest.approx(value, rel=5.001e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_bandwidth(1.25e9), "10 Gbit/s"),
        (format_bandwidth(12.5e6), "100 Mbit/s"),
        (format_duration(25e-6), "25 us"),
        (format_duration(0.0), "0 ns"),
        (format_size(25e6), "25 MB"),
    ],
)
def test_what_is_printed_reads_as_people_write(text, expected):
    assert text == expected
