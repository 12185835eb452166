"""The tape: deterministic, gapless, quotes before trades, bursts, and the same in pieces as whole."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pytest

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.tape import FIRST_ID, HOUR, SECOND, LiveTape

NOON = int(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp())
PLACE = ("kraken", "BTC-USD")


def tape(rate: float = 5, *, seed: int = 7, at: int = NOON) -> LiveTape:
    return LiveTape(seed=seed, rate=rate, close=lambda *_: 48_000, clock=lambda: at * SECOND)


def test_another_tape_of_the_same_seed_is_the_same() -> None:
    """A restart, even on the next day, goes on with the same ticks; another seed is another tape."""
    ticks = tape().second(*PLACE, NOON)
    assert tape(at=NOON + 86_400).second(*PLACE, NOON) == ticks
    assert tape(seed=8).second(*PLACE, NOON) != ticks
    assert tape().second("coinbase", "BTC-USD", NOON) != ticks


def test_history_begins_with_yesterday() -> None:
    """The start of the UTC day before, to the second."""
    assert tape().since == dt.datetime(2026, 11, 19, tzinfo=dt.UTC)
    assert tape(at=NOON - 12 * HOUR).since == dt.datetime(2026, 11, 19, tzinfo=dt.UTC)


@pytest.mark.parametrize("rate", [0.1, 0.75, 5, 20, 333.3])
def test_numbers_are_contiguous_at_any_rate(rate: float) -> None:
    """A minute has the rate's trades, numbered without a gap, ids from FIRST_ID on."""
    made = tape(rate)
    ticks = [tick for second in range(NOON, NOON + 60) for tick in made.second(*PLACE, second)]
    numbers = [tick.number for tick in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert abs(len(ticks) - 60 * rate) <= 1
    assert ticks[0].trade_id == FIRST_ID + numbers[0]
    assert made.second_of(*PLACE, ticks[0].trade_id) == ticks[0].time // SECOND


@pytest.mark.parametrize("rate", [5, 2_000])
def test_times_rise_and_each_trade_has_its_quote(rate: float) -> None:
    """Quote, trade, quote, trade: whole microseconds, strictly rising; the trade takes the quoted price."""
    ticks = [tick for second in range(NOON, NOON + 20) for tick in tape(rate).second(*PLACE, second)]
    times = [at for tick in ticks for at in (tick.quoted, tick.time)]
    assert times == sorted(set(times))
    assert all(at % 1_000 == 0 for at in times)
    for tick in ticks:
        assert tick.bid < tick.ask
        assert tick.price == (tick.ask if tick.buys else tick.bid)
        assert tick.size > 0


def test_prices_move_and_stay_near_the_close() -> None:
    """A day spans some price, one trade to the next moves by cents."""
    made = tape(1)
    prices = np.concatenate(
        [made.columns(*PLACE, NOON + at, NOON + at + HOUR).trades.prices for at in (0, HOUR)]
    )
    assert 47_000 < prices.min() < prices.max() < 49_000
    assert prices.max() - prices.min() > 20
    assert np.abs(np.diff(prices)).max() < 20


def test_prices_are_alike_at_all_venues() -> None:
    """Where the market stands does not depend on who tells it."""
    made = tape()
    here, there = (
        made.columns(venue, "BTC-USD", NOON, NOON + 60).trades.prices for venue in ("kraken", "binance")
    )
    assert np.abs(here - there).max() < 20


def test_an_hour_is_its_seconds() -> None:
    """History in one piece equals the stream second by second, and shows nothing of the future."""
    until = (NOON + 100) * SECOND + 500_000_000
    columns = tape().hour(*PLACE, NOON, until)
    ticks = [tick for second in range(NOON, NOON + 101) for tick in tape().second(*PLACE, second)]
    trades = [tick for tick in ticks if tick.time < until]
    assert columns.trades.ids.tolist() == [tick.trade_id for tick in trades]
    assert columns.trades.times.tolist() == [tick.time for tick in trades]
    assert columns.trades.prices.tolist() == [tick.price for tick in trades]
    assert columns.quotes.bids.tolist() == [tick.bid for tick in ticks if tick.quoted < until]


def test_hours_of_a_span() -> None:
    """From the hour that holds the start to the running one, none before the tape's first instant."""
    made = tape(0.1)
    ends = (NOON * SECOND, (NOON + 3 * HOUR) * SECOND)
    assert [first for first, _ in made.hours(*PLACE, ends[0] - 2 * HOUR * SECOND, ends[1])] == [
        NOON - 2 * HOUR,
        NOON - HOUR,
        NOON,
    ]
    assert next(made.hours(*PLACE, 0, ends[1]))[0] == made.since_second


def test_latest_is_the_newest_quote_that_is_out() -> None:
    """At a quote's instant that tick, just before it the one before, across seconds too."""
    made = tape(0.5)
    ticks = [tick for second in range(NOON, NOON + 60) for tick in made.second(*PLACE, second)]
    for before, tick in itertools.pairwise(ticks):
        assert made.latest(*PLACE, tick.quoted) == tick
        assert made.latest(*PLACE, tick.quoted - 1) == before


def test_a_burst_adds_trades_and_no_gap() -> None:
    """Ten times the rate for three seconds, then the old one; ids go on counting, history agrees."""
    made = tape(4)
    before = made.second(*PLACE, NOON)
    made.burst(*PLACE, after=NOON, seconds=3, factor=10)
    counts = [len(made.second(*PLACE, NOON + at)) for at in range(6)]
    assert counts == [4, 40, 40, 40, 4, 4]
    assert made.second(*PLACE, NOON) == before
    numbers = [tick.number for at in range(6) for tick in made.second(*PLACE, NOON + at)]
    assert numbers == list(range(numbers[0], numbers[0] + 132))
    assert made.columns(*PLACE, NOON, NOON + 6).trades.ids.tolist() == [
        FIRST_ID + number for number in numbers
    ]
    assert [made.second_of(*PLACE, FIRST_ID + number) - NOON for number in (numbers[3], numbers[4])] == [0, 1]
    assert made.count_before("coinbase", "BTC-USD", NOON + 9) == tape(4).count_before(*PLACE, NOON + 9)


def test_bursts_queue_up() -> None:
    """One that is asked for during another begins after it."""
    made = tape(4)
    first = made.burst(*PLACE, after=NOON, seconds=5, factor=2)
    second = made.burst(*PLACE, after=NOON + 1, seconds=5, factor=2)
    assert second.first == first.stop


@pytest.mark.parametrize("rate", [0, -1, 20_000])
def test_impossible_rates_are_refused(rate: float) -> None:
    """No trades, or more than can be told apart."""
    with pytest.raises(UsageError, match="live rate"):
        tape(rate)
