"""Kraken Spot: ``GET /0/public/OHLC``, ``/0/public/Trades`` and ``/0/public/AssetPairs``; no key.

Every answer is a 200 with ``{"error": [...], "result": ...}``. Candles are the newest 720 and the running
one, whatever ``since`` says; those without a trade have volume 0 and a VWAP of 0.0. Trades come a
thousand at a time after ``since`` (nanoseconds), ``last`` is where to go on. Asked for ``XBTUSD``, it answers
under ``XXBTZUSD``. Source: the vendor's documents and recorded pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mdc_resources.sandbox.answers import Answer, Page, Query
from mdc_resources.sandbox.crypto import DAY, MINUTE, CryptoMarket, coin_text, padded
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import LiveTape

_STEPS = {"1440": DAY, "1": MINUTE}
_KEPT = 720
_TRADES = 1000
_CODES = {"XBT": "BTC", "XDG": "DOGE"}
_LEGACY = frozenset({"XBT", "XDG", "ETH", "LTC", "XRP", "ETC", "ZEC", "XLM"})
_MONEY = frozenset({"USD", "EUR", "GBP", "CAD", "JPY"})
_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "CAD", "JPY", "XBT", "ETH")


class BadRequest(ValueError):
    """What Kraken names in ``error``."""


class Kraken:
    """Historical candles, trades and pairs."""

    name = "kraken"
    paged = False

    def __init__(self, market: Market, *, live: LiveTape | None = None) -> None:
        self._crypto = CryptoMarket(market, live=live, provider=self.name)

    def respond(self, query: Query) -> Page | Answer:
        """A page, or Kraken's error for what was asked."""
        try:
            if query.path == "/0/public/OHLC":
                return self._candles(query.params)
            if query.path == "/0/public/Trades":
                return self._trades(query.params)
            if query.path == "/0/public/AssetPairs":
                return self._pairs(query.params)
        except BadRequest as error:
            return _error(str(error))
        return _error("EGeneral:Unknown method")

    def failure(self, status: int) -> Answer:
        """What stands before the exchange answers so."""
        said = "EAPI:Rate limit exceeded" if status == 429 else "EService:Unavailable"
        return _error(said, status)

    def hidden_error(self) -> Answer:
        """The way it says everything: with a status of 200."""
        return _error("EAPI:Rate limit exceeded")

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every pair
        """Unknown pair."""
        return _error("EQuery:Unknown asset pair")

    def _candles(self, params: Mapping[str, str]) -> Page:
        base, quote, pair = self._pair(params)
        step = _STEPS.get(params.get("interval", "1"))
        if step is None:
            raise BadRequest("EGeneral:Invalid arguments")
        now = int(self._crypto.now().timestamp())
        running = now // step * step
        first = max(running - _KEPT * step, _number(params, "since", 0) + 1)
        found = self._crypto.candles(pair, step, first, now, gaps=False)
        committed = max((candle.start for candle in found if candle.start < running), default=running - step)

        def encode(page: Page) -> Answer:
            rows = []
            for row in page.rows:
                amount, trades = _amount(row.volume), row.trades
                vwap = f"{float(row.vwap) / amount:.1f}" if amount and trades != "0" else "0.0"
                texts = (row.open, row.high, row.low, row.close, vwap, row.volume)
                cells = [str(row.start), *(_text(cell) for cell in texts), trades]
                rows.append(f"[{','.join([*cells, '0'] if page.extra else cells)}]")
            key = page.label or _key(base, quote)
            return _result(f'{json.dumps(key)}:[{",".join(rows)}],"last":{committed}')

        return Page([candle.row(pair) for candle in found], encode, null="null")

    def _trades(self, params: Mapping[str, str]) -> Answer:
        base, quote, pair = self._pair(params)
        now = int(self._crypto.now().timestamp() * 10**9)
        since = _number(params, "since", now - DAY * 10**9)
        count = max(1, min(_number(params, "count", _TRADES), _TRADES))
        rows: list[str] = []
        last = since
        for trades in self._crypto.trades_from(pair, since):
            at = int(trades.times.searchsorted(since, side="right"))
            for i in range(at, min(len(trades), at + count - len(rows))):
                last = int(trades.times[i])
                cells = [
                    f'"{padded(coin_text(int(trades.cents[i]), 2), 5)}"',
                    f'"{padded(coin_text(int(trades.sizes[i]), 4))}"',
                    f"{last // 10**9}.{last % 10**9:09d}".rstrip("0").rstrip("."),
                    '"b"' if trades.buys[i] else '"s"',
                    '"m"' if trades.ids[i] % 3 else '"l"',
                    '""',
                    str(trades.ids[i]),
                ]
                rows.append(f"[{','.join(cells)}]")
            if len(rows) >= count:
                break
        return _result(f'{json.dumps(_key(base, quote))}:[{",".join(rows)}],"last":"{last}"')

    def _pairs(self, params: Mapping[str, str]) -> Answer:
        base, quote, _ = self._pair(params)
        facts = {
            "altname": base + quote,
            "wsname": f"{base}/{quote}",
            "aclass_base": "currency",
            "base": _asset(base),
            "aclass_quote": "currency",
            "quote": _asset(quote),
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": 2,
            "lot_decimals": 8,
            "lot_multiplier": 1,
            "ordermin": "0.0001",
            "costmin": "0.5",
            "tick_size": "0.01",
            "status": "online",
        }
        return _result(json.dumps({_key(base, quote): facts})[1:-1])

    def _pair(self, params: Mapping[str, str]) -> tuple[str, str, str]:
        """Kraken's codes of base and quote, and the market's name of the pair."""
        asked = params.get("pair", "").upper().replace("/", "")
        for quote in _QUOTES:
            base = asked.removesuffix(quote)
            if asked.endswith(quote) and base:
                base = _CODES_BACK.get(base, base)
                pair = f"{_CODES.get(base, base)}-{_CODES.get(quote, quote)}"
                if self._crypto.knows(pair):
                    return base, quote, pair
        raise BadRequest("EQuery:Unknown asset pair")


_CODES_BACK = {common: code for code, common in _CODES.items()}


def _asset(code: str) -> str:
    """``XXBT``, ``ZUSD``: the old assets' long names."""
    return f"X{code}" if code in _LEGACY else f"Z{code}" if code in _MONEY else code


def _key(base: str, quote: str) -> str:
    """``XXBTZUSD`` where both are old, else the short name."""
    old = base in _LEGACY - {"XDG"} and (quote in _MONEY or quote in _LEGACY)
    return _asset(base) + _asset(quote) if old else base + quote


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 19:
        raise BadRequest("EGeneral:Invalid arguments")
    return int(text)


def _amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _text(cell: str) -> str:
    return "null" if cell == "null" else f'"{cell}"'


def _result(inner: str) -> Answer:
    return Answer(200, f'{{"error":[],"result":{{{inner}}}}}'.encode())


def _error(said: str, status: int = 200) -> Answer:
    return Answer(status, json.dumps({"error": [said]}).encode())
