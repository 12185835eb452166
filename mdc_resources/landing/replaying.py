"""Dead letters tried again with the decoders of today.

A whole segment is landed. For frames their segment is read again as landing reads it; trades and
quotes that come out of them now, and are not stored yet, are added to their partitions in the order of
capture, in one commit. Books are left as they landed: an update cannot be put into one afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy, LakeError, MdcError
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.lake.commit import SANDBOX_PREFIX
from mdc_resources.landing import checkpoint
from mdc_resources.landing.columns import partitions
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.land import land
from mdc_resources.landing.letters import Cause, DeadLetter
from mdc_resources.landing.merging import Merged, merge, superseded
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.shard import Portion
from mdc_resources.landing.sums import Sums
from mdc_resources.state import Claim, State
from mdc_resources.wal import SealedSegment, read_segment, sealed_segments

RUN_ID = "deadletter-replay"
_NOT_LANDED = "its segment has not landed yet"
_ADDED = (Dataset.TRADES, Dataset.QUOTES)
Pieces = dict[Dataset, dict[PartitionKey, pa.Table]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter, and what to tell about it."""

    letter: DeadLetter
    ok: bool
    told: str

    def as_dict(self) -> dict[str, object]:
        """JSON's own types."""
        return {
            "id": self.letter.id,
            "reference": self.letter.reference,
            "ok": self.ok,
            "told": self.told,
        }


def replay(
    home: Home, store: DeadLetters, letters: Sequence[DeadLetter], *, dry_run: bool = False
) -> list[Outcome]:
    """Try ``letters`` again, a segment at a time; outcomes in the order of their segments.

    Raises LakeError where the lake refuses; what was replayed before stays.
    """
    grouped: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        grouped[letter.segment].append(letter)
    sealed = {segment.name: segment for segment in sealed_segments(home.segments_dir)}
    outcomes: list[Outcome] = []
    for name, held in sorted(grouped.items()):
        segment = sealed.get(name)
        if segment is None:
            outcomes += [_failed(store, each, "its segment is gone", dry_run=dry_run) for each in held]
            continue
        whole = [letter for letter in held if letter.is_whole_segment]
        frames = [letter for letter in held if not letter.is_whole_segment]
        outcomes += [_land(home, store, letter, segment, dry_run=dry_run) for letter in whole]
        if frames:
            outcomes += _frames(home, store, frames, segment, sealed.values(), dry_run=dry_run)
    return outcomes


def due_frames(home: Home) -> list[DeadLetter]:
    """Frames whose next try has come; a whole segment is tried again by landing itself."""
    return [letter for letter in DeadLetters.of(home).due(now()) if not letter.is_whole_segment]


def replay_due(home: Home) -> list[Outcome]:
    """Try :func:`due_frames` again; raises LakeError where the lake refuses."""
    return replay(home, DeadLetters.of(home), due_frames(home))


def _land(
    home: Home, store: DeadLetters, letter: DeadLetter, segment: SealedSegment, *, dry_run: bool
) -> Outcome:
    """A whole segment; landing itself closes its letter, or counts the attempt."""
    if letter.cause is Cause.DAMAGED:
        return Outcome(letter, False, "what is damaged cannot be read; what was readable has landed")
    if dry_run:
        return Outcome(letter, True, "would be landed")
    done = land(home, [segment], run_id=RUN_ID)
    reason = dict(done.failed).get(segment.name)
    if reason:
        return Outcome(letter, False, reason)
    if segment.name in done.waiting:
        return Outcome(letter, False, "somebody works on its partitions: try again")
    store.note_landed([segment.name])
    return Outcome(letter, True, f"landed, {sum(done.rows.values())} rows")


def _failed(store: DeadLetters, letter: DeadLetter, reason: str, *, dry_run: bool) -> Outcome:
    if not dry_run:
        store.note_failure(letter.id, reason)
    return Outcome(letter, False, reason)


