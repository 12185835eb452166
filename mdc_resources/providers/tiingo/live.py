"""Tiingo's IEX stream, ``wss://api.tiingo.com/iex``: trades and quotes of one exchange.

Handshake   ``subscribe`` with the token in the frame; ``I`` acknowledges it with a ``subscriptionId``, by
            which tickers are added and removed later; such a change is acknowledged with their list.
            A ticker brings trades and quotes: asking for one of them brings both.
Level       ``thresholdLevel`` 0: each trade and each change of the best bid and offer. The free plans refuse
            it (``E``, code 400): :class:`NotEntitled`. What they give, level 6, are *reference prices*, three
            fields without a size: no trades, and where one comes it is rejected with that reason.
Frames      ``A`` with an array by position, ``H`` heartbeats every 30 s, ``I``, ``E``.
Timestamps  the array's third field, integer nanoseconds.
Symbols     lower case, a share class with a dash: ``brk-b`` is ``BRK.B``; a symbol with a dash is refused.
Identity    trades have none. A trade break (``B``) is a row of its own, ``canceled``.
Checked     2026-11-21, against the vendor's documentation and frames quoted by its users, not live.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.frames import MALFORMED, key_of, spelled_as_listed
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.live import NOTHING, Address, LiveDialect, LiveSpec, Reply, Subscription
from mdc_resources.providers.tiingo.live_decoder import TiingoDecoder

SPEC = LiveSpec(
    name="tiingo",
    title="Tiingo IEX stream",
    provider="tiingo",
    source="tiingo/iex-live",
    market="iex",
    ws_url="wss://api.tiingo.com/iex",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES}),
    asset_classes=frozenset({"equity"}),
    credentials=("TIINGO_API_TOKEN",),
    silence=dt.timedelta(seconds=75),
    identities=(),
)
_EVERYTHING = 0  # thresholdLevel
_PLAN = ("thresholdlevel", "entitle", "permission", "upgrade", "subscription tier")


class _Response(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Data(msgspec.Struct):
    subscription_id: int | None = msgspec.field(name="subscriptionId", default=None)
    tickers: list[str] | None = None


class _Control(msgspec.Struct):
    kind: str = msgspec.field(name="messageType", default="")
    response: _Response | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_CONTROL = msgspec.json.Decoder(_Control)
_DATA: msgspec.json.Decoder[_Data | None] = msgspec.json.Decoder(_Data | None)


@dataclass(frozen=True, slots=True)
class _Request:
    """One frame that the server has not answered: what it adds and what it ends."""

    adds: tuple[Subscription, ...] = ()
    ends: tuple[Subscription, ...] = ()


class TiingoSession:
    """One connection with one subscription of the vendor's; ``_active`` is what it brings."""

    def __init__(self, wanted: Sequence[Subscription]) -> None:
        self._wanted = _checked(wanted)
        self._token = ""
        self._id: int | None = None
        self._asked: deque[_Request] = deque()
        self._active: dict[Subscription, None] = {}

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:
        """The subscription at once, with the token in it."""
        try:
            self._token = key_of(credentials, SPEC.credentials[0], "tiingo")
        except BadCredentials as error:
            return Reply(error=error)
        return self._ask(_Request(adds=self._wanted)) if self._wanted else NOTHING

    def is_control(self, frame: bytes) -> bool:
        """True for acknowledgements, errors and heartbeats: data frames have no ``response``."""
        return b'"response"' in frame or b'"A"' not in frame

    def control(self, frame: bytes) -> Reply:
        """Acknowledgements confirm; errors refuse what was asked, or end the connection."""
        try:
            said = _CONTROL.decode(frame)
            data = _DATA.decode(said.data) if said.kind == "I" else None
        except MALFORMED:
            return NOTHING
        if said.kind == "I":
            return self._acknowledged(data or _Data())
        return self._failed(said.response or _Response()) if said.kind == "E" else NOTHING

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Tickers that come already are confirmed at once, since each brings trades and quotes."""
        asked = _checked(wanted)
        if not self._token or (self._id is None and self._asked):
            self._wanted = tuple(dict.fromkeys((*self._wanted, *asked)))
            return NOTHING
        coming = {symbol for _, symbol in self._active}
        known = tuple(one for one in asked if one.symbol in coming)
        self._active.update(dict.fromkeys(known))
        new = tuple(one for one in asked if one.symbol not in coming)
        return Reply(send=self._ask(_Request(adds=new)).send if new else (), confirmed=known)

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """A ticker of which something is still wanted goes on; its other dataset has ended at once."""
        self._wanted = tuple(one for one in self._wanted if one not in wanted)
        left = {one.symbol for one in self._active if one not in wanted}
        known = tuple(one for one in dict.fromkeys(wanted) if one in self._active)
        at_once = tuple(one for one in known if one.symbol in left)
        for one in at_once:
            del self._active[one]
        rest = tuple(one for one in known if one.symbol not in left)
        return Reply(send=self._ask(_Request(ends=rest)).send if rest else (), ended=at_once)

    def resync(self, symbol: Symbol) -> Reply:  # noqa: ARG002 - the protocol names it
        """There are no books here."""
        return NOTHING

    def ping(self) -> bytes | None:
        """The server's heartbeats need no answer."""
        return None

    def _ask(self, request: _Request) -> Reply:
        self._asked.append(request)
        symbols = dict.fromkeys(symbol for _, symbol in (*request.adds, *request.ends))
        data: dict[str, object] = {"tickers": [_ticker(symbol) for symbol in symbols]}
        if self._id is not None:
            data["subscriptionId"] = self._id
        if request.adds:
            data["thresholdLevel"] = _EVERYTHING
        action = "subscribe" if request.adds else "unsubscribe"
        frame = {"eventName": action, "authorization": self._token, "eventData": data}
        return Reply(send=(msgspec.json.encode(frame),))

    def _acknowledged(self, data: _Data) -> Reply:
        first = self._id is None
        if data.subscription_id is not None:
            self._id = data.subscription_id
        request = self._asked.popleft() if self._asked else _Request()
        listed = None if data.tickers is None else set(data.tickers)
        taken = tuple(one for one in request.adds if listed is None or _ticker(one.symbol) in listed)
        ended = tuple(one for one in request.ends if self._active.pop(one, 1) is None)
        self._active.update(dict.fromkeys(taken))
        refused = tuple((one, "tiingo's list leaves it out") for one in request.adds if one not in taken)
        late = tuple(one for one in self._wanted if one not in request.adds) if first else ()
        more = self.subscribe(late) if late else NOTHING
        return Reply(send=more.send, confirmed=(*taken, *more.confirmed), refused=refused, ended=ended)

    def _failed(self, response: _Response) -> Reply:
        error = _error_of(response)
        asked = self._asked.popleft().adds if self._asked else ()
        if isinstance(error, PayloadError) and asked:
            return Reply(refused=tuple((one, error.message) for one in asked))
        return Reply(error=error)


