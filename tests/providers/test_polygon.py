"""Polygon's aggregates: what is asked, the meaning of times and numbers, and every known trap."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import ConfigError, PayloadError, UnknownSymbol
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    RECEIVED,
    WEEK,
    decode,
    dialect_of,
    is_canonical,
    prices,
    refusal,
    respond,
    rows,
    same,
    want,
)
from tests.providers.polygon_pages import DAY, agg, aggs, millis, week

MINUTES = Dataset.BARS_1M
AAPL = want("polygon", "AAPL")


def test_days_are_asked_for_by_date_raw_and_oldest_first() -> None:
    """Both dates are inclusive; the vendor's defaults (adjusted, 5,000) are never relied on."""
    wire = PROVIDER.plan(AAPL, dialect_of("polygon"))
    assert wire.url == "https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/2024-03-04/2024-03-08"
    assert dict(wire.params) == {"adjusted": "false", "sort": "asc", "limit": "50000"}


def test_minutes_are_asked_for_from_the_first_open_to_the_last_close() -> None:
    """In milliseconds: a date would bring the minutes from 04:00 to 20:00."""
    wire = PROVIDER.plan(want("polygon", "AAPL", dataset=MINUTES), dialect_of("polygon"))
    first, last = millis(MONDAY, 9, 30), millis(FRIDAY, 15, 59)
    assert wire.url.endswith(f"/v2/aggs/ticker/AAPL/range/1/minute/{first}/{last}")


def test_the_key_travels_in_a_header_and_is_only_named() -> None:
    """No URL carries it, and settings may name another one."""
    wire = PROVIDER.plan(AAPL, dialect_of("polygon"))
    assert (wire.auth, wire.query_auth) == ((("Authorization: Bearer", "POLYGON_API_KEY"),), ())
    other = PROVIDER.plan(AAPL, dialect_of("polygon", key_env="MY_KEY"))
    assert [name for _, name in other.auth] == ["MY_KEY"]


def test_a_share_class_keeps_its_dot() -> None:
    """``BRK.B`` is the vendor's own spelling."""
    assert "/ticker/BRK.B/" in PROVIDER.plan(want("polygon", "BRK.B"), dialect_of("polygon")).url


