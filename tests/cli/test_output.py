"""Printing: exact numbers, aligned tables, JSON that any reader takes."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.cli import demo_report, output


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**27), max_value=10**27))
def test_exact_prints_a_decimal_that_reads_back_equal(number):
    """No exponent, no digit lost."""
    text = output.exact(number)
    assert Decimal(text) == number
    assert "E" not in text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0E-9", "0"),
        ("1E+3", "1000"),
        ("10.500000000", "10.5"),
        ("-0.000000000", "-0"),
        ("100", "100"),
        ("NaN", "NaN"),
    ],
)
def test_exact_trims_zeros_only_behind_the_point(number, text):
    """100 stays 100."""
    assert output.exact(Decimal(number)) == text


def test_json_has_a_form_for_everything_duckdb_returns():
    """Nested lists and structs, instants, bytes, infinities."""
    value = {
        "d": Decimal("1.50"),
        "at": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
        "on": dt.date(2024, 1, 2),
        "list": [Decimal("2.0"), None],
        "struct": {"a": float("inf")},
        "bytes": b"\x00\xff",
        "big": 2**100,
        "yes": True,
    }
    assert json.loads(json.dumps(output.as_json(value))) == {
        "d": "1.5",
        "at": "2024-01-02T00:00:00+00:00",
        "on": "2024-01-02",
        "list": ["2", None],
        "struct": {"a": None},
        "bytes": "00ff",
        "big": 2**100,
        "yes": True,
    }


def test_tables_align_and_escape(capsys):
    """Numbers to the right, control characters visible, nothing as a dash."""
    output.print_table(("name", "n"), [("a\tb", 5), (None, 12345)], right=("n",))
    assert capsys.readouterr().out == "name      n\n----  -----\na\\tb      5\n-     12345\n"
    output.print_table(("x",), [("\x1b[0m",)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (4e15, "4000.0 TB")]
)
def test_sizes_are_for_people(count, text):
    """Decimal units."""
    assert output.size(count) == text


def test_no_progress_bar_where_stderr_is_no_terminal(capsys):
    """A log file gets no control sequences."""
    from mdc_resources.ingest import Progress

    with output.progress_bar("bars") as show:
        show(Progress(1, 2, 1, 10, 0))
    seen = capsys.readouterr()
    assert seen.out == seen.err == ""


def test_the_progress_bar_counts_on_a_terminal():
    """In a process of its own, on a pseudo terminal."""
    import os
    import pty
    import subprocess
    import sys

    code = (
        "from mdc_resources.cli.output import progress_bar\nfrom mdc_resources.ingest import Progress\n"
        "with progress_bar('bars_1d') as show: show(Progress(3, 3, 2, 10, 1))"
    )
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stderr=follower, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    seen = os.read(leader, 65536).decode()
    os.close(leader)
    assert "3/3" in seen
    assert "2 requests, 1 failovers" in seen


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([None], ""), ([1.0], "▁"), ([1.0, 2.0], "▁█"), ([2.0, None, 1.0], "█ ▁"), ([3.0, 3.0], "▁▁")],
)
def test_sparkline(values, line):
    """Lowest to highest block; a gap is a space."""
    assert demo_report.spark(values, width=max(len(values), 1)).rstrip() == line


def test_a_sparkline_shows_the_mean_of_each_stretch():
    """A long series in a few characters."""
    assert demo_report.spark([float(n) for n in range(240)], width=8) == "▁▂▃▄▅▆▇█"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (99, "99 s"),
        (150, "2 min"),
        (7200, "2 h"),
        (90_000, "25 h"),
        (864_000, "10 d"),
    ],
)
def test_a_duration_is_said_in_one_unit(seconds, text):
    """Short enough for a table; never "1 d" for what is 30 hours."""
    assert output.duration(seconds) == text
