"""The synthetic market: determinism, consistency of bars, listings, and the present."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from decimal import Decimal

import pytest

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.market import Bars, Market

JANUARY = (dt.date(2024, 1, 2), dt.date(2024, 1, 31))
PROBE = """
import datetime as dt, hashlib
from mdc_resources.sandbox.market import Market
market = Market.synthetic(seed=7, now=dt.datetime(2024, 6, 28, 22, tzinfo=dt.UTC))
for symbol in {symbols!r}:
    bars = market.daily(symbol, dt.date(2024, 1, 2), dt.date(2024, 1, 31))
    ticks = market.minutes(symbol, dt.date(2024, 1, 30), dt.date(2024, 1, 31))
    print(symbol, hashlib.sha256(repr((bars, ticks)).encode()).hexdigest())
"""


def digest(market: Market, symbol: str) -> str:
    bars = market.daily(symbol, *JANUARY)
    ticks = market.minutes(symbol, dt.date(2024, 1, 30), dt.date(2024, 1, 31))
    return hashlib.sha256(repr((bars, ticks)).encode()).hexdigest()


def test_other_processes_and_orders_see_the_same_data(market: Market) -> None:
    """Two processes that ask in opposite orders print the bars this process sees."""
    symbols = ["AAPL", "THIN", "XYZ"]
    for order in (symbols, symbols[::-1]):
        ran = subprocess.run(
            [sys.executable, "-c", PROBE.format(symbols=order)], capture_output=True, text=True, check=True
        )
        found = dict(line.split() for line in ran.stdout.splitlines())
        assert found == {symbol: digest(market, symbol) for symbol in symbols}


def test_a_range_is_the_same_whatever_range_it_was_asked_in(market: Market) -> None:
    """A session's bar does not depend on the range that was asked for."""
    year = {bar.session: bar for bar in market.daily("XYZ", dt.date(2023, 1, 1), dt.date(2023, 12, 31))}
    march = list(market.daily("XYZ", dt.date(2023, 3, 1), dt.date(2023, 3, 31)))
    assert march == [bar for session, bar in year.items() if session.month == 3]


def test_seeds_and_symbols_give_different_prices(market: Market) -> None:
    """Another seed, and another symbol, is another series."""
    other = Market.synthetic(seed=8, now=market.now())
    closes = [m.daily(s, *JANUARY).close for m, s in ((market, "XYZ"), (other, "XYZ"), (market, "XYY"))]
    assert closes[0] != closes[1]
    assert closes[0] != closes[2]


@pytest.mark.parametrize("symbol", ["AAPL", "THIN", "GE", "XYZ", "BRK.B"])
def test_daily_bars_are_possible(market: Market, symbol: str) -> None:
    """Low <= open, close <= high, positive volume, one bar per session of the calendar."""
    start, end = dt.date(2015, 1, 1), dt.date(2024, 6, 28)
    found = list(market.daily(symbol, start, end))
    assert [bar.session for bar in found] == list(market.calendar.sessions(start, end))
    for bar in found:
        assert Decimal(0) < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert 0 < bar.trade_count <= bar.volume
        assert bar.start == market.calendar.hours(bar.session)[0]
        assert bar.close == bar.close.quantize(Decimal("0.01"))


@pytest.mark.parametrize("symbol", ["AAPL", "THIN", "XYZ"])
def test_minutes_add_up_to_the_daily_bar(market: Market, symbol: str) -> None:
    """First open, highest high, lowest low, last close, sums of volume and trades, on 60 sessions."""
    start, end = dt.date(2024, 3, 1), dt.date(2024, 5, 24)
    ticks: dict[dt.date, list[tuple[Decimal, ...]]] = {}
    for t in market.minutes(symbol, start, end):
        ticks.setdefault(t.session, []).append(
            (t.open, t.high, t.low, t.close, Decimal(t.volume), Decimal(t.trade_count))
        )
    days = list(market.daily(symbol, start, end))
    assert len(days) == 60
    for day in days:
        rows = ticks[day.session]
        built = (rows[0][0], max(r[1] for r in rows), min(r[2] for r in rows), rows[-1][3])
        assert built == (day.open, day.high, day.low, day.close)
        assert (sum(r[4] for r in rows), sum(r[5] for r in rows)) == (day.volume, day.trade_count)


