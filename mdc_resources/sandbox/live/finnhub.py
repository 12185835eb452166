"""Finnhub's stream: ``?token=``, trades only, nothing confirmed.

A wrong token is a 401 of the handshake. Trades come in batches without ids or sequence numbers, in
milliseconds; a ``ping`` now and then. Fifty symbols, then ``Subscribing to too many symbols``. Source: the
vendor's documents and frames quoted by users.
"""

from __future__ import annotations

import json

from mdc_resources.sandbox.answers import cents_text
from mdc_resources.sandbox.dialects.finnhub_ticks import conditions_of
from mdc_resources.sandbox.live.talk import TRADES, Message, Stream, Talk, parsed
from mdc_resources.sandbox.tape import SECOND, Tick

_MOST = 50
_PING_SECONDS = 10


class FinnhubTalk(Talk):
    """Trades of stocks."""

    feed = "finnhub"
    provider = "finnhub"
    arrays = True
    _beaten = 0

    def rejection(self) -> tuple[int, bytes] | None:
        """401 where the token is missing or wrong."""
        token = self.hello.params.get("token") or self.hello.headers.get("x-finnhub-token", "")
        if not token or token.startswith("bad") or self.refuses("ws_auth", "auth"):
            return 401, b"Invalid API key"
        return None

    def received(self, text: str) -> list[str]:
        """Subscriptions; an answer only where something is wrong."""
        asked = parsed(text)
        symbol = asked.get("symbol") if asked else None
        if asked is None or not isinstance(symbol, str):
            return [_error("Invalid message")]
        if asked.get("type") == "unsubscribe":
            self.streams.pop(("trade", symbol), None)
            return []
        if asked.get("type") != "subscribe":
            return [_error("Invalid message")]
        if not self.floor.lists(symbol) or self.refuses("ws_refuse", f"{TRADES} trade {symbol}"):
            return [_error(f"Invalid symbol {symbol[:40]}")]
        if len(self.streams) >= _MOST and ("trade", symbol) not in self.streams:
            return [_error("Subscribing to too many symbols")]
        self.add(Stream(TRADES, "trade", symbol, symbol))
        return []

    def beat(self, now: int) -> list[str]:
        """``ping``."""
        self._beaten = self._beaten or now
        if now - self._beaten < _PING_SECONDS * SECOND:
            return []
        self._beaten = now
        return ['{"type":"ping"}']

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """One element of ``data``."""
        conditions = json.dumps(conditions_of(tick.size), separators=(",", ":"))
        text = (
            f'{{"c":{conditions},"p":{cents_text(tick.price)},"s":"{stream.symbol}",'
            f'"t":{tick.time // 10**6},"v":{tick.size}}}'
        )
        return Message(text, stream, (tick.trade_id,))

    def joined(self, texts: list[str]) -> str:
        """The batch."""
        return f'{{"data":[{",".join(texts)}],"type":"trade"}}'


def _error(message: str) -> str:
    return json.dumps({"msg": message, "type": "error"}, separators=(",", ":"))
