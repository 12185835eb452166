"""Alpha Vantage's time series: newest first, keyed by time, everything a text."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import OutOfRange, PayloadError
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.providers.alphavantage import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    WEEK,
    decode,
    dialect_of,
    is_canonical,
    opened,
    prices,
    refusal,
    respond,
    rows,
    same,
    want,
)
from tests.providers.recorded.alphavantage import first_content

IBM = want("alphavantage", "IBM")
MINUTES = want("alphavantage", "IBM", dataset=Dataset.BARS_1M)


def fields(close: str = "100.5000", **more: str) -> dict[str, str]:
    """One row; the other prices follow ``close``."""
    row = {"1. open": close, "2. high": close, "3. low": close, "4. close": close, "5. volume": "1000"}
    return row | more


def daily(series: Any = None, size: str = "Full size", **meta: str) -> dict[str, Any]:
    """A document of the week, newest first."""
    series = {day.isoformat(): fields() for day in reversed(WEEK)} if series is None else series
    told = {
        "1. Information": "Daily Prices",
        "2. Symbol": "IBM",
        "4. Output Size": size,
        "5. Time Zone": "US/Eastern",
    }
    return {"Meta Data": told | meta, "Time Series (Daily)": series}


def minutes(*times: str, zone: str = "US/Eastern") -> dict[str, Any]:
    """A document of minutes."""
    meta = {"2. Symbol": "IBM", "4. Interval": "1min", "6. Time Zone": zone}
    return {"Meta Data": meta, "Time Series (1min)": {time: fields() for time in times}}


def test_newest_first_becomes_oldest_first() -> None:
    """A bare date is its session; prices are as traded."""
    page = decode(IBM, daily())
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("session").to_pylist() == list(WEEK)
    assert {row["basis"] for row in rows(page)} == {Basis.RAW}
    assert (page.rejected, page.dropped, page.rounded, page.next) == ((), 0, 0, None)


def test_the_numbers_of_fields_may_change() -> None:
    """TIME_SERIES_DAILY_ADJUSTED counts volume as 6; the name is what counts."""
    row = {
        "1. open": "1", "2. high": "3", "3. low": "1", "4. close": "2", "5. adjusted close": "1.9",
        "6. volume": "77", "7. dividend amount": "0.0", "8. split coefficient": "1.0",
    }  # fmt: skip
    page = decode(IBM, daily({"2024-03-04": row}))
    assert (prices(page), prices(page, "volume")) == (["2"], ["77"])


@pytest.mark.parametrize("day", ["2024-03-09", "2023-03-06", "2024-03-11"])
def test_rows_outside_the_range_are_dropped(day: str) -> None:
    """A full answer has decades of them."""
    page = decode(IBM, daily({day: fields(), "2024-03-04": fields()}))
    assert (len(rows(page)), page.dropped) == (1, 1)


@pytest.mark.parametrize("value", [None, "None", "n/a", "", "1,000.5", "NaN", 100.5, True, ["1"], "1e400"])
def test_one_bad_value_costs_one_row(value: Any) -> None:
    """Also a JSON number: the vendor writes texts, and a change of that is not guessed at."""
    series = {day.isoformat(): fields() for day in WEEK} | {"2024-03-05": {**fields(), "4. close": value}}
    page = decode(IBM, daily(series))
    assert [row["session"] for row in rows(page)] == [WEEK[0], *WEEK[2:]]
    assert (page.rejected[0].session, page.rejected[0].symbol) == (WEEK[1], "IBM")


@pytest.mark.parametrize("row", [None, [], "x", 7, {}])
def test_a_row_that_is_none_is_refused_alone(row: Any) -> None:
    """The others are stored."""
    page = decode(IBM, daily({"2024-03-05": row, "2024-03-04": fields()}))
    assert (len(rows(page)), len(page.rejected)) == (1, 1)


@pytest.mark.parametrize("time", ["2024-3-5", "2024-03-05 16:00:00", "yesterday", "", "2024-02-30"])
def test_a_key_that_is_no_date_is_refused(time: str) -> None:
    """No session can be named for it."""
    page = decode(IBM, daily({time: fields(), "2024-03-04": fields()}))
    assert (len(rows(page)), page.rejected[0].session) == (1, None)


def test_a_repeated_key_is_seen() -> None:
    """A JSON parser would keep the last one without a word: twice the same is one row, else none."""
    row, other = json.dumps(fields()), json.dumps(fields("7.0000"))
    meta = json.dumps(daily()["Meta Data"])

    def body(first: str, second: str) -> str:
        series = f'{{"2024-03-05": {first}, "2024-03-05": {second}, "2024-03-04": {row}}}'
        return f'{{"Meta Data": {meta}, "Time Series (Daily)": {series}}}'

    assert len(rows(decode(IBM, body(row, row)))) == 2
    page = decode(IBM, body(row, other))
    assert [bar["session"] for bar in rows(page)] == [MONDAY]
    assert {bad.session for bad in page.rejected} == {WEEK[1]}


@pytest.mark.parametrize("told", ["MSFT", "", None, 7])
def test_another_symbols_series_is_refused(told: Any) -> None:
    """The metadata says whose it is."""
    assert isinstance(refusal(IBM, daily(**{"2. Symbol": told})), PayloadError)


def test_a_class_share_is_recognised_in_either_spelling() -> None:
    """BRK-B was asked for; BRK.B is the same."""
    request = want("alphavantage", "BRK.B")
    for told in ("BRK-B", "BRK.B", "brk-b"):
        assert len(rows(decode(request, daily(**{"2. Symbol": told})))) == 5


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "null",
        {"Meta Data": {}},
        {"Time Series (Daily)": {}},
        {**daily(), "Time Series (Daily)": []},
        {**daily(), "Meta Data": "IBM"},
        {"Meta Data": daily()["Meta Data"], "Time Series (1min)": {}},
        json.dumps(daily())[:-9],
        json.dumps(daily()) + "x",
        "[" * 100_000,
    ],
    ids=range(11),
)
def test_a_document_that_is_no_series_is_refused(body: Any) -> None:
    """``{}`` most of all: the vendor sends it when it is out of order."""
    assert isinstance(refusal(IBM, body), PayloadError)


def history(sessions: int, size: str) -> dict[str, Any]:
    """A document of so many sessions up to Friday."""
    calendar = dialect_of("alphavantage").calendar
    last = calendar.ordinal(FRIDAY)
    days = calendar.dates[last - sessions + 1 : last + 1]
    return daily({day.isoformat(): fields() for day in reversed(days)}, size)


def test_a_compact_answer_that_does_not_reach_back_is_out_of_range() -> None:
    """Its oldest row lies after the start: the sessions before it would look empty."""
    start = dt.date(2023, 10, 2)
    request = replace(IBM, start=start)
    assert isinstance(refusal(request, history(100, "Compact")), OutOfRange)
    assert len(rows(decode(request, history(120, "Full size")))) > 100


@pytest.mark.parametrize(("sessions", "size"), [(100, "Compact"), (60, "Compact"), (5, "Full size")])
def test_a_compact_answer_that_reaches_is_read(sessions: int, size: str) -> None:
    """Also one of a young symbol, which has fewer rows because there are no more."""
    request = IBM if sessions == 100 else replace(IBM, start=dt.date(2023, 10, 2))
    assert len(rows(decode(request, history(sessions, size)))) == min(
        sessions, 5 if sessions == 100 else sessions
    )


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2024-03-08 09:30:00", dt.datetime(2024, 3, 8, 14, 30, tzinfo=dt.UTC)),
        ("2024-03-11 09:30:00", dt.datetime(2024, 3, 11, 13, 30, tzinfo=dt.UTC)),
    ],
    ids=["winter", "summer"],
)
def test_naive_minutes_are_read_in_the_bodys_own_zone(time: str, utc: dt.datetime) -> None:
    """Daylight saving began on the Sunday between them."""
    request = replace(MINUTES, end=dt.date(2024, 3, 11))
    (row,) = rows(decode(request, minutes(time)), Dataset.BARS_1M)
    assert row["ts"] == utc


def test_another_zone_is_followed() -> None:
    """What the body says counts, not what it always said."""
    (row,) = rows(decode(MINUTES, minutes("2024-03-08 14:30:00", zone="UTC")), Dataset.BARS_1M)
    assert int(row["ts"].timestamp()) == opened(FRIDAY)


@pytest.mark.parametrize("zone", ["", "Eastern", "../etc/passwd", "US/Nowhere", "\x00"])
def test_a_zone_nobody_knows_is_refused(zone: str) -> None:
    """A naive time without a zone means nothing."""
    assert isinstance(refusal(MINUTES, minutes("2024-03-08 09:30:00", zone=zone)), PayloadError)


def test_minutes_outside_the_session_are_dropped() -> None:
    """Extended hours, and the stamp of 16:00 that is nobody's start."""
    times = ("2024-03-08 16:00:00", "2024-03-08 15:59:00", "2024-03-08 09:30:00", "2024-03-08 09:29:00")
    page = decode(MINUTES, minutes(*times))
    assert (len(rows(page, Dataset.BARS_1M)), page.dropped) == (2, 2)


