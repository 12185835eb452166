"""Nasdaq Data Link's series: columns by name, raw before adjusted, facts beside the bars."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.providers.nasdaq import PROVIDER
from mdc_resources.schema.arrow import BARS, CORPORATE_ACTIONS
from tests.providers.asking import decode, dialect_of, is_canonical, prices, refusal, rows, same, want

COLUMNS = [
    "Date", "Open", "High", "Low", "Close", "Volume", "Ex-Dividend", "Split Ratio", "Adj. Open", "Adj. High",
    "Adj. Low", "Adj. Close", "Adj. Volume",
]  # fmt: skip
FIRST, LAST = dt.date(2014, 6, 4), dt.date(2014, 6, 10)
DAYS = get_calendar("XNYS").sessions(FIRST, LAST)
BARS_OF = want("nasdaq", "AAPL", start=FIRST, end=LAST)
FACTS_OF = want("nasdaq", "AAPL", dataset=Dataset.CORPORATE_ACTIONS, start=FIRST, end=LAST)
FACTS = Dataset.CORPORATE_ACTIONS
CLOSE, VOLUME, DIVIDEND, SPLIT = 4, 5, 6, 7


def line(day: Any, close: Any = 644.819, dividend: Any = 0.0, split: Any = 1.0) -> list[Any]:
    """One row; adjusted columns are long and of no interest."""
    text = day.isoformat() if isinstance(day, dt.date) else day
    return [
        text,
        637.44,
        647.89,
        636.11,
        close,
        11981500.0,
        dividend,
        split,
        14.621410714285714,
        2.0,
        1.0,
        1.5,
        9e9,
    ]


def series(*lines: Any, columns: list[str] | None = None, **facts: Any) -> dict[str, Any]:
    """A series of the week, unless other lines are given."""
    told = {
        "dataset_code": "AAPL",
        "database_code": "WIKI",
        "column_names": columns or COLUMNS,
        "order": "asc",
    }
    return {"dataset": {**told, "data": list(lines) or [line(day) for day in DAYS], **facts}}


def test_raw_columns_are_read_where_adjusted_ones_stand_beside() -> None:
    """The bars are as traded, all digits kept, nothing rounded."""
    page = decode(BARS_OF, series())
    table = page.tables[Dataset.BARS_1D]
    assert is_canonical(table, BARS)
    assert table.column("session").to_pylist() == list(DAYS)
    assert {row["basis"] for row in rows(page)} == {Basis.RAW}
    assert (prices(page)[0], prices(page, "volume")[0]) == ("644.819", "11981500")
    assert (page.rejected, page.rounded, page.dropped) == ((), 0, 0)


def test_columns_are_found_by_name() -> None:
    """Any order, any case, whatever else stands between them."""
    order = [0, 12, 4, 3, 2, 1, 7, 6, 5]
    columns = [COLUMNS[at].upper() for at in order]
    lines = [[line(day)[at] for at in order] for day in DAYS]
    assert same(decode(BARS_OF, series()), decode(BARS_OF, series(*lines, columns=columns)))


def test_the_other_database_names_its_facts_otherwise() -> None:
    """``Dividend`` and ``Split`` of EOD."""
    columns = ["Date", "Open", "High", "Low", "Close", "Volume", "Dividend", "Split"]
    lines = [line(day, dividend=0.47 if day == DAYS[1] else 0.0)[:8] for day in DAYS]
    body = series(*lines, columns=columns, database_code="EOD")
    page = decode(BARS_OF, body, feed="EOD")
    assert [row["amount"] for row in rows(page, FACTS)] == [Decimal("0.47")]
    assert {row["source"] for row in rows(page)} == {"nasdaq/EOD"}


@pytest.mark.parametrize(
    "columns",
    [
        ["Date", "USD (AM)", "USD (PM)"],
        ["Date", "Adj. Open", "Adj. High", "Adj. Low", "Adj. Close"],
        ["Date", "Open", "High", "Low"],
        ["Value", "Date", "Open", "High", "Low", "Close"],
        [],
    ],
    ids=str,
)
def test_a_series_without_raw_bars_is_refused(columns: list[str]) -> None:
    """Gold fixings, adjusted prices only, no close, no date in front."""
    body = series([1.0] * len(columns))
    body["dataset"]["column_names"] = columns
    assert isinstance(refusal(BARS_OF, body), PayloadError)


def test_a_series_without_volume_has_none() -> None:
    """Null, not zero; without facts there are no facts, and a warning says so."""
    lines = [line(day)[:5] for day in DAYS]
    page = decode(BARS_OF, series(*lines, columns=COLUMNS[:5]))
    assert prices(page, "volume") == ["null"] * 5
    assert FACTS not in page.tables
    assert "no such columns" in page.warnings[0]


@pytest.mark.parametrize("width", [4, 12, 14])
def test_a_row_of_another_width_is_refused_alone(width: int) -> None:
    """Nothing says which of its cells is missing."""
    odd = [*line(DAYS[1]), 1.0][:width]
    page = decode(BARS_OF, series(line(DAYS[0]), odd, *map(line, DAYS[2:])))
    assert [row["session"] for row in rows(page)] == [DAYS[0], *DAYS[2:]]
    assert "13 cells" in page.rejected[0].reason


@pytest.mark.parametrize("odd", [None, {}, "2014-06-05", 7, []])
def test_a_row_that_is_no_row_is_refused_alone(odd: Any) -> None:
    """The others are stored."""
    page = decode(BARS_OF, series(line(DAYS[0]), odd))
    assert (len(rows(page)), len(page.rejected)) == (1, 1)


@pytest.mark.parametrize("day", ["2014-6-5", None, 20140605, "", "2014-06-31"])
def test_a_row_without_a_date_belongs_to_nobody(day: Any) -> None:
    """It is shown without a session."""
    page = decode(BARS_OF, series(line(DAYS[0]), line(day)))
    assert (len(rows(page)), page.rejected[0].session) == (1, None)


@pytest.mark.parametrize("value", [None, "644.8", True, [1], 14.621410714285714])
def test_one_bad_value_costs_one_row(value: Any) -> None:
    """Also a price as traded with more digits than any market has: it is quoted, and not rounded."""
    page = decode(BARS_OF, series(line(DAYS[0], close=value), *map(line, DAYS[1:])))
    assert [row["session"] for row in rows(page)] == list(DAYS[1:])
    assert (page.rejected[0].session, page.rejected[0].symbol) == (DAYS[0], "AAPL")


@pytest.mark.parametrize("text", ["NaN", "1e999", "-Infinity"])
def test_numbers_that_are_none_cost_their_row(text: str) -> None:
    """As some JSON writers spell them."""
    page = decode(BARS_OF, json.dumps(series()).replace("644.819", text, 1))
    assert len(rows(page)) == 4


def test_newest_first_is_no_other_answer() -> None:
    """Nor are repeated rows; two stories about one day are none."""
    straight = decode(BARS_OF, series())
    assert same(straight, decode(BARS_OF, series(*map(line, reversed(DAYS)))))
    assert same(straight, decode(BARS_OF, series(*map(line, (*DAYS, DAYS[2])))))
    page = decode(BARS_OF, series(*map(line, DAYS), line(DAYS[2], close=640.0)))
    assert DAYS[2] not in {row["session"] for row in rows(page)}


def test_rows_outside_the_range_are_dropped() -> None:
    """Other dates and Sundays."""
    page = decode(BARS_OF, series(line(dt.date(2014, 6, 3)), line(dt.date(2014, 6, 8)), *map(line, DAYS)))
    assert (len(rows(page)), page.dropped) == (5, 2)


@pytest.mark.parametrize(
    "facts",
    [{"dataset_code": "MSFT"}, {"database_code": "EOD"}, {"dataset_code": None}, {"data": None}, {"data": {}},
     {"column_names": None}],
    ids=str,
)  # fmt: skip
def test_another_series_is_refused(facts: dict[str, Any]) -> None:
    """It says which one it is."""
    assert isinstance(refusal(BARS_OF, series(**facts)), PayloadError)


def test_an_empty_series_is_an_empty_page() -> None:
    """Outside its dates a series has no rows; nothing is carried with them."""
    body = series()
    body["dataset"]["data"] = []
    page = decode(BARS_OF, body)
    assert (rows(page), page.rejected) == ([], ())
    assert FACTS not in page.tables


def test_splits_and_dividends_come_along_with_the_bars() -> None:
    """7:1 on the Monday; 1 and 0 say that nothing happened."""
    body = series(*[line(day, dividend=0.47 if day == DAYS[0] else 0.0, split=7.0 if day == DAYS[3] else 1.0)
                    for day in DAYS])  # fmt: skip
    page = decode(BARS_OF, body)
    facts = page.tables[FACTS]
    assert is_canonical(facts, CORPORATE_ACTIONS)
    found = {row["kind"]: row for row in rows(page, FACTS)}
    assert (found["split"]["ratio_to"], found["split"]["ratio_from"]) == (7, 1)
    assert found["split"]["ex_date"] == dt.date(2014, 6, 9)
    assert (found["dividend"]["amount"], found["dividend"]["currency"]) == (Decimal("0.47"), "USD")
    assert facts.equals(decode(FACTS_OF, body).tables[FACTS])


@pytest.mark.parametrize(
    ("split", "ratio"), [(0.125, (1, 8)), (1.5, (3, 2)), (0.0333, (1, 30)), (2.0, (2, 1))]
)
def test_split_ratios_are_small_integers(split: float, ratio: tuple[int, int]) -> None:
    """New shares per old one, also where the vendor rounded."""
    (row,) = rows(decode(FACTS_OF, series(line(DAYS[0], split=split), *map(line, DAYS[1:]))), FACTS)
    assert (row["ratio_to"], row["ratio_from"]) == ratio


@pytest.mark.parametrize(("at", "value"), [(SPLIT, 1.046), (SPLIT, 0.0), (SPLIT, None), (DIVIDEND, "0.47")])
def test_a_fact_that_cannot_be_read(at: int, value: Any) -> None:
    """Asked for facts it costs its session; beside the bars all facts are left out, the bars are not."""
    odd = line(DAYS[1])
    odd[at] = value
    body = series(line(DAYS[0]), odd, *map(line, DAYS[2:]))
    assert [row.session for row in decode(FACTS_OF, body).rejected] == [DAYS[1]]
    page = decode(BARS_OF, body)
    assert (len(rows(page)), page.rejected) == (5, ())
    assert FACTS not in page.tables
    assert "left out" in page.warnings[0]


def test_two_rows_of_a_day_are_no_two_payments() -> None:
    """The same row twice pays once; two different ones pay nobody knows what, and cost their session."""
    first = line(DAYS[0], dividend=0.47)
    twice = decode(FACTS_OF, series(first, first, *map(line, DAYS[1:])))
    assert [row["amount"] for row in rows(twice, FACTS)] == [Decimal("0.47")]
    page = decode(FACTS_OF, series(first, line(DAYS[0], dividend=0.48), *map(line, DAYS[1:])))
    assert [(bad.session, "disagree" in bad.reason) for bad in page.rejected] == [(DAYS[0], True)]
    assert rows(page, FACTS) == []


def test_a_day_without_a_row_says_nothing_about_its_facts() -> None:
    """Each row speaks of its own day only: an empty one would pass for proven."""
    body = series(*[line(day) for day in DAYS if day != DAYS[2]])
    assert decode(FACTS_OF, body).incomplete == (("AAPL", DAYS[2]),)
    page = decode(BARS_OF, body)
    assert FACTS not in page.tables
    assert page.incomplete == ()
    assert str(DAYS[2]) in page.warnings[0]


def test_a_complete_week_without_facts_is_proof() -> None:
    """The columns say 0 and 1 for every day asked for."""
    page = decode(FACTS_OF, series())
    assert (rows(page, FACTS), page.incomplete) == ([], ())
    assert PROVIDER.spec.offers[FACTS].empty_is_proof


@pytest.mark.parametrize("columns", [COLUMNS[:6], COLUMNS[:7], [*COLUMNS[:6], "Split Ratio"]])
def test_facts_cannot_be_asked_of_a_series_without_them(columns: list[str]) -> None:
    """Neither of half of them."""
    lines = [line(day)[: len(columns)] for day in DAYS]
    assert isinstance(refusal(FACTS_OF, series(*lines, columns=columns)), PayloadError)


def test_facts_of_a_row_without_a_date_spoil_the_answer() -> None:
    """It might be any of the days that look empty."""
    assert isinstance(refusal(FACTS_OF, series(line("soon"), *map(line, DAYS))), PayloadError)


def test_a_running_session_is_not_final() -> None:
    """A row of today is left out, and today stays open."""
    dialect = dialect_of("nasdaq")
    received = get_calendar("XNYS").hours(LAST)[1] - dt.timedelta(minutes=1)
    response = HttpResponse(200, {}, json.dumps(series()).encode(), received)
    page = PROVIDER.decode(BARS_OF, dialect, PROVIDER.plan(BARS_OF, dialect), response)
    assert page.incomplete == (("AAPL", LAST),)
    assert LAST not in {row["session"] for row in rows(page)}


def test_the_recorded_last_day_of_wiki(payloads: Path) -> None:
    """Alphabet on 2018-03-27, the very digits of the body, and no facts that day."""
    text = (payloads / "nasdaq_data_link" / "beanprice" / "_test_valid_response.json").read_text()
    day = dt.date(2018, 3, 27)
    page = decode(want("nasdaq", "GOOGL", start=day, end=day), text)
    (told,) = json.loads(text, parse_float=Decimal)["dataset"]["data"]
    (row,) = rows(page)
    assert [row[name] for name in ("open", "high", "low", "close", "volume")] == told[1:6]
    assert page.tables[FACTS].num_rows == 0


def test_a_recorded_series_of_gold_is_refused(payloads: Path) -> None:
    """Its columns are fixings."""
    text = (payloads / "nasdaq_data_link" / "beanprice" / "test_non_standard_columns.json").read_text()
    assert isinstance(refusal(BARS_OF, text), PayloadError)
