"""The ledger against what an orchestrator's event log knows, both ways.

What the ledger has settled and the log lacks is to be reported; nothing is fetched. What the log
shows and no ledger line explains is a gap: it gets a line ``missing``, so that it counts as begun
and is refilled. A log that knows much that the ledger does not is no list of gaps but a sign of a
wrong, empty or restored lake: refused, and nothing is written. Partitions are compared as texts
(``2024-07-03|AAPL``), a set operation over hundreds of thousands.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Incident, Lake
from mdc_resources.state import State

MISSING_REASON = "the event log shows it, the ledger had no line about it"
_COLUMNS = ("symbol", "session", "state", "run_id")


@dataclass(frozen=True, slots=True)
class Picture:
    """What the ledger says of one dataset, by partition text; ``at`` are the places in its columns.

    A partition of ``instruments`` is its symbol, and its newest line counts.
    """

    dataset: Dataset
    settled: Mapping[str, tuple[Symbol, dt.date, str]] = field(repr=False)
    others: frozenset[str] = field(repr=False)

    def unreported(
        self, logged: Collection[str], symbols: Collection[Symbol], *, but_of: Collection[str]
    ) -> tuple[list[PartitionKey], int]:
        """Settled partitions of ``symbols`` that are not in ``logged``, in order, and how many runs hold.

        Those that a run of ``but_of`` committed are left to it: it will report them itself.
        """
        found, held = [], 0
        for text in self.settled.keys() - logged:
            symbol, session, run_id = self.settled[text]
            if symbol not in symbols:
                continue
            if run_id in but_of:
                held += 1
            else:
                found.append(PartitionKey(symbol, session))
        return sorted(found), held

    def unexplained(self, logged: Collection[str]) -> list[str]:
        """Partitions of ``logged`` that no line is about, in order."""
        return sorted(set(logged) - self.settled.keys() - self.others)

    def symbols(self) -> set[Symbol]:
        """Symbols with something settled."""
        return {symbol for symbol, _, _ in self.settled.values()}


@dataclass(frozen=True, slots=True)
class AssetDifference:
    """One asset: ``known`` to the log, ``unreported`` to it, ``unexplained`` by the ledger.

    ``under_way`` partitions are about to be reported by the runs that committed them.
    """

    asset: str
    known: int
    unreported: int
    unexplained: int
    under_way: int


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What was found, and done unless it was a dry run. ``strangers`` are in no universe: not reported."""

    assets: tuple[AssetDifference, ...]
    strangers: tuple[Symbol, ...]
    reported: int
    marked_missing: int
    dry_run: bool
    seconds: float

    @property
    def unreported(self) -> int:
        """Partitions the lake has and the log lacks."""
        return sum(asset.unreported for asset in self.assets)

    @property
    def unexplained(self) -> int:
        """Partitions the log has and the ledger does not explain."""
        return sum(asset.unexplained for asset in self.assets)

    def as_dict(self) -> dict[str, object]:
        """The JSON form printed by ``mdc reconcile --json``; assets without a difference are left out."""
        return {
            "dry_run": self.dry_run,
            "unreported": self.unreported,
            "unexplained": self.unexplained,
            "reported": self.reported,
            "marked_missing": self.marked_missing,
            "strangers": list(self.strangers),
            "assets": [
                {
                    "asset": asset.asset,
                    "known": asset.known,
                    "unreported": asset.unreported,
                    "unexplained": asset.unexplained,
                    "under_way": asset.under_way,
                }
                for asset in self.assets
                if asset.unreported or asset.unexplained or asset.under_way
            ],
            "seconds": round(self.seconds, 3),
        }