@pytest.mark.parametrize(
    ("symbol", "calendar"),
    [
        pytest.param("KRAKEN:BTC-USD", "24/7", id="another venue's pair"),
        pytest.param("VOD", "XLON", id="a London listing, not the US one of that name"),
        pytest.param("BRK-B", "XNYS", id="a dash"),
        pytest.param("A_B", "XNYS", id="an underscore"),
    ],
)
def test_what_is_no_us_ticker_is_not_asked_for(symbol: str, calendar: str) -> None:
    """The same letters elsewhere are another instrument."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("polygon", symbol, calendar=calendar), dialect_of("polygon", calendar))


def test_a_week_is_five_canonical_rows() -> None:
    """Sessions by New York's midnights, the open as ``ts``, the vendor's statistics beside them."""
    page = decode(AAPL, aggs(*week()))
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert [row["session"] for row in rows(page)] == list(WEEK)
    assert (page.rejected, page.dropped, page.next, page.incomplete) == ((), 0, None, ())
    assert rows(page)[0] == {
        "symbol": "AAPL",
        "session": MONDAY,
        "ts": dt.datetime(2024, 3, 4, 14, 30, tzinfo=dt.UTC),
        "open": Decimal("100.5"),
        "high": Decimal("100.5"),
        "low": Decimal("100.5"),
        "close": Decimal("100.5"),
        "volume": Decimal(1000),
        "trade_count": 10,
        "vwap": 100.25,
        "basis": "raw",
        "basis_asof": RECEIVED.date(),
        "exact": True,
        "source": "polygon",
    }


def test_new_yorks_midnight_moves_with_the_clock() -> None:
    """05:00Z on Friday, 04:00Z on Monday after the change of 2024-03-10: both are sessions."""
    monday = dt.date(2024, 3, 11)
    assert (millis(FRIDAY) // 3_600_000 % 24, millis(monday) // 3_600_000 % 24) == (5, 4)
    page = decode(
        want("polygon", "AAPL", start=FRIDAY, end=monday), aggs(agg(millis(FRIDAY)), agg(millis(monday)))
    )
    assert [row["session"] for row in rows(page)] == [FRIDAY, monday]


@pytest.mark.parametrize(
    "stamp",
    [
        pytest.param(millis(MONDAY, 16), id="end of window, as in grouped daily"),
        pytest.param(millis(MONDAY) - 5 * 3_600_000, id="midnight UTC"),
        pytest.param(millis(MONDAY, 9, 30), id="the open"),
        pytest.param(millis(MONDAY) + 1, id="a millisecond late"),
        pytest.param(millis(MONDAY) // 1000, id="seconds"),
        pytest.param(millis(MONDAY) * 1000, id="microseconds"),
        pytest.param(0, id="zero"),
        pytest.param(-millis(MONDAY), id="negative"),
    ],
)
def test_a_day_that_does_not_start_at_midnight_is_rejected_and_never_guessed(stamp: int) -> None:
    """The others stay, and the sessions that may own the row stay open instead of counting as empty."""
    page = decode(AAPL, aggs(agg(stamp), *week()[2:]))
    assert [row["session"] for row in rows(page)] == list(WEEK[2:])
    assert [row.session for row in page.rejected] == [None]
    assert page.rejected[0].reason.startswith("t: ")
    assert set(page.incomplete) == {("AAPL", MONDAY), ("AAPL", WEEK[1])}


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        pytest.param("6.3896155e+07", "63896155", id="as recorded"),
        pytest.param("642646396.0", "642646396", id="a float"),
        pytest.param("1E3", "1000", id="upper case"),
        pytest.param("12.5", "12.5", id="a fraction of a share"),
        pytest.param("9007199254740993", "9007199254740993", id="beyond 2**53"),
        pytest.param("0", "0", id="none"),
    ],
)
def test_volumes_are_read_exactly_however_they_are_written(text: str, shares: str) -> None:
    """None of them passes through a float."""
    page = decode(AAPL, aggs(agg(millis(MONDAY), v=text)))
    assert prices(page, "volume") == [shares]
    assert page.rejected == ()


def test_split_adjusted_prices_are_asked_for_and_marked() -> None:
    """``adjusted=true`` is splits only; long decimals may be rounded there, and only there."""
    wire = PROVIDER.plan(AAPL, dialect_of("polygon", basis="split"))
    assert dict(wire.params)["adjusted"] == "true"
    body = aggs(agg(millis(MONDAY), "14.621410714285714"), agg(millis(FRIDAY), "2"), adjusted="true")
    page = decode(AAPL, body, basis="split")
    assert [(row["basis"], row["exact"]) for row in rows(page)] == [(Basis.SPLIT, False), (Basis.SPLIT, True)]
    assert prices(page) == ["14.621410714", "2"]
    assert page.rounded == 4  # numbers: open, high, low, close


def test_a_raw_price_of_ten_decimals_costs_its_row_only() -> None:
    """Quoted numbers are exact or refused."""
    page = decode(AAPL, aggs(agg(millis(MONDAY), "1.1234567891"), agg(millis(FRIDAY), "2")))
    assert prices(page) == ["2"]
    assert [row.session for row in page.rejected] == [MONDAY]


def test_dividends_are_never_taken_out() -> None:
    """The vendor has no such prices, so the setting is refused."""
    with pytest.raises(ConfigError):
        PROVIDER.plan(AAPL, dialect_of("polygon", basis="split+dividend"))


@pytest.mark.parametrize(
    ("adjusted", "basis"),
    [("true", "raw"), ("false", "split"), ("null", "raw"), ('"false"', "raw"), ("", "raw")],
)
def test_another_adjustment_than_asked_for_is_refused(adjusted: str, basis: str) -> None:
    """A price whose basis is not known is none."""
    assert isinstance(refusal(AAPL, aggs(*week(), adjusted=adjusted), basis=basis), PayloadError)


@pytest.mark.parametrize("ticker", ["MSFT", "aapl", "AAPL.A", ""])
def test_another_ticker_is_refused(ticker: str) -> None:
    """The body names its ticker, and it is the one that was asked for."""
    error = refusal(AAPL, aggs(*week(), ticker=ticker))
    assert isinstance(error, PayloadError)
    assert "AAPL" in error.message


def test_no_data_is_a_document_without_results() -> None:
    """An empty page, and no proof: an unknown ticker looks the same."""
    page = decode(AAPL, aggs())
    assert (rows(page), page.rejected, page.incomplete, page.next) == ([], (), (), None)
    assert not PROVIDER.spec.offers[Dataset.BARS_1D].empty_is_proof


def test_results_that_are_announced_and_missing_are_refused() -> None:
    """``resultsCount`` of five without ``results`` is a document that lost its rows."""
    assert isinstance(refusal(AAPL, aggs(resultsCount="5")), PayloadError)


def test_a_delayed_plans_answer_is_an_answer() -> None:
    """``DELAYED`` is the status of plans that get the same data later."""
    assert len(rows(decode(AAPL, aggs(*week(), status='"DELAYED"')))) == 5


def test_extended_hours_are_dropped_and_counted() -> None:
    """Minutes before 09:30 and from 16:00 on belong to no bar."""
    asked = want("polygon", "AAPL", dataset=MINUTES, start=DAY, end=DAY)
    at = [(4, 0), (9, 29), (9, 30), (15, 59), (16, 0), (19, 59)]
    page = decode(asked, aggs(*(agg(millis(DAY, *moment)) for moment in at)))
    assert [row["ts"].astimezone(dt.UTC).hour for row in rows(page, MINUTES)] == [14, 20]
    assert (page.dropped, page.rejected) == (4, ())


def test_a_half_day_has_no_afternoon() -> None:
    """On 2024-11-29 the session closes at 13:00: the minute at 13:00 is dropped."""
    black_friday = dt.date(2024, 11, 29)
    asked = want("polygon", "AAPL", dataset=MINUTES, start=black_friday, end=black_friday)
    page = decode(asked, aggs(agg(millis(black_friday, 12, 59)), agg(millis(black_friday, 13))))
    assert (len(rows(page, MINUTES)), page.dropped) == (1, 1)


def test_rows_outside_the_range_are_dropped_and_counted() -> None:
    """A day before and a day after are no one's here."""
    narrow = want("polygon", "AAPL", start=WEEK[1], end=WEEK[3])
    page = decode(narrow, aggs(*week()))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:4])
    assert page.dropped == 2


