"""Tiingo's days and minutes: what is asked, what dates mean, errors, and every known trap."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    ConfigError,
    NotEntitled,
    PayloadError,
    QuotaExhausted,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.providers.spec import Page
from mdc_resources.providers.tiingo import PROVIDER
from mdc_resources.schema.arrow import BARS, INSTRUMENTS
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
    want,
)
from tests.providers.tiingo_rows import day, listed, minute, week

MINUTES = Dataset.BARS_1M
AAPL = want("tiingo", "AAPL")
TODAY = want("tiingo", "AAPL", dataset=MINUTES, start=FRIDAY, end=FRIDAY)
HOURLY = {"detail": "Error: You have run over your hourly request allocation."}


def _params(dataset: Dataset = Dataset.BARS_1D) -> dict[str, str]:
    return dict(PROVIDER.plan(want("tiingo", "AAPL", dataset=dataset), dialect_of("tiingo")).params)


def _asked_at(received: dt.datetime, request: FetchRequest, body: str) -> Page:
    dialect, good = dialect_of("tiingo"), respond(body)
    response = type(good)(good.status, good.headers, good.body, received)
    return PROVIDER.decode(request, dialect, PROVIDER.plan(request, dialect), response)


def test_days_are_asked_for_by_date() -> None:
    """Both inclusive; nothing is resampled."""
    wire = PROVIDER.plan(AAPL, dialect_of("tiingo"))
    assert wire.url == "https://api.tiingo.com/tiingo/daily/AAPL/prices"
    assert dict(wire.params) == {
        "startDate": "2024-03-04",
        "endDate": "2024-03-08",
        "format": "json",
        "resampleFreq": "daily",
    }
    assert (
        PROVIDER.plan(want("tiingo", "AAPL", dataset=Dataset.CORPORATE_ACTIONS), dialect_of("tiingo")) == wire
    )


def test_minutes_are_asked_for_with_their_volume_and_nothing_invented() -> None:
    """``columns`` names the volume, gaps are not filled, extended hours stay away."""
    wire = PROVIDER.plan(want("tiingo", "AAPL", dataset=MINUTES), dialect_of("tiingo"))
    assert wire.url.endswith("/iex/AAPL/prices")
    found = _params(MINUTES)
    assert found["columns"] == "open,high,low,close,volume"
    assert (found["resampleFreq"], found["forceFill"], found["afterHours"]) == ("1min", "false", "false")


def test_a_request_for_minutes_never_exceeds_an_answer() -> None:
    """Five sessions have 1,950 minutes; an answer holds the newest 2,000, and does not say so."""
    offer = PROVIDER.spec.offers[MINUTES]
    assert offer.max_sessions is not None
    assert offer.max_sessions * 390 <= 2000


def test_minutes_are_another_market_than_days() -> None:
    """IEX volume is not the tape's: neither fails over to the other."""
    assert PROVIDER.spec.offers[MINUTES].market == "iex"
    assert PROVIDER.spec.offers[Dataset.BARS_1D].market == "us-consolidated"


def test_the_token_travels_in_a_header_and_is_only_named() -> None:
    """No URL carries it, and settings may name another one."""
    wire = PROVIDER.plan(AAPL, dialect_of("tiingo"))
    assert (wire.auth, wire.query_auth) == ((("Authorization: Token", "TIINGO_API_TOKEN"),), ())
    assert [name for _, name in PROVIDER.plan(AAPL, dialect_of("tiingo", key_env="MINE")).auth] == ["MINE"]


@pytest.mark.parametrize("dataset", list(PROVIDER.spec.offers), ids=str)
def test_a_share_class_takes_a_dash(dataset: Dataset) -> None:
    """``BRK.B`` is ``BRK-B`` everywhere."""
    assert "/BRK-B" in PROVIDER.plan(want("tiingo", "BRK.B", dataset=dataset), dialect_of("tiingo")).url


