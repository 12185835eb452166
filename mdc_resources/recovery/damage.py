"""Deep verification as a duty: findings become incidents, and on request damage becomes a gap.

A finding is written into the lake once, however often it is found again. A repair gives up what is
damaged, so that its partitions are fetched again; what only the vendor's past answers held is still
in ``raw/``, from which ``mdc lake rebuild`` makes the whole lake again. Refuses to repair what a run
is just storing, and a dataset of which more than half is damaged: that is a broken disk or a wrong
mount, not a list of gaps.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy, LakeError
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Damage, Finding, Incident, Lake
from mdc_resources.state import Claim, State

KIND = "storage"
REASON = "its rows were damaged and given up"
_KNOWN = "SELECT message FROM incidents WHERE kind = ?"
_STORED = "SELECT count(*) FROM coverage WHERE dataset = ? AND row_count > 0"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a deep verification found. ``new`` findings had no incident yet; ``repaired`` partitions."""

    findings: tuple[Finding, ...]
    damage: tuple[Damage, ...]
    new: int
    repaired: int

    @property
    def errors(self) -> int:
        """Findings that are errors; orphan files are warnings."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def damaged(self) -> int:
        """Partitions whose rows are lost or wrong."""
        return sum(len(item.keys) for item in self.damage)

    def in_words(self) -> str:
        """One sentence for the run's page."""
        if not self.findings:
            return "the lake is sound"
        first = self.findings[0]
        done = f"; {self.repaired} partitions were marked missing" if self.repaired else ""
        return (
            f"{len(self.findings)} findings ({self.new} new), {self.damaged} partitions damaged{done}; "
            f"the first is {first.kind}: {first.subject}: {first.message}"
        )


def verify_lake(home: Home, *, run_id: str, repair: bool = False) -> Verified:
    """Verify the lake of ``home`` deeply, write new findings as incidents, repair if asked to.

    Raises:
        LakeError: the lake cannot be opened, or is too damaged to repair by refetching.
        LakeBusy: ``repair``, and a run holds some of the damaged partitions.
    """
    catalog_url = home.settings.lake.catalog_url
    with closing(Lake.open(home.lake_dir, catalog_url=catalog_url)) as lake:
        findings = lake.verify(deep=True)
        damage = lake.damage_of(findings)
        incidents = _new_incidents(lake, findings)
        if incidents:
            lake.commit(CommitBatch(run_id=run_id, attempt=0, tables={}, coverage=(), incidents=incidents))
        repaired = _repair(home, lake, damage, run_id=run_id) if repair and damage else 0
    return Verified(tuple(findings), tuple(damage), len(incidents), repaired)


def _new_incidents(lake: Lake, findings: Sequence[Finding]) -> list[Incident]:
    with closing(lake.connect()) as connection:
        known = {row[0] for row in connection.execute(_KNOWN, [KIND]).fetchall()}
    texts = {f"{finding.kind}: {finding.subject}: {finding.message}": finding for finding in findings}
    return [
        Incident(KIND, text, started_at=now(), dataset=_dataset(finding.subject))
        for text, finding in texts.items()
        if finding.severity == "error" and text not in known
    ]


def _dataset(subject: str) -> Dataset | None:
    name = subject.partition(" ")[0]
    return Dataset(name) if name in set(Dataset) else None


def _repair(home: Home, lake: Lake, damage: Sequence[Damage], *, run_id: str) -> int:
    _refuse_too_much(lake, damage)
    ttl = dt.timedelta(minutes=home.settings.ingest.claim_minutes)
    with State.open(home) as state, ExitStack() as stack:
        claims = []
        for item in damage:
            claim = state.claim(item.dataset, item.keys, ttl=ttl)
            stack.callback(state.release, claim)
            claims.append(claim)
            if claim.busy:
                raise LakeBusy(
                    f"{len(claim.busy)} damaged partitions of {item.dataset} are being fetched by a run",
                    hint="Verify again once it has ended",
                )
        rows = [
            CoverageRow(
                item.dataset, key.symbol, key.session, PartitionState.MISSING, REASON, attempt=claim.attempt
            )
            for item, claim in zip(damage, claims, strict=True)
            for key in item.keys
        ]
        batch = CommitBatch(
            run_id=run_id,
            attempt=claims[0].attempt,
            tables={},
            coverage=rows,
            before_commit=lambda: _still_ours(state, claims),
        )
        lake.give_up(damage, batch)
        return len(rows)


def _still_ours(state: State, claims: Sequence[Claim]) -> None:
    for claim in claims:
        state.check_fence(claim)


def _refuse_too_much(lake: Lake, damage: Sequence[Damage]) -> None:
    with closing(lake.connect()) as connection:
        for item in damage:
            found = connection.execute(_STORED, [item.dataset.value]).fetchone()
            stored = found[0] if found else 0
            if len(item.keys) * 2 > stored:
                raise LakeError(
                    f"{len(item.keys)} of the {stored} stored partitions of {item.dataset} are damaged",
                    hint="Check the disk, restore a backup, or `mdc lake rebuild`; nothing was repaired",
                )
