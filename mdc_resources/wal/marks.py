"""What the service itself writes into a log, between the frames: when it listened, and to whom.

Landing derives holes from these and from the frames alone. All instants are nanoseconds UTC of the
receive clock; a mark's own instant is its record's. ``Pair`` is (dataset, symbol).
"""

from __future__ import annotations

import msgspec

Pair = tuple[str, str]


class Mark(msgspec.Struct, frozen=True, tag_field="mark", omit_defaults=True):
    """Base of all marks; JSON on disk."""


class Started(Mark, tag="started", frozen=True):
    """The service took over this shard's log. ``last_ns`` is the newest instant found in it, 0 if none."""

    pid: int
    version: str
    last_ns: int = 0


class Wanted(Mark, tag="wanted", frozen=True):
    """What is to be captured from here on, whole; empty outside the feed's hours.

    Only what is wanted can have a hole. Written at start, at each change, at the hours' edges and at
    the head of each segment.
    """

    pairs: tuple[Pair, ...] = ()


class Opened(Mark, tag="opened", frozen=True):
    """The record's connection is open. ``probe``: only to see whether it works, none of it is landed."""

    feed: str
    url: str
    probe: bool = False


class Confirmed(Mark, tag="confirmed", frozen=True):
    """The server said that it sends these from here on."""

    pairs: tuple[Pair, ...]


class Refused(Mark, tag="refused", frozen=True):
    """The server said that it will not send these."""

    pairs: tuple[Pair, ...]
    reason: str


class Ended(Mark, tag="ended", frozen=True):
    """These were unsubscribed from, on purpose."""

    pairs: tuple[Pair, ...]


class Closed(Mark, tag="closed", frozen=True):
    """The record's connection is over; ``last_ns`` is when it last said something."""

    last_ns: int
    reason: str
    code: int | None = None


class Carried(Mark, tag="carried", frozen=True):
    """At the head of a segment: the record's connection is open since an earlier one, with these."""

    feed: str
    pairs: tuple[Pair, ...]
    last_ns: int
    probe: bool = False


class ClockStepped(Mark, tag="clock_stepped", frozen=True):
    """The wall clock moved against the monotonic one, positive is ahead."""

    by_ns: int


class Stopped(Mark, tag="stopped", frozen=True):
    """The service drained and ended in order; nothing was received after it."""

    reason: str


AnyMark = Started | Wanted | Opened | Confirmed | Refused | Ended | Closed | Carried | ClockStepped | Stopped
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[AnyMark] = msgspec.json.Decoder(AnyMark)


def encode(mark: AnyMark) -> bytes:
    """``mark`` as one line of JSON."""
    return _ENCODER.encode(mark)


def decode(line: bytes) -> AnyMark:
    """Invert :func:`encode`; raises msgspec.DecodeError for what is none."""
    return _DECODER.decode(line)
