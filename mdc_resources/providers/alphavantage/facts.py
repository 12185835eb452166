"""Alpha Vantage's splits, dividends and company overviews.

``{"symbol": .., "data": [{"effective_date": .., "split_factor": "4.0000"}]}`` and ``{"symbol": ..,
"data": [{"ex_dividend_date": .., "amount": "0.24", ..}]}``: everything ever, whatever was asked. Dates
the vendor does not know are the text ``None``. Amounts are as paid (IBM's 0.22 of February 1999 lies
before its 2:1 split). Overviews are of companies: funds have none, and ``{}`` also answers when the
vendor is out of order, so it says nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.actions import Action, assemble_actions, instrument_row
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText, load_exact
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.decoding.split_factors import read_factor
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE, empty

_CURRENCY = "USD"  # of the US listings that are asked for; the answers do not say
_NOTHING = frozenset({"", "None", "-"})
_Read = Callable[[Mapping[str, Any], Symbol, dt.date], Action]


def splits(
    response: HttpResponse, symbol: str, *, request: FetchRequest, dialect: Dialect, then: HttpRequest
) -> Page:
    """The splits of ``request``; the page continues with ``then``, the request for dividends."""
    return _actions(response, symbol, ("effective_date", _split), request=request, dialect=dialect, then=then)


def dividends(response: HttpResponse, symbol: str, *, request: FetchRequest, dialect: Dialect) -> Page:
    """The cash dividends of ``request``, as paid."""
    return _actions(
        response, symbol, ("ex_dividend_date", _dividend), request=request, dialect=dialect, then=None
    )


def overview(body: bytes, symbol: str, *, request: FetchRequest, dialect: Dialect) -> Page:
    """One row about the company; none where there is no overview."""
    document = load_exact(body, provider="alphavantage")
    if not isinstance(document, dict):
        raise PayloadError("alphavantage sent a document that is no overview", provider="alphavantage")
    if not document:
        return Page(
            tables={Dataset.INSTRUMENTS: empty(Dataset.INSTRUMENTS)},
            warnings=(f"alphavantage has no overview of {symbol}",),
        )
    _expect(document.get("Symbol"), symbol)
    kind = _text(document.get("AssetType"))
    facts: dict[str, object] = {
        "name": _text(document.get("Name")),
        "instrument_type": kind.lower() if kind else None,
        "currency": _text(document.get("Currency")),
        "venue": _text(document.get("Exchange")),
    }
    row = instrument_row(request.symbols[0], request=request, dialect=dialect, facts=facts)
    return Page(tables={Dataset.INSTRUMENTS: row})


def _actions(
    response: HttpResponse,
    wanted: str,
    facts: tuple[str, _Read],
    *,
    request: FetchRequest,
    dialect: Dialect,
    then: HttpRequest | None,
) -> Page:
    symbol, (key, read) = request.symbols[0], facts
    document = load_exact(response.body, provider="alphavantage")
    told = document.get("data") if isinstance(document, dict) else None
    if not isinstance(told, list):
        raise PayloadError(f"alphavantage sent a document without {key}s", provider="alphavantage")
    _expect(document.get("symbol"), wanted)
    actions: list[Action] = []
    rejected: list[Rejected] = []
    elsewhere = 0
    for fact in told:
        ex_date = _date(fact, key)
        if not request.start <= ex_date <= request.end:
            elsewhere += 1
            continue
        try:
            actions.append(read(fact, symbol, ex_date))
        except (KeyError, TypeError, ValueError) as error:
            rejected.append(Rejected(symbol, ex_date, str(error), json.dumps(fact)[:RAW_LIMIT]))
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
    return Action(symbol, ActionKind.SPLIT, ex_date, ratio=read_factor(_decimal(fact["split_factor"])))


def _dividend(fact: Mapping[str, Any], symbol: Symbol, ex_date: dt.date) -> Action:
    amount, rounded = read_one(_decimal(fact["amount"]), PRICE, derived=True)
    return Action(symbol, ActionKind.DIVIDEND, ex_date, amount=amount, currency=_CURRENCY, exact=not rounded)


def _expect(told: object, symbol: str) -> None:
    if not isinstance(told, str) or told.upper().replace(".", "-") != symbol.upper():
        raise PayloadError(
            f"alphavantage answered for {quoted(told)} when asked for {symbol}", provider="alphavantage"
        )


def _date(fact: object, key: str) -> dt.date:
    """The day of a fact. Without it nobody can say of which session it is: PayloadError."""
    try:
        return parse_session(str(fact.get(key)) if isinstance(fact, dict) else "")
    except UsageError as error:
        raise PayloadError(
            f"alphavantage sent a fact without {key}: {error.message}", provider="alphavantage"
        ) from None


def _decimal(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, NumberText):
        raise TypeError(f"{str(value)[:40]!a} is not decimal text")
    return value


def _text(value: object) -> str | None:
    good = isinstance(value, str) and not isinstance(value, NumberText) and value not in _NOTHING
    return str(value) if good else None
