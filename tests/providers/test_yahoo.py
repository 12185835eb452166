"""Yahoo's chart v8: what is asked, how answers are read, and every known trap."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    PayloadError,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.yahoo import PROVIDER, vendor_symbol
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    RECEIVED,
    WEEK,
    chart,
    decode,
    dialect_of,
    is_canonical,
    opened,
    prices,
    refusal,
    rows,
    same,
    want,
)

MINUTES = Dataset.BARS_1M
ACTIONS = Dataset.CORPORATE_ACTIONS


def _params(**more: Any) -> dict[str, str]:
    request = want("yahoo", "AAPL", **more)
    return dict(PROVIDER.plan(request, dialect_of("yahoo", request.calendar)).params)


def test_a_request_spans_whole_local_days_half_open() -> None:
    """From midnight in New York before the first session to the midnight after the last."""
    assert _params()["period1"] == str(int(dt.datetime(2024, 3, 4, 5, tzinfo=dt.UTC).timestamp()))
    assert _params()["period2"] == str(int(dt.datetime(2024, 3, 9, 5, tzinfo=dt.UTC).timestamp()))
    assert _params()["interval"] == "1d"


def test_a_request_across_the_clock_change_follows_the_zone() -> None:
    """Midnight is at 05:00 UTC in winter and at 04:00 in summer."""
    found = _params(end=dt.date(2024, 3, 11))
    assert found["period2"] == str(int(dt.datetime(2024, 3, 12, 4, tzinfo=dt.UTC).timestamp()))


def test_a_request_in_tokyo_reaches_its_own_midnight() -> None:
    """The zone is the calendar's, so that no session east of Greenwich is cut off."""
    found = _params(calendar="XTKS")
    assert found["period1"] == str(int(dt.datetime(2024, 3, 3, 15, tzinfo=dt.UTC).timestamp()))


def test_minutes_ask_for_minutes_of_regular_hours() -> None:
    """The interval and the hours are part of the request."""
    found = _params(dataset=MINUTES)
    assert (found["interval"], found["includePrePost"]) == ("1m", "false")


def test_a_browsers_name_and_no_credentials_are_sent() -> None:
    """Yahoo refuses clients without a browser's User-Agent and wants no key."""
    wire = PROVIDER.plan(want("yahoo", "AAPL"), dialect_of("yahoo"))
    assert dict(wire.headers)["User-Agent"].startswith("Mozilla/5.0")
    assert wire.auth == wire.query_auth == ()


def test_the_base_url_is_a_setting() -> None:
    """Everything goes where the settings point."""
    wire = PROVIDER.plan(want("yahoo", "BRK.B"), dialect_of("yahoo", base_url="http://127.0.0.1:9/yahoo/"))
    assert wire.url == "http://127.0.0.1:9/yahoo/v8/finance/chart/BRK-B"


@pytest.mark.parametrize(
    ("symbol", "calendar", "spelled"),
    [("BRK.B", "XNYS", "BRK-B"), ("MUV2.DE", "XETR", "MUV2.DE"), ("BTC-USD", "24/7", "BTC-USD")],
)
def test_symbols_are_spelled_yahoos_way(symbol: str, calendar: str, spelled: str) -> None:
    """A dot is a share class in New York and a venue elsewhere."""
    assert vendor_symbol(Symbol(symbol), calendar) == spelled


def test_a_symbol_of_a_named_venue_is_not_yahoos() -> None:
    """COINBASE:BTC-USD is another market than Yahoo's BTC-USD."""
    with pytest.raises(UnknownSymbol) as caught:
        PROVIDER.plan(want("yahoo", "COINBASE:BTC-USD", calendar="24/7"), dialect_of("yahoo", "24/7"))
    assert caught.value.symbol == "COINBASE:BTC-USD"


