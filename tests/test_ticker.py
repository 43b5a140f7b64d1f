"""How far long work has got: plain lines where standard error is no terminal, a bar where it is."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time

import pytest

from netsim import ticker
from netsim.ticker import ticking

LINE = re.compile(r"measuring topk: (\d)/4 done, 00:00 elapsed(, about 00:\d\d left)?")


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(ticker, "FIRST_S", 0.02)


def test_a_log_has_a_line_now_and_then_while_one_piece_is_under_way(hasty, capsys):
    with ticking("measuring", alike=True) as tell:
        tell(0, 4, "topk")
        time.sleep(0.1)
        tell(3, 4, "topk")
        time.sleep(0.1)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert not out
    assert 2 <= len(lines) <= 10
    assert all(LINE.fullmatch(line) for line in lines)
    assert lines[0] == "measuring topk: 0/4 done, 00:00 elapsed"  # nothing is done, so that no rest can be expected
    assert re.search(r"3/4 done, .*, about 00:00 left", lines[-1])


def test_what_is_left_of_unlike_pieces_is_not_told(hasty, capsys):
    """Measurements take minutes and what follows seconds: a rest of hours would be told a minute before the end."""
    with ticking("measuring") as tell:
        tell(3, 4, "topk")
        time.sleep(0.1)
    assert capsys.readouterr().err.splitlines()[-1] == "measuring topk: 3/4 done, 00:00 elapsed"


def test_work_that_is_short_or_not_to_be_shown_says_nothing(capsys, monkeypatch):
    with ticking("measuring") as tell:
        tell(0, 4)
        time.sleep(0.05)
    monkeypatch.setattr(ticker, "FIRST_S", 0.01)
    with ticking("measuring", show=False) as tell:
        tell(0, 4)
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_lines_come_more_rarely_the_longer_it_takes(capsys, monkeypatch):
    pauses, now_s = [], [0.0]

    class Over:
        def wait(self, pause_s):
            pauses.append(pause_s)
            now_s[0] += pause_s
            return now_s[0] > 3600

    monkeypatch.setattr(ticker.time, "monotonic", lambda: now_s[0])
    lines = ticker._Lines("simulating", alike=True)
    lines._over = Over()
    lines(1, 2)
    lines._run()
    assert pauses[:3] == [10.0, 10.0, 10.0]
    assert pauses[-1] == 60.0
    assert pauses == sorted(pauses)
    assert "simulating: 1/2 done, 01:40 elapsed, about 01:40 left" in capsys.readouterr().err.splitlines()


def test_an_error_inside_ends_the_lines(hasty, capsys):
    with pytest.raises(ZeroDivisionError), ticking("measuring"):
        _ = 1 / 0
    capsys.readouterr()
    time.sleep(0.05)
    assert not capsys.readouterr().err


def test_a_stream_that_is_closed_ends_nothing(hasty, monkeypatch):
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", closed)
    with ticking("measuring") as tell:
        tell(0, 1)
        closed.isatty()
        closed.close()
        time.sleep(0.05)


def test_a_terminal_has_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ticking("measuring") as tell:
        tell(0, 4, "topk")
        tell(4, 4, "qsgd")
    assert "measuring topk:   0%|" in terminal.getvalue()
    assert "measuring qsgd: 100%|" in terminal.getvalue()


RUN = """
import sys
from netsim import ticker
from netsim.cli import main
ticker.FIRST_S = 0.001
sys.exit(main(["collective", "all_to_all", "--network", "packet", "--sizes", "1MB,2MB", "--json"]))
"""


def test_a_command_keeps_its_lines_off_standard_output():
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    assert re.search(r"^simulating [12] MB: [01]/2 done, 00:0\d elapsed", done.stderr, re.MULTILINE)
    assert done.stdout.startswith("[")
    assert "elapsed" not in done.stdout
