"""Circuit breakers of (provider, dataset), shared by all processes and kept over a restart.

Closed: requests pass, failures in a row are counted. Open: nothing passes until ``open_until``.
Half-open: after that exactly one probe passes at a time, whichever process asks first; its
outcome closes the breaker or opens it again for twice as long (up to 32 times). A probe whose
process died is forgotten at ``probe_until``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from mdc_resources.domain.datasets import Dataset
from mdc_resources.state.tables import breakers

MAX_DOUBLINGS = 5
_REASON = 300


class Verdict(StrEnum):
    """What a request may do."""

    ADMIT = "admit"
    PROBE = "probe"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What a failure did: is the breaker open now, and was it this failure that opened it?"""

    is_open: bool
    just_opened: bool


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker as stored; times are POSIX seconds, 0 for none."""

    provider: str
    dataset: Dataset
    failures: int = 0
    openings: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0
    reason: str = ""

    @property
    def is_clean(self) -> bool:
        """True if there is nothing to remember."""
        return self.failures == 0 and self.open_until == 0.0


def load(connection: Connection, provider: str, dataset: Dataset) -> Breaker:
    """The breaker of (provider, dataset); a clean one where nothing is stored."""
    row = connection.execute(select(breakers).where(*_key(provider, dataset))).one_or_none()
    if row is None:
        return Breaker(provider, dataset)
    return Breaker(provider, dataset, row.failures, row.openings, row.open_until, row.probe_until, row.reason)


def load_all(connection: Connection) -> list[Breaker]:
    """Every breaker with something to tell."""
    rows = connection.execute(select(breakers).order_by(breakers.c.provider, breakers.c.dataset))
    return [
        Breaker(r.provider, Dataset(r.dataset), r.failures, r.openings, r.open_until, r.probe_until, r.reason)
        for r in rows
    ]


def admit(connection: Connection, provider: str, dataset: Dataset, *, probe_seconds: float) -> Verdict:
    """Decide on one request, and take the probe's place if it is one. Needs a write transaction."""
    found = load(connection, provider, dataset)
    now = time.time()
    if found.open_until == 0.0:
        return Verdict.ADMIT
    if now < found.open_until or now < found.probe_until:
        return Verdict.REFUSE
    connection.execute(
        update(breakers).where(*_key(provider, dataset)).values(probe_until=now + probe_seconds)
    )
    return Verdict.PROBE


def succeed(connection: Connection, provider: str, dataset: Dataset) -> None:
    """Close the breaker and forget its failures."""
    connection.execute(delete(breakers).where(*_key(provider, dataset)))


def fail(
    connection: Connection,
    provider: str,
    dataset: Dataset,
    *,
    reason: str,
    threshold: int,
    open_seconds: float,
    hold_seconds: float = 0.0,
) -> Aftermath:
    """Count a failure.

    ``hold_seconds`` is a wait the vendor asked for: it opens the breaker at once, for that long.
    A late failure of a request that left before the opening does not prolong it.
    """
    found = load(connection, provider, dataset)
    now = time.time()
    failures, openings = found.failures + 1, found.openings
    open_until, probe_until = found.open_until, found.probe_until
    probed = found.open_until != 0.0 and now >= found.open_until
    if probed or (found.open_until == 0.0 and failures >= threshold):
        open_until = now + open_seconds * 2 ** min(openings, MAX_DOUBLINGS)
        openings, probe_until = openings + 1, 0.0
    if hold_seconds:
        open_until, probe_until = max(open_until, now + hold_seconds), 0.0
    values = {
        "failures": failures,
        "openings": openings,
        "open_until": open_until,
        "probe_until": probe_until,
        "reason": reason[:_REASON],
    }
    known = connection.execute(update(breakers).where(*_key(provider, dataset)).values(**values)).rowcount
    if not known:
        connection.execute(insert(breakers).values(provider=provider, dataset=dataset.value, **values))
    return Aftermath(open_until > now, open_until > found.open_until)


def _key(provider: str, dataset: Dataset) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return breakers.c.provider == provider, breakers.c.dataset == dataset.value