def test_a_week_of_bars_is_canonical() -> None:
    """Five rows in the canonical schema, each under its session, stamped with the open."""
    page = decode(want("yahoo", "AAPL"), chart())
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("session").to_pylist() == list(WEEK)
    assert rows(page)[0] == {
        "symbol": "AAPL",
        "session": MONDAY,
        "ts": dt.datetime(2024, 3, 4, 14, 30, tzinfo=dt.UTC),
        "open": Decimal("100.5"),
        "high": Decimal("100.5"),
        "low": Decimal("100.5"),
        "close": Decimal("100.5"),
        "volume": Decimal(1000),
        "trade_count": None,
        "vwap": None,
        "basis": "split",
        "basis_asof": RECEIVED.date(),
        "exact": True,
        "source": "yahoo",
    }
    assert (page.rejected, page.dropped, page.rounded, page.next) == ((), 0, 0, None)


def test_prices_are_the_singles_shortest_decimals() -> None:
    """34.099998474121094 on the wire is 34.1."""
    wire = [float(np.float32(price)) for price in (34.1, 166.69, 0.0988, 2705.33, 13.203491)]
    page = decode(want("yahoo", "AAPL"), chart(close=wire))
    assert prices(page) == ["34.1", "166.69", "0.0988", "2705.33", "13.203491"]


def test_a_price_with_a_tenth_decimal_is_rounded_counted_and_flagged() -> None:
    """A split-adjusted price is derived: it may be rounded, but not silently."""
    page = decode(want("yahoo", "AAPL"), chart(close=[0.0123456789012, 1, 1, 1, 1]))
    assert prices(page)[0] == "0.012345679"
    assert page.tables[Dataset.BARS_1D].column("exact").to_pylist() == [False, True, True, True, True]
    assert page.rounded == 4


def test_large_volumes_stay_exact() -> None:
    """An integer beyond 2**53 does not pass through a double."""
    page = decode(want("yahoo", "AAPL"), chart(volume=[2**53 + 1, 0, None, 10**18, 7]))
    assert prices(page, "volume") == [str(2**53 + 1), "0", "null", "1000000000000000000", "7"]


def test_a_row_of_nulls_is_an_absent_day() -> None:
    """A day without data has no row, no rejection, and is counted as left out."""
    page = decode(want("yahoo", "AAPL"), chart(close=[1, None, 3, 4, 5], volume=[1, None, 3, 4, 5]))
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == [WEEK[0], *WEEK[2:]]
    assert (page.rejected, page.dropped) == ((), 1)


def test_a_row_with_one_null_price_is_rejected() -> None:
    """Half a bar is no bar: its session is known, so that it can be quarantined."""
    page = decode(want("yahoo", "AAPL"), chart(open=[1, 2, None, 4, 5]))
    assert len(rows(page)) == 4
    (wrong,) = page.rejected
    assert (wrong.symbol, wrong.session, wrong.reason) == ("AAPL", WEEK[2], "open is missing")
    assert json.loads(wrong.raw)["high"] == 102.5


def test_an_empty_range_has_no_timestamp() -> None:
    """No timestamp and an empty quote is an answer: nothing in the range."""
    document = chart()
    result = document["chart"]["result"][0]
    del result["timestamp"]
    result["indicators"] = {"quote": [{}]}
    page = decode(want("yahoo", "AAPL"), document)
    assert rows(page) == []
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)


def test_prices_without_timestamps_are_refused() -> None:
    """Nothing says which day a price is of."""
    document = chart()
    del document["chart"]["result"][0]["timestamp"]
    assert isinstance(refusal(want("yahoo", "AAPL"), document), PayloadError)


@pytest.mark.parametrize("column", ["open", "close", "volume"])
def test_columns_of_unequal_length_are_refused(column: str) -> None:
    """A column that is short by one would shift every price by a day."""
    error = refusal(want("yahoo", "AAPL"), chart(**{column: [1.0] * 4}))
    assert isinstance(error, PayloadError)
    assert "5 timestamps" in str(error)


def test_another_symbols_chart_is_refused() -> None:
    """AAPL.MX is not AAPL."""
    error = refusal(want("yahoo", "AAPL"), chart("AAPL.MX"))
    assert isinstance(error, PayloadError)
    assert "AAPL.MX" in str(error)


def test_a_share_class_answers_under_yahoos_spelling() -> None:
    """BRK.B is answered as BRK-B and stored as BRK.B."""
    assert rows(decode(want("yahoo", "BRK.B"), chart("BRK-B")))[0]["symbol"] == "BRK.B"


