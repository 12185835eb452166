"""Alpaca's stock stream, ``wss://stream.data.alpaca.markets/v2/<feed>``: trades and quotes.

Handshake   ``connected``, then key and secret in a frame, ``authenticated``, ``subscribe``; every answer to
            a subscription is the *whole* list, so that what is new or gone is its difference from the one
            before. A request that would exceed the plan's symbols (405) changes nothing and is refused whole.
Frames      arrays; control messages come alone. ``t`` and ``q``; with trades come ``c`` (corrections) and
            ``x`` (cancels, errors), in the words of the tapes. What such a record tells of an earlier trade
            has that trade's id with ``/c`` or ``/x`` behind it: it is another row, not a repetition. The
            corrected trade is a row of its own, ``corrected`` as in the vendor's history.
Timestamps  RFC 3339 with up to nine digits, exact. Quote sizes are shares since 2025-11-03, lots before.
Feeds       ``sip`` is the consolidated tape, ``iex`` (the default) one exchange: two markets, two sources.
Silence     there are no heartbeats: before the open IEX says nothing for minutes, and all is well.
Limits      one connection a feed and account (406); a slow reader is dropped (407), also without a word.
Checked     2026-11-21, against the vendor's documentation and its clients' sources, not live.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import BadCredentials
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.alpaca import SPEC as HISTORY
from mdc_resources.providers.alpaca.live_decoder import AlpacaDecoder
from mdc_resources.providers.alpaca.live_errors import REFUSALS, error_of
from mdc_resources.providers.decoding.frames import MALFORMED, key_of, spelled_as_listed
from mdc_resources.providers.live import NOTHING, Address, LiveDialect, LiveSpec, Reply, Subscription

SPEC = LiveSpec(
    name="alpaca",
    title="Alpaca stock stream",
    provider="alpaca",
    source="alpaca/iex-live",
    market="iex",
    ws_url="wss://stream.data.alpaca.markets",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES}),
    asset_classes=frozenset({"equity"}),
    credentials=HISTORY.credentials,
    silence=dt.timedelta(minutes=5),
    refillable=frozenset({Dataset.TRADES, Dataset.QUOTES}),
)
_FEED = "iex"
_KEYS = {Dataset.TRADES: "trades", Dataset.QUOTES: "quotes"}


class _Control(msgspec.Struct):
    kind: str = msgspec.field(name="T", default="")
    msg: str = ""
    code: int = 0
    trades: list[str] = []
    quotes: list[str] = []


_CONTROL = msgspec.json.Decoder(list[_Control])


class AlpacaSession:
    """One connection: what was asked for and not answered yet, and the list as the server has it."""

    def __init__(self, wanted: Sequence[Subscription]) -> None:
        self._wanted = spelled_as_listed(SPEC, wanted)
        self._ever = set(self._wanted)
        self._auth = b""
        self._authenticated = False
        self._asked: deque[tuple[Subscription, ...]] = deque()  # () for an unsubscription
        self._active: dict[Subscription, None] = {}

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:
        """Nothing is sent before the server says that it is connected."""
        try:
            key, secret = (key_of(credentials, name, "alpaca") for name in SPEC.credentials)
        except BadCredentials as error:
            return Reply(error=error)
        self._auth = msgspec.json.encode({"action": "auth", "key": key, "secret": secret})
        return NOTHING

    def is_control(self, frame: bytes) -> bool:
        """True for ``success``, ``subscription`` and ``error``."""
        return b'"success"' in frame or b'"subscription"' in frame or b'"error"' in frame

    def control(self, frame: bytes) -> Reply:
        """Authenticate, subscribe, compare lists, name errors."""
        try:
            messages = _CONTROL.decode(frame)
        except MALFORMED:
            return NOTHING
        for message in messages:
            if message.kind == "subscription":
                return self._listed(message)
            if message.kind == "error":
                return self._failed(message)
            if message.kind == "success" and message.msg == "connected":
                return Reply(send=(self._auth,))
            if message.kind == "success" and message.msg == "authenticated" and not self._authenticated:
                self._authenticated = True
                return self.subscribe(self._wanted)
        return NOTHING

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """One frame for all of them."""
        asked = spelled_as_listed(SPEC, wanted)
        self._ever.update(asked)
        if not self._authenticated:
            self._wanted = tuple(dict.fromkeys((*self._wanted, *asked)))
            return NOTHING
        if not asked:
            return NOTHING
        self._asked.append(asked)
        return Reply(send=(_request("subscribe", asked),))

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """They have ended when the server's list is without them."""
        self._wanted = tuple(one for one in self._wanted if one not in wanted)
        if not self._authenticated or not wanted:
            return NOTHING
        self._asked.append(())
        return Reply(send=(_request("unsubscribe", wanted),))

    def resync(self, symbol: Symbol) -> Reply:  # noqa: ARG002 - the protocol names it
        """There are no books here."""
        return NOTHING

    def ping(self) -> bytes | None:
        """The WebSocket's own pings serve."""
        return None

    def _listed(self, message: _Control) -> Reply:
        told = [(Dataset.TRADES, Symbol(name)) for name in message.trades]
        told += [(Dataset.QUOTES, Symbol(name)) for name in message.quotes]
        listed = dict.fromkeys(one for one in (Subscription(*pair) for pair in told) if one in self._ever)
        before, self._active = self._active, listed
        asked = self._asked.popleft() if self._asked else ()
        return Reply(
            confirmed=tuple(one for one in listed if one not in before),
            ended=tuple(one for one in before if one not in listed),
            refused=tuple((one, "alpaca's list leaves it out") for one in asked if one not in listed),
        )

    def _failed(self, message: _Control) -> Reply:
        asked = self._asked.popleft() if self._asked else ()
        if asked and message.code in REFUSALS:
            said = f"alpaca says {message.code} {message.msg[:80]!a}"
            return Reply(refused=tuple((one, said) for one in asked))
        return Reply(error=error_of(message.code, message.msg))


def _request(action: str, wanted: Sequence[Subscription]) -> bytes:
    lists = {key: [s for dataset, s in wanted if dataset is kind] for kind, key in _KEYS.items()}
    return msgspec.json.encode({"action": action, **{key: names for key, names in lists.items() if names}})


class AlpacaLive:
    """The dialect of ``/v2/iex`` and ``/v2/sip``."""

    spec = SPEC

    def spec_for(self, feed: str) -> LiveSpec:
        """The declared facts of one of the vendor's feeds: its source and its market are its own."""
        chosen = feed or _FEED
        market = HISTORY.feeds.get(chosen.removeprefix("delayed_"), chosen)
        return replace(SPEC, source=f"alpaca/{chosen}-live", market=market)

    def address(self, dialect: LiveDialect) -> Address:
        """The feed is the end of the path."""
        return Address(f"{dialect.ws_url.rstrip('/')}/v2/{dialect.feed or _FEED}")

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> AlpacaSession:  # noqa: ARG002
        """A new handshake; UnknownSymbol for a symbol of a named venue."""
        return AlpacaSession(wanted)

    def decoder(self, dialect: LiveDialect) -> AlpacaDecoder:  # noqa: ARG002 - the protocol names it
        """A new decoder."""
        return AlpacaDecoder()


FEED = AlpacaLive()
