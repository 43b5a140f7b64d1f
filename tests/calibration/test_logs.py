"""What logs say, and the one clear error of each that is damaged."""

from __future__ import annotations

import json

import pytest

from netsim.calibration import Hints, Sample, read_log
from netsim.errors import InputError

NCCL_TESTS = """\
# nThread 1 nGpus 1 minBytes 1048576 maxBytes 8388608 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
#
# Using devices
#  Rank  0 Group  0 Pid  11868 on      node0 device  0 [0x07] NVIDIA A100-SXM4-40GB
#  Rank  1 Group  0 Pid  11868 on      node0 device  1 [0x0a] NVIDIA A100-SXM4-40GB
#  Rank  2 Group  0 Pid  11868 on      node0 device  2 [0x44] NVIDIA A100-SXM4-40GB
#  Rank  3 Group  0 Pid  11868 on      node0 device  3 [0x4a] NVIDIA A100-SXM4-40GB
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
     1048576        262144     float     sum      -1    95.29   11.00   16.51      0    94.10   11.14   16.71      0
     8388608       2097152     float     sum      -1    280.4   29.92   44.88      0    12345    0.68    1.02      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 19.78
"""


def iperf3(streams=2, **changes):
    start = {"test_start": {"protocol": "TCP", "num_streams": streams}}
    sums = [{"seconds": 1.0, "bytes": 1e8, "omitted": False}, {"seconds": 0.5, "bytes": 1e7, "omitted": True}]
    return {"start": start, "intervals": [{"sum": one, "streams": []} for one in sums]} | changes


def read(tmp_path, text, **hints):
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    return read_log(log, Hints(**hints))


def test_nccl_tests_are_read_with_their_ranks_in_and_out_of_place(tmp_path):
    samples = read(tmp_path, NCCL_TESTS)
    assert {(one.operation, one.workers) for one in samples} == {("all_reduce", 4)}
    assert [one.size_bytes for one in samples] == [2**20, 2**20, 2**23, 2**23]
    assert [one.time_s for one in samples] == pytest.approx([95.29e-6, 94.10e-6, 280.4e-6, 12345e-6])


def test_what_the_user_says_of_a_log_counts_more(tmp_path):
    samples = read(tmp_path, NCCL_TESTS, operation="reduce_scatter", workers=8)
    assert {(one.operation, one.workers) for one in samples} == {("reduce_scatter", 8)}


def test_the_program_named_in_a_log_says_the_collective(tmp_path):
    text = "# Collective test starting: alltoall_perf\n" + NCCL_TESTS.replace(" sum ", "none ")
    assert read(tmp_path, text)[0].operation == "all_to_all"


def test_iperf3_counts_whole_intervals(tmp_path):
    assert read(tmp_path, json.dumps(iperf3())) == [Sample("point_to_point", 2, 1e8, 1.0, 2)]


@pytest.mark.parametrize(
    ("table", "hints", "expected"),
    [
        ("size_bytes,time_s\n1000,0.5\n", {}, ("point_to_point", 2, 1000, 0.5)),
        ("# a comment\nsize , time_us\n\n1 MB,20\n", {}, ("point_to_point", 2, 1e6, 20e-6)),
        ("operation,workers,size,time_ms\nall_reduce,4,64K,20\n", {}, ("all_reduce", 4, 65536, 20e-3)),
        ("size,busbw_GBps\n1M,10.48576\n", {"workers": 8}, ("all_reduce", 8, 2**20, 1.75e-4)),
        ("size,a_busbw,busbw\n1M,1,1.048576\n", {"workers": 8, "column": "busbw"}, ("all_reduce", 8, 2**20, 175e-5)),
        ("size,algbw\n1G,1.073741824\n", {"operation": "broadcast", "workers": 4}, ("broadcast", 4, 2**30, 1.0)),
        ("Size_Bytes; Time_ms\n1000;2\n", {}, ("point_to_point", 2, 1e3, 2e-3)),
        ("SIZE\tseconds\n64 kB\t0.5\n", {}, ("point_to_point", 2, 64e3, 0.5)),
    ],
)  # fmt: skip
def test_tables_are_read(tmp_path, table, hints, expected):
    (sample,) = read(tmp_path, table, **hints)
    assert (sample.operation, sample.workers, sample.size_bytes) == expected[:3]
    assert sample.time_s == pytest.approx(expected[3])


@pytest.mark.parametrize(
    ("text", "hints", "said"),
    [
        ("", {}, "no column of sizes"),
        ("size_bytes,time_s\n", {}, "a table without rows"),
        ("size_bytes,speed\n1,2\n", {}, "no column of times or bandwidths among size_bytes, speed"),
        ("size_bytes,time_s\n1,2,3\n", {}, ":2: 3 values under 2 columns"),
        ("size_bytes,time_s\n1000,fast\n", {}, ":2: 'fast' is not a number above 0"),
        ("size_bytes,time_s\n1000,-1\n", {}, ":2: '-1' is not a number above 0"),
        ("size_bytes,time_s\n10 MBit,1\n", {}, ":2: 'MBit' is not a unit of size"),
        ("size,a_busbw,busbw\n1M,1,1\n", {"workers": 2}, "choose one: --column a_busbw"),
        ("size,a_busbw\n1M,1\n", {"workers": 2, "column": "c"}, "there is no column 'c'"),
        ("size,busbw\n1M,1\n", {}, ":2: the log does not say how many ranks did the all_reduce; give two or more"),
        ("size,time_s\n1M,1\n", {"operation": "all_redcue"}, "'all_reduce'"),
        (NCCL_TESTS.replace("   280.4   29.92   44.88      0", ""), {}, ":13: a row of the table is cut short"),
        (NCCL_TESTS.replace("95.29", "  N/A"), {}, ":12: a row of the table is cut short or damaged"),
        (NCCL_TESTS.replace("95.29", " 0.00"), {}, ":12: a time of 0.00 us"),
        (NCCL_TESTS[: NCCL_TESTS.index("     1048576 ")], {"operation": "all_reduce"}, "has no rows"),
        (NCCL_TESTS.replace(" sum ", "none "), {}, "does not say which collective it timed"),
        (NCCL_TESTS.replace("#  Rank ", "# "), {}, "how many ranks did the all_reduce"),
        ('{"start": ', {}, "not a readable JSON file"),
        ("[1]", {}, "no object at its top"),
        (json.dumps(iperf3(error="unable to connect")), {}, "iperf3 failed: unable to connect"),
        (json.dumps(iperf3(intervals=[])), {}, "no interval that counts"),
        (json.dumps(iperf3(start={})), {}, "not a whole log of iperf3: 'test_start'"),
        (json.dumps(iperf3()).replace("TCP", "UDP"), {}, "a test of UDP"),
    ],
)
def test_a_damaged_log_is_one_error_that_says_where(tmp_path, text, hints, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **hints)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "log"))
    assert caught.value.remedy


def test_a_log_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_log(tmp_path / "nowhere.csv")
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_log(tmp_path / "picture")
