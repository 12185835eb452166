"""The machine state of a home: claims, membership, breakers, recent answers, tries, uses, the clock's mark.

Every method is one transaction and safe to call from any process or thread. Nothing here is
market data; a lost state costs at most some requests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import breakers, claims, clock, cursors, health, membership, tries, uses
from mdc_resources.state.breakers import Aftermath, Breaker, Verdict
from mdc_resources.state.claims import Claim, ClaimRow
from mdc_resources.state.clock import Reading
from mdc_resources.state.cursors import PageCursor
from mdc_resources.state.engine import StateEngine
from mdc_resources.state.health import Sample
from mdc_resources.state.membership import Member
from mdc_resources.state.owner import Owner
from mdc_resources.state.tries import Tries


class State:
    """Open it with :meth:`open`; usable as a context manager."""

    def __init__(self, engine: StateEngine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, home: Home) -> State:
        """The state of ``home``; its tables are made if absent."""
        return cls(StateEngine.of(home))

    def close(self) -> None:
        """Close the connections; claims stay in force."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    # -- claims ---------------------------------------------------------------------------------

    def claim(
        self, dataset: Dataset, keys: Iterable[PartitionKey], *, owner: Owner | None = None, ttl: dt.timedelta
    ) -> Claim:
        """Claim ``keys`` before anything of them is fetched; what others hold comes back as ``busy``."""
        with self._engine.write() as connection:
            return claims.take(connection, dataset, keys, owner=owner or Owner.current(), ttl=ttl)

    def renew(self, claim: Claim, *, ttl: dt.timedelta) -> None:
        """Make the claim last until ``ttl`` from now; FencedOut if a key was lost."""
        with self._engine.write() as connection:
            claims.prolong(connection, claim, ttl=ttl)

    def release(self, claim: Claim) -> None:
        """Free the claim's keys."""
        with self._engine.write() as connection:
            claims.give_back(connection, claim)

    def check_fence(self, claim: Claim) -> None:
        """Raise FencedOut unless every granted key is still held by ``claim.attempt``."""
        with self._engine.write() as connection:
            claims.check(connection, claim)

    def claims(self) -> list[ClaimRow]:
        """Claims in force, oldest first."""
        with self._engine.read() as connection:
            return claims.rows(connection)

    def claimed(self, dataset: Dataset) -> frozenset[PartitionKey]:
        """Partitions of ``dataset`` that somebody living is fetching."""
        with self._engine.read() as connection:
            return claims.held_keys(connection, dataset)

    # -- failed attempts ------------------------------------------------------------------------

    def note_failures(
        self,
        dataset: Dataset,
        failures: Mapping[PartitionKey, Mapping[str, str]],
        *,
        at: dt.datetime,
        cap: int,
        first_pause: dt.timedelta,
        longest_pause: dt.timedelta,
        outages: Collection[PartitionKey] = (),
    ) -> list[Tries]:
        """Count a failed run for each key of ``failures`` (provider -> reason); those that gave up just now.

        Keys in ``outages``, and those without a reason, are paused without counting as an attempt:
        nobody gave an answer about them.
        """
        if not failures:
            return []
        with self._engine.write() as connection:
            return tries.note(
                connection,
                dataset,
                failures,
                outages=outages,
                at=at,
                cap=cap,
                first_pause=first_pause,
                longest_pause=longest_pause,
            )

    def forget_failures(self, dataset: Dataset, keys: Iterable[PartitionKey]) -> None:
        """Drop what is remembered about ``keys``: they are settled, or a person starts anew."""
        wanted = set(keys)
        with self._engine.read() as connection:
            known = tries.known_of(connection, dataset, wanted)
        if known:  # nearly always there is none, and then nobody has to wait for the write lock
            with self._engine.write() as connection:
                tries.forget(connection, dataset, known)

    def tries(self, dataset: Dataset, symbols: Sequence[Symbol] | None = None) -> dict[PartitionKey, Tries]:
        """Failed partitions of ``dataset`` (of ``symbols`` only, if given) and when they are due again."""
        with self._engine.read() as connection:
            return tries.load(connection, dataset, symbols)

    # -- uses and clock -------------------------------------------------------------------------

    def note_use(self, symbols: Iterable[Symbol]) -> None:
        """Count one read of each of ``symbols``."""
        with self._engine.write() as connection:
            uses.note(connection, symbols)

    def uses(self) -> dict[Symbol, int]:
        """How often each symbol was read; symbols never read are left out."""
        with self._engine.read() as connection:
            return uses.load(connection)

    def check_clock(self, at: dt.datetime | None = None, *, reading: Reading | None = None) -> None:
        """Raise ClockJumped unless the wall clock goes on from where it was last seen.

        ``at`` stands in for this machine's wall clock, ``reading`` for all its clocks.
        """
        with self._engine.write() as connection:
            clock.check(connection, reading or Reading.now(at))

    def compare_clock(self, *, reading: Reading | None = None) -> None:
        """:meth:`check_clock` for one who only looks: the mark stays where it is."""
        with self._engine.read() as connection:
            clock.compare(connection, reading or Reading.now())

    def accept_clock(self, *, reading: Reading | None = None) -> None:
        """Go on from the present clock, whatever was seen before."""
        with self._engine.write() as connection:
            clock.accept(connection, reading or Reading.now())

    # -- universes ------------------------------------------------------------------------------

    def add_members(self, universe: str, symbols: Sequence[Symbol], *, shards: int) -> list[Member]:
        """Seat ``symbols`` in ``universe``; UsageError if full, or if one sits elsewhere."""
        with self._engine.write() as connection:
            return membership.add(connection, universe, symbols, shards=shards)

    def remove_members(self, universe: str, symbols: Sequence[Symbol]) -> list[Member]:
        """Turn ``symbols`` inactive; nothing is deleted."""
        with self._engine.write() as connection:
            return membership.remove(connection, universe, symbols)

    def members(self, universe: str | None = None, *, active_only: bool = True) -> list[Member]:
        """Members of one universe or of all, in seating order."""
        with self._engine.read() as connection:
            return membership.select_members(connection, universe, active_only=active_only)

    def member(self, symbol: Symbol) -> Member | None:
        """The place of ``symbol``, active or not."""
        with self._engine.read() as connection:
            return membership.one(connection, symbol)

    # -- breakers -------------------------------------------------------------------------------

    def breaker(self, provider: str, dataset: Dataset) -> Breaker:
        """The breaker of (provider, dataset)."""
        with self._engine.read() as connection:
            return breakers.load(connection, provider, dataset)

    def breakers(self) -> list[Breaker]:
        """Every breaker with failures to tell."""
        with self._engine.read() as connection:
            return breakers.load_all(connection)

    def admit(self, provider: str, dataset: Dataset, *, probe_seconds: float) -> Verdict:
        """May a request go out? At most one probe is in flight over all processes."""
        with self._engine.write() as connection:
            return breakers.admit(connection, provider, dataset, probe_seconds=probe_seconds)

    def request_succeeded(self, provider: str, dataset: Dataset) -> None:
        """Close the breaker."""
        with self._engine.write() as connection:
            breakers.succeed(connection, provider, dataset)

    def request_failed(
        self,
        provider: str,
        dataset: Dataset,
        *,
        reason: str,
        threshold: int,
        open_seconds: float,
        hold_seconds: float = 0.0,
    ) -> Aftermath:
        """Count a failure; says whether the breaker is open now, and whether this opened it."""
        with self._engine.write() as connection:
            return breakers.fail(
                connection,
                provider,
                dataset,
                reason=reason,
                threshold=threshold,
                open_seconds=open_seconds,
                hold_seconds=hold_seconds,
            )

    # -- pages of answers that were not finished -------------------------------------------------

    def note_page(self, cursor: PageCursor) -> None:
        """Remember that a page of a partition is archived, and what to ask for next."""
        with self._engine.write() as connection:
            cursors.note(connection, cursor)

    def pages_of(
        self, dataset: Dataset, key: PartitionKey, provider: str, *, decoder_version: int
    ) -> list[PageCursor]:
        """The pages of ``key`` that are archived, in order from the first, without a gap."""
        with self._engine.read() as connection:
            return cursors.load(connection, dataset, key, provider, decoder_version=decoder_version)

    def forget_pages(
        self, dataset: Dataset, keys: Iterable[PartitionKey], provider: str | None = None
    ) -> None:
        """Drop the pages of ``keys`` (of ``provider`` only, if given): next time they are asked for anew."""
        wanted = set(keys)
        if wanted:
            with self._engine.write() as connection:
                cursors.forget(connection, dataset, wanted, provider)

    def expire_pages(self, *, before: dt.datetime) -> None:
        """Drop every page noted before ``before``: a vendor's cursor does not live for ever."""
        with self._engine.write() as connection:
            cursors.expire(connection, before)

    # -- recent answers -------------------------------------------------------------------------

    def note_answers(self, samples: Iterable[Sample]) -> None:
        """Remember how requests went; only the newest of each provider are kept."""
        with self._engine.write() as connection:
            health.note(connection, samples)

    def answers(self) -> dict[str, Sequence[Sample]]:
        """The newest requests to each provider, newest first."""
        with self._engine.read() as connection:
            return health.load(connection)
