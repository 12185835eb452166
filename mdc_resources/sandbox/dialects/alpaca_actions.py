"""Alpaca's ``GET /v1/corporate-actions``: splits, cash dividends, name changes and removals, paged.

``start`` and ``end`` are inclusive dates of *processing*: a split is processed on its ex-date, a
dividend when it is paid, two weeks after; the end of a name on the first session without it. Either
side of a name change has it among its actions. Default of both dates is today, as the vendor says.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.answers import Answer
from mdc_resources.sandbox.dialects.alpaca_request import BadRequest, read_limit
from mdc_resources.sandbox.instruments import NAMED, Instrument
from mdc_resources.sandbox.market import Market

_GROUPS = {
    "forward_split": "forward_splits",
    "reverse_split": "reverse_splits",
    "cash_dividend": "cash_dividends",
    "name_change": "name_changes",
    "worthless_removal": "worthless_removals",
}
_PAID_AFTER = dt.timedelta(days=14)


def respond(market: Market, params: Mapping[str, str]) -> Answer:
    """One page of actions; raises BadRequest."""
    start, end = (_date(params.get(name), name, market.today()) for name in ("start", "end"))
    types = set(params["types"].split(",")) if params.get("types") else set(_GROUPS)
    limit = read_limit(params.get("limit", "100"), most=1000)
    skip = int(params["page_token"]) if params.get("page_token", "").isdecimal() else 0
    symbols = params.get("symbols", "").split(",") if params.get("symbols") else sorted(NAMED)
    by_id = {
        action["id"]: (kind, action)
        for symbol in symbols
        if (instrument := market.instrument(symbol)) is not None
        for kind, action in _actions(market, instrument)
        if kind in types and start.isoformat() <= action["process_date"] <= end.isoformat()
    }
    found = sorted(by_id.values(), key=lambda pair: (pair[1]["process_date"], pair[1]["id"]))
    page, more = found[skip : skip + limit], len(found) > skip + limit
    groups: dict[str, list[dict[str, Any]]] = {}
    for kind, action in page:
        groups.setdefault(_GROUPS[kind], []).append(action)
    body = {"corporate_actions": groups, "next_page_token": str(skip + limit) if more else None}
    return Answer(200, json.dumps(body).encode())


def _actions(market: Market, instrument: Instrument) -> Iterator[tuple[str, dict[str, Any]]]:
    today, symbol = market.today(), instrument.symbol
    cusip = f"{noise.key('cusip', instrument.entity) % 10**9:09d}"
    for split in instrument.splits:
        if split.ex_date > today:
            continue
        forward = split.to > split.old
        kind = "forward_split" if forward else "reverse_split"
        cusips = {"cusip": cusip} if forward else {"old_cusip": cusip, "new_cusip": cusip[::-1]}
        rates = {"new_rate": split.to, "old_rate": split.old}
        yield kind, _action(symbol, kind, split.ex_date, split.ex_date) | cusips | rates
    for paid in market.known_dividends(symbol):
        action = _action(symbol, "cash_dividend", paid.ex_date, paid.ex_date + _PAID_AFTER)
        more = {"cusip": cusip, "rate": float(paid.amount), "special": False, "foreign": False}
        yield "cash_dividend", action | more | {"payable_date": action["process_date"]}
    if instrument.former and (former := market.instrument(instrument.former)):
        yield from _end(market, former, cusip)
    yield from _end(market, instrument, cusip)


def _end(market: Market, instrument: Instrument, cusip: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What ended the name of ``instrument``, once that has come: a name change, or a removal.

    Both shapes as in the vendor's OpenAPI document: a process date, and no other.
    """
    if instrument.last is None:
        return
    process = market.calendar.session_at(market.calendar.first_from(instrument.last + dt.timedelta(days=1)))
    if process > market.today():
        return
    if instrument.successor is None:
        kind, facts = "worthless_removal", {"symbol": instrument.symbol, "cusip": cusip}
    else:
        names = {"old_symbol": instrument.symbol, "new_symbol": instrument.successor}
        kind, facts = "name_change", {**names, "old_cusip": cusip, "new_cusip": cusip}
    action = _action(instrument.symbol, kind, process, process)
    yield kind, {"id": action["id"], "process_date": action["process_date"]} | facts


def _action(symbol: str, kind: str, ex_date: dt.date, process: dt.date) -> dict[str, Any]:
    number = f"{noise.key(symbol, kind, ex_date):016x}"
    return {
        "id": f"{number[:8]}-{number[8:12]}-4000-8000-{number[4:]}",
        "symbol": symbol,
        "ex_date": ex_date.isoformat(),
        "record_date": ex_date.isoformat(),
        "process_date": process.isoformat(),
    }


def _date(text: str | None, name: str, default: dt.date) -> dt.date:
    try:
        return dt.date.fromisoformat(text) if text else default
    except ValueError:
        raise BadRequest(f"Invalid format for parameter {name}: '{text}' is not YYYY-MM-DD") from None
