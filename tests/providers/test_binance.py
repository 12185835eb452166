"""Binance's candles, symbols and errors: units of time, unfinished candles, pages, names, codes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    OutOfRange,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance import PROVIDER, vendor_symbol
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    RECEIVED,
    decode,
    dialect_of,
    is_canonical,
    prices,
    refusal,
    respond,
    rows,
    want,
)

SYMBOL = "BINANCE:BTC-USDT"
D = dt.date
MONDAY, SUNDAY = D(2024, 3, 4), D(2024, 3, 10)
START = 1_709_510_400_000  # Monday, milliseconds
DAY, MINUTE = 86_400_000, 60_000
TODAY = RECEIVED.date()


def ask(dataset: Dataset = Dataset.BARS_1D, start: dt.date = MONDAY, end: dt.date = SUNDAY) -> FetchRequest:
    """A week, Sunday included."""
    return want("binance", SYMBOL, dataset=dataset, start=start, end=end, calendar="24/7")


def kline(opened: int = START, step: int = DAY, unit: int = 1, **changes: Any) -> list[Any]:
    """A kline in the documented shape; ``unit`` is 1000 for microseconds."""
    cells = {
        "open": opened * unit,
        "o": "100.00000000", "h": "110.50000000", "l": "90.00000000", "c": "105.25000000", "v": "12.50000000",
        "close": (opened + step) * unit - 1, "q": "1281.25000000", "n": 42,
        "tb": "6.00000000", "tq": "600.00000000", "x": "0",
    }  # fmt: skip
    return list((cells | changes).values())


def minutes(count: int, start: int = START) -> list[list[Any]]:
    """So many minutes in order."""
    return [kline(start + at * MINUTE, MINUTE) for at in range(count)]


def test_a_day_is_read_to_the_last_decimal() -> None:
    """Prices and volume from their text, the count, and VWAP as quote volume by volume."""
    page = decode(ask(), [kline()])
    (row,) = rows(page)
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert (row["session"], row["trade_count"], row["vwap"]) == (MONDAY, 42, 102.5)
    assert [prices(page, name) for name in ("open", "high", "low", "close", "volume")] == [
        ["100"], ["110.5"], ["90"], ["105.25"], ["12.5"],
    ]  # fmt: skip
    assert row["ts"] == dt.datetime(2024, 3, 4, tzinfo=dt.UTC)


@pytest.mark.parametrize("unit", [1, 1000], ids=["milliseconds", "microseconds"])
def test_units_are_told_by_their_size(unit: int) -> None:
    """The same week in either unit gives the same rows."""
    page = decode(ask(), [kline(START + at * DAY, unit=unit) for at in range(7)])
    assert [row["session"] for row in rows(page)] == [MONDAY + dt.timedelta(days=at) for at in range(7)]
    assert page.rejected == ()


def test_a_mix_of_units_is_refused() -> None:
    """Half a page in microseconds would be thrown far into the future: the page is not used."""
    error = refusal(ask(), [kline(), kline(START + DAY, unit=1000)])
    assert isinstance(error, PayloadError)
    assert "mixes units" in error.message


@pytest.mark.parametrize("stamp", [START // 1000, START * 1_000_000, 0, 7], ids=["s", "ns", "zero", "tiny"])
def test_other_units_are_refused(stamp: int) -> None:
    """Seconds and nanoseconds are nobody's documented form."""
    assert isinstance(refusal(ask(), [kline(open=stamp, close=stamp + DAY - 1)]), PayloadError)


@pytest.mark.parametrize(
    "close",
    [START + DAY, START + MINUTE - 1, START + 7 * DAY - 1],
    ids=["next open", "a minute's", "a week's"],
)
def test_a_candle_of_another_length_is_rejected(close: int) -> None:
    """The close is the last instant before the next candle, or it is another candle."""
    page = decode(ask(), [kline(close=close), kline(START + DAY)])
    assert [row["session"] for row in rows(page)] == [MONDAY + dt.timedelta(days=1)]
    ((symbol, session, reason, _),) = [(r.symbol, r.session, r.reason, r.raw) for r in page.rejected]
    assert (symbol, session) == (SYMBOL, MONDAY)
    assert "close" in reason