def test_rows_outside_the_range_are_dropped_and_counted() -> None:
    """A vendor may send more than was asked; it is never stored."""
    days = [dt.date(2024, 3, 1), *WEEK, dt.date(2024, 3, 11)]
    page = decode(want("yahoo", "AAPL"), chart(stamps=[opened(day) for day in days]))
    assert len(rows(page)) == 5
    assert page.dropped == 2


def test_a_row_on_a_date_without_a_session_is_dropped() -> None:
    """Yahoo repeats prices on some holidays; the calendar knows better."""
    good_friday = int(dt.datetime(2024, 3, 29, 13, 30, tzinfo=dt.UTC).timestamp())
    request = want("yahoo", "AAPL", start=dt.date(2024, 3, 28), end=dt.date(2024, 4, 1))
    stamps = [opened(dt.date(2024, 3, 28)), good_friday, opened(dt.date(2024, 4, 1))]
    page = decode(request, chart(stamps=stamps))
    assert (len(rows(page)), page.dropped) == (2, 1)


def test_the_session_is_the_exchanges_date_across_the_clock_change() -> None:
    """gmtoffset is of today; the zone decides each row's date."""
    days = [dt.date(2024, 3, 8), dt.date(2024, 3, 11)]
    request = want("yahoo", "AAPL", start=days[0], end=days[1])
    page = decode(request, chart(stamps=[opened(day) for day in days], meta={"gmtoffset": 36000}))
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == days


def test_a_newest_row_stamped_with_the_last_trade_is_todays_bar() -> None:
    """After the close the newest bar carries the moment of the last trade until the night."""
    live = opened(FRIDAY) + 6 * 3600 + 1801
    stamps = [*(opened(day) for day in WEEK[:4]), live]
    page = decode(want("yahoo", "AAPL"), chart(stamps=stamps))
    assert [row["session"] for row in rows(page)] == list(WEEK)
    assert rows(page)[-1]["ts"] == dt.datetime(2024, 3, 8, 14, 30, tzinfo=dt.UTC)


def test_a_live_row_beside_the_regular_one_gives_way() -> None:
    """Two rows for today are not a conflict: the one stamped with the open stands."""
    stamps = [*(opened(day) for day in WEEK), opened(FRIDAY) + 777]
    page = decode(want("yahoo", "AAPL"), chart(stamps=stamps, close=[1, 2, 3, 4, 5, 99]))
    assert (prices(page), page.rejected, page.dropped) == (["1", "2", "3", "4", "5"], (), 1)


def test_an_identical_repetition_collapses() -> None:
    """The same row twice is one row."""
    page = decode(want("yahoo", "AAPL"), chart(stamps=[opened(MONDAY)] * 2, close=[7, 7], volume=[1, 1]))
    assert (prices(page), page.rejected) == (["7"], ())


def test_contradicting_repetitions_are_both_rejected() -> None:
    """Where two rows of one session disagree neither is believed."""
    stamps = [opened(day) for day in (*WEEK, MONDAY)]
    page = decode(want("yahoo", "AAPL"), chart(stamps=stamps, close=[1, 2, 3, 4, 5, 6]))
    assert prices(page) == ["2", "3", "4", "5"]
    assert [(wrong.session, wrong.reason) for wrong in page.rejected] == [
        (MONDAY, "2 rows for one bar disagree")
    ] * 2


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    """Shuffled rows give the same page, rejections included."""
    stamps: list[Any] = [opened(day) for day in (*WEEK, MONDAY, dt.date(2024, 3, 1))]
    close: list[Any] = [1, 2, None, 4, 5, 6, 7]
    order = list(range(len(stamps)))
    random.Random(seed).shuffle(order)
    straight = decode(want("yahoo", "AAPL"), chart(stamps=stamps, close=close, volume=[1] * 7))
    shuffled = chart(stamps=[stamps[at] for at in order], close=[close[at] for at in order], volume=[1] * 7)
    assert same(straight, decode(want("yahoo", "AAPL"), shuffled))


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("NaN", "is not a number"),
        ("Infinity", "is not a number"),
        ("1e400", "is not a number"),
        ('"103.5"', "is not a JSON number"),
        ('"1,234.50"', "is not a JSON number"),
        ("true", "is not a JSON number"),
        ("[1]", "is not a JSON number"),
        ("1e300", "too large"),
    ],
)
def test_one_bad_value_costs_one_row(literal: str, reason: str) -> None:
    """NaN, text and overflow reject their row; the other four are stored."""
    body = json.dumps(chart(close=[1, 2, 103.5, 4, 5], high=[9] * 5, open=[9] * 5, low=[9] * 5)).replace(
        "103.5", literal
    )
    page = decode(want("yahoo", "AAPL"), body)
    assert prices(page) == ["1", "2", "4", "5"]
    (wrong,) = page.rejected
    assert wrong.session == WEEK[2]
    assert reason in wrong.reason