def _checked(wanted: Sequence[Subscription]) -> tuple[Subscription, ...]:
    """``wanted``; UnknownSymbol also for a dash, which would come back as a share class."""
    for _, symbol in wanted:
        if "-" in symbol:
            raise UnknownSymbol(f"tiingo cannot spell {symbol}", symbol=symbol, provider="tiingo")
    return spelled_as_listed(SPEC, wanted)


def _ticker(symbol: Symbol) -> str:
    return symbol.replace(".", "-").lower()


def _error_of(response: _Response) -> ProviderError:
    code, lower = response.code, response.message.lower()
    said = f"tiingo says {code} {quoted(response.message)}"
    if any(word in lower for word in _PLAN):
        hint = "Real-time IEX data need a paid plan and the exchange's agreement"
        return NotEntitled(said, provider="tiingo", status=code, hint=hint)
    if code in (401, 403):
        return BadCredentials(said, provider="tiingo", status=code)
    if code == 429:
        return RateLimited(said, provider="tiingo", status=code)
    if code >= 500:
        return TransportError(said, provider="tiingo", status=code)
    return PayloadError(said, provider="tiingo", status=code)


class TiingoLive:
    """The dialect of ``/iex``."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """As configured; the token travels in a frame."""
        return Address(dialect.ws_url)

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> TiingoSession:  # noqa: ARG002
        """A new handshake; UnknownSymbol for what is no US ticker."""
        return TiingoSession(wanted)

    def decoder(self, dialect: LiveDialect) -> TiingoDecoder:  # noqa: ARG002 - the protocol names it
        """A new decoder."""
        return TiingoDecoder()


FEED = TiingoLive()
