"""Kraken's candles, pairs and errors: its own names, the running row, the end of what it keeps."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    NotEntitled,
    OutOfRange,
    PayloadError,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.kraken import PROVIDER
from mdc_resources.providers.kraken.pairs import means, pair_of
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
from tests.providers.recorded.binance import body_of_capture
from tests.providers.recording import PAYLOADS

CAPTURE = PAYLOADS / "kraken/cryptofeed/KRAKEN.0"
SYMBOL = "KRAKEN:BTC-USD"
MONDAY, SUNDAY = dt.date(2024, 3, 4), dt.date(2024, 3, 10)
START = 1_709_510_400  # Monday, seconds
DAY, MINUTE = 86_400, 60
TODAY = RECEIVED.date()
NOW = int(RECEIVED.timestamp())


def ask(
    dataset: Dataset = Dataset.BARS_1D, start: dt.date = MONDAY, end: dt.date = SUNDAY, symbol: str = SYMBOL
) -> FetchRequest:
    """A week, Sunday included."""
    return want("kraken", symbol, dataset=dataset, start=start, end=end, calendar="24/7")


def candle(at: int = START, **changes: Any) -> list[Any]:
    """A row in the documented shape."""
    cells = {
        "t": at, "o": "100.0", "h": "110.5", "l": "90.0", "c": "105.2",
        "vwap": "101.3", "v": "12.50000000", "n": 42,
    }  # fmt: skip
    return list((cells | changes).values())


def result(*found: Any, last: Any = None, key: str = "XXBTZUSD") -> dict[str, Any]:
    """A document; ``last`` is the newest row's start unless said otherwise."""
    newest = max(
        (row[0] for row in found if isinstance(row, list) and row and isinstance(row[0], int)), default=START
    )
    return {"error": [], "result": {key: list(found), "last": newest if last is None else last}}


def test_a_day_is_read_to_the_last_decimal() -> None:
    """Prices from their text, VWAP as a statistic, the count of trades."""
    page = decode(ask(), result(candle()))
    (row,) = rows(page)
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert (row["session"], row["trade_count"], row["vwap"], row["source"]) == (MONDAY, 42, 101.3, "kraken")
    assert [prices(page, name)[0] for name in ("open", "high", "low", "close", "volume")] == [
        "100", "110.5", "90", "105.2", "12.5",
    ]  # fmt: skip


def test_a_candle_without_a_trade_has_no_vwap() -> None:
    """Kraken sends 0.0 for the average of nothing; the bar itself is kept."""
    (row,) = rows(decode(ask(), result(candle(vwap="0.0", v="0.00000000", n=0))))
    assert (row["vwap"], row["volume"], row["trade_count"]) == (None, 0, 0)


def test_the_row_behind_last_is_still_running() -> None:
    """``last`` is the newest finished candle, whatever our clock says."""
    page = decode(ask(), result(candle(), candle(START + DAY), last=START))
    assert [row["session"] for row in rows(page)] == [MONDAY]
    assert page.incomplete == ((SYMBOL, MONDAY + dt.timedelta(days=1)),)


def test_the_row_of_today_is_still_running() -> None:
    """Also where ``last`` should name it by mistake."""
    today = NOW // DAY * DAY
    page = decode(ask(start=TODAY, end=TODAY), result(candle(today), last=today))
    assert (rows(page), page.incomplete) == ([], ((SYMBOL, TODAY),))


@pytest.mark.parametrize("last", ["1709510400", None, {}, "soon", 1.5, -1, True])
def test_candles_without_a_last_are_refused(last: Any) -> None:
    """A text is the cursor of trades: another document; without it nothing tells what is finished."""
    document = {"error": [], "result": {"XXBTZUSD": [candle()], "last": last}}
    assert isinstance(refusal(ask(), document), PayloadError)


def _full(newest: int, step: int) -> dict[str, Any]:
    """All that is kept: 720 finished candles and the running one."""
    return result(*(candle(newest - at * step) for at in range(720, -1, -1)), last=newest - step)