def picture_of(lake: Lake, dataset: Dataset) -> Picture:
    """Read the newest line of every partition of ``dataset``; one query."""
    table = lake.coverage(dataset)
    settled: dict[str, tuple[Symbol, dt.date, str]] = {}
    others: set[str] = set()
    columns = (table.column(name).to_pylist() for name in _COLUMNS)
    done = frozenset(str(state) for state in PartitionState if state.is_settled)
    by_symbol = dataset is Dataset.INSTRUMENTS
    for symbol, session, state, run_id in zip(*columns, strict=True):
        text = symbol if by_symbol else f"{session}|{symbol}"
        if state in done:
            settled[text] = (symbol, session, run_id)
        else:
            others.add(text)
    return Picture(dataset, settled, frozenset(others))


def refuse_a_wrong_lake(lake: Lake, known: Mapping[Dataset, int], unexplained: Mapping[Dataset, int]) -> None:
    """Raise LakeError if the log knows more of a dataset that no line explains than what one does.

    Raises:
        LakeError: with the counts, and what to do where the lake is the right one after all.
    """
    for dataset, count in unexplained.items():
        if count * 2 > known[dataset]:
            raise LakeError(
                f"{count} of the {known[dataset]} partitions of {dataset} that Dagster shows are unknown to "
                f"the lake at {lake.root}",
                hint="Is it the right lake, and is it whole? Restore it or `mdc lake rebuild`; if it was "
                "emptied on purpose, wipe the assets in the web UI. Nothing was changed",
            )


def rows_of(lake: Lake, dataset: Dataset, keys: Sequence[PartitionKey]) -> list[CoverageRow]:
    """The ledger's lines of those of ``keys`` that are still settled, in their order."""
    if not keys:
        return []
    symbols = list(dict.fromkeys(key.symbol for key in keys))
    start, end = min(key.session for key in keys), max(key.session for key in keys)
    found = ledger(lake, dataset, symbols, start, end)
    return [found[key] for key in keys if key in found and found[key].state.is_settled]


def mark_missing(
    home: Home,
    lake: Lake,
    state: State,
    keys: Mapping[Dataset, Collection[PartitionKey]],
    *,
    run_id: str,
    reason: str = MISSING_REASON,
) -> int:
    """Append a line ``missing`` for each of ``keys`` that still has none; returns how many.

    They are claimed first and the ledger is read again, so a run that is just storing one of them is
    never contradicted.
    """
    ttl = dt.timedelta(minutes=home.settings.ingest.claim_minutes)
    with ExitStack() as stack:
        rows: list[CoverageRow] = []
        claims = []
        for dataset, wanted in keys.items():
            claim = state.claim(dataset, sorted(wanted), ttl=ttl)
            stack.callback(state.release, claim)
            claims.append(claim)
            rows += _missing(lake, dataset, claim.granted, reason, attempt=claim.attempt)
        if not rows:
            return 0

        def still_ours() -> None:
            for claim in claims:
                state.check_fence(claim)

        batch = CommitBatch(
            run_id=run_id,
            attempt=claims[0].attempt,
            tables={},
            coverage=rows,
            incidents=[_incident(dataset, rows, reason) for dataset in {row.dataset: None for row in rows}],
            before_commit=still_ours,
        )
        lake.commit(batch)
        return len(rows)


def _missing(
    lake: Lake, dataset: Dataset, keys: Iterable[PartitionKey], reason: str, *, attempt: int
) -> list[CoverageRow]:
    wanted = list(keys)
    if not wanted:
        return []
    symbols = list(dict.fromkeys(key.symbol for key in wanted))
    start, end = min(key.session for key in wanted), max(key.session for key in wanted)
    known = ledger(lake, dataset, symbols, start, end)
    return [
        CoverageRow(dataset, key.symbol, key.session, PartitionState.MISSING, reason, attempt=attempt)
        for key in wanted
        if key not in known
    ]


def _incident(dataset: Dataset, rows: Sequence[CoverageRow], reason: str) -> Incident:
    mine = [row for row in rows if row.dataset is dataset]
    text = f"{len(mine)} partitions, {mine[0].symbol} {mine[0].session} the first: {reason}"
    return Incident("storage", text, started_at=now(), dataset=dataset)
