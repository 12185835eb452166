"""The sandbox's coins and the universe they belong to: one seed and clock, fractional amounts, no shares."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mdc_resources import config
from mdc_resources.coverage.universes import universe_to_join, universes_of
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.sandbox.crypto import DAY, MINUTE, CryptoMarket, coin_text, padded
from mdc_resources.sandbox.market import Market
from mdc_resources.state import State

NOW = dt.datetime(2024, 6, 28, 22, 0, 30, tzinfo=dt.UTC)
BTC = Symbol("KRAKEN:BTC-USD")
SATURDAY = int(dt.datetime(2024, 6, 22, tzinfo=dt.UTC).timestamp())


@pytest.fixture(scope="module")
def coins() -> CryptoMarket:
    """Beside the default market."""
    return CryptoMarket(Market.synthetic(seed=7, now=NOW))


def test_it_shares_seed_and_clock(coins: CryptoMarket) -> None:
    """The same pair under the same seed is the same series; another seed is another."""
    again = CryptoMarket(Market.synthetic(seed=7, now=NOW))
    other = CryptoMarket(Market.synthetic(seed=8, now=NOW))
    span = ("BTC-USD", DAY, SATURDAY, SATURDAY + DAY)
    assert coins.candles(*span, gaps=True) == again.candles(*span, gaps=True)
    assert coins.candles(*span, gaps=True) != other.candles(*span, gaps=True)
    assert coins.now() == NOW


def test_the_clock_may_run(coins: CryptoMarket) -> None:
    """As it goes on, more minutes are over; what was over stays as it was."""
    later = CryptoMarket(Market.synthetic(seed=7, now=lambda: NOW + dt.timedelta(minutes=5)))
    today = dt.date(2024, 6, 28)
    before, after = coins.trades("BTC-USD", today), later.trades("BTC-USD", today)
    assert len(after) > len(before)
    assert np.array_equal(after.ids[: len(before)], before.ids)


@pytest.mark.parametrize("pair", ["BTC-USD", "THIN-USD"])
def test_minutes_with_gaps_filled_are_all_there(coins: CryptoMarket, pair: str) -> None:
    """With volume 0 where nothing was traded; without them, the same candles otherwise."""
    whole = coins.candles(pair, MINUTE, SATURDAY, SATURDAY + DAY - 1, gaps=False)
    traded = coins.candles(pair, MINUTE, SATURDAY, SATURDAY + DAY - 1, gaps=True)
    assert [candle.start for candle in whole] == list(range(SATURDAY, SATURDAY + DAY, MINUTE))
    assert [candle for candle in whole if candle.trades] == traded
    assert all(candle.volume == "0" and candle.vwap == 0 for candle in whole if not candle.trades)


def test_minutes_add_up_to_the_day(coins: CryptoMarket) -> None:
    """Amounts and trades, to the last ten-thousandth."""
    (day,) = coins.candles("BTC-USD", DAY, SATURDAY, SATURDAY, gaps=True)
    minutes = coins.candles("BTC-USD", MINUTE, SATURDAY, SATURDAY + DAY - 1, gaps=True)
    assert sum(Decimal(minute.volume) for minute in minutes) == Decimal(day.volume)
    assert sum(minute.trades for minute in minutes) == day.trades
    assert Decimal(day.low) <= Decimal(str(day.vwap)) <= Decimal(day.high)


def test_trades_of_days_follow_each_other(coins: CryptoMarket) -> None:
    """Ids without a gap, nanoseconds without a tie, as many as the day's bar counts."""
    days = [dt.date(2024, 6, 21), dt.date(2024, 6, 22)]
    first, second = (coins.trades("ETH-USD", day) for day in days)
    assert second.ids[0] == first.ids[-1] + 1
    assert (np.diff(first.times) > 0).all()
    assert (np.diff(first.ids) == 1).all()
    assert [coins.session_of_trade("ETH-USD", int(trades.ids[0])) for trades in (first, second)] == days
    assert [coins.session_of_trade("ETH-USD", int(trades.ids[-1])) for trades in (first, second)] == days


@pytest.mark.parametrize(
    ("number", "day"), [(-5, dt.date(2015, 1, 1)), (0, dt.date(2015, 1, 1)), (2**62, NOW.date())]
)
def test_ids_beyond_all_trades_belong_to_the_ends(coins: CryptoMarket, number: int, day: dt.date) -> None:
    """So that a page can be looked for anywhere."""
    assert coins.session_of_trade("BTC-USD", number) == day


def test_nothing_lies_ahead(coins: CryptoMarket) -> None:
    """The running day is the last candle, and there is none of tomorrow."""
    now = int(NOW.timestamp())
    assert coins.candles("BTC-USD", DAY, now + DAY, now + 9 * DAY, gaps=False) == []
    newest = coins.candles("BTC-USD", MINUTE, now - 600, now + 600, gaps=False)[-1]
    assert newest.start <= now < newest.start + MINUTE


@pytest.mark.parametrize(
    ("pair", "known"), [("BTC-USD", True), ("ZZ-USD", False), ("BTCUSD", False), ("-USD", False)]
)
def test_pairs_are_two_assets(coins: CryptoMarket, pair: str, known: bool) -> None:
    """What begins with ZZ is traded nowhere."""
    assert coins.knows(pair) is known


def test_texts_keep_their_digits() -> None:
    """No float on the way; what is no number passes as it is."""
    assert [coin_text(151234, 4), coin_text(7, 4), coin_text(200, 2)] == ["15.1234", "0.0007", "2.00"]
    assert [padded("1.5"), padded("7"), padded("NaN"), padded("-1.5", 2)] == [
        "1.50000000",
        "7.00000000",
        "NaN",
        "-1.50",
    ]


def home_of(root: Path, toml: str) -> config.Home:
    """A home with such universes."""
    (root / "mdc.toml").write_text(toml)
    return config.load(root / "mdc.toml", environ={})


US = '[universes.us]\ncalendar = "XNYS"\n'
COINS = '[universes.coins]\ncalendar = "24/7"\nasset_class = "crypto"\n'
MORE = '[universes.more]\ncalendar = "24/7"\nasset_class = "crypto"\n'


def test_a_coin_joins_the_first_universe_for_crypto(tmp_path: Path) -> None:
    """Whatever it is called; a share joins the default one."""
    home = home_of(tmp_path, US + COINS + MORE)
    assert universe_to_join(home, BTC) == "coins"
    assert universe_to_join(home, Symbol("AAPL")) == "us"


def test_where_there_is_none_it_joins_none(tmp_path: Path) -> None:
    """The refusal names what to add; the universe of shares is not offered."""
    home = home_of(tmp_path, US)
    with pytest.raises(UsageError) as caught:
        universe_to_join(home, BTC)
    assert "KRAKEN:BTC-USD" in caught.value.message
    assert "[universes.crypto]" in caught.value.hint
    with State.open(home) as state, pytest.raises(UsageError):
        universes_of(home, state, [Symbol("AAPL"), BTC])


def test_a_seated_coin_stays_where_it_is(tmp_path: Path) -> None:
    """Membership is asked first."""
    home = home_of(tmp_path, US + COINS + MORE)
    with State.open(home) as state:
        state.add_members("more", [BTC], shards=1)
        found = universes_of(home, state, [BTC, Symbol("KRAKEN:ETH-USD"), Symbol("AAPL")])
    assert list(found.values()) == ["more", "coins", "us"]