def test_order_and_repetition_do_not_matter() -> None:
    """Newest first, shuffled or told twice: the same table."""
    clean = decode(AAPL, aggs(*week()))
    mixed = week() + week()[1:3]
    random.Random(4).shuffle(mixed)
    assert same(decode(AAPL, aggs(*week()[::-1])), clean)
    assert same(decode(AAPL, aggs(*mixed)), clean)


def test_two_stories_about_one_day_are_both_rejected() -> None:
    """Nobody can say which is true."""
    page = decode(AAPL, aggs(*week(), agg(millis(MONDAY), "7")))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert [row.session for row in page.rejected] == [MONDAY, MONDAY]


def test_a_field_that_was_not_there_before_is_ignored() -> None:
    """``otc`` and whatever else comes."""
    assert same(decode(AAPL, aggs(*week(otc="true", zz='{"a":[1]}'))), decode(AAPL, aggs(*week())))


def test_a_pretty_printed_body_is_the_same_body() -> None:
    """Line ends inside the document mean nothing."""
    document = json.loads(aggs(*week()))
    assert same(decode(AAPL, json.dumps(document, indent=4)), decode(AAPL, aggs(*week())))


@pytest.mark.parametrize(
    "close", ["NaN", "Infinity", "1e999", "1e-999999999", '"100.5"', "null", "true", "[1]", "{}"]
)
def test_a_price_that_is_no_number_costs_its_row_only(close: str) -> None:
    """Its session is named, the raw row shown, and the other four stay."""
    broken = agg(millis(MONDAY)).replace('"c":100.5', f'"c":{close}')
    page = decode(AAPL, aggs(broken, *week()[1:]))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert [(row.symbol, row.session) for row in page.rejected] == [("AAPL", MONDAY)]


@pytest.mark.parametrize("row", ["null", "[]", "7", '"x"', "{}"])
def test_a_row_that_is_no_aggregate_is_rejected(row: str) -> None:
    """It could be any session's, so those without a row stay open."""
    page = decode(AAPL, aggs(row, *week()[1:]))
    assert len(rows(page)) == 4
    assert len(page.rejected) == 1
    assert page.incomplete == (("AAPL", MONDAY),)


@pytest.mark.parametrize("count", ["", "null"])
def test_statistics_may_be_absent(count: str) -> None:
    """Old aggregates have no ``n`` and no ``vw``."""
    (row,) = rows(decode(AAPL, aggs(agg(millis(MONDAY), n=count, vw=count))))
    assert (row["trade_count"], row["vwap"]) == (None, None)


def test_a_count_written_as_a_float_is_read() -> None:
    """``1.2e+06`` is an integer in this vendor's hand."""
    (row,) = rows(decode(AAPL, aggs(agg(millis(MONDAY), n="1.2e+06"))))
    assert row["trade_count"] == 1_200_000


@pytest.mark.parametrize("cut", [1, 40, 200, -1, -2])
def test_a_truncated_body_is_refused(cut: int) -> None:
    """A prefix of a page is no page."""
    assert isinstance(refusal(AAPL, aggs(*week())[:cut]), PayloadError)


@pytest.mark.parametrize("opening", ["[", '{"results":', '{"results":[', '{"results":[{"t":'])
def test_nesting_without_end_is_refused(opening: str) -> None:
    """A million brackets end in an error of ours."""
    assert isinstance(refusal(AAPL, opening * 300_000), PayloadError)


def test_an_empty_answer_is_a_page_and_a_foreign_document_is_not() -> None:
    """Without ``status`` it is some other service's."""
    for body in ("{}", "[]", "7", "null", '{"bars":{}}', '{"status":"OK"}', '{"ticker":"AAPL","results":[]}'):
        assert isinstance(refusal(AAPL, body), PayloadError), body
    assert PROVIDER.classify(respond(aggs())) is None
