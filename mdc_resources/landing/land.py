"""Land sealed segments: read, decode, merge, commit, remember. Exactly once, whatever dies on the way.

    read the shard's next segments  ->  claim their partitions  ->  merge with what is stored  ->
    one commit: rows, spans, holes, coverage, quarantine, ledger of segments  ->  keep the state

A segment is landed when it stands in the ledger ``segments``, which the commit writes. A partition
that somebody else works on makes its segments wait for the next time. A segment that cannot be read
for other reasons than damage (a feed that is not installed, a newer format) is reported and kept as a
dead letter; its shard waits.
"""

from __future__ import annotations

import datetime as dt
import gc
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.time import now
from mdc_resources.lake import HoleRow, Lake
from mdc_resources.lake.commit import SANDBOX_PREFIX
from mdc_resources.landing import checkpoint
from mdc_resources.landing.batch import Batch, Landing
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.letters import Cause, LetterState, NewLetter
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.shard import Portion, Shard
from mdc_resources.landing.sums import Sums
from mdc_resources.state import State
from mdc_resources.telemetry import get_logger
from mdc_resources.wal import NewerLog, SealedSegment, sealed_segments

BATCH_ROWS = 1_000_000
BATCH_SEGMENTS = 256


@dataclass(frozen=True, slots=True)
class Landed:
    """What a landing came to. ``skipped`` were in the ledger already, ``waiting`` are for the next time."""

    segments: int = 0
    rows: Mapping[Dataset, int] = field(default_factory=dict)
    partitions: tuple[CoverageRow, ...] = ()
    holes: tuple[HoleRow, ...] = ()
    rejected: int = 0
    snapshot_id: int | None = None
    skipped: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    waiting: tuple[str, ...] = ()


def unlanded(home: Home) -> list[SealedSegment]:
    """Sealed segments that are not in the ledger, in the order of (shard, number)."""
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        return not_in(lake.landed_segments(), sealed_segments(home.segments_dir))
    finally:
        lake.close()


def not_in(landed: Mapping[str, frozenset[int]], sealed: Sequence[SealedSegment]) -> list[SealedSegment]:
    """Those of ``sealed`` that ``landed`` does not name."""
    return [each for each in sealed if each.number not in landed.get(each.shard, ())]


