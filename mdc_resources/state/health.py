"""How the newest requests to each provider went: the last 200 of each, for the order of asking.

Written in batches by the transport, read once per run. It is a memory of minutes: losing it, or the
last batch of a killed process, costs nothing but one run in the plain order of ranks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from mdc_resources.state.tables import answers

KEPT = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent (POSIX seconds), how long it took, whether the vendor worked."""

    provider: str
    at: float
    milliseconds: float
    ok: bool


def note(connection: Connection, samples: Iterable[Sample]) -> None:
    """Add ``samples`` and forget all but the newest 200 of each provider."""
    fresh = list(samples)
    if not fresh:
        return
    connection.execute(
        insert(answers),
        [{"provider": s.provider, "at": s.at, "milliseconds": s.milliseconds, "ok": s.ok} for s in fresh],
    )
    for provider in {sample.provider for sample in fresh}:
        mine = answers.c.provider == provider
        newest = select(answers.c.number).where(mine).order_by(answers.c.number.desc()).offset(KEPT).limit(1)
        last = connection.scalar(newest)
        if last is not None:
            connection.execute(delete(answers).where(mine, answers.c.number <= last))


def load(connection: Connection) -> dict[str, Sequence[Sample]]:
    """The samples of each provider that has any, newest first."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for row in connection.execute(select(answers).order_by(answers.c.number.desc())):
        found[row.provider].append(Sample(row.provider, row.at, row.milliseconds, row.ok))
    return dict(found)
