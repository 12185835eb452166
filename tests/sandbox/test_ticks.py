"""Ticks of the synthetic market: they add up to its minutes, and only what has happened is told."""

from __future__ import annotations

import datetime as dt
import time

import numpy as np
import pytest

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.ticks import VENUES, first_id, quotes_of, trades_of

D = dt.date
NOW = dt.datetime(2025, 6, 3, 12, tzinfo=dt.UTC)
MARKET = Market.synthetic(7, now=NOW)
DAYS = [
    pytest.param("MSFT", D(2024, 6, 3), id="full day"),
    pytest.param("AAPL", D(2024, 7, 3), id="half day"),
    pytest.param("KO", D(2025, 6, 2), id="yesterday"),
]


@pytest.mark.parametrize(("symbol", "session"), DAYS)
def test_trades_add_up_to_the_minutes(symbol: str, session: dt.date) -> None:
    """Count, volume, first, last, highest and lowest price of every minute are its bar's."""
    bars, trades = MARKET.minutes(symbol, session, session), trades_of(MARKET, symbol, session)
    assert len(trades) == sum(bars.trades)
    starts = np.array(bars.starts) * 10**9
    minute = np.searchsorted(starts, trades.times, side="right") - 1
    assert (trades.times < starts[minute] + 60 * 10**9).all()
    for at in range(len(bars)):
        prices, sizes = trades.prices[minute == at], trades.sizes[minute == at]
        assert (len(prices), sizes.sum()) == (bars.trades[at], bars.volume[at])
        if len(prices) >= 4:
            told = (prices[0], prices.max(), prices.min(), prices[-1])
            assert told == (bars.open[at], bars.high[at], bars.low[at], bars.close[at])
    assert (trades.sizes > 0).all()


@pytest.mark.parametrize(("symbol", "session"), DAYS)
def test_trades_are_in_order(symbol: str, session: dt.date) -> None:
    """Times never fall, some are equal to the nanosecond; ids rise by one; all venues are used."""
    trades = trades_of(MARKET, symbol, session)
    steps = np.diff(trades.times)
    assert (steps >= 0).all()
    assert (steps == 0).any()
    assert (np.diff(trades.ids) == 1).all()
    assert set(trades.venues.tolist()) == set(range(VENUES))
    assert 0.4 < trades.buys.mean() < 0.6
    opened, closed = MARKET.calendar.hours(session)
    assert trades.times[0] >= opened.timestamp() * 1e9
    assert trades.times[-1] < closed.timestamp() * 1e9


def test_ids_tell_their_session() -> None:
    """They rise from one session to the next, so that a vendor may page by them."""
    session = D(2024, 6, 3)
    trades = trades_of(MARKET, "MSFT", session)
    assert trades.ids[0] == first_id(session)
    assert trades.ids[-1] < first_id(session + dt.timedelta(days=1))
    assert trades_of(MARKET, "MSFT", D(2024, 6, 4)).ids[0] > trades.ids[-1]


@pytest.mark.parametrize(("symbol", "session"), DAYS)
def test_quotes_show_the_price_that_was_taken(symbol: str, session: dt.date) -> None:
    """One before each trade: buyers pay the ask, sellers get the bid; some have one side only."""
    trades, quotes = trades_of(MARKET, symbol, session), quotes_of(MARKET, symbol, session)
    assert len(quotes) == len(trades)
    assert (quotes.times <= trades.times).all()
    assert (np.diff(quotes.times) >= 0).all()
    both = (quotes.bids > 0) & (quotes.asks > 0)
    assert 0 < (~both).sum() < len(quotes) / 100
    assert (quotes.bids < quotes.asks)[both].all()
    taken = np.where(trades.buys, quotes.asks, quotes.bids)
    assert (taken == trades.prices)[both].all()
    assert ((quotes.bid_sizes == 0) == (quotes.bids == 0)).all()
    assert ((quotes.ask_sizes == 0) == (quotes.asks == 0)).all()


def test_only_what_has_happened_is_told() -> None:
    """A running session has the minutes that are over, and they do not change as it goes on."""
    session = D(2025, 6, 2)
    opened, _ = MARKET.calendar.hours(session)
    early, later = (
        trades_of(Market.synthetic(7, now=opened + dt.timedelta(minutes=n, seconds=30)), "MSFT", session)
        for n in (20, 90)
    )
    whole = trades_of(MARKET, "MSFT", session)
    assert 0 < len(early) < len(later) < len(whole)
    for part in (early, later):
        for name in ("times", "prices", "sizes", "ids", "venues", "buys"):
            assert (getattr(part, name) == getattr(whole, name)[: len(part)]).all(), name
    assert len(trades_of(Market.synthetic(7, now=opened), "MSFT", session)) == 0
    assert len(trades_of(MARKET, "MSFT", D(2025, 6, 3))) == 0


def test_another_seed_or_symbol_is_another_day() -> None:
    """The same seed tells the same; nothing depends on what was asked before."""
    session = D(2024, 6, 3)
    mine = trades_of(Market.synthetic(7, now=NOW), "MSFT", session)
    assert (mine.times == trades_of(MARKET, "MSFT", session).times).all()
    other = trades_of(Market.synthetic(8, now=NOW), "MSFT", session)
    assert len(other) != len(mine) or (other.times != mine.times).any()


def test_a_thin_name_has_few_trades_and_a_halted_one_none() -> None:
    """Where a minute has fewer than four trades, its last one is still its close."""
    session = D(2025, 6, 2)
    bars, trades = MARKET.minutes("THIN", session, session), trades_of(MARKET, "THIN", session)
    assert len(trades) == sum(bars.trades) < 100
    assert trades.prices[-1] == bars.close[-1]
    assert len(trades_of(MARKET, "HALT", D(2024, 3, 13))) == 0
    assert len(quotes_of(MARKET, "HALT", D(2024, 3, 13))) == 0


def test_an_unknown_symbol_is_refused() -> None:
    """As the market refuses it."""
    with pytest.raises(UsageError):
        trades_of(MARKET, "ZZTOP", D(2024, 6, 3))


def test_a_busy_session_is_made_in_seconds() -> None:
    """BUSY trades millions of times a day."""
    began = time.monotonic()
    trades = trades_of(MARKET, "BUSY", D(2024, 6, 3))
    assert 1_000_000 < len(trades) < 12_000_000
    assert time.monotonic() - began < 30
    began = time.monotonic()
    assert trades_of(MARKET, "BUSY", D(2024, 6, 3)) is trades
    assert time.monotonic() - began < 1