class _Again:
    """Frames of segments that have landed; one use of the lake."""

    def __init__(self, home: Home, lake: Lake, state: State) -> None:
        self._home = home
        self._lake = lake
        self._state = state
        self._sessions = Sessions(home, state)
        self._feeds = Feeds(home, SANDBOX_PREFIX if lake.sandbox else "")

    def replay(
        self, segment: SealedSegment, letters: Sequence[DeadLetter], sealed: Iterable[SealedSegment]
    ) -> tuple[list[Outcome], Pieces]:
        """What becomes of ``letters`` of ``segment``, and the rows that are to be added."""
        if segment.number not in self._lake.landed_segments().get(segment.shard, ()):
            return [Outcome(letter, False, _NOT_LANDED) for letter in letters], {}
        known = {each.number: each for each in sealed if each.shard == segment.shard}
        shard = checkpoint.shard_before(self._home, segment, known, self._feeds, self._sessions)
        portion = shard.read(segment)
        refused = {(each.offset, each.frame): each.reason for each in portion.refused}
        mended = [letter for letter in letters if (letter.offset, letter.frame) not in refused]
        pieces = self._missing(portion, {letter.offset for letter in mended})
        count = sum(table.num_rows for of in pieces.values() for table in of.values())
        told = f"decodes now; rows added in its segment: {count}" if count else "decodes now"
        outcomes = [
            Outcome(letter, True, told)
            if (letter.offset, letter.frame) not in refused
            else Outcome(letter, False, refused[letter.offset, letter.frame])
            for letter in letters
        ]
        return outcomes, pieces

    def commit(self, segment: SealedSegment, pieces: Pieces) -> None:
        """Add ``pieces``; raises LakeBusy where somebody works on one of their partitions."""
        ttl = dt.timedelta(minutes=self._home.settings.ingest.claim_minutes)
        claims = [self._state.claim(dataset, of.keys(), ttl=ttl) for dataset, of in sorted(pieces.items())]
        try:
            if any(claim.busy for claim in claims):
                raise LakeBusy("somebody works on its partitions", hint="Try again")
            self._write(segment, pieces, claims)
        finally:
            for claim in claims:
                self._state.release(claim)

    def _write(self, segment: SealedSegment, pieces: Pieces, claims: Sequence[Claim]) -> None:
        sums = Sums(self._home, self._lake)
        feed = self._feeds[segment.header.feed]
        prior = {dataset: self._prior(dataset, of.keys()) for dataset, of in pieces.items()}
        merged = [
            merge(
                self._lake,
                sums,
                dataset,
                of.values(),
                prior=prior[dataset],
                late=of.keys(),
                identities={feed.source: feed.identity},
                sort=False,
            )
            for dataset, of in pieces.items()
        ]
        attempt = max(claim.attempt for claim in claims)

        def fence() -> None:
            for claim in claims:
                self._state.check_fence(claim)

        self._lake.commit(
            CommitBatch(
                run_id=RUN_ID,
                attempt=attempt,
                tables={each.dataset: each.table for each in merged if each.parts},
                coverage=[
                    replace(line, attempt=attempt)
                    for each in merged
                    for line in _lines(each, prior[each.dataset])
                ],
                replaces=frozenset((each.dataset, key) for each in merged for key in each.replaces),
                appends=frozenset((each.dataset, key) for each in merged for key in each.appends),
                before_commit=fence,
            )
        )
        sums.save()

    def _missing(self, portion: Portion, offsets: set[int]) -> Pieces:
        """Trades and quotes of the records at ``offsets`` that are not stored, by partition."""
        if not offsets:
            return {}
        received = {r.recv_ns for r in read_segment(portion.segment.path) if r.offset in offsets}
        source = self._feeds[portion.segment.header.feed].source
        found: Pieces = {}
        for dataset in _ADDED:
            tables = [each.tables[dataset] for each in portion.tables if dataset in each.tables]
            if not tables:
                continue
            rows = pa.concat_tables(tables)
            for key, piece in partitions(
                rows.filter(pc.is_in(rows["ts_recv"], pa.array(received, pa.int64())))
            ):
                prior = self._prior(dataset, [key]).get(key)
                fresh = self._unstored(dataset, key, piece)
                if fresh.num_rows and not superseded(prior, {source}):
                    found.setdefault(dataset, {})[key] = fresh
        return found

    def _unstored(self, dataset: Dataset, key: PartitionKey, piece: pa.Table) -> pa.Table:
        """``piece`` without the rows that are stored exactly so; other parts of a frame have landed."""
        stored = self._lake.rows_of(dataset, [key])
        near = stored.filter(pc.is_in(stored["ts_recv"], pc.unique(piece["ts_recv"]).cast(pa.int64())))
        held = Counter(_contents(near.cast(piece.schema)))
        keep = []
        for row in _contents(piece):
            keep.append(held[row] == 0)
            held[row] -= held[row] > 0
        return piece.filter(pa.array(keep, pa.bool_()))

    def _prior(self, dataset: Dataset, keys: Collection[PartitionKey]) -> dict[PartitionKey, CoverageRow]:
        sessions = [key.session for key in keys]
        symbols = sorted({key.symbol for key in keys})
        lines = ledger(self._lake, dataset, symbols, min(sessions), max(sessions))
        return {key: line for key, line in lines.items() if key in keys}


def _frames(
    home: Home,
    store: DeadLetters,
    letters: Sequence[DeadLetter],
    segment: SealedSegment,
    sealed: Iterable[SealedSegment],
    *,
    dry_run: bool,
) -> list[Outcome]:
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        with State.open(home) as state:
            again = _Again(home, lake, state)
            outcomes, pieces = again.replay(segment, letters, sealed)
            if dry_run:
                return outcomes
            if pieces:
                again.commit(segment, pieces)
    except LakeError:
        raise
    except MdcError as error:  # the segment itself: nothing was written
        return [_failed(store, letter, str(error), dry_run=dry_run) for letter in letters]
    finally:
        lake.close()
    for outcome in outcomes:
        if outcome.ok:
            store.note_replayed([outcome.letter.id], note=outcome.told)
        elif outcome.told != _NOT_LANDED:
            store.note_failure(outcome.letter.id, outcome.told)
    return outcomes


def _lines(merged: Merged, prior: Mapping[PartitionKey, CoverageRow]) -> Iterator[CoverageRow]:
    """The ledger's line of each partition with its new total; how far it was captured stays."""
    for key, total in merged.totals.items():
        line = prior.get(key) or CoverageRow(merged.dataset, key.symbol, key.session, PartitionState.PARTIAL)
        if line.state is PartitionState.EMPTY:  # something happened after all
            line = replace(line, state=PartitionState.PRESENT, reason="")
        yield replace(
            line, row_count=total.rows, fingerprint=total.fingerprint, source=line.source or total.source
        )


def _contents(rows: pa.Table) -> list[tuple[object, ...]]:
    """What each row says, wherever it stands."""
    columns = (rows[name].to_pylist() for name in rows.column_names if name != "ordinal")
    return list(zip(*columns, strict=True))
