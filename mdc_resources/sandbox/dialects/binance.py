"""Binance Spot: ``GET /api/v3/klines``, ``/aggTrades``, ``/depth`` and ``/exchangeInfo``; no key.

Times are milliseconds, in and out, unless ``X-MBX-TIME-UNIT: MICROSECOND`` asks for microseconds out. A
page has at most 1,000 rows, oldest first. Klines without a trade are there with volume 0; the last one
may still be running. Aggregate trades by ``fromId``, or between two times less than an hour apart.
``/depth`` is the book of the live tape, at the update its stream has come to.
Errors are ``{"code": -1121, "msg": ...}`` with 400, too many requests 429 and then 418. Source: the
vendor's documents and recorded answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from mdc_resources.sandbox.answers import Answer, Page, Query
from mdc_resources.sandbox.crypto import DAY, MINUTE, CryptoMarket, Trades, coin_text, padded
from mdc_resources.sandbox.live.book import LEVELS, Book, last_update, texts
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import LiveTape

_STEPS = {"1d": DAY, "1m": MINUTE}
_HOUR_MS = 3_600_000
_MOST = 1000
_DEEPEST = 5000
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "BTC", "ETH", "BNB")
_WEIGHT = {"X-MBX-USED-WEIGHT-1M": "2"}


class BadRequest(ValueError):
    """What Binance answers with 400: its code and its words."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


