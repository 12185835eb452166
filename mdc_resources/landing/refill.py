"""Refilling holes of live capture from history, by span: ask, merge, commit with what became of them.

Holes of one partition are widened (:mod:`.refill_merge`), those that touch are asked for together,
through the ordinary transport: budgets, breakers, failover within the market, every body archived.
Rows, coverage, spans and the holes' new state are one commit under a claim. A hole that history
cannot tell yet stays open and pauses; one that was asked for too often becomes ``unrepairable``,
with an incident that says who was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now, parse_duration
from mdc_resources.ingest.unrecoverable import incidents_of
from mdc_resources.lake import HoleRow, Lake, fingerprints
from mdc_resources.landing.covering import OPEN, REPAIRED, UNREPAIRABLE, standing
from mdc_resources.landing.refill_ask import Asked, Historian
from mdc_resources.landing.refill_batch import Batch, Mended, span_of
from mdc_resources.landing.refill_merge import IN_FLIGHT, Stretch, joined, merge, stretch_of, together
from mdc_resources.landing.refill_plan import SETTLE, Torn, Torns, look
from mdc_resources.landing.sessions import Windows
from mdc_resources.providers.live import Gone
from mdc_resources.schema.arrow import schema_of
from mdc_resources.state import Claim, Owner, State, Tries
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport

LIMIT = 100  # partitions of one run


@dataclass(frozen=True, slots=True)
class Repair:
    """One hole that is whole again: who told what was missing, and how many rows that were.

    Holes that touch are told together: the rows are counted with the first of them.
    """

    hole: HoleRow
    source: str
    rows: int


@dataclass(frozen=True, slots=True)
class Refilled:
    """What a refill did. ``failed`` are reasons by hole; ``waiting`` holes were left for later."""

    repairs: tuple[Repair, ...] = ()
    failed: tuple[tuple[HoleRow, str], ...] = ()
    gave_up: tuple[HoleRow, ...] = ()
    partitions: tuple[CoverageRow, ...] = ()
    snapshot_ids: tuple[int, ...] = ()
    requests: int = 0
    waiting: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows that were missing and are there now."""
        return sum(repair.rows for repair in self.repairs)


