"""Finnhub's splits, dividends and company profiles.

``[{symbol, date, fromFactor, toFactor}]`` and ``[{symbol, date, amount, adjustedAmount, currency,
...}]``: ``date`` is the ex-date, ``amount`` as paid. A profile's ``currency`` is that of the
company's filings, which need not be the currency it trades in: it is left out.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, UnknownSymbol, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.actions import Action, assemble_actions, instrument_row, read_ratio
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText, load_exact
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE

_Read = Callable[[Mapping[str, Any], Symbol, dt.date], Action]


def splits(response: HttpResponse, *, request: FetchRequest, dialect: Dialect, then: HttpRequest) -> Page:
    """The splits of ``request``; the page continues with ``then``, the request for dividends."""
    return _actions(response, _split, request=request, dialect=dialect, then=then)


def dividends(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    """The cash dividends of ``request``, as paid."""
    return _actions(response, _dividend, request=request, dialect=dialect, then=None)


def profile(body: bytes, *, request: FetchRequest, dialect: Dialect) -> Page:
    """One row about the instrument; raises UnknownSymbol for ``{}`` and PayloadError for another's."""
    symbol = request.symbols[0]
    document = load_exact(body, provider="finnhub")
    if not isinstance(document, dict):
        raise PayloadError("finnhub sent a document that is no profile", provider="finnhub")
    if not document:
        raise UnknownSymbol(f"finnhub has no profile of {symbol}", symbol=symbol, provider="finnhub")
    _expect(document.get("ticker"), symbol)
    facts: dict[str, object] = {
        "name": _text(document.get("name")),
        "venue": _text(document.get("exchange")),
        "first_trade": _date(document.get("ipo")),
    }
    return Page(
        tables={Dataset.INSTRUMENTS: instrument_row(symbol, request=request, dialect=dialect, facts=facts)}
    )


def _actions(
    response: HttpResponse, read: _Read, *, request: FetchRequest, dialect: Dialect, then: HttpRequest | None
) -> Page:
    symbol = request.symbols[0]
    facts = load_exact(response.body, provider="finnhub")
    if not isinstance(facts, list):
        raise PayloadError("finnhub sent a document that is no list of facts", provider="finnhub")
    actions: list[Action] = []
    rejected: list[Rejected] = []
    elsewhere = 0
    for fact in facts:
        ex_date = _date(fact.get("date")) if isinstance(fact, dict) else None
        if isinstance(fact, dict):
            _expect(fact.get("symbol"), symbol)
        if ex_date is not None and not request.start <= ex_date <= request.end:
            elsewhere += 1
            continue
        try:
            if ex_date is None:
                raise ValueError("no date")
            actions.append(read(fact, symbol, ex_date))
        except (KeyError, TypeError, ValueError) as error:
            rejected.append(Rejected(symbol, ex_date, str(error), json.dumps(fact)[:RAW_LIMIT]))
    if any(row.session is None for row in rejected):
        # Nobody can say of which session it is: every other one would pass for a day without facts.
        raise PayloadError(f"finnhub sent a fact without a date: {rejected[0].reason}", provider="finnhub")
    found = assemble_actions(
        actions, request=request, dialect=dialect, basis=Basis.RAW, known_at=response.received_at
    )
    return Page(
        tables={Dataset.CORPORATE_ACTIONS: found.table},
        rejected=(*found.rejected, *rejected),
        next=then,
        dropped=found.dropped + elsewhere,
        rounded=found.rounded,
    )


def _split(fact: Mapping[str, Any], symbol: Symbol, ex_date: dt.date) -> Action:
    ratio = read_ratio(_number(fact["toFactor"]), _number(fact["fromFactor"]))
    return Action(symbol, ActionKind.SPLIT, ex_date, ratio=ratio)


def _dividend(fact: Mapping[str, Any], symbol: Symbol, ex_date: dt.date) -> Action:
    amount, rounded = read_one(_number(fact["amount"]), PRICE, derived=True)
    currency = _text(fact.get("currency"))
    return Action(symbol, ActionKind.DIVIDEND, ex_date, amount=amount, currency=currency, exact=not rounded)


def _expect(told: object, symbol: Symbol) -> None:
    """Raise PayloadError where the answer names another company; its other share classes pass."""
    if not isinstance(told, str) or told.upper().partition(".")[0] != symbol.partition(".")[0]:
        raise PayloadError(f"finnhub answered for {quoted(told)} when asked for {symbol}", provider="finnhub")


def _number(value: object) -> str:
    if not isinstance(value, NumberText):
        raise TypeError(f"{str(value)[:40]!a} is not a JSON number")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and not isinstance(value, NumberText) and value else None


def _date(value: object) -> dt.date | None:
    try:
        return parse_session(str(value))
    except UsageError:
        return None
