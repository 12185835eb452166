"""An answer judged partition by partition: what may be stored, what is quarantined, what is open.

An empty answer is not proof: a partition without rows counts as ``empty`` only where the provider's
contract says so; otherwise it is a vote, and a second source has to agree. What was said before a
session's close is never the whole session. Identical duplicate rows are one row; conflicting ones
quarantine their partition. Nothing outside the request passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.asking import Answer
from mdc_resources.schema.arrow import ROW_KEYS
from mdc_resources.schema.checks import failures

RAW_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that may not be stored, and why. ``key`` is None where it names no partition."""

    key: PartitionKey | None
    reason: str
    raw: str


@dataclass(slots=True)
class Verdict:
    """One dataset of one answer. ``rows`` counts rows per good partition."""

    dataset: Dataset
    table: pa.Table
    rows: dict[PartitionKey, int] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    empty: set[PartitionKey] = field(default_factory=set)
    proven: bool = False
    partial: set[PartitionKey] = field(default_factory=set)

    @property
    def bad_keys(self) -> set[PartitionKey]:
        """Partitions with at least one bad row."""
        return {row.key for row in self.bad if row.key is not None}


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of one dataset in one answer, without repeats, and those that break a rule."""

    table: pa.Table
    bad: tuple[BadRow, ...]


def judge(dataset: Dataset, answers: Sequence[Answer], *, prefix: str) -> list[Judged | None]:
    """Check the rows of ``dataset`` in all ``answers`` at once; None where one carries none.

    At once, because a schema call costs the same for one row and for thousands. ``prefix`` is put
    before every row's source (``sandbox:`` in a sandbox lake).
    """
    tables = [answer.table(dataset) for answer in answers]
    distinct = [_deduplicated(_marked(table, prefix)) if table is not None else None for table in tables]
    present = [table for table in distinct if table is not None]
    if not present:
        return [None] * len(answers)
    broken = failures(dataset, pa.concat_tables(present))
    judged: list[Judged | None] = []
    start = 0
    for table in distinct:
        if table is None:
            judged.append(None)
            continue
        end = start + table.num_rows
        mine = [(f.row - start, f.rule) for f in broken if start <= f.row < end]
        mine.extend((at, "two different rows for one key") for at in _conflicts(table, ROW_KEYS[dataset]))
        judged.append(Judged(table, tuple(bad_row(table, at, rule) for at, rule in mine)))
        start = end
    return judged


def assess(answer: Answer, dataset: Dataset, judged: Judged | None, asked: Iterable[PartitionKey]) -> Verdict:
    """Set the judged rows of ``dataset`` in ``answer`` against the partitions ``asked`` of it."""
    if judged is None:
        return Verdict(dataset, pa.table({}))
    wanted = set(asked)
    offer = answer.candidate.provider.spec.offers.get(dataset, answer.candidate.offer)
    verdict = Verdict(dataset, judged.table, bad=list(judged.bad), proven=offer.empty_is_proof)
    if dataset is answer.request.dataset:
        verdict.bad.extend(_rejected(answer))
    verdict.partial = _cut_short(answer, dataset, verdict.table) & wanted
    bad = verdict.bad_keys
    counted = _count(verdict.table)
    verdict.rows = {key: n for key, n in counted.items() if key in wanted and key not in bad}
    if len(verdict.rows) < len(counted):
        verdict.table = only(verdict.table, verdict.rows)
    verdict.empty = _empties(answer, dataset, wanted) - verdict.rows.keys() - bad - verdict.partial
    return verdict


def _marked(table: pa.Table, prefix: str) -> pa.Table:
    if not prefix:
        return table
    at = table.column_names.index("source")
    source = pc.binary_join_element_wise(pa.scalar(prefix), table["source"].cast(pa.string()), "")
    return table.set_column(at, table.schema.field(at), source)


def bad_row(table: pa.Table, at: int, rule: str) -> BadRow:
    """Row ``at`` of ``table`` as one that breaks ``rule``."""
    values = table.slice(at, 1).to_pylist()[0]
    key = PartitionKey(values["symbol"], values["session"])
    return BadRow(key, rule, json.dumps(values, default=str)[:RAW_LIMIT])


def _deduplicated(table: pa.Table) -> pa.Table:
    """Without rows that repeat another one to the last column."""
    if table.num_rows < 2:
        return table
    keys = table.column_names
    unique = table.group_by(keys, use_threads=False).aggregate([])
    return table if unique.num_rows == table.num_rows else unique.select(keys).cast(table.schema)


def _conflicts(table: pa.Table, keys: Sequence[str]) -> list[int]:
    """Positions of rows that share their key with a different row."""
    if table.num_rows < 2:
        return []
    numbered = table.select(keys).append_column("at", pa.array(range(table.num_rows), pa.int64()))
    groups = numbered.group_by(list(keys), use_threads=False).aggregate([("at", "list")])
    several = groups.filter(pc.greater(pc.list_value_length(groups["at_list"]), 1))
    return [at for positions in several["at_list"].to_pylist() for at in positions]


def _rejected(answer: Answer) -> list[BadRow]:
    return [
        BadRow(
            PartitionKey(row.symbol, row.session) if row.symbol and row.session else None,
            row.reason,
            row.raw[:RAW_LIMIT],
        )
        for row in answer.rejected
    ]


def _count(table: pa.Table) -> dict[PartitionKey, int]:
    groups = table.group_by(["symbol", "session"], use_threads=False).aggregate([([], "count_all")])
    columns = (groups["symbol"].to_pylist(), groups["session"].to_pylist(), groups["count_all"].to_pylist())
    return {PartitionKey(symbol, session): n for symbol, session, n in zip(*columns, strict=True)}


def only(table: pa.Table, keys: Iterable[PartitionKey]) -> pa.Table:
    """Rows of ``table`` whose partition is in ``keys``."""
    kept = set(keys)
    pairs = zip(table["symbol"].to_pylist(), table["session"].to_pylist(), strict=True)
    return table.filter(pa.array([pair in kept for pair in pairs], pa.bool_()))


def _cut_short(answer: Answer, dataset: Dataset, table: pa.Table) -> set[PartitionKey]:
    """Partitions known to be incomplete: named by a page, still running, or the last before paging broke.

    How many minutes there are is no sign of it: half days are short, and thin names trade seldom.
    """
    cut = {PartitionKey(*key) for key in answer.incomplete} | _running(answer)
    if answer.error is not None and dataset is Dataset.CORPORATE_ACTIONS:
        # Facts come kind by kind: what is there of a day says nothing of the kinds that are not.
        return cut | _count(table).keys()
    if answer.error is not None and dataset.is_intraday and table.num_rows:
        cut.add(_last(table))
    return cut


def _running(answer: Answer) -> set[PartitionKey]:
    """Partitions whose session was not over when the provider answered."""
    request, calendar = answer.request, answer.calendar
    sessions = calendar.sessions(request.start, request.end)
    if answer.told_at is None or not sessions or calendar.hours(sessions[-1])[1] <= answer.told_at:
        return set()
    late = [session for session in sessions if calendar.hours(session)[1] > answer.told_at]
    return {PartitionKey(symbol, session) for symbol in request.symbols for session in late}


def _last(table: pa.Table) -> PartitionKey:
    """The partition of the last row in (symbol, session) order, as pages are sorted."""
    return max(_count(table))


def _empties(answer: Answer, dataset: Dataset, wanted: set[PartitionKey]) -> set[PartitionKey]:
    """Partitions of ``wanted`` about which the answer is complete."""
    table = answer.table(answer.request.dataset)
    if table is None:
        return set()
    known = {key for key in wanted if key.symbol not in answer.unknown}
    if dataset is not answer.request.dataset:
        # What comes along with the bars says nothing about a symbol the bars know nothing of.
        delivered: set[Symbol] = set(pc.unique(table["symbol"]).to_pylist())
        known = {key for key in known if key.symbol in delivered}
    if answer.error is None:
        return known
    if table.num_rows == 0 or dataset is Dataset.CORPORATE_ACTIONS:
        return set()
    last = _last(table)
    return {key for key in known if key < last}
