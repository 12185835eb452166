"""Kraken's WebSocket v1: data as arrays ``[channelID, payload.., name, pair]``, all numbers quoted.

``systemStatus`` first, a ``subscriptionStatus`` per pair; ``trade``, ``spread``, ``ticker`` and
``book-<depth>``. A book update has one payload or two (asks, then bids), the checksum in the last;
the snapshot has none. The coin is called ``XBT``; trades carry no id. ``heartbeat`` every second.
Source: the vendor's documents and a recorded feed.
"""

from __future__ import annotations

import json
from typing import Any

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.live.book import Level, checksum, last_update, texts
from mdc_resources.sandbox.live.talk import DEPTH, QUOTES, TRADES, Message, Stream, Talk, listed, parsed
from mdc_resources.sandbox.tape import SECOND, Tick

_KINDS = {"trade": TRADES, "spread": QUOTES, "ticker": QUOTES, "book": DEPTH}
_DEPTHS = (10, 25, 100, 500, 1000)
_COMMON = {"XBT": "BTC", "XDG": "DOGE"}


class KrakenV1Talk(Talk):
    """Trades, spreads and books of coins."""

    feed = "kraken-v1"
    provider = "kraken"
    _beaten = 0

    def opened(self) -> list[str]:
        """``systemStatus``."""
        body = {
            "connectionID": self.position,
            "event": "systemStatus",
            "status": "online",
            "version": "1.9.6",
        }
        return [_json(body)]

    def received(self, text: str) -> list[str]:
        """``subscribe``, ``unsubscribe`` and ``ping``."""
        asked = parsed(text)
        event = asked.get("event") if asked else None
        if asked is None or event not in ("subscribe", "unsubscribe", "ping"):
            return [_json({"errorMessage": "Malformed request", "event": "error"})]
        number = {"reqid": asked["reqid"]} if isinstance(asked.get("reqid"), int) else {}
        if event == "ping":
            return [_json({"event": "pong"} | number)]
        wanted = asked.get("subscription")
        wanted = wanted if isinstance(wanted, dict) else {}
        change = self._subscribe if event == "subscribe" else self._unsubscribe
        return [said for pair in listed(asked.get("pair")) for said in change(wanted, pair, number)]

    def beat(self, now: int) -> list[str]:
        """``heartbeat``."""
        if now - self._beaten < SECOND:
            return []
        self._beaten = now
        return ['{"event":"heartbeat"}']

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """One row of ``trade``."""
        text = f'[{stream.number},[{_trade(tick)}],"trade","{stream.symbol}"]'
        return Message(text, stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``spread`` or ``ticker``."""
        return Message(self._best(stream, tick), stream, (tick.number,))

    def depth(self, stream: Stream, tick: Tick) -> Message | None:
        """One update of a book, if anything changed."""
        book = self.floor.book(self.provider, stream.series)
        bids, asks = book.change(stream.before or tick, tick, stream.levels, forget=False)
        stream.before = tick
        if not bids and not asks:
            return None
        state = book.state(tick, 10)
        told = checksum(_quoted(state.bids), _quoted(state.asks))
        sides = [f'"{name}":[{_rows(levels, tick)}]' for name, levels in (("a", asks), ("b", bids)) if levels]
        sides[-1] += f',"c":"{told}"'
        payload = ",".join(f"{{{side}}}" for side in sides)
        text = f'[{stream.number},{payload},"{stream.channel}","{stream.symbol}"]'
        return Message(text, stream, (last_update(tick.number),), told)

    def _subscribe(self, wanted: dict[str, Any], pair: str, number: dict[str, int]) -> list[str]:
        name, levels = str(wanted.get("name", "")), wanted.get("depth", 10)
        kind, series = _KINDS.get(name, ""), _series(pair)
        channel = f"book-{levels}" if name == "book" else name
        wrong = ""
        if not kind:
            wrong = "Subscription name invalid"
        elif not self.floor.trades_pair(series):
            wrong = f"Currency pair not supported {pair[:40]}"
        elif name == "book" and levels not in _DEPTHS:
            wrong = "Subscription depth not supported"
        elif self.refuses("ws_refuse", f"{kind} {channel} {pair}"):
            wrong = "Subscription not available"
        if wrong:
            said = {"errorMessage": wrong, "event": "subscriptionStatus", "pair": pair, "status": "error"}
            return [_json(said | {"subscription": wanted} | number)]
        stream = Stream(kind, channel, pair, series, levels if kind == DEPTH else 0)
        stream.number = noise.key("kraken", channel, pair) % 9_000 + 1
        self.add(stream)
        # Trades begin with the next one: the recorded feed has no history on subscribing.
        first = [] if stream.kind == TRADES else [self._first(stream)]
        return [self._status(stream, "subscribed", wanted, number), *first]

    def _unsubscribe(self, wanted: dict[str, Any], pair: str, number: dict[str, int]) -> list[str]:
        name = str(wanted.get("name", ""))
        channel = f"book-{wanted.get('depth', 10)}" if name == "book" else name
        stream = self.streams.pop((channel, pair), None)
        if stream is None:
            said = {"errorMessage": "Subscription Not Found", "event": "subscriptionStatus", "pair": pair}
            return [_json(said | {"status": "error", "subscription": wanted} | number)]
        return [self._status(stream, "unsubscribed", wanted, number)]

    def _status(self, stream: Stream, status: str, wanted: dict[str, Any], number: dict[str, int]) -> str:
        name = {"name": wanted.get("name")} | ({"depth": stream.levels} if stream.levels else {})
        body = {"channelID": stream.number, "channelName": stream.channel, "event": "subscriptionStatus"}
        return _json(body | {"pair": stream.symbol, "status": status, "subscription": name} | number)

    def _first(self, stream: Stream) -> str:
        tick = self.latest(stream.series)
        if stream.kind == QUOTES:
            return self._best(stream, tick)
        bids, asks = self.floor.book(self.provider, stream.series).state(tick, stream.levels)
        sides = f'{{"as":[{_rows(asks, tick)}],"bs":[{_rows(bids, tick)}]}}'
        return f'[{stream.number},{sides},"{stream.channel}","{stream.symbol}"]'

    def _best(self, stream: Stream, tick: Tick) -> str:
        book = self.floor.book(self.provider, stream.series)
        sides = [(price, book.size(price, tick.number)) for price in (tick.bid, tick.ask)]
        (bid, bid_size), (ask, ask_size) = texts(sides)
        if stream.channel == "spread":
            payload = f'["{bid}000","{ask}000","{_time(tick.quoted)}","{bid_size}","{ask_size}"]'
        else:
            price = coin_text(tick.price, 2) + "000"
            both = f'["{price}","{price}"]'
            payload = (
                f'{{"a":["{ask}000",{ask_size.partition(".")[0]},"{ask_size}"],"b":["{bid}000",'
                f'{bid_size.partition(".")[0]},"{bid_size}"],"c":["{price}","{coin_text(tick.size, 4)}0000"],'
                f'"v":["1000.00000000","1000.00000000"],"p":{both},"t":[1,1],"l":{both},"h":{both},"o":{both}}}'
            )
        return f'[{stream.number},{payload},"{stream.channel}","{stream.symbol}"]'


def _series(pair: str) -> str:
    base, _, quote = pair.partition("/")
    return f"{_COMMON.get(base, base)}-{_COMMON.get(quote, quote)}"


def _trade(tick: Tick) -> str:
    side, order = "b" if tick.buys else "s", "m" if tick.number % 3 else "l"
    price, size = coin_text(tick.price, 2) + "000", coin_text(tick.size, 4) + "0000"
    return f'["{price}","{size}","{_time(tick.time)}","{side}","{order}",""]'


def _rows(levels: list[Level], tick: Tick) -> str:
    at = _time(tick.quoted)
    return ",".join(f'["{price}","{size}","{at}"]' for price, size in _quoted(levels))


def _quoted(levels: list[Level]) -> list[tuple[str, str]]:
    """Levels with five decimals of a price."""
    return [(f"{price}000", size) for price, size in texts(levels)]


def _time(nanoseconds: int) -> str:
    """Seconds with six decimals."""
    return f"{nanoseconds // SECOND}.{nanoseconds % SECOND // 1000:06d}"


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