def test_the_slow_reader_reads_like_the_fast_one() -> None:
    """A NaN elsewhere on the page changes no other number."""
    close = [34.099998474121094, 1234567.89, 0.0123456789012, 166.69000244140625, 5]
    document = chart(close=close, volume=[10**17 + 1, 0, 3, 4, 5])
    fast = decode(want("yahoo", "AAPL"), document)
    body = json.dumps(document).replace('"longName": "Apple Inc."', '"longName": NaN')
    slow = decode(want("yahoo", "AAPL"), body)
    assert fast.tables[Dataset.BARS_1D].equals(slow.tables[Dataset.BARS_1D])
    assert fast.rounded == slow.rounded > 0


@pytest.mark.parametrize(
    "stamp", [opened(MONDAY) * 1000, opened(MONDAY) * 10**9, "1709562600", 1.5, None, True]
)
def test_a_timestamp_that_is_not_in_seconds_is_rejected(stamp: object) -> None:
    """Milliseconds, text and the like are not guessed at."""
    stamps = [stamp, *(opened(day) for day in WEEK[1:])]
    page = decode(want("yahoo", "AAPL"), chart(stamps=stamps))
    assert len(rows(page)) == 4
    assert "not in epoch seconds" in page.rejected[0].reason


def test_nonsense_prices_pass_through_for_the_rules_to_judge() -> None:
    """High below low, zero and negative numbers are data here; the archive's rules judge them."""
    page = decode(
        want("yahoo", "AAPL"), chart(high=[1] * 5, low=[9] * 5, close=[0, -1, 2, 3, 4], volume=[-5] * 5)
    )
    assert len(rows(page)) == 5
    assert (rows(page)[1]["close"], rows(page)[0]["volume"]) == (Decimal(-1), Decimal(-5))


def test_minutes_belong_to_the_session_that_holds_them() -> None:
    """Only minutes inside regular hours are stored; the close's own minute is outside."""
    start = opened(FRIDAY)
    stamps = [start - 60, start, start + 60, start + 389 * 60, start + 390 * 60, start + 95]
    page = decode(want("yahoo", "AAPL", dataset=MINUTES), chart(stamps=stamps))
    found = page.tables[MINUTES]
    assert found.column("session").to_pylist() == [FRIDAY] * 3
    assert [int(ts.timestamp()) - start for ts in found.column("ts").to_pylist()] == [0, 60, 389 * 60]
    assert page.dropped == 3


def test_minutes_of_a_half_day_end_at_its_close() -> None:
    """On the day after Thanksgiving the last minute is 12:59 in New York."""
    day = dt.date(2023, 11, 24)
    stamps = [opened(day) + 60 * minute for minute in range(390)]
    page = decode(want("yahoo", "AAPL", dataset=MINUTES, start=day, end=day), chart(stamps=stamps))
    assert (page.tables[MINUTES].num_rows, page.dropped) == (210, 180)


def test_minutes_declare_how_much_may_be_asked() -> None:
    """The spec keeps the planner within eight days a request and thirty of history."""
    offer = PROVIDER.spec.offers[MINUTES]
    assert (offer.max_sessions, offer.history_days) == (5, 29)
