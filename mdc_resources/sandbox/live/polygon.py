"""Polygon's (Massive's) stock stream ``/stocks``: arrays of events that ``ev`` tells apart.

``connected``, the client's key, then one ``success`` per subscribed topic (``T.AAPL``, ``Q.AAPL``). Times are
milliseconds, where history has nanoseconds; ``q`` rises by three per ticker from each UTC midnight on, as
numbers of a shared tape do. Source: the vendor's documents of the stream and their examples.
"""

from __future__ import annotations

import json

from mdc_resources.sandbox.answers import cents_text
from mdc_resources.sandbox.dialects.polygon_ticks import exchange_code, place_in_day, reporting
from mdc_resources.sandbox.live.talk import QUOTES, TRADES, Message, Stream, Talk, parsed
from mdc_resources.sandbox.tape import Tick

_KINDS = {"T": TRADES, "Q": QUOTES}
_MILLISECOND = 10**6


class PolygonTalk(Talk):
    """Trades and quotes of stocks."""

    feed = "polygon"
    provider = "polygon"
    arrays = True
    ping_seconds = 20.0
    _authenticated = False

    def opened(self) -> list[str]:
        """``connected``."""
        return [_status("connected", "Connected Successfully")]

    def received(self, text: str) -> list[str]:
        """The key, then topics."""
        asked = parsed(text)
        if asked is None or not isinstance(asked.get("params"), str):
            return [_status("error", "invalid message")]
        params = asked["params"]
        if asked.get("action") == "auth":
            if not params or params.startswith("bad") or self.refuses("ws_auth", "auth"):
                self.closing = (1008, "authentication failed")
                return [_status("auth_failed", "authentication failed")]
            self._authenticated = True
            return [_status("auth_success", "authenticated")]
        if not self._authenticated:
            self.closing = (1008, "not authenticated")
            return [_status("auth_required", "not authenticated")]
        topics = [topic.strip() for topic in params.split(",") if topic.strip()]
        if asked.get("action") == "subscribe":
            return [_frame([self._subscribe(topic) for topic in topics])]
        if asked.get("action") == "unsubscribe":
            return [_frame([self._unsubscribe(topic) for topic in topics])]
        return [_status("error", "unknown action")]

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """``ev`` is ``T``."""
        conditions = '"c":[37],' if tick.size < 100 else ""
        place = place_in_day(self.floor.tape, stream.series, tick.time, tick.number)
        trf, late = reporting(tick.venue, place), tick.time - 1000
        reported = f',"trfi":{trf},"trft":{late // _MILLISECOND}' if trf else ""
        text = (
            f'{{"ev":"T","sym":"{stream.symbol}","x":{exchange_code(tick.venue)},"i":"{tick.trade_id}","z":3,'
            f'"p":{cents_text(tick.price)},"s":{tick.size},{conditions}"t":{tick.time // _MILLISECOND},'
            f'"q":{1000 + 3 * place}{reported}}}'
        )
        return Message(text, stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``ev`` is ``Q``; sizes are shares."""
        place = place_in_day(self.floor.tape, stream.series, tick.time, tick.number)
        text = (
            f'{{"ev":"Q","sym":"{stream.symbol}","bx":{exchange_code(tick.bid_venue)},"bp":{cents_text(tick.bid)},'
            f'"bs":{tick.bid_size},"ax":{exchange_code(tick.ask_venue)},"ap":{cents_text(tick.ask)},'
            f'"as":{tick.ask_size},"c":1,"t":{tick.quoted // _MILLISECOND},"q":{1000 + 2 * place},"z":3}}'
        )
        return Message(text, stream, (tick.number,))

    def _subscribe(self, topic: str) -> dict[str, str]:
        channel, _, symbol = topic.partition(".")
        kind = _KINDS.get(channel, "")
        known = bool(kind) and self.floor.lists(symbol)
        if not known or self.refuses("ws_refuse", f"{kind} {channel} {symbol}"):
            return _event("error", f"invalid subscription: {topic}")
        self.add(Stream(kind, channel, symbol, symbol))
        return _event("success", f"subscribed to: {topic}")

    def _unsubscribe(self, topic: str) -> dict[str, str]:
        channel, _, symbol = topic.partition(".")
        if self.streams.pop((channel, symbol), None) is None:
            return _event("error", f"not subscribed to: {topic}")
        return _event("success", f"unsubscribed to: {topic}")


def _event(status: str, message: str) -> dict[str, str]:
    return {"ev": "status", "status": status, "message": message}


def _frame(events: list[dict[str, str]]) -> str:
    return json.dumps(events, separators=(",", ":"))


def _status(status: str, message: str) -> str:
    return _frame([_event(status, message)])