@pytest.mark.parametrize(
    ("symbol", "calendar"),
    [("KRAKEN:BTC-USD", "24/7"), ("VOD", "XLON"), ("A_B", "XNYS"), ("BTC-USD", "24/7")],
)
def test_what_is_no_us_ticker_is_not_asked_for(symbol: str, calendar: str) -> None:
    """The same letters elsewhere are another instrument."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("tiingo", symbol, calendar=calendar), dialect_of("tiingo", calendar))


def test_prices_are_raw_and_nothing_else_is_on_offer() -> None:
    """The adjusted columns are rewritten with each dividend."""
    with pytest.raises(ConfigError):
        dialect_of("tiingo", basis="split").offer(Dataset.BARS_1D)


def test_a_week_is_five_canonical_rows() -> None:
    """Raw columns only; the vendor has no counts."""
    page = decode(AAPL, listed(*week()))
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
        "trade_count": None,
        "vwap": None,
        "basis": "raw",
        "basis_asof": RECEIVED.date(),
        "exact": True,
        "source": "tiingo",
    }


@pytest.mark.parametrize(
    "stamp",
    ["2024-03-04T00:00:00.000Z", "2024-03-04T00:00:00+00:00", "2024-03-04T00:00:00Z", "2024-03-04"],
)
def test_a_date_is_a_date_in_every_hand(stamp: str) -> None:
    """Midnight UTC of it would be the evening before in New York: it is no instant."""
    page = decode(AAPL, listed(day(stamp)))
    assert [row["session"] for row in rows(page)] == [MONDAY]


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-03-04T05:00:00.000Z",
        "2024-03-04T00:00:00-05:00",
        "2024-03-04T00:00:01.000Z",
        "2024-02-30T00:00:00.000Z",
        "04.03.2024",
        "1709510400",
        "",
    ],
)
def test_a_date_with_a_time_of_day_is_rejected_and_never_guessed(stamp: str) -> None:
    """The session that may own it stays open instead of counting as empty."""
    page = decode(AAPL, listed(day(stamp), *week()[1:]))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert [row.session for row in page.rejected] == [None]
    assert page.incomplete == (("AAPL", MONDAY),)


def test_a_minute_is_an_instant() -> None:
    """14:30Z is the open in winter; the minute before it and the one at the close are dropped."""
    at = ("14:29", "14:30", "14:31", "20:59", "21:00")
    body = listed(*(minute(f"2024-03-08T{clock}:00.000Z") for clock in at))
    page = decode(TODAY, body)
    assert [f"{row['ts']:%H:%M}" for row in rows(page, MINUTES)] == ["14:30", "14:31", "20:59"]
    assert (page.dropped, page.rejected) == (2, ())
    assert {row["source"] for row in rows(page, MINUTES)} == {"tiingo"}


@pytest.mark.parametrize("stamp", ["2024-03-08T14:30:00", "yesterday", "", "2024-03-08"])
def test_a_minute_without_a_zone_is_rejected(stamp: str) -> None:
    """Nobody can say when it was, so its session stays open."""
    page = decode(TODAY, listed(minute("2024-03-08T14:30:00.000Z"), minute(stamp)))
    assert (len(rows(page, MINUTES)), len(page.rejected)) == (1, 1)


def test_a_minute_without_volume_has_none() -> None:
    """Null is not zero: the column was not told."""
    page = decode(TODAY, listed(minute("2024-03-08T14:30:00.000Z", volume="")))
    assert rows(page, MINUTES)[0]["volume"] is None
    assert page.rejected == ()


@pytest.mark.parametrize(
    ("text", "shares"),
    [("59344400", "59344400"), ("120.0", "120"), ("12.5", "12.5"), ("5.93444e+07", "59344400")],
)
def test_volumes_are_read_exactly(text: str, shares: str) -> None:
    """However they are written."""
    assert prices(decode(AAPL, listed(day(MONDAY, volume=text))), "volume") == [shares]


def test_raw_prices_of_many_digits_are_refused_and_adjusted_ones_not_looked_at() -> None:
    """``14.621410714285714`` stands in each adjusted column of these rows."""
    page = decode(AAPL, listed(day(MONDAY, "14.621410714285714"), *week()[1:]))
    assert [row.session for row in page.rejected] == [MONDAY]
    assert len(rows(page)) == 4
    page = decode(AAPL, listed(*week(adjClose="NaN")))
    assert (len(rows(page)), page.rejected) == (5, ())


@pytest.mark.parametrize("close", ["NaN", "1e999", "1e-9999999", '"100.5"', "null", "true", "[]", ""])
def test_a_price_that_is_no_number_costs_its_row_only(close: str) -> None:
    """Its session is named, and the other four stay."""
    page = decode(AAPL, listed(day(MONDAY, close), *week()[1:]))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert [row.session for row in page.rejected] == [MONDAY]


@pytest.mark.parametrize("row", ["null", "7", "[]", '"x"', "{}"])
def test_a_row_that_is_no_day_is_rejected(row: str) -> None:
    """And the absent session stays open."""
    page = decode(AAPL, listed(row, *week()[1:]))
    assert (len(rows(page)), len(page.rejected)) == (4, 1)
    assert page.incomplete == (("AAPL", MONDAY),)


def test_order_repetition_and_new_columns_do_not_matter() -> None:
    """One table, whatever the order."""
    clean = decode(AAPL, listed(*week())).tables[Dataset.BARS_1D]
    mixed = week(zz="1") + week()[2:4]
    random.Random(3).shuffle(mixed)
    assert decode(AAPL, listed(*mixed)).tables[Dataset.BARS_1D].equals(clean)


def test_two_stories_about_one_day_are_both_rejected() -> None:
    """Nobody can say which is true."""
    page = decode(AAPL, listed(*week(), day(MONDAY, "7")))
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert len(page.rejected) == 2


def test_rows_outside_the_range_are_dropped_and_counted() -> None:
    """The week before is no one's here."""
    page = decode(want("tiingo", "AAPL", start=FRIDAY, end=FRIDAY), listed(*week()))
    assert (len(rows(page)), page.dropped) == (1, 4)


