"""Adjusted views against a model in fractions: random series, fetch days, splits, dividends, mixed bases."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from adjustment_model import PLACES, UNLEARNED, Bar, Series, Split, rounded, weekday
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import action, actions, batch, empties

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.schema.arrow import BARS

LENGTH, AFTER = 12, 6
PRICES = ("open", "high", "low", "close")
RATIOS = st.sampled_from([(2, 1), (3, 2), (4, 1), (7, 1), (20, 1), (1, 10), (1, 3), (103, 100), (21, 20)])
EXAMPLES = settings(max_examples=12, deadline=None)


@pytest.fixture(scope="module")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty lake to copy."""
    path = tmp_path_factory.mktemp("model") / "lake"
    Lake.create(path).close()
    return path


@st.composite
def series(draw: st.DrawFn, *, learned: bool = False) -> Series:
    """Up to twelve sessions, some of them missing, each fetched on its own day on one of two bases."""
    covered_from = draw(st.sampled_from([0, 0, 0, 3, 7]))
    sessions = draw(st.sets(st.integers(0, LENGTH - 1), min_size=1)) if covered_from == 0 else range(LENGTH)
    bars = tuple(
        Bar(
            session=session,
            price=Decimal(draw(st.integers(1, 9_999_999))).scaleb(-4),
            basis=draw(st.sampled_from(["raw", "split"])),
            fetched=draw(st.one_of(st.just(session), st.integers(session, LENGTH + AFTER - 2))),
        )
        for session in sorted(sessions)
    )
    days = draw(st.sets(st.integers(0, LENGTH + 1), max_size=4))
    splits = tuple(
        Split(at, *draw(RATIOS), learned=draw(st.sampled_from([0, at, at + 2, None])) if learned else 0)
        for at in sorted(days)
    )
    return Series("ACME", bars, splits, covered_from=covered_from)


def rows_of(one: Series, symbol: str) -> pa.Table:
    """The bars as stored; volume counts a thousand shares as traded, or is null where unadjusted."""
    found = []
    for bar in one.bars:
        price = one.stored(bar)
        found.append({
            "symbol": symbol, "session": weekday(bar.session),
            "ts": dt.datetime.combine(weekday(bar.session), dt.time(14, 30), dt.UTC),
            **dict.fromkeys(PRICES, price), "volume": None if bar.session % 3 == 0 else Decimal(1000),
            "trade_count": None, "vwap": float(price), "basis": bar.basis, "basis_asof": weekday(bar.fetched),
            "exact": True, "source": "yahoo" if bar.basis == "split" else "alpaca",
        })  # fmt: skip
    return pa.Table.from_pylist(found, schema=BARS)


def facts_of(one: Series, symbol: str) -> list[dict[str, object]]:
    """The corporate actions as stored."""
    found = []
    for s in one.facts:
        known_at = (
            UNLEARNED if s.learned is None else dt.datetime.combine(weekday(s.learned), dt.time(9), dt.UTC)
        )
        found.append(
            action(symbol, weekday(s.at), "split", ratio_to=s.to, ratio_from=s.per, known_at=known_at)
        )
    for at, amount in one.dividends.items():
        found.append(action(symbol, weekday(at), "dividend", amount=amount, currency="USD"))
    return found


@contextmanager
def stored(template: Path, *several: Series) -> Iterator[Lake]:
    """A lake that holds ``several`` series as symbols S0, S1 ..."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(template, Path(folder) / "lake"))
        with closing(Lake.open(path)) as lake:
            facts, quiet = [], []
            for number, one in enumerate(several):
                rows = facts_of(one, f"S{number}")
                facts += rows
                loud = {row["ex_date"] for row in rows}
                days = (weekday(n) for n in range(one.covered_from, LENGTH + AFTER))
                quiet += empties(Dataset.CORPORATE_ACTIONS, f"S{number}", [d for d in days if d not in loud])
            tables = [actions(*facts)] if facts else []
            lake.commit(batch(*tables, dataset=Dataset.CORPORATE_ACTIONS, coverage=quiet))
            bars = [rows_of(one, f"S{number}") for number, one in enumerate(several)]
            lake.commit(batch(*bars, dataset=Dataset.BARS_1D))
            yield lake


def judge(
    lake: Lake, view: str, several: tuple[Series, ...], price: Callable[[Series, Bar], Fraction | None],
    *, known_at: dt.datetime | None = None,
) -> None:  # fmt: skip
    """Every row of ``view`` is the model's price, to the last digit, and NULL exactly where it has none."""
    query = f"SELECT symbol, session, open, high, low, close, volume, exact, null_reason FROM {view}"
    with closing(lake.connect(known_at=known_at)) as reader:
        found = {tuple(row[:2]): row[2:] for row in reader.execute(query).fetchall()}
    for number, one in enumerate(several):
        for bar in one.bars:
            *shown, volume, exact, reason = found.pop((f"S{number}", weekday(bar.session)))
            expected = price(one, bar)
            assert (reason is None) == (expected is not None), (view, bar, one, reason)
            if expected is None:
                assert [*shown, volume] == [None] * 5
                continue
            assert set(shown) == {rounded(expected)}, (view, bar, one)
            assert not exact or Fraction(shown[0]) == expected
            assert (volume is None) == (bar.session % 3 == 0)
    assert found == {}


