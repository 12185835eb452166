"""Kraken's WebSocket v2: ``trade``, ``ticker`` and ``book`` as objects with numbers in full precision.

``status`` first; each symbol of a request is answered by itself, wrong ones with ``success: false``. A book
has a CRC32 with its snapshot and with each update, and of a depth of its own: levels that leave it
are not told. ``heartbeat`` every second in which nothing else was sent. Source: the vendor's documents.
"""

from __future__ import annotations

import json
from typing import Any

from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.live.book import Level, checksum, last_update, texts
from mdc_resources.sandbox.live.talk import (
    DEPTH,
    QUOTES,
    TRADES,
    Message,
    Stream,
    Talk,
    listed,
    parsed,
    stamp,
)
from mdc_resources.sandbox.tape import SECOND, Tick

_KINDS = {"trade": TRADES, "ticker": QUOTES, "book": DEPTH}
_DEPTHS = (10, 25, 100, 500, 1000)
_RECENT = 50


class KrakenTalk(Talk):
    """Trades, tickers and books of coins."""

    feed = "kraken"
    provider = "kraken"
    _spoken = 0  # when anything was sent last

    def opened(self) -> list[str]:
        """``status``."""
        data = {"api_version": "v2", "connection_id": self.position, "system": "online", "version": "2.0.10"}
        return [json.dumps({"channel": "status", "type": "update", "data": [data]}, separators=(",", ":"))]

    def received(self, text: str) -> list[str]:
        """``subscribe``, ``unsubscribe`` and ``ping``."""
        asked = parsed(text)
        method = asked.get("method") if asked else None
        if asked is None or method not in ("subscribe", "unsubscribe", "ping"):
            return [self._answer("error", asked or {}, error="Unsupported method")]
        if method == "ping":
            return [self._answer("pong", asked)]
        params = asked.get("params") if isinstance(asked.get("params"), dict) else {}
        assert isinstance(params, dict)
        channel, symbols = str(params.get("channel", "")), listed(params.get("symbol"))
        if channel not in _KINDS:
            return [self._answer(str(method), asked, error=f"Channel {channel[:40]} not supported")]
        change = self._subscribe if method == "subscribe" else self._unsubscribe
        return [said for symbol in symbols for said in change(asked, params, channel, symbol)]

    def beat(self, now: int) -> list[str]:
        """``heartbeat`` in a second that was silent."""
        if not self.streams or now - self._spoken < SECOND:
            return []
        self._spoken = now
        return ['{"channel":"heartbeat"}']

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """One trade of ``trade``."""
        self._spoken = self.position
        return Message(_update("trade", "update", _trade(stream.symbol, tick)), stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``ticker``."""
        self._spoken = self.position
        return Message(_update("ticker", "update", self._ticker(stream, tick)), stream, (tick.number,))

    def depth(self, stream: Stream, tick: Tick) -> Message | None:
        """One update of ``book`` with its checksum, if anything changed."""
        self._spoken = self.position
        book = self.floor.book(self.provider, stream.series)
        bids, asks = book.change(stream.before or tick, tick, stream.levels, forget=False)
        stream.before = tick
        if not bids and not asks:
            return None
        told = self._checksum(stream, tick)
        text = _update("book", "update", _book(stream.symbol, bids, asks, told, tick))
        return Message(text, stream, (last_update(tick.number),), told)

    def _subscribe(
        self, asked: dict[str, Any], params: dict[str, Any], channel: str, symbol: str
    ) -> list[str]:
        base, slash, quote = symbol.partition("/")
        pair, kind = f"{base}-{quote}", _KINDS[channel]
        levels = params.get("depth", 10) if channel == "book" else 0
        if not slash or not self.floor.trades_pair(pair):
            return [
                self._answer("subscribe", asked, symbol, error=f"Currency pair not supported {symbol[:40]}")
            ]
        if self.refuses("ws_refuse", f"{kind} {channel} {symbol}"):
            return [self._answer("subscribe", asked, symbol, error="Subscription not available")]
        if channel == "book" and levels not in _DEPTHS:
            return [self._answer("subscribe", asked, symbol, error="Subscription depth not supported")]
        if (channel, symbol) in self.streams:
            return [self._answer("subscribe", asked, symbol, error="Already subscribed")]
        stream = self.add(Stream(kind, channel, symbol, pair, levels))
        result: dict[str, Any] = {"channel": channel, "snapshot": params.get("snapshot", channel != "trade")}
        result |= {"depth": levels} if levels else {}
        said = [self._answer("subscribe", asked, result=result | {"symbol": symbol})]
        return [*said, self._first(stream)] if result["snapshot"] else said

    def _unsubscribe(self, asked: dict[str, Any], _: dict[str, Any], channel: str, symbol: str) -> list[str]:
        if self.streams.pop((channel, symbol), None) is None:
            return [self._answer("unsubscribe", asked, symbol, error="Subscription Not Found")]
        return [self._answer("unsubscribe", asked, result={"channel": channel, "symbol": symbol})]

    def _first(self, stream: Stream) -> str:
        """The snapshot of a channel."""
        if stream.kind == TRADES:
            rows = ",".join(_trade(stream.symbol, tick) for tick in self.recent(stream.series, _RECENT))
            return _update("trade", "snapshot", rows)
        if stream.kind == QUOTES:
            return _update("ticker", "snapshot", self._ticker(stream, self.latest(stream.series)))
        tick = stream.before
        assert tick is not None
        bids, asks = self.floor.book(self.provider, stream.series).state(tick, stream.levels)
        return _update(
            "book", "snapshot", _book(stream.symbol, bids, asks, self._checksum(stream, tick), tick)
        )

    def _checksum(self, stream: Stream, tick: Tick) -> int:
        state = self.floor.book(self.provider, stream.series).state(tick, 10)
        return checksum(texts(state.bids), texts(state.asks))

    def _ticker(self, stream: Stream, tick: Tick) -> str:
        book = self.floor.book(self.provider, stream.series)
        sides = [(price, book.size(price, tick.number)) for price in (tick.bid, tick.ask)]
        (bid, bid_size), (ask, ask_size) = texts(sides)
        last = coin_text(tick.price, 2)
        return (
            f'{{"symbol":"{stream.symbol}","bid":{bid},"bid_qty":{bid_size},"ask":{ask},"ask_qty":{ask_size},'
            f'"last":{last},"volume":1000.00000000,"vwap":{last},"low":{bid},"high":{ask},"change":0.00,'
            f'"change_pct":0.00,"timestamp":"{stamp(tick.quoted)}"}}'
        )

    def _answer(
        self, method: str, asked: dict[str, Any], symbol: str = "", *, result: object = None, error: str = ""
    ) -> str:
        body: dict[str, Any] = {"method": method}
        body |= {"req_id": asked["req_id"]} if isinstance(asked.get("req_id"), int) else {}
        if method != "pong":
            body |= {"error": error, "success": False} if error else {"result": result, "success": True}
        body |= {"symbol": symbol} if symbol else {}
        at = stamp(self.floor.tape.now())
        return json.dumps(body | {"time_in": at, "time_out": at}, separators=(",", ":"))


def _update(channel: str, kind: str, rows: str) -> str:
    return f'{{"channel":"{channel}","type":"{kind}","data":[{rows}]}}'


def _trade(symbol: str, tick: Tick) -> str:
    return (
        f'{{"symbol":"{symbol}","side":"{"buy" if tick.buys else "sell"}","price":{coin_text(tick.price, 2)},'
        f'"qty":{coin_text(tick.size, 4)}0000,"ord_type":"{"market" if tick.number % 3 else "limit"}",'
        f'"trade_id":{tick.trade_id},"timestamp":"{stamp(tick.time)}"}}'
    )


def _book(symbol: str, bids: list[Level], asks: list[Level], told: int, tick: Tick) -> str:
    sides = [
        ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in texts(levels))
        for levels in (bids, asks)
    ]
    return (
        f'{{"symbol":"{symbol}","bids":[{sides[0]}],"asks":[{sides[1]}],"checksum":{told},'
        f'"timestamp":"{stamp(tick.quoted)}"}}'
    )
