"""Finnhub's trade stream, ``wss://ws.finnhub.io``: trades alone, without identities.

Handshake   the key goes into the URL; one ``subscribe`` a symbol. **No confirmation exists**: a
            subscription counts as confirmed when it is sent, and an ``error`` takes it back. "Subscribing to
            too many symbols" names none: the last one sent is meant; "Invalid symbol X" names it.
Frames      ``trade`` with a list of ``s, p, t, v, c``; ``ping`` about once a minute; ``error``.
Timestamps  milliseconds. Two trades of one symbol may be equal in everything: nothing tells them apart, so
            that ``identities`` is empty, and there is no history that could refill a hole.
Coverage    which tape these are of is not documented; taken for the consolidated one, as its candles are.
Limits      50 symbols and one connection on the free plan; a second connection ends the first.
Checked     2026-11-21, against the vendor's examples, traces and its issue tracker (20, 472), not live.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.frames import (
    MALFORMED,
    Flaw,
    Symbols,
    decoder_of,
    nanos,
    number,
    parts,
    reject_frame,
    spelled_as_listed,
)
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.live import (
    NOTHING,
    Address,
    LiveDialect,
    LiveSpec,
    Reply,
    Sink,
    Subscription,
)

SPEC = LiveSpec(
    name="finnhub",
    title="Finnhub trade stream",
    provider="finnhub",
    source="finnhub/live",
    market="us-consolidated",
    ws_url="wss://ws.finnhub.io",
    datasets=frozenset({Dataset.TRADES}),
    asset_classes=frozenset({"equity"}),
    credentials=("FINNHUB_API_KEY",),
    silence=dt.timedelta(seconds=150),
    identities=(),
)


_NOTHING_TOLD = msgspec.Raw(b"null")


class _Control(msgspec.Struct):
    type: str = ""
    msg: str = ""


class _Trade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: Any = None
    v: Any = None
    c: list[str] | None = None


class _Frame(msgspec.Struct):
    type: str
    data: list[_Trade] | None = None


class _Loose(msgspec.Struct):
    type: str
    data: msgspec.Raw = _NOTHING_TOLD


_CONTROL = msgspec.json.Decoder(_Control)
_FRAMES = decoder_of(_Frame)
_LOOSE = msgspec.json.Decoder(_Loose)
_ONE = decoder_of(_Trade)


class FinnhubSession:
    """One connection; ``_active`` in the order in which the server was asked."""

    def __init__(self, wanted: Sequence[Subscription]) -> None:
        self._wanted = spelled_as_listed(SPEC, wanted)
        self._active: dict[Subscription, None] = {}

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:  # noqa: ARG002 - it is in the URL
        """The key was in the URL: the subscriptions at once."""
        return self.subscribe(self._wanted)

    def is_control(self, frame: bytes) -> bool:
        """True for everything that brings no trades."""
        return b'"trade"' not in frame

    def control(self, frame: bytes) -> Reply:
        """Only errors have a consequence."""
        try:
            said = _CONTROL.decode(frame)
        except MALFORMED:
            return NOTHING
        return self._failed(said.msg) if said.type == "error" else NOTHING

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """One frame a symbol; confirmed by being sent, since no other confirmation exists."""
        asked = tuple(one for one in spelled_as_listed(SPEC, wanted) if one not in self._active)
        self._active.update(dict.fromkeys(asked))
        return Reply(send=tuple(_request("subscribe", one) for one in asked), confirmed=asked)

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """They end at once."""
        gone = tuple(one for one in wanted if self._active.pop(one, 1) is None)
        return Reply(send=tuple(_request("unsubscribe", one) for one in gone), ended=gone)

    def resync(self, symbol: Symbol) -> Reply:  # noqa: ARG002 - the protocol names it
        """There are no books here."""
        return NOTHING

    def ping(self) -> bytes | None:
        """The server pings, and wants no answer."""
        return None

    def _failed(self, message: str) -> Reply:
        lower, said = message.lower(), f"finnhub says {quoted(message)}"
        if "too many symbols" in lower:
            return self._refuse(next(reversed(self._active), None), said)
        if "invalid symbol" in lower:
            named = Symbol(message.rpartition(" ")[2])
            return self._refuse(next((one for one in self._active if one.symbol == named), None), said)
        return Reply(error=_error_of(lower, said))

    def _refuse(self, one: Subscription | None, said: str) -> Reply:
        if one is None:
            return NOTHING
        del self._active[one]
        return Reply(refused=((one, said),))


def _request(action: str, one: Subscription) -> bytes:
    return msgspec.json.encode({"type": action, "symbol": one.symbol})


def _error_of(lower: str, said: str) -> ProviderError:
    if "api key" in lower or "token" in lower:
        return BadCredentials(said, provider="finnhub")
    if "access" in lower or "plan" in lower:
        return NotEntitled(said, provider="finnhub", hint="https://finnhub.io/pricing")
    if "limit" in lower or "too many" in lower:
        return RateLimited(said, provider="finnhub")
    return PayloadError(said, provider="finnhub")


class FinnhubDecoder:
    """Stateless: nothing is numbered."""

    def __init__(self) -> None:
        self._symbols = Symbols()

    def decode(self, frame: bytes, sink: Sink) -> None:
        """Hand over each trade; one that is wrong is rejected alone."""
        try:
            found = _FRAMES.decode(frame)
        except MALFORMED:
            self._piecemeal(frame, sink)
            return
        if found.type == "trade":
            for at, trade in enumerate(found.data or ()):
                try:
                    self._trade(trade, sink)
                except Flaw as flaw:
                    sink.rejected(str(flaw), _rows_of(frame)[at])
        elif found.type not in ("ping", "error"):
            sink.rejected(f"a frame of type {found.type[:40]!a}", frame)

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is ever fetched for this feed."""
        sink.rejected("finnhub has no book snapshots", body, symbol)

    def state(self) -> dict[str, int]:
        """Nothing is kept."""
        return {}

    def restore(self, state: Mapping[str, int]) -> None:
        """There is nothing to go on from."""

    def _piecemeal(self, frame: bytes, sink: Sink) -> None:
        try:
            rows = _rows_of(frame)
        except MALFORMED as error:
            reject_frame(frame, error, sink)
            return
        for raw in rows:
            try:
                self._trade(_ONE.decode(raw), sink)
            except MALFORMED as error:
                sink.rejected(str(error)[:200], raw)

    def _trade(self, trade: _Trade, sink: Sink) -> None:
        sink.trade(
            self._symbols[trade.s],
            nanos(trade.t),
            number(trade.p, "p"),
            number(trade.v, "v"),
            conditions=(",".join(trade.c) or None) if trade.c else None,
        )


def _rows_of(frame: bytes) -> Sequence[bytes]:
    """The trades of a frame as their own bytes; raises one of MALFORMED where it brings none."""
    found = _LOOSE.decode(frame)
    if found.type != "trade":
        raise Flaw(f"a frame of type {found.type[:40]!a}")
    return parts(bytes(found.data))


class FinnhubLive:
    """The dialect of ``?token=``."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The key is filled in by whoever connects."""
        return Address(dialect.ws_url, query_auth=(("token", SPEC.credentials[0]),))

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> FinnhubSession:  # noqa: ARG002
        """A new handshake; UnknownSymbol for a symbol of a named venue."""
        return FinnhubSession(wanted)

    def decoder(self, dialect: LiveDialect) -> FinnhubDecoder:  # noqa: ARG002 - the protocol names it
        """A new decoder."""
        return FinnhubDecoder()


FEED = FinnhubLive()
