"""Coverage-aware failover: the best provider is asked for all that is open, the next for the rest.

One instance works through one group of symbols that share a calendar. Each symbol has its own
order of candidates (those with its series' basis first); a round asks every symbol's next one. A
provider that refuses for good (credentials) is not asked again in the run, one that
``rests`` about a partition not at all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mdc_resources.calendars import Calendar
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import Disposition, OutOfRange, ProviderError, UnknownSymbol
from mdc_resources.domain.requests import Attempt, FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.asking import Answer, ask
from mdc_resources.ingest.board import Bearing, Board
from mdc_resources.ingest.candidates import Candidate
from mdc_resources.ingest.events import EventAsker, Finished
from mdc_resources.ingest.planner import Holes, pages, plan, reachable, rows_per_session
from mdc_resources.ingest.scope import Scope, holes
from mdc_resources.ingest.settling import Settler
from mdc_resources.transport.http import HttpTransport

BACKLOG = 32


@dataclass(slots=True)
class Tally:
    """What the fetching cost."""

    sent: int = 0
    minimum: int = 0
    failovers: int = 0
    asked: set[PartitionKey] = field(default_factory=set)
    dead: dict[str, ProviderError] = field(default_factory=dict)


@dataclass(slots=True)
class Failover:
    """Asks the candidates of one group until nothing is open or nobody is left."""

    scope: Scope
    calendar: Calendar
    orders: Mapping[Symbol, Sequence[Candidate]]
    transport: HttpTransport
    board: Board
    settler: Settler
    tally: Tally
    connections: int
    report: Callable[[str], None]
    attempt: int
    synthetic_allowed: bool
    rests: Callable[[PartitionKey, str], bool]
    waits: Callable[[PartitionKey], bool]
    events: EventAsker | None = None
    # Answers asked for and not yet settled: fetching waits where committing is the slower part.
    backlog: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BACKLOG))

    async def run(self) -> None:
        """All rounds; raises lake errors, never provider errors."""
        for position in range(max(map(len, self.orders.values()), default=0)):
            asked = self._round(position)
            if not asked:  # nothing is open, or this one's history does not reach it
                continue
            gates = {name: asyncio.Semaphore(self.connections) for name in {c.name for c, _ in asked}}
            async with asyncio.TaskGroup() as group:
                for candidate, request in asked:
                    group.create_task(self._ask(candidate, request, gates[candidate.name]))
            await self.settler.flush()

    def _round(self, position: int) -> list[tuple[Candidate, FetchRequest]]:
        """The requests of one round, the fewest that cover what is open."""
        by_candidate: dict[str, list[PartitionKey]] = defaultdict(list)
        known: dict[str, Candidate] = {}
        for key in self.board.open:
            order = self.orders.get(key.symbol, ())
            if position >= len(order) or self.rests(key, order[position].name):
                continue
            if not (position and self._proof_may_come(key, order[0])):
                known[order[position].name] = order[position]
                by_candidate[order[position].name].append(key)
        requests: list[tuple[Candidate, FetchRequest]] = []
        for name, keys in sorted(by_candidate.items()):
            found = self._plan(known[name], keys)
            requests.extend((known[name], request) for request in found)
            self._count(known[name], found)
        return requests

    def _proof_may_come(self, key: PartitionKey, first: Candidate) -> bool:
        """True if the first one's silence is proof, and it is only away: the others' would prove nothing.

        Nearly every partition of facts is empty, so a repair waits a while rather than ask all of them.
        """
        away = key in self.board.retryable or self.rests(key, first.name)
        return first.offer.empty_is_proof and away and self.waits(key)

    def _count(self, candidate: Candidate, requests: list[FetchRequest]) -> None:
        """A request about partitions nobody was asked for yet is needed; any other is a failover."""
        for request in requests:
            keys = self._keys(request)
            if self.tally.asked.isdisjoint(keys):
                self.tally.minimum += self._pages(candidate, request)
            else:
                self.tally.failovers += 1
                named = f"{request.symbols[0]} {request.start}..{request.end}"
                self.report(f"{candidate.name} is asked for {named}, {len(keys)} partitions")
            self.tally.asked.update(keys)

    def _plan(self, candidate: Candidate, keys: list[PartitionKey]) -> list[FetchRequest]:
        asof = self.scope.at.date()
        missing = holes(self.calendar, keys).missing
        reached = {
            s: reachable(candidate.offer, self.calendar, runs, asof=asof) for s, runs in missing.items()
        }
        beyond = [
            PartitionKey(symbol, self.calendar.session_at(ordinal))
            for symbol, runs in missing.items()
            if reached[symbol] is not runs
            for ordinal in runs - reached[symbol]
        ]
        if beyond:
            error = OutOfRange(f"{len(beyond)} sessions lie outside its history", provider=candidate.name)
            self.board.failed(beyond, error)
        spec = candidate.provider.spec
        return plan(
            spec, self.scope.want.dataset, Holes(self.calendar, reached), asof=asof, attempt=self.attempt
        )

    def _pages(self, candidate: Candidate, request: FetchRequest) -> int:
        if self.dataset.is_events:
            return 1
        sessions = len(self.calendar.sessions(request.start, request.end))
        each = rows_per_session(self.dataset, self.calendar)
        return pages(candidate.offer, rows=len(request.symbols) * sessions * each)

    @property
    def dataset(self) -> Dataset:
        """The dataset that is wanted."""
        return self.scope.want.dataset

    async def _ask(self, candidate: Candidate, request: FetchRequest, gate: asyncio.Semaphore) -> None:
        async with self.backlog:
            left: FetchRequest | None = request
            while left is not None:
                attempts: list[Attempt] = []
                streamed: Finished | None = None
                answer = Answer(left, candidate, self.calendar, synthetic_allowed=self.synthetic_allowed)
                async with gate:
                    if (dead := self.tally.dead.get(candidate.name)) is not None:
                        answer.error = dead
                    elif self.events is not None:
                        streamed = await self.events.ask(answer, attempts)
                        # How many pages a session of events has is known when they are there.
                        self.tally.minimum += max(0, sum(not attempt.error for attempt in attempts) - 1)
                    else:
                        await ask(self.transport, answer, attempts)
                self.tally.sent += len(attempts)
                left = self._without_unknown(answer)
                self._note(answer)
                if streamed is not None:
                    self.settler.settle_stream(answer, streamed, attempts)
                    await self.settler.flush_if_full()
                else:
                    await self.settler.settle(answer, attempts)
        self.report("")

    def _without_unknown(self, answer: Answer) -> FetchRequest | None:
        """The same request without the one symbol for which the vendor refused all of them."""
        error, request = answer.error, answer.request
        if not isinstance(error, UnknownSymbol) or error.symbol not in request.symbols:
            return None
        rest = tuple(symbol for symbol in request.symbols if symbol != error.symbol)
        if not rest:
            return None
        answer.request = replace(request, symbols=(Symbol(error.symbol),))
        return replace(request, symbols=rest)

    def _note(self, answer: Answer) -> None:
        """Remember why an answer is wanting."""
        error, name = answer.error, answer.candidate.name
        if error is None:
            return
        if name in self.tally.dead:
            self.board.tell(self._keys(answer.request), name, error.message, Bearing.REFUSAL)
            return
        if isinstance(error, UnknownSymbol):  # the vendor's words seldom say which
            names = ", ".join(answer.request.symbols)
            error = UnknownSymbol(f"does not know {names} ({error.message})", symbol=names, provider=name)
        error.provider = error.provider or name
        self.board.failed(self._keys(answer.request), error)
        if error.disposition is Disposition.ABORT:
            self.tally.dead[name] = error

    def _keys(self, request: FetchRequest) -> list[PartitionKey]:
        sessions = self.calendar.sessions(request.start, request.end)
        return [PartitionKey(symbol, session) for symbol in request.symbols for session in sessions]
