"""A trade or quote decoded live equals the same one decoded from the vendor's history: a refill
recognises it by its identity, and the rows beside it mean the same."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.providers.alpaca import events as alpaca_history
from mdc_resources.providers.decoding.frames import SHARES_FROM
from mdc_resources.providers.live import feed
from mdc_resources.providers.polygon import ticks as polygon_history
from tests.feeds.equity.listening import decoded
from tests.providers.asking import decode, want

DAY = dt.date(2026, 2, 20)
BEFORE = dt.date(2025, 10, 31)  # the last session whose quote sizes are round lots
_SPELLED = {"trade": Dataset.TRADES, "quote": Dataset.QUOTES}

ALPACA = {
    "plain": {
        "T": "t",
        "i": 96921,
        "S": "AAPL",
        "x": "D",
        "p": 226.55,
        "s": 1,
        "t": "2026-02-20T15:51:44.208Z",
        "c": ["@", "I"],
        "z": "C",
    },
    "nanoseconds": {
        "T": "t",
        "i": 2,
        "S": "AAPL",
        "x": "V",
        "p": 226.5501,
        "s": 100,
        "t": "2026-02-20T15:51:44.208000001Z",
        "c": ["@"],
        "z": "C",
    },
    "fraction of a share": {
        "T": "t",
        "i": 52983525033527,
        "S": "AAPL",
        "x": "D",
        "p": 226.5,
        "s": 3,
        "t": "2026-02-20T09:30:00Z",
        "c": [" ", "7"],
        "z": "A",
    },
    "no conditions": {
        "T": "t",
        "i": 3,
        "S": "AAPL",
        "x": "Q",
        "p": 0.0001,
        "s": 10,
        "t": "2026-02-20T20:59:59.9Z",
        "c": [],
        "z": "B",
    },
    "largest identity": {
        "T": "t",
        "i": 18446744073709551615,
        "S": "AAPL",
        "x": "M",
        "p": 1,
        "s": 1,
        "t": "2026-02-20T15:00:00Z",
        "c": ["@"],
        "z": "C",
    },
    "corrected": {
        "T": "t",
        "i": 5,
        "S": "AAPL",
        "x": "M",
        "p": 1.5,
        "s": 1,
        "t": "2026-02-20T15:00:00Z",
        "c": ["@"],
        "z": "C",
        "u": "corrected",
    },
    "quote": {
        "T": "q",
        "S": "AAPL",
        "bx": "U",
        "bp": 187.66,
        "bs": 100,
        "ax": "Q",
        "ap": 187.68,
        "as": 400,
        "t": "2026-02-20T15:51:45.335689322Z",
        "c": ["R"],
        "z": "C",
    },
    "quote with one side": {
        "T": "q",
        "S": "AAPL",
        "bx": "U",
        "bp": 187.66,
        "bs": 7,
        "ax": " ",
        "ap": 0,
        "as": 0,
        "t": "2026-02-20T15:51:45.3Z",
        "c": ["R", "F"],
        "z": "C",
    },
    "quote in lots": {
        "T": "q",
        "S": "AAPL",
        "bx": "U",
        "bp": 87.66,
        "bs": 1,
        "ax": "Q",
        "ap": 87.68,
        "as": 12,
        "t": "2025-10-31T13:51:45Z",
        "c": ["R"],
        "z": "C",
    },
}
_AT = int(dt.datetime(2026, 2, 20, 15, tzinfo=dt.UTC).timestamp()) * 1000 + 123
_LOTS_AT = int(dt.datetime(2025, 10, 31, 15, tzinfo=dt.UTC).timestamp()) * 1000
POLYGON = {
    "plain": {
        "ev": "T",
        "sym": "AAPL",
        "x": 4,
        "i": "12345",
        "z": 3,
        "p": 114.125,
        "s": 100,
        "c": [0, 12],
        "t": _AT,
        "q": 3681328,
    },
    "at a TRF": {
        "ev": "T",
        "sym": "AAPL",
        "x": 4,
        "i": "12345",
        "z": 3,
        "p": 114.1,
        "s": 7,
        "trfi": 202,
        "t": _AT,
        "q": 3681330,
    },
    "TRF 0": {
        "ev": "T",
        "sym": "AAPL",
        "x": 0,
        "i": "1",
        "z": 1,
        "p": 114.1,
        "s": 0.5,
        "trfi": 0,
        "t": _AT,
        "q": 1,
    },
    "bare": {"ev": "T", "sym": "AAPL", "p": 0.0001, "s": 1, "t": _AT},
    "quote": {
        "ev": "Q",
        "sym": "AAPL",
        "bx": 4,
        "bp": 114.12,
        "bs": 100,
        "ax": 7,
        "ap": 114.128,
        "as": 160,
        "c": 0,
        "t": _AT,
        "q": 50385480,
        "z": 3,
    },
    "quote with one side": {
        "ev": "Q",
        "sym": "AAPL",
        "bx": 4,
        "bp": 114.12,
        "bs": 100,
        "ax": 0,
        "t": _AT,
        "q": 5,
    },
    "quote in lots": {
        "ev": "Q",
        "sym": "AAPL",
        "bx": 4,
        "bp": 14.12,
        "bs": 1,
        "ax": 7,
        "ap": 14.128,
        "as": 12,
        "t": _LOTS_AT,
        "q": 50385480,
        "z": 3,
    },
}
_POLYGON_NAMES = {
    "q": "sequence_number",
    "c": "conditions",
    "z": "tape",
    "p": "price",
    "s": "size",
    "x": "exchange",
    "i": "id",
    "trfi": "trf_id",
    "bp": "bid_price",
    "bs": "bid_size",
    "bx": "bid_exchange",
    "ap": "ask_price",
    "as": "ask_size",
    "ax": "ask_exchange",
}


def _live(name: str, message: dict[str, Any]) -> dict[str, object]:
    sink = decoded(name, [message])
    assert not sink.rejections
    (event,) = sink.events
    row = {key: value for key, value in event.items() if key not in ("kind", "bid", "ask", "symbol")}
    for side in ("bid", "ask"):
        if side in event:
            row[f"{side}_price"], row[f"{side}_size"] = event[side]
    return {key: _exact(key, value) for key, value in row.items()}


def _exact(name: str, value: Any) -> object:
    return Decimal(value) if name.endswith(("price", "size")) else value


def _stored(name: str, dataset: Dataset, body: object, day: dt.date) -> dict[str, object]:
    page = decode(want(name, "AAPL", dataset=dataset, start=day, end=day), body)
    assert not page.rejected
    (row,) = page.tables[dataset].to_pylist()
    left_out = ("symbol", "session", "source", "ordinal", "ts_recv")
    return {key: value for key, value in row.items() if value is not None and key not in left_out}


@pytest.mark.parametrize("message", ALPACA.values(), ids=ALPACA)
def test_alpaca_live_agrees_with_its_history(message: dict[str, Any]) -> None:
    """Time, venue, identity, conditions, tape, sizes and corrections are the same, column by column."""
    dataset = Dataset.QUOTES if message["T"] == "q" else Dataset.TRADES
    row = {key: value for key, value in message.items() if key not in ("T", "S")}
    day = BEFORE if message["t"].startswith("2025") else DAY
    body = {dataset.value: {"AAPL": [row]}, "next_page_token": None}
    assert _live("alpaca", message) == _stored("alpaca", dataset, body, day)


@pytest.mark.parametrize("message", POLYGON.values(), ids=POLYGON)
def test_polygon_live_agrees_with_its_history(message: dict[str, Any]) -> None:
    """The same, where the history's instant is the live one's millisecond."""
    dataset = Dataset.QUOTES if message["ev"] == "Q" else Dataset.TRADES
    row = {_POLYGON_NAMES[key]: value for key, value in message.items() if key in _POLYGON_NAMES}
    if isinstance(row.get("conditions"), int):
        row["conditions"] = [row["conditions"]]
    row["sip_timestamp"] = message["t"] * 1_000_000
    day = BEFORE if message["t"] == _LOTS_AT else DAY
    body = json.dumps({"status": "OK", "results": [row]})
    assert _live("polygon", message) == _stored("polygon", dataset, body, day)


def test_sizes_changed_their_unit_on_the_same_day_in_both_halves() -> None:
    """The instant from which sizes are shares is one, wherever it is written."""
    assert SHARES_FROM == alpaca_history._SHARES_FROM == polygon_history._SHARES_FROM


@pytest.mark.parametrize("name", ["alpaca", "polygon"])
def test_what_can_be_refilled_has_identities(name: str) -> None:
    """Trades that history brings again are recognised by venue and trade id."""
    spec = feed(name).spec
    assert spec.refillable == {Dataset.TRADES, Dataset.QUOTES}
    assert spec.identities == ("venue", "trade_id")


@pytest.mark.parametrize("name", ["finnhub", "tiingo"])
def test_what_cannot_be_recognised_is_not_refilled(name: str) -> None:
    """Feeds without identities declare none, and no history that would fill their holes."""
    spec = feed(name).spec
    assert spec.identities == ()
    assert spec.refillable == frozenset()