def test_a_range_before_all_that_is_kept_is_out_of_range() -> None:
    """An answer that begins later says nothing about it: no empty sessions."""
    error = refusal(ask(), _full(NOW // DAY * DAY, DAY))
    assert isinstance(error, OutOfRange)
    assert "720" in error.message


def test_sessions_before_the_first_row_are_incomplete() -> None:
    """The part that is kept is stored, the part that is not stays open."""
    newest = NOW // DAY * DAY
    first = dt.datetime.fromtimestamp(newest - 720 * DAY, dt.UTC).date()
    page = decode(
        ask(start=first - dt.timedelta(days=2), end=first + dt.timedelta(days=1)), _full(newest, DAY)
    )
    assert [row["session"] for row in rows(page)] == [first, first + dt.timedelta(days=1)]
    assert [session for _, session in page.incomplete] == [
        first - dt.timedelta(days=2),
        first - dt.timedelta(days=1),
    ]


def test_a_session_of_minutes_is_only_ever_a_part() -> None:
    """Twelve hours of it are rows, and it is named as incomplete."""
    newest = NOW // MINUTE * MINUTE
    page = decode(ask(Dataset.BARS_1M, TODAY, TODAY), _full(newest, MINUTE))
    assert page.tables[Dataset.BARS_1M].num_rows == 720
    assert page.incomplete == ((SYMBOL, TODAY),)


def test_an_answer_that_is_not_full_begins_where_trading_began() -> None:
    """A pair listed on Wednesday has no candles before: nothing is cut."""
    page = decode(ask(), result(*(candle(START + at * DAY) for at in range(2, 7))))
    assert (len(rows(page)), page.incomplete) == (5, ())


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"c": "NaN"}, "close"), ({"c": 105.2}, "close"), ({"h": "1e999"}, "high"), ({"l": None}, "low"),
        ({"o": "1.1234567891"}, "open"), ({"v": True}, "volume"),
    ],
    ids=str,
)  # fmt: skip
def test_a_cell_that_is_no_decimal_text_costs_its_row(change: dict[str, Any], column: str) -> None:
    """One row is rejected with the name of the column; the others stand."""
    page = decode(ask(), result(candle(**change), candle(START + DAY)))
    assert len(rows(page)) == 1
    assert page.rejected[0].reason.startswith(column)
    assert page.rejected[0].session == MONDAY


@pytest.mark.parametrize("row", [[], {}, None, "x", 7, [None] * 8, ["1709510400"] * 8], ids=str)
def test_a_row_of_another_shape_proves_nothing(row: Any) -> None:
    """Its session is unknown, so none without a row may pass for empty."""
    page = decode(ask(end=MONDAY + dt.timedelta(days=1)), result(candle(), row))
    assert [r["session"] for r in rows(page)] == [MONDAY]
    assert page.incomplete == ((SYMBOL, MONDAY + dt.timedelta(days=1)),)


@pytest.mark.parametrize("at", [START + 1, -DAY, 2**40, 2**62])
def test_a_candle_off_its_grid_is_rejected(at: int) -> None:
    """It is no day of the exchange, or none of this world."""
    page = decode(ask(), result(candle(), candle(at), last=START))
    assert [row["session"] for row in rows(page)] == [MONDAY]
    assert len(page.rejected) == 1


def test_order_duplicates_and_other_days() -> None:
    """Out in order; equal twice is once; different twice is never; outside the range is counted."""
    found = [candle(START + DAY), candle(), candle(), candle(START - DAY), candle(START + 2 * DAY)]
    page = decode(ask(end=MONDAY + dt.timedelta(days=2)), result(*found, candle(START + 2 * DAY, c="99.0")))
    assert [row["session"].day for row in rows(page)] == [4, 5]
    assert (page.dropped, len(page.rejected)) == (1, 2)


