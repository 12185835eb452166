"""Alpaca's stock stream ``/v2/{feed}``: every frame an array, control frames alone.

``connected``, then the client's ``auth``, then its subscriptions; each is answered with the whole list in
force. A name nobody knows is left out of it, a malformed one is 400. Keys that begin with ``free`` have 30
symbols and no ``sip`` (409), those with ``one`` a single connection (406); a wrong key is 402, none
within ten seconds 404. Source: the vendor's documents of the stream.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar

from mdc_resources.sandbox.answers import cents_text
from mdc_resources.sandbox.dialects.alpaca_ticks import conditions_of, venue_code
from mdc_resources.sandbox.live.talk import QUOTES, TRADES, Message, Stream, Talk, listed, parsed, short_stamp
from mdc_resources.sandbox.tape import SECOND, Tick

_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
}
_CHANNELS = {"trades": TRADES, "quotes": QUOTES}
_SILENT = (
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
    "imbalances",
)
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.]{0,11}")
_FREE_SYMBOLS = 30
_AUTH_SECONDS = 10


class AlpacaTalk(Talk):
    """Trades and quotes of stocks."""

    feed = "alpaca"
    provider = "alpaca"
    arrays = True
    ping_seconds = 20.0
    _open: ClassVar[dict[str, AlpacaTalk]] = {}  # of keys with a single connection

    key = ""

    def opened(self) -> list[str]:
        """``connected``."""
        return ['[{"T":"success","msg":"connected"}]']

    def received(self, text: str) -> list[str]:
        """Authentication, then subscriptions."""
        asked = parsed(text)
        if asked is None:
            return [_error(400)]
        if asked.get("action") == "auth":
            return [self._auth(str(asked.get("key", "")), str(asked.get("secret", "")))]
        if not self.key:
            return [_error(401)]
        if asked.get("action") not in ("subscribe", "unsubscribe"):
            return [_error(400)]
        wanted = {name: listed(asked.get(name)) for name in (*_CHANNELS, *_SILENT)}
        if not all(
            _SYMBOL.fullmatch(symbol) or symbol == "*" for names in wanted.values() for symbol in names
        ):
            return [_error(400)]
        if asked["action"] == "unsubscribe":
            for channel in _CHANNELS:
                for symbol in wanted[channel]:
                    self.streams.pop((channel, symbol), None)
            return [self._list()]
        return [self._subscribe(wanted)]

    def beat(self, now: int) -> list[str]:
        """Nothing but the end of a client that does not authenticate."""
        self._began = getattr(self, "_began", now)
        if not self.key and now - self._began > _AUTH_SECONDS * SECOND and not self.closing:
            self.closing = (1000, "")
            return [_error(404)]
        return []

    def ended(self) -> None:
        """The connection is over: its key is free."""
        if self._open.get(self.key) is self:
            del self._open[self.key]

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """``T`` is ``t``."""
        text = (
            f'{{"T":"t","S":"{stream.symbol}","i":{tick.trade_id},"x":"{venue_code(tick.venue)}",'
            f'"p":{cents_text(tick.price)},"s":{tick.size},"c":{conditions_of(tick.size, tick.trade_id)},'
            f'"z":"C","t":"{short_stamp(tick.time)}"}}'
        )
        return Message(text, stream, (tick.trade_id,))

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """``T`` is ``q``."""
        text = (
            f'{{"T":"q","S":"{stream.symbol}","bx":"{venue_code(tick.bid_venue)}","bp":{cents_text(tick.bid)},'
            f'"bs":{tick.bid_size},"ax":"{venue_code(tick.ask_venue)}","ap":{cents_text(tick.ask)},'
            f'"as":{tick.ask_size},"c":["R"],"z":"C","t":"{short_stamp(tick.quoted)}"}}'
        )
        return Message(text, stream, (tick.number,))

    def _auth(self, key: str, secret: str) -> str:
        if self.key:
            return _error(403)
        known = self.floor.alpaca_keys
        wrong = (
            not key or not secret or key.startswith("bad") or (known is not None and known.get(key) != secret)
        )
        if wrong or self.refuses("ws_auth", "auth"):
            self.closing = (1000, "")
            return _error(402)
        if key.startswith("one") and key in self._open:
            self.closing = (1000, "")
            return _error(406)
        if key.startswith("free") and "sip" in self.hello.path:
            return _error(409)
        self.key = key
        if key.startswith("one"):
            self._open[key] = self
        return '[{"T":"success","msg":"authenticated"}]'

    def _subscribe(self, wanted: dict[str, list[str]]) -> str:
        fresh = [
            Stream(kind, channel, symbol, symbol)
            for channel, kind in _CHANNELS.items()
            for symbol in wanted[channel]
            if self.floor.lists(symbol) and not self.refuses("ws_refuse", f"{kind} {channel} {symbol}")
        ]
        symbols = {stream.symbol for stream in (*self.streams.values(), *fresh)}
        if self.key.startswith("free") and len(symbols) > _FREE_SYMBOLS:
            return _error(405)
        for stream in fresh:
            self.add(stream)
        return self._list()

    def _list(self) -> str:
        names = {
            channel: [symbol for of, symbol in self.streams if of == channel]
            for channel in (*_CHANNELS, *_SILENT)
        }
        return f"[{json.dumps({'T': 'subscription', **names}, separators=(',', ':'))}]"


def _error(code: int) -> str:
    return f'[{{"T":"error","code":{code},"msg":"{_ERRORS[code]}"}}]'