def test_days_without_data_are_absent_and_nothing_is_invented() -> None:
    """A halted day has no row, is not incomplete years later, and proves nothing."""
    page = decode(AAPL, listed(*week()[:2], *week()[3:]))
    assert (len(rows(page)), page.incomplete, page.rejected) == (4, (), ())
    assert not PROVIDER.spec.offers[Dataset.BARS_1D].empty_is_proof


@pytest.mark.parametrize(
    ("clock", "incomplete"),
    [
        pytest.param(dt.datetime(2024, 3, 8, 22, tzinfo=dt.UTC), True, id="17:00, before it is out"),
        pytest.param(dt.datetime(2024, 3, 9, 0, 59, tzinfo=dt.UTC), True, id="19:59, still due"),
        pytest.param(dt.datetime(2024, 3, 9, 1, tzinfo=dt.UTC), False, id="20:00, final"),
    ],
)
def test_a_day_that_is_not_out_yet_is_not_empty(clock: dt.datetime, incomplete: bool) -> None:
    """Prices come about 17:30 and are corrected until 20:00."""
    page = _asked_at(clock, AAPL, listed(*week()[:4]))
    assert page.incomplete == ((("AAPL", FRIDAY),) if incomplete else ())


def test_a_running_sessions_rows_are_never_final() -> None:
    """Neither its day nor its running minute."""
    noon = dt.datetime(2024, 3, 8, 17, tzinfo=dt.UTC)
    page = _asked_at(noon, AAPL, listed(*week()))
    assert ([row["session"] for row in rows(page)][-1], page.incomplete) == (WEEK[3], (("AAPL", FRIDAY),))
    body = listed(minute("2024-03-08T16:59:00.000Z"), minute("2024-03-08T17:00:00.000Z"))
    page = _asked_at(noon, TODAY, body)
    assert (len(rows(page, MINUTES)), page.incomplete) == (1, (("AAPL", FRIDAY),))


@pytest.mark.parametrize("status", [200, 429])
def test_the_hours_allocation_is_waited_for_to_the_end_of_the_hour(status: int) -> None:
    """It begins anew on the clock: an answer of 21:05 says 55 minutes."""
    error = PROVIDER.classify(respond(HOURLY, status))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 55 * 60