def land(
    home: Home,
    segments: Sequence[SealedSegment] | None = None,
    *,
    run_id: str,
    on_progress: Callable[[Landed], None] | None = None,
) -> Landed:
    """Land ``segments`` (all that are not landed, if left out) in batches of one commit each.

    ``on_progress`` is told the result so far after each commit.

    Raises:
        LakeError, StorageFailed, LakeBusy: nothing of the batch at hand was published.
    """
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        with State.open(home) as state:
            return _Run(home, lake, state, run_id, on_progress).work(segments)
    finally:
        lake.close()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the cyclic collector out: it would walk every event held, again and again, for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Run:
    """One call of :func:`land`."""

    def __init__(
        self,
        home: Home,
        lake: Lake,
        state: State,
        run_id: str,
        on_progress: Callable[[Landed], None] | None,
    ) -> None:
        self._home = home
        self._lake = lake
        self._on_progress = on_progress
        self._letters = DeadLetters.of(home)
        self._sessions = Sessions(home, state)
        self._feeds = Feeds(home, SANDBOX_PREFIX if lake.sandbox else "")
        self._landing = Landing(
            lake, state, self._feeds, self._sessions, Sums(home, lake), run_id,
            ttl=dt.timedelta(minutes=home.settings.ingest.claim_minutes),
        )  # fmt: skip
        self._sealed: dict[str, dict[int, SealedSegment]] = defaultdict(dict)
        self._failed: list[tuple[str, str]] = []

    def work(self, segments: Sequence[SealedSegment] | None) -> Landed:
        """Batch after batch; a shard whose segment has to wait is left alone until the next call."""
        sealed = sealed_segments(self._home.segments_dir)
        for each in (*sealed, *(segments or ())):
            self._sealed[each.shard][each.number] = each
        given = sealed if segments is None else segments
        landed = self._lake.landed_segments()
        todo = not_in(landed, given)
        total = Landed(skipped=len(given) - len(todo))
        held, given_up = self._held_back() if segments is None else (frozenset(), frozenset())
        queues: dict[str, list[SealedSegment]] = defaultdict(list)
        for each in sealed:
            if each.name in given_up:  # nothing of it will come: a loss, like one that is not there
                del self._sealed[each.shard][each.number]
        for each in sorted(todo, key=lambda each: (each.shard, each.number)):
            if each.name not in given_up:
                queues[each.shard].append(each)
        waiting: list[str] = []
        batch = Batch(landed)
        for shard, queue in queues.items():
            for shard_state, portion in self._portions(shard, queue, landed, held):
                batch.add(shard_state, portion)
                if batch.rows >= BATCH_ROWS or len(batch.portions) >= BATCH_SEGMENTS:
                    total, batch, busy = self._commit(total, batch)
                    waiting += busy
                    if busy:
                        break
        total, _, busy = self._commit(total, batch)
        return _with(total, failed=tuple(self._failed), waiting=(*waiting, *busy))

    def _portions(
        self,
        shard: str,
        queue: Sequence[SealedSegment],
        landed: Mapping[str, frozenset[int]],
        held: frozenset[str],
    ) -> Iterator[tuple[Shard, Portion]]:
        """The shard's segments of ``queue`` read in order, up to one that has to wait or fails."""
        sealed, done = self._sealed[shard], landed.get(shard, frozenset())
        state: Shard | None = None
        for segment in queue:
            if segment.name in held or self._still_to_come(segment, sealed, done):
                return
            try:
                if state is None:
                    state = checkpoint.shard_before(self._home, segment, sealed, self._feeds, self._sessions)
                for between in range(state.number + 1, segment.number):
                    if between in sealed and state.number:
                        state.read(sealed[between], silently=True)
                with _uncollected():
                    portion = state.read(segment)
            except (ConfigError, NewerLog) as error:
                self._fail(segment, str(error))
                return
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                get_logger().exception("land.failed", segment=segment.name)
                self._fail(segment, f"{type(error).__name__}: {error}")
                return
            yield state, portion

    def _still_to_come(
        self, segment: SealedSegment, sealed: Mapping[int, SealedSegment], done: frozenset[int]
    ) -> bool:
        """True if the segment before is known to exist and is not sealed yet."""
        before = segment.number - 1
        live = self._home.wal_dir / segment.shard / f"{before:012d}.wal"
        return before not in sealed and before not in done and live.exists()

    def _commit(self, total: Landed, batch: Batch) -> tuple[Landed, Batch, list[str]]:
        """Commit ``batch``; the total with it, an empty batch to go on with, and what has to wait."""
        if not batch.portions:
            return total, batch, []
        done = self._landing.commit(batch)
        self._landing.sums.save()
        for shard in done.shards:
            checkpoint.save(self._home, shard)
        names = [portion.segment.name for portion in done.portions]
        self._letters.add_all(_letters(done.portions))
        self._letters.note_landed(names)
        landed = {
            shard: batch.landed.get(shard, frozenset())
            | {p.segment.number for p in done.portions if p.segment.shard == shard}
            for shard in {*batch.landed, *(p.segment.shard for p in done.portions)}
        }
        rows = dict(total.rows)
        for dataset, count in done.rows.items():
            rows[dataset] = rows.get(dataset, 0) + count
        partitions = {(line.dataset, line.key): line for line in (*total.partitions, *done.coverage)}
        holes = {hole.hole_id: hole for hole in (*total.holes, *done.holes)}
        total = _with(
            total,
            segments=total.segments + len(done.portions),
            rows=rows,
            partitions=tuple(partitions.values()),
            holes=tuple(holes.values()),
            rejected=total.rejected + sum(portion.rejected for portion in done.portions),
            snapshot_id=done.snapshot_id if done.snapshot_id is not None else total.snapshot_id,
        )
        if self._on_progress is not None:
            self._on_progress(total)
        return total, Batch(landed), [portion.segment.name for portion in done.busy]

    def _fail(self, segment: SealedSegment, reason: str) -> None:
        self._failed.append((segment.name, reason))
        self._letters.note_not_landed(segment.name, reason)

    def _held_back(self) -> tuple[frozenset[str], frozenset[str]]:
        """(segments to be tried again later, segments that were given up)."""
        held = self._letters.held_back(now())
        if not held:
            return held, held
        given_up = frozenset(
            letter.segment
            for letter in self._letters.letters(state=None, cause=Cause.NOT_LANDED)
            if letter.segment in held and (letter.state is LetterState.DROPPED or letter.next_at is None)
        )
        return held - given_up, given_up


def _letters(portions: Sequence[Portion]) -> Iterator[NewLetter]:
    for portion in portions:
        for refusal in portion.refused:
            yield NewLetter(
                segment=portion.segment.name,
                cause=Cause.UNDECODABLE,
                reason=refusal.reason,
                offset=refusal.offset,
                frame=refusal.frame,
                symbol=refusal.symbol,
                raw=refusal.raw,
            )
        if portion.damage:
            yield NewLetter(segment=portion.segment.name, cause=Cause.DAMAGED, reason=portion.damage)


def _with(landed: Landed, **changed: object) -> Landed:
    from dataclasses import replace

    return replace(landed, **changed)  # type: ignore[arg-type]
