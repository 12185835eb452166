"""``import mdc``: a plain read-only connection, and bars as Arrow, pandas and polars."""

from __future__ import annotations

import ast
import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import mdc
from mdc_resources.cli.main import app
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer

JANUARY = ("2024-01-02", "2024-01-31")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """AAPL and BRK.B, January 2024."""
    root = tmp_path_factory.mktemp("facade") / "home"
    runner = CliRunner()
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        port = server.url.rpartition(":")[2]
        assert runner.invoke(app, ["init", str(root), "--sandbox", "--port", port]).exit_code == 0
        words = [
            "--config",
            str(root),
            "backfill",
            "AAPL",
            "BRK.B",
            "--start",
            JANUARY[0],
            "--end",
            JANUARY[1],
            "--direct",
        ]
        assert runner.invoke(app, words).exit_code == 0
    return root


def test_connect_is_a_plain_duckdb_connection_with_the_views(home):
    """No wrapper: everything DuckDB can do with a connection works."""
    with mdc.connect(home) as lake:
        assert type(lake) is duckdb.DuckDBPyConnection
        names = {row[0] for row in lake.execute("SHOW TABLES").fetchall()}
        assert {
            "bars_1d",
            "bars_1d_stored",
            "bars_1m",
            "corporate_actions",
            "instruments",
            "coverage",
        } <= names
        assert lake.sql("SELECT count(*) FROM bars_1d").fetchone() == (42,)


def test_the_connection_cannot_write_to_the_lake(home):
    """Read-only by attachment."""
    with mdc.connect(home) as lake:
        database = next(
            row[0]
            for row in lake.execute(
                "SELECT database_name FROM duckdb_databases() WHERE type = 'ducklake'"
            ).fetchall()
        )
        for sql in (f"DELETE FROM {database}.bars_1d", f"CREATE TABLE {database}.x AS SELECT 1"):
            with pytest.raises(duckdb.Error):
                lake.execute(sql)


def test_own_frames_can_be_joined(home):
    """It is the caller's own process: Python variables are visible, unlike in `mdc query`."""
    mine = pa.table({"symbol": ["AAPL"], "weight": [0.5]})
    with mdc.connect(home) as lake:
        found = lake.sql("SELECT DISTINCT symbol, weight FROM bars_1d JOIN mine USING (symbol)").fetchall()
    assert found == [("AAPL", 0.5)]
    assert mine.num_rows == 1


