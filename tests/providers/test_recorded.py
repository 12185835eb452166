"""Recorded responses of the real vendors, decoded whole. The expectations are computed from the
payloads by other means than the decoders': the standard library's json, csv and decimal, and numpy."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.providers.registry import provider
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import decode, dialect_of, is_canonical, refusal, respond, rows, want

YEAR = (dt.date(2021, 2, 1), dt.date(2022, 1, 28))
PRICES = ("open", "high", "low", "close")
NVDA = "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv.json"
MSFT = "historical-via-chart-MSFT-dividends-2021-02-01-to-2022-01-31.csv.json"
TSLA = "historical-via-chart-dividends-TSLA-no-dividends.json"


def _yahoo(payloads: Path, name: str) -> dict[str, Any]:
    recorded = json.loads((payloads / "yahoo" / "yahoo-finance2" / name).read_text(encoding="utf-8"))
    body: dict[str, Any] = recorded["response"]["bodyJson"]
    return body


def _single(value: float) -> Decimal:
    """numpy's own shortest decimal of the single that was widened on the wire."""
    return Decimal(str(np.float32(value)))


@pytest.mark.parametrize(("symbol", "name"), [("NVDA", NVDA), ("MSFT", MSFT)])
def test_a_year_of_yahoo_has_every_session_at_the_payloads_prices(
    payloads: Path, symbol: str, name: str
) -> None:
    """Every XNYS session of 2021-02-01..2022-01-28, each price the single the vendor holds."""
    body = _yahoo(payloads, name)
    page = decode(want("yahoo", symbol, start=YEAR[0], end=YEAR[1]), body)
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert tuple(table.column("session").to_pylist()) == get_calendar("XNYS").sessions(*YEAR)
    quote = body["chart"]["result"][0]["indicators"]["quote"][0]
    for column in PRICES:
        assert table.column(column).to_pylist() == [_single(value) for value in quote[column]]
    assert table.column("volume").to_pylist() == [Decimal(value) for value in quote["volume"]]
    assert (page.rejected, page.dropped, page.rounded) == ((), 0, 0)
    assert set(table.column("exact").to_pylist()) == {True}


def test_nvidias_split_is_four_for_one(payloads: Path) -> None:
    """On 2021-07-20, from the recorded events."""
    page = decode(want("yahoo", "NVDA", start=YEAR[0], end=YEAR[1]), _yahoo(payloads, NVDA))
    (row,) = rows(page, Dataset.CORPORATE_ACTIONS)
    assert (row["kind"], row["ex_date"], row["ratio_to"], row["ratio_from"]) == (
        "split",
        dt.date(2021, 7, 20),
        4,
        1,
    )


def test_microsofts_dividends_are_those_it_paid(payloads: Path) -> None:
    """Ex-dates and amounts as the company published them."""
    page = decode(want("yahoo", "MSFT", start=YEAR[0], end=YEAR[1]), _yahoo(payloads, MSFT))
    assert [(row["ex_date"].isoformat(), row["amount"]) for row in rows(page, Dataset.CORPORATE_ACTIONS)] == [
        ("2021-02-17", Decimal("0.56")),
        ("2021-05-19", Decimal("0.56")),
        ("2021-08-18", Decimal("0.56")),
        ("2021-11-17", Decimal("0.62")),
    ]


def test_thirteen_years_of_one_symbol_keep_every_session(payloads: Path) -> None:
    """3,303 sessions from the listing on; nothing rounded away, nothing lost."""
    page = decode(
        want("yahoo", "TSLA", start=dt.date(2010, 6, 29), end=dt.date(2023, 8, 11)), _yahoo(payloads, TSLA)
    )
    sessions = get_calendar("XNYS").sessions(dt.date(2010, 6, 29), dt.date(2023, 8, 11))
    assert tuple(page.tables[Dataset.BARS_1D].column("session").to_pylist()) == sessions
    assert page.rejected == ()


def test_a_german_history_falls_on_xetra_sessions(payloads: Path) -> None:
    """Munich Re's days open at 08:00 or 07:00 UTC; the row Yahoo made up for Whit Monday is dropped."""
    path = payloads / "yahoo" / "portfolio-performance" / "response_yahoo_historical02.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    result = body["chart"]["result"][0]
    calendar = get_calendar("XETR")
    days = [dt.datetime.fromtimestamp(stamp, calendar.tz).date() for stamp in result["timestamp"]]
    held = [calendar.is_session(day) for day in days]
    assert [day for day, real in zip(days, held, strict=True) if not real] == [dt.date(2018, 5, 21)]
    page = decode(want("yahoo", "MUV2.DE", start=days[0], end=days[-1], calendar="XETR"), body)
    expected = [
        (day, _single(close))
        for day, close, real in zip(days, result["indicators"]["quote"][0]["close"], held, strict=True)
        if real
    ]
    assert [(row["session"], row["close"]) for row in rows(page)] == expected
    assert page.dropped == 1
    assert rows(page, Dataset.INSTRUMENTS)[0]["currency"] == "EUR"


