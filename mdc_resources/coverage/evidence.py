"""What the ledgers and the raw archive hold about one partition.

Read by bound SQL from one snapshot of the lake, so that all lists agree with each other. A request
belongs to a partition if it asked for its symbol over a range that contains its session; which of
them the stored rows came from is told by the run, the provider and the dataset of the ledger line.
Nothing here writes, and a raw file that is gone or damaged is an answer, not an error.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.transport.archive_reader import read_record

if TYPE_CHECKING:
    import duckdb

Row = Mapping[str, object]
_ROWS_SHOWN = 50


class Effect(StrEnum):
    """What a ledger line did to what the partition holds."""

    CHANGED = "changed"
    CONFIRMED = "confirmed"


class Role(StrEnum):
    """What an answer was to the partition."""

    STORED = "stored"  # the rows held now came with it or a page of it, or the proof that there are none
    CONFIRMED = "confirmed"  # it gave what was held already
    OUTDATED = "outdated"  # what it gave was replaced since
    FAILED = "failed"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the coverage ledger: a snapshot in which the partition was written."""

    commit_seq: int
    committed_at: dt.datetime
    run_id: str
    state: PartitionState
    effect: Effect
    reason: str
    source: str
    basis: str
    basis_asof: dt.date | None
    row_count: int
    fingerprint: str
    attempt: int
    verified_at: dt.datetime
    basis_confirmed_asof: dt.date | None

    @property
    def provider(self) -> str:
        """Who delivered it; empty where nobody did."""
        return self.source.rpartition("sandbox:")[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Where an answer lies in the raw archive; ``file`` is relative to the home.

    ``fault`` is empty where the record was read and its body matches its digest; ``sha256`` is that
    digest, and ``agrees`` is True if the ``fetches`` ledger has the same (a body with a secret in it
    is masked before it is archived, so then they differ).
    """

    record_id: str
    file: str = ""
    offset: int = 0
    length: int = 0
    sha256: str = ""
    page: int = 0
    agrees: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One line of ``fetches`` that asked for the partition, and its raw record."""

    fetch_id: str
    commit_seq: int
    run_id: str
    role: Role
    provider: str
    dataset: Dataset
    symbols: tuple[Symbol, ...]
    start: dt.date
    end: dt.date
    url: str
    started_at: dt.datetime
    duration_ms: float
    status: int | None
    error: str
    body_bytes: int
    sha256: str
    record_id: str
    raw: RawRecord | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it, oldest first. ``rows`` are the stored rows, at most the first 50."""

    changes: tuple[Change, ...]
    requests: tuple[Request, ...]
    rows: tuple[Row, ...]
    observations: tuple[Row, ...]
    quarantine: tuple[Row, ...]
    incidents: tuple[Row, ...]


def evidence_of(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbol: Symbol, session: dt.date, *, root: Path
) -> Evidence:
    """What ``connection``'s snapshot says; raw files are looked for below ``root``, the home."""
    key = [str(dataset), symbol, session]
    changes = _changes(connection, key)
    requests = [replace(request, raw=_raw(root, request)) for request in _requests(connection, key, changes)]
    found = {
        name: tuple(_select(connection, f"FROM {name} WHERE {_KEY} ORDER BY commit_seq", key))
        for name in ("observations", "quarantine")
    }
    runs = sorted({request.run_id for request in requests} | {change.run_id for change in changes})
    # An outage tells of all that a provider was asked in a run; here only if it kept this from coming.
    failed = sorted({request.provider for request in requests if request.role is Role.FAILED})
    return Evidence(
        changes=changes,
        requests=tuple(requests),
        rows=tuple(_stored(connection, dataset, symbol, session)),
        incidents=tuple(_select(connection, _INCIDENTS, [*key, runs, failed])),
        **found,
    )


_KEY = "dataset = ? AND symbol = ? AND session = ?"
_INCIDENTS = """
    FROM incidents
    WHERE coalesce(dataset = $1, true) AND coalesce(symbol = $2, true) AND coalesce(session = $3, true)
      AND (session IS NOT NULL OR run_id IN (SELECT unnest($4::VARCHAR[]))
           AND (provider = '' OR provider IN (SELECT unnest($5::VARCHAR[]))))
    ORDER BY started_at"""
# A run may have asked for bars and got this dataset along with them, so its other requests count too.
_FETCHES = """
    FROM fetches
    WHERE list_contains(string_split(symbols, ','), $2) AND $3 BETWEEN first_session AND last_session
      AND (dataset = $1 OR run_id IN (SELECT unnest($4::VARCHAR[])))
    ORDER BY started_at, fetch_id"""


def _changes(connection: duckdb.DuckDBPyConnection, key: Sequence[object]) -> tuple[Change, ...]:
    found: list[Change] = []
    content: tuple[object, ...] = ()
    for row in _select(connection, f"FROM coverage_log WHERE {_KEY} ORDER BY commit_seq", key):
        now = (row["state"], row["fingerprint"])
        effect, content = (Effect.CONFIRMED if now == content else Effect.CHANGED), now
        fields = {
            name: value
            for name, value in row.items()
            if name not in ("dataset", "symbol", "session", "state")
        }
        found.append(Change(state=PartitionState(str(row["state"])), effect=effect, **fields))  # type: ignore[arg-type]
    return tuple(found)


def _requests(
    connection: duckdb.DuckDBPyConnection, key: Sequence[object], changes: Sequence[Change]
) -> list[Request]:
    runs = sorted({change.run_id for change in changes})
    found = []
    for row in _select(connection, _FETCHES, [*key, runs]):
        fields = {name: value for name, value in row.items() if name in Request.__slots__}
        fields |= {
            "dataset": Dataset(str(row["dataset"])),
            "symbols": tuple(Symbol(name) for name in str(row["symbols"]).split(",")),
            "start": row["first_session"],
            "end": row["last_session"],
        }
        found.append(Request(role=Role.UNUSED, raw=None, **fields))  # type: ignore[arg-type]
    roles = _roles(Dataset(str(key[0])), found, changes)
    own = [request for request in found if str(request.dataset) == key[0] or request.fetch_id in roles]
    return [
        replace(request, role=Role.FAILED if request.error else roles.get(request.fetch_id, Role.UNUSED))
        for request in own
    ]


def _roles(dataset: Dataset, requests: Sequence[Request], changes: Sequence[Change]) -> dict[str, Role]:
    """Of the good answers that a ledger line came from, what they are now; a later line wins."""
    newest = max((at for at, line in enumerate(changes) if line.effect is Effect.CHANGED), default=0)
    roles: dict[str, Role] = {}
    for at, line in enumerate(changes):
        good = [
            request
            for request in requests
            if request.run_id == line.run_id and request.commit_seq <= line.commit_seq and not request.error
            # That nothing happened may take two sources; rows have one.
            if request.provider == line.provider or line.state is PartitionState.EMPTY
        ]
        # What was asked for itself counts before what came along with something else.
        own = [request for request in good if request.dataset is dataset] or good
        role = Role.OUTDATED if at < newest else Role.STORED if at == newest else Role.CONFIRMED
        roles |= {request.fetch_id: role for request in own}
    return roles


def _raw(root: Path, request: Request) -> RawRecord | None:
    """Read the record of ``request`` and say where it lies, or what is wrong with it."""
    if not request.record_id:
        return None
    try:
        found = read_record(root / "raw", request.record_id, run_id=request.run_id)
    except (DataError, OSError) as error:
        text = str(error).replace(f"{root}/", "")
        return RawRecord(request.record_id, fault=text)
    import hashlib

    digest = hashlib.sha256(found.response.body).hexdigest()
    return RawRecord(
        record_id=request.record_id,
        file=found.file.relative_to(root).as_posix(),
        offset=found.offset,
        length=found.length,
        sha256=digest,
        page=found.page,
        agrees=digest == request.sha256,
    )


def _stored(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbol: Symbol, session: dt.date
) -> Iterable[Row]:
    """The rows themselves, as stored; of a dataset without a table, none."""
    from mdc_resources.schema.arrow import ROW_KEYS

    if dataset not in ROW_KEYS:
        return []
    view = "bars_1d_stored" if dataset is Dataset.BARS_1D else str(dataset)
    order = ", ".join(ROW_KEYS[dataset])
    query = f"FROM {view} WHERE symbol = ? AND session = ? ORDER BY {order} LIMIT {_ROWS_SHOWN}"
    return _select(connection, query, [symbol, session])


def _select(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object]
) -> list[dict[str, object]]:
    cursor = connection.execute(f"SELECT * {query}", list(parameters))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def _plain(value: object) -> object:
    """Instants come back in the machine's zone; here they are UTC like everywhere."""
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value
