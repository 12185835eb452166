"""Adjusted views where bases meet, facts are doubtful or late: cases by name, prices worked out by hand."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from lake_rows import action, actions, bars, batch, day, empties, fetch

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Lake

DAILY, ACTIONS = Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS
VENDOR = "stored with dividends adjusted"


def store(
    lake: Lake, *numbers: int, close: str = "100", basis: str = "raw", asof: dt.date | None = None
) -> None:
    """One bar on each of ``numbers``, fetched on ``asof`` or each on its own day."""
    for asked, sessions in ({asof: numbers} if asof else {day(n): [n] for n in numbers}).items():
        table = bars("ACME", [day(n) for n in sessions], per=1, close=close, basis=basis, asof=asked)
        lake.commit(batch(table, dataset=DAILY))


def know(lake: Lake, numbers: range, *rows: dict[str, object]) -> None:
    """Facts, and the coverage of all sessions ``numbers``."""
    loud = {row["ex_date"] for row in rows}
    quiet = empties(ACTIONS, "ACME", [day(n) for n in numbers if day(n) not in loud])
    lake.commit(batch(*([actions(*rows)] if rows else []), dataset=ACTIONS, coverage=quiet))


def split(number: int, to: int, of: int = 1, **more: object) -> dict[str, object]:
    """A split ``to``:``of`` effective on ``day(number)``."""
    return action("ACME", day(number), "split", ratio_to=to, ratio_from=of, **more)


def paid(number: int, amount: str, **more: object) -> dict[str, object]:
    """A dividend on ``day(number)``."""
    return action("ACME", day(number), "dividend", amount=Decimal(amount), currency="USD", **more)


def read(lake: Lake, view: str, column: str = "close", at: dt.datetime | None = None) -> list[object]:
    """One column in order of the sessions."""
    with closing(lake.connect(known_at=at)) as reader:
        return [row[0] for row in reader.execute(f"SELECT {column} FROM {view} ORDER BY session").fetchall()]


def test_a_price_fetched_on_the_day_of_a_split_is_not_shown(lake: Lake) -> None:
    """Before the open the vendor may not have divided yet: 400 or 100, nobody can tell."""
    store(lake, 0, 1, close="400", basis="split", asof=day(5))
    store(lake, 6, basis="split", asof=day(6))
    know(lake, range(8), split(5, 4))
    for view in ("bars_1d", "bars_1d_raw", "bars_1d_total"):
        assert read(lake, view)[:2] == [None, None]
        assert read(lake, view, "null_reason")[0] == f"fetched on the day of a corporate action, {day(5)}"
    assert read(lake, "bars_1d")[2] == Decimal(100)


def test_that_days_own_bar_shows_that_it_was_over(lake: Lake) -> None:
    """Fetched together with the first close after the split, which the vendor then knew."""
    store(lake, 0, 1, 5, basis="split", asof=day(5))
    know(lake, range(8), split(5, 4))
    assert read(lake, "bars_1d") == [Decimal(100)] * 3
    assert read(lake, "bars_1d_raw") == [Decimal(400)] * 2 + [Decimal(100)]


def test_splits_on_the_first_and_the_last_day(lake: Lake) -> None:
    """The first day's own price is already divided; the last day's divides all before it."""
    store(lake, *range(5))
    know(lake, range(5), split(0, 2), split(4, 4))
    assert read(lake, "bars_1d") == [Decimal(25)] * 4 + [Decimal(100)]


def test_three_bases_of_one_price(lake: Lake) -> None:
    """Raw, split-adjusted before and after, and adjusted for a dividend that comes later: one series."""
    store(lake, 0, close="400")
    store(lake, 1, close="400", basis="split", asof=day(1))
    store(lake, 2, close="100", basis="split", asof=day(9))
    store(lake, 3, close="400", basis="split+dividend", asof=day(4))
    store(lake, 7, 9, close="100")
    know(lake, range(10), split(6, 4), paid(8, "1"))
    assert read(lake, "bars_1d") == [Decimal(100)] * 6
    assert read(lake, "bars_1d_raw") == [Decimal(400)] * 4 + [Decimal(100)] * 2
    assert read(lake, "bars_1d_total") == [Decimal(99)] * 5 + [Decimal(100)]


def test_a_dividend_inside_a_price_stays_there(lake: Lake) -> None:
    """What the vendor took out cannot be put back, but the total view wants it out anyway."""
    store(lake, 0, 1, close="98", basis="split+dividend", asof=day(9))
    store(lake, 2, 8, 9, close="100", basis="split+dividend", asof=day(9))
    know(lake, range(10), paid(2, "2"))
    assert read(lake, "bars_1d") == [None, None, Decimal(100), Decimal(100), Decimal(100)]
    assert read(lake, "bars_1d_raw", "null_reason") == [VENDOR, VENDOR, None, None, None]
    assert read(lake, "bars_1d_total") == [Decimal(98)] * 2 + [Decimal(100)] * 3


def test_two_downloads_of_a_rewritten_history_read_as_one_series(lake: Lake) -> None:
    """An old download does not know the newer dividend; the total view takes it out of that part only."""
    store(lake, 0, 1, 4, close="100", basis="split+dividend", asof=day(4))
    store(lake, 6, 9, close="100", basis="split+dividend", asof=day(9))
    know(lake, range(10), paid(5, "2"))
    assert read(lake, "bars_1d_total") == [Decimal(98)] * 3 + [Decimal(100)] * 2


def test_a_dividend_above_the_close_is_no_factor(lake: Lake) -> None:
    """A liquidation pays more than the last price: nothing negative is shown."""
    store(lake, *range(4))
    know(lake, range(4), paid(2, "150"))
    assert read(lake, "bars_1d_total") == [None, None, Decimal(100), Decimal(100)]
    assert "not above it" in str(read(lake, "bars_1d_total", "null_reason")[0])


def test_the_close_before_a_dividend_must_be_that_of_the_session_before(lake: Lake) -> None:
    """An older close would do as a guess; a halt, where there was none, is no guess."""
    store(lake, 0, 1, 4)
    know(lake, range(5), paid(4, "2"))
    assert read(lake, "bars_1d_total") == [None, None, Decimal(100)]
    halted = empties(DAILY, "ACME", [day(2), day(3)])
    lake.commit(batch(dataset=DAILY, coverage=halted))
    assert read(lake, "bars_1d_total") == [Decimal(98), Decimal(98), Decimal(100)]


def test_a_session_whose_bar_failed_counts_as_uncovered(lake: Lake) -> None:
    """Its line in the ledger says that it was a session: a split may have been on it."""
    store(lake, 0, 1, 3, 4)
    know(lake, range(2))
    know(lake, range(3, 5))
    assert read(lake, "bars_1d") == [Decimal(100)] * 4  # nothing tells of the session between
    lake.commit(batch(dataset=DAILY, coverage=empties(DAILY, "ACME", [day(2)])))
    assert read(lake, "bars_1d") == [None, None, Decimal(100), Decimal(100)]


@pytest.mark.parametrize(("end", "covered"), [(13, True), (12, False)])
def test_a_long_closure_is_one_where_one_request_spans_it(lake: Lake, end: int, covered: bool) -> None:
    """A week without a session, as in September 2001, inside or at the edge of what was asked for."""
    store(lake, 4, 13)
    know(lake, range(5))
    know(lake, range(13, 15))
    named = (Symbol("OTHER"), Symbol("ACME"))
    asked = replace(fetch(1), dataset=DAILY, symbols=named, start=day(4), end=day(end))
    lake.commit(CommitBatch("asked", 1, {}, [], attempts=[asked]))
    assert read(lake, "bars_1d") == [Decimal(100) if covered else None, Decimal(100)]


def test_decades_of_stock_dividends_do_not_overflow(lake: Lake) -> None:
    """Thirty-eight times 103 for 100, as a maker of sweets did: near enough, and said to be inexact."""
    store(lake, *range(42))
    know(lake, range(42), *(split(n, 103, 100) for n in range(1, 39)))
    shown = read(lake, "bars_1d")
    truth = 100 / Fraction(103, 100) ** 38
    assert abs(Fraction(str(shown[0])) - truth) < Fraction(1, 10**9)
    assert read(lake, "bars_1d", "exact")[0] is False
    assert shown[-1] == Decimal(100)


def test_a_missing_volume_stays_missing(lake: Lake) -> None:
    """A vendor that leaves volumes unadjusted delivers none; prices do not suffer."""
    table = bars("ACME", [day(0), day(1)], per=1, close="400")
    rows = [row | {"volume": None} for row in table.to_pylist()]
    lake.commit(batch(pa.Table.from_pylist(rows, schema=table.schema), dataset=DAILY))
    know(lake, range(2), split(1, 4))
    assert read(lake, "bars_1d") == [Decimal(100), Decimal(400)]
    for view in ("bars_1d", "bars_1d_raw", "bars_1d_total"):
        assert read(lake, view, "volume") == [None, None]
        assert read(lake, view, "exact")[0] is True


def test_a_rounded_volume_is_not_exact(lake: Lake) -> None:
    """1200.5 shares before 1:7 are 171.5 after it; before 1:3 no decimal says it."""
    store(lake, 0, 1)
    know(lake, range(2), split(1, 1, 7))
    assert (read(lake, "bars_1d", "volume")[0], read(lake, "bars_1d", "exact")[0]) == (Decimal("171.5"), True)
    other = bars("THRD", [day(0), day(1)], per=1)
    lake.commit(batch(other, dataset=DAILY))
    lake.commit(batch(actions(split(1, 1, 3) | {"symbol": "THRD"}), dataset=ACTIONS))
    lake.commit(batch(dataset=ACTIONS, coverage=empties(ACTIONS, "THRD", [day(0)])))
    with closing(lake.connect()) as reader:
        query = "SELECT volume, exact FROM bars_1d WHERE symbol = 'THRD' ORDER BY session LIMIT 1"
        assert reader.execute(query).fetchone() == (Decimal("400.16666667"), False)


def test_known_at_is_the_archives_knowledge(lake: Lake) -> None:
    """Before the facts were covered nothing can be said; before the split was learned it does not count."""
    before = now()
    store(lake, *range(4), close="400")
    know(lake, range(4))
    quiet = now()
    key = split(2, 4, known_at=now())
    line = batch(actions(key), dataset=ACTIONS)
    lake.commit(line)
    learned = now()
    assert read(lake, "bars_1d", at=before) == [None, None, None, Decimal(400)]
    assert "as known at" in str(read(lake, "bars_1d", "null_reason", at=before)[0])
    assert read(lake, "bars_1d", at=quiet) == [Decimal(400)] * 4
    assert (
        read(lake, "bars_1d", at=learned) == read(lake, "bars_1d") == [Decimal(100)] * 2 + [Decimal(400)] * 2
    )


def test_sessions_after_the_date_are_not_shown(lake: Lake) -> None:
    """Their prices lie in the future of who asks; as traded they are what they are."""
    store(lake, *range(4))
    know(lake, range(4))
    at = dt.datetime.combine(day(2), dt.time.max, dt.UTC)
    assert read(lake, "bars_1d", "null_reason", at=at)[3] == f"the session lies after {day(2)}"
    assert read(lake, "bars_1d_total", at=at)[3] is None
    assert read(lake, "bars_1d_raw", at=at) == [Decimal(100)] * 4
