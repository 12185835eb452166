"""What stands between a stored daily bar and the adjusted views: splits, dividends and their factors.

The prices come from the views themselves; the factors of splits are worked out here from the same
facts, as fractions, so that a person can check one against the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from mdc_resources.domain.datasets import Basis
from mdc_resources.domain.symbols import Symbol

if TYPE_CHECKING:
    import duckdb

VIEWS = ("bars_1d", "bars_1d_raw", "bars_1d_total")
_PRICES = ("open", "high", "low", "close", "volume")
_ACTIONS = """
    SELECT DISTINCT kind, ex_date, ratio_to, ratio_from, amount, currency, successor, basis, source
    FROM corporate_actions WHERE symbol = ? AND ex_date >= ? ORDER BY ex_date, kind, source"""


@dataclass(frozen=True, slots=True)
class Action:
    """A split, dividend, rename or delisting on or after the session.

    ``in_price``: the stored price is on a basis that knows it, so no view applies it again.
    """

    kind: str
    ex_date: dt.date
    ratio: str
    amount: Decimal | None
    currency: str | None
    successor: str | None
    basis: str
    source: str
    in_price: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The bar as one view shows it. ``factor`` multiplies the stored prices, as a fraction or a number.

    Prices are None where a needed fact is not covered; ``null_reason`` says which.
    """

    view: str
    basis: str
    basis_asof: dt.date | None
    prices: Mapping[str, Decimal | None]
    factor: str
    exact: bool
    null_reason: str


@dataclass(frozen=True, slots=True)
class Adjustments:
    """``actions`` oldest first; ``readings`` in the order of :data:`VIEWS`, none without a stored bar."""

    actions: tuple[Action, ...]
    readings: tuple[Reading, ...]


def adjustments_of(
    connection: duckdb.DuckDBPyConnection,
    symbol: Symbol,
    session: dt.date,
    *,
    stored: Mapping[str, object] | None,
) -> Adjustments:
    """What touches the bar of ``symbol`` on ``session``; ``stored`` is its row, if there is one."""
    basis, boundary = "", session
    if stored is not None:
        basis, asof = str(stored["basis"]), stored["basis_asof"]
        boundary = session if basis == Basis.RAW or not isinstance(asof, dt.date) else max(asof, session)
    found = connection.execute(_ACTIONS, [symbol, session]).fetchall()
    actions = tuple(_action(row, basis=basis, session=session, boundary=boundary) for row in found)
    if stored is None:
        return Adjustments(actions, ())
    return Adjustments(actions, tuple(_readings(connection, symbol, session, boundary, actions)))


def _action(row: Sequence[object], *, basis: str, session: dt.date, boundary: dt.date) -> Action:
    kind, ex_date, to, of, amount, currency, successor, meant, source = row
    assert isinstance(ex_date, dt.date)
    known = {"split": (Basis.SPLIT, Basis.TOTAL), "dividend": (Basis.TOTAL,)}.get(str(kind), ())
    return Action(
        kind=str(kind),
        ex_date=ex_date,
        ratio=f"{to}:{of}" if to is not None else "",
        amount=amount if isinstance(amount, Decimal) else None,
        currency=str(currency) if currency is not None else None,
        successor=str(successor) if successor is not None else None,
        basis=str(meant),
        source=str(source),
        in_price=session < ex_date <= boundary and basis in known,
    )


def _readings(
    connection: duckdb.DuckDBPyConnection,
    symbol: Symbol,
    session: dt.date,
    boundary: dt.date,
    actions: Sequence[Action],
) -> list[Reading]:
    splits = {(a.ex_date, a.ratio) for a in actions if a.kind == "split"}
    later = _product(ratio for ex_date, ratio in splits if ex_date > boundary)
    undone = 1 / _product(ratio for ex_date, ratio in splits if session < ex_date <= boundary)
    factors = {"bars_1d": str(later), "bars_1d_raw": str(undone)}
    found: list[Reading] = []
    for view in VIEWS:
        columns = ", ".join((*_PRICES, "basis", "basis_asof", "exact", "null_reason"))
        query = f"SELECT {columns} FROM {view} WHERE symbol = ? AND session = ?"  # noqa: S608 - constants
        row = connection.execute(query, [symbol, session]).fetchone()
        if row is None:
            continue
        *numbers, basis, asof, exact, reason = row
        prices = dict(zip(_PRICES, numbers, strict=True))
        found.append(
            Reading(
                view=view,
                basis=basis,
                basis_asof=asof,
                prices=prices,
                factor=factors.get(view) or _ratio(prices, found, later),
                exact=bool(exact),
                null_reason=reason or "",
            )
        )
    return found


def _product(ratios: Iterable[str]) -> Fraction:
    """What a price before all of these splits is multiplied by: ``10:1`` gives 1/10."""
    product = Fraction(1)
    for ratio in ratios:
        to, of = ratio.split(":")
        if int(to) > 0 and int(of) > 0:
            product *= Fraction(int(of), int(to))
    return product


def _ratio(prices: Mapping[str, Decimal | None], before: Sequence[Reading], splits: Fraction) -> str:
    """Splits and dividends together; the part of the dividends is a statistic, so it is read off the view."""
    close = prices["close"]
    split = before[0].prices["close"] if before else None
    if close is None or not split:
        return ""
    return f"{float(splits) * float(close / split):.9g}"
