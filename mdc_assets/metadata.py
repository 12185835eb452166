"""Metadata of assets and events: every name that Dagster shows, in one place.

What never changes (table, columns, place) is on the asset; what a partition's event carries is
small, since a run writes thousands of them; the preview goes with the last one of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster import MetadataValue, TableColumn, TableSchema
from dagster._core.definitions.metadata import RawMetadataValue

from mdc_resources.config import Home
from mdc_resources.coverage.freshness import SlaStatus
from mdc_resources.coverage.maps import CoverageMap
from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest import Outcome
from mdc_resources.lake import SegmentRow
from mdc_resources.landing.land import Landed
from mdc_resources.landing.refill import Refilled
from mdc_resources.recovery.damage import Verified
from mdc_resources.recovery.reconciling import ReconcileReport
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
HOLES = "mdc/holes"
COVERAGE = "mdc/coverage"
MAP = "mdc/map"
SHOWN = 20  # names listed in one value
DAMAGED_SHOWN = 500


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


def of_captured(row: CoverageRow, *, snapshot: int | None, holes: int) -> dict[str, RawMetadataValue]:
    """The same of a partition that live capture feeds, with its holes that are open."""
    return {**of_partition(row, snapshot=snapshot), HOLES: holes}


def of_segments(segments: Sequence[SegmentRow]) -> dict[str, RawMetadataValue]:
    """Sealed segments of one log: counts, and from when to when."""
    first, last = min(each.first_ns for each in segments), max(each.last_ns for each in segments)
    return {
        "mdc/segments": len(segments),
        "mdc/frames": sum(each.frames for each in segments),
        "mdc/bytes": sum(each.bytes for each in segments),
        "mdc/rows": sum(each.rows for each in segments),
        "mdc/rejected": sum(each.rejected for each in segments),
        "mdc/first": MetadataValue.timestamp(first / 1e9),
        "mdc/last": MetadataValue.timestamp(last / 1e9),
    }


def of_landing(landed: Landed) -> dict[str, RawMetadataValue]:
    """What a landing as a whole came to."""
    found: dict[str, RawMetadataValue] = {f"mdc/rows/{name}": n for name, n in sorted(landed.rows.items())}
    found |= {
        "mdc/segments": landed.segments,
        "mdc/partitions": len(landed.partitions),
        HOLES: len(landed.holes),
        "mdc/rejected": landed.rejected,
        "mdc/waiting": len(landed.waiting),
    }
    return found


def of_refill(done: Refilled) -> dict[str, RawMetadataValue]:
    """What a refill as a whole came to, the first reasons of what stays open."""
    return {
        "mdc/repaired": len(done.repairs),
        "mdc/rows": done.rows,
        REQUESTS: done.requests,
        "mdc/waiting": done.waiting,
        "mdc/gave_up": len(done.gave_up),
        "mdc/failed": [
            f"{hole.dataset} {hole.key.symbol} {hole.key.session}: {reason}"
            for hole, reason in done.failed[:SHOWN]
        ],
        SECONDS: round(done.seconds, 3),
    }


def of_unlisted(why: str) -> dict[str, RawMetadataValue]:
    """A session on which the symbol did not trade under its name: nothing is expected there."""
    return {STATE: "unlisted", ROW_COUNT: 0, UNCHANGED: True, REASON: why}


def of_run(outcome: Outcome) -> dict[str, RawMetadataValue]:
    """What a run as a whole did and cost."""
    counts = {f"mdc/{state}": count for state, count in sorted(outcome.counts.items())}
    return {
        **counts,
        "mdc/expected": outcome.expected,
        "mdc/pending": outcome.pending,
        "mdc/busy": outcome.busy,
        "mdc/waiting": outcome.waiting,
        "mdc/rows": outcome.rows,
        REQUESTS: outcome.requests_sent,
        REQUESTS_MINIMUM: outcome.requests_minimum,
        FAILOVERS: outcome.failovers,
        SECONDS: round(outcome.seconds, 3),
    }


def of_reconcile(report: ReconcileReport) -> dict[str, RawMetadataValue]:
    """What the log and the ledger disagreed about, and what was done."""
    found: dict[str, RawMetadataValue] = {
        "mdc/unreported": report.unreported,
        "mdc/unexplained": report.unexplained,
        "mdc/reported": report.reported,
        "mdc/marked_missing": report.marked_missing,
        SECONDS: round(report.seconds, 3),
    }
    if report.strangers:
        found["mdc/in_no_universe"] = list(report.strangers[:SHOWN])
    return found


def of_verification(found: Verified) -> dict[str, RawMetadataValue]:
    """What a deep verification found, the first names of each kind."""
    shown: dict[str, RawMetadataValue] = {
        "mdc/findings": len(found.findings),
        "mdc/new_findings": found.new,
        "mdc/damaged_partitions": found.damaged,
        "mdc/repaired_partitions": found.repaired,
    }
    if found.findings:
        shown["mdc/found"] = [f"{f.kind}: {f.subject}: {f.message}" for f in found.findings[:SHOWN]]
    if found.damage:
        names = [f"{item.dataset} {key.symbol} {key.session}" for item in found.damage for key in item.keys]
        shown["mdc/damaged"] = list(names[:DAMAGED_SHOWN])
    return shown


def of_promises(statuses: Sequence[SlaStatus]) -> dict[str, RawMetadataValue]:
    """The promises about one asset, session by session."""
    lines = ["| promise | session | due | settled | verdict | lacking |", "|---|---|---|---:|---|---|"]
    for status in statuses:
        for seen in status.sessions:
            lacking = ", ".join(f"{symbol} {state}" for symbol, state in seen.worst)
            lines.append(
                f"| {status.name} | {seen.session} | {seen.due_at:%Y-%m-%d %H:%M} UTC "
                f"| {seen.settled}/{seen.expected} | {seen.verdict} | {lacking} |"
            )
    return {"mdc/met": all(status.met for status in statuses), "mdc/sla": MetadataValue.md("\n".join(lines))}


def of_maps(maps: Sequence[CoverageMap], *, table: str, drawings: str) -> dict[str, RawMetadataValue]:
    """The table, the drawings if there are any, figures of each picture, and where its page lies."""
    found: dict[str, RawMetadataValue] = {COVERAGE: MetadataValue.md(table)}
    if drawings:
        found[MAP] = MetadataValue.md(drawings)
    for each in maps:
        dataset, picture = each.picture.dataset, each.picture
        found[f"mdc/{dataset}/page"] = MetadataValue.path(str(each.page))
        if picture.percent is not None:
            found[f"mdc/{dataset}/percent"] = picture.percent
        found[f"mdc/{dataset}/expected"] = picture.expected
        found[f"mdc/{dataset}/open_sessions"] = sum(gap.sessions for gap in picture.gaps)
        found[f"mdc/{dataset}/gaps"] = len(picture.gaps)
    return found


def with_preview(found: Mapping[str, RawMetadataValue], markdown: str) -> dict[str, RawMetadataValue]:
    """``found`` and a rendered preview; unchanged where there is nothing to show."""
    return {**found, PREVIEW: MetadataValue.md(markdown)} if markdown else dict(found)


def _columns(dataset: Dataset) -> TableSchema:
    fields = schema_of(dataset)
    docs = [(field.metadata or {}).get(b"doc", b"").decode() for field in fields]
    return TableSchema(
        [TableColumn(field.name, str(field.type), doc) for field, doc in zip(fields, docs, strict=True)]
    )
