"""From columns to the canonical table: the promises every decoder of bars inherits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bars import PRICES, AssembledBars, BarColumns, assemble
from mdc_resources.providers.decoding.numbers import read_texts
from mdc_resources.providers.decoding.sessions import NO_DAY, SessionColumns, date_of, day_of
from mdc_resources.schema.arrow import BARS, PRICE, SIZE
from tests.providers.asking import FRIDAY, MONDAY, WEEK, dialect_of, is_canonical, want

NAMES = (Symbol("ZM"), Symbol("AAPL"), Symbol("BRK.B"))
Row = tuple[int, int, str]  # code of the symbol, day offset from Monday, price


def _columns(rows: Sequence[Row]) -> BarColumns:
    texts = pa.array([price for _, _, price in rows], pa.string())
    numbers = {name: read_texts(texts, PRICE) for name in PRICES}
    return BarColumns(
        names=NAMES,
        codes=np.array([code for code, _, _ in rows], np.int32),
        numbers={**numbers, "volume": read_texts(texts, SIZE)},
        days=np.array([day_of(MONDAY) + offset for _, offset, _ in rows], np.int32),
        raw=lambda row: repr(rows[row]),
    )


def _assemble(rows: Sequence[Row], request: FetchRequest | None = None) -> AssembledBars:
    return assemble(_columns(rows), request=request or want("stooq", *NAMES), dialect=dialect_of("stooq"))


def test_rows_are_sorted_by_symbol_and_session() -> None:
    """Symbols in alphabetical order, whatever order they were asked for in."""
    found = _assemble([(0, 1, "1"), (0, 0, "2"), (2, 0, "3"), (1, 4, "4"), (1, 0, "5")]).table
    keys = list(zip(found.column("symbol").to_pylist(), found.column("session").to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert [str(price.normalize()) for price in found.column("close").to_pylist()] == [
        "5",
        "4",
        "3",
        "2",
        "1",
    ]


def test_no_rows_make_an_empty_canonical_table() -> None:
    """Nothing is an answer with the same schema."""
    found = _assemble([])
    assert is_canonical(found.table, BARS)
    assert found.table.num_rows == 0


def test_a_range_without_sessions_drops_everything() -> None:
    """A weekend has no session to hold a row."""
    saturday = dt.date(2024, 3, 9)
    request = want("stooq", *NAMES, start=saturday, end=saturday + dt.timedelta(days=1))
    found = _assemble([(0, 5, "1"), (1, 0, "2")], request)
    assert (found.table.num_rows, found.dropped) == (0, 2)


def test_a_bad_row_outside_the_range_is_only_dropped() -> None:
    """Nobody asked for it, so nothing is quarantined."""
    found = _assemble([(0, 30, "x"), (0, 0, "1")])
    assert (found.table.num_rows, found.dropped, found.rejected) == (1, 1, ())


def test_a_row_without_a_readable_date_is_always_rejected() -> None:
    """It may belong anywhere; it is kept as evidence."""
    columns = _columns([(0, 0, "1"), (1, 1, "2")])
    assert columns.days is not None
    columns.days[1] = NO_DAY
    columns = BarColumns(
        columns.names, columns.codes, columns.numbers, columns.raw, columns.days, errors={1: "no date"}
    )
    found = assemble(columns, request=want("stooq", *NAMES), dialect=dialect_of("stooq"))
    (wrong,) = found.rejected
    assert (wrong.symbol, wrong.session, wrong.reason, wrong.raw) == ("AAPL", None, "no date", "(1, 1, '2')")


def test_three_rows_of_which_two_agree_are_all_rejected() -> None:
    """A majority is no proof."""
    found = _assemble([(0, 0, "1"), (0, 0, "1"), (0, 0, "2"), (0, 1, "3")])
    assert found.table.num_rows == 1
    assert [wrong.reason for wrong in found.rejected] == ["3 rows for one bar disagree"] * 3


def test_long_rows_are_shown_in_part() -> None:
    """Evidence is capped at 2,000 characters."""
    columns = _columns([(0, 0, "x")])
    columns = BarColumns(columns.names, columns.codes, columns.numbers, lambda _: "y" * 9999, columns.days)
    found = assemble(columns, request=want("stooq", *NAMES), dialect=dialect_of("stooq"))
    assert len(found.rejected[0].raw) == 2000


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-2, 8), st.sampled_from(["1", "2", "1.50", "x", "NaN"])),
    max_size=25,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(rows: list[Row], chance: object) -> None:
    """Any permutation gives the same table, rejections and counts."""
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    left, right = _assemble(rows), _assemble(shuffled)
    assert left.table.equals(right.table)
    assert (left.rejected, left.dropped, left.rounded) == (right.rejected, right.dropped, right.rounded)


@given(ROWS)
def test_every_row_is_stored_rejected_dropped_or_a_repetition(rows: list[Row]) -> None:
    """Nothing disappears: the books balance for each bar."""
    found = _assemble(rows)
    assert is_canonical(found.table, BARS)
    offsets = [offset for _, offset, _ in rows]
    assert found.dropped == sum(not 0 <= offset <= 4 for offset in offsets)
    readable: dict[tuple[int, int], set[Decimal]] = {}
    for code, offset, price in rows:
        if 0 <= offset <= 4 and price not in ("x", "NaN"):
            readable.setdefault((code, offset), set()).add(Decimal(price))
    agreed = {(NAMES[code], WEEK[offset]) for (code, offset), seen in readable.items() if len(seen) == 1}
    stored = zip(
        found.table.column("symbol").to_pylist(), found.table.column("session").to_pylist(), strict=True
    )
    assert set(stored) == agreed
    bad = sum(0 <= offset <= 4 and price in ("x", "NaN") for _, offset, price in rows)
    disputed = sum(
        0 <= offset <= 4 and price not in ("x", "NaN") and len(readable[code, offset]) > 1
        for code, offset, price in rows
    )
    assert len(found.rejected) == bad + disputed


@given(st.lists(st.integers(0, 5 * 1440 - 1), max_size=20))
def test_an_instant_belongs_to_the_session_the_calendar_says(minutes: list[int]) -> None:
    """The columnar search agrees with the calendar's own, minute by minute."""
    calendar = get_calendar("XNYS")
    base = dt.datetime.combine(MONDAY, dt.time(), dt.UTC)
    instants = [base + dt.timedelta(minutes=minute) for minute in minutes]
    sessions = SessionColumns.of(calendar, want("stooq", "AAPL", dataset=Dataset.BARS_1M))
    micros = np.array([int(instant.timestamp()) * 1_000_000 for instant in instants], np.int64)
    at, inside = sessions.find_instants(micros)
    for place, found, instant in zip(at, inside, instants, strict=True):
        expected = calendar.session_of(instant)
        assert (date_of(sessions.days[place]) if found else None) == expected
    assert date_of(day_of(FRIDAY)) == FRIDAY
