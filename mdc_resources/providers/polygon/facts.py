"""Polygon's reference data: ``/v3/reference/splits``, ``/dividends`` and ``/tickers/{T}``.

Splits and dividends are two lists; whoever asks for corporate actions reads the first to its end,
then the second. A dividend is cash per share as paid (raw). Every fact names its ticker, and one of
another ticker refuses the page.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
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
from mdc_resources.providers.polygon.rows import FINE
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE

PAGE_ROWS = 1000
Params = tuple[tuple[str, str], ...]
_SPLITS, _DIVIDENDS = "/v3/reference/splits", "/v3/reference/dividends"


def splits_of(request: FetchRequest) -> tuple[str, Params]:
    """Path and parameters of the first page of splits by execution date."""
    return _SPLITS, _range(request, "execution_date")


def dividends_of(request: FetchRequest) -> tuple[str, Params]:
    """Path and parameters of the first page of dividends by ex-date."""
    return _DIVIDENDS, _range(request, "ex_dividend_date")


def instrument_of(request: FetchRequest) -> tuple[str, Params]:
    """Path and parameters of the ticker as it was on the last date asked for: it may be gone today."""
    day = min(request.end, request.asof)
    return f"/v3/reference/tickers/{request.symbols[0]}", (("date", day.isoformat()),)


def is_splits(sent: HttpRequest) -> bool:
    """True for a request (any page) of splits."""
    return sent.url.endswith(_SPLITS)


def actions(
    response: HttpResponse, sent: HttpRequest, *, request: FetchRequest, dialect: Dialect
) -> tuple[Page, str | None]:
    """One page of either list and its ``next_url``; PayloadError for facts of another ticker."""
    document = _document(response)
    facts = document.get("results")
    if not isinstance(facts, list):
        raise PayloadError("polygon sent a document without a list of results", provider="polygon")
    read = _split if is_splits(sent) else _dividend
    found: Counter[Action] = Counter()
    ids: dict[str, Any] = {}
    rejected: list[Rejected] = []
    for fact in facts:
        try:
            action = read(fact, request.symbols[0])
        except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
            session = _session_of(fact, request, dialect)
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            rejected.append(Rejected(request.symbols[0], session, why, json.dumps(fact)[:RAW_LIMIT]))
            continue
        told = fact.get("id")
        if isinstance(told, str) and ids.setdefault(told, fact) is not fact:
            if ids[told] != fact:
                raise PayloadError("polygon tells two facts under one id", provider="polygon")
        elif isinstance(told, str) or action not in found:
            found[action] += 1
    assembled = assemble_actions(
        [_times(action, count) for action, count in found.items()],
        request=request,
        dialect=dialect,
        basis=Basis.RAW,
        known_at=response.received_at,
    )
    page = Page(
        tables={Dataset.CORPORATE_ACTIONS: assembled.table},
        rejected=(*assembled.rejected, *rejected),
        dropped=assembled.dropped,
        rounded=assembled.rounded,
    )
    return page, _text(document, "next_url")


def instrument(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    """What the ticker is; UnknownSymbol where the answer holds nothing, PayloadError for another one."""
    symbol = request.symbols[0]
    facts = _document(response).get("results")
    if facts is None or facts == {}:
        raise UnknownSymbol(f"polygon knows no {symbol}", symbol=symbol, provider="polygon")
    if not isinstance(facts, dict) or facts.get("ticker") != symbol:
        raise PayloadError(f"polygon described something else when asked for {symbol}", provider="polygon")
    kind, currency, listed = (_text(facts, key) for key in ("type", "currency_name", "list_date"))
    row: dict[str, object] = {
        "name": _text(facts, "name"),
        "instrument_type": kind.lower() if kind else None,
        "currency": currency.upper() if currency else None,
        "venue": _text(facts, "primary_exchange"),
        "timezone": "America/New_York" if facts.get("locale") == "us" else None,
        "first_trade": _day(listed) if listed else None,
    }
    table = instrument_row(symbol, request=request, dialect=dialect, facts=row)
    return Page(tables={Dataset.INSTRUMENTS: table})


def _range(request: FetchRequest, key: str) -> Params:
    return (
        ("ticker", request.symbols[0]),
        (f"{key}.gte", request.start.isoformat()),
        (f"{key}.lte", request.end.isoformat()),
        ("order", "asc"),
        ("sort", key),
        ("limit", str(PAGE_ROWS)),
    )


def _document(response: HttpResponse) -> dict[str, Any]:
    document = load_exact(response.body, provider="polygon")
    if not isinstance(document, dict) or _text(document, "status") not in FINE:
        raise PayloadError("polygon sent a document without the status OK", provider="polygon")
    return document


def _split(fact: Mapping[str, Any], symbol: Symbol) -> Action:
    _check_ticker(fact, symbol)
    ratio = read_ratio(_number(fact["split_to"]), _number(fact["split_from"]))
    return Action(symbol, ActionKind.SPLIT, parse_session(_plain(fact["execution_date"])), ratio=ratio)


def _dividend(fact: Mapping[str, Any], symbol: Symbol) -> Action:
    _check_ticker(fact, symbol)
    amount, _ = read_one(_number(fact["cash_amount"]), PRICE)
    currency = _text(fact, "currency")
    ex_date = parse_session(_plain(fact["ex_dividend_date"]))
    return Action(symbol, ActionKind.DIVIDEND, ex_date, amount=amount, currency=currency)


def _check_ticker(fact: Mapping[str, Any], symbol: Symbol) -> None:
    ticker = _plain(fact["ticker"])
    if ticker != symbol:
        raise PayloadError(
            f"polygon answered for {ascii(ticker)[:40]} when asked for {symbol}", provider="polygon"
        )


def _times(action: Action, count: int) -> Action:
    """Several payments of one amount on one day, told under several ids, are one of their sum."""
    if count == 1 or action.amount is None:
        return action
    return replace(action, amount=action.amount * Decimal(count))


def _session_of(fact: object, request: FetchRequest, dialect: Dialect) -> dt.date | None:
    """The session of a fact that cannot be read; PayloadError where not even its date can.

    Without its date no session of the request could be called empty.
    """
    told = fact.get("execution_date", fact.get("ex_dividend_date")) if isinstance(fact, dict) else None
    day = _day(told) if isinstance(told, str) else None
    if day is None:
        raise PayloadError("polygon sent a fact without a date", provider="polygon")
    sessions = dialect.calendar.sessions(request.start, request.end)
    return next((session for session in sessions if session >= day >= request.start), None)


def _day(text: str) -> dt.date | None:
    try:
        return parse_session(text)
    except UsageError:
        return None


def _number(value: object) -> str:
    if not isinstance(value, NumberText):
        raise TypeError(f"{str(value)[:40]!a} is not a JSON number")
    return value


def _plain(value: object) -> str:
    if isinstance(value, NumberText) or not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!a} is not a text")
    return value


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    value = facts.get(key)
    return value if isinstance(value, str) and not isinstance(value, NumberText) and value else None