class Binance:
    """Historical klines, aggregate trades and symbols."""

    name = "binance"
    paged = False

    def __init__(self, market: Market, *, live: LiveTape | None = None, tape: LiveTape | None = None) -> None:
        self._crypto = CryptoMarket(market, live=live, provider=self.name)
        self._tape = tape or live

    def respond(self, query: Query) -> Page | Answer:
        """A page, or Binance's error for what was asked."""
        try:
            if query.path == "/api/v3/klines":
                return self._klines(query)
            if query.path == "/api/v3/aggTrades":
                return self._trades(query)
            if query.path == "/api/v3/depth" and self._tape:
                return self._depth(query.params, self._tape)
            if query.path == "/api/v3/exchangeInfo":
                return self._symbols(query.params)
        except BadRequest as error:
            return _error(error.code, str(error), 400)
        return Answer(404, b"<html><body><h2>404 Not found</h2></body></html>", "text/html")

    def failure(self, status: int) -> Answer:
        """Codes of the vendor for each status."""
        if status in (418, 429):
            said = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
            return _error(-1003, said, status)
        if status >= 500:
            return _error(-1001, "Internal error; unable to process your request. Please try again.", status)
        return _error(-2015, "Invalid API-key, IP, or permissions for action.", status)

    def hidden_error(self) -> Answer:
        """An error document under a status of 200."""
        return _error(-1003, "Too many requests.", 200)

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every symbol
        """Invalid symbol."""
        return _error(-1121, "Invalid symbol.", 400)

    def _klines(self, query: Query) -> Page:
        params = query.params
        pair, limit = self._pair(params), _limit(params)
        step = _STEPS.get(params.get("interval", ""))
        if step is None:
            raise BadRequest(-1120, "Invalid interval.")
        now = int(self._crypto.now().timestamp() * 1000)
        end = _number(params, "endTime", now)
        start = _number(params, "startTime", max(0, end - limit * step * 1000))
        last = min(end, start + (limit + 1) * step * 1000)
        found = self._crypto.candles(pair, step, -(-start // 1000), last // 1000, gaps=False)[:limit]
        unit = _unit(query.headers)

        def encode(page: Page) -> Answer:
            rows = []
            for row in page.rows:
                opened = row.start * 1000 * unit
                cells = [str(opened), *(_text(cell) for cell in (row.open, row.high, row.low, row.close))]
                cells += [
                    _text(row.volume),
                    str(opened + step * 1000 * unit - 1),
                    _text(row.vwap),
                    row.trades,
                ]
                cells += [_text(row.volume), _text(row.vwap), '"0"', *(['"zz"'] if page.extra else [])]
                rows.append(f"[{','.join(cells)}]")
            return Answer(200, f"[{','.join(rows)}]".encode(), headers=_WEIGHT)

        return Page([candle.row(pair) for candle in found], encode, null="null")

    def _trades(self, query: Query) -> Answer:
        params, pair, limit = query.params, self._pair(query.params), _limit(query.params)
        if "fromId" in params:
            found = self._from_id(pair, _number(params, "fromId", 0), limit)
        else:
            now = int(self._crypto.now().timestamp() * 1000)
            end = _number(params, "endTime", now)
            start = _number(params, "startTime", max(0, end - _HOUR_MS + 1))
            if end - start >= _HOUR_MS:
                raise BadRequest(-1127, "More than 1 hours between startTime and endTime.")
            found = self._between(pair, start, end, limit)
        unit = 1000 // _unit(query.headers) * 1000  # nanoseconds per unit of time
        rows = [_trade(trades, i, unit) for trades, i in found]
        return Answer(200, f"[{','.join(rows)}]".encode(), headers=_WEIGHT)

    def _from_id(self, pair: str, first: int, limit: int) -> list[tuple[Trades, int]]:
        found: list[tuple[Trades, int]] = []
        for trades in self._crypto.trades_from_id(pair, first):
            at = int(trades.ids.searchsorted(first))
            found += [(trades, i) for i in range(at, min(len(trades), at + limit - len(found)))]
            if len(found) >= limit:
                break
        return found

    def _between(self, pair: str, start: int, end: int, limit: int) -> list[tuple[Trades, int]]:
        found: list[tuple[Trades, int]] = []
        for trades in self._crypto.trades_from(pair, start * 10**6):
            low, high = trades.times.searchsorted([start * 10**6, (end + 1) * 10**6]).tolist()
            found += [(trades, i) for i in range(low, high)]
            if len(found) >= limit or high < len(trades):
                break
        return found[:limit]

    def _depth(self, params: Mapping[str, str], tape: LiveTape) -> Answer:
        pair, limit = self._pair(params), _number(params, "limit", 100)
        if not 1 <= limit <= _DEEPEST:
            raise BadRequest(-1100, "Illegal characters found in parameter 'limit'.")
        tick = tape.latest(self.name, pair, tape.now())
        sides = Book(tape.seed, self.name, pair).state(tick, min(limit, LEVELS))
        bids, asks = ([[f"{price}000000", size] for price, size in texts(side)] for side in sides)
        body = {"lastUpdateId": last_update(tick.number), "bids": bids, "asks": asks}
        return Answer(200, json.dumps(body, separators=(",", ":")).encode(), headers=_WEIGHT)

    def _symbols(self, params: Mapping[str, str]) -> Answer:
        pair = self._pair(params)
        base, _, quote = pair.partition("-")
        symbol = {
            "symbol": base + quote,
            "status": "TRADING",
            "baseAsset": base,
            "baseAssetPrecision": 8,
            "quoteAsset": quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000"}],
            "permissions": [],
            "permissionSets": [["SPOT"]],
        }
        now = int(self._crypto.now().timestamp() * 1000)
        body = {
            "timezone": "UTC",
            "serverTime": now,
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [symbol],
        }
        return Answer(200, json.dumps(body).encode(), headers=_WEIGHT)

    def _pair(self, params: Mapping[str, str]) -> str:
        """The market's name of ``BTCUSDT``: a base and one of the known quotes."""
        symbol = params.get("symbol", "")
        if not symbol:
            raise BadRequest(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        if not symbol.isalnum():
            raise BadRequest(-1100, "Illegal characters found in parameter 'symbol'.")
        pair = pair_of(symbol, self._crypto.knows)
        if pair:
            return pair
        raise BadRequest(-1121, "Invalid symbol.")


def pair_of(symbol: str, knows: Callable[[str], bool]) -> str | None:
    """The market's name of ``BTCUSDT`` (``BTC-USDT``); None where ``knows`` has no such pair."""
    for quote in _QUOTES:
        base = symbol.removesuffix(quote)
        if symbol.endswith(quote) and base and knows(f"{base}-{quote}"):
            return f"{base}-{quote}"
    return None


def _limit(params: Mapping[str, str]) -> int:
    return max(1, min(_number(params, "limit", 500), _MOST))


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)


def _unit(headers: Mapping[str, str]) -> int:
    """Units per millisecond."""
    return 1000 if headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND" else 1


def _trade(trades: Trades, i: int, unit: int) -> str:
    trade_id = int(trades.ids[i])
    price, size = padded(coin_text(int(trades.cents[i]), 2)), padded(coin_text(int(trades.sizes[i]), 4))
    maker = "false" if trades.buys[i] else "true"
    return (
        f'{{"a":{trade_id},"p":"{price}","q":"{size}","f":{trade_id},"l":{trade_id},'
        f'"T":{int(trades.times[i]) // unit},"m":{maker},"M":true}}'
    )


def _text(cell: str) -> str:
    return "null" if cell == "null" else f'"{padded(cell)}"'


def _error(code: int, said: str, status: int) -> Answer:
    return Answer(status, json.dumps({"code": code, "msg": said}).encode(), headers=_WEIGHT)
