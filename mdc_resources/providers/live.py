"""The live half of a provider: how a feed is subscribed to, and what its frames mean.

A feed does no I/O, reads no clock and opens no socket. Two objects are made per connection:

* a :class:`LiveSession` speaks the handshake: what to send, what the server confirmed or refused;
* a :class:`LiveDecoder` turns frames, in the order of capture, into events handed to a :class:`Sink`.

Frames are logged before either of them looks at one. The service asks the session about frames that
look like control frames, at once; decoders run when a sealed log is landed, and in monitors.
Numbers stay text (``"42000.10"``) until the sink parses them, all of a column at once and exactly.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol, runtime_checkable

from pydantic import SecretStr

from mdc_resources.config import Settings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, ProviderError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.domain.symbols import Symbol

GROUP = "mdc.feeds"


class Subscription(NamedTuple):
    """One dataset (``trades``, ``quotes`` or ``depth``) of one symbol."""

    dataset: Dataset
    symbol: Symbol


class Gone(StrEnum):
    """Why a feed has a hole; the ``reason`` of the ``holes`` ledger."""

    DISCONNECT = "disconnect"
    SEQUENCE = "sequence"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    REFUSED = "refused"
    START = "start"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class LiveSpec:
    """The declared facts of a feed; the service, the landing and the docs read nothing else.

    ``name`` is its section in ``mdc.toml`` (``[stream.coinbase-advanced]``), ``provider`` whose
    symbols, credentials and history these are, ``source`` what landed rows carry. Failover happens
    only within one ``market``. ``max_symbols`` bounds one connection, ``lifetime`` is after what time
    the server closes every one of them, ``silence`` how long a healthy connection may say nothing (with
    its own heartbeats counted), ``identities`` which columns tell two trades apart (empty: none do).
    """

    name: str
    title: str
    provider: str
    source: str
    market: str
    ws_url: str
    datasets: frozenset[Dataset]
    venue: str = ""
    asset_classes: frozenset[str] = frozenset({"crypto"})
    credentials: tuple[str, ...] = ()
    max_symbols: int | None = None
    lifetime: dt.timedelta | None = None
    silence: dt.timedelta = dt.timedelta(seconds=30)
    identities: tuple[str, ...] = ("venue", "trade_id")
    refillable: frozenset[Dataset] = frozenset()  # datasets the provider's history can refill
    decoder_version: int = 1
    checked_on: dt.date = dt.date(2026, 11, 21)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. ``query_auth`` and ``auth`` pair a place with the *name* of a credential."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    query_auth: tuple[tuple[str, str], ...] = ()
    auth: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LiveDialect:
    """What a feed may know, all of it passed in. ``ws_url`` is the configured one, else the spec's.

    ``levels`` is the book depth wanted per symbol; a feed asks for the smallest its vendor offers that
    is not smaller. ``rest_url`` is where the vendor's HTTP side is (book snapshots).
    """

    spec: LiveSpec
    ws_url: str
    rest_url: str = ""
    feed: str = ""
    levels: Mapping[Symbol, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetch:
    """A book snapshot to be fetched over HTTP; its body is logged and decoded like a frame."""

    symbol: Symbol
    request: HttpRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """What one control frame comes to; all empty for one without consequence (a heartbeat).

    ``error`` ends the connection: ABORT never to be tried again, everything else after a pause.
    ``leave`` says that the server asked to be left (it will restart); nothing is wrong.
    """

    send: tuple[bytes, ...] = ()
    confirmed: tuple[Subscription, ...] = ()
    refused: tuple[tuple[Subscription, str], ...] = ()
    ended: tuple[Subscription, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    error: ProviderError | None = None
    leave: bool = False


NOTHING = Reply()


class LiveSession(Protocol):
    """The handshake of one connection, as a state machine without I/O. Frames to send are text in UTF-8."""

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:
        """The socket is open: what to send (authentication, or at once the subscriptions)."""
        ...

    def is_control(self, frame: bytes) -> bool:
        """True where :meth:`control` must see ``frame``, never False for such a one; cheap (substrings)."""
        ...

    def control(self, frame: bytes) -> Reply:
        """Take in one control frame, in the order of arrival; a data frame comes to :data:`NOTHING`."""
        ...

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for more, on a connection that is open and past its authentication."""
        ...

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Ask for less; what ends without an answer of the server is in ``ended`` at once."""
        ...

    def resync(self, symbol: Symbol) -> Reply:
        """Ask for a new book snapshot of ``symbol``: by a :class:`Fetch`, or by subscribing anew."""
        ...

    def ping(self) -> bytes | None:
        """An application-level ping to be sent now and then; None where the vendor has none."""
        ...


class Sink(Protocol):
    """Takes decoded events in the order of capture. Prices and sizes are decimal text as received.

    ``ts_event`` is nanoseconds UTC, None where the feed does not say (the receive time counts then).
    """

    def trade(
        self,
        symbol: Symbol,
        ts_event: int | None,
        price: str,
        size: str,
        *,
        side: str | None = None,
        venue: str | None = None,
        trade_id: str | None = None,
        conditions: str | None = None,
        tape: str | None = None,
        sequence: int | None = None,
        correction: str | None = None,
    ) -> None:
        """One trade; ``side`` is ``buy`` or ``sell``: what the taker did."""
        ...

    def quote(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bid: tuple[str, str],
        ask: tuple[str, str],
        *,
        bid_venue: str | None = None,
        ask_venue: str | None = None,
        conditions: str | None = None,
        tape: str | None = None,
        sequence: int | None = None,
    ) -> None:
        """Best bid and offer, each (price, size); ("0", "0") where there is no such side."""
        ...

    def book_snapshot(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        *,
        sequence: int | None = None,
        checksum: int | None = None,
    ) -> None:
        """The whole book as (price, size), best first. ``sequence`` is the last update it contains."""
        ...

    def book_delta(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        *,
        first: int | None = None,
        last: int | None = None,
        previous: int | None = None,
        checksum: int | None = None,
    ) -> None:
        """Absolute sizes at prices; a size of zero removes the level.

        ``first`` .. ``last`` are the updates it contains; ``previous`` the last update of the delta
        before it, where the feed names that. ``checksum`` is of the book after it.
        """
        ...

    def hole(self, subscription: Subscription, reason: Gone, detail: str) -> None:
        """The feed's own rule says that something is missing between its frame before and this one."""
        ...

    def rejected(self, reason: str, raw: bytes, symbol: Symbol | None = None) -> None:
        """A frame, or a part of one, that is not what the dialect promises; kept with its reason."""
        ...


