"""What the lake's own rows say about listings: renames, delistings, first trades, and bars that disagree.

Facts only; :mod:`mdc_resources.coverage.listings` decides what to make of them.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake.catalog import ALIAS

if TYPE_CHECKING:
    from mdc_resources.lake.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Change:
    """``symbol`` was renamed to ``successor``, or delisted (None), as of ``ex_date``."""

    symbol: Symbol
    kind: ActionKind
    ex_date: dt.date
    successor: Symbol | None


@dataclass(frozen=True, slots=True)
class ListingFacts:
    """``changes`` by date; ``first_trade`` is the earliest any source tells.

    ``bars`` has the first and the last session with stored bars of the symbols whose end, or late
    start, somebody tells.
    """

    changes: tuple[Change, ...] = ()
    first_trade: dict[Symbol, dt.date] = field(default_factory=dict)
    bars: dict[Symbol, tuple[dt.date, dt.date]] = field(default_factory=dict)


def listing_facts(catalog: Catalog, symbols: Sequence[Symbol] | None, *, since: dt.date) -> ListingFacts:
    """Facts about ``symbols`` (all if None), either side of a rename included.

    First trades up to ``since`` change nothing that is expected, so nobody asks the bars about them:
    that would read the whole ledger for every old company.
    """
    one = "symbol IN (SELECT unnest(?::VARCHAR[]))"
    names = [] if symbols is None else [list(symbols)]
    either = f" AND ({one} OR successor IN (SELECT unnest(?::VARCHAR[])))" if names else ""
    rows = catalog.query(
        f"SELECT DISTINCT symbol, kind, ex_date, successor FROM {ALIAS}.corporate_actions"
        f" WHERE kind IN (?, ?){either} ORDER BY ex_date, symbol, kind, successor",
        [ActionKind.RENAME.value, ActionKind.DELISTING.value, *names, *names],
    ).to_pylist()
    changes = tuple(
        Change(
            Symbol(row["symbol"]),
            ActionKind(row["kind"]),
            row["ex_date"],
            Symbol(row["successor"]) if row["successor"] else None,
        )
        for row in rows
    )
    traded = catalog.query(
        f"SELECT symbol, min(first_trade) AS first FROM {ALIAS}.instruments"
        f" WHERE first_trade IS NOT NULL{f' AND {one}' if names else ''} GROUP BY symbol",
        names,
    ).to_pylist()
    first_trade = {Symbol(row["symbol"]): row["first"] for row in traded}
    late = {symbol for symbol, first in first_trade.items() if first > since}
    told = sorted({change.symbol for change in changes} | late)
    return ListingFacts(changes, first_trade, _bars(catalog, told) if told else {})


def _bars(catalog: Catalog, symbols: Sequence[Symbol]) -> dict[Symbol, tuple[dt.date, dt.date]]:
    rows = catalog.query(
        f"SELECT symbol, min(session) AS first, max(session) AS last FROM {ALIAS}.coverage"
        " WHERE dataset IN ('bars_1d', 'bars_1m') AND state = 'present'"
        " AND symbol IN (SELECT unnest(?::VARCHAR[])) GROUP BY symbol",
        [list(symbols)],
    ).to_pylist()
    return {Symbol(row["symbol"]): (row["first"], row["last"]) for row in rows}
