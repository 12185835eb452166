"""Fingerprints of partitions that grow, without reading what is stored again at each append.

The running sums are kept in ``state/landing/sums.json`` and believed only where they give the very
fingerprint that the ledger has; otherwise the stored rows are read once. Losing the file loses nothing.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

import msgspec
import pyarrow as pa

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.time import now
from mdc_resources.lake import Accumulator, Lake
from mdc_resources.landing.checkpoint import FOLDER, write

FILE_NAME = "sums.json"
KEPT = dt.timedelta(days=10)


class Sum(msgspec.Struct):
    """What :class:`~mdc_resources.lake.Accumulator` holds of one partition."""

    session: dt.date
    rows: int
    sums: tuple[int, ...]


class Sums:
    """Running sums by partition; :meth:`save` after a commit."""

    def __init__(self, home: Home, lake: Lake) -> None:
        self._path = home.state_dir / FOLDER / FILE_NAME
        self._lake = lake
        self._sums: dict[str, Sum] = {}
        with suppress(OSError, msgspec.DecodeError):
            self._sums = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Sum])

    def grown(
        self, dataset: Dataset, key: PartitionKey, prior: CoverageRow | None, added: pa.Table
    ) -> tuple[int, str]:
        """(rows, fingerprint) of the partition with ``added``; ``prior`` is its line in the ledger."""
        sums = Accumulator(dataset)
        if prior is not None and prior.row_count:
            self._resume(sums, dataset, key, prior)
        return self._add(sums, dataset, key, added)

    def anew(self, dataset: Dataset, key: PartitionKey, rows: pa.Table) -> tuple[int, str]:
        """(rows, fingerprint) of a partition that consists of ``rows``."""
        return self._add(Accumulator(dataset), dataset, key, rows)

    def save(self) -> None:
        """Keep them, those of recent sessions."""
        oldest = now().date() - KEPT
        recent = {name: each for name, each in self._sums.items() if each.session >= oldest}
        write(self._path, msgspec.json.encode(recent))

    def _resume(self, sums: Accumulator, dataset: Dataset, key: PartitionKey, prior: CoverageRow) -> None:
        known = self._sums.get(_name(dataset, key))
        if known is not None:
            sums.resume(known.rows, known.sums)
            if (sums.rows, sums.fingerprint) == (prior.row_count, prior.fingerprint):
                return
            sums.resume(0, (0,) * len(known.sums))
        sums.add(self._lake.rows_of(dataset, [key]))

    def _add(self, sums: Accumulator, dataset: Dataset, key: PartitionKey, rows: pa.Table) -> tuple[int, str]:
        sums.add(rows)
        self._sums[_name(dataset, key)] = Sum(key.session, sums.rows, sums.sums)
        return sums.rows, sums.fingerprint


def _name(dataset: Dataset, key: PartitionKey) -> str:
    return f"{dataset} {key.symbol} {key.session}"
