"""The lake: one object for writers and readers.

A writer commits batches (:mod:`.commit`); a reader gets a plain DuckDB connection with the views in
place. Both need the marker: a directory without it is refused, never taken for an empty lake.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy, LakeError, LakeMarkerMissing, StorageFailed, UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import to_utc
from mdc_resources.lake import captured
from mdc_resources.lake import commit as protocol
from mdc_resources.lake.catalog import ALIAS, Catalog, attach
from mdc_resources.lake.compact import MIN_FILES, compact
from mdc_resources.lake.durable import make_dirs, sync_dir
from mdc_resources.lake.flush import Flusher, kept_files, restore_kept
from mdc_resources.lake.listing_facts import ListingFacts, listing_facts
from mdc_resources.lake.location import Location
from mdc_resources.lake.locks import AdvisoryLock, CommitLock, FileLock
from mdc_resources.lake.marker import FILE_NAME, Marker, read_marker
from mdc_resources.lake.model import (
    CommitBatch,
    CommitReceipt,
    CompactReceipt,
    Damage,
    Finding,
    HoleRow,
    LakeStatus,
    Snapshot,
    Span,
    TableStatus,
)
from mdc_resources.lake.tables import SCHEMA_VERSION, TABLES
from mdc_resources.lake.views import create_views

if TYPE_CHECKING:
    import duckdb

    from mdc_resources.lake.gapbits import GapBits

LOCK_NAME = "commit.lock"


class Lake:
    """An open lake. Safe to use from several threads; make one with :meth:`create` or :meth:`open`."""

    def __init__(self, location: Location, marker: Marker) -> None:
        self._location = location
        self._marker = marker
        self._catalog = Catalog(location)
        self._thread = threading.RLock()
        self._lock: CommitLock = _commit_lock(location, marker)
        self._flusher = Flusher(self._catalog)
        self._outdated = False

    @classmethod
    def create(cls, lake_dir: Path, *, catalog_url: str = "", sandbox: bool = False) -> Lake:
        """Make a lake at ``lake_dir`` (created if absent) and open it.

        The marker is written last, so a create that was interrupted can be repeated. Raises
        LakeError if there is a lake already.
        """
        location = Location(lake_dir.absolute(), catalog_url)
        if (location.lake_dir / FILE_NAME).exists():
            raise LakeError(
                f"{location.lake_dir} is a lake already", hint="Open it, or choose another directory"
            )
        make_dirs(location.data_dir)
        marker = Marker.new(sandbox=sandbox, catalog=location.kind)
        catalog = Catalog(location, create=True)
        try:
            if found := catalog.identity():
                if catalog.row_counts()["coverage"]:
                    raise LakeMarkerMissing(
                        f"{location.lake_dir} has no marker, its catalog is of lake {found['lake_id']}",
                        hint="Restore the file MARKER from a backup; a new lake needs a new catalog",
                    )
                marker = replace(marker, lake_id=found["lake_id"])
            else:
                catalog.migrate(marker.lake_id)
        finally:
            catalog.close()
        sync_dir(location.lake_dir)
        marker.write(location.lake_dir)
        return cls.open(lake_dir, catalog_url=catalog_url)

    @classmethod
    def open(cls, lake_dir: Path, *, catalog_url: str = "") -> Lake:
        """Open the lake at ``lake_dir``.

        Raises:
            LakeMarkerMissing: no marker there, or the catalog is another lake's.
            LakeError: the catalog is missing, unreachable or newer than this program.
        """
        location = Location(lake_dir.absolute(), catalog_url)
        marker = read_marker(location.lake_dir)
        lake = cls(location, marker)
        try:
            lake._restore_after_crash()
            lake._check_identity()
            if lake._outdated:
                lake._try_upgrade()
        except BaseException:
            lake.close()
            raise
        return lake

    @property
    def sandbox(self) -> bool:
        """True if this lake takes synthetic rows, and only those."""
        return self._marker.sandbox

    @property
    def root(self) -> Path:
        """The lake's directory."""
        return self._location.lake_dir

    def close(self) -> None:
        """Close the writer's connection; connections handed out stay open."""
        with self._thread:
            self._catalog.close()

    def commit(self, batch: CommitBatch) -> CommitReceipt:
        """Make ``batch`` visible at once and durably; see :func:`mdc_resources.lake.commit.commit`."""
        with self._thread:
            if self._outdated:
                self._upgrade()
            receipt = protocol.commit(self._catalog, self._lock, batch, sandbox=self.sandbox)
            if self._flusher.due(
                len(batch.coverage), len(batch.attempts), len(batch.observations), len(batch.quarantine)
            ):
                self.flush()
            return receipt

    def flush(self, *, minimum: int = 1) -> int:
        """Move inlined ledger rows of every ledger with at least ``minimum`` into sorted files."""
        with self._thread, self._lock.hold():
            return self._flusher.flush(minimum)

    def compact(self, *, min_files: int = MIN_FILES) -> list[CompactReceipt]:
        """Merge small files per month; see :func:`mdc_resources.lake.compact.compact`."""
        with self._thread, self._lock.hold():
            return compact(self._catalog, min_files=min_files)

    def coverage(
        self,
        dataset: Dataset,
        *,
        symbols: Sequence[Symbol] | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> pa.Table:
        """Newest ledger row per partition, for sessions ``start``..``end`` inclusive, in key order.

        Columns are those of the ``coverage`` ledger. A partition without a row is missing.
        """
        conditions = ["dataset = ?"]
        parameters: list[object] = [dataset.value]
        if symbols is not None:
            conditions.append("symbol IN (SELECT unnest(?::VARCHAR[]))")
            parameters.append(list(symbols))
        if start is not None:
            conditions.append("session >= ?")
            parameters.append(start)
        if end is not None:
            conditions.append("session <= ?")
            parameters.append(end)
        query = (
            f"SELECT * FROM {ALIAS}.coverage WHERE {' AND '.join(conditions)}"
            " QUALIFY row_number() OVER (PARTITION BY symbol, session ORDER BY commit_seq DESC) = 1"
            " ORDER BY symbol, session"
        )
        with self._thread:
            return self._catalog.query(query, parameters)

    def rows_of(self, dataset: Dataset, keys: Collection[PartitionKey]) -> pa.Table:
        """What is stored of the partitions ``keys``, with the columns of the dataset's schema."""
        named = {
            "wanted": pa.table({
                "symbol": pa.array([key.symbol for key in keys], pa.string()),
                "session": pa.array([key.session for key in keys], pa.date32()),
            })
        }  # fmt: skip
        sessions = [key.session for key in keys] or [dt.date.min]
        query = (
            f"SELECT stored.* FROM {ALIAS}.{dataset.value} AS stored SEMI JOIN wanted USING (symbol, session)"
            " WHERE session BETWEEN ? AND ?"
        )
        with self._thread:
            return self._catalog.query(query, [min(sessions), max(sessions)], tables=named)

    def empty_votes(
        self, dataset: Dataset, symbols: Sequence[Symbol], start: dt.date, end: dt.date, *, since: dt.datetime
    ) -> pa.Table:
        """Answers without rows noted after ``since``: columns ``symbol``, ``session``, ``source``."""
        query = (
            f"SELECT DISTINCT symbol, session, source FROM {ALIAS}.observations"
            " WHERE dataset = ? AND row_count = 0 AND committed_at > ? AND session BETWEEN ? AND ?"
            " AND symbol IN (SELECT unnest(?::VARCHAR[]))"
        )
        with self._thread:
            return self._catalog.query(query, [dataset.value, since, start, end, list(symbols)])

    def landed_segments(self) -> dict[str, frozenset[int]]:
        """Numbers of the captured segments that were landed, by shard."""
        with self._thread:
            return captured.landed_segments(self._catalog)

    def holes(
        self,
        dataset: Dataset | None = None,
        *,
        symbols: Collection[Symbol] | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
        states: Collection[str] | None = None,
    ) -> list[HoleRow]:
        """Holes of live capture as they stand now, for sessions ``start``..``end`` inclusive."""
        with self._thread:
            return captured.holes(self._catalog, dataset, symbols, start, end, states)

    def spans(
        self,
        dataset: Dataset | None = None,
        *,
        symbols: Collection[Symbol] | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> list[Span]:
        """Spans of event partitions as they stand now, for sessions ``start``..``end`` inclusive."""
        with self._thread:
            return captured.spans(self._catalog, dataset, symbols, start, end)

    def tails(self, dataset: Dataset, keys: Collection[PartitionKey]) -> dict[PartitionKey, captured.Tail]:
        """Where the stored rows of each of ``keys`` end; those without rows are left out."""
        with self._thread:
            return captured.tails(self._catalog, dataset, keys)

    def stored_of(self, dataset: Dataset, rows: pa.Table, identity: Sequence[str]) -> pa.Table:
        """Identities among ``rows`` that are stored; see :func:`mdc_resources.lake.captured.stored_of`."""
        with self._thread:
            return captured.stored_of(self._catalog, dataset, rows, identity)

    def gap_bits(
        self, dataset: Dataset, *, since: dt.date, end: dt.date, symbols: Sequence[Symbol] | None = None
    ) -> GapBits:
        """Which sessions up to ``end`` the ledger explains; see :mod:`mdc_resources.lake.gapbits`."""
        from mdc_resources.lake.gapbits import gap_bits

        with self._thread:
            return gap_bits(self._catalog, dataset, since=since, end=end, symbols=symbols)

    def listing_facts(self, symbols: Sequence[Symbol] | None = None, *, since: dt.date) -> ListingFacts:
        """What the rows say about listings; see :mod:`mdc_resources.lake.listing_facts`."""
        with self._thread:
            return listing_facts(self._catalog, symbols, since=since)

    def connect(
        self, *, as_of: int | dt.datetime | None = None, known_at: dt.datetime | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A read-only in-memory DuckDB with the lake attached and its views in place.

        ``as_of`` is a snapshot id or an instant of the lake's own time; UsageError if the lake is no
        longer (or not yet) readable at it. ``known_at`` selects the corporate actions that adjusted
        views apply; see :func:`mdc_resources.lake.views.create_views`.
        """
        snapshot = None if as_of is None else self.snapshot_at(as_of)
        connection = attach(self._location, read_only=True, snapshot=snapshot)
        create_views(connection, known_at=known_at)
        return connection

    def snapshots(self) -> list[Snapshot]:
        """All readable snapshots, oldest first."""
        with self._thread:
            return self._catalog.snapshots()

    def snapshot_at(self, as_of: int | dt.datetime) -> int:
        """The snapshot that was newest at ``as_of``; raises UsageError naming the readable ones."""
        known = self.snapshots()
        oldest, newest = known[0], known[-1]
        if isinstance(as_of, int):
            if any(snapshot.snapshot_id == as_of for snapshot in known):
                return as_of
            raise UsageError(
                f"there is no snapshot {as_of}",
                hint=f"The oldest readable one is {oldest.snapshot_id}, the newest {newest.snapshot_id}",
            )
        instant = to_utc(as_of)
        before = [snapshot for snapshot in known if snapshot.committed_at <= instant]
        if not before:
            raise UsageError(
                f"the lake cannot be read as of {instant.isoformat()}",
                hint=f"The oldest readable snapshot is {oldest.snapshot_id}, "
                f"of {oldest.committed_at.isoformat()}",
            )
        return before[-1].snapshot_id

    def status(self) -> LakeStatus:
        """Sizes, counts and identity."""
        with self._thread:
            snapshots = self._catalog.snapshots()
            rows, inlined = self._catalog.row_counts(), self._catalog.inlined_rows()
            tables = []
            for table in TABLES:
                files = self._catalog.files(table.name)
                size = sum(size for _, size in files)
                tables.append(
                    TableStatus(table.name, rows[table.name], len(files), size, inlined.get(table.name, 0))
                )
        return LakeStatus(
            root=str(self.root),
            lake_id=self._marker.lake_id,
            sandbox=self.sandbox,
            catalog=self._location.kind,
            snapshot_id=snapshots[-1].snapshot_id,
            snapshots=len(snapshots),
            oldest_snapshot=snapshots[0].snapshot_id,
            tables=tuple(tables),
        )

    def verify(self, *, deep: bool = False) -> list[Finding]:
        """What is wrong with the lake; see :func:`mdc_resources.lake.verify.verify`."""
        from mdc_resources.lake.verify import verify

        with self._thread:
            return verify(self._catalog, deep=deep)

    def damage_of(self, findings: Sequence[Finding]) -> list[Damage]:
        """The files and partitions behind ``findings``; see :func:`mdc_resources.lake.salvage.damage_of`."""
        from mdc_resources.lake.salvage import damage_of

        with self._thread:
            return damage_of(self._catalog, findings)

    def give_up(self, damage: Sequence[Damage], batch: CommitBatch) -> None:
        """Drop what is damaged, say so in the ledger; see :func:`mdc_resources.lake.salvage.give_up`."""
        from mdc_resources.lake.salvage import give_up

        with self._thread:
            give_up(self._catalog, self._lock, damage, batch)

    def _restore_after_crash(self) -> None:
        """Put back files of a flush that died while its commit failed; nearly always there are none."""
        if kept_files(self._location.data_dir):
            with self._lock.hold():
                for folder in {path.parent for path in kept_files(self._location.data_dir)}:
                    restore_kept(folder)

    def _check_identity(self) -> None:
        found = self._catalog.identity()
        if found.get("lake_id") != self._marker.lake_id:
            raise LakeMarkerMissing(
                f"the marker in {self.root} is of lake {self._marker.lake_id}, "
                f"the catalog of {found.get('lake_id', 'none')}",
                hint="Is this the right directory, and lake.catalog_url the right database?",
            )
        if int(found["schema_version"]) > SCHEMA_VERSION:
            raise LakeError(
                f"the lake has schema version {found['schema_version']}, this program knows {SCHEMA_VERSION}",
                hint="Upgrade mdc; nothing was changed",
            )
        self._outdated = int(found["schema_version"]) < SCHEMA_VERSION

    def _upgrade(self) -> None:
        """Bring the lake to this program's version; whoever else did it meanwhile has done it."""
        with self._lock.hold():
            if int(self._catalog.identity()["schema_version"]) < SCHEMA_VERSION:
                self._catalog.upgrade()
        self._outdated = False

    def _try_upgrade(self) -> None:
        """Upgrade where that can be done now; what cannot be written can still be read."""
        with suppress(LakeError, LakeBusy, StorageFailed):
            self._upgrade()


def _commit_lock(location: Location, marker: Marker) -> CommitLock:
    if location.kind == "postgres":
        return AdvisoryLock(location.dsn, marker.lake_id)
    return FileLock(location.lake_dir / LOCK_NAME)
