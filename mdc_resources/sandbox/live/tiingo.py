"""Tiingo's ``/iex``: one ``subscribe`` with the token, answers ``I``, heartbeats ``H``, data ``A``.

Levels 0 and 5 send last trades and top of book as arrays of sixteen places; level 6 is the reference
price alone. A wrong token is ``E`` with 401; one that begins with ``free`` has level 6 only, others are ``E``
with 400. Tickers are lower case; those nobody knows are not in the list that answers a change. Source: the
vendor's documents of the stream and quoted frames.
"""

from __future__ import annotations

import datetime as dt
import json
from zoneinfo import ZoneInfo

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.answers import cents_text
from mdc_resources.sandbox.live.talk import QUOTES, TRADES, Message, Stream, Talk, listed, parsed
from mdc_resources.sandbox.tape import SECOND, Tick

_NEW_YORK = ZoneInfo("America/New_York")
_BEAT_SECONDS = 10
_ALL, _MAJOR, _REFERENCE = 0, 5, 6  # of top of book; the sandbox has no minor changes


class TiingoTalk(Talk):
    """Trades and quotes of IEX."""

    feed = "tiingo"
    provider = "tiingo"
    ping_seconds = 20.0
    _level = _REFERENCE
    _subscription = 0
    _beaten = 0

    def received(self, text: str) -> list[str]:
        """Subscriptions, each with its token."""
        asked = parsed(text)
        data = asked.get("eventData") if asked else None
        if asked is None or not isinstance(data, dict):
            return [_answer("E", 400, "invalid request")]
        token = str(asked.get("authorization", ""))
        if not token or token.startswith("bad") or self.refuses("ws_auth", "auth"):
            self.closing = (1000, "")
            return [_answer("E", 401, "Invalid token.")]
        tickers = [ticker.lower() for ticker in listed(data.get("tickers"))]
        if asked.get("eventName") == "unsubscribe":
            for ticker in tickers:
                for channel in ("T", "Q"):
                    self.streams.pop((channel, ticker), None)
            return [self._list()]
        if asked.get("eventName") != "subscribe":
            return [_answer("E", 400, "unknown eventName")]
        return self._subscribe(tickers, str(data.get("thresholdLevel", _MAJOR)), token)

    def beat(self, now: int) -> list[str]:
        """``HeartBeat``."""
        self._beaten = self._beaten or now
        if not self._subscription or now - self._beaten < _BEAT_SECONDS * SECOND:
            return []
        self._beaten = now
        return [_answer("H", 200, "HeartBeat")]

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """Letter ``T``, or the reference price."""
        price, at = cents_text(tick.price), _local(tick.time)
        if self._level == _REFERENCE:
            return _data(f'["{at}","{stream.symbol}",{price}]', stream, tick)
        cells = f"null,null,null,null,null,{price},{tick.size},null,0,0,{int(tick.size < 100)},0"
        return _data(f'["T","{at}",{tick.time},"{stream.symbol}",{cells}]', stream, tick)

    def quote(self, stream: Stream, tick: Tick) -> Message:
        """Letter ``Q``."""
        double = tick.bid + tick.ask
        middle = f"{double // 200}.{double % 200 * 5:03d}".rstrip("0").rstrip(".")
        cells = (
            f"{tick.bid_size},{cents_text(tick.bid)},{middle},{cents_text(tick.ask)},{tick.ask_size},"
            "null,null,0,0,null,null,null"
        )
        at = _local(tick.quoted)
        return _data(f'["Q","{at}",{tick.quoted},"{stream.symbol}",{cells}]', stream, tick, quote=True)

    def _subscribe(self, tickers: list[str], level: str, token: str) -> list[str]:
        offered = (_REFERENCE,) if token.startswith("free") else (_ALL, _MAJOR, _REFERENCE)
        if level not in map(str, offered):
            return [_answer("E", 400, f"thresholdLevel {level[:10]} is not supported")]
        first, self._level = not self._subscription, int(level)
        for ticker in tickers:
            series = ticker.upper()
            for channel, kind in (("T", TRADES), ("Q", QUOTES)):
                if kind == QUOTES and self._level == _REFERENCE:
                    continue
                if self.floor.lists(series) and not self.refuses("ws_refuse", f"{kind} {channel} {ticker}"):
                    self.add(Stream(kind, channel, ticker, series))
        self._subscription = self._subscription or noise.key("tiingo", self.position) % 10**7
        return [
            _answer("I", 200, "Success", {"subscriptionId": self._subscription}) if first else self._list()
        ]

    def _list(self) -> str:
        tickers = list(dict.fromkeys(symbol for _, symbol in self.streams))
        return _answer("I", 200, "Success", {"tickers": tickers, "thresholdLevel": str(self._level)})


def _data(cells: str, stream: Stream, tick: Tick, *, quote: bool = False) -> Message:
    ids = (tick.number if quote else tick.trade_id,)
    return Message(f'{{"messageType":"A","service":"iex","data":{cells}}}', stream, ids)


def _answer(letter: str, code: int, message: str, data: object = None) -> str:
    body = {"messageType": letter, "response": {"code": code, "message": message}}
    return json.dumps(body | ({"data": data} if data is not None else {}), separators=(",", ":"))


def _local(nanoseconds: int) -> str:
    """ISO 8601 in New York's time, with nine digits and the offset."""
    at = dt.datetime.fromtimestamp(nanoseconds // SECOND, _NEW_YORK).isoformat()
    return f"{at[:19]}.{nanoseconds % SECOND:09d}{at[19:]}"
