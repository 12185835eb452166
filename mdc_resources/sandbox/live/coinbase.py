"""Coinbase Exchange's feed: ``matches``, ``ticker``, ``level2_batch`` and ``heartbeat`` of products.

Subscribing is answered with what is in force; one product that is not traded refuses the request. A
match carries the *maker's* side, the last one before comes as ``last_match``; the book begins with a
``snapshot``, its changes are absolute and have no sequence. ``level2`` and ``full`` need authentication and
are refused. Source: the vendor's documents and a recorded feed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.live.book import LEVELS, last_update, merged, texts
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

_KINDS = {"matches": TRADES, "ticker": QUOTES, "level2_batch": DEPTH, "heartbeat": ""}
_KEYED = ("level2", "level3", "full", "user")
_BATCH = SECOND // 20


class CoinbaseTalk(Talk):
    """Trades, tickers and books of coins."""

    feed = "coinbase"
    provider = "coinbase"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._wanted: dict[str, list[str]] = {}  # channel -> products
        self._beaten = self._batched = 0

    def received(self, text: str) -> list[str]:
        """``subscribe`` and ``unsubscribe``; each is answered with what is in force."""
        asked = parsed(text)
        if asked is None or asked.get("type") not in ("subscribe", "unsubscribe"):
            return [_error("Failed to parse message" if asked is None else "Type has to be subscribe", "")]
        wanted = _channels(asked)
        if asked["type"] == "unsubscribe":
            return self._unsubscribe(wanted)
        for channel, products in wanted.items():
            reason = self._wrong(channel, products)
            if reason:
                return [_error("Failed to subscribe", reason)]
        first: list[str] = []
        for channel, products in wanted.items():
            for product in products:
                first += self._subscribe(channel, product)
        return [*first, self._list()]

    def beat(self, now: int) -> list[str]:
        """One heartbeat a second per product of its channel."""
        products = self._wanted.get("heartbeat", [])
        if now - self._beaten < SECOND or not products:
            return []
        self._beaten = now
        return [self._heartbeat(product, now) for product in products]

    def bundles(self, now: int) -> Iterator[Message]:
        """The book changes of each twentieth of a second."""
        if now // _BATCH == self._batched:
            return
        self._batched = now // _BATCH
        for stream in self.streams.values():
            if stream.waiting:
                yield self._changes(stream)

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """``match``."""
        return Message(_match("match", stream.symbol, tick), stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``ticker``: best prices beside the trade that moved them."""
        book = self.floor.book(self.provider, stream.series)
        sides = [(price, book.size(price, tick.number)) for price in (tick.bid, tick.ask)]
        (bid, bid_size), (ask, ask_size) = texts(sides)
        text = (
            f'{{"type":"ticker","sequence":{last_update(tick.number)},"product_id":"{stream.symbol}",'
            f'"price":"{coin_text(tick.price, 2)}","open_24h":"{coin_text(tick.price, 2)}",'
            f'"volume_24h":"1000.00000000","low_24h":"{bid}","high_24h":"{ask}","volume_30d":"30000.00000000",'
            f'"best_bid":"{bid}","best_bid_size":"{bid_size}","best_ask":"{ask}","best_ask_size":"{ask_size}",'
            f'"side":"{"buy" if tick.buys else "sell"}","time":"{stamp(tick.quoted)}",'
            f'"trade_id":{tick.trade_id},"last_size":"{coin_text(tick.size, 4)}0000"}}'
        )
        return Message(text, stream, (tick.number,))

    def depth(self, stream: Stream, tick: Tick) -> None:
        """Waits for the next batch."""
        stream.waiting.append(tick)

    def _changes(self, stream: Stream) -> Message:
        book = self.floor.book(self.provider, stream.series)
        changes, before = [], stream.before
        for tick in stream.waiting:
            changes.append(book.change(before or tick, tick, LEVELS))
            before = tick
        stream.before, last = before, stream.waiting[-1]
        stream.waiting.clear()
        rows = [
            f'["{side}","{price}","{size}"]'
            for side, levels in zip(("buy", "sell"), merged(changes), strict=True)
            for price, size in texts(levels)
        ]
        text = (
            f'{{"type":"l2update","product_id":"{stream.symbol}","changes":[{",".join(rows)}],'
            f'"time":"{stamp(last.quoted)}"}}'
        )
        return Message(text, stream, (last_update(last.number),))

    def _wrong(self, channel: str, products: list[str]) -> str:
        if channel in _KEYED:
            return f"{channel} channel requires authentication"
        if channel not in _KINDS:
            return f"{channel} is not a valid channel"
        if not products:
            return f"You need to specify at least one product ID for channel {channel}"
        kind = _KINDS[channel]
        for product in products:
            known = self.floor.trades_pair(product)
            if not known or self.refuses("ws_refuse", f"{kind or channel} {channel} {product}"):
                return f"{product[:40]} is not a valid product"
        return ""

    def _subscribe(self, channel: str, product: str) -> list[str]:
        products = self._wanted.setdefault(channel, [])
        if product in products:
            return []
        products.append(product)
        kind = _KINDS[channel]
        if not kind:
            return []
        stream = self.add(Stream(kind, channel, product, product))
        if kind == TRADES:
            return [_match("last_match", product, tick) for tick in self.recent(product, 1)]
        return [self._snapshot(stream)] if kind == DEPTH else []

    def _snapshot(self, stream: Stream) -> str:
        assert stream.before is not None
        state = self.floor.book(self.provider, stream.series).state(stream.before, LEVELS)
        bids, asks = (json.dumps([list(row) for row in texts(side)], separators=(",", ":")) for side in state)
        return f'{{"type":"snapshot","product_id":"{stream.symbol}","asks":{asks},"bids":{bids}}}'

    def _unsubscribe(self, wanted: dict[str, list[str]]) -> list[str]:
        for channel, products in wanted.items():
            for product in products or list(self._wanted.get(channel, [])):
                self.streams.pop((channel, product), None)
                if product in self._wanted.get(channel, []):
                    self._wanted[channel].remove(product)
        return [self._list()]

    def _list(self) -> str:
        channels = [
            {"name": name, "product_ids": products, "account_ids": None}
            for name, products in self._wanted.items()
            if products
        ]
        return json.dumps({"type": "subscriptions", "channels": channels}, separators=(",", ":"))

    def _heartbeat(self, product: str, now: int) -> str:
        tick = self.recent(product, 1)[-1]
        return (
            f'{{"type":"heartbeat","last_trade_id":{tick.trade_id},"product_id":"{product}",'
            f'"sequence":{last_update(tick.number)},"time":"{stamp(now)}"}}'
        )


