"""The one writer of a shard's log: append to memory, commit to disk, roll, seal.

Nothing counts as acknowledged before :meth:`LogWriter.commit` has returned. After any failure but
:class:`NoSpace` the writer is dead: what the file holds then is only known to the next one that opens
it. ``append`` and ``cut`` are for the receiving thread; ``commit``, ``roll`` and ``close`` may run in
another, one at a time; ``seal_finished`` in a third.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mdc_resources import __version__
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.errors import StorageFailed, UsageError
from mdc_resources.wal.errors import NoSpace, WalDamaged
from mdc_resources.wal.files import make_dirs, remove
from mdc_resources.wal.format import SegmentHeader
from mdc_resources.wal.holding import boot_id, locked
from mdc_resources.wal.live import LiveSegment
from mdc_resources.wal.pending import Pending
from mdc_resources.wal.recovery import Next, Recovery, recover, set_aside, write_next
from mdc_resources.wal.sealed import LIVE, seal, segment_name, segment_number
from mdc_resources.wal.tally import Group

_SHARD = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Durable(NamedTuple):
    """What a commit made durable: ``frames`` and ``bytes`` of it, and everything appended up to then.

    ``through_ns`` is the receive time of the last record that is on disk.
    """

    through_ns: int
    frames: int
    bytes: int


class LogWriter:
    """The log of one shard, open for writing; make it with :meth:`open`."""

    def __init__(
        self,
        folder: Path,
        segments: Path,
        *,
        names: tuple[str, str, int],
        settings: SidecarSettings,
        clock: Callable[[], int],
        lock: int,
        found: tuple[Recovery, Next],
    ) -> None:
        self.shard, self._feed, self._decoder_version = names
        self._folder = folder
        self._segments = segments
        self._segment_bytes = round(settings.segment_mb * 1e6)
        self._segment_ns = round(settings.segment_seconds * 1e9)
        self._reserve_bytes = round(settings.reserve_mb * 1e6)
        self._clock = clock
        self._process_lock = lock
        self.recovery, following = found
        self.durable_ns = 0
        self._next_segment = following.segment
        self._next_frame = following.frame
        self._next_connection = following.connection
        self._finished = following.segment - 1
        self._failed = ""
        self._numbering = threading.Lock()
        self._sealing = threading.Lock()
        self._pending = Pending(following.frame, self.recovery.last_ns)
        self._live: LiveSegment | None = None

    @classmethod
    def open(
        cls,
        wal_dir: Path,
        segments_dir: Path,
        shard: str,
        feed: str,
        decoder_version: int,
        settings: SidecarSettings,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> Self:
        """Take over the log of ``shard``, put in order what a crash left, begin a new segment.

        Raises:
            LogTaken: another process is writing it.
            NewerLog: a later release wrote it.
            NoSpace: there is no room for a segment; nothing was lost.
            StorageFailed: the disk refused.
        """
        if not _SHARD.fullmatch(shard):
            raise UsageError(
                f"{shard[:40]!a} is not a shard", hint="A shard is a feed and a number: coinbase-0"
            )
        folder, segments = wal_dir / shard, segments_dir / shard
        for path in (folder, segments):
            make_dirs(path)
        lock = locked(folder / "lock", shard)
        try:
            writer = cls(
                folder,
                segments,
                names=(shard, feed, decoder_version),
                settings=settings,
                clock=clock,
                lock=lock,
                found=recover(folder, segments),
            )
            writer._begin()
        except BaseException:
            os.close(lock)
            raise
        return writer

    @property
    def pending_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return self._pending.size

    @property
    def last_ns(self) -> int:
        """The newest receive time of the shard, durable or not; 0 if nothing was ever received."""
        return self._pending.last_ns

    @property
    def segment(self) -> int:
        """The number of the segment that is being written."""
        return self._next_segment - 1

    @property
    def segment_used(self) -> int:
        """Bytes written to it."""
        return self._live.end if self._live else 0

    def next_connection(self) -> int:
        """A number for a new connection, never used before in this shard."""
        with self._numbering:
            number = self._next_connection
            self._next_connection += 1
        return number

    def append(self, kind: int, recv_ns: int, connection: int, frames: Sequence[bytes]) -> None:
        """Take in frames of one connection, received at ``recv_ns``; only memory is touched.

        More than 64 become several records. Raises StorageFailed after a failure.
        """
        if self._failed:
            self._refuse()
        self._pending.append(kind, recv_ns, connection, frames)

    def commit(self) -> Durable:
        """Make everything appended so far durable.

        Raises:
            NoSpace: it does not fit; nothing was lost, and a later commit may succeed.
            StorageFailed: the disk refused. The writer is dead, only what was acknowledged is certain.
        """
        self._refuse()
        with self._fatal():
            before = self._through_cut()
            live = self._live or self._begin()
            return _sum(before, self._write(live, self._take(live)))

    def cut(self) -> None:
        """What is appended from now on belongs to the next segment; :meth:`roll` must follow."""
        if self._live is not None:
            self._pending.cut()

    def roll(self) -> Durable:
        """Finish the segment with what was appended before the cut (or until now), begin the next.

        Raises as :meth:`commit`; after NoSpace the next commit goes on where this one stopped.
        """
        self._refuse()
        self.cut()
        with self._fatal():
            durable = self._through_cut()
            if self._live is None:
                self._begin()
            return durable

    def due_to_roll(self, now: int) -> bool:
        """True once the segment is full, or ``segment_seconds`` old at ``now`` (ns), and not empty."""
        live = self._live
        if live is None or self._pending.before_cut or not live.tally.records:
            return False
        age = now - live.header.created_ns
        return live.end >= self._segment_bytes or age >= self._segment_ns or age < 0

    def seal_finished(self) -> list[Path]:
        """Compress the finished segments; their new paths. A damaged one is set aside and logged.

        Raises:
            NoSpace: there is no room for the compressed one; it stays as it is for the next time.
            StorageFailed: the disk refused.
        """
        sealed = []
        with self._sealing:
            for path in sorted(self._folder.glob(f"*{LIVE}")):
                number = segment_number(path)
                if number is None or number > self._finished:
                    continue
                try:
                    sealed.append(seal(path, self._segments))
                except WalDamaged as error:
                    set_aside(path, error)
        return sealed

    def close(self, *, seal: bool = True) -> None:
        """Commit, finish the segment and seal it; after a failure only let go of the file."""
        try:
            if not self._failed:
                self.commit()
                with self._fatal():
                    self._end()
                if seal:
                    self.seal_finished()
        finally:
            self._failed = self._failed or "closed"
            if self._live:
                self._live.close()
                self._live = None
            if self._process_lock >= 0:
                os.close(self._process_lock)
                self._process_lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def _through_cut(self) -> Durable:
        """Write what was appended before the cut, if there was one, and finish its segment."""
        group, live = self._pending.before_cut, self._live
        if group is None or live is None:
            return Durable(self.durable_ns, 0, 0)
        live.reserve(group.size)
        durable = self._write(live, group)
        self._pending.before_cut = None
        if live.tally.records:
            self._finish(live)
        return durable

    def _take(self, live: LiveSegment) -> Group:
        """What is pending, once there is room for all of it."""
        while True:
            live.reserve(self._pending.waiting)
            group = self._pending.take(live.fits)
            if group is not None:  # None: more came in between
                return group

    def _write(self, live: LiveSegment, group: Group) -> Durable:
        frames = group.next_frame - group.first - group.other_frames
        if group.parts:
            live.write(group, b"".join(group.parts))
            self._next_frame = group.next_frame
            self.durable_ns = group.newest_ns
            self._pending.durable(group)
        return Durable(self.durable_ns, frames, group.size)

    def _begin(self) -> LiveSegment:
        header = SegmentHeader(
            shard=self.shard,
            feed=self._feed,
            number=self._next_segment,
            created_ns=self._clock(),
            boot_id=boot_id(),
            version=__version__,
            decoder_version=self._decoder_version,
            first_frame=self._next_frame,
            first_connection=self._next_connection,
        )
        path = self._folder / segment_name(header.number)
        self._live = LiveSegment.create(path, header, self._segment_bytes, reserve=self._reserve_bytes)
        self._next_segment += 1
        return self._live

    def _end(self) -> None:
        """Finish the segment, if it holds anything, and note the numbers to go on with."""
        if self._live and self._live.tally.records:
            self._finish(self._live)
        elif self._live:
            self._drop_empty(self._live)
        following = Next(self._next_segment, self._next_frame, self._next_connection, self.last_ns)
        write_next(self._folder, following)

    def _finish(self, live: LiveSegment) -> None:
        live.finish()
        self._finished = live.header.number
        self._live = None

    def _drop_empty(self, live: LiveSegment) -> None:
        """A segment without a record is none; its number is free again."""
        live.close()
        remove(live.path)
        self._next_segment = live.header.number
        self._live = None

    def _refuse(self) -> None:
        if self._failed:
            raise StorageFailed(
                f"the log of {self.shard} cannot be written any more: {self._failed}",
                hint="Start again: what was acknowledged is kept",
            )

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """After any failure inside the block but NoSpace nothing is written any more."""
        try:
            yield
        except NoSpace:
            raise
        except BaseException as error:
            self._failed = str(error) or type(error).__name__
            raise


def _sum(first: Durable, second: Durable) -> Durable:
    return Durable(second.through_ns, first.frames + second.frames, first.bytes + second.bytes)
