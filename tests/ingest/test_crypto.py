"""Coins through the whole ingest: three exchanges, a calendar without holidays, days without a trade."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.lake import Lake
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home

D = dt.date
EXCHANGES = ("kraken", "coinbase", "binance")
CRYPTO = '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\n'
US = '[universes.us]\ncalendar = "XNYS"\n'
KRAKEN, COINBASE, BINANCE = (
    Symbol(name) for name in ("KRAKEN:BTC-USD", "COINBASE:BTC-USD", "BINANCE:BTC-USDT")
)
PRESENT, EMPTY, MISSING = PartitionState.PRESENT, PartitionState.EMPTY, PartitionState.MISSING
DAILY, MINUTES, TRADES = Dataset.BARS_1D, Dataset.BARS_1M, Dataset.TRADES


@pytest.fixture
def coins(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A sandbox home with three exchanges and a stock vendor."""
    home = make_home(tmp_path / "home", vendor.url, providers=(*EXCHANGES, "alpaca"), extra=US + CRYPTO)
    found = Served(home, vendor)
    found.calm()
    return found


def fetch(
    home: Home, dataset: Dataset, start: dt.date, end: dt.date, *symbols: str, refetch: bool = False
) -> Outcome:
    """Backfill ``symbols``."""
    want = Want(dataset, tuple(map(Symbol, symbols)), start, end, refetch=refetch)
    return backfill(home, want, run_id="test")


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with (
        contextlib.closing(Lake.open(home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql).fetchall()


def states(outcome: Outcome) -> list[PartitionState]:
    """In the order of symbols and sessions."""
    return [row.state for _, row in sorted(outcome.states.items())]


def test_three_exchanges_have_days_of_every_date(coins: Served) -> None:
    """Saturdays and holidays are sessions; each symbol comes from its own exchange, in one request."""
    outcome = fetch(coins.home, DAILY, D(2025, 12, 20), D(2026, 1, 4), KRAKEN, COINBASE, BINANCE)
    assert outcome.counts == {PRESENT: 48}
    assert (outcome.requests_sent, outcome.errors) == (3, ())
    rows = query(
        coins.home,
        "SELECT symbol, source, count(*), min(ts)::VARCHAR FROM bars_1d_stored GROUP BY ALL ORDER BY 1",
    )
    assert [(symbol, source, count) for symbol, source, count, _ in rows] == [
        (BINANCE, "sandbox:binance", 16),
        (COINBASE, "sandbox:coinbase", 16),
        (KRAKEN, "sandbox:kraken", 16),
    ]
    assert {first[:19] for *_, first in rows} == {"2025-12-20 00:00:00"}
    again = fetch(coins.home, DAILY, D(2025, 12, 20), D(2026, 1, 4), KRAKEN, COINBASE, BINANCE)
    assert again.requests_sent == 0


def test_stocks_and_coins_in_one_want_keep_their_calendars(coins: Served) -> None:
    """Over a weekend a coin has all days and a share none."""
    outcome = fetch(coins.home, DAILY, D(2026, 3, 6), D(2026, 3, 9), "AAPL", KRAKEN)
    days = {symbol: sorted(key.session.day for key in outcome.states if key.symbol == symbol)
            for symbol in ("AAPL", KRAKEN)}  # fmt: skip
    assert days == {"AAPL": [6, 9], KRAKEN: [6, 7, 8, 9]}
    assert outcome.counts == {PRESENT: 6}


@pytest.mark.parametrize(("symbol", "requests"), [(BINANCE, 3), (COINBASE, 10)])
def test_a_day_of_minutes_has_1440(coins: Served, symbol: str, requests: int) -> None:
    """Also across the change of New York's clock; the pages of the two are of 1,000 and 300."""
    outcome = fetch(coins.home, MINUTES, D(2026, 3, 7), D(2026, 3, 8), symbol)
    assert outcome.counts == {PRESENT: 2}
    assert outcome.requests_sent == requests
    rows = query(
        coins.home, "SELECT session, count(*), max(ts) - min(ts) FROM bars_1m GROUP BY ALL ORDER BY 1"
    )
    assert [(count, span) for _, count, span in rows] == [(1440, dt.timedelta(minutes=1439))] * 2


def test_minutes_add_up_to_the_day(coins: Served) -> None:
    """What Coinbase sends newest first and Binance oldest first is one consistent series each."""
    for symbol in (BINANCE, COINBASE):
        fetch(coins.home, MINUTES, D(2026, 5, 2), D(2026, 5, 2), symbol)
        fetch(coins.home, DAILY, D(2026, 5, 2), D(2026, 5, 2), symbol)
    rows = query(
        coins.home,
        """WITH sums AS (
             SELECT symbol, arg_min(open, ts) AS open, arg_max(close, ts) AS close, max(high) AS high,
                    min(low) AS low, sum(volume) AS volume FROM bars_1m GROUP BY symbol)
           SELECT d.symbol, (d.open, d.high, d.low, d.close) = (s.open, s.high, s.low, s.close)
                            AND d.volume = s.volume
           FROM bars_1d_stored d JOIN sums s USING (symbol) ORDER BY 1""",
    )
    assert rows == [(BINANCE, True), (COINBASE, True)]


@pytest.mark.parametrize("symbol", ["COINBASE:HALT-USD", "BINANCE:HALT-USDT"])
def test_a_day_without_a_trade_is_explained_by_its_only_source(coins: Served, symbol: str) -> None:
    """Where candles are absent the exchange proves it; where they are sent with volume 0, they are bars."""
    outcome = fetch(coins.home, DAILY, D(2024, 3, 11), D(2024, 3, 15), symbol)
    silent = EMPTY if symbol.startswith("COINBASE") else PRESENT
    assert states(outcome) == [PRESENT, PRESENT, silent, silent, PRESENT]
    volumes = query(coins.home, "SELECT volume FROM bars_1d_stored ORDER BY session")
    assert [volume == 0 for (volume,) in volumes].count(True) == (0 if silent is EMPTY else 2)
    assert fetch(coins.home, DAILY, D(2024, 3, 11), D(2024, 3, 15), symbol).requests_sent == 0


def test_kraken_keeps_two_years_of_days(coins: Served) -> None:
    """What lies before is out of its range: open, never empty, and nothing is sent for it."""
    outcome = fetch(coins.home, DAILY, D(2022, 1, 1), D(2022, 1, 3), KRAKEN)
    assert states(outcome) == [MISSING] * 3
    assert outcome.requests_sent == 0
    assert any("outside its history" in error for error in outcome.errors)


def test_minutes_of_kraken_that_are_gone_are_missing(coins: Served) -> None:
    """Twelve hours are kept: last month's minutes are no empty session."""
    outcome = fetch(coins.home, MINUTES, D(2026, 3, 7), D(2026, 3, 7), KRAKEN)
    assert states(outcome) == [MISSING]


@pytest.mark.parametrize("symbol", ["KRAKEN:ZZ-USD", "COINBASE:ZZ-USD", "BINANCE:ZZ-USDT", "KRAKEN:NONSENSE"])
def test_an_unknown_pair_is_nobody_s_empty_day(coins: Served, symbol: str) -> None:
    """The exchange does not know it: missing, with its words."""
    outcome = fetch(coins.home, DAILY, D(2026, 3, 7), D(2026, 3, 8), symbol)
    assert states(outcome) == [MISSING] * 2
    assert any(symbol in error for error in outcome.errors)


def test_no_exchange_stands_in_for_another(coins: Served) -> None:
    """With Kraken down, its symbol stays open although two others have bars of the same pair."""
    coins.fault("kraken", "status", times=1000, params={"status": 503})
    outcome = fetch(coins.home, DAILY, D(2026, 3, 7), D(2026, 3, 8), KRAKEN)
    assert states(outcome) == [MISSING] * 2
    assert query(coins.home, "SELECT 1 FROM bars_1d_stored") == []


def test_a_coin_never_joins_the_universe_of_shares(tmp_path: Path, vendor: SandboxServer) -> None:
    """Where no universe is for crypto, the refusal names what to write into mdc.toml."""
    home = make_home(tmp_path / "home", vendor.url, providers=("kraken",), extra=US)
    with pytest.raises(UsageError) as caught:
        fetch(home, DAILY, D(2026, 3, 7), D(2026, 3, 8), KRAKEN)
    assert "[universes.crypto]" in caught.value.hint
    assert 'calendar = "24/7"' in caught.value.hint
    assert 'asset_class = "crypto"' in caught.value.hint


def test_adjusted_views_show_coins_as_they_traded(coins: Served) -> None:
    """A coin has no splits and no dividends: all three views agree, without a reason to be null."""
    fetch(coins.home, DAILY, D(2026, 3, 7), D(2026, 3, 10), KRAKEN)
    seen = [
        query(coins.home, f"SELECT session, close FROM bars_1d_{view} ORDER BY session")
        for view in ("raw", "split", "total")
    ]
    assert len(seen[0]) == 4
    assert all(close is not None for _, close in seen[0])
    assert [[(d, float(c)) for d, c in rows] for rows in seen] == [[(d, float(c)) for d, c in seen[0]]] * 3


def test_instruments_of_pairs(coins: Served) -> None:
    """One row per symbol: quote currency, venue, the vendor's own name."""
    outcome = fetch(coins.home, Dataset.INSTRUMENTS, D(2026, 3, 7), D(2026, 3, 8), KRAKEN, COINBASE, BINANCE)
    assert outcome.counts == {PRESENT: 3}
    rows = query(coins.home, "SELECT symbol, name, currency, venue FROM instruments ORDER BY 1")
    assert rows == [
        (BINANCE, "BTC/USDT", "USDT", "binance"),
        (COINBASE, "BTC-USD", "USD", "coinbase"),
        (KRAKEN, "XBT/USD", "USD", "kraken"),
    ]


@pytest.mark.parametrize("symbol", ["KRAKEN:THIN-USD", "COINBASE:THIN-USD", "BINANCE:THIN-USDT"])
def test_trades_of_a_day(coins: Served, symbol: str) -> None:
    """Found by time, by id or by cursor: the same twenty or so, in order, and each once."""
    outcome = fetch(coins.home, TRADES, D(2026, 3, 7), D(2026, 3, 7), symbol)
    assert outcome.counts == {PRESENT: 1}
    rows = query(
        coins.home, "SELECT ts_event, trade_id, side, price, size FROM trades ORDER BY ts_event, ordinal"
    )
    ids = [int(trade_id) for _, trade_id, *_ in rows]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert 8 <= len(ids) <= 60
    assert {side for _, _, side, *_ in rows} == {"buy", "sell"}
    fetch(coins.home, DAILY, D(2026, 3, 7), D(2026, 3, 7), symbol)
    (volume,) = query(coins.home, "SELECT volume FROM bars_1d_stored")[0]
    assert sum(size for *_, size in rows) == volume
