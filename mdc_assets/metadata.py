"""Metadata of assets and events: every name that Dagster shows, in one place.

What never changes (table, columns, place) is on the asset; what a partition's event carries is
small, since a run writes thousands of them; the preview goes with the last one of a run.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import MetadataValue, TableColumn, TableSchema
from dagster._core.definitions.metadata import RawMetadataValue

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest import Outcome
from mdc_resources.schema.arrow import schema_of

ROW_COUNT = "dagster/row_count"
TABLE_NAME = "dagster/table_name"
URI = "dagster/uri"
COLUMN_SCHEMA = "dagster/column_schema"
STATE = "mdc/state"
REASON = "mdc/reason"
UNCHANGED = "mdc/unchanged"
SOURCE = "mdc/source"
FINGERPRINT = "mdc/fingerprint"
SNAPSHOT = "mdc/snapshot"
REQUESTS = "mdc/requests"
REQUESTS_MINIMUM = "mdc/requests_minimum"
FAILOVERS = "mdc/failovers"
MISSING = "mdc/missing"
SECONDS = "mdc/seconds"
PREVIEW = "mdc/preview"


def of_asset(home: Home, dataset: Dataset) -> dict[str, RawMetadataValue]:
    """What holds for every partition of ``dataset``."""
    return {
        TABLE_NAME: f"main.{dataset}",
        URI: (home.lake_dir / "data" / "main" / dataset).as_uri(),
        COLUMN_SCHEMA: MetadataValue.table_schema(_columns(dataset)),
    }


def of_partition(row: CoverageRow, *, snapshot: int | None) -> dict[str, RawMetadataValue]:
    """What the ledger says of one partition. No ``snapshot``: this run left it as it was."""
    found: dict[str, RawMetadataValue] = {
        STATE: str(row.state),
        ROW_COUNT: row.row_count,
        UNCHANGED: snapshot is None,
        SOURCE: row.source,
        FINGERPRINT: row.fingerprint,
        REASON: row.reason,
    }
    if snapshot is not None:
        found[SNAPSHOT] = snapshot
    return {name: value for name, value in found.items() if value != ""}


def of_run(outcome: Outcome) -> dict[str, RawMetadataValue]:
    """What a run as a whole did and cost."""
    counts = {f"mdc/{state}": count for state, count in sorted(outcome.counts.items())}
    return {
        **counts,
        "mdc/expected": outcome.expected,
        "mdc/pending": outcome.pending,
        "mdc/busy": outcome.busy,
        "mdc/rows": outcome.rows,
        REQUESTS: outcome.requests_sent,
        REQUESTS_MINIMUM: outcome.requests_minimum,
        FAILOVERS: outcome.failovers,
        SECONDS: round(outcome.seconds, 3),
    }


def with_preview(found: Mapping[str, RawMetadataValue], markdown: str) -> dict[str, RawMetadataValue]:
    """``found`` and a rendered preview; unchanged where there is nothing to show."""
    return {**found, PREVIEW: MetadataValue.md(markdown)} if markdown else dict(found)


def _columns(dataset: Dataset) -> TableSchema:
    fields = schema_of(dataset)
    docs = [(field.metadata or {}).get(b"doc", b"").decode() for field in fields]
    return TableSchema(
        [TableColumn(field.name, str(field.type), doc) for field, doc in zip(fields, docs, strict=True)]
    )
