"""Stooq's last row and its rewritten history: what is stored of a session in progress, and of the past."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import NotEntitled, PayloadError, ProviderError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Page
from tests.providers.asking import WEEK, csv_of, decode, dialect_of, prices, refusal, want

D1 = Dataset.BARS_1D
LINES = [(day, 10 + n, 12 + n, 9 + n, 11 + n, 1000 + n) for n, day in enumerate(WEEK)]


def received(request: FetchRequest, body: str | bytes, at: dt.datetime) -> Page:
    """The page of ``body`` downloaded at ``at``."""
    content = body.encode() if isinstance(body, str) else body
    dialect = dialect_of(request.provider, request.calendar)
    stooq = provider("stooq")
    return stooq.decode(request, dialect, stooq.plan(request, dialect), HttpResponse(200, {}, content, at))


@pytest.mark.parametrize(
    ("at", "stored"),
    [
        pytest.param(dt.datetime(2024, 3, 8, 14, 29, tzinfo=dt.UTC), 4, id="before the open"),
        pytest.param(dt.datetime(2024, 3, 8, 20, 59, tzinfo=dt.UTC), 4, id="a minute before the close"),
        pytest.param(dt.datetime(2024, 3, 8, 21, 0, tzinfo=dt.UTC), 5, id="at the close"),
        pytest.param(dt.datetime(2024, 3, 9, 3, 0, tzinfo=dt.UTC), 5, id="that night"),
    ],
)
def test_a_session_in_progress_is_dropped_and_stays_open(at: dt.datetime, stored: int) -> None:
    """Its row is no bar yet: dropped, counted, its partition named; a session over is a bar."""
    page = received(want("stooq", "AAPL"), csv_of(*LINES), at)
    assert page.tables[D1].column("session").to_pylist() == list(WEEK[:stored])
    assert page.dropped == 5 - stored
    assert page.incomplete == (() if stored == 5 else (("AAPL", WEEK[4]),))
    assert page.rejected == ()


def test_the_recorded_partial_day_is_not_stored_when_it_was_downloaded(payloads: Path) -> None:
    """TSM of 2025-01-08: 4.3 million shares where a day has 17; downloaded that afternoon."""
    body = (payloads / "stooq" / "wegar-2" / "tsm_us_d.csv").read_bytes()
    request = want("stooq", "TSM", start=dt.date(2025, 1, 6), end=dt.date(2025, 1, 8))
    page = received(request, body, dt.datetime(2025, 1, 8, 16, 0, tzinfo=dt.UTC))
    assert page.tables[D1].column("session").to_pylist() == [dt.date(2025, 1, 6), dt.date(2025, 1, 7)]
    assert page.incomplete == (("TSM", dt.date(2025, 1, 8)),)


def test_a_restated_history_is_two_answers_with_two_dates() -> None:
    """A dividend divides all earlier rows; each download is stored under its own date of fetch."""
    earlier = decode(want("stooq", "AAPL"), csv_of(*LINES))
    rewritten = [(day, *(round(price * 0.98, 5) for price in four), volume) for day, *four, volume in LINES]
    later = decode(want("stooq", "AAPL"), csv_of(*rewritten))
    assert prices(earlier) != prices(later)
    assert prices(later)[0] == "10.78"
    for page in (earlier, later):
        assert set(page.tables[D1].column("basis").to_pylist()) == {"split+dividend"}
        assert None not in page.tables[D1].column("basis_asof").to_pylist()


def test_fractional_volumes_are_kept_to_eight_places() -> None:
    """Divided volumes have as many digits as a double: rounded to the column, and flagged."""
    page = decode(want("stooq", "AAPL"), csv_of((WEEK[0], 1, 1, 1, 1, "9100614.9714937123")))
    assert page.tables[D1].column("volume").to_pylist() == [Decimal("9100614.97149371")]
    assert page.tables[D1].column("exact").to_pylist() == [False]


PROOF_OF_WORK = (
    b"<!doctype html><html><head><script>let n=0;while(!ok(sha256(c+n)))n++</script></head></html>"
)
ASKS_FOR_KEY = b"<html><body>Get your apikey: <a href='?get_apikey'>solve the captcha</a></body></html>"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(PROOF_OF_WORK, PayloadError, id="proof of work"),
        pytest.param(ASKS_FOR_KEY, NotEntitled, id="asks for a key"),
        pytest.param(b"Data\tKurs\n2024-03-04\t1", PayloadError, id="another table"),
        pytest.param(b"Write to www@stooq.com if you want to use our data", PayloadError, id="a sentence"),
        pytest.param(b"2024-03-04,1,1,1,1,1\r\n", PayloadError, id="rows without a header"),
    ],
)
def test_whatever_starts_with_no_known_header_is_an_error(body: bytes, kind: type[ProviderError]) -> None:
    """All of these came with status 200."""
    assert type(refusal(want("stooq", "AAPL"), body)) is kind


def test_the_polish_header_is_the_same_table() -> None:
    """By the browser's language; a currency of it has no Wolumen."""
    header = ("Data", "Otwarcie", "Najwyzszy", "Najnizszy", "Zamkniecie", "Wolumen")
    assert prices(decode(want("stooq", "AAPL"), csv_of(*LINES, header=header))) == [
        "11",
        "12",
        "13",
        "14",
        "15",
    ]
    currency = csv_of(*(line[:5] for line in LINES), header=header[:5])
    page = decode(want("stooq", "USDPLN", calendar="24/5"), currency)
    assert page.tables[D1].column("volume").null_count == page.tables[D1].num_rows > 0