def test_minutes_are_possible(market: Market) -> None:
    """Each minute is a possible bar, in order, inside the session's hours."""
    session = dt.date(2024, 1, 30)
    found = list(market.minutes("XYZ", session, session))
    opened, closed = market.calendar.hours(session)
    assert [bar.start for bar in found] == sorted({bar.start for bar in found})
    assert found[0].start == opened
    assert found[-1].start == closed - dt.timedelta(minutes=1)
    for bar in found:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert 0 < bar.trade_count <= bar.volume


@pytest.mark.parametrize(
    ("session", "count"),
    [
        pytest.param(dt.date(2023, 11, 22), 390, id="full day"),
        pytest.param(dt.date(2023, 11, 24), 210, id="day after Thanksgiving"),
        pytest.param(dt.date(2023, 7, 3), 210, id="eve of Independence Day"),
    ],
)
def test_half_days_are_short(market: Market, session: dt.date, count: int) -> None:
    """A liquid symbol trades in each of the 390 minutes, or of the 210 of a half day."""
    assert len(market.minutes("AAPL", session, session)) == count


def test_daylight_saving_moves_the_open(market: Market) -> None:
    """The first minute is 14:30 UTC in winter and 13:30 in summer."""
    opens = [
        market.minutes("AAPL", day, day).starts[0] for day in (dt.date(2024, 3, 8), dt.date(2024, 3, 11))
    ]
    assert [dt.datetime.fromtimestamp(at, dt.UTC).hour for at in opens] == [14, 13]


def test_a_thin_symbol_has_minutes_without_trades(market: Market) -> None:
    """THIN trades in a few minutes of a session only."""
    session = dt.date(2024, 1, 30)
    assert 4 <= len(market.minutes("THIN", session, session)) < 60


def test_a_halted_session_has_no_bars(market: Market) -> None:
    """HALT has no trade on 2024-03-13 and 14, and is listed on both."""
    start, end = dt.date(2024, 3, 11), dt.date(2024, 3, 15)
    traded = [dt.date(2024, 3, 11), dt.date(2024, 3, 12), dt.date(2024, 3, 15)]
    assert market.daily("HALT", start, end).sessions == traded
    assert sorted(set(market.minutes("HALT", start, end).sessions)) == traded
    assert len(market.sessions("HALT", start, end)) == 5
    before = market.daily("HALT", traded[1], traded[1]).close[-1]
    assert market.previous_close("HALT", dt.date(2024, 3, 15)) == before


@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [
        pytest.param("NEWCO", dt.date(2024, 2, 1), dt.date(2024, 6, 28), id="listed late"),
        pytest.param("TWTR", dt.date(2013, 11, 7), dt.date(2022, 10, 27), id="delisted"),
        pytest.param("FB", dt.date(2012, 5, 18), dt.date(2022, 6, 8), id="renamed away"),
        pytest.param("XYZ", dt.date(2000, 1, 3), dt.date(2024, 6, 28), id="plain"),
    ],
)
def test_bars_exist_while_listed(market: Market, symbol: str, first: dt.date, last: dt.date) -> None:
    """The first and the last bar are those of the listing."""
    found = market.daily(symbol, dt.date(1990, 1, 2), dt.date(2025, 12, 31))
    assert (found.sessions[0], found.sessions[-1]) == (first, last)


def test_a_renamed_series_goes_on(market: Market) -> None:
    """FB's bars are META's bars of the same sessions."""
    span = (dt.date(2022, 6, 1), dt.date(2022, 6, 8))
    assert market.daily("FB", *span) == market.daily("META", *span)