@pytest.mark.parametrize(
    "time", ["2024-03-08 09:30:30", "2024-03-08", "2024-03-08T09:30:00", "2024-03-08 09:30:00Z"]
)
def test_a_time_that_is_no_minute_is_refused(time: str) -> None:
    """Its row is shown, the others are stored."""
    page = decode(MINUTES, minutes(time, "2024-03-08 09:31:00"))
    assert (len(rows(page, Dataset.BARS_1M)), len(page.rejected)) == (1, 1)


def test_months_are_followed_one_by_one() -> None:
    """A range over three months is three bodies; the last one has no next."""
    request = replace(MINUTES, start=dt.date(2023, 12, 29), end=dt.date(2024, 2, 1))
    dialect = dialect_of("alphavantage")
    wire, seen = PROVIDER.plan(request, dialect), []
    while wire is not None:
        seen.append(dict(wire.params)["month"])
        assert wire.query_auth == (("apikey", "ALPHA_VANTAGE_API_KEY"),)
        wire = PROVIDER.decode(request, dialect, wire, respond(minutes())).next  # type: ignore[assignment]
    assert seen == ["2023-12", "2024-01", "2024-02"]


def test_a_month_cut_to_its_newest_rows_is_incomplete() -> None:
    """Asked for everything and answered compactly: the session of the cut and those before it stay open."""
    start = dt.datetime(2024, 3, 7, 15, 0)
    times = [start + dt.timedelta(minutes=at) for at in range(60)]
    times += [dt.datetime(2024, 3, 8, 9, 30) + dt.timedelta(minutes=at) for at in range(40)]
    document = minutes(*[str(time) for time in reversed(times)])
    document["Meta Data"]["5. Output Size"] = "Compact"
    request = replace(MINUTES, start=dt.date(2024, 2, 28))
    page = decode(request, document)
    assert len(rows(page, Dataset.BARS_1M)) == 100
    days = list(get_calendar("XNYS").sessions(dt.date(2024, 3, 1), dt.date(2024, 3, 7)))
    assert page.incomplete == tuple(("IBM", day) for day in days), "February has a body of its own"
    document["Meta Data"]["5. Output Size"] = "Full size"
    assert decode(request, document).incomplete == ()


