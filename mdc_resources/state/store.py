"""The machine state of a home: claims, membership and breakers behind one object.

Every method is one transaction and safe to call from any process or thread. Nothing here is
market data; a lost state costs at most some requests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import breakers, claims, membership
from mdc_resources.state.breakers import Aftermath, Breaker, Verdict
from mdc_resources.state.claims import Claim, ClaimRow
from mdc_resources.state.engine import StateEngine
from mdc_resources.state.membership import Member
from mdc_resources.state.owner import Owner


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
