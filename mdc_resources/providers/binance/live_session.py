"""Subscribing at Binance: numbered messages of up to 150 streams, each answered by its number.

The server takes five messages a second, so a connection of 200 symbols opens with four of them. A
refused message is asked for again in halves, down to the one stream that is refused. What the server
does not know it confirms all the same, and never sends. Books need a snapshot over HTTP, asked for as
soon as their deltas are confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import TransportError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance import SPEC as HISTORY
from mdc_resources.providers.binance import vendor_symbol
from mdc_resources.providers.binance.live_names import stream_pair
from mdc_resources.providers.decoding.live_text import UNREADABLE
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.live import NOTHING, Fetch, LiveDialect, Reply, Subscription

STREAMS = {Dataset.TRADES: "aggTrade", Dataset.QUOTES: "bookTicker", Dataset.DEPTH: "depth@100ms"}
_PER_MESSAGE = 150
# Weights 5, 25, 50 and 250 of the 6,000 a minute: https://developers.binance.com/docs/binance-spot-api-docs/rest-api
_LIMITS = (100, 500, 1000, 5000)
_MARGIN = 4  # what lies below a snapshot is sent only once it changes: the best levels must not run out
_ENCODER = msgspec.json.Encoder()


class Failure(msgspec.Struct):
    """Why a message was refused."""

    code: int | None = None
    msg: str = ""


class Answer(msgspec.Struct):
    """An answer."""

    id: int | None = None
    error: Failure | None = None
    code: int | None = None
    msg: str = ""


class Asked(NamedTuple):
    """One message that awaits its answer."""

    wanted: tuple[Subscription, ...]
    leaving: bool = False


_ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class BinanceSession:
    """The handshake of one connection."""

    def __init__(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> None:
        self._rest_url = dialect.rest_url or HISTORY.base_url
        self._levels = dict(dialect.levels)
        self._wanted = tuple(wanted)
        self._asked: dict[int, Asked] = {}
        self._number = 0
        for subscription in wanted:
            self._stream(subscription)

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:  # noqa: ARG002 - no key is needed
        """Subscribe at once."""
        return self.subscribe(self._wanted)

    def is_control(self, frame: bytes) -> bool:
        """True for answers, errors and the farewell."""
        return b'"id"' in frame or b'"error"' in frame or b"serverShutdown" in frame

    def control(self, frame: bytes) -> Reply:
        """Confirm or refuse what the answered message asked for."""
        if b"serverShutdown" in frame:
            return Reply(leave=True)
        try:
            answer = _ANSWER.decode(frame)
        except UNREADABLE:
            return NOTHING  # the decoder rejects it
        error = answer.error or (Failure(answer.code, answer.msg) if answer.code is not None else None)
        asked = None if answer.id is None else self._asked.pop(answer.id, None)
        if error is not None:
            return self._failed(error, asked)
        if asked is None:
            return NOTHING
        if asked.leaving:
            return Reply(ended=asked.wanted)
        return Reply(confirmed=asked.wanted, fetch=self._fetches(asked.wanted))

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for ``wanted``; raises UnknownSymbol for what is no pair."""
        return Reply(send=self._ask(wanted, leaving=False))

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for less; answered by number."""
        return Reply(send=self._ask(wanted, leaving=True))

    def resync(self, symbol: Symbol) -> Reply:
        """A new snapshot over HTTP; the deltas go on meanwhile."""
        return Reply(fetch=self._fetches((Subscription(Dataset.DEPTH, symbol),)))

    def ping(self) -> bytes | None:
        """None: the server pings, at the level of the protocol."""
        return None

    def _ask(self, wanted: Sequence[Subscription], *, leaving: bool) -> tuple[bytes, ...]:
        streams = [self._stream(subscription) for subscription in wanted]
        sent: list[bytes] = []
        for at in range(0, len(streams), _PER_MESSAGE):
            self._number += 1
            part = slice(at, at + _PER_MESSAGE)
            self._asked[self._number] = Asked(tuple(wanted[part]), leaving)
            method = "UNSUBSCRIBE" if leaving else "SUBSCRIBE"
            sent.append(_message(method, streams[part], self._number))
        return tuple(sent)

    def _failed(self, error: Failure, asked: Asked | None) -> Reply:
        if asked is None:
            return Reply(error=TransportError(f"binance says {quoted(error.msg)}", provider="binance"))
        if asked.leaving:
            return Reply(ended=asked.wanted)
        if len(asked.wanted) == 1:
            return Reply(refused=((asked.wanted[0], quoted(error.msg or error.code)),))
        middle = len(asked.wanted) // 2
        return Reply(
            send=self._ask(asked.wanted[:middle], leaving=False)
            + self._ask(asked.wanted[middle:], leaving=False)
        )

    def _fetches(self, wanted: Sequence[Subscription]) -> tuple[Fetch, ...]:
        return tuple(self._fetch(symbol) for dataset, symbol in wanted if dataset is Dataset.DEPTH)

    def _fetch(self, symbol: Symbol) -> Fetch:
        levels = self._levels.get(symbol, 1)
        limit = next((limit for limit in _LIMITS if limit >= levels * _MARGIN), _LIMITS[-1])
        params = (("symbol", vendor_symbol(symbol)), ("limit", str(limit)))
        return Fetch(symbol, HttpRequest(f"{self._rest_url}/api/v3/depth", params=params))

    def _stream(self, subscription: Subscription) -> str:
        return f"{stream_pair(subscription.symbol, self._levels)}@{STREAMS[subscription.dataset]}"


def _message(method: str, streams: Sequence[str], number: int) -> bytes:
    parts: dict[str, Any] = {"method": method, "params": streams, "id": number}
    return _ENCODER.encode(parts)
