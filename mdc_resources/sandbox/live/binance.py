"""Binance's streams: ``/ws``, ``/ws/<stream>`` raw, ``/stream?streams=`` combined; SUBSCRIBE on either.

``@trade``, ``@aggTrade``, ``@bookTicker``, and ``@depth`` each second or with ``@100ms``: bundles of changes
with ``U`` .. ``u``, that follow on each other without a gap and on ``/api/v3/depth``. Milliseconds unless
``timeUnit=MICROSECOND``. A ping frame every 20 s. 1,024 streams a connection. A stream of a symbol that
is not traded refuses its request with code 2. Source: the vendor's documents of the streams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.dialects.binance import pair_of
from mdc_resources.sandbox.live.book import LEVELS, first_update, last_update, merged, texts
from mdc_resources.sandbox.live.talk import DEPTH, QUOTES, TRADES, Message, Stream, Talk, listed, parsed
from mdc_resources.sandbox.tape import SECOND, Tick

_STREAM = re.compile(r"([a-z0-9]+)@(trade|aggTrade|bookTicker|depth(?:@100ms|@1000ms)?)")
_KINDS = {"trade": TRADES, "aggTrade": TRADES, "bookTicker": QUOTES}
_MOST = 1024
_QUICK, _LAZY = SECOND // 10, SECOND


class BinanceTalk(Talk):
    """Trades, best prices and book changes of coins."""

    feed = "binance"
    provider = "binance"
    ping_seconds = 20.0
    _refused = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._combined = self.hello.path.startswith("/stream")
        self._unit = 1000 if self.hello.params.get("timeUnit", "").upper() == "MICROSECOND" else 10**6
        self._flushed: dict[int, int] = {}  # length of a bundle -> the last one that was sent

    def opened(self) -> list[str]:
        """Nothing; what the address names is sent at once."""
        named = (
            self.hello.params.get("streams", "") if self._combined else self.hello.path.removeprefix("/ws/")
        )
        for name in named.split("/"):
            stream = self._stream(name)
            if stream is not None:
                self.add(stream)
        return []

    def received(self, text: str) -> list[str]:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS and the ``combined`` property."""
        asked = parsed(text)
        if asked is None:
            return [
                json.dumps({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
            ]
        number, params = asked.get("id"), listed(asked.get("params"))
        method = asked.get("method")
        if method == "SUBSCRIBE":
            return [self._subscribe(params, number)]
        if method == "UNSUBSCRIBE":
            for name in params:
                symbol, _, channel = name.partition("@")
                self.streams.pop((channel, symbol), None)
            return [_result(None, number)]
        if method == "LIST_SUBSCRIPTIONS":
            return [_result([f"{symbol}@{channel}" for channel, symbol in self.streams], number)]
        if method == "SET_PROPERTY" and isinstance(asked.get("params"), list) and len(asked["params"]) == 2:
            self._combined = bool(asked["params"][1])
            return [_result(None, number)]
        return [_refusal("Invalid request: unknown variant", number)]

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """``trade`` or ``aggTrade``."""
        at, maker = tick.time // self._unit, "false" if tick.buys else "true"
        price, size = coin_text(tick.price, 2) + "000000", coin_text(tick.size, 4) + "0000"
        ids = f'"a":{tick.trade_id}' if stream.channel == "aggTrade" else f'"t":{tick.trade_id}'
        span = f'"f":{tick.trade_id},"l":{tick.trade_id},' if stream.channel == "aggTrade" else ""
        text = (
            f'{{"e":"{stream.channel}","E":{at},"s":"{stream.symbol.upper()}",{ids},"p":"{price}","q":"{size}",'
            f'{span}"T":{at},"m":{maker},"M":true}}'
        )
        return Message(self._framed(stream, text), stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``bookTicker``, which has no time."""
        book = self.floor.book(self.provider, stream.series)
        bid, ask = ((price, book.size(price, tick.number)) for price in (tick.bid, tick.ask))
        ((bid_price, bid_size), (ask_price, ask_size)) = texts([bid, ask])
        last = last_update(tick.number)
        text = (
            f'{{"u":{last},"s":"{stream.symbol.upper()}","b":"{bid_price}000000","B":"{bid_size}",'
            f'"a":"{ask_price}000000","A":"{ask_size}"}}'
        )
        return Message(self._framed(stream, text), stream, (last,))

    def depth(self, stream: Stream, tick: Tick) -> None:
        """Waits for the next bundle."""
        stream.waiting.append(tick)

    def bundles(self, now: int) -> Iterator[Message]:
        """The bundles whose tenth of a second, or second, is over."""
        for length in (_QUICK, _LAZY):
            if self._flushed.get(length) == now // length:
                continue
            self._flushed[length] = now // length
            for stream in self.streams.values():
                if stream.waiting and length == (_QUICK if stream.channel.endswith("@100ms") else _LAZY):
                    yield self._bundle(stream, now)

    def _bundle(self, stream: Stream, now: int) -> Message:
        book = self.floor.book(self.provider, stream.series)
        changes, before = [], stream.before
        for tick in stream.waiting:
            changes.append(book.change(before or tick, tick, LEVELS))
            before = tick
        first, last = first_update(stream.waiting[0].number), last_update(stream.waiting[-1].number)
        stream.before = before
        stream.waiting.clear()
        bids, asks = (
            ",".join(f'["{price}000000","{size}"]' for price, size in texts(side)) for side in merged(changes)
        )
        text = (
            f'{{"e":"depthUpdate","E":{now // self._unit},"s":"{stream.symbol.upper()}",'
            f'"U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}'
        )
        return Message(self._framed(stream, text), stream, (last,))

    def _framed(self, stream: Stream, text: str) -> str:
        if not self._combined:
            return text
        return f'{{"stream":"{stream.symbol}@{stream.channel}","data":{text}}}'

    def _subscribe(self, names: list[str], number: object) -> str:
        found = [self._stream(name) for name in names]
        if not names or None in found:
            return _refusal("Invalid request: unknown stream", number)
        fresh = [stream for stream in found if stream and (stream.channel, stream.symbol) not in self.streams]
        if len(self.streams) + len(fresh) > _MOST:
            return _refusal("Invalid request: too many subscriptions", number)
        for stream in fresh:
            self.add(stream)
        return _result(None, number)

    def _stream(self, name: str) -> Stream | None:
        found = _STREAM.fullmatch(name)
        pair = pair_of(found[1].upper(), self.floor.trades_pair) if found else None
        if found is None or pair is None:
            return None
        kind = _KINDS.get(found[2], DEPTH)
        if self.refuses("ws_refuse", f"{kind} {found[2]} {found[1]}"):
            return None
        return Stream(kind, found[2], found[1], pair)


def _result(result: object, number: object) -> str:
    return json.dumps({"result": result, "id": number}, separators=(",", ":"))


def _refusal(message: str, number: object) -> str:
    return json.dumps({"error": {"code": 2, "msg": message}, "id": number}, separators=(",", ":"))