@EXAMPLES
@given(several=st.lists(series(), min_size=1, max_size=4).map(tuple))
def test_split_consistent_prices_equal_the_model(empty_lake: Path, several: tuple[Series, ...]) -> None:
    """``bars_1d`` and ``bars_1d_split``, from the stored prices on, whatever bases they mix."""
    with stored(empty_lake, *several) as lake:
        judge(lake, "bars_1d", several, Series.split_consistent)
        judge(lake, "bars_1d_split", several, Series.split_consistent)


@EXAMPLES
@given(several=st.lists(series(), min_size=1, max_size=4).map(tuple))
def test_prices_as_traded_equal_the_model(empty_lake: Path, several: tuple[Series, ...]) -> None:
    """``bars_1d_raw`` takes out what the vendors multiplied in."""
    with stored(empty_lake, *several) as lake:
        judge(lake, "bars_1d_raw", several, Series.as_traded)


@EXAMPLES
@given(
    several=st.lists(series(learned=True), min_size=1, max_size=4).map(tuple),
    known=st.integers(0, LENGTH + 4),
)
def test_prices_as_known_at_a_date_equal_the_model(
    empty_lake: Path, several: tuple[Series, ...], known: int
) -> None:
    """Facts count that were learned and effective by then; what was fetched later is brought back."""
    at = dt.datetime.combine(weekday(known), dt.time.max, dt.UTC)
    with stored(empty_lake, *several) as lake:
        judge(lake, "bars_1d", several, lambda one, bar: one.split_consistent(bar, known), known_at=at)


@EXAMPLES
@given(one=series())
def test_what_is_shown_is_what_was_traded(empty_lake: Path, one: Series) -> None:
    """Against the trades themselves: equal where nothing was rounded, else within a unit of the last place.

    A price the vendor had rounded before a consolidation carries that rounding times its ratio.
    """
    with stored(empty_lake, one) as lake, closing(lake.connect()) as reader:
        for view, upto in (("bars_1d", one.reference()), ("bars_1d_raw", None)):
            found = dict(
                reader.execute(f"SELECT session, close FROM {view} WHERE close IS NOT NULL").fetchall()
            )
            for bar in one.bars:
                if (shown := found.get(weekday(bar.session))) is None:
                    continue
                truth = Fraction(bar.price) * (one.between(one.splits, bar.session, upto) if upto else 1)
                since = one.boundary(bar)
                multiplied = one.between(one.splits, bar.session, since)
                carried = one.between(one.splits, since, upto) if upto else 1 / multiplied
                exact = Fraction(one.stored(bar)) == Fraction(bar.price) * multiplied
                slack = 0 if exact else carried / 2
                assert abs(Fraction(shown) - truth) * PLACES <= Fraction(1, 2) + slack, (view, bar)


@st.composite
def paying(draw: st.DrawFn) -> Series:
    """A full series with dividends well below its prices, fetched after everything happened."""
    whole = draw(series())
    bars = tuple(
        Bar(n, Decimal(draw(st.integers(500_000, 9_999_999))).scaleb(-4), basis, LENGTH + 3)
        for n in range(LENGTH)
        for basis in [draw(st.sampled_from(["raw", "split"]))]
    )
    splits = tuple(s for s in whole.splits if s.to <= 4 * s.per and s.at < LENGTH)[:1]
    days = draw(st.sets(st.integers(1, LENGTH - 1), max_size=4))
    dividends = {at: Decimal(draw(st.integers(1, 20_000))).scaleb(-4) for at in sorted(days)}
    return Series("ACME", bars, splits, dividends)


@EXAMPLES
@given(one=paying())
def test_total_prices_keep_their_error_bound(empty_lake: Path, one: Series) -> None:
    """Double factors: two units, and for each later dividend 2**-51 and 1e-9 of the price."""
    with stored(empty_lake, one) as lake, closing(lake.connect()) as reader:
        query = "SELECT session, close, exact, null_reason FROM bars_1d_total"
        found = {row[0]: row[1:] for row in reader.execute(query).fetchall()}
    for bar in one.bars:
        shown, exact, reason = found[weekday(bar.session)]
        assert reason is None
        truth = Fraction(bar.price) * one.between(one.splits, bar.session, one.reference())
        factor = one.dividend_factor(bar)
        later = sum(bar.session < at <= one.reference() for at in one.dividends)
        slack = later * (truth * Fraction(1, 2**51) + truth * Fraction(1, PLACES)) + Fraction(2, PLACES)
        assert abs(Fraction(shown) - truth * factor) <= slack, (bar, one)
        assert not exact or later == 0


def test_the_model_itself_halves_and_rounds() -> None:
    """The judge is judged: a 2:1 split, a tie, a reverse split; worked out by hand."""
    one = Series(
        "ACME", (Bar(0, Decimal("10.5"), "raw", 0), Bar(5, Decimal(5), "split", 5)), (Split(3, 2, 1),)
    )
    assert [one.split_consistent(bar) for bar in one.bars] == [Fraction(21, 4), Fraction(5)]
    assert [rounded(Fraction(n, 2 * PLACES)) for n in (1, 3)] == [Decimal(0), Decimal("2E-9")]
