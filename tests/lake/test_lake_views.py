"""Adjusted views: hand-computed prices around splits and dividends, NULL where facts are lacking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

import pyarrow as pa
import pytest
from lake_rows import FETCHED, action, actions, bars, batch, day, empties

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake

DAILY, ACTIONS = Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS
WEEK = range(10)


def store(lake: Lake, *tables: pa.Table) -> None:
    """Commit daily bars."""
    lake.commit(batch(*tables, dataset=DAILY))


def daily(numbers: Iterable[int], close: str, **options: object) -> pa.Table:
    """One bar a session at ``close``."""
    return bars("ACME", [day(n) for n in numbers], per=1, close=close, **options)  # type: ignore[arg-type]


def know(lake: Lake, numbers: Iterable[int], *rows: dict[str, object]) -> None:
    """Commit corporate actions and the coverage of all sessions ``numbers``."""
    with_rows = {row["ex_date"] for row in rows}
    quiet = empties(ACTIONS, "ACME", [day(n) for n in numbers if day(n) not in with_rows])
    lake.commit(batch(*([actions(*rows)] if rows else []), dataset=ACTIONS, coverage=quiet))


def split(number: int, to: int, of: int = 1) -> dict[str, object]:
    """A split ``to``:``of`` effective on ``day(number)``."""
    return action("ACME", day(number), "split", ratio_to=to, ratio_from=of)


def closes(lake: Lake, view: str) -> dict[dt.date, Decimal | None]:
    """Close per session of a view."""
    return dict(lake.connect().execute(f"SELECT session, close FROM {view} ORDER BY 1").fetchall())


def test_without_splits_the_view_equals_what_is_stored(lake: Lake) -> None:
    """One basis, one fetch date, no later split: bars_1d is bars_1d_stored."""
    asof = day(9)
    store(lake, daily(WEEK, "50.123456789", basis="split", asof=asof))
    reader = lake.connect()
    stored = reader.execute("SELECT * EXCLUDE (null_reason) FROM bars_1d ORDER BY session").fetchall()
    assert stored == reader.execute("FROM bars_1d_stored ORDER BY session").fetchall()
    assert reader.execute("SELECT DISTINCT null_reason FROM bars_1d").fetchall() == [(None,)]


def test_raw_bars_are_divided_by_later_splits(lake: Lake) -> None:
    """A 4:1 split quarters the prices before it and quadruples the volume."""
    store(lake, daily(range(5), "400"), daily(range(5, 10), "101"))
    know(lake, WEEK, split(5, 4))
    found = (
        lake.connect()
        .execute("SELECT session, open, close, volume, exact FROM bars_1d ORDER BY 1")
        .fetchall()
    )
    assert found[4] == (day(4), Decimal(100), Decimal(100), Decimal(4802), True)
    assert found[5] == (day(5), Decimal(101), Decimal(101), Decimal("1200.5"), True)


def test_successive_splits_multiply(lake: Lake) -> None:
    """Before a 2:1 and a later 3:2 split, prices are a third."""
    store(lake, daily(range(3), "300"), daily(range(3, 6), "150"), daily(range(6, 10), "100"))
    know(lake, WEEK, split(3, 2), split(6, 3, 2))
    assert list(closes(lake, "bars_1d").values()) == [Decimal(100)] * 10


def test_reverse_splits_raise_prices(lake: Lake) -> None:
    """After a 1:10 consolidation older prices are ten times as high."""
    store(lake, daily(range(5), "2.5"), daily(range(5, 10), "25"))
    know(lake, WEEK, split(5, 1, 10))
    assert list(closes(lake, "bars_1d").values()) == [Decimal(25)] * 10


@pytest.mark.parametrize(
    ("price", "expected", "exact"),
    [
        ("100", "33.333333333", False),
        ("200", "66.666666667", False),
        ("99", "33.000000000", True),
        ("0.000000003", "0.000000001", True),
    ],
)
def test_division_rounds_half_even_and_says_so(lake: Lake, price: str, expected: str, exact: bool) -> None:
    """Thirds are rounded to nine places and flagged."""
    store(lake, pa.concat_tables([flat("ACME", 0, price), flat("ACME", 1, "1")]))
    know(lake, range(2), split(1, 3))
    row = lake.connect().execute("SELECT close, exact FROM bars_1d ORDER BY session LIMIT 1").fetchone()
    assert row == (Decimal(expected), exact)


@pytest.mark.parametrize(("units", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (2, 1)])
def test_ties_go_to_the_even_neighbour(lake: Lake, units: int, expected: int) -> None:
    """Half of an odd number of units: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.5 -> 4."""
    reader = lake.connect()
    assert reader.execute(
        f"SELECT mdc_ratio({units}::HUGEINT, 1, 2), mdc_ratio(-{units}::HUGEINT, 1, 2)"
    ).fetchone() == (
        expected,
        -expected,
    )


def flat(symbol: str, number: int, price: str) -> pa.Table:
    """One bar whose four prices are equal."""
    (row,) = bars(symbol, [day(number)], per=1).to_pylist()
    row.update(dict.fromkeys(("open", "high", "low", "close"), Decimal(price)))
    return pa.Table.from_pylist([row], schema=bars(symbol, [day(0)]).schema)


def test_bars_fetched_before_a_split_are_brought_to_its_basis(lake: Lake) -> None:
    """split-adjusted bars of an older fetch know only the splits of their day."""
    store(
        lake,
        daily(range(5), "400", basis="split", asof=day(4)),
        daily(range(5, 10), "100", basis="split", asof=day(9)),
    )
    know(lake, WEEK, split(6, 4))
    assert list(closes(lake, "bars_1d").values()) == [Decimal(100)] * 10


def test_raw_and_adjusted_bars_meet_on_one_basis(lake: Lake) -> None:
    """A series that failed over between bases reads as one."""
    store(lake, daily(range(5), "400"), daily(range(5, 10), "100", basis="split", asof=day(9)))
    know(lake, WEEK, split(7, 4))
    assert list(closes(lake, "bars_1d").values()) == [Decimal(100)] * 10


def test_what_needs_unknown_actions_is_null_with_a_reason(lake: Lake) -> None:
    """Raw bars without covered actions: only the newest needs none."""
    store(lake, daily(WEEK, "100"))
    rows = (
        lake.connect().execute("SELECT close, volume, null_reason FROM bars_1d ORDER BY session").fetchall()
    )
    assert rows[-1] == (Decimal(100), Decimal("1200.5"), None)
    assert rows[0] == (None, None, f"corporate actions after {day(0)} are not covered")
    assert {row[0] for row in rows[:-1]} == {None}


def test_a_hole_in_the_actions_nulls_what_lies_before_it(lake: Lake) -> None:
    """An uncovered session may hide a split: earlier raw bars are unknown, later ones are not."""
    store(lake, daily(WEEK, "100"))
    know(lake, [n for n in WEEK if n != 4])
    assert [close is None for close in closes(lake, "bars_1d").values()] == [True] * 4 + [False] * 6


def test_an_old_range_of_raw_bars_is_not_mixed_with_todays_basis(lake: Lake) -> None:
    """Actions covered for last winter say nothing about the months since."""
    store(lake, daily(range(5), "100"), daily(range(100, 103), "50", basis="split", asof=day(110)))
    know(lake, range(5))
    found = closes(lake, "bars_1d")
    assert [found[day(n)] for n in (0, 4, 100)] == [None, None, Decimal(50)]


def test_crypto_needs_no_corporate_actions(lake: Lake) -> None:
    """A symbol that names its venue has no splits."""
    store(lake, bars("COINBASE:BTC-USD", [day(n) for n in WEEK], per=1, close="64000"))
    assert set(closes(lake, "bars_1d").values()) == {Decimal(64000)}


def test_raw_view_undoes_the_vendors_adjustment(lake: Lake) -> None:
    """bars_1d_raw multiplies the splits back in that the vendor divided out."""
    store(lake, daily(range(10), "100", basis="split", asof=day(9)))
    know(lake, WEEK, split(5, 4))
    assert list(closes(lake, "bars_1d_raw").values()) == [Decimal(400)] * 5 + [Decimal(100)] * 5
    assert list(closes(lake, "bars_1d").values()) == [Decimal(100)] * 10


def test_raw_view_of_raw_bars_is_what_is_stored(lake: Lake) -> None:
    """Nothing is needed to show raw prices raw."""
    store(lake, daily(WEEK, "100"))
    assert list(closes(lake, "bars_1d_raw").values()) == [Decimal(100)] * 10


def test_total_view_takes_dividends_out(lake: Lake) -> None:
    """A dividend of 2 on a close of 100 lowers what lies before it by two percent."""
    store(lake, daily(WEEK, "100"))
    know(lake, WEEK, action("ACME", day(5), "dividend", amount=Decimal(2), currency="USD"))
    found = list(closes(lake, "bars_1d_total").values())
    assert found == [Decimal(98)] * 5 + [Decimal(100)] * 5
    exact = lake.connect().execute(
        "SELECT bool_or(exact), basis FROM bars_1d_total WHERE close = 98 GROUP BY 2"
    )
    assert exact.fetchall() == [(False, "split+dividend")]


def test_dividends_before_a_split_are_on_their_own_share_count(lake: Lake) -> None:
    """8 a share before a 4:1 split is 2 a share after it: 2 % of 100, not 8 %."""
    store(lake, daily(range(5), "400"), daily(range(5, 10), "100"))
    dividend = action("ACME", day(2), "dividend", amount=Decimal(8), currency="USD")
    know(lake, WEEK, dividend, split(5, 4))
    found = closes(lake, "bars_1d_total")
    assert (found[day(1)], found[day(2)]) == (Decimal(98), Decimal(100))


def test_dividends_restated_by_the_vendor_are_not_divided_again(lake: Lake) -> None:
    """Amounts of basis ``split`` already count shares as of the day they were known."""
    store(lake, daily(range(5), "400"), daily(range(5, 10), "100"))
    restated = action(
        "ACME", day(2), "dividend", amount=Decimal(2), currency="USD", basis="split", known_at=FETCHED
    )
    know(lake, WEEK, restated, split(5, 4))
    assert closes(lake, "bars_1d_total")[day(1)] == Decimal(98)


def test_bars_stored_with_dividends_adjusted_cannot_be_undone(lake: Lake) -> None:
    """split+dividend prices are not split-consistent prices: NULL, with the reason."""
    store(lake, daily(WEEK, "100", basis="split+dividend", asof=day(10)))
    rows = lake.connect().execute("SELECT DISTINCT close, null_reason FROM bars_1d").fetchall()
    assert rows == [(None, "stored with dividends adjusted")]


def test_symbols_do_not_share_their_splits(lake: Lake) -> None:
    """Another symbol's split changes nothing."""
    store(
        lake,
        daily(WEEK, "100"),
        bars("OTHER", [day(n) for n in WEEK], per=1, close="7", basis="split", asof=day(9)),
    )
    know(lake, WEEK, split(5, 4))
    other = lake.connect().execute("SELECT DISTINCT close FROM bars_1d WHERE symbol = 'OTHER'").fetchall()
    assert other == [(Decimal(7),)]


def test_prices_are_decimals_in_every_view(lake: Lake) -> None:
    """No view turns a price into a float."""
    reader = lake.connect()
    for view in ("bars_1d", "bars_1d_raw", "bars_1d_total", "bars_1d_stored", "bars_1m"):
        types = {
            str(row[1])
            for row in reader.execute(f"DESCRIBE {view}").fetchall()
            if row[0] in {"open", "close"}
        }
        assert types == {"DECIMAL(18,9)"}, view


def test_ledgers_are_views_too(lake: Lake) -> None:
    """Every ledger can be queried under its name."""
    reader = lake.connect()
    for name in (
        "coverage",
        "coverage_log",
        "spans",
        "holes",
        "fetches",
        "observations",
        "incidents",
        "quarantine",
        "quality",
    ):
        assert reader.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,), name