def test_a_split_divides_the_price(market: Market) -> None:
    """NVDA's 10:1 split of 2024-06-10 shows between the close before and the open."""
    day = market.daily("NVDA", dt.date(2024, 6, 7), dt.date(2024, 6, 10))
    assert day.open[1] * 10 == pytest.approx(day.close[0], rel=0.06)


def test_splt_splits_every_june(market: Market) -> None:
    """SPLT splits 2:1 on June's first session of even years, 1:2 of odd ones."""
    splt = market.instrument("SPLT")
    assert splt is not None
    recent = [(s.ex_date, s.to, s.old) for s in splt.splits if s.ex_date.year in (2023, 2024)]
    assert recent == [(dt.date(2023, 6, 1), 1, 2), (dt.date(2024, 6, 3), 2, 1)]


@pytest.mark.parametrize("symbol", ["ZZTOP", "ZZ", "zzap", "../x", "", "A" * 33])
def test_unknown_and_malformed_symbols_do_not_exist(market: Market, symbol: str) -> None:
    """Nothing is known of symbols that start with ZZ, nor of what is no symbol."""
    assert market.instrument(symbol) is None
    with pytest.raises(UsageError, match="has no"):
        market.daily(symbol, *JANUARY)


@pytest.mark.parametrize(
    ("at", "sessions", "minutes"),
    [
        pytest.param("2024-06-28T13:29:00+00:00", 0, 0, id="before the open"),
        pytest.param("2024-06-28T13:30:30+00:00", 0, 0, id="first minute not over"),
        pytest.param("2024-06-28T15:30:00+00:00", 1, 120, id="two hours in"),
        pytest.param("2024-06-28T20:00:00+00:00", 1, 390, id="at the close"),
    ],
)
def test_only_what_has_happened_exists(at: str, sessions: int, minutes: int) -> None:
    """The running session's bar is what its minutes add up to so far; there is no future."""
    market = Market.synthetic(seed=7, now=dt.datetime.fromisoformat(at))
    today = dt.date(2024, 6, 28)
    day, ticks = market.daily("XYZ", today, dt.date(2024, 7, 5)), market.minutes("XYZ", today, today)
    assert (len(day), len(ticks)) == (sessions, minutes)
    if day:
        assert day.volume == [sum(ticks.volume)]
        assert (day.high, day.low, day.close) == ([max(ticks.high)], [min(ticks.low)], [ticks.close[-1]])


def test_a_naive_now_is_refused() -> None:
    """A present without a time zone is no instant."""
    with pytest.raises(UsageError, match="time zone"):
        Market.synthetic(now=dt.datetime(2024, 6, 28))


def test_the_clock_may_move() -> None:
    """A callable clock is asked each time."""
    at = [dt.datetime(2024, 6, 27, 22, tzinfo=dt.UTC)]
    market = Market.synthetic(now=lambda: at[0])
    span = (dt.date(2024, 6, 27), dt.date(2024, 6, 28))
    assert len(market.daily("XYZ", *span)) == 1
    at[0] += dt.timedelta(days=1)
    assert len(market.daily("XYZ", *span)) == 2


def test_dividends_become_known_on_their_ex_date(market: Market) -> None:
    """KO's dividend of 2024-05-09 is known that day and not the day before."""
    for day, known in (("2024-05-08", False), ("2024-05-09", True)):
        at = dt.datetime.fromisoformat(f"{day}T15:00:00+00:00")
        dates = [d.ex_date for d in Market.synthetic(now=at).known_dividends("KO")]
        assert (dt.date(2024, 5, 9) in dates) is known
    assert [d.amount for d in market.known_dividends("KO")][-1] == Decimal("0.4400")


def test_bars_iterate_as_decimals(market: Market) -> None:
    """Iterating gives exact decimals of the integer cents."""
    found: Bars = market.daily("XYZ", *JANUARY)
    assert [bar.close * 100 for bar in found] == found.close
