"""Tiingo's bodies: a list of days, a list of minutes, or one ticker.

A day is ``{date, open, high, low, close, volume, adj..., divCash, splitFactor}``. It is read twice: as
a bar, and as what happened on its date. Facts come along with bars only where every session that was
asked for has a row, since those without one say nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_instant, parse_session
from mdc_resources.providers.decoding.actions import Action, assemble_actions, instrument_row
from mdc_resources.providers.decoding.bars import PRICES, BarColumns, assemble
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText, load_exact
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.decoding.sessions import NO_DAY, date_of, day_of
from mdc_resources.providers.decoding.split_factors import read_factor
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE, SIZE

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T00:00:00(?:\.0+)?(?:Z|\+00:00))?", re.ASCII)
Keys = tuple[tuple[Symbol, dt.date], ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the days tell besides bars; ``silent`` are sessions asked for without a row."""

    actions: Sequence[Action]
    wrong: tuple[Rejected, ...]
    silent: tuple[dt.date, ...]


def days(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    """Daily bars with their facts, or the facts alone."""
    rows = _list(response)
    dates = _dates(rows)
    facts = _facts_of(rows, dates, request, dialect)
    told = assemble_actions(
        facts.actions, request=request, dialect=dialect, basis=Basis.RAW, known_at=response.received_at
    )
    wrong = (*told.rejected, *facts.wrong)
    if request.dataset is Dataset.CORPORATE_ACTIONS:
        return Page(
            tables={Dataset.CORPORATE_ACTIONS: told.table},
            rejected=wrong,
            dropped=told.dropped,
            rounded=told.rounded,
            incomplete=_keys(request, facts.silent),
        )
    bars = _bars(_columns(rows, request, days=np.array(dates, np.int32)), response, request, dialect)
    calendar = dialect.calendar
    late = [day for day in facts.silent if calendar.window(day)[1] > response.received_at]
    page = replace(bars, incomplete=tuple(dict.fromkeys((*bars.incomplete, *_keys(request, late)))))
    if wrong or facts.silent:
        why = wrong[0].reason if wrong else f"{len(facts.silent)} sessions have no row"
        return replace(page, warnings=(f"facts of {request.symbols[0]} left out: {why}",))
    return replace(
        page,
        tables={**page.tables, Dataset.CORPORATE_ACTIONS: told.table},
        rounded=page.rounded + told.rounded,
    )


def minutes(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    """Minutes of IEX by the instant of their start."""
    rows = _list(response)
    instants = np.zeros(len(rows), np.int64)
    for row, cell in enumerate(rows.column("date")):
        try:
            at = parse_instant(_text(cell) or "")
            instants[row] = int(at.timestamp()) * 1_000_000 + at.microsecond
        except (UsageError, OverflowError) as error:
            rows.errors.setdefault(row, str(error))
    return _bars(_columns(rows, request, instants=instants), response, request, dialect)


def instrument(response: HttpResponse, ticker: str, *, request: FetchRequest, dialect: Dialect) -> Page:
    """What the ticker is; PayloadError where it is another one. The vendor tells no currency."""
    facts = load_exact(response.body, provider="tiingo")
    if not isinstance(facts, dict) or (_text(facts.get("ticker")) or "").upper() != ticker:
        raise PayloadError(f"tiingo described something else when asked for {ticker}", provider="tiingo")
    try:
        first = parse_session(_text(facts.get("startDate")) or "")
    except UsageError:
        first = None
    row: dict[str, object] = {
        "name": _text(facts.get("name")),
        "venue": _text(facts.get("exchangeCode")),
        "first_trade": first,
    }
    symbol = request.symbols[0]
    table = instrument_row(symbol, request=request, dialect=dialect, facts=row)
    return Page(tables={Dataset.INSTRUMENTS: table})


def _list(response: HttpResponse) -> JsonRows:
    document = load_exact(response.body, provider="tiingo")
    if not isinstance(document, list):
        raise PayloadError("tiingo sent no list of prices", provider="tiingo")
    return JsonRows(document)


def _bars(columns: BarColumns, response: HttpResponse, request: FetchRequest, dialect: Dialect) -> Page:
    """The page of bars. A row whose date cannot be read leaves every absent session open."""
    found = finished(
        assemble(columns, request=request, dialect=dialect),
        request=request,
        dialect=dialect,
        received_at=response.received_at,
    )
    open_ = found.incomplete
    if any(row.session is None for row in found.bars.rejected):
        held = set(found.bars.table["session"].to_pylist())
        asked = dialect.calendar.sessions(request.start, request.end)
        open_ += _keys(request, [session for session in asked if session not in held])
    return Page(
        tables={request.dataset: found.bars.table},
        rejected=found.bars.rejected,
        incomplete=tuple(dict.fromkeys(open_)),
        dropped=found.bars.dropped,
        rounded=found.bars.rounded,
    )


def _columns(rows: JsonRows, request: FetchRequest, **when: npt.NDArray[Any]) -> BarColumns:
    kinds = {**dict.fromkeys(PRICES, PRICE), "volume": SIZE}
    numbers = {name: rows.decimals(name, kind, quoted=False) for name, kind in kinds.items()}
    return BarColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        numbers=numbers,
        raw=rows.raw,
        errors=rows.errors,
        **when,
    )


def _dates(rows: JsonRows) -> list[int]:
    """Days since 1970; a date with a time of day is an error of its row."""
    found: list[int] = []
    for row, cell in enumerate(rows.column("date")):
        match = _DATE.fullmatch(_text(cell) or "")
        try:
            found.append(day_of(parse_session(match[1] if match else "")))
        except UsageError:
            rows.errors.setdefault(row, f"date: {str(cell)[:40]!a} is not a date")
            found.append(NO_DAY)
    return found


def _facts_of(rows: JsonRows, dates: Sequence[int], request: FetchRequest, dialect: Dialect) -> _Facts:
    """Splits and dividends by date. Rows of one date that tell different facts are all wrong."""
    symbol = request.symbols[0]
    actions: dict[dt.date, list[Action]] = {}
    wrong: list[Rejected] = []
    bad: set[dt.date] = set()
    for row, (day, fact) in enumerate(zip(dates, rows.rows, strict=True)):
        if day == NO_DAY:
            wrong.append(Rejected(symbol, None, rows.errors[row], rows.raw(row)[:RAW_LIMIT]))
            continue
        date = date_of(day)
        try:
            told = _actions_of(fact, symbol, date)
            if actions.setdefault(date, told) != told:
                raise ValueError("rows of one date tell different facts")
        except (TypeError, ValueError) as error:
            bad.add(date)
            wrong.append(Rejected(symbol, date, str(error), rows.raw(row)[:RAW_LIMIT]))
    asked = dialect.calendar.sessions(request.start, request.end)
    good = [action for date, told in actions.items() if date not in bad for action in told]
    inside = tuple(r for r in wrong if r.session is None or request.start <= r.session <= request.end)
    return _Facts(good, inside, tuple(day for day in asked if day not in actions and day not in bad))


def _actions_of(fact: dict[str, Any], symbol: Symbol, date: dt.date) -> list[Action]:
    found: list[Action] = []
    amount, rounded = read_one(_number(fact, "divCash"), PRICE, derived=True)
    if amount < 0:
        raise ValueError(f"divCash: {amount} is negative")
    if amount:
        found.append(
            Action(symbol, ActionKind.DIVIDEND, date, amount=amount, currency="USD", exact=not rounded)
        )
    factor, _ = read_one(_number(fact, "splitFactor"), PRICE, derived=True)
    ratio = read_factor(str(factor))
    return found if ratio == 1 else [*found, Action(symbol, ActionKind.SPLIT, date, ratio=ratio)]


def _number(fact: dict[str, Any], key: str) -> str:
    value = fact.get(key)
    if not isinstance(value, NumberText):
        raise TypeError(f"{key}: {str(value)[:40]!a} is not a JSON number")
    return value


def _text(cell: object) -> str | None:
    return cell if isinstance(cell, str) and not isinstance(cell, NumberText) and cell else None


def _keys(request: FetchRequest, sessions: Sequence[dt.date]) -> Keys:
    return tuple((request.symbols[0], session) for session in sessions)
