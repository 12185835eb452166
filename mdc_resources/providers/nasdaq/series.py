"""A series of Nasdaq Data Link: ``{"dataset": {"column_names": [..], "data": [[date, ..], ..], ..}}``.

Rows are arrays, and only ``column_names`` says what stands where: it differs between databases
(``Ex-Dividend`` of WIKI is ``Dividend`` of EOD). The document also says which series it is, and over
which dates it was cut.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.actions import Action, assemble_actions, instrument_row
from mdc_resources.providers.decoding.bars import PRICES, BarColumns, assemble
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText, load_exact
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, date_of, day_of
from mdc_resources.providers.decoding.split_factors import read_factor
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE, SIZE

_DIVIDEND = ("ex-dividend", "dividend")
_SPLIT = ("split ratio", "split")
_CURRENCY = "USD"  # of the US listings that are asked for; the answers do not say
# "Alphabet Inc (GOOGL) Prices, Dividends, Splits and Trading Volume"
_NAME = re.compile(r"\s*\([A-Z0-9._-]+\).*")


class _Table:
    """The rows of a series with its columns by lower-case name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        names, data = document.get("column_names"), document.get("data")
        if not isinstance(names, list) or not isinstance(data, list):
            raise PayloadError("nasdaq sent a series without column_names or data", provider="nasdaq")
        self.at = {str(name).strip().lower(): at for at, name in reversed(list(enumerate(names)))}
        if str(names[0] if names else "").lower() != "date":
            raise PayloadError(
                f"nasdaq sent a series whose first column is no date: {quoted(names)}", provider="nasdaq"
            )
        self.rows = JsonRows(data)
        for number, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(names):
                self.rows.errors[number] = f"not a row of {len(names)} cells"
        self.days = self._days()

    def column(self, names: tuple[str, ...]) -> list[Any] | None:
        """The cells of the first of ``names`` there is; None where there is none."""
        at = next((self.at[name] for name in names if name in self.at), None)
        return None if at is None else self.rows.column(at)

    def _days(self) -> Days:
        days = np.full(len(self.rows), NO_DAY, np.int32)
        for number, cell in enumerate(self.rows.column(0)):
            try:
                days[number] = day_of(parse_session(cell if isinstance(cell, str) else ""))
            except UsageError as error:
                self.rows.errors.setdefault(number, error.message)
        return days


def decode(
    response: HttpResponse, wanted: tuple[str, str], *, request: FetchRequest, dialect: Dialect
) -> Page:
    """The tables of ``request``; ``wanted`` are database and code. Raises PayloadError."""
    document = load_exact(response.body, provider="nasdaq")
    series = document.get("dataset") if isinstance(document, dict) else None
    if not isinstance(series, dict):
        raise PayloadError("nasdaq sent a document without a dataset", provider="nasdaq")
    told = (series.get("database_code"), series.get("dataset_code"))
    if tuple(str(code).upper() for code in told) != wanted:
        raise PayloadError(
            f"nasdaq answered for {quoted('/'.join(map(str, told)))} when asked for {'/'.join(wanted)}",
            provider="nasdaq",
        )
    if request.dataset is Dataset.INSTRUMENTS:
        return Page(tables={Dataset.INSTRUMENTS: _instrument(series, request, dialect)})
    table = _Table(series)
    if request.dataset is Dataset.CORPORATE_ACTIONS:
        return _actions_page(table, response.received_at, request=request, dialect=dialect)
    return _bars_page(table, response, request=request, dialect=dialect)


def _bars_page(table: _Table, response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    missing = [name for name in PRICES if name not in table.at]
    if missing:
        raise PayloadError(
            f"nasdaq sent a series without {', '.join(missing)} as traded: {quoted(list(table.at))}",
            provider="nasdaq",
            hint="Only databases with raw open, high, low and close can be read: WIKI, EOD",
        )
    rows = table.rows
    numbers = {name: rows.decimals(table.at[name], PRICE, quoted=False) for name in PRICES}
    if "volume" in table.at:
        numbers["volume"] = rows.decimals(table.at["volume"], SIZE, quoted=False)
    columns = BarColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        numbers=numbers,
        days=table.days,
        errors=rows.errors,
        raw=rows.raw,
    )
    over = finished(
        assemble(columns, request=request, dialect=dialect),
        request=request,
        dialect=dialect,
        received_at=response.received_at,
    )
    found = over.bars
    tables: dict[Dataset, pa.Table] = {Dataset.BARS_1D: found.table}
    warnings: tuple[str, ...] = ()
    facts = _actions_page(table, response.received_at, request=request, dialect=dialect)
    # Without all of them an empty session would pass for one where nothing happened.
    reason = _left_out(table, facts)
    if reason:
        warnings = (f"corporate actions of {request.symbols[0]} left out: {reason}",)
    else:
        tables |= facts.tables
    return Page(
        tables=tables,
        rejected=found.rejected,
        dropped=found.dropped,
        rounded=found.rounded + (facts.rounded if Dataset.CORPORATE_ACTIONS in tables else 0),
        incomplete=over.incomplete,
        warnings=warnings,
    )