def test_bars_are_float64_arrow_in_order(home):
    """Both ends included, sorted by symbol and time."""
    table = mdc.bars(["BRK.B", "AAPL"], *JANUARY, config=home).arrow()
    assert table.num_rows == 42
    for name in ("open", "high", "low", "close", "volume"):
        assert table.schema.field(name).type == pa.float64()
    keys = list(zip(table["symbol"].to_pylist(), table["ts"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    sessions = table["session"].to_pylist()
    assert min(sessions) == dt.date(2024, 1, 2)
    assert max(sessions) == dt.date(2024, 1, 31)


def test_exact_keeps_the_stored_decimals(home):
    """The float is the decimal's nearest, never the other way round."""
    exact = mdc.bars("AAPL", *JANUARY, exact=True, config=home).arrow()
    rounded = mdc.bars("AAPL", *JANUARY, config=home).arrow()
    assert pa.types.is_decimal(exact.schema.field("close").type)
    closes = exact["close"].to_pylist()
    assert isinstance(closes[0], Decimal)
    assert [float(close) for close in closes] == rounded["close"].to_pylist()


def test_bars_as_pandas(home):
    """A frame with UTC instants."""
    frame = mdc.bars("AAPL", *JANUARY, config=home).df()
    assert len(frame) == 21
    assert str(frame["close"].dtype) == "float64"
    assert str(frame["ts"].dt.tz) == "UTC"


def test_bars_as_polars(home):
    """The same rows."""
    polars = pytest.importorskip("polars")
    frame = mdc.bars("AAPL", *JANUARY, config=home).pl()
    assert isinstance(frame, polars.DataFrame)
    assert frame.height == 21


def test_a_missing_polars_names_the_command_that_installs_it(home, monkeypatch):
    """Not a bare ModuleNotFoundError."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(mdc.MdcError, match=r"pip install 'mdc\[polars\]'"):
        mdc.bars("AAPL", *JANUARY, config=home).pl()


@pytest.mark.parametrize("symbols", ["AAPL,brk.b", ["AAPL", "BRK.B"], ("aapl", "BRK.B", "AAPL")])
def test_symbols_in_every_spelling(home, symbols):
    """Text, list or tuple; any case; repeats count once."""
    assert len(mdc.bars(symbols, *JANUARY, config=home)) == 42


def test_dates_as_dates(home):
    """datetime.date and ISO text are the same."""
    assert len(mdc.bars("AAPL", dt.date(2024, 1, 2), dt.date(2024, 1, 2), config=home)) == 1


def test_what_is_not_stored_has_no_rows(home):
    """A symbol nobody fetched is no error here."""
    assert len(mdc.bars("MSFT", *JANUARY, config=home)) == 0
    assert len(mdc.bars("AAPL", *JANUARY, dataset="bars_1m", config=home)) == 0


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("../x", *JANUARY), {}, "not a symbol"),
        (("' OR 1=1--", *JANUARY), {}, "not a symbol"),
        (([], *JANUARY), {}, "no symbols"),
        (("AAPL", "2024-01-31", "2024-01-02"), {}, "lies after"),
        (("AAPL", "2024-02-30", "2024-03-01"), {}, "not a date"),
        (("AAPL", dt.datetime(2024, 1, 2), "2024-03-01"), {}, "instant"),
        (("AAPL", *JANUARY), {"dataset": "coverage"}, "no view of bars"),
        (("AAPL", *JANUARY), {"dataset": "bars_1d; DROP TABLE x"}, "no view of bars"),
        (("AAPL", *JANUARY), {"as_of": 999_999}, "no snapshot"),
        (("AAPL", *JANUARY), {"as_of": "2024-01-02"}, "as-of"),
    ],
    ids=str,
)
def test_bad_arguments_are_usage_errors_that_say_why(home, arguments, options, said):
    """Nothing reaches SQL unchecked."""
    with pytest.raises(mdc.UsageError, match=said):
        mdc.bars(*arguments, config=home, **options)


def test_as_of_reads_the_lake_of_then(home):
    """By the id of the snapshot before the first commit of bars, and by its instant."""
    with mdc.connect(home) as lake:
        first = lake.execute("SELECT min(commit_seq), min(committed_at) FROM coverage").fetchone()
    with mdc.connect(home, as_of=first[0] - 1) as lake:
        assert lake.sql("SELECT count(*) FROM bars_1d").fetchone() == (0,)
    assert len(mdc.bars("AAPL", *JANUARY, config=home, as_of=first[0])) == 21


def test_no_home_is_a_config_error_that_names_init(tmp_path, monkeypatch):
    """Searched upward, found nowhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDC_CONFIG", raising=False)
    with pytest.raises(mdc.ConfigError, match="mdc init"):
        mdc.connect()


def test_mdc_config_names_the_home(home, monkeypatch):
    """As for the command line."""
    monkeypatch.setenv("MDC_CONFIG", str(home))
    assert len(mdc.bars("AAPL", *JANUARY)) == 21


def test_a_lake_without_marker_is_a_lake_error(home, tmp_path):
    """Unmounted is not empty."""
    import shutil

    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    (copy / "lake" / "MARKER").unlink()
    with pytest.raises(mdc.LakeError, match="MARKER"):
        mdc.connect(copy)


def test_importing_is_cheap():
    """No DuckDB, pandas or Dagster until they are needed."""
    heavy = {"duckdb", "pandas", "dagster", "pyarrow", "polars"}
    code = f"import sys, mdc; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_facade_stays_a_facade():
    """About 150 lines, and every public function documents its errors."""
    source = Path(mdc.__file__).read_text()
    assert len(source.splitlines()) <= 170
    public = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"
    ]
    assert {node.name for node in public} == {"connect", "bars"}
    assert all("Raises:" in ast.get_docstring(node) for node in public)