def test_a_header_that_says_how_long_is_the_transports() -> None:
    """It knows both forms of Retry-After."""
    assert PROVIDER.classify(respond(HOURLY, 429, **{"retry-after": "7"})) is None


def test_the_days_allocation_is_another_providers_turn() -> None:
    """Asking again today is pointless."""
    for period in ("daily", "monthly"):
        said = {"detail": f"Error: You have run over your {period} request allocation."}
        assert isinstance(PROVIDER.classify(respond(said, 429)), QuotaExhausted)


@pytest.mark.parametrize(
    "body", [{"detail": "Error: Ticker 'GONE' not found"}, b"Error: Ticker 'GONE' not found"]
)
@pytest.mark.parametrize("status", [404, 200])
def test_an_unknown_ticker_is_a_fact_about_it(body: Any, status: int) -> None:
    """With the symbol that was asked for, as document or sentence."""
    error = refusal(want("tiingo", "GONE"), body, status=status)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "GONE"


def test_what_a_plan_does_not_include_is_another_providers_turn() -> None:
    """The token is good."""
    said = {"detail": "You do not have permission to access the News API"}
    assert isinstance(PROVIDER.classify(respond(said, 403)), NotEntitled)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_statuses_with_a_general_meaning_are_the_transports(status: int) -> None:
    """It reads their headers."""
    for body in ({"detail": "Invalid token."}, b"busy", b""):
        assert PROVIDER.classify(respond(body, status)) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>sign in</html>"),
        (200, {"detail": "Not found."}),
        (404, {"detail": "Not found."}),
        (400, b"Error: startDate is not a date"),
        (302, b"moved"),
        (200, b"{}"),
        (200, b'{"prices":[]}'),
        (200, b"7"),
        (200, b"null"),
        (200, b"date,close\n2024-03-04,1"),
    ],
)
def test_what_is_no_list_of_prices_is_refused(status: int, body: Any) -> None:
    """Never an empty success."""
    assert type(refusal(AAPL, body, status=status)) is PayloadError


def test_a_message_never_shows_the_token() -> None:
    """Should the vendor echo it, it is cut out."""
    error = refusal(AAPL, {"detail": "Error: token=0f1e2d3c4b5a69788796a5b4c3d2e1f001234567 is not allowed"})
    assert "0f1e2d3c" not in str(error)
    assert not isinstance(error, BadCredentials)


@pytest.mark.parametrize("cut", [1, 30, 300, -1])
def test_a_truncated_body_is_refused(cut: int) -> None:
    """A prefix of a list is none."""
    assert isinstance(refusal(AAPL, listed(*week())[:cut]), PayloadError)


def test_an_empty_list_is_an_empty_page() -> None:
    """A range before the listing."""
    page = decode(AAPL, "[]")
    assert (rows(page), page.rejected, page.incomplete) == ([], (), ())


def _described(**facts: Any) -> str:
    told = {"ticker": "BRK-B", "name": "Berkshire", "exchangeCode": "NYSE", "startDate": "1996-05-09"}
    return json.dumps({**told, "endDate": "2024-03-08", "description": "...", **facts})


def test_a_ticker_is_one_canonical_row() -> None:
    """Name, exchange and first date; the vendor tells neither currency nor type."""
    page = decode(want("tiingo", "BRK.B", dataset=Dataset.INSTRUMENTS), _described())
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    (row,) = rows(page, Dataset.INSTRUMENTS)
    assert (row["symbol"], row["venue"], row["first_trade"]) == ("BRK.B", "NYSE", dt.date(1996, 5, 9))
    assert (row["currency"], row["instrument_type"], row["timezone"]) == (None, None, None)


@pytest.mark.parametrize("told", ["BRK.B", "BRK-A", None, 7, ""])
def test_another_tickers_description_is_refused(told: Any) -> None:
    """It names whom it describes, in the vendor's spelling; case does not matter."""
    asked = want("tiingo", "BRK.B", dataset=Dataset.INSTRUMENTS)
    assert isinstance(refusal(asked, _described(ticker=told)), PayloadError)
    assert decode(asked, _described(ticker="brk-b")).tables[Dataset.INSTRUMENTS].num_rows == 1
