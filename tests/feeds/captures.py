"""Recorded connections, in the format of cryptofeed: one text file each, times of the receiver's clock.

``<url> <-> <epoch>`` opened it, ``<url> <- <epoch>: <text>`` was sent, ``<epoch>: <text>`` received, and
``<url> -> <epoch>: <text>`` an answer over HTTP; ``configuration: ...`` says what was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(rb"(?:(?P<url>\S+) (?P<way><->|<-|->) )?(?P<epoch>\d+(?:\.\d+)?)(?:: (?P<text>.*))?")


class Said(NamedTuple):
    """One frame or body and when it was sent or received; ``url`` only of an answer over HTTP."""

    at_ns: int
    text: bytes
    url: str = ""


@dataclass(slots=True)
class Capture:
    """One file: a connection, or a series of answers over HTTP (then ``url`` is empty)."""

    url: str = ""
    opened_at: int = 0
    sent: list[Said] = field(default_factory=list)
    received: list[Said] = field(default_factory=list)
    answers: list[Said] = field(default_factory=list)


def read_capture(path: Path) -> Capture:
    """Everything in ``path``, in order; ValueError for a line that is of no known kind."""
    capture = Capture()
    for line in path.read_bytes().split(b"\n"):
        if not line.strip() or line.startswith(b"configuration: "):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{path.name}: {line[:60]!r} is no line of a capture")
        at_ns, text, url = _nanos(found["epoch"]), found["text"] or b"", (found["url"] or b"").decode()
        match found["way"]:
            case b"<->":
                capture.url, capture.opened_at = url, at_ns
            case b"<-":
                capture.sent.append(Said(at_ns, text))
            case b"->":
                capture.answers.append(Said(at_ns, text, url))
            case _:
                capture.received.append(Said(at_ns, text))
    return capture


def _nanos(epoch: bytes) -> int:
    whole, _, fraction = epoch.decode().partition(".")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))
