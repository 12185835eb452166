"""``mdc query``: every digit, in every format, now and as of then."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

ONE = (
    "SELECT symbol, session, open, close, volume FROM bars_1d WHERE symbol = 'AAPL' ORDER BY session LIMIT 3"
)


def test_csv_and_json_print_the_stored_decimals(stocked):
    """The text in CSV and JSON is the decimal of the Parquet file, digit by digit."""
    rows = pq.read_table(io.BytesIO(stocked("query", ONE, "--format", "parquet").raw)).to_pylist()
    assert isinstance(rows[0]["close"], Decimal)
    csv = [line.split(",") for line in stocked("query", ONE, "--format", "csv").out.splitlines()[1:]]
    assert [Decimal(line[3]) for line in csv] == [row["close"] for row in rows]
    documents = stocked("query", ONE, "--format", "json").json
    assert [Decimal(document["close"]) for document in documents] == [row["close"] for row in rows]
    assert documents[0]["session"] == "2024-01-02"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("34.099998474::DECIMAL(18,9)", "34.099998474"),
        ("0.1::DECIMAL(18,9)", "0.1"),
        ("100::DECIMAL(18,9)", "100"),
        ("-0.000000001::DECIMAL(18,9)", "-0.000000001"),
        ("12345678901234567890.12345678::DECIMAL(28,8)", "12345678901234567890.12345678"),
        ("9007199254740993::BIGINT", "9007199254740993"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("99999999999999999999999999999999999999::DECIMAL(38,0)", "99999999999999999999999999999999999999"),
        ("'007'", "007"),
        ("NULL", ""),
        ("TIMESTAMPTZ '2024-03-10 14:30:00+00'", "2024-03-10T14:30:00+00:00"),
    ],
)
def test_values_are_printed_exactly(stocked, value, printed):
    """No exponent, no float, no lost digit, instants in UTC."""
    assert stocked("query", f"SELECT {value} AS x", "--format", "csv").out == f"x\n{printed or chr(34) * 2}\n"


def test_not_a_number_is_null_in_json(stocked):
    """JSON has no NaN; a strict reader can read what is printed."""
    out = stocked("query", "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, 1.5::DOUBLE AS c", "--json").out
    assert json.loads(out, parse_constant=pytest.fail) == [{"a": None, "b": None, "c": 1.5}]


def test_an_empty_result_is_an_empty_result(stocked):
    """In every format."""
    sql = "SELECT symbol FROM bars_1d WHERE symbol = 'NONE'"
    assert stocked("query", sql, "--json").json == []
    assert stocked("query", sql, "--format", "csv").out == "symbol\n"
    assert pq.read_table(io.BytesIO(stocked("query", sql, "--format", "parquet").raw)).num_rows == 0
    assert stocked("query", sql).out.startswith("symbol")


def test_a_table_shows_a_hundred_rows_and_says_that_there_are_more(stocked):
    """CSV has all of them."""
    ran = stocked("query", "SELECT * FROM range(250)")
    assert len(ran.out.splitlines()) == 102
    assert "first 100 rows" in ran.err
    assert len(stocked("query", "SELECT * FROM range(250)", "--format", "csv").out.splitlines()) == 251


def test_control_characters_in_data_do_not_steer_the_terminal(stocked):
    """They are escaped in a table."""
    out = stocked("query", "SELECT chr(27) || '[31mred' AS x").out
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "table"])
def test_output_writes_a_new_file_and_never_overwrites(stocked, tmp_path, form):
    """Same content as stdout; a second time is refused."""
    target = tmp_path / "out"
    assert stocked("query", ONE, "--format", form, "--output", str(target)).code == 0
    assert target.read_bytes() == stocked("query", ONE, "--format", form).raw
    again = stocked("query", "SELECT 1", "--format", form, "--output", str(target))
    assert again.code == 2
    assert "exists already" in again.err


def test_a_failing_query_leaves_no_file(stocked, tmp_path):
    """Neither the target nor a temporary one."""
    target = tmp_path / "out.csv"
    ran = stocked("query", "SELECT error('no') FROM range(3)", "--format", "csv", "--output", str(target))
    assert ran.code == 2
    assert list(tmp_path.iterdir()) == []


def test_as_of_a_snapshot_shows_the_lake_of_then(stocked_copy):
    """By id, and by an instant before the newest commit."""
    before = stocked_copy("lake", "snapshots", "--json").json[-1]
    count = "SELECT count(*) AS n FROM bars_1d"
    ran = stocked_copy("backfill", "KO", "--start", "2024-01-02", "--end", "2024-01-31", "--direct")
    assert ran.code == 0
    assert stocked_copy("query", count, "--json").json == [{"n": 63}]
    assert stocked_copy("query", count, "--as-of", str(before["snapshot_id"]), "--json").json == [{"n": 42}]
    assert stocked_copy("query", count, "--as-of", before["committed_at"], "--json").json == [{"n": 42}]


@pytest.mark.parametrize(
    "as_of",
    ["999999", "2001-01-01T00:00:00Z", "2024-01-02", "2024-01-02T00:00:00", "yesterday", "-1", "1.5", ""],
)
def test_an_as_of_that_cannot_be_read_is_exit_2(stocked, as_of):
    """Unknown snapshot, before the first, without a zone, or no instant at all."""
    ran = stocked("query", "SELECT 1", f"--as-of={as_of}")
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT nope FROM bars_1d", "SELECT * FROM nope", "SELECT 1/", "SELECT 'x'::INT", ""]
)
def test_wrong_sql_is_exit_2_with_duckdbs_message(stocked, sql):
    """One line or two, no traceback, no log file."""
    ran = stocked("query", sql)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) <= 2


@pytest.mark.parametrize(
    "sql",
    [
        "FROM bars_1d LIMIT 1",
        "WITH a AS (SELECT * FROM bars_1d) SELECT count(*) FROM a",
        "SHOW TABLES",
        "DESCRIBE bars_1d",
        "SUMMARIZE bars_1d",
        "SELECT * FROM (PIVOT bars_1d ON symbol IN ('AAPL', 'MSFT') USING first(close) GROUP BY session)",
        "SELECT unnest([1, 2])",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT 1 -- a comment; DROP TABLE bars_1d",
        "SELECT 1;",
        "SELECT * FROM coverage LIMIT 1",
        "SELECT * FROM fetches LIMIT 1",
        "VALUES (1)",
    ],
)
def test_reading_in_all_its_forms_works(stocked, sql):
    """What analysts type."""
    ran = stocked("query", sql, "--format", "csv")
    assert ran.code == 0, ran.err


def test_daily_bars_carry_their_sessions_open_in_utc(stocked):
    """2024-01-02 opened at 9:30 in New York."""
    row = stocked(
        "query", "SELECT ts FROM bars_1d WHERE session = '2024-01-02' AND symbol = 'AAPL'", "--json"
    ).json[0]
    assert dt.datetime.fromisoformat(row["ts"]) == dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)


def test_a_closed_pipe_is_no_error(stocked):
    """`mdc query ... | head` ends quietly."""
    import subprocess
    import sys

    main = "from mdc_resources.cli.main import main; main()"
    words = [
        sys.executable,
        "-c",
        main,
        "--config",
        str(stocked.root),
        "query",
        "FROM range(300000)",
        "--format",
        "csv",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read().decode()