@pytest.mark.parametrize("dataset", [Dataset.BARS_1D, Dataset.BARS_1M])
def test_a_running_session_is_not_final(dataset: Dataset) -> None:
    """The vendor has a row of today; it is left out, and today stays open."""
    request = want("alphavantage", "IBM", dataset=dataset, start=WEEK[3], end=FRIDAY)
    document = (
        daily() if dataset is Dataset.BARS_1D else minutes("2024-03-08 09:30:00", "2024-03-08 09:31:00")
    )
    received = dt.datetime.fromtimestamp(opened(FRIDAY) + 90, dt.UTC)
    page = _at(received, request, document)
    assert page.incomplete == (("IBM", FRIDAY),)
    assert [row["session"] for row in rows(page, dataset)] == (
        [WEEK[3]] if dataset is Dataset.BARS_1D else [FRIDAY]
    )


def _at(received: dt.datetime, request: Any, document: Any) -> Page:
    dialect = dialect_of("alphavantage")
    response = HttpResponse(200, {}, json.dumps(document).encode(), received)
    return PROVIDER.decode(request, dialect, PROVIDER.plan(request, dialect), response)


def test_order_and_new_fields_do_not_matter() -> None:
    """An object has no order."""
    straight = decode(IBM, daily())
    turned = {day.isoformat(): fields(**{"6. zz": "1"}) for day in WEEK}
    assert same(straight, decode(IBM, daily(turned)))


def test_a_recorded_cassette_equals_its_text(payloads: Path) -> None:
    """A hundred sessions with the very digits of the body."""
    name = "alpha_vantage/tickertrace-vcr/alpha_vantage_get_prices.yaml"
    body = first_content((payloads / name).read_bytes())
    series = json.loads(body)["Time Series (Daily)"]
    page = decode(replace(IBM, start=dt.date(2023, 6, 22), end=dt.date(2023, 11, 10)), body)
    found = {row["session"].isoformat(): row for row in rows(page)}
    assert set(found) == set(series)
    for day, row in series.items():
        assert [found[day][key] for key in ("open", "high", "low", "close", "volume")] == [
            Decimal(text) for text in row.values()
        ]


def test_the_recorded_cassette_is_compact_and_refuses_more(payloads: Path) -> None:
    """One session before its oldest row is out of its range."""
    name = "alpha_vantage/tickertrace-vcr/alpha_vantage_get_prices.yaml"
    body = first_content((payloads / name).read_bytes())
    request = replace(IBM, start=dt.date(2023, 6, 21), end=dt.date(2023, 11, 10))
    assert isinstance(refusal(request, body), OutOfRange)
