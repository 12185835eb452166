"""Alpaca's corporate actions: splits, stock and cash dividends, renames, removals.

The vendor filters by *process date*, which follows the ex-date by up to some months for dividends:
the request reaches beyond the range and the answer is cut back by ex-date. For the same reason an
empty answer proves nothing. Mergers, spin-offs, rights and redemptions have no canonical form yet;
they are named in a warning.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.actions import Action, assemble_actions, read_ratio
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText, load_exact
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.spec import Dialect, Page, Rejected
from mdc_resources.schema.arrow import PRICE

PAGE_ROWS = 1000
# How far the process date may lie from the ex-date: a dividend is processed when it is paid.
_BEFORE = dt.timedelta(days=7)
_AFTER = dt.timedelta(days=120)


def params_of(request: FetchRequest) -> tuple[tuple[str, str], ...]:
    """Query of the first page: process dates around ``request``'s range, not beyond its ``asof``."""
    end = max(request.end, min(request.end + _AFTER, request.asof))
    return (
        ("symbols", ",".join(request.symbols)),
        ("types", ",".join(kind.removesuffix("s") for kind in _READERS)),
        ("start", (request.start - _BEFORE).isoformat()),
        ("end", end.isoformat()),
        ("limit", str(PAGE_ROWS)),
        ("sort", "asc"),
    )


def decode(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> tuple[Page, str | None]:
    """One page and its token; raises PayloadError where the document is not the documented one."""
    document = load_exact(response.body, provider="alpaca")
    groups = document.get("corporate_actions") if isinstance(document, dict) else None
    token = document.get("next_page_token") if isinstance(document, dict) else None
    if not isinstance(groups, dict) or isinstance(token, NumberText) or not isinstance(token, str | None):
        raise PayloadError("alpaca sent a document without corporate actions", provider="alpaca")
    actions: list[Action] = []
    rejected: list[Rejected] = []
    warnings: list[str] = []
    strangers = 0
    for name, facts in groups.items():
        reader = _READERS.get(name)
        if reader is None or not isinstance(facts, list):
            warnings.append(
                f"{len(facts) if isinstance(facts, list) else 1} of {ascii(name)[:40]} are not represented"
            )
            continue
        for fact in facts:
            try:
                action = reader(fact)
            except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
                rejected.append(Rejected(None, None, f"{name}: {error}", json.dumps(fact)[:RAW_LIMIT]))
                continue
            if action.symbol in request.symbols:
                actions.append(action)
            else:
                strangers += 1  # answers by symbol include the other side of a rename
    found = assemble_actions(
        actions, request=request, dialect=dialect, basis=Basis.RAW, known_at=response.received_at
    )
    page = Page(
        tables={Dataset.CORPORATE_ACTIONS: found.table},
        rejected=(*found.rejected, *rejected),
        dropped=found.dropped + strangers,
        rounded=found.rounded,
        warnings=tuple(warnings),
    )
    return page, token


def _split(fact: Mapping[str, Any]) -> Action:
    ratio = read_ratio(_number(fact["new_rate"]), _number(fact["old_rate"]))
    return Action(_symbol(fact["symbol"]), ActionKind.SPLIT, _date(fact["ex_date"]), ratio=ratio)


def _stock_dividend(fact: Mapping[str, Any]) -> Action:
    """A share in ``rate`` new shares per old one is a split of 1+rate : 1."""
    rate, _ = read_one(_number(fact["rate"]), PRICE)
    ratio = read_ratio(str(Decimal(1) + rate), "1")
    return Action(_symbol(fact["symbol"]), ActionKind.SPLIT, _date(fact["ex_date"]), ratio=Fraction(ratio))


def _cash_dividend(fact: Mapping[str, Any]) -> Action:
    amount, _ = read_one(_number(fact["rate"]), PRICE)
    return Action(
        _symbol(fact["symbol"]),
        ActionKind.DIVIDEND,
        _date(fact["ex_date"]),
        amount=amount,
        currency=str(fact.get("currency") or "USD"),  # "Empty value can mean USD", says the spec
    )


def _name_change(fact: Mapping[str, Any]) -> Action:
    return Action(
        _symbol(fact["old_symbol"]),
        ActionKind.RENAME,
        _date(fact["process_date"]),
        successor=_symbol(fact["new_symbol"]),
    )


def _removal(fact: Mapping[str, Any]) -> Action:
    return Action(_symbol(fact["symbol"]), ActionKind.DELISTING, _date(fact["process_date"]))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Action]] = {
    "forward_splits": _split,
    "reverse_splits": _split,
    "stock_dividends": _stock_dividend,
    "cash_dividends": _cash_dividend,
    "name_changes": _name_change,
    "worthless_removals": _removal,
}


def _number(value: object) -> str:
    if not isinstance(value, NumberText):
        raise TypeError(f"{str(value)[:40]!a} is not a JSON number")
    return value


def _symbol(value: object) -> Symbol:
    return parse_symbol(str(value))


def _date(value: object) -> dt.date:
    return parse_session(str(value))
