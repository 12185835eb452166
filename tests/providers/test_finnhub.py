"""Finnhub's requests, refusals and candles: every known trap by its name."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.finnhub import PROVIDER, vendor_symbol
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
from tests.providers.recorded.finnhub import candles_of

MINUTES = want("finnhub", "AAPL", dataset=Dataset.BARS_1M)
QUOTED = Path("_quoted") / "finnhub_candles_AAPL_D_issue439.csv"


def midnight(day: dt.date) -> int:
    """Epoch seconds of 00:00 UTC."""
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())


def candles(stamps: list[Any] | None = None, **arrays: Any) -> dict[str, Any]:
    """Candles of the week unless said otherwise; all prices rise by one a row."""
    stamps = [midnight(day) for day in WEEK] if stamps is None else stamps
    close = [100.5 + at for at in range(len(stamps))]
    found: dict[str, Any] = {"s": "ok", "t": stamps, "o": close, "h": close, "l": close, "c": close}
    return {**found, "v": [1000 + at for at in range(len(stamps))], **arrays}


def test_a_daily_request_covers_whole_utc_days() -> None:
    """Candles are stamped with midnight UTC, and ``to`` is inclusive."""
    wire = PROVIDER.plan(want("finnhub", "AAPL"), dialect_of("finnhub"))
    assert wire.url == "https://finnhub.io/api/v1/stock/candle"
    assert dict(wire.params) == {
        "symbol": "AAPL",
        "resolution": "D",
        "from": str(midnight(MONDAY)),
        "to": str(midnight(FRIDAY) + 86_399),
    }
    assert (wire.auth, wire.query_auth) == ((("X-Finnhub-Token", "FINNHUB_API_KEY"),), ())


def test_a_request_for_minutes_covers_regular_hours() -> None:
    """From the first open to the second before the last close."""
    wire = PROVIDER.plan(MINUTES, dialect_of("finnhub"))
    asked = dict(wire.params)
    assert asked["resolution"] == "1"
    assert int(asked["from"]) == opened(MONDAY)
    assert int(asked["to"]) == opened(FRIDAY) + 390 * 60 - 1


def test_a_request_for_minutes_never_spans_more_than_a_month() -> None:
    """A longer answer is cut at its old end; the closure of September 2001 makes the longest of all."""
    most = PROVIDER.spec.offers[Dataset.BARS_1M].max_sessions
    assert most is not None
    dates = dialect_of("finnhub").calendar.dates
    spans = [last - first for first, last in zip(dates, dates[most - 1 :], strict=False)]
    assert max(spans) < dt.timedelta(days=28)


def test_a_configured_key_and_address_are_used() -> None:
    """``key_env`` names another variable, ``base_url`` another place."""
    dialect = dialect_of("finnhub", base_url="http://127.0.0.1:1/finnhub/", key_env="MINE")
    wire = PROVIDER.plan(want("finnhub", "AAPL"), dialect)
    assert wire.url == "http://127.0.0.1:1/finnhub/api/v1/stock/candle"
    assert wire.auth == (("X-Finnhub-Token", "MINE"),)


def test_class_shares_keep_their_dot() -> None:
    """BRK.B is spelled as listed."""
    assert vendor_symbol(Symbol("BRK.B")) == "BRK.B"


@pytest.mark.parametrize("symbol", ["COINBASE:BTC-USD", "A_B"])
def test_what_it_cannot_spell_is_said_before_asking(symbol: str) -> None:
    """No request is sent for a symbol of another venue."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("finnhub", symbol), dialect_of("finnhub"))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error": "You don't have access to this resource."}, NotEntitled),
        (200, {"error": "You don't have access to this resource."}, NotEntitled),
        (429, {"error": "API limit reached. Please try again later. Remaining Limit: 0"}, RateLimited),
        (200, {"error": "API limit reached. Please try again later. Remaining Limit: 0"}, RateLimited),
        (200, {"error": "Invalid API key"}, BadCredentials),
        (422, {"error": "Wrong arguments"}, PayloadError),
        (422, {"error": "The limit of a range is a month"}, PayloadError),
        (200, {"error": "Symbol not supported"}, PayloadError),
        (404, b"404 page not found", PayloadError),
        (302, b"moved", PayloadError),
        (200, b"<html>log in</html>", PayloadError),
        (200, b"", PayloadError),
    ],
)
def test_refusals_are_named_by_their_sentence(status: int, body: Any, kind: type[ProviderError]) -> None:
    """The limit may come with status 200; a 403 is about the plan, not the key."""
    error = PROVIDER.classify(respond(body, status))
    assert type(error) is kind
    assert error.status in (status, None)


