"""What a writer finds when it takes over a shard, and how it is put in order before a new segment.

Every step can be cut by a crash and is then done again to the same end:

* a segment without a footer gets one; what was torn is kept in ``torn/`` and counted;
* a damaged one is set aside whole in ``damaged/``, with an error that names the offset: capture goes
  on in a new segment whose numbers are beyond whatever the damaged one may have held;
* one without a record is removed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from mdc_resources.telemetry import get_logger
from mdc_resources.wal.errors import WalDamaged
from mdc_resources.wal.files import make_dirs, move, remove, storage, write_all, write_file
from mdc_resources.wal.format import SegmentFooter
from mdc_resources.wal.live import finish
from mdc_resources.wal.scan import Scan
from mdc_resources.wal.sealed import LIVE, SEALED, sealed_segment, segment_number
from mdc_resources.wal.tail import judge_tail, opened

# No segment has so many frames, nor so many connections.
BEYOND_FRAMES = 1 << 32
BEYOND_CONNECTIONS = 1 << 16
NEXT = "next.json"
_log = get_logger()


class Recovery(NamedTuple):
    """What was found in the live log. ``last_ns`` is the newest instant of the shard, 0 if it is new."""

    records: int
    frames: int
    torn_bytes: int
    seconds: float
    last_ns: int
    damaged: tuple[WalDamaged, ...] = ()


class Next(msgspec.Struct):
    """The first numbers that no segment of the shard has used."""

    segment: int = 1
    frame: int = 0
    connection: int = 1
    last_ns: int = 0

    def after(self, number: int, footer: SegmentFooter) -> None:
        """Move beyond segment ``number``."""
        self.segment = max(self.segment, number + 1)
        self.frame = max(self.frame, footer.next_frame)
        self.connection = max(self.connection, footer.next_connection)
        self.last_ns = max(self.last_ns, footer.last_ns)

    def beyond(self, number: int) -> None:
        """Move beyond a segment of which nothing is known but its number."""
        self.segment = max(self.segment, number + 1)
        self.frame += BEYOND_FRAMES
        self.connection += BEYOND_CONNECTIONS


def recover(folder: Path, segments: Path) -> tuple[Recovery, Next]:
    """Put the log in ``folder`` in order; ``segments`` has the shard's sealed ones.

    Raises:
        NewerLog: a later release wrote the log.
        StorageFailed: the disk refused; what was acknowledged is still there.
    """
    began = time.monotonic()
    following = _read_next(folder)
    _after_sealed(following, segments)
    records = frames = torn = 0
    damaged: list[WalDamaged] = []
    for path in sorted(folder.glob(f"*{LIVE}")):
        number = segment_number(path)
        if number is None:
            continue
        try:
            scan, torn_here = _examined(path)
        except WalDamaged as error:
            following.beyond(number)
            write_next(folder, following)  # first: once it is set aside nothing else tells its numbers
            set_aside(path, error)
            damaged.append(error)
            continue
        torn += torn_here
        records, frames = records + scan.tally.records, frames + scan.tally.frames
        if scan.tally.records:
            following.after(number, scan.found())
        _finish(path, scan, torn_here)
    for leftover in (*folder.glob("*.tmp"), *segments.glob("*.tmp")):
        remove(leftover)
    seconds = time.monotonic() - began
    return Recovery(records, frames, torn, seconds, following.last_ns, tuple(damaged)), following


def write_next(folder: Path, following: Next) -> None:
    """Note the numbers to go on with, for when all segments have been moved elsewhere."""
    write_file(folder / NEXT, msgspec.json.encode(following))


def set_aside(path: Path, error: WalDamaged) -> Path:
    """Move a damaged segment to ``damaged/``, whole; nothing there is ever overwritten."""
    shelf = path.parent / "damaged"
    make_dirs(shelf)
    target = shelf / path.name
    for again in range(1, 1000):
        if not target.exists():
            break
        target = shelf / f"{path.stem}-{again}{path.suffix}"
    move(path, target)
    _log.error(
        "wal_damaged",
        path=str(target),
        offset=error.offset,
        reason=error.reason,
        following=error.following,
    )
    return target


def _examined(path: Path) -> tuple[Scan, int]:
    with opened(path) as scan:
        scan.run()
    return scan, judge_tail(scan)


def _finish(path: Path, scan: Scan, torn: int) -> None:
    """Make a segment that a crash left open a finished one, or remove it if it holds nothing."""
    if scan.footer:
        return
    with storage("open", path):
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if torn:
            _keep_torn(handle, path, scan.end, torn)
        if scan.tally.records:
            finish(handle, path, scan.end, scan.found())
    finally:
        os.close(handle)
    if not scan.tally.records:
        remove(path)


def _keep_torn(handle: int, path: Path, end: int, torn: int) -> None:
    """Copy the torn bytes to ``torn/``, then blank them: no footer may have bytes after it."""
    kept = path.parent / "torn" / f"{path.stem}-{end}.torn"
    make_dirs(kept.parent)
    with storage("read", path):
        data = os.pread(handle, torn, end)
    if not kept.exists():  # after a crash here the first copy is the whole one
        write_file(kept, data)
    _log.warning("wal_torn_tail", path=str(path), offset=end, bytes=torn, kept=str(kept))
    with storage("write", path):
        write_all(handle, bytes(torn), end)
    with storage("fsync", path):
        os.fdatasync(handle)


def _read_next(folder: Path) -> Next:
    try:
        return msgspec.json.decode((folder / NEXT).read_bytes(), type=Next)
    except FileNotFoundError:
        return Next()
    except msgspec.DecodeError as error:
        _log.error("wal_numbers_unread", path=str(folder / NEXT), reason=str(error))
        return Next()  # the segments tell the same, as long as they are there


def _after_sealed(following: Next, segments: Path) -> None:
    """Move beyond the newest sealed segments, down to the first whose summary can be read."""
    unread: list[int] = []
    for path in sorted(segments.glob(f"*{SEALED}"), reverse=True):
        number = segment_number(path)
        if number is None:
            continue
        found = sealed_segment(path, number)
        if not found.damage:
            following.after(number, found.footer)
            break
        unread.append(number)
    for number in unread:
        following.beyond(number)
