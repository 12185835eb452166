"""The passes of one backfill: measure, claim, fetch with failover, commit.

Claims come first and the ledger is read again after them, so two runs of the same range fetch it
once: what another run holds is waited for, then taken from the ledger. A killed run leaves old or
new partitions and claims that die with it; the same call again does the rest. What ends without
data is remembered (:mod:`.memory`) before its claim is given back.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import StorageFailed
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest.board import Board
from mdc_resources.ingest.candidates import Candidate, candidates, in_order
from mdc_resources.ingest.committing import Committer
from mdc_resources.ingest.events import EventAsker
from mdc_resources.ingest.failover import Failover, Tally
from mdc_resources.ingest.memory import Memory
from mdc_resources.ingest.scope import Scope, groups, measure, series_basis
from mdc_resources.ingest.settling import Settler
from mdc_resources.ingest.wants import Committed, Outcome, Prior, Progress, Want
from mdc_resources.lake import Incident, Lake
from mdc_resources.state import Claim, Owner, State
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport

RESERVE_BYTES = 64 << 20
_BUSY_POLL_SECONDS = 0.3


@dataclass(slots=True)
class Run:
    """The passes of one want over one lake."""

    home: Home
    want: Want
    run_id: str
    lake: Lake
    state: State
    on_progress: Callable[[Progress], None] | None
    on_commit: Callable[[Committed], None] | None
    tally: Tally = field(default_factory=Tally)
    board: Board = field(default_factory=lambda: Board(set()))
    snapshots: list[int] = field(default_factory=list)
    rows: int = 0
    total: int = 0
    busy: tuple[PartitionKey, ...] = ()
    scope: Scope | None = None
    at: dt.datetime | None = None
    memory: Memory = field(init=False)

    def __post_init__(self) -> None:
        self.memory = Memory(self.home, self.lake, self.state, self.want, self._now)

    async def work(self) -> None:
        """Passes over what is open; another pass where someone else's claim came free unfinished."""
        patience = time.monotonic() + self.home.settings.ingest.busy_wait_seconds
        tried: set[PartitionKey] = set()
        while True:
            self.scope = measure(self.home, self.lake, self.state, self.want, at=self._now())
            left = [key for key in self.scope.open if key not in tried]
            if not left or (self.busy and time.monotonic() > patience):
                return
            tried.update(await self._pass(left))
            if tried.issuperset(left):
                return
            await asyncio.sleep(_BUSY_POLL_SECONDS if self.busy else 0)

    def _now(self) -> dt.datetime:
        return self.at or now()

    async def _pass(self, keys: Sequence[PartitionKey]) -> Collection[PartitionKey]:
        """Claim and fetch ``keys``; returns those that were really asked for, or have to wait."""
        assert self.scope is not None
        # A person is told that nobody can be asked; the gap sensor would ask again at every look.
        with self.memory.pausing(keys if self.want.patient else (), self.board, self.scope.prior.get):
            orders = self._candidates(keys)
        keys = self.memory.askable(keys, orders)
        if not keys:
            return self.memory.waiting
        claims = [self._claim(self.want.dataset, keys)]
        try:
            self.busy = claims[0].busy
            prior = self._prior(self.want.dataset, claims[0].granted)
            mine = [
                k for k in claims[0].granted if self.want.refetch or not _settled(prior, self.want.dataset, k)
            ]
            if mine:
                carried = {
                    dataset: self._claim_along(dataset, mine, prior, claims)
                    for dataset in sorted(
                        {d for order in orders.values() for c in order for d in c.offer.carries}
                    )
                }
                with self.memory.pausing(mine, self.board, _lines(prior, self.want.dataset)):
                    await self._fetch(mine, claims, prior, carried, orders)
            return self.memory.waiting.union(mine)
        finally:
            for claim in claims:
                self.state.release(claim)

    def _candidates(self, keys: Sequence[PartitionKey]) -> dict[Symbol, list[Candidate]]:
        """The order of asking for each symbol with open partitions."""
        assert self.scope is not None
        symbols = {key.symbol for key in keys}
        orders: dict[Symbol, list[Candidate]] = {}
        for group, members in groups(self.home, self.state, self.scope).items():
            mine = [symbol for symbol in members if symbol in symbols]
            if not mine:
                continue
            found, _ = candidates(
                self.home,
                self.want.dataset,
                asset_class=group.asset_class,
                venue=group.venue,
                only=self.want.provider,
                state=self.state,
            )
            several = len({c.offer.basis for c in found}) > 1
            basis = series_basis(self.lake, self.want.dataset, mine) if several else {}
            orders.update({symbol: in_order(found, basis.get(symbol, "")) for symbol in mine})
        return orders

    def _claim(self, dataset: Dataset, keys: Iterable[PartitionKey]) -> Claim:
        ttl = dt.timedelta(minutes=self.home.settings.ingest.claim_minutes)
        return self.state.claim(dataset, keys, owner=Owner.current(), ttl=ttl)

    def _claim_along(
        self,
        dataset: Dataset,
        keys: Sequence[PartitionKey],
        prior: dict[tuple[Dataset, PartitionKey], CoverageRow],
        claims: list[Claim],
    ) -> set[PartitionKey]:
        """Claim the partitions of ``dataset`` that the same answers would settle."""
        if dataset is Dataset.INSTRUMENTS:  # one a symbol: what the vendor says as of the last session
            keys = list({key.symbol: key for key in sorted(keys)}.values())
        prior.update(self._prior(dataset, keys))
        claim = self._claim(dataset, [key for key in keys if not _settled(prior, dataset, key)])
        claims.append(claim)
        prior.update(self._prior(dataset, claim.granted))  # somebody may have settled some before the claim
        return {key for key in claim.granted if not _settled(prior, dataset, key)}

    def _prior(
        self, dataset: Dataset, keys: Sequence[PartitionKey]
    ) -> dict[tuple[Dataset, PartitionKey], CoverageRow]:
        if not keys:
            return {}
        symbols = list(dict.fromkeys(key.symbol for key in keys))
        start, end = min(key.session for key in keys), max(key.session for key in keys)
        rows = ledger(self.lake, dataset, symbols, start, end)
        return {(dataset, key): row for key, row in rows.items()}

    async def _fetch(
        self,
        keys: Sequence[PartitionKey],
        claims: Sequence[Claim],
        prior: Mapping[tuple[Dataset, PartitionKey], CoverageRow],
        carried: Mapping[Dataset, set[PartitionKey]],
        orders: Mapping[Symbol, Sequence[Candidate]],
    ) -> None:
        assert self.scope is not None
        settings = self.home.settings
        self._check_space(len(keys))
        self.board.open.update(keys)
        self.total += len(keys)
        archive = RawArchive.open(self.home.raw_dir, self.run_id)
        committer = Committer(
            self.lake,
            self.state,
            archive,
            run_id=self.run_id,
            claims=claims,
            prior=prior,
            batch_partitions=settings.ingest.batch_partitions,
            batch_rows=settings.ingest.batch_rows,
            on_commit=self.on_commit,
        )
        prefix = "sandbox:" if self.lake.sandbox else ""
        self.board.recall = lambda: self.memory.recall(keys, orders)
        along = {dataset: set(claimed) for dataset, claimed in carried.items()}
        settler = Settler(self.want.dataset, self.board, committer, prior, carried, prefix)
        budgets = Budgets.open(self.home.state_dir)
        renewal = asyncio.create_task(self._keep(claims))
        try:
            async with HttpTransport(
                settings=settings.transport,
                state=self.state,
                budgets=budgets,
                archive=archive,
                secrets=self.home.secrets,
            ) as transport:
                events = self._event_asker(transport, prefix) if self.want.dataset.is_events else None
                await self._fail_over(transport, settler, orders, claims[0].attempt, events)
            settler.give_up()
            committer.pending.incidents.extend(self._incidents())
            before = _lines(prior, self.want.dataset)
            self.memory.remember(keys, self.board, before, committer.pending, self.scope.calendar)
            await committer.flush()
            settled = {row.key for row in self.board.resolved.values() if row.state.is_settled}
            came_along = {dataset: along[dataset] - carried[dataset] for dataset in along}
            self.memory.forget({**came_along, self.want.dataset: settled})
            if self.want.dataset.is_events:
                self.state.forget_pages(self.want.dataset, settled)
        finally:
            renewal.cancel()
            self.rows += committer.rows
            self.snapshots += committer.snapshots
            committer.close()
            archive.close()

    async def _fail_over(
        self,
        transport: HttpTransport,
        settler: Settler,
        orders: Mapping[Symbol, Sequence[Candidate]],
        attempt: int,
        events: EventAsker | None,
    ) -> None:
        assert self.scope is not None
        for members in groups(self.home, self.state, self.scope).values():
            mine = {symbol: orders[symbol] for symbol in members if symbol in orders}
            if not mine:
                continue
            work = Failover(
                scope=self.scope,
                calendar=self.scope.calendar(next(iter(mine))),
                orders=mine,
                transport=transport,
                board=self.board,
                settler=settler,
                tally=self.tally,
                connections=self.home.settings.transport.connections,
                report=lambda message: self._report(settler, message),
                attempt=attempt,
                synthetic_allowed=self.lake.sandbox,
                rests=self.memory.rests,
                waits=self.memory.waits,
                events=events,
            )
            try:
                await work.run()
            except* Exception as several:
                raise several.exceptions[0] from None

    def _event_asker(self, transport: HttpTransport, prefix: str) -> EventAsker:
        asker = EventAsker(
            transport,
            self.state,
            raw_dir=self.home.raw_dir,
            spool_dir=self.home.state_dir / "spool",
            run_id=self.run_id,
            prefix=prefix,
            fresh=self.want.refetch,
        )
        asker.prepare(self._now())
        return asker

    async def _keep(self, claims: Sequence[Claim]) -> None:
        """Renew the claims for as long as the run works."""
        ttl = dt.timedelta(minutes=self.home.settings.ingest.claim_minutes)
        while True:
            await asyncio.sleep(ttl.total_seconds() / 3)
            for claim in claims:
                self.state.renew(claim, ttl=ttl)

    def _check_space(self, partitions: int) -> None:
        free = shutil.disk_usage(self.home.root).free
        if free < RESERVE_BYTES:
            raise StorageFailed(
                f"{free >> 20} MB are free at {self.home.root}; {partitions} partitions were not fetched",
                hint=f"Free at least {RESERVE_BYTES >> 20} MB",
            )

    def _incidents(self) -> list[Incident]:
        return [
            Incident("provider", text, started_at=now(), provider=name, dataset=self.want.dataset)
            for name, text in self.board.messages()
        ]

    def _report(self, settler: Settler, message: str) -> None:
        if self.on_progress is None:
            return
        self.on_progress(
            Progress(
                done=self.total - len(self.board.open),
                total=self.total,
                requests=self.tally.sent,
                rows=self.rows + settler.committer.rows + settler.committer.pending.rows,
                failovers=self.tally.failovers,
                message=message,
            )
        )

    def outcome(self, seconds: float) -> Outcome:
        """The state of every due partition, as the ledger and the board have it now."""
        assert self.scope is not None
        states: dict[PartitionKey, CoverageRow] = {}
        for key in self.scope.due:
            row = self.board.resolved.get(key) or self.scope.prior.get(key)
            states[key] = row or CoverageRow(
                self.want.dataset, key.symbol, key.session, PartitionState.MISSING
            )
        counts = Counter(row.state for row in states.values())
        missing = counts[PartitionState.MISSING] + counts[PartitionState.PARTIAL]
        return Outcome(
            dataset=self.want.dataset,
            run_id=self.run_id,
            states=states,
            fetched=frozenset(self.board.resolved),
            pending=self.scope.pending,
            busy=len(self.busy),
            retryable_missing=min(missing, len(self.board.retryable & self.board.open)),
            requests_sent=self.tally.sent,
            requests_minimum=self.tally.minimum,
            failovers=self.tally.failovers,
            rows=self.rows,
            snapshots=tuple(self.snapshots),
            errors=tuple(text for _, text in self.board.messages()),
            seconds=seconds,
            waiting=len(self.memory.waiting),
        )


def _lines(prior: Prior, dataset: Dataset) -> Callable[[PartitionKey], CoverageRow | None]:
    """The ledger's line of a partition of ``dataset``."""
    return lambda key: prior.get((dataset, key))


def _settled(
    prior: Mapping[tuple[Dataset, PartitionKey], CoverageRow], dataset: Dataset, key: PartitionKey
) -> bool:
    row = prior.get((dataset, key))
    return row is not None and row.state.is_settled