@pytest.mark.parametrize(
    ("status", "body"), [(401, {"error": "Invalid API key"}), (429, b"busy"), (503, b"")]
)
def test_general_statuses_are_the_transports(status: int, body: Any) -> None:
    """What a status says by itself needs no dialect."""
    assert PROVIDER.classify(respond(body, status)) is None


def test_the_limits_notice_leaves_the_wait_to_the_headers() -> None:
    """A Retry-After of the answer is not overruled."""
    error = PROVIDER.classify(respond({"error": "API limit reached."}, 429))
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_a_key_that_is_echoed_is_cut_out() -> None:
    """Our message does not carry what the vendor repeats."""
    error = refusal(want("finnhub", "AAPL"), {"error": "token=c8abc123def456ghi789 is not for this"})
    assert "c8abc123" not in f"{error} {error!r}"


def test_midnight_utc_is_the_date_itself() -> None:
    """00:00 UTC lies on the evening before in New York, and still means that date."""
    page = decode(want("finnhub", "AAPL"), candles())
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("session").to_pylist() == list(WEEK)
    assert [int(ts.timestamp()) for ts in table.column("ts").to_pylist()] == [opened(day) for day in WEEK]
    assert {row["basis"] for row in rows(page)} == {Basis.SPLIT}


@pytest.mark.parametrize("at", [5 * 3600, -60, 9 * 3600 + 1800])
def test_a_daily_candle_at_another_hour_is_refused(at: int) -> None:
    """If the vendor changed what its stamp means, no date may be guessed from it."""
    stamps = [midnight(day) for day in WEEK]
    page = decode(want("finnhub", "AAPL"), candles([stamps[0] + at, *stamps[1:]]))
    assert len(rows(page)) == 4
    assert "midnight UTC" in page.rejected[0].reason


def test_stamps_in_milliseconds_are_not_seconds() -> None:
    """A unit that is a thousand times too large is an error of each row."""
    page = decode(want("finnhub", "AAPL"), candles([midnight(day) * 1000 for day in WEEK]))
    assert rows(page) == []
    assert len(page.rejected) == 5


def test_daily_volume_is_left_out_and_counted() -> None:
    """It is as traded while the prices are over later splits, which nobody knows here."""
    page = decode(want("finnhub", "AAPL"), candles())
    assert prices(page, "volume") == ["null"] * 5
    assert page.warnings == (
        "volume of 5 daily bars left out: it is as traded, and the prices are over later splits",
    )


def test_minutes_are_as_traded_and_keep_their_volume() -> None:
    """Prices and volumes of minutes mean the same shares."""
    start = opened(FRIDAY)
    page = decode(MINUTES, candles([start, start + 60], v=[100.5, 6.3896155e07]))
    assert prices(page, "volume", Dataset.BARS_1M) == ["100.5", "63896155"]
    assert {row["basis"] for row in rows(page, Dataset.BARS_1M)} == {Basis.RAW}
    assert page.warnings == ()