def _channels(asked: dict[str, Any]) -> dict[str, list[str]]:
    """Channel -> products: of its own, or those of the request."""
    common = listed(asked.get("product_ids"))
    found: dict[str, list[str]] = {}
    channels = asked.get("channels")
    for channel in channels if isinstance(channels, list) else ():
        if isinstance(channel, str):
            found[channel] = common
        elif isinstance(channel, dict):
            found[str(channel.get("name", ""))] = listed(channel.get("product_ids")) or common
    return found


def _match(kind: str, product: str, tick: Tick) -> str:
    orders = [str(_order(f"{side}{tick.number}{product}")) for side in ("m", "t")]
    return (
        f'{{"type":"{kind}","trade_id":{tick.trade_id},"maker_order_id":"{orders[0]}",'
        f'"taker_order_id":"{orders[1]}","side":"{"sell" if tick.buys else "buy"}",'
        f'"size":"{coin_text(tick.size, 4)}0000","price":"{coin_text(tick.price, 2)}",'
        f'"product_id":"{product}","sequence":{last_update(tick.number)},"time":"{stamp(tick.time)}"}}'
    )


def _order(name: str) -> str:
    number = f"{noise.key(name):016x}" * 2
    return f"{number[:8]}-{number[8:12]}-4{number[13:16]}-8{number[17:20]}-{number[20:]}"


def _error(message: str, reason: str) -> str:
    body = {"type": "error", "message": message} | ({"reason": reason} if reason else {})
    return json.dumps(body, separators=(",", ":"))
