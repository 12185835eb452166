"""Yahoo's known defects: rows in progress, nulls, and histories that are wrong; what becomes of each."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Page
from tests.providers.asking import FRIDAY, WEEK, chart, decode, dialect_of, opened, respond, want

D1, M1 = Dataset.BARS_1D, Dataset.BARS_1M


def received(request: FetchRequest, body: object, at: dt.datetime) -> Page:
    """The page of ``body`` as answered at ``at``."""
    dialect, yahoo = dialect_of("yahoo", request.calendar), provider("yahoo")
    response = HttpResponse(200, {}, respond(body).body, at)
    return yahoo.decode(request, dialect, yahoo.plan(request, dialect), response)


@pytest.mark.parametrize("stamp", [opened(FRIDAY), opened(FRIDAY) + 7777], ids=["aligned", "live"])
def test_a_session_in_progress_is_dropped_and_stays_open(stamp: int) -> None:
    """Whether its row carries the open or the last trade: no bar before the close."""
    body = chart(stamps=[*(opened(day) for day in WEEK[:4]), stamp])
    page = received(want("yahoo", "AAPL"), body, dt.datetime(2024, 3, 8, 20, 30, tzinfo=dt.UTC))
    assert page.tables[D1].column("session").to_pylist() == list(WEEK[:4])
    assert (page.dropped, page.incomplete) == (1, (("AAPL", FRIDAY),))
    after = received(want("yahoo", "AAPL"), body, dt.datetime(2024, 3, 8, 21, 5, tzinfo=dt.UTC))
    assert (after.tables[D1].num_rows, after.incomplete) == (5, ())


def test_a_minute_in_progress_is_dropped() -> None:
    """The minute is kept once it has passed; the day's partition is not complete before the close."""
    start = opened(FRIDAY)
    body = chart(stamps=[start, start + 60, start + 120], close=[1, 2, 3])
    at = dt.datetime.fromtimestamp(start + 150, dt.UTC)
    page = received(want("yahoo", "AAPL", dataset=M1, start=FRIDAY, end=FRIDAY), body, at)
    assert page.tables[M1].num_rows == 2
    assert page.incomplete == (("AAPL", FRIDAY),)


def test_a_day_that_is_null_but_for_its_volume_is_absent() -> None:
    """No price, no bar; a volume of zero beside it says nothing."""
    body = chart(close=[1, 2, None, 4, 5], volume=[1, 1, 0, 1, 1])
    page = decode(want("yahoo", "AAPL"), body)
    assert page.tables[D1].column("session").to_pylist() == [WEEK[0], WEEK[1], WEEK[3], WEEK[4]]
    assert (page.dropped, page.rejected) == (1, ())


BAD = "yahoo/yfinance-bad-data"
EXCHANGES = {"L": ("XLON", "Europe/London"), "MI": ("XMIL", "Europe/Rome"), "DE": ("XETR", "Europe/Berlin"),
             "PA": ("XPAR", "Europe/Paris"), "ST": ("XSTO", "Europe/Stockholm"), "T": ("XTKS", "Asia/Tokyo"),
             "AX": ("XASX", "Australia/Sydney"), "JO": ("XJSE", "Africa/Johannesburg")}  # fmt: skip


def chart_of(path: Path, symbol: str, zone: str) -> tuple[dict[str, Any], list[dt.date]]:
    """A defective table as the chart it was made from: same dates, same prices."""
    lines = [row for row in csv.DictReader(io.StringIO(path.read_text())) if row["Close"]]
    days = [dt.date.fromisoformat(row.get("Date", row.get("Datetime", ""))[:10]) for row in lines]
    stamps = [int(dt.datetime.combine(day, dt.time(9), ZoneInfo(zone)).timestamp()) for day in days]
    columns = {name.lower(): [float(row[name]) for row in lines] for name in ("Open", "High", "Low", "Close")}
    volume = [int(float(row["Volume"] or 0)) for row in lines]
    close = columns.pop("close")
    return chart(symbol, stamps, close, meta={"exchangeTimezoneName": zone}, volume=volume, **columns), days


def test_defective_histories_are_stored_as_delivered(payloads: Path) -> None:
    """A factor of a hundred, a split not applied: no number tells, so none is changed, dropped or rejected.

    What contradicts itself is for the rules of the tables, which quarantine it; a wrong event shows
    as a conflict with a second source.
    """
    seen = 0
    for path in sorted((payloads / BAD).glob("*-1d-*.csv")):
        name, _, rest = path.stem.partition("-1d-")
        root, _, suffix = name.rpartition("-")
        if suffix not in EXCHANGES or rest.endswith("-fixed"):
            continue
        calendar, zone = EXCHANGES[suffix]
        symbol = f"{root}.{suffix}"
        body, days = chart_of(path, symbol, zone)
        page = decode(want("yahoo", symbol, start=min(days), end=max(days), calendar=calendar), body)
        table = page.tables[D1]
        assert page.rejected == (), path.name
        assert table.num_rows + page.dropped == len(days), path.name
        assert table.num_rows > 0.9 * len(set(days)), path.name
        seen += 1
    assert seen >= 10


def test_a_hundredfold_error_reaches_the_lake_and_its_neighbours_show_it(payloads: Path) -> None:
    """Pence for pounds: the very digits the vendor sent, beside days a hundredth of them."""
    path = payloads / BAD / "AET-L-1d-100x-error.csv"
    body, days = chart_of(path, "AET.L", "Europe/London")
    page = decode(want("yahoo", "AET.L", start=min(days), end=max(days), calendar="XLON"), body)
    closes = page.tables[D1].column("close").to_pylist()
    jumps = [b / a for a, b in itertools.pairwise(closes) if a]
    assert max(jumps) > 50 or min(jumps) < Decimal("0.02")
