"""What earlier runs left for a want, and what its own run leaves for later ones.

Read: whose pause is not over (for a patient want), and who saw nothing where. Left behind: longer
pauses for what is still a gap, incidents for what is given up, new empty votes. A run restricted to
one provider proves nothing about the others: its failures are not remembered.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import FencedOut, MdcError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_duration
from mdc_resources.ingest.board import Board
from mdc_resources.ingest.candidates import Candidate
from mdc_resources.ingest.committing import Pending
from mdc_resources.ingest.unrecoverable import incidents_of
from mdc_resources.ingest.votes import new_votes, stored_votes
from mdc_resources.ingest.wants import Want
from mdc_resources.lake import Lake
from mdc_resources.state import State, Tries

# With pauses that double from ten minutes, about an hour: then the others are asked all the same.
OUTAGES_WAITED = 3
Orders = Mapping[Symbol, Sequence[Candidate]]
Ledger = Callable[[PartitionKey], CoverageRow | None]


@dataclass(slots=True)
class Memory:
    """The memory of one want. ``waiting`` are the partitions it left alone."""

    home: Home
    lake: Lake
    state: State
    want: Want
    now: Callable[[], dt.datetime]
    waiting: set[PartitionKey] = field(default_factory=set)
    _tries: Mapping[PartitionKey, Tries] = field(default_factory=dict)

    def askable(self, keys: Sequence[PartitionKey], orders: Orders) -> Sequence[PartitionKey]:
        """``keys`` without those that have to wait: given up, or every provider's pause still runs."""
        if not self.want.patient:
            return keys
        at = self.now()
        self._tries = self.state.tries(self.want.dataset, list(dict.fromkeys(key.symbol for key in keys)))
        asleep = {key for key in keys if self._must_wait(key, orders.get(key.symbol, ()), at)}
        self.waiting |= asleep
        # Due as a whole, yet nobody is: its last provider was taken out of the configuration since.
        stuck = [key for key in asleep if not self._tries[key].gave_up and self._tries[key].next_at <= at]
        self._pause({key: {} for key in stuck}, outages=())
        return [key for key in keys if key not in asleep] if asleep else keys

    def rests(self, key: PartitionKey, provider: str) -> bool:
        """True if ``provider`` is left alone about ``key``: it failed lately, and nobody insists."""
        known = self._tries.get(key)
        if known is None:
            return False
        at = self.now()
        return any(pair.provider == provider and pair.next_at > at for pair in known.providers)

    def waits(self, key: PartitionKey) -> bool:
        """True if a provider that is away may be waited for, rather than asking one that knows less."""
        known = self._tries.get(key)
        return self.want.patient and (known is None or known.outages < OUTAGES_WAITED)

    @contextlib.contextmanager
    def pausing(self, keys: Collection[PartitionKey], board: Board, prior: Ledger) -> Iterator[None]:
        """Where the block fails, pause what it leaves open: it would fail again at once."""
        try:
            yield
        except FencedOut:  # somebody else is at them
            raise
        except Exception:
            if self.want.provider is None:
                left: dict[PartitionKey, dict[str, str]] = {k: {} for k in self._gaps(keys, board, prior)}
                with contextlib.suppress(MdcError):
                    self._pause(left, outages=())
            raise

    def recall(self, keys: Collection[PartitionKey], orders: Orders) -> Mapping[PartitionKey, frozenset[str]]:
        """Who saw nothing at ``keys`` in earlier runs."""
        voters = {symbol: {candidate.name for candidate in order} for symbol, order in orders.items()}
        return stored_votes(self.lake, self.want.dataset, keys, at=self.now(), voters=voters)

    def remember(
        self,
        keys: Collection[PartitionKey],
        board: Board,
        prior: Ledger,
        pending: Pending,
        calendar: Callable[[Symbol], Calendar],
    ) -> None:
        """Pause what is still a gap of ``keys``; queue the votes, and the incidents of what is given up.

        It is done before the claim is given back: no hole is ever both free and without a pause.
        """
        gaps = self._gaps(keys, board, prior)
        prefix = "sandbox:" if self.lake.sandbox else ""
        pending.observations.extend(new_votes(board, self.want.dataset, gaps, prefix=prefix))
        if self.want.provider is None:
            reasons, unfair = board.reasons(gaps)
            gone = self._pause(reasons, outages=unfair)
            pending.incidents.extend(
                incidents_of(self.want.dataset, gone, board.attempts, calendar, at=self.now())
            )

    def forget(self, settled: Mapping[Dataset, Collection[PartitionKey]]) -> None:
        """What is settled, and durable, has no failures to remember."""
        for dataset, keys in settled.items():
            if keys:
                self.state.forget_failures(dataset, keys)

    def _must_wait(self, key: PartitionKey, order: Sequence[Candidate], at: dt.datetime) -> bool:
        known = self._tries.get(key)
        if known is None:
            return False
        resting = {pair.provider for pair in known.providers if pair.next_at > at}
        return known.gave_up or all(candidate.name in resting for candidate in order)

    def _gaps(self, keys: Collection[PartitionKey], board: Board, prior: Ledger) -> list[PartitionKey]:
        """Those of ``keys`` of which nothing final is known, neither by this run nor before it."""

        def newest(key: PartitionKey) -> CoverageRow | None:
            return board.resolved.get(key) or prior(key)

        return [key for key in keys if (row := newest(key)) is None or not row.state.is_settled]

    def _pause(
        self, reasons: Mapping[PartitionKey, Mapping[str, str]], *, outages: Collection[PartitionKey]
    ) -> list[Tries]:
        settings = self.home.settings.recovery
        return self.state.note_failures(
            self.want.dataset,
            reasons,
            outages=outages,
            at=self.now(),
            cap=settings.max_attempts,
            first_pause=parse_duration(settings.first_pause),
            longest_pause=parse_duration(settings.longest_pause),
        )