def refill(
    home: Home,
    *,
    run_id: str,
    limit: int | None = None,
    at: dt.datetime | None = None,
    settle: dt.timedelta = SETTLE,
    symbols: Collection[Symbol] | None = None,
    patient: bool = True,
) -> Refilled:
    """Refill the open holes of at most ``limit`` partitions, oldest first; runs its own event loop.

    A hole is asked for once it ended ``settle`` before ``at``. A ``patient`` refill leaves alone what
    failed lately; a person who asks is not patient.

    Raises:
        LakeError: the marker is missing, the disk failed, or a newer claim fenced this run out.
        ConfigError: the configuration cannot be used.
    """
    started = time.monotonic()
    moment = at or now()
    with (
        contextlib.closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        torns = look(home, lake, state, at=moment, settle=settle, symbols=symbols, patient=patient)
        chosen = torns.due[: LIMIT if limit is None else limit]
        run = _Run(home, lake, state, run_id, moment)
        if chosen:
            asyncio.run(run.work(chosen))
    asked = sum(len(each.holes) for each in chosen) - run.busy
    return replace(run.outcome(), waiting=torns.open - asked, seconds=time.monotonic() - started)


def open_holes(
    home: Home,
    *,
    at: dt.datetime | None = None,
    symbols: Collection[Symbol] | None = None,
    patient: bool = True,
) -> Torns:
    """What a refill would ask for now, and what would wait."""
    with (
        contextlib.closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        return look(home, lake, state, at=at or now(), symbols=symbols, patient=patient)


@dataclass(slots=True)
class _Run:
    """One refill: its claims, its batch and what it came to."""

    home: Home
    lake: Lake
    state: State
    run_id: str
    at: dt.datetime
    busy: int = 0
    _claims: list[Claim] = field(default_factory=list)
    _batch: Batch = field(default_factory=Batch)
    _repairs: list[Repair] = field(default_factory=list)
    _failed: list[tuple[HoleRow, str]] = field(default_factory=list)
    _gave_up: list[HoleRow] = field(default_factory=list)
    _lines: list[CoverageRow] = field(default_factory=list)
    _snapshots: list[int] = field(default_factory=list)
    _sent: int = 0

    async def work(self, chosen: Sequence[Torn]) -> None:
        """Ask, merge and commit ``chosen``, a batch at a time."""
        archive = RawArchive.open(self.home.raw_dir, self.run_id)
        settings = self.home.settings
        try:
            async with HttpTransport(
                settings=settings.transport,
                state=self.state,
                budgets=Budgets.open(self.home.state_dir),
                archive=archive,
                secrets=self.home.secrets,
            ) as transport:
                prefix = "sandbox:" if self.lake.sandbox else ""
                historian = Historian(self.home, self.state, transport, prefix, self.at)
                for torn in self._claimed(chosen):
                    self._renew()
                    await self._one(historian, torn)
                    if self._batch.rows >= settings.ingest.batch_rows:
                        self._commit(archive)
                self._commit(archive)
        finally:
            for claim in self._claims:
                self.state.release(claim)
            archive.close()

    def _claimed(self, chosen: Sequence[Torn]) -> list[Torn]:
        """Those of ``chosen`` that nobody else is at, claimed."""
        for dataset in sorted({torn.dataset for torn in chosen}):
            keys = [torn.key for torn in chosen if torn.dataset is dataset]
            self._claims.append(self.state.claim(dataset, keys, owner=Owner.current(), ttl=self._ttl))
        granted = {(claim.dataset, key) for claim in self._claims for key in claim.granted}
        mine = [torn for torn in chosen if (torn.dataset, torn.key) in granted]
        self.busy = sum(len(torn.holes) for torn in chosen) - sum(len(torn.holes) for torn in mine)
        return mine

    def _attempt(self, dataset: Dataset) -> int:
        return next(claim.attempt for claim in self._claims if claim.dataset is dataset)

    async def _one(self, historian: Historian, torn: Torn) -> None:
        """Every stretch of one partition; what is told is queued, what is not is noted."""
        stored = self.lake.rows_of(torn.dataset, [torn.key]).cast(schema_of(torn.dataset)).sort_by("ordinal")
        torn = replace(torn, holes=self._still_open(torn))
        asked, table, mended = Asked(), stored, list[Mended]()
        for group in together(_stretches(stored, torn.holes)):
            holes = tuple(torn.holes[at] for at in group)
            stretch = joined(_stretches(table, holes))
            told = await historian.ask(torn, stretch, self._attempt(torn.dataset), asked)
            if told is None:
                self._failed += [(hole, asked.why) for hole in holes]
                continue
            merged = merge(table, told.table, stretch, identity=torn.spec.identities)
            table = merged.table if merged.added or merged.gone else table
            mended.append(Mended(holes, stretch, told, merged.added))
        self._batch.cost(asked)
        self._queue(torn, stored, table, mended)
        repaired = {hole.hole_id for each in mended for hole in each.holes}
        if left := [hole for hole in torn.holes if hole.hole_id not in repaired]:
            self._pause(torn, left, asked)
        else:
            self._batch.settled.append((torn.dataset, torn.key))

    def _still_open(self, torn: Torn) -> tuple[HoleRow, ...]:
        """Its holes as they stand now that they are claimed: one may have grown, or be repaired."""
        key, meant = torn.key, {hole.hole_id for hole in torn.holes}
        found = self.lake.holes(
            torn.dataset, symbols=[key.symbol], start=key.session, end=key.session, states=[OPEN]
        )
        return tuple(hole for hole in found if hole.hole_id in meant)

    def _queue(self, torn: Torn, stored: pa.Table, table: pa.Table, mended: Sequence[Mended]) -> None:
        """Put one partition into the batch, where something of it was mended."""
        if not mended:
            return
        if table is not stored:
            self._batch.store(torn, table, replaces=bool(stored.num_rows))
        self._batch.mend(torn, mended, self._line(torn, table, mended))
        for each in mended:
            counts = [each.added, *[0] * (len(each.holes) - 1)]
            source = each.told.source
            self._repairs += [Repair(h, source, n) for h, n in zip(each.holes, counts, strict=True)]

    def _line(self, torn: Torn, table: pa.Table, mended: Sequence[Mended]) -> CoverageRow:
        """The partition's ledger line after the refill."""
        (dataset, key), repaired = (torn.dataset, torn.key), {h.hole_id for m in mended for h in m.holes}
        line = ledger(self.lake, dataset, [key.symbol], key.session, key.session).get(key)
        line = line or CoverageRow(dataset, key.symbol, key.session, PartitionState.PARTIAL)
        known = self.lake.holes(dataset, symbols=[key.symbol], start=key.session, end=key.session)
        holes = [replace(hole, state=REPAIRED) if hole.hole_id in repaired else hole for hole in known]
        spans = self.lake.spans(dataset, symbols=[key.symbol], start=key.session, end=key.session)
        spans += [span_of(torn, each) for each in mended]
        settings = self.home.settings.stream.get(torn.spec.name)
        hours = settings.hours if settings else "always"
        line = replace(
            line,
            source=line.source or mended[0].told.source,
            row_count=table.num_rows,
            fingerprint=fingerprints(dataset, table).get(key, ""),
            attempt=self._attempt(dataset),
        )
        return standing(line, spans, holes, Windows(torn.calendar).captured(key.session, hours))

    def _pause(self, torn: Torn, left: Sequence[HoleRow], asked: Asked) -> None:
        """Remember that history could not tell; what was asked for too often is given up."""
        settings = self.home.settings.recovery
        gone: list[Tries] = self.state.note_failures(
            torn.dataset,
            {torn.key: asked.reasons},
            outages=[torn.key] if asked.outage else (),
            at=self.at,
            cap=settings.max_attempts,
            first_pause=parse_duration(settings.first_pause),
            longest_pause=parse_duration(settings.longest_pause),
        )
        if gone:
            self._gave_up += left
            self._batch.holes += [replace(hole, state=UNREPAIRABLE) for hole in left]
            self._batch.incidents += incidents_of(
                torn.dataset, gone, asked.attempts, lambda _: torn.calendar, at=self.at
            )

    def _commit(self, archive: RawArchive) -> None:
        """Make what waits visible at once, with every request that was sent for it."""
        batch, self._batch = self._batch, Batch()
        if not batch:
            return

        def make_durable() -> None:
            for claim in self._claims:
                self.state.check_fence(claim)
            archive.write_commit(batch.note(self.run_id))
            archive.sync()

        receipt = self.lake.commit(batch.as_commit(self.run_id, self._claims[0].attempt, make_durable))
        self._snapshots.append(receipt.snapshot_id)
        self._lines += batch.lines
        self._sent += len(batch.attempts)
        for dataset, key in batch.settled:
            self.state.forget_failures(dataset, [key])

    def _renew(self) -> None:
        for claim in self._claims:
            self.state.renew(claim, ttl=self._ttl)

    @property
    def _ttl(self) -> dt.timedelta:
        return dt.timedelta(minutes=self.home.settings.ingest.claim_minutes)

    def outcome(self) -> Refilled:
        """What it came to so far."""
        return Refilled(
            repairs=tuple(self._repairs),
            failed=tuple(self._failed),
            gave_up=tuple(self._gave_up),
            partitions=tuple(self._lines),
            snapshot_ids=tuple(self._snapshots),
            requests=self._sent,
        )


def _stretches(stored: pa.Table, holes: Sequence[HoleRow]) -> list[Stretch]:
    # Before a capture began nothing was wanted, so that nothing of it was under way.
    flights = [0 if hole.reason == Gone.START else IN_FLIGHT for hole in holes]
    pairs = zip(holes, flights, strict=True)
    return [stretch_of(stored, hole.start_ns, hole.end_ns, in_flight=flight) for hole, flight in pairs]