def _left_out(table: _Table, facts: Page) -> str:
    """Why the facts beside the bars are not complete; empty if they are."""
    if not {*_DIVIDEND} & set(table.at) or not {*_SPLIT} & set(table.at):
        return "the series has no such columns"
    if facts.rejected:
        return facts.rejected[0].reason
    return f"no row for {facts.incomplete[0][1]}" if facts.incomplete else ""


def _actions_page(table: _Table, known_at: dt.datetime, *, request: FetchRequest, dialect: Dialect) -> Page:
    """The facts of each day with a row; sessions without one are named incomplete."""
    symbol = request.symbols[0]
    amounts, factors = table.column(_DIVIDEND), table.column(_SPLIT)
    asked = request.dataset is Dataset.CORPORATE_ACTIONS
    if asked and (amounts is None or factors is None):
        raise PayloadError("nasdaq sent a series without dividends or splits", provider="nasdaq")
    actions: list[Action] = []
    rejected: list[Rejected] = []
    outside = 0
    seen: dict[dt.date, tuple[object, object]] = {}
    for number in range(len(table.rows)):
        day = None if number in table.rows.errors else date_of(table.days[number])
        if day is not None and not request.start <= day <= request.end:
            outside += 1
            continue
        told = (amounts[number] if amounts else None, factors[number] if factors else None)
        try:
            if day is None:
                raise ValueError(table.rows.errors[number])
            if seen.setdefault(day, told) != told:
                raise ValueError("several rows for one day disagree")
            actions += [*_dividend(told[0], symbol, day), *_split(told[1], symbol, day)]
        except (TypeError, ValueError) as error:
            rejected.append(Rejected(symbol, day, str(error), table.rows.raw(number)[:RAW_LIMIT]))
    if asked and any(row.session is None for row in rejected):
        raise PayloadError(f"nasdaq sent a row without a date: {rejected[0].reason}", provider="nasdaq")
    spoiled = {row.session for row in rejected}
    found = assemble_actions(
        (action for action in actions if action.ex_date not in spoiled),
        request=request,
        dialect=dialect,
        basis=Basis.RAW,
        known_at=known_at,
    )
    days = set(table.days.tolist())
    silent = [
        session
        for session in dialect.calendar.sessions(request.start, request.end)
        if day_of(session) not in days
    ]
    return Page(
        tables={Dataset.CORPORATE_ACTIONS: found.table},
        rejected=(*found.rejected, *rejected),
        dropped=found.dropped + outside,
        rounded=found.rounded,
        incomplete=tuple((symbol, session) for session in silent),
    )


def _dividend(cell: object, symbol: Symbol, day: dt.date) -> list[Action]:
    amount, rounded = read_one(_number(cell), PRICE, derived=True)
    if not amount:
        return []
    return [Action(symbol, ActionKind.DIVIDEND, day, amount=amount, currency=_CURRENCY, exact=not rounded)]


def _split(cell: object, symbol: Symbol, day: dt.date) -> list[Action]:
    ratio = read_factor(_number(cell))
    return [] if ratio == 1 else [Action(symbol, ActionKind.SPLIT, day, ratio=ratio)]


def _number(cell: object) -> str:
    if not isinstance(cell, NumberText):
        raise TypeError(f"{str(cell)[:40]!a} is not a JSON number")
    return cell


def _instrument(series: Mapping[str, Any], request: FetchRequest, dialect: Dialect) -> pa.Table:
    name = series.get("name")
    text = name if isinstance(name, str) and not isinstance(name, NumberText) else ""
    try:
        first = parse_session(str(series.get("oldest_available_date")))
    except UsageError:
        first = None
    facts: dict[str, object] = {"name": _NAME.sub("", text) or None, "first_trade": first}
    return instrument_row(request.symbols[0], request=request, dialect=dialect, facts=facts)
