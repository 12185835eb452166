"""A shard's state between two landings: ``state/landing/<shard>.json``, or read again from the log.

Written after the commit. Where it is missing, or a crash came before it was written, the segments
since the last one that was kept are read again, silently; that gives the same state, since the log
is the truth. Losing the file costs time, no rows; how far it reads back is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from mdc_resources.config import Home
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.shard import Kept, Shard
from mdc_resources.wal import SealedSegment

FOLDER = "landing"
READ_BACK = 300  # segments: a day of them, which is how long the longest connections last


def path_of(home: Home, shard: str) -> Path:
    """The file of ``shard``."""
    return home.state_dir / FOLDER / f"{shard}.json"


def load(home: Home, shard: str) -> Kept | None:
    """What was kept of ``shard``; None where nothing usable is."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path_of(home, shard).read_bytes(), type=Kept)
    return None


def save(home: Home, shard: Shard) -> None:
    """Keep the state of ``shard``, unless a later one is kept or it cannot be."""
    before = load(home, shard.shard)
    if before is not None and before.number >= shard.number:
        return
    kept = shard.kept()
    if kept is not None:
        write(path_of(home, shard.shard), msgspec.json.encode(kept))


def write(path: Path, content: bytes) -> None:
    """Replace ``path`` at once; it is a cache, so that a power loss may take it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def shard_before(
    home: Home, segment: SealedSegment, sealed: Mapping[int, SealedSegment], feeds: Feeds, sessions: Sessions
) -> Shard:
    """The shard of ``segment`` as it was before it; ``sealed`` are the shard's segments by number."""
    shard = Shard(segment.shard, feeds, sessions)
    kept = load(home, segment.shard)
    first = max(min(sealed), segment.number - READ_BACK)
    if kept is not None and kept.number < segment.number and shard.restore(kept):
        first = kept.number + 1
    for number in range(first, segment.number):
        if number in sealed:
            shard.read(sealed[number], silently=True)
    return shard