def test_a_candle_off_its_grid_is_rejected() -> None:
    """A day that begins at noon is no day of the exchange."""
    page = decode(ask(), [kline(START + DAY // 2)])
    assert (rows(page), len(page.rejected)) == ([], 1)


def test_the_running_candle_is_never_stored() -> None:
    """Today's is left out and named; yesterday's is kept."""
    today = int(dt.datetime.combine(TODAY, dt.time(), dt.UTC).timestamp()) * 1000
    page = decode(ask(start=TODAY - dt.timedelta(days=1), end=TODAY), [kline(today - DAY), kline(today)])
    assert [row["session"] for row in rows(page)] == [TODAY - dt.timedelta(days=1)]
    assert page.incomplete == ((SYMBOL, TODAY),)


def test_the_running_minute_is_never_stored() -> None:
    """The minute in which the answer came is left out."""
    now = int(RECEIVED.timestamp()) * 1000
    page = decode(ask(Dataset.BARS_1M, TODAY, TODAY), [kline(now - MINUTE, MINUTE), kline(now, MINUTE)])
    assert [row["ts"] for row in rows(page, Dataset.BARS_1M)] == [RECEIVED - dt.timedelta(minutes=1)]
    assert page.incomplete == ((SYMBOL, TODAY),)


def test_a_candle_without_a_trade_is_a_row_without_vwap() -> None:
    """Volume 0 at the last price is what the exchange says; an average of nothing is null."""
    page = decode(ask(), [kline(v="0.00000000", q="0.00000000", n=0)])
    (row,) = rows(page)
    assert (row["volume"], row["trade_count"], row["vwap"]) == (0, 0, None)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"c": "NaN"}, "close"),
        ({"c": 105.25}, "close"),
        ({"h": "1e999"}, "high"),
        ({"l": None}, "low"),
        ({"o": "1.1234567891"}, "open"),
        ({"v": True}, "volume"),
        ({"v": "0.123456789"}, "volume"),
    ],
    ids=lambda value: str(value),
)
def test_a_cell_that_is_no_decimal_text_costs_its_row(change: dict[str, Any], column: str) -> None:
    """One row is rejected with the name of the column; the others stand."""
    page = decode(ask(), [kline(**change), kline(START + DAY)])
    assert len(rows(page)) == 1
    (bad,) = page.rejected
    assert bad.session == MONDAY
    assert bad.reason.startswith(column)


@pytest.mark.parametrize("row", [[], {}, None, "x", 7, [None] * 12], ids=str)
def test_a_row_of_another_shape_costs_itself_and_proves_nothing(row: Any) -> None:
    """Its session is unknown, so none without a row may pass for empty."""
    page = decode(ask(end=MONDAY + dt.timedelta(days=1)), [kline(), row])
    assert [r["session"] for r in rows(page)] == [MONDAY]
    assert [bad.session for bad in page.rejected] == [None]
    assert page.incomplete == ((SYMBOL, MONDAY + dt.timedelta(days=1)),)


def test_a_page_of_nothing_but_such_rows_is_refused() -> None:
    """It is no answer at all."""
    assert isinstance(refusal(ask(), [[], None, {}]), PayloadError)


def test_duplicates_collapse_and_contradictions_are_rejected() -> None:
    """Equal twice is once; different twice is never."""
    assert len(rows(decode(ask(), [kline(), kline()]))) == 1
    page = decode(ask(), [kline(), kline(c="99.00000000")])
    assert (rows(page), len(page.rejected)) == ([], 2)


def test_order_does_not_matter_and_other_days_are_dropped() -> None:
    """Rows come out in order; those outside the range are counted."""
    page = decode(ask(end=MONDAY + dt.timedelta(days=1)), [kline(START + DAY), kline(START - DAY), kline()])
    assert [row["session"].day for row in rows(page)] == [4, 5]
    assert page.dropped == 1


def test_more_cells_than_documented_are_ignored() -> None:
    """A new column breaks nothing."""
    assert len(rows(decode(ask(), [[*kline(), "new", 1]]))) == 1


def test_the_request_is_in_milliseconds_and_inclusive() -> None:
    """From the first instant of Monday to the last of Sunday, UTC."""
    wire = PROVIDER.plan(ask(), dialect_of("binance", "24/7"))
    assert wire.url == "https://api.binance.com/api/v3/klines"
    assert dict(wire.params) == {
        "symbol": "BTCUSDT", "interval": "1d", "limit": "1000",
        "startTime": str(START), "endTime": str(START + 7 * DAY - 1),
    }  # fmt: skip
    assert (wire.auth, wire.query_auth) == ((), ())


def _after(page: Page) -> dict[str, str]:
    assert page.next is not None
    return dict(page.next.params)


def test_pages_go_on_behind_the_last_candle() -> None:
    """A full page continues at the next minute, with the same end."""
    page = decode(ask(Dataset.BARS_1M, MONDAY, MONDAY), minutes(1000))
    params = _after(page)
    assert params["startTime"] == str(START + 1000 * MINUTE)
    assert params["endTime"] == str(START + DAY - 1)


def test_a_short_page_still_goes_on() -> None:
    """Three minutes of a day are not the day; an empty page is the end, and so is the last minute."""
    assert _after(decode(ask(Dataset.BARS_1M, MONDAY, MONDAY), minutes(3)))
    assert decode(ask(Dataset.BARS_1M, MONDAY, MONDAY), []).next is None
    last = minutes(440, START + 1000 * MINUTE)
    assert decode(ask(Dataset.BARS_1M, MONDAY, MONDAY), last).next is None