def test_a_live_last_row_is_its_sessions(payloads: Path) -> None:
    """The recorded Australian answer ends with a row stamped at the last trade."""
    body = json.loads(
        (payloads / "yahoo" / "portfolio-performance" / "yahoo_australian_quotes.json").read_text()
    )
    last = dt.datetime.fromtimestamp(
        body["chart"]["result"][0]["timestamp"][-1], get_calendar("XASX").tz
    ).date()
    page = decode(want("yahoo", "ALL.AX", start=dt.date(2021, 10, 13), end=last, calendar="XASX"), body)
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist()[-1] == last
    assert page.rejected == ()


def _every_chart(payloads: Path) -> list[Path]:
    return sorted((payloads / "yahoo" / "yahoo-finance2").glob("*.json"))


def test_every_recorded_chart_is_read_or_named(payloads: Path) -> None:
    """Each file becomes a page with rows, an empty page, or a typed error; nothing else."""
    seen: dict[str, int] = {"rows": 0, "empty": 0, "refused": 0}
    for path in _every_chart(payloads):
        body = _yahoo(payloads, path.name)
        meta = body["chart"]["result"][0]["meta"]
        zone = {"UTC": "24/7", "America/New_York": "XNYS"}.get(meta["exchangeTimezoneName"], "24/7")
        text = meta["symbol"].replace("=", "-")
        request = want(
            "yahoo",
            str(parse_symbol(text)),
            start=dt.date(2010, 1, 4),
            end=dt.date(2025, 2, 28),
            calendar=zone,
        )
        try:
            page = decode(
                request,
                {"chart": {"result": [{**body["chart"]["result"][0], "meta": {**meta, "symbol": text}}]}},
            )
        except PayloadError:
            seen["refused"] += 1
            continue
        seen["rows" if page.tables[Dataset.BARS_1D].num_rows else "empty"] += 1
        assert page.rejected == (), path.name
    assert seen["rows"] >= 30
    assert seen["refused"] == 2  # the two invented files whose prices have no timestamps
    assert seen["empty"] >= 1


def test_two_decades_of_stooq_equal_the_downloaded_text(payloads: Path) -> None:
    """Every line of the recorded download is a row with the very same digits."""
    text = (payloads / "stooq" / "wegar-2" / "tsm_us_d.csv").read_text()
    lines = [line for line in csv.DictReader(io.StringIO(text)) if line["Date"] >= "2005-02-25"]
    start, end = (dt.date.fromisoformat(lines[at]["Date"]) for at in (0, -1))
    page = decode(want("stooq", "TSM", start=start, end=end), text)
    stored = {row["session"].isoformat(): row for row in rows(page)}
    assert page.rejected == ()
    assert len(stored) + page.dropped == len(lines)
    for line in lines:
        row = stored.get(line["Date"])
        assert row is not None, line
        assert [row[name.lower()] for name in ("Open", "High", "Low", "Close")] == [
            Decimal(line[name]) for name in ("Open", "High", "Low", "Close")
        ]
        assert row["volume"] == Decimal(line["Volume"]).quantize(Decimal("1e-8"))


def test_forty_years_of_a_stooq_currency_have_no_volume(payloads: Path) -> None:
    """Weekly points of 1984 on, four decimals and five."""
    body = (payloads / "stooq" / "wegar-2" / "usdpln_d.csv").read_bytes()
    request = want("stooq", "USDPLN", start=dt.date(1990, 1, 1), end=dt.date(2025, 1, 8), calendar="24/5")
    page = decode(request, body)
    assert rows(page)[-1]["close"] == Decimal("4.1495")
    assert page.tables[Dataset.BARS_1D].column("volume").null_count == page.tables[Dataset.BARS_1D].num_rows
    assert page.rejected == ()


ALPACA_BARS = [
    ("alpaca-trade-api-go/rest_test__TestGetMultiBars__1.json", Dataset.BARS_1D),
    ("alpaca-trade-api-go/rest_test__TestGetBars__1.json", Dataset.BARS_1M),
    ("alpaca-trade-api-go/rest_test__TestGetBars_Asof__1.json", Dataset.BARS_1D),
    ("alpaca-trade-api-go/rest_test__TestGetBars_Asof__2.json", Dataset.BARS_1D),
    ("alpaca-trade-api-go/rest_test__TestGetBars_Adjustment__1.json", Dataset.BARS_1D),
    ("alpaca-py/test_historical_stock_data__test_get_bars.json", Dataset.BARS_1D),
    ("alpaca-py/test_historical_stock_data__test_get_bars_desc.json", Dataset.BARS_1D),
    ("alpaca-py/test_historical_stock_data__test_multisymbol_get_bars.json", Dataset.BARS_1D),
    ("alpaca-py/test_historical_stock_data__test_get_bars_multi_empty_response.json", Dataset.BARS_1D),
]