def test_minutes_of_extended_hours_are_dropped() -> None:
    """What lies before the open or at the close belongs to no regular session."""
    start = opened(FRIDAY)
    page = decode(MINUTES, candles([start - 60, start, start + 389 * 60, start + 390 * 60]))
    assert [row["ts"].timestamp() for row in rows(page, Dataset.BARS_1M)] == [start, start + 389 * 60]
    assert page.dropped == 2


def test_long_derived_decimals_are_rounded_half_even_and_flagged() -> None:
    """A price divided by 28 has no end; nine decimals of it are kept."""
    body = json.dumps(candles()).replace("100.5", "14.621410714285714")
    page = decode(want("finnhub", "AAPL"), body)
    assert prices(page)[0] == "14.621410714"
    assert [row["exact"] for row in rows(page)] == [False, True, True, True, True]
    assert page.rounded == 4


def test_minutes_have_no_digit_too_many() -> None:
    """What is quoted as traded must fit as it is."""
    body = json.dumps(candles([opened(FRIDAY)])).replace("100.5", "14.621410714285714")
    page = decode(MINUTES, body)
    assert rows(page, Dataset.BARS_1M) == []
    assert "decimals" in page.rejected[0].reason


def test_no_data_has_no_arrays_and_proves_nothing() -> None:
    """Unknown symbols and empty ranges are answered alike."""
    page = decode(want("finnhub", "AAPL"), {"s": "no_data"})
    assert (rows(page), page.rejected, page.unknown, page.warnings) == ([], (), (), ())
    assert not PROVIDER.spec.offers[Dataset.BARS_1D].empty_is_proof
    assert rows(decode(want("finnhub", "AAPL"), candles([]))) == []


@pytest.mark.parametrize(
    "body",
    [
        {"s": "no_data", "t": [1], "c": [1]},
        {"s": "error"},
        {},
        [],
        "null",
        {"c": [1], "t": [1]},
        candles(c=[1.0, 2.0]),
        candles(v=[]),
        candles(t=None),
        candles(o={"0": 1}),
        {name: array for name, array in candles().items() if name != "v"},
    ],
    ids=str,
)
def test_a_document_that_is_no_candles_is_refused(body: Any) -> None:
    """Arrays of different lengths most of all: nothing else says which price is of which day."""
    assert isinstance(refusal(want("finnhub", "AAPL"), body), PayloadError)


@pytest.mark.parametrize("value", [None, "100.5", True, [1], {"x": 1}])
def test_one_bad_value_costs_one_row(value: Any) -> None:
    """Whatever stands where a price belongs, the other rows are stored."""
    close = [1.5, value, 1.5, 1.5, 1.5]
    page = decode(want("finnhub", "AAPL"), candles(o=[1.5] * 5, h=[1.5] * 5, l=[1.5] * 5, c=close))
    assert [row["session"] for row in rows(page)] == [WEEK[0], *WEEK[2:]]
    assert (page.rejected[0].session, page.rejected[0].symbol) == (WEEK[1], "AAPL")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "-1e999", "1e-400"])
def test_numbers_that_are_none_cost_their_row(text: str) -> None:
    """JSON of some writers has them; a column of decimals does not."""
    page = decode(want("finnhub", "AAPL"), json.dumps(candles()).replace("102.5", text, 1))
    assert len(rows(page)) == (5 if text == "1e-400" else 4)


@pytest.mark.parametrize("stamp", [None, "soon", 1.5, True, 10**30])
def test_a_row_without_a_time_is_refused(stamp: Any) -> None:
    """It belongs to no day, and is shown without one."""
    page = decode(want("finnhub", "AAPL"), candles([stamp, *[midnight(day) for day in WEEK[1:]]]))
    assert len(rows(page)) == 4
    assert page.rejected[0].session is None


def test_order_does_not_matter_and_repetitions_are_one() -> None:
    """Reversed, and with the first row told twice."""
    body = candles()
    backwards = {name: list(reversed(a)) if isinstance(a, list) else a for name, a in body.items()}
    twice = {name: [a[0], *a] if isinstance(a, list) else a for name, a in body.items()}
    straight = decode(want("finnhub", "AAPL"), body)
    assert same(straight, decode(want("finnhub", "AAPL"), backwards))
    assert same(straight, decode(want("finnhub", "AAPL"), twice))


