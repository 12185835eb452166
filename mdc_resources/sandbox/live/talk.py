"""What a live dialect is: a vendor's handshake and its way to write a tick, on one connection.

A talk does no I/O. The connection hands it what the client says and the ticks that are due, and
sends the messages it makes; faults act between the two, without knowing the dialect.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from mdc_resources.sandbox.live.floor import Floor
from mdc_resources.sandbox.tape import SECOND, Tick

TRADES, QUOTES, DEPTH = "trades", "quotes", "depth"


class Message(NamedTuple):
    """One frame of data. ``ids`` are the trades it tells of, or the last book update in it."""

    text: str
    stream: Stream
    ids: tuple[int, ...] = ()
    checksum: int | None = None


@dataclass(slots=True, eq=False)
class Stream:
    """One subscription: ``channel`` and ``symbol`` are the vendor's words, ``series`` the tape's."""

    kind: str
    channel: str
    symbol: str
    series: str
    levels: int = 0
    number: int = 0  # a vendor's own number of the channel
    before: Tick | None = None  # whose book the client has
    waiting: list[Tick] = field(default_factory=list)  # for the next bundle of book changes

    @property
    def target(self) -> str:
        """What the pattern of a fault is searched in: ``trades matches BTC-USD``."""
        return f"{self.kind} {self.channel} {self.symbol}"


@dataclass(frozen=True, slots=True)
class Hello:
    """The request that opened the connection."""

    path: str  # below /<feed>/ws
    params: Mapping[str, str]
    headers: Mapping[str, str]


class Talk:
    """Base of the dialects. ``position`` is the instant up to which the connection has sent the tape."""

    feed = ""
    provider = ""
    arrays = False  # several events of a channel and symbol travel in one frame
    ping_seconds: float | None = None  # protocol-level pings

    def __init__(self, floor: Floor, hello: Hello, refuses: Callable[[str, str], bool]) -> None:
        self.floor = floor
        self.hello = hello
        self.refuses = refuses  # (kind of fault, target) -> whether a fault refuses it
        self.position = 0
        self.closing: tuple[int, str] | None = None  # set to end the connection after what was said
        self.streams: dict[tuple[str, str], Stream] = {}

    def rejection(self) -> tuple[int, bytes] | None:
        """Status and body where the vendor refuses the WebSocket handshake itself."""
        return None

    def opened(self) -> list[str]:
        """What the vendor says first."""
        return []

    def received(self, text: str) -> list[str]:
        """The vendor's answers to a message."""
        raise NotImplementedError

    def ended(self) -> None:
        """The connection is over."""

    def beat(self, now: int) -> list[str]:  # noqa: ARG002 - most vendors are silent
        """Heartbeats that are due; asked every few milliseconds."""
        return []

    def bundles(self, now: int) -> Iterator[Message]:  # noqa: ARG002 - most vendors send each change
        """Messages that are sent on a clock instead of with each tick."""
        return iter(())

    def quote(self, stream: Stream, tick: Tick) -> Message | None:
        """The message of a quote."""
        raise NotImplementedError

    def trade(self, stream: Stream, tick: Tick) -> Message:
        """The message of a trade."""
        raise NotImplementedError

    def depth(self, stream: Stream, tick: Tick) -> Message | None:
        """The message of a book change; None where it waits for a bundle."""
        raise NotImplementedError

    def joined(self, texts: list[str]) -> str:
        """Several events as one frame."""
        return f"[{','.join(texts)}]"

    def due(self, until: int) -> Iterator[Message]:
        """The messages of the tape after ``position`` and up to ``until``, in their order."""
        after, self.position = self.position, until
        by_series: dict[str, list[Stream]] = {}
        for stream in self.streams.values():
            by_series.setdefault(stream.series, []).append(stream)
        events: list[tuple[int, int, Stream, Tick]] = []
        for series, streams in by_series.items():
            for tick in self.floor.ticks(self.provider, series, after, until):
                for stream in streams:
                    at = tick.time if stream.kind == TRADES else tick.quoted
                    if after < at <= until:
                        events.append((at, tick.number, stream, tick))
        events.sort(key=lambda event: event[:2])
        for _, _, stream, tick in events:
            made = self._message(stream, tick)
            if made is not None:
                yield made

    def latest(self, series: str) -> Tick:
        """The newest tick that the connection has come to."""
        return self.floor.tape.latest(self.provider, series, self.position)

    def recent(self, series: str, count: int) -> list[Tick]:
        """The newest ``count`` trades the connection has come to, oldest first."""
        found: list[Tick] = []
        second = self.position // SECOND
        while len(found) < count and second > self.position // SECOND - 3_600:
            ticks = self.floor.tape.second(self.provider, series, second)
            found[:0] = [tick for tick in ticks if tick.time <= self.position]
            second -= 1
        return found[-count:]

    def add(self, stream: Stream) -> Stream:
        """Begin to send ``stream``, from here on."""
        self.streams[stream.channel, stream.symbol] = stream
        if stream.kind == DEPTH:
            stream.before = self.latest(stream.series)
        return stream

    def _message(self, stream: Stream, tick: Tick) -> Message | None:
        if stream.kind == TRADES:
            return self.trade(stream, tick)
        return self.quote(stream, tick) if stream.kind == QUOTES else self.depth(stream, tick)


def parsed(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def listed(value: object) -> list[str]:
    """A JSON array of texts, without what is none in it."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def stamp(nanoseconds: int, digits: int = 6) -> str:
    """RFC 3339 in UTC with so many fractional digits, cut off."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{_second(seconds)}.{rest // 10 ** (9 - digits):0{digits}d}Z"


def short_stamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with up to nine fractional digits, trailing zeros cut off."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{_second(seconds)}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()[:19]
