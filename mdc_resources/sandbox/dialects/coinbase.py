"""Coinbase Exchange: ``GET /products/<id>`` and below it ``/candles`` and ``/trades``; no key.

Candles are JSON numbers ``[time, low, high, open, close, volume]``, newest first, at most 300, intervals
without a trade absent. Trades are newest first, at most 1,000; ``after`` is an id, exclusive, and
``CB-BEFORE`` and ``CB-AFTER`` name the page's first and last id. ``side`` is the maker's. Errors are
``{"message": ...}``. Source: the vendor's documents and its recorded feed.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal

from mdc_resources.sandbox.answers import Answer, Page, Query
from mdc_resources.sandbox.crypto import DAY, MINUTE, CryptoMarket, Trades, coin_text, padded
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import LiveTape

_PATH = re.compile(r"/products/([A-Z0-9]+-[A-Z0-9]+)(/candles|/trades)?")
_STEPS = {str(DAY): DAY, str(MINUTE): MINUTE}
_CANDLES, _TRADES = 300, 1000


class BadRequest(ValueError):
    """A parameter that Coinbase answers with 400 and this message."""


class Coinbase:
    """Historic rates, trades and products."""

    name = "coinbase"
    paged = False

    def __init__(self, market: Market, *, live: LiveTape | None = None) -> None:
        self._crypto = CryptoMarket(market, live=live, provider=self.name)

    def respond(self, query: Query) -> Page | Answer:
        """A page, or Coinbase's error for what was asked."""
        found = _PATH.fullmatch(query.path)
        if found is None or not self._crypto.knows(found[1]):
            return self.missing(query)
        try:
            if found[2] == "/candles":
                return self._candles(found[1], query.params)
            if found[2] == "/trades":
                return self._trades(found[1], query.params)
        except BadRequest as error:
            return _message(400, str(error))
        return _product(found[1])

    def failure(self, status: int) -> Answer:
        """Each status has its words."""
        words = {401: "Unauthorized.", 403: "Forbidden", 429: "Public rate limit exceeded"}
        return _message(status, words.get(status, "Internal server error"))

    def hidden_error(self) -> Answer:
        """A message under a status of 200."""
        return _message(200, "Public rate limit exceeded")

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every product
        """NotFound."""
        return _message(404, "NotFound")

    def _candles(self, pair: str, params: Mapping[str, str]) -> Page:
        step = _STEPS.get(params.get("granularity", "60"))
        if step is None:
            raise BadRequest("Unsupported granularity")
        now = int(self._crypto.now().timestamp())
        if "start" in params and "end" in params:
            start, end = _instant(params["start"]), _instant(params["end"])
        else:
            start, end = now - _CANDLES * step, now
        if end < start:
            raise BadRequest("end must be after start")
        if (end - start) // step > _CANDLES:
            raise BadRequest(
                "granularity too small for the requested time range. "
                "Count of aggregations requested exceeds 300"
            )
        found = self._crypto.candles(pair, step, start, end, gaps=True)
        rows = [candle.row(pair) for candle in reversed(found)]
        return Page(rows, _encode, null="null")

    def _trades(self, pair: str, params: Mapping[str, str]) -> Answer:
        limit = _number(params, "limit", _TRADES)
        if not 1 <= limit <= _TRADES:
            raise BadRequest("limit must be between 1 and 1000")
        after = _number(params, "after", 2**62)
        found: list[tuple[Trades, int]] = []
        for trades in self._crypto.trades_before(pair, after):
            stop = int(trades.ids.searchsorted(after))
            found += [(trades, i) for i in range(stop - 1, max(-1, stop - 1 - limit + len(found)), -1)]
            if len(found) >= limit:
                break
        headers = {}
        if found:
            newest, oldest = (int(trades.ids[i]) for trades, i in (found[0], found[-1]))
            headers = {"CB-BEFORE": str(newest), "CB-AFTER": str(oldest)}
        body = ",".join(_trade(trades, i) for trades, i in found)
        return Answer(200, f"[{body}]".encode(), headers=headers)


def _encode(page: Page) -> Answer:
    rows = []
    for row in page.rows:
        cells = [
            str(row.start),
            *(_json(cell) for cell in (row.low, row.high, row.open, row.close, row.volume)),
        ]
        rows.append(f"[{','.join([*cells, '0'] if page.extra else cells)}]")
    return Answer(200, f"[{','.join(rows)}]".encode())


def _json(text: str) -> str:
    """A number as JavaScript prints it: without trailing zeros."""
    if not re.fullmatch(r"-?\d+\.\d+", text):
        return text
    return text.rstrip("0").rstrip(".") or "0"


def _trade(trades: Trades, i: int) -> str:
    instant = dt.datetime.fromtimestamp(int(trades.times[i]) // 10**9, dt.UTC)
    at = f"{instant:%Y-%m-%dT%H:%M:%S}.{int(trades.times[i]) % 10**9 // 1000:06d}Z"
    trade = {
        "trade_id": int(trades.ids[i]),
        "side": "sell" if trades.buys[i] else "buy",
        "size": padded(coin_text(int(trades.sizes[i]), 4)),
        "price": padded(coin_text(int(trades.cents[i]), 2)),
        "time": at,
    }
    return json.dumps(trade, separators=(",", ":"))


def _product(pair: str) -> Answer:
    base, _, quote = pair.partition("-")
    body = {
        "id": pair,
        "base_currency": base,
        "quote_currency": quote,
        "quote_increment": "0.01",
        "base_increment": "0.0001",
        "display_name": f"{base}-{quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "auction_mode": False,
    }
    return Answer(200, json.dumps(body).encode())


def _instant(text: str) -> int:
    """ISO 8601 or epoch seconds."""
    try:
        return int(Decimal(text)) if text.isdecimal() else int(dt.datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise BadRequest("Invalid start or end") from None


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest(f"Invalid {name}")
    return int(text)


def _message(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"message": message}).encode())