def test_a_page_that_stands_still_is_a_loop() -> None:
    """The same candles again, when later ones were asked for."""
    request, dialect = ask(Dataset.BARS_1M, MONDAY, MONDAY), dialect_of("binance", "24/7")
    sent: HttpRequest | None = PROVIDER.plan(request, dialect)
    assert sent is not None
    following = PROVIDER.decode(request, dialect, sent, respond(minutes(5))).next
    assert following is not None
    with pytest.raises(PayloadError, match="loop"):
        PROVIDER.decode(request, dialect, following, respond(minutes(5)))


@pytest.mark.parametrize("symbol", ["BTC-USDT", "KRAKEN:BTC-USD", "BINANCE:BTCUSDT", "BINANCE:A.B-C", "AAPL"])
def test_what_is_no_pair_of_this_venue_is_not_asked(symbol: str) -> None:
    """A symbol it cannot spell never reaches the network."""
    with pytest.raises(UnknownSymbol):
        vendor_symbol(Symbol(symbol))


def test_the_pair_loses_its_dash() -> None:
    """BINANCE:1000SATS-FDUSD is 1000SATSFDUSD."""
    assert vendor_symbol(Symbol("BINANCE:1000SATS-FDUSD")) == "1000SATSFDUSD"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, -1121, UnknownSymbol),
        (429, -1003, type(None)),  # the transport's, with its headers
        (200, -1003, RateLimited),
        (418, -1003, RateLimited),
        (403, 0, RateLimited),
        (500, -1001, TransportError),
        (503, -1008, TransportError),
        (401, -2015, BadCredentials),
        (400, -2014, BadCredentials),
        (400, -1127, OutOfRange),
        (400, -1100, PayloadError),
        (451, 0, NotEntitled),
    ],
)
def test_errors_by_their_code(status: int, code: int, kind: type) -> None:
    """Each documented code has its class; what may be retried says so."""
    found = PROVIDER.classify(respond({"code": code, "msg": "said"}, status))
    assert type(found) is kind


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120.0), ("", None), ("soon", None), ("9" * 30, None)]
)
def test_a_ban_says_how_long(header: str, seconds: float | None) -> None:
    """418 carries Retry-After in seconds."""
    answer = HttpResponse(418, {"retry-after": header}, b'{"code":-1003,"msg":"banned"}', RECEIVED)
    found = PROVIDER.classify(answer)
    assert isinstance(found, RateLimited)
    assert found.retry_after == seconds


def test_a_restricted_place_is_told_of_the_other_house() -> None:
    """451 is the law's, not the key's."""
    found = PROVIDER.classify(
        respond({"code": 0, "msg": "Service unavailable from a restricted location"}, 451)
    )
    assert isinstance(found, NotEntitled)
    assert "api.binance.us" in found.hint


def test_an_unknown_symbol_is_named_as_it_was_asked_for() -> None:
    """The vendor's words do not say which: the request does."""
    error = refusal(ask(), {"code": -1121, "msg": "Invalid symbol."}, status=400)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == SYMBOL


@pytest.mark.parametrize("body", [{}, {"klines": []}, "null", "7", '"x"', "true"])
def test_what_is_no_list_is_refused(body: object) -> None:
    """An object without a code is no answer either."""
    assert isinstance(refusal(ask(), body), PayloadError)


def _symbols(*found: dict[str, Any]) -> dict[str, Any]:
    return {"timezone": "UTC", "serverTime": START, "symbols": list(found)}


def test_an_instrument_is_a_pair_of_assets() -> None:
    """Quote asset as currency; other symbols of a full list are passed over."""
    facts = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING"}
    other = {"symbol": "ETHUSDT", "baseAsset": "ETH", "quoteAsset": "USDT"}
    page = decode(ask(Dataset.INSTRUMENTS), _symbols(other, facts))
    (row,) = rows(page, Dataset.INSTRUMENTS)
    assert (row["name"], row["currency"], row["session"]) == ("BTC/USDT", "USDT", SUNDAY)


@pytest.mark.parametrize(
    "found",
    [
        [],
        [{"symbol": "ETHUSDT", "baseAsset": "ETH", "quoteAsset": "USDT"}],
        [{"symbol": "BTCUSDT", "baseAsset": "BT", "quoteAsset": "USDT"}],
        [{"symbol": "BTCUSDT"}],
        [7, None],
    ],
)
def test_facts_of_another_symbol_are_refused(found: list[Any]) -> None:
    """Nothing is taken for BTCUSDT that does not add up to it."""
    error: ProviderError = refusal(ask(Dataset.INSTRUMENTS), _symbols(*found))
    assert isinstance(error, PayloadError)
