"""What comes with a Yahoo chart besides bars: splits, dividends, and what the instrument is.

Dividends are per share of today's count: a later split restates them, so their basis is ``split``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.actions import Action, read_ratio
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, NumberText
from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.providers.spec import Rejected
from mdc_resources.providers.yahoo.bars import widened
from mdc_resources.providers.yahoo.chart import Chart, read_seconds
from mdc_resources.schema.arrow import PRICE


def actions_of(chart: Chart, symbol: Symbol, zone: ZoneInfo) -> tuple[list[Action], list[Rejected]]:
    """Splits and dividends, and the events that cannot be read (session None: not even their date)."""
    found: list[Action] = []
    wrong: list[Rejected] = []
    for kind, read in (("dividends", _dividend), ("splits", _split)):
        events = chart.events.get(kind) or {}
        if not isinstance(events, dict):
            wrong.append(Rejected(symbol, None, f"{kind} is no object", json.dumps(events)[:RAW_LIMIT]))
            continue
        for event in events.values():
            ex_date = _ex_date(event, zone)
            try:
                if ex_date is None:
                    raise ValueError("no date in epoch seconds")
                found.append(read(event, symbol, ex_date, chart.meta))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                wrong.append(Rejected(symbol, ex_date, f"{kind}: {error}", json.dumps(event)[:RAW_LIMIT]))
    return found, wrong


def facts_of(chart: Chart, zone: ZoneInfo) -> dict[str, object]:
    """The instrument's columns, null where the chart does not say."""
    meta = chart.meta

    def text(key: str) -> str | None:
        value = meta.get(key)
        return value if isinstance(value, str) and value else None

    kind = text("instrumentType")
    return {
        "name": text("longName") or text("shortName"),
        "instrument_type": kind.lower() if kind else None,
        "currency": text("currency"),
        "venue": text("exchangeName"),
        "timezone": text("exchangeTimezoneName"),
        "first_trade": _date(meta.get("firstTradeDate"), zone),
    }


def _ex_date(event: object, zone: ZoneInfo) -> dt.date | None:
    return _date(event.get("date"), zone) if isinstance(event, dict) else None


def _date(stamp: object, zone: ZoneInfo) -> dt.date | None:
    seconds, errors = read_seconds([stamp])
    return None if errors else dt.datetime.fromtimestamp(int(seconds[0]), zone).date()


def _split(event: Mapping[str, Any], symbol: Symbol, ex_date: dt.date, _: Mapping[str, Any]) -> Action:
    ratio = read_ratio(_number(event["numerator"]), _number(event["denominator"]))
    return Action(symbol, ActionKind.SPLIT, ex_date, ratio=ratio)


def _dividend(event: Mapping[str, Any], symbol: Symbol, ex_date: dt.date, meta: Mapping[str, Any]) -> Action:
    amount, rounded = read_one(widened(_number(event["amount"])), PRICE, derived=True)
    currency = meta.get("currency")
    return Action(
        symbol,
        ActionKind.DIVIDEND,
        ex_date,
        amount=amount,
        currency=currency if isinstance(currency, str) else None,
        exact=not rounded,
    )


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | NumberText):
        raise TypeError(f"{str(value)[:40]!a} is not a JSON number")
    return str(value)