@pytest.mark.parametrize(
    ("symbol", "asked", "answered"),
    [
        ("KRAKEN:BTC-USD", "XBTUSD", ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD"]),
        ("KRAKEN:XBT-USD", "XBTUSD", ["XXBTZUSD"]),
        ("KRAKEN:ETH-BTC", "ETHXBT", ["XETHXXBT", "ETHXBT"]),
        ("KRAKEN:DOGE-EUR", "XDGEUR", ["XDGEUR", "XXDGZEUR"]),
        ("KRAKEN:SOL-USD", "SOLUSD", ["SOLUSD"]),
        ("KRAKEN:USDT-USD", "USDTUSD", ["USDTZUSD"]),
    ],
)
def test_pairs_have_several_names(symbol: str, asked: str, answered: list[str]) -> None:
    """One is asked for, another answers; all mean the same pair."""
    assert pair_of(Symbol(symbol)) == asked
    assert all(means(name, Symbol(symbol)) for name in answered)


@pytest.mark.parametrize("key", ["XETHZUSD", "XXBTZEUR", "XBTUSDT", "", "last2"])
def test_another_pair_s_answer_is_refused(key: str) -> None:
    """Bitcoin in euros is not bitcoin in dollars."""
    error = refusal(ask(), result(candle(), key=key))
    assert isinstance(error, PayloadError)
    assert "KRAKEN:BTC-USD" in error.message


def test_two_pairs_in_one_answer_are_refused() -> None:
    """One was asked for."""
    document = result(candle())
    document["result"]["XETHZUSD"] = [candle()]
    assert isinstance(refusal(ask(), document), PayloadError)


@pytest.mark.parametrize("symbol", ["BTC-USD", "COINBASE:BTC-USD", "KRAKEN:XBTUSD", "KRAKEN:A_B-USD"])
def test_what_is_no_pair_of_this_venue_is_not_asked(symbol: str) -> None:
    """A symbol it cannot spell never reaches the network."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(ask(symbol=symbol), dialect_of("kraken", "24/7"))


def test_the_request_begins_a_second_early() -> None:
    """Whether ``since`` is inclusive does not matter then."""
    wire = PROVIDER.plan(ask(), dialect_of("kraken", "24/7"))
    assert wire.url == "https://api.kraken.com/0/public/OHLC"
    assert dict(wire.params) == {"pair": "XBTUSD", "interval": "1440", "since": str(START - 1)}
    minutes = PROVIDER.plan(ask(Dataset.BARS_1M), dialect_of("kraken", "24/7"))
    assert dict(minutes.params)["interval"] == "1"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("EQuery:Unknown asset pair", UnknownSymbol),
        ("EAPI:Rate limit exceeded", RateLimited),
        ("EGeneral:Too many requests", RateLimited),
        ("EService: Throttled: 1732000000", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EService:Unavailable", TransportError),
        ("EService:Busy", TransportError),
        ("EGeneral:Internal error", TransportError),
        ("EGeneral:Permission denied", NotEntitled),
        ("EGeneral:Invalid arguments", PayloadError),
        ("EGeneral:Unknown method", PayloadError),
    ],
)
def test_errors_hide_behind_a_200(said: str, kind: type) -> None:
    """They are words in a list, and each has its class."""
    assert type(PROVIDER.classify(respond({"error": [said]}))) is kind


def test_a_lockout_lasts_a_quarter_of_an_hour() -> None:
    """Asking sooner prolongs it."""
    found = PROVIDER.classify(respond({"error": ["EGeneral:Temporary lockout"]}))
    assert isinstance(found, RateLimited)
    assert found.retry_after == 900


def test_a_warning_is_no_error() -> None:
    """What begins with W accompanies a good answer."""
    document = result(candle())
    document["error"] = ["WGeneral:Danger of something"]
    assert len(rows(decode(ask(), document))) == 1


def test_an_unknown_pair_is_named_as_it_was_asked_for() -> None:
    """The vendor's words do not say which: the request does."""
    error = refusal(ask(), {"error": ["EQuery:Unknown asset pair"]})
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == SYMBOL


@pytest.mark.parametrize(
    "body", [[], "null", "7", {"error": []}, {"error": [], "result": []}, {"error": [], "result": {}},
             {"error": [], "result": {"XXBTZUSD": {}, "last": 1}}, {"error": "EGeneral:x"}],
)  # fmt: skip
def test_what_is_no_result_is_refused(body: object) -> None:
    """Nothing else passes for an empty one."""
    assert isinstance(refusal(ask(), body), PayloadError)


def _pair(**changes: Any) -> dict[str, Any]:
    facts = {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "aclass_base": "currency",
        "base": "XXBT",
        "quote": "ZUSD",
    }
    return {"error": [], "result": {"XXBTZUSD": facts | changes}}


def test_an_instrument_is_named_as_on_the_wire() -> None:
    """Its currency is the quote's common name."""
    (row,) = rows(decode(ask(Dataset.INSTRUMENTS), _pair()), Dataset.INSTRUMENTS)
    assert (row["name"], row["currency"], row["instrument_type"]) == ("XBT/USD", "USD", "spot")
    assert (row["venue"], row["session"]) == ("kraken", SUNDAY)


@pytest.mark.parametrize("change", [{"base": "XETH"}, {"base": None}, {"base": 7}, {"base": []}])
def test_facts_of_another_asset_are_refused(change: dict[str, Any]) -> None:
    """A pair whose base is another coin is another pair."""
    assert isinstance(refusal(ask(Dataset.INSTRUMENTS), _pair(**change)), PayloadError)


def test_a_tokenized_share_says_so() -> None:
    """Its class is no currency."""
    (row,) = rows(decode(ask(Dataset.INSTRUMENTS), _pair(aclass_base="tokenized_asset")), Dataset.INSTRUMENTS)
    assert row["instrument_type"] == "tokenized_asset"


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded pairs are not at hand")
def test_all_recorded_pairs_have_a_symbol() -> None:
    """From the name on the socket to the one that is asked for, the key of the answer and the base asset."""
    common = {"XBT": "BTC", "XDG": "DOGE"}
    seen = 0
    for key, facts in json.loads(body_of_capture(CAPTURE.read_bytes()))["result"].items():
        if "wsname" not in facts or key.endswith(".d"):  # dark pools are other markets
            continue
        base, quote = (common.get(asset, asset) for asset in facts["wsname"].split("/"))
        symbol = Symbol(f"KRAKEN:{base}-{quote}")
        assert pair_of(symbol) == facts["altname"]
        body = {"error": [], "result": {key: facts}}
        (row,) = rows(decode(ask(Dataset.INSTRUMENTS, symbol=symbol), body), Dataset.INSTRUMENTS)
        assert row["name"] == facts["wsname"]
        seen += 1
    assert seen > 250
