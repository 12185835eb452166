"""Stooq's daily CSV: what is asked, how downloads are read, and every known trap."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.stooq import PROVIDER, vendor_symbol
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    WEEK,
    csv_of,
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

LINES = [(day, 10 + at, 12 + at, 9 + at, "11.50000", 9100614.9714937) for at, day in enumerate(WEEK)]
POLISH = ("Data", "Otwarcie", "Najwyzszy", "Najnizszy", "Zamkniecie", "Wolumen")


def test_a_request_names_market_range_and_interval() -> None:
    """Both dates are inclusive; the symbol is lower case with its market."""
    wire = PROVIDER.plan(want("stooq", "AAPL"), dialect_of("stooq"))
    assert wire.url == "https://stooq.com/q/d/l/"
    assert dict(wire.params) == {"s": "aapl.us", "d1": "20240304", "d2": "20240308", "i": "d"}


@pytest.mark.parametrize(
    ("symbol", "calendar", "spelled"),
    [
        ("BRK.B", "XNYS", "brk-b.us"),
        ("VOD", "XLON", "vod.uk"),
        ("SAP", "XETR", "sap.de"),
        ("PKN", "XWAR", "pkn"),
        ("USDPLN", "24/5", "usdpln"),
    ],
)
def test_symbols_are_spelled_stooqs_way(symbol: str, calendar: str, spelled: str) -> None:
    """The market follows from the calendar."""
    assert vendor_symbol(Symbol(symbol), calendar) == spelled


@pytest.mark.parametrize(("symbol", "calendar"), [("AAPL", "XASX"), ("COINBASE:BTC-USD", "24/7")])
def test_a_market_stooq_does_not_have_is_said_before_asking(symbol: str, calendar: str) -> None:
    """No request is sent for what it cannot spell."""
    with pytest.raises(UnknownSymbol) as caught:
        vendor_symbol(Symbol(symbol), calendar)
    assert caught.value.symbol == symbol


@pytest.mark.parametrize("end", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["plain", "BOM"])
@pytest.mark.parametrize("header", [None, POLISH], ids=["English", "Polish"])
def test_downloads_are_read_in_every_dress(end: str, bom: str, header: tuple[str, ...] | None) -> None:
    """Line ends, a byte order mark and the Polish header change nothing."""
    page = decode(want("stooq", "AAPL"), bom + csv_of(*LINES, header=header, end=end))
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("session").to_pylist() == list(WEEK)
    assert prices(page, "open") == ["10", "11", "12", "13", "14"]
    assert prices(page, "volume") == ["9100614.9714937"] * 5
    assert {row["basis"] for row in rows(page)} == {Basis.TOTAL}
    assert {row["source"] for row in rows(page)} == {"stooq"}


def test_a_currency_has_no_volume() -> None:
    """Without a Volume column volume is null, not zero."""
    body = csv_of(*(line[:5] for line in LINES), header=("Date", "Open", "High", "Low", "Close"))
    page = decode(want("stooq", "USDPLN", calendar="24/5"), body)
    assert prices(page, "volume") == ["null"] * 5


def test_an_unknown_column_is_left_out() -> None:
    """A new column of the vendor disturbs nothing, and is mentioned."""
    body = csv_of(
        *((*line, 0) for line in LINES), header=("Date", "Open", "High", "Low", "Close", "Volume", "OpenInt")
    )
    page = decode(want("stooq", "AAPL"), body)
    assert prices(page, "open") == ["10", "11", "12", "13", "14"]
    assert "OpenInt" in page.warnings[0]


def test_adjusted_numbers_that_do_not_fit_are_rounded_and_flagged() -> None:
    """Prices and volumes are derived: rounding is counted and shown per row."""
    body = csv_of((WEEK[0], "0.00000012345", 1, 1, 1, "1.123456785"), (WEEK[1], 1, 1, 1, 1, 5))
    page = decode(want("stooq", "AAPL"), body)
    assert prices(page, "open")[0] == "0.000000123"
    assert prices(page, "volume")[0] == "1.12345678"
    assert [row["exact"] for row in rows(page)] == [False, True]
    assert page.rounded == 2


@pytest.mark.parametrize("value", ["1,234.50", "n/a", "NaN", "=cmd()", "12\u00a0", "1e400"])
def test_one_bad_value_costs_one_row(value: str) -> None:
    """Whatever stands where a price belongs, the other rows are stored."""
    page = decode(
        want("stooq", "AAPL"), csv_of(*LINES).replace("\r\n2024-03-06,12,", f"\r\n2024-03-06,{value},")
    )
    assert len(rows(page)) == 4
    assert page.rejected[0].symbol == "AAPL"


def test_a_missing_price_rejects_its_row() -> None:
    """An empty field is no price."""
    page = decode(want("stooq", "AAPL"), csv_of(*LINES[:2], (WEEK[2], 1, 1, "", 1, 5)))
    assert [(wrong.session, wrong.reason) for wrong in page.rejected] == [(WEEK[2], "low is missing")]


@pytest.mark.parametrize("date", ["2024-13-01", "06.03.2024", "20240306", "", "2024-3-6"])
def test_a_date_that_cannot_be_read_rejects_its_row(date: str) -> None:
    """Only ISO dates are dates here."""
    page = decode(want("stooq", "AAPL"), csv_of(*LINES[:2], (date, 1, 1, 1, 1, 5)))
    assert len(rows(page)) == 2
    assert page.rejected[0].session is None


def test_a_line_with_too_few_fields_is_rejected_alone() -> None:
    """The line is kept as evidence under its session."""
    page = decode(want("stooq", "AAPL"), csv_of(*LINES).replace("2024-03-06,12,14,11,", "2024-03-06,12,"))
    assert len(rows(page)) == 4
    (wrong,) = page.rejected
    assert (wrong.session, wrong.raw) == (WEEK[2], "2024-03-06,12,11.50000,9100614.9714937")
    assert "4 fields where 6 belong" in wrong.reason


@pytest.mark.parametrize("cut", [3, 12, 25])
def test_a_body_that_stops_inside_a_line_is_incomplete_there(cut: int) -> None:
    """The last number may have lost digits: its row is not believed, the others are."""
    page = decode(want("stooq", "AAPL"), csv_of(*LINES)[:-cut])
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == list(WEEK[:4])
    assert page.incomplete == (("AAPL", WEEK[4]),)
    assert "ends inside" in page.rejected[0].reason


def test_rows_outside_the_range_are_dropped_and_counted() -> None:
    """The whole history may come; only what was asked for is stored."""
    page = decode(want("stooq", "AAPL", start=WEEK[1], end=WEEK[3]), csv_of(*LINES))
    assert (len(rows(page)), page.dropped) == (3, 2)


def test_identical_rows_collapse_and_contradicting_ones_are_rejected() -> None:
    """A repetition is harmless, a contradiction is not."""
    page = decode(want("stooq", "AAPL"), csv_of(*LINES, LINES[0], (WEEK[1], 1, 1, 1, 1, 1)))
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == [WEEK[0], *WEEK[2:]]
    assert [wrong.session for wrong in page.rejected] == [WEEK[1]] * 2


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_lines_does_not_matter(seed: int) -> None:
    """Shuffled lines give the same page."""
    lines = [*LINES, (WEEK[1], 1, 1, 1, 1, 1), (WEEK[2], "x", 1, 1, 1, 1)]
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert same(
        decode(want("stooq", "AAPL"), csv_of(*lines)), decode(want("stooq", "AAPL"), csv_of(*shuffled))
    )


def test_nonsense_prices_pass_through_for_the_rules_to_judge() -> None:
    """High below low and a negative volume are data here."""
    page = decode(want("stooq", "AAPL"), csv_of((WEEK[0], 5, 1, 9, 0, -3)))
    assert (rows(page)[0]["low"], rows(page)[0]["volume"]) == (Decimal(9), Decimal(-3))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("No data", UnknownSymbol),
        ("Brak danych\r\n", UnknownSymbol),
        ("Exceeded the daily hits limit", QuotaExhausted),
        ("Przekroczony dzienny limit wywolan", QuotaExhausted),
        ("<html><body>get your apikey at ...</body></html>", NotEntitled),
        ("<!doctype html><script>proof of work</script>", PayloadError),
        ("\ufeff <html></html>", PayloadError),
        ("Too many requests", RateLimited),
        ("", PayloadError),
        ("\r\n", PayloadError),
        ("Date,Open,High,Low\r\n2024-03-04,1,1,1\r\n", PayloadError),
        ("Date,Open,Open,High,Low,Close\r\n", PayloadError),
        ("Date;Open;High;Low;Close;Volume\r\n", PayloadError),
        ('{"error": "x"}', PayloadError),
        ("2024-03-04,1,1,1,1,5\r\n", PayloadError),
    ],
)
def test_errors_are_named_though_the_status_is_200(body: str, kind: type[ProviderError]) -> None:
    """Anything that does not start with a known header is an error of the right kind."""
    error = refusal(want("stooq", "AAPL"), body)
    assert type(error) is kind
    assert error.provider == "stooq"


def test_no_data_names_the_symbol_and_what_it_may_mean() -> None:
    """Stooq says the same of a symbol it does not know and of a range without data."""
    error = refusal(want("stooq", "ZZZZ"), "No data")
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "ZZZZ"
    assert "and range" in str(error)


def test_a_header_without_rows_is_an_empty_range() -> None:
    """Nothing in the range is an answer, not an error."""
    page = decode(want("stooq", "AAPL"), csv_of())
    assert rows(page) == []


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_other_statuses_are_refused(status: int) -> None:
    """A redirect or a client error is never read as data."""
    assert isinstance(refusal(want("stooq", "AAPL"), "gone", status=status), PayloadError)


@pytest.mark.parametrize("status", [403, 429, 502])
def test_statuses_with_a_general_meaning_are_the_transports(status: int) -> None:
    """Their headers are read in one place."""
    assert PROVIDER.classify(respond("x", status)) is None


def test_bytes_that_are_not_utf8_cost_only_their_row() -> None:
    """A stray byte makes its field unreadable, nothing else."""
    body = csv_of(*LINES).encode().replace(b"2024-03-06,12,", b"2024-03-06,1\xff2,")
    page = decode(want("stooq", "AAPL"), body)
    assert (len(rows(page)), len(page.rejected)) == (4, 1)
