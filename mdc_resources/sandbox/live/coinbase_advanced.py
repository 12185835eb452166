"""Coinbase Advanced Trade: envelopes with a ``sequence_num`` that counts every message of a connection.

Subscribed to as ``level2``, the book comes as ``l2_data``; a snapshot first, then changes with absolute
quantities. ``market_trades`` begins with a snapshot of the latest trades, newest first. ``heartbeats`` needs
no products. ``side`` is the taker's. A product that is not traded is answered with ``type: error``. Source:
the vendor's documents and samples shaped like them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.live.book import LEVELS, Change, last_update, merged, texts
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

_KINDS = {"market_trades": TRADES, "ticker": QUOTES, "level2": DEPTH}
_RECENT = 10
_BATCH = SECOND // 20


class CoinbaseAdvancedTalk(Talk):
    """Trades, tickers and books of coins."""

    feed = "coinbase-advanced"
    provider = "coinbase"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._sequence = self._beaten = self._beats = self._batched = 0
        self._heartbeats = False

    def received(self, text: str) -> list[str]:
        """One channel at a time."""
        asked = parsed(text)
        if asked is None or asked.get("type") not in ("subscribe", "unsubscribe"):
            return ['{"type":"error","message":"invalid message"}']
        channel, products = str(asked.get("channel", "")), listed(asked.get("product_ids"))
        if channel == "heartbeats":
            self._heartbeats = asked["type"] == "subscribe"
            return [self._list()]
        if channel not in _KINDS:
            return [json.dumps({"type": "error", "message": f"channel {channel[:40]} is not supported"})]
        if asked["type"] == "unsubscribe":
            for product in products or [symbol for of, symbol in self.streams if of == channel]:
                self.streams.pop((channel, product), None)
            return [self._list()]
        return self._subscribe(channel, products)

    def beat(self, now: int) -> list[str]:
        """``heartbeats``, one a second."""
        if not self._heartbeats or now - self._beaten < SECOND:
            return []
        self._beaten = now
        self._beats += 1
        at = f"{stamp(now, 9)[:10]} {stamp(now, 9)[11:-1]} +0000 UTC"
        event = f'{{"current_time":"{at}","heartbeat_counter":{self._beats}}}'
        return [self._envelope("heartbeats", now, event)]

    def bundles(self, now: int) -> Iterator[Message]:
        """The book changes of each twentieth of a second."""
        if now // _BATCH == self._batched:
            return
        self._batched = now // _BATCH
        for stream in self.streams.values():
            if stream.waiting:
                yield self._changes(stream)

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """One trade of ``market_trades``."""
        event = f'{{"type":"update","trades":[{_trade(stream.symbol, tick)}]}}'
        return Message(self._envelope("market_trades", tick.time, event), stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``ticker``."""
        event = f'{{"type":"update","tickers":[{self._ticker(stream, tick)}]}}'
        return Message(self._envelope("ticker", tick.quoted, event), stream, (tick.number,))

    def depth(self, stream: Stream, tick: Tick) -> None:
        """Waits for the next batch."""
        stream.waiting.append(tick)

    def _subscribe(self, channel: str, products: list[str]) -> list[str]:
        kind = _KINDS[channel]
        for product in products:
            known = self.floor.trades_pair(product)
            if not known or self.refuses("ws_refuse", f"{kind} {channel} {product}"):
                said = f"{product[:40]} is not a valid product"
                return [json.dumps({"type": "error", "message": said}, separators=(",", ":"))]
        first = []
        for product in products:
            if (channel, product) in self.streams:
                continue
            stream = self.add(Stream(kind, channel, product, product))
            first.append(self._first(stream))
        return [*first, self._list()]

    def _first(self, stream: Stream) -> str:
        """The snapshot of a channel."""
        now = self.position
        if stream.kind == TRADES:
            rows = ",".join(
                _trade(stream.symbol, tick) for tick in reversed(self.recent(stream.series, _RECENT))
            )
            return self._envelope("market_trades", now, f'{{"type":"snapshot","trades":[{rows}]}}')
        if stream.kind == QUOTES:
            ticker = self._ticker(stream, self.latest(stream.series))
            return self._envelope("ticker", now, f'{{"type":"snapshot","tickers":[{ticker}]}}')
        assert stream.before is not None
        state = self.floor.book(self.provider, stream.series).state(stream.before, LEVELS)
        return self._book(stream, "snapshot", state, now)

    def _changes(self, stream: Stream) -> Message:
        book = self.floor.book(self.provider, stream.series)
        changes, before = [], stream.before
        for tick in stream.waiting:
            changes.append(book.change(before or tick, tick, LEVELS))
            before = tick
        stream.before, last = before, stream.waiting[-1]
        stream.waiting.clear()
        text = self._book(stream, "update", merged(changes), last.quoted)
        return Message(text, stream, (last_update(last.number),))

    def _book(self, stream: Stream, kind: str, change: Change, at: int) -> str:
        rows = [
            f'{{"side":"{side}","event_time":"{stamp(at)}","price_level":"{price}","new_quantity":"{size}"}}'
            for side, levels in zip(("bid", "offer"), change, strict=True)
            for price, size in texts(levels)
        ]
        event = f'{{"type":"{kind}","product_id":"{stream.symbol}","updates":[{",".join(rows)}]}}'
        return self._envelope("l2_data", at, event)

    def _ticker(self, stream: Stream, tick: Tick) -> str:
        book = self.floor.book(self.provider, stream.series)
        sides = [(price, book.size(price, tick.number)) for price in (tick.bid, tick.ask)]
        (bid, bid_size), (ask, ask_size) = texts(sides)
        return (
            f'{{"type":"ticker","product_id":"{stream.symbol}","price":"{coin_text(tick.price, 2)}",'
            f'"volume_24_h":"1000.00000000","low_24_h":"{bid}","high_24_h":"{ask}","low_52_w":"{bid}",'
            f'"high_52_w":"{ask}","price_percent_chg_24_h":"0.1","best_bid":"{bid}",'
            f'"best_bid_quantity":"{bid_size}","best_ask":"{ask}","best_ask_quantity":"{ask_size}"}}'
        )

    def _list(self) -> str:
        found: dict[str, list[str]] = {}
        for channel, symbol in self.streams:
            found.setdefault(channel, []).append(symbol)
        if self._heartbeats:
            found["heartbeats"] = ["heartbeats"]
        event = json.dumps({"subscriptions": found}, separators=(",", ":"))
        return self._envelope("subscriptions", self.position, event)

    def _envelope(self, channel: str, at: int, event: str) -> str:
        number, self._sequence = self._sequence, self._sequence + 1
        return (
            f'{{"channel":"{channel}","client_id":"","timestamp":"{stamp(at, 9)}","sequence_num":{number},'
            f'"events":[{event}]}}'
        )


def _trade(product: str, tick: Tick) -> str:
    return (
        f'{{"trade_id":"{tick.trade_id}","product_id":"{product}","price":"{coin_text(tick.price, 2)}",'
        f'"size":"{coin_text(tick.size, 4)}0000","time":"{stamp(tick.time)}",'
        f'"side":"{"BUY" if tick.buys else "SELL"}"}}'
    )
