"""Two decades of real closes, splits and dividends: the views against LEAN's factor files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from lake_rows import action, actions, batch, empties, fetch

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.schema.arrow import BARS
from tests.providers import lean


def rows_of(symbol: str, days: dict[dt.date, lean.Day]) -> pa.Table:
    """LEAN's days as raw bars."""
    rows = []
    for session, day in days.items():
        prices = {name: getattr(day, name) for name in ("open", "high", "low", "close")}
        opened = dt.datetime.combine(session, dt.time(14, 30), dt.UTC)
        fixed = {"trade_count": None, "vwap": None, "basis": "raw", "exact": True, "source": "lean"}
        own = {"symbol": symbol, "session": session, "ts": opened, "volume": Decimal(day.volume)}
        rows.append({**own, **prices, **fixed, "basis_asof": session})
    return pa.Table.from_pylist(rows, schema=BARS)


def facts_of(
    symbol: str, lines: list[lean.Factor], days: dict[dt.date, lean.Day]
) -> Iterator[dict[str, object]]:
    """The splits and dividends between two lines: effective on the first session after the older one.

    A dividend is what the older line's price factor lost of the close before it (the file's own reference
    close is not always that of its daily file).
    """
    sessions = sorted(days)
    for older, newer in pairwise(lines):
        after = [session for session in sessions if session > older.last]
        if not after or older.last < sessions[0]:
            continue
        before = days[max(session for session in sessions if session <= older.last)]
        ratio = lean.split_ratio(lines, older.last) / lean.split_ratio(lines, newer.last)
        if ratio != 1:
            yield action(symbol, after[0], "split", ratio_to=ratio.numerator, ratio_from=ratio.denominator)
        if older.price != newer.price:
            amount = (before.close * (1 - older.price / newer.price)).quantize(Decimal("1e-9"))
            yield action(symbol, after[0], "dividend", amount=amount, currency="USD")


@pytest.mark.parametrize("symbol", lean.SYMBOLS)
def test_adjusted_closes_equal_raw_times_factors(payloads: Path, lake: Lake, symbol: str) -> None:
    """Every close of two decades: split-adjusted to the last digit, dividends to a millionth."""
    days = dict(lean.daily(payloads, symbol))
    if not days:
        pytest.skip("LEAN's daily files are not at hand")
    lines, sessions = lean.factors(payloads, symbol), sorted(days)
    facts = list(facts_of(symbol, lines, days))
    loud = {fact["ex_date"] for fact in facts}
    quiet = empties(Dataset.CORPORATE_ACTIONS, symbol, [s for s in sessions if s not in loud])
    asked = replace(
        fetch(1), dataset=Dataset.BARS_1D, symbols=(Symbol(symbol),), start=sessions[0], end=sessions[-1]
    )  # one request: so the closure of September 2001 is no hole
    lake.commit(replace(batch(rows_of(symbol, days), dataset=Dataset.BARS_1D), attempts=[asked]))
    lake.commit(batch(actions(*facts), dataset=Dataset.CORPORATE_ACTIONS, coverage=quiet))
    with closing(lake.connect()) as reader:
        reasons = reader.execute("SELECT DISTINCT null_reason FROM bars_1d_total").fetchall()
        assert reasons == [(None,)]
        split, total = (
            dict(reader.execute(f"SELECT session, close FROM {view}").fetchall())
            for view in ("bars_1d", "bars_1d_total")
        )
    # Factors of a file beyond the last day are not in the series: its newest close is as traded.
    newest = lean.factor_at(lines, sessions[-1]).price
    assert len(split) == len(total) == len(sessions) > 5_000
    for session in sessions:
        ratio = lean.split_ratio(lines, session) / lean.split_ratio(lines, sessions[-1])
        exact = Fraction(days[session].close) / ratio
        assert Fraction(split[session]) == Fraction(round(exact * 10**9), 10**9), session
        factor = Fraction(lean.factor_at(lines, session).price) / Fraction(newest)
        assert abs(Fraction(total[session]) / (exact * factor) - 1) < Fraction(1, 500_000), session
