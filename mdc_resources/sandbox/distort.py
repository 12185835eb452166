"""Faults on rows: what a page of good bars looks like when a vendor gets it wrong.

Pure functions from a page to a page; which rows are hit is chosen by the rule's seeded chance.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from copy import copy
from decimal import Decimal
from typing import Any

from mdc_resources.sandbox.answers import Page, Row
from mdc_resources.sandbox.faults import Rule

_PRICES = ("open", "high", "low", "close", "adjusted_close")
_CENT = Decimal("0.01")
_AWAY = dt.timedelta(days=35)


def distort(page: Page, rule: Rule) -> Page:
    """``page`` with the fault of ``rule``; unchanged where the kind is none of rows."""
    rows = [copy(row) for row in page.rows]
    chosen = _chosen(rows, rule.params.get("rows", 0), rule.chance)
    if rule.kind in _EACH:
        for i in chosen:
            _EACH[rule.kind](rows[i], page.null, rule.params)
    elif rule.kind in _WHOLE:
        rows = _WHOLE[rule.kind](rows, chosen, rule)
    elif rule.kind == "wrong_symbol":
        return page.but(label=rule.params["symbol"])
    elif rule.kind == "extra_field":
        return page.but(extra=True)
    elif rule.kind == "token_loop":
        return page.but(loop=True)
    return page.but(rows=rows)


def _chosen(rows: list[Row], count: int, chance: random.Random) -> list[int]:
    return sorted(chance.sample(range(len(rows)), min(count, len(rows))))


def _null(row: Row, null: str, _: dict[str, Any]) -> None:
    row.volume = null
    for name in _PRICES:
        if getattr(row, name):
            setattr(row, name, null)


def _swap(row: Row, _null: str, _: dict[str, Any]) -> None:
    top, bottom = _number(row.high), _number(row.low)
    if top is None or bottom is None:
        return
    row.high, row.low = (row.low, row.high) if top != bottom else (str(bottom - _CENT), row.low)


def _nan(row: Row, _null: str, params: dict[str, Any]) -> None:
    row.close = params["text"]


def _negative(row: Row, _null: str, _: dict[str, Any]) -> None:
    row.volume = f"-{row.volume}" if row.volume not in ("", "0", "null") else "-1"


def _twice(rows: list[Row], chosen: list[int], rule: Rule) -> list[Row]:
    found = []
    for i, row in enumerate(rows):
        found.append(row)
        if i in chosen:
            other = copy(row)
            if rule.kind == "conflicting_duplicates":
                other.close = row.low if row.close != row.low else row.high
            found.append(other)
    return found


def _elsewhere(rows: list[Row], chosen: list[int], _: Rule) -> list[Row]:
    """Copies of the chosen rows, shifted to before everything that was asked for."""
    strays = []
    for i in chosen:
        stray = copy(rows[i])
        stray.session = rows[0].session - _AWAY - dt.timedelta(days=i)
        stray.start = rows[0].start - int(_AWAY.total_seconds()) - 86_400 * i
        strays.append(stray)
    return [*sorted(strays, key=lambda row: row.start), *rows]


def _shuffle(rows: list[Row], _: list[int], rule: Rule) -> list[Row]:
    before = list(rows)
    rule.chance.shuffle(rows)
    return rows if rows != before else rows[::-1]


def _restate(rows: list[Row], _: list[int], rule: Rule) -> list[Row]:
    factor = Decimal(rule.params["factor"])
    for row in rows:
        for name in _PRICES:
            value = _number(getattr(row, name))
            if value is not None:
                setattr(row, name, format((value * factor).quantize(Decimal("0.0001")).normalize(), "f"))
    return rows


def _drop(rows: list[Row], chosen: list[int], _: Rule) -> list[Row]:
    return [row for i, row in enumerate(rows) if i not in chosen]


def _number(text: str) -> Decimal | None:
    return Decimal(text) if text and text != "null" else None


_EACH: dict[str, Callable[[Row, str, dict[str, Any]], None]] = {
    "null_rows": _null,
    "high_lt_low": _swap,
    "nan": _nan,
    "negative_volume": _negative,
}
_WHOLE: dict[str, Callable[[list[Row], list[int], Rule], list[Row]]] = {
    "duplicates": _twice,
    "conflicting_duplicates": _twice,
    "outside_range": _elsewhere,
    "unsorted": _shuffle,
    "restated": _restate,
    "missing_rows": _drop,
}
