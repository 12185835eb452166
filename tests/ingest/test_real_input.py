"""Recorded vendor answers, served over HTTP, end up in the lake exactly as they were sent."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage import coverage_summary
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import parse_symbols
from mdc_resources.ingest import Outcome, Want, backfill, rebuild
from mdc_resources.lake import Lake
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.replay import Replay
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.transport.archive import ArchivedExchange, read_archive
from tests.homes import make_home

XNYS = get_calendar("XNYS")
START, END = dt.date(2021, 2, 1), dt.date(2022, 1, 28)
YAHOO = "yahoo/yahoo-finance2/historical-via-chart-{}-2021-02-01-to-2022-01-31.csv.json"
FILES = {"NVDA": YAHOO.format("NVDA-split"), "MSFT": YAHOO.format("MSFT-dividends")}


@contextlib.contextmanager
def replaying(routes: dict[str, Path], home_dir: Path, provider: str) -> Iterator[Home]:
    """A real (not sandbox) home whose one provider answers with these recordings."""
    with SandboxServer(market=Market.synthetic(seed=7), replay=Replay.of(routes)) as server:
        yield make_home(home_dir, server.url, providers=(provider,), sandbox=False)


def fetch(
    home: Home, symbols: str, start: dt.date, end: dt.date, *, dataset: Dataset = Dataset.BARS_1D
) -> Outcome:
    """Backfill into the home."""
    return backfill(home, Want(dataset, tuple(parse_symbols([symbols])), start, end), run_id="recorded")


def rows(home: Home, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Query the lake."""
    with (
        contextlib.closing(Lake.open(home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql, parameters).fetchall()


def shortest(widened: float) -> Decimal:
    """The shortest decimal that reads back as this float32, computed apart from the code under test."""
    return Decimal(np.format_float_positional(np.float32(widened), unique=True, trim="-"))


@pytest.fixture(scope="module")
def yahoo(payloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """NVDA and MSFT of 2021, backfilled from the recorded chart answers."""
    routes = {f"yahoo/v8/finance/chart/{symbol}": payloads / file for symbol, file in FILES.items()}
    with replaying(routes, tmp_path_factory.mktemp("yahoo") / "home", "yahoo") as home:
        outcome = fetch(home, "NVDA,MSFT", START, END)
        assert outcome.counts == {PartitionState.PRESENT: 2 * 252}, outcome.errors
        assert outcome.requests_sent == outcome.requests_minimum == 2
        yield home


def chart(payloads: Path, symbol: str) -> dict[str, Any]:
    """The recorded body of a symbol."""
    body = json.loads((payloads / FILES[symbol]).read_text())["response"]["bodyJson"]
    result: dict[str, Any] = body["chart"]["result"][0]
    return result


@pytest.mark.parametrize("symbol", ["NVDA", "MSFT"])
def test_every_session_is_present(yahoo: Home, symbol: str) -> None:
    """All XNYS sessions of the range, none else, and coverage says the same."""
    stored = [
        d for (d,) in rows(yahoo, "SELECT session FROM bars_1d_stored WHERE symbol = ? ORDER BY ALL", symbol)
    ]
    assert stored == list(XNYS.sessions(START, END))
    summary = coverage_summary(yahoo, Dataset.BARS_1D, tuple(parse_symbols([symbol])), START, END)
    assert (summary.expected, summary.present, summary.gaps) == (252, 252, ())


@pytest.mark.parametrize("symbol", ["NVDA", "MSFT"])
def test_prices_equal_the_payload(yahoo: Home, payloads: Path, symbol: str) -> None:
    """Each price is the shortest decimal of the float32 that was sent; volumes are whole."""
    recorded = chart(payloads, symbol)
    quote = recorded["indicators"]["quote"][0]
    expected = {
        dt.datetime.fromtimestamp(t, XNYS.tz).date(): (
            *(shortest(quote[field][i]) for field in ("open", "high", "low", "close")),
            Decimal(quote["volume"][i]),
        )
        for i, t in enumerate(recorded["timestamp"])
    }
    stored = rows(
        yahoo, "SELECT session, open, high, low, close, volume FROM bars_1d_stored WHERE symbol = ?", symbol
    )
    assert len(stored) == 252
    for session, *values in stored:
        assert tuple(values) == expected[session]


def test_split_and_dividends_are_facts(yahoo: Home, payloads: Path) -> None:
    """NVDA's 4:1 split on 2021-07-20 and MSFT's four dividends."""
    splits = rows(
        yahoo, "SELECT symbol, ex_date, ratio_to, ratio_from FROM corporate_actions WHERE kind = 'split'"
    )
    assert splits == [("NVDA", dt.date(2021, 7, 20), 4, 1)]
    sql = "SELECT ex_date, amount FROM corporate_actions WHERE symbol = ? AND kind = 'dividend' ORDER BY 1"
    stored = rows(yahoo, sql, "MSFT")
    sent = chart(payloads, "MSFT")["events"]["dividends"].values()
    expected = sorted(
        (dt.datetime.fromtimestamp(d["date"], XNYS.tz).date(), Decimal(str(d["amount"]))) for d in sent
    )
    assert stored == expected
    assert len(stored) == 4


def test_raw_bytes_are_archived(yahoo: Home, payloads: Path) -> None:
    """What the vendor sent lies in the archive, byte for byte, cited by the fetches ledger."""
    archived = {e.fetch.symbols[0]: e for e in read_archive(yahoo.raw_dir) if isinstance(e, ArchivedExchange)}
    assert set(archived) == {"NVDA", "MSFT"}
    for symbol, exchange in archived.items():
        body = json.loads(exchange.response.body)
        assert body["chart"]["result"][0]["indicators"] == chart(payloads, symbol)["indicators"]
    cited = {record for (record,) in rows(yahoo, "SELECT record_id FROM fetches")}
    assert cited == {exchange.record_id for exchange in archived.values()}


def test_rebuild_gives_equal_fingerprints(yahoo: Home) -> None:
    """The lake can be thrown away: raw/ alone gives it back, and it verifies."""
    sql = "SELECT dataset, symbol, session, state, fingerprint, source, basis FROM coverage ORDER BY ALL"
    before, bars = rows(yahoo, sql), rows(yahoo, "SELECT * FROM bars_1d_stored ORDER BY symbol, session")
    report = rebuild(yahoo)
    assert report.differing == []
    assert rows(yahoo, sql) == before
    assert rows(yahoo, "SELECT * FROM bars_1d_stored ORDER BY symbol, session") == bars
    with contextlib.closing(Lake.open(yahoo.lake_dir)) as lake:
        assert lake.verify(deep=True) == []


def test_backfill_again_fetches_nothing(yahoo: Home) -> None:
    """Everything is there: no request, no commit."""
    outcome = fetch(yahoo, "NVDA,MSFT", START, END)
    assert (outcome.requests_sent, outcome.snapshots, outcome.rows) == (0, (), 0)


def test_alpaca_pages(payloads: Path, tmp_path: Path) -> None:
    """A recorded multi-symbol answer: prices as text, trade counts and VWAP kept."""
    file = payloads / "alpaca/alpaca-trade-api-go/rest_test__TestGetMultiBars__1.json"
    sent = json.loads(file.read_text())["bars"]
    with replaying({"alpaca/v2/stocks/bars": file}, tmp_path / "home", "alpaca") as home:
        outcome = fetch(home, "AAPL,NIO", dt.date(2021, 10, 13), dt.date(2021, 10, 15))
        assert outcome.counts == {PartitionState.PRESENT: 6}, outcome.errors
        stored = rows(
            home, "SELECT symbol, session, open, close, volume, trade_count, vwap, basis FROM bars_1d_stored"
        )
        before = rows(home, "SELECT symbol, session, fingerprint FROM coverage ORDER BY ALL")
        assert rebuild(home).differing == []
        assert rows(home, "SELECT symbol, session, fingerprint FROM coverage ORDER BY ALL") == before
    expected = {
        (
            symbol,
            dt.date.fromisoformat(bar["t"][:10]),
            Decimal(str(bar["o"])),
            Decimal(str(bar["c"])),
            Decimal(bar["v"]),
            bar["n"],
            bar["vw"],
            "raw",
        )
        for symbol, bars in sent.items()
        for bar in bars
    }
    assert set(stored) == expected


def test_stooq_file(payloads: Path, tmp_path: Path) -> None:
    """Twenty years of a recorded download: every session of a year, text taken exactly."""
    file = payloads / "stooq/wegar-2/tsm_us_d.csv"
    sent = {row["Date"]: row for row in csv.DictReader(file.open())}
    start, end = dt.date(2024, 1, 2), dt.date(2024, 12, 31)
    with replaying({"stooq/q/d/l": file}, tmp_path / "home", "stooq") as home:
        outcome = fetch(home, "TSM", start, end)
        stored = rows(
            home, "SELECT session, open, high, low, close, volume, basis FROM bars_1d_stored ORDER BY 1"
        )
        assert outcome.counts[PartitionState.PRESENT] == 252, outcome.errors
        assert rebuild(home).differing == []
    assert [session for session, *_ in stored] == list(XNYS.sessions(start, end))
    for session, *prices, basis in stored:
        row = sent[session.isoformat()]
        assert prices == [Decimal(row[name]) for name in ("Open", "High", "Low", "Close", "Volume")]
        assert basis == "split+dividend"