@pytest.mark.parametrize(
    ("name", "dataset"), ALPACA_BARS, ids=[name.rpartition("__test_")[2] for name, _ in ALPACA_BARS]
)
def test_alpacas_bodies_equal_their_text(payloads: Path, name: str, dataset: Dataset) -> None:
    """Each bar is one row with the very same digits, in order of symbol and time."""
    text = (payloads / "alpaca" / name).read_text()
    document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    symbols = sorted(document["bars"]) or ["AAPL"]
    request = want("alpaca", *symbols, dataset=dataset, start=dt.date(2021, 1, 4), end=dt.date(2024, 6, 28))
    page = decode(request, text)
    expected = [
        (symbol, bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], int(bar["n"]), float(bar["vw"]))
        for symbol in symbols
        for bar in sorted(document["bars"].get(symbol, []), key=lambda bar: str(bar["t"]))
    ]
    keys = ("symbol", *PRICES, "volume", "trade_count", "vwap")
    assert [tuple(row[key] for key in keys) for row in rows(page, dataset)] == expected
    token = document["next_page_token"]
    assert (page.next is None) == (token is None)
    if page.next is not None:
        assert dict(page.next.params)["page_token"] == token


def test_alpacas_daily_bars_fall_on_their_new_york_dates(payloads: Path) -> None:
    """05:00 UTC in winter and 04:00 in summer are both midnight there."""
    text = (payloads / "alpaca" / "alpaca-trade-api-go" / "rest_test__TestGetMultiBars__1.json").read_text()
    page = decode(want("alpaca", "AAPL", "NIO", start=dt.date(2021, 10, 13), end=dt.date(2021, 10, 15)), text)
    days = [dt.date(2021, 10, day) for day in (13, 14, 15)]
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == days * 2


def test_alpacas_corporate_actions_are_read(payloads: Path) -> None:
    """Splits both ways, a stock and a cash dividend, a rename and a removal."""
    body = (
        payloads / "alpaca" / "alpaca-py" / "test_corporate_actions__test_get_corporate_actions.json"
    ).read_bytes()
    request = want(
        "alpaca", "MNTS", "SRE", "MSBC", "FCF", "BSAQ", "ATNXQ",
        dataset=Dataset.CORPORATE_ACTIONS, start=dt.date(2023, 5, 1), end=dt.date(2023, 10, 13),
    )  # fmt: skip
    page = decode(request, body)
    found = {row["symbol"]: row for row in rows(page, Dataset.CORPORATE_ACTIONS)}
    ratios = {
        symbol: (row["ratio_to"], row["ratio_from"])
        for symbol, row in found.items()
        if row["kind"] == "split"
    }
    assert ratios == {"MNTS": (1, 50), "SRE": (2, 1), "MSBC": (21, 20)}
    assert found["FCF"]["amount"] == Decimal("0.125")
    assert (found["BSAQ"]["kind"], found["BSAQ"]["successor"]) == ("rename", "VFS")
    assert found["ATNXQ"]["kind"] == "delisting"
    assert page.rejected == ()
    assert len(page.warnings) == 7
    assert page.next is not None


QUOTED: dict[tuple[str, int], type[ProviderError] | None] = {
    ("alpaca", 403): NotEntitled,
    ("alpaca", 429): None,  # the transport's
    ("yahoo", 429): None,
    ("yahoo", 401): None,
    ("stooq", 200): ProviderError,
}


def test_quoted_error_bodies_are_errors(payloads: Path) -> None:
    """Each error body seen in the wild is named, or left to the transport by its status."""
    checked = 0
    for line in (payloads / "_quoted" / "error_bodies.ndjson").read_text().splitlines():
        quoted = json.loads(line)
        key = (quoted["provider"], quoted["http_status"])
        if key not in QUOTED:
            continue
        body = quoted["body"]
        error = provider(key[0]).classify(respond(body.encode() if isinstance(body, str) else body, key[1]))
        expected = QUOTED[key]
        assert error is None if expected is None else isinstance(error, expected), quoted
        checked += 1
    assert checked >= 7


@pytest.mark.parametrize(
    ("body", "kind"), [("No data", UnknownSymbol), ("Exceeded the daily hits limit", QuotaExhausted)]
)
def test_stooqs_texts_are_not_taken_for_data(body: str, kind: type[ProviderError]) -> None:
    """Both come with status 200."""
    assert isinstance(refusal(want("stooq", "SPY"), body), kind)


def test_recorded_requests_and_ours_ask_for_the_same(payloads: Path) -> None:
    """Our range covers the recorded client's sessions, by the same parameters."""
    recorded = json.loads((payloads / "yahoo" / "yahoo-finance2" / NVDA).read_text())["request"]["url"]
    wire = provider("yahoo").plan(want("yahoo", "NVDA", start=YEAR[0], end=YEAR[1]), dialect_of("yahoo"))
    theirs = dict(pair.split("=", 1) for pair in recorded.partition("?")[2].split("&"))
    ours = dict(wire.params)
    assert recorded.partition("?")[0] == wire.url
    assert ours["interval"] == theirs["interval"]
    assert 0 <= int(ours["period1"]) - int(theirs["period1"]) < 86400
    assert abs(int(ours["period2"]) - int(theirs["period2"])) < 2 * 86400