def test_two_stories_about_one_day_are_both_refused() -> None:
    """Neither can be told to be the right one."""
    stamps = [midnight(WEEK[0]), midnight(WEEK[0]), midnight(WEEK[1])]
    page = decode(want("finnhub", "AAPL"), candles(stamps))
    assert [row["session"] for row in rows(page)] == [WEEK[1]]
    assert len(page.rejected) == 2


def test_rows_outside_the_range_are_dropped_and_new_fields_ignored() -> None:
    """Sundays and other weeks are nobody's."""
    stamps = [
        midnight(MONDAY - dt.timedelta(days=1)),
        midnight(MONDAY),
        midnight(FRIDAY + dt.timedelta(days=3)),
    ]
    page = decode(want("finnhub", "AAPL"), candles(stamps, zz=[1, 2, 3]))
    assert [row["session"] for row in rows(page)] == [MONDAY]
    assert page.dropped == 2


@pytest.mark.parametrize("dataset", [Dataset.BARS_1D, Dataset.BARS_1M])
def test_a_running_session_is_not_final(dataset: Dataset) -> None:
    """Whatever came of it before its close, its partition stays open."""
    request = want("finnhub", "AAPL", dataset=dataset, start=WEEK[3], end=FRIDAY)
    start = opened(FRIDAY)
    stamps = [midnight(FRIDAY)] if dataset is Dataset.BARS_1D else [start, start + 60]
    dialect = dialect_of("finnhub")
    received = dt.datetime.fromtimestamp(start + 90, dt.UTC)
    response = HttpResponse(200, {}, json.dumps(candles(stamps)).encode(), received)
    page = PROVIDER.decode(request, dialect, PROVIDER.plan(request, dialect), response)
    assert page.incomplete == (("AAPL", FRIDAY),)
    assert len(rows(page, dataset)) == (0 if dataset is Dataset.BARS_1D else 1)


def test_the_quoted_rows_are_leans_over_the_later_splits(payloads: Path) -> None:
    """Seven days of January 2012 equal the exchange's closes over 7:1 and 4:1, most of them to the cent."""
    quoted = (payloads / QUOTED).read_bytes()
    page = decode(
        want("finnhub", "AAPL", start=dt.date(2012, 1, 3), end=dt.date(2012, 1, 11)), candles_of(quoted)
    )
    archive = zipfile.ZipFile(payloads / "lean" / "equity" / "usa" / "daily" / "aapl.zip")
    lines = archive.read(archive.namelist()[0]).decode().splitlines()
    lean = {line[:8]: Decimal(line.split(",")[4]) / 10_000 for line in lines}
    found = {row["session"]: row["close"] for row in rows(page)}
    apart = [abs(close * 28 - lean[f"{session:%Y%m%d}"]) for session, close in found.items()]
    assert len(apart) == 7
    assert max(apart) < Decimal("0.06"), "a few cents of 420 dollars: the last trade is not always the close"
    assert sum(cents < Decimal("0.01") for cents in apart) >= 4


def test_the_quoted_volume_is_not_over_the_splits(payloads: Path) -> None:
    """It lies near the volume as traded, and nowhere near 28 times that: the reason to leave it out."""
    first = next(csv.DictReader(io.StringIO((payloads / QUOTED).read_text())))
    assert Decimal(first["v"]) / 10_355_371 < Decimal("1.1")
    page = decode(
        want("finnhub", "AAPL", start=dt.date(2012, 1, 3), end=dt.date(2012, 1, 3)),
        candles_of((payloads / QUOTED).read_bytes()),
    )
    assert [(row["volume"], row["close"]) for row in rows(page)] == [(None, Decimal("14.686771429"))]
