"""Building the canonical tables of corporate actions and instruments from parsed facts.

A ratio is two integers, found exactly from the vendor's numbers (1.5 is 3:2). Several payments of
one kind on one ex-date are one row with their sum: what the price loses that morning. Facts
outside the request's sessions are dropped and counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.spec import Dialect, Rejected
from mdc_resources.schema.arrow import CORPORATE_ACTIONS, INSTRUMENTS, PRICE

_LARGEST_TERM = 10**6  # of a ratio; anything finer is no split anyone announced


@dataclass(frozen=True, slots=True)
class Action:
    """One corporate action as a vendor states it."""

    symbol: Symbol
    kind: ActionKind
    ex_date: dt.date
    ratio: Fraction | None = None
    amount: Decimal | None = None
    currency: str | None = None
    successor: str | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class AssembledActions:
    """Canonical rows, and what became of the others."""

    table: pa.Table
    rejected: tuple[Rejected, ...]
    dropped: int
    rounded: int


def assemble_actions(
    actions: Iterable[Action], *, request: FetchRequest, dialect: Dialect, basis: Basis, known_at: dt.datetime
) -> AssembledActions:
    """Canonical rows of ``actions`` whose ex-date belongs to a session of ``request``."""
    sessions = dialect.calendar.sessions(request.start, request.end)
    grouped: dict[tuple[str, dt.date, str], list[Action]] = {}
    dropped = 0
    for action in dict.fromkeys(actions):
        if sessions and sessions[0] <= action.ex_date <= request.end and action.ex_date <= sessions[-1]:
            grouped.setdefault((action.symbol, action.ex_date, action.kind), []).append(action)
        else:
            dropped += 1
    rows: list[dict[str, object]] = []
    rejected: list[Rejected] = []
    rounded = 0
    for (_, ex_date, _), several in sorted(grouped.items()):
        session = next(date for date in sessions if date >= ex_date)
        try:
            action = _as_one(several)
        except ValueError as error:
            rejected.append(Rejected(several[0].symbol, session, str(error), repr(several)))
            continue
        rounded += not action.exact
        rows.append(
            {
                "symbol": action.symbol,
                "session": session,
                "kind": action.kind.value,
                "ex_date": ex_date,
                "ratio_to": action.ratio.numerator if action.ratio else None,
                "ratio_from": action.ratio.denominator if action.ratio else None,
                "amount": action.amount,
                "currency": action.currency,
                "successor": action.successor,
                "basis": basis.value,
                "known_at": known_at,
                "exact": action.exact,
                "source": dialect.source,
            }
        )
    table = pa.Table.from_pylist(rows, schema=CORPORATE_ACTIONS)
    return AssembledActions(table, tuple(rejected), dropped, rounded)


def read_ratio(to: str, per: str) -> Fraction:
    """``to``:``per`` in lowest terms, from decimal text; ValueError if it is no ratio of a split."""
    parts = []
    for text in (to, per):
        value, _ = read_one(text, PRICE)
        parts.append(Fraction(value))
    if min(parts) <= 0:
        raise ValueError(f"{to}:{per} is not a ratio")
    ratio = parts[0] / parts[1]
    if max(ratio.numerator, ratio.denominator) > _LARGEST_TERM:
        raise ValueError(f"{to}:{per} is not a ratio of two small integers")
    return ratio


def instrument_row(
    symbol: Symbol, *, request: FetchRequest, dialect: Dialect, facts: dict[str, object]
) -> pa.Table:
    """One row of ``facts`` under the last session asked for; empty where the range has none.

    Vendors describe an instrument as it is at the fetch, whatever range was asked.
    """
    sessions = dialect.calendar.sessions(request.start, request.end)
    row = {**facts, "symbol": symbol, "session": sessions[-1] if sessions else None, "source": dialect.source}
    return pa.Table.from_pylist([row] if sessions else [], schema=INSTRUMENTS)


def _as_one(several: list[Action]) -> Action:
    first = several[0]
    if len(several) == 1:
        return first
    if first.kind is ActionKind.DIVIDEND and len({action.currency for action in several}) == 1:
        amount = sum((action.amount or Decimal(0) for action in several), Decimal(0))
        return replace(first, amount=amount, exact=all(action.exact for action in several))
    raise ValueError(f"{len(several)} different facts of kind {first.kind} on {first.ex_date}")