class LiveDecoder(Protocol):
    """Decodes one connection's frames in the order of capture. Holds sequence numbers, nothing else."""

    def decode(self, frame: bytes, sink: Sink) -> None:
        """Hand the events of ``frame`` to ``sink``. Never raises for what a vendor sent: see ``rejected``."""
        ...

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Hand over the book snapshot that was fetched for ``symbol``."""
        ...

    def state(self) -> dict[str, int]:
        """The sequence numbers reached, as plain JSON."""
        ...

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken."""
        ...


class LiveFeed(Protocol):
    """A vendor's live dialect. Implementations are stateless; the entry point names the instance."""

    spec: LiveSpec

    def address(self, dialect: LiveDialect) -> Address:
        """Where to connect."""
        ...

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> LiveSession:
        """The handshake of a new connection that wants ``wanted``; raises UnknownSymbol for a bad one."""
        ...

    def decoder(self, dialect: LiveDialect) -> LiveDecoder:
        """The decoder of a new connection."""
        ...


@runtime_checkable
class VariedFeed(LiveFeed, Protocol):
    """A vendor with several feeds of its own (``sip``, ``iex``), each with its source and its market."""

    def spec_for(self, feed: str) -> LiveSpec:
        """The declared facts of the vendor's ``feed``; of its usual one where that is empty."""
        ...


def vendor_feed(settings: Settings, name: str) -> str:
    """The vendor's own feed that ``name`` captures: the stream's setting, else the provider's; or empty."""
    stream = settings.stream.get(name)
    provider = settings.providers.get(feed(name).spec.provider)
    return (stream.feed if stream else None) or (provider.feed if provider else None) or ""


def spec_under(settings: Settings, name: str) -> LiveSpec:
    """The facts of the feed called ``name`` under ``settings``."""
    live = feed(name)
    return live.spec_for(vendor_feed(settings, name)) if isinstance(live, VariedFeed) else live.spec


def feed_names() -> tuple[str, ...]:
    """Names of the installed feeds, sorted; imports none of them."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def feed(name: str) -> LiveFeed:
    """The feed called ``name``; raises ConfigError naming those there are."""
    import difflib

    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name.lower(), found, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(found))}"
        raise ConfigError(f"there is no feed {name[:40]!a}", key=f"stream.{name[:40]}", hint=hint)
    loaded: LiveFeed = found[name].load()
    return loaded
