"""What live capture writes: partitions that grow, holes and spans that go on, the ledger of segments."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Accumulator, CommitBatch, HoleRow, Lake, SegmentRow, Span, fingerprints
from mdc_resources.schema.arrow import DEPTH, TRADES
from mdc_resources.schema.checks import failures

DAY = dt.date(2026, 3, 10)
KEY = PartitionKey(Symbol("COINBASE:BTC-USD"), DAY)
HOLE = HoleRow(Dataset.TRADES, KEY, "h1", "coinbase", "coinbase-0/1", "trades", 10, 20, "disconnect")
SPAN = Span(Dataset.TRADES, KEY, 0, 10, "coinbase/live", "present")


def trades(first: int, count: int) -> pa.Table:
    """``count`` trades whose ordinals begin at ``first``."""
    rows = [
        dict.fromkeys(TRADES.names)
        | {
            "symbol": KEY.symbol,
            "session": DAY,
            "ts_event": at,
            "ts_recv": at + 5,
            "ordinal": at,
            "price": Decimal(100 + at),
            "size": Decimal(1),
            "venue": "COINBASE",
            "trade_id": str(at),
            "source": "coinbase/live",
        }
        for at in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=TRADES)


def line(rows: pa.Table) -> CoverageRow:
    """Coverage of a partition that consists of ``rows``."""
    return CoverageRow(
        Dataset.TRADES,
        KEY.symbol,
        DAY,
        PartitionState.PARTIAL,
        source="coinbase/live",
        row_count=rows.num_rows,
        fingerprint=fingerprints(Dataset.TRADES, rows)[KEY],
    )


def commit(lake: Lake, added: pa.Table | None = None, **parts: object) -> None:
    """One commit of captured rows and ledger lines."""
    tables = {} if added is None else {Dataset.TRADES: added}
    lake.commit(CommitBatch("run", 1, tables, **parts))  # type: ignore[arg-type]


def test_a_partition_grows(lake: Lake) -> None:
    """Appended rows lie in files of their own; the lake verifies as one partition."""
    first, second = trades(0, 3), trades(3, 2)
    commit(lake, first, coverage=[line(first)])
    whole = pa.concat_tables([first, second])
    commit(lake, second, coverage=[line(whole)], appends=frozenset({(Dataset.TRADES, KEY)}))
    assert lake.rows_of(Dataset.TRADES, [KEY]).num_rows == 5
    assert lake.verify(deep=True) == []
    (tail,) = lake.tails(Dataset.TRADES, [KEY]).values()
    assert (tail.rows, tail.ordinal, tail.ts_recv, tail.sources) == (5, 4, 9, {"coinbase/live"})
    assert lake.compact(min_files=2)[0].files_after == 1
    assert lake.verify(deep=True) == []


@pytest.mark.parametrize("said", [2, 4, 6], ids=["only the new", "one too few", "one too many"])
def test_what_coverage_says_of_a_grown_partition_must_be_true(lake: Lake, said: int) -> None:
    """Stored and added rows together, or nothing is committed."""
    first, second = trades(0, 3), trades(3, 2)
    commit(lake, first, coverage=[line(first)])
    wrong = replace(line(second), row_count=said)
    with pytest.raises(DataError, match="has 5 rows"):
        commit(lake, second, coverage=[wrong], appends=frozenset({(Dataset.TRADES, KEY)}))
    assert lake.rows_of(Dataset.TRADES, [KEY]).num_rows == 3


def test_an_append_must_be_explained(lake: Lake) -> None:
    """Rows without coverage are refused, appended ones too."""
    first = trades(0, 3)
    commit(lake, first, coverage=[line(first)])
    with pytest.raises(DataError, match="its coverage says nothing"):
        commit(lake, trades(3, 1), coverage=[], appends=frozenset({(Dataset.TRADES, KEY)}))


def test_sums_go_on_where_they_were_left() -> None:
    """In two sittings the same fingerprint as in one."""
    whole = trades(0, 50)
    before = Accumulator(Dataset.TRADES)
    before.add(whole.slice(0, 20))
    after = Accumulator(Dataset.TRADES)
    after.resume(before.rows, before.sums)
    after.add(whole.slice(20))
    assert (after.rows, after.fingerprint) == (50, fingerprints(Dataset.TRADES, whole)[KEY])


def test_known_identities_are_found(lake: Lake) -> None:
    """Those of rows that are stored, and no others; what lies far away in time is not read."""
    first = trades(0, 3)
    commit(lake, first, coverage=[line(first)])
    found = lake.stored_of(Dataset.TRADES, trades(2, 3), ("venue", "trade_id"))
    assert found.select(["venue", "trade_id"]).to_pylist() == [{"venue": "COINBASE", "trade_id": "2"}]


def test_the_newest_line_of_a_hole_counts(lake: Lake) -> None:
    """It grows, then it is repaired; the log keeps every line."""
    for hole in (HOLE, replace(HOLE, end_ns=30), replace(HOLE, end_ns=30, state="repaired")):
        commit(lake, coverage=[], holes=[hole])
    commit(lake, coverage=[], holes=[replace(HOLE, hole_id="h2", dataset=Dataset.DEPTH)])
    assert [(hole.hole_id, hole.end_ns, hole.state) for hole in lake.holes()] == [
        ("h2", 20, "open"),
        ("h1", 30, "repaired"),
    ]
    assert lake.holes(Dataset.TRADES, states=["open"]) == []
    assert lake.holes(symbols=[Symbol("IBM")]) == []
    assert lake.holes(start=DAY + dt.timedelta(days=1)) == []
    with lake.connect() as reader:
        assert reader.execute("SELECT count(*) FROM holes").fetchone() == (2,)
        assert reader.execute("SELECT count(*) FROM holes_log").fetchone() == (4,)


def test_a_span_that_a_newer_one_covers_is_history(lake: Lake) -> None:
    """One that went on, and one that complete history replaced."""
    commit(lake, coverage=[], spans=[SPAN, replace(SPAN, start_ns=20, end_ns=30)])
    commit(lake, coverage=[], spans=[replace(SPAN, end_ns=15)])
    assert [(span.start_ns, span.end_ns) for span in lake.spans()] == [(0, 15), (20, 30)]
    commit(lake, coverage=[], spans=[replace(SPAN, start_ns=-5, end_ns=99, source="coinbase")])
    assert [(span.start_ns, span.source) for span in lake.spans(Dataset.TRADES)] == [(-5, "coinbase")]
    with lake.connect() as reader:
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == (1,)
        assert reader.execute("SELECT count(*) FROM spans_log").fetchone() == (4,)


def test_landed_segments_are_known_by_shard(lake: Lake) -> None:
    """The numbers, each once."""
    row = SegmentRow("coinbase-0", 7, "coinbase", 1, 2, 3, 4, 5, 6, 0)
    commit(lake, coverage=[], segments=[row, replace(row, shard="kraken-0")])
    commit(lake, coverage=[], segments=[replace(row, number=8)])
    assert lake.landed_segments() == {"coinbase-0": {7, 8}, "kraken-0": {7}}


def test_rows_of_depth_are_checked() -> None:
    """A level is named whole, and actions are four."""
    base = dict.fromkeys(DEPTH.names) | {
        "symbol": "X", "session": DAY, "ts_event": 1, "ts_recv": 1, "ordinal": 0, "source": "s",
    }  # fmt: skip
    level = {"side": "bid", "price": Decimal(1), "size": Decimal(0)}
    rows = [
        base | {"action": "snapshot_begin"},
        base | level | {"action": "set"},
        base | level | {"action": "delete"},
        base | {"action": "invalid"},
        base | {"action": "set"},
        base | level | {"action": "set", "side": "buy"},
        base | {"action": "moved"},
        base | level | {"action": "set", "size": Decimal(-1)},
    ]
    found = failures(Dataset.DEPTH, pa.Table.from_pylist(rows, schema=DEPTH))
    assert [failure.row for failure in found] == [4, 5, 6, 7]
