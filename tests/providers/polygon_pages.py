"""Polygon's documents in tests, as text where a number's own characters matter."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

from tests.providers.asking import WEEK

NEW_YORK = ZoneInfo("America/New_York")
DAY = dt.date(2024, 3, 8)


def millis(day: dt.date, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Milliseconds of a wall-clock moment in New York."""
    at = dt.datetime.combine(day, dt.time(hour, minute, second), NEW_YORK)
    return int(at.timestamp()) * 1000


def nanos(day: dt.date, hour: int, minute: int = 0, more: int = 0) -> int:
    """Nanoseconds of a wall-clock moment in New York, and ``more`` of them."""
    return millis(day, hour, minute) * 10**6 + more


def agg(t: int | str, close: str = "100.5", **more: str) -> str:
    """One aggregate as text; open, high and low follow ``close``."""
    cells = {
        "v": "1000",
        "vw": "100.25",
        "o": close,
        "c": close,
        "h": close,
        "l": close,
        "t": str(t),
        "n": "10",
    }
    return _object({**cells, **more})


def week(**more: str) -> list[str]:
    """Five days from 100.5 up."""
    return [agg(millis(day), f"{100.5 + at}", **more) for at, day in enumerate(WEEK)]


def aggs(*rows: str, ticker: str = "AAPL", adjusted: str = "false", **more: str) -> str:
    """A page of aggregates; without rows it has no ``results``. ``more`` are texts of JSON."""
    cells = {
        "ticker": json.dumps(ticker),
        "queryCount": str(len(rows)),
        "resultsCount": str(len(rows)),
        "adjusted": adjusted,
        **({"results": f"[{','.join(rows)}]"} if rows else {}),
        "status": '"OK"',
        "request_id": '"6a7e466379af0a71039d60cc78e72282"',
        **more,
    }
    return _object(cells)


def listed(*rows: str, next_url: str = "", status: str = "OK") -> str:
    """A page of a v3 endpoint."""
    onward = f',"next_url":{json.dumps(next_url)}' if next_url else ""
    return f'{{"results":[{",".join(rows)}],"status":"{status}","request_id":"a47d1beb"{onward}}}'


def trade(ns: int | str, price: str = "169.05", size: str = "100", **more: str) -> str:
    """One trade as text."""
    cells = {
        "exchange": "11",
        "id": '"71675577320245"',
        "participant_timestamp": str(ns),
        "price": price,
        "sequence_number": "1063",
        "sip_timestamp": str(ns),
        "size": size,
        "tape": "3",
    }
    return _object({**cells, **more})


def quote(ns: int | str, **more: str) -> str:
    """One quote as text: 4 at 169.08 for 3 at 169.10. An empty text takes a cell away."""
    cells = {
        "ask_exchange": "15",
        "ask_price": "169.1",
        "ask_size": "3",
        "bid_exchange": "19",
        "bid_price": "169.08",
        "bid_size": "4",
        "conditions": "[1]",
        "participant_timestamp": str(ns),
        "sequence_number": "2060",
        "sip_timestamp": str(ns),
        "tape": "3",
    }
    return _object({**cells, **more})


def split(day: str = "2020-08-31", to: Any = 4, per: Any = 1, **more: Any) -> str:
    """One split of AAPL."""
    return json.dumps({"execution_date": day, "split_from": per, "split_to": to, "ticker": "AAPL", **more})


def dividend(day: str = "2020-08-07", amount: Any = 0.82, **more: Any) -> str:
    """One dividend of AAPL."""
    fact = {"cash_amount": amount, "currency": "USD", "dividend_type": "CD", "ex_dividend_date": day}
    return json.dumps({**fact, "frequency": 4, "ticker": "AAPL", **more})


def _object(cells: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in cells.items() if text) + "}"
