"""Events in the lake: files that come finished, their checks, their encodings, and what replaces them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError, LakeError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Accumulator, CommitBatch, Lake, PreparedFile, Span, fingerprints
from mdc_resources.lake.parquet import ROW_GROUP_ROWS, EventWriter
from mdc_resources.schema.arrow import QUOTES, SCHEMAS, TRADES

D = dt.date
DAY = D(2024, 6, 3)
OPEN = 1_717_421_400 * 10**9


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """A new lake for real data."""
    with contextlib.closing(Lake.create(tmp_path / "lake")) as made:
        yield made


def trades(count: int, symbol: str = "AAPL", session: dt.date = DAY, **more: Any) -> pa.Table:
    """``count`` trades a millisecond apart."""
    steps = np.arange(count)
    columns: dict[str, Any] = {
        "symbol": pa.repeat(pa.scalar(symbol), count),
        "session": pa.repeat(pa.scalar(session, pa.date32()), count),
        "ts_event": pa.array(OPEN + steps * 1_000_001),
        "ordinal": pa.array(steps),
        "price": pa.array(19_000 + steps % 7)
        .cast(pa.decimal128(20, 0))
        .cast(pa.decimal128(18, 9), safe=False),
        "size": pa.array(100 + steps % 5).cast(pa.decimal128(19, 0)).cast(pa.decimal128(28, 8)),
        "venue": pa.repeat(pa.scalar("Q"), count),
        "trade_id": pa.array(52_983_525_000_000 + steps).cast(pa.string()),
        "source": pa.repeat(pa.scalar("alpaca/sip"), count),
        **more,
    }
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in TRADES]
    return pa.table(arrays, schema=TRADES)


def prepared(tmp_path: Path, table: pa.Table, name: str = "spool") -> tuple[PreparedFile, CoverageRow]:
    """A finished file of one partition, and the line that explains it."""
    key = PartitionKey(Symbol(table["symbol"][0].as_py()), table["session"][0].as_py())
    writer = EventWriter(tmp_path / f"{name}-{key.symbol}.parquet", Dataset.TRADES)
    sums = Accumulator(Dataset.TRADES)
    for at in range(0, table.num_rows, ROW_GROUP_ROWS):
        writer.write(table.slice(at, ROW_GROUP_ROWS))
        sums.add(table.slice(at, ROW_GROUP_ROWS))
    writer.close()
    source = table["source"][0].as_py()
    line = CoverageRow(
        Dataset.TRADES, key.symbol, key.session, PartitionState.PRESENT, "", source,
        row_count=table.num_rows, fingerprint=sums.fingerprint,
    )  # fmt: skip
    return PreparedFile(writer.path, Dataset.TRADES, key, table.num_rows, source), line


def put(lake: Lake, tmp_path: Path, *tables: pa.Table, **more: Any) -> None:
    """Commit ``tables`` as finished files."""
    made = [prepared(tmp_path, table) for table in tables]
    files, lines = zip(*made, strict=True)
    lake.commit(CommitBatch("run", 1, {}, lines, files=files, **more))


def ask(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with contextlib.closing(lake.connect()) as connection:
        return connection.execute(sql).fetchall()


def test_finished_files_are_taken_over(lake: Lake, tmp_path: Path) -> None:
    """They move into the lake; each partition has a file of its own, and verifies."""
    put(lake, tmp_path, trades(200_000), trades(5, "IBM"))
    assert list(tmp_path.glob("*.parquet")) == []
    assert ask(lake, "SELECT symbol, count(*) FROM trades GROUP BY 1 ORDER BY 1") == [
        ("AAPL", 200_000),
        ("IBM", 5),
    ]
    assert len(list((tmp_path / "lake").rglob("2024-06/*.parquet"))) == 2
    assert lake.verify(deep=True) == []
    assert lake.status().rows > 200_000


def test_a_replacement_drops_the_old_file(lake: Lake, tmp_path: Path) -> None:
    """Of its own partition alone."""
    put(lake, tmp_path, trades(1000), trades(5, "IBM"))
    key = PartitionKey(Symbol("AAPL"), DAY)
    put(lake, tmp_path, trades(1200), replaces=frozenset({(Dataset.TRADES, key)}))
    assert ask(lake, "SELECT symbol, count(*) FROM trades GROUP BY 1 ORDER BY 1") == [
        ("AAPL", 1200),
        ("IBM", 5),
    ]
    assert lake.verify(deep=True) == []


def test_spans_are_written_with_their_files(lake: Lake, tmp_path: Path) -> None:
    """In the same commit."""
    key = PartitionKey(Symbol("AAPL"), DAY)
    put(lake, tmp_path, trades(3), spans=[Span(Dataset.TRADES, key, 1, 2, "alpaca/sip", "present")])
    lines = ask(lake, "SELECT dataset, symbol, session, start_ns, end_ns, source, state, reason FROM spans")
    assert lines == [("trades", "AAPL", DAY, 1, 2, "alpaca/sip", "present", "")]


def test_a_file_must_be_explained(lake: Lake, tmp_path: Path) -> None:
    """Counts that differ, another lake's source, the same rows in a table too: nothing is published."""
    file, line = prepared(tmp_path, trades(10))
    table = trades(10)
    for files, lines, tables, wrong in [
        ([file], [replace(line, row_count=9)], {}, "coverage says 9"),
        ([file], [], {}, "coverage says nothing"),
        ([file], [line], {Dataset.TRADES: table}, "in a table and in a file"),
    ]:
        with pytest.raises(DataError, match=wrong):
            lake.commit(CommitBatch("run", 1, tables, lines, files=files))
    with pytest.raises(LakeError, match="synthetic"):
        lake.commit(CommitBatch("run", 1, {}, [line], files=[replace(file, source="sandbox:alpaca")]))
    assert ask(lake, "SELECT count(*) FROM trades") == [(0,)]
    assert file.path.exists()


def test_times_prices_and_identities_are_deltas(lake: Lake, tmp_path: Path) -> None:
    """In pages of a row group's size, compressed, with checksums: a few bytes a trade."""
    put(lake, tmp_path, trades(200_000))
    (path,) = (tmp_path / "lake").rglob("2024-06/*.parquet")
    meta = pq.read_metadata(path)
    group = meta.row_group(0)
    assert group.num_rows == ROW_GROUP_ROWS
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    for name in ("ts_event", "ordinal", "price"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings, name
    assert "DELTA_BYTE_ARRAY" in columns["trade_id"].encodings
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert path.stat().st_size / 200_000 < 8


def test_microseconds_are_floored(lake: Lake, tmp_path: Path) -> None:
    """The last nanosecond of a minute stays in it."""
    last = OPEN + 60 * 10**9 - 1
    put(lake, tmp_path, trades(1, ts_event=pa.array([last])))
    found = ask(lake, "SELECT epoch_us(ts), minute(ts), ts_event FROM trades")
    assert found == [(last // 1000, 30, last)]


def test_a_correction_is_not_valid(lake: Lake, tmp_path: Path) -> None:
    """Null is valid, any word is not."""
    put(lake, tmp_path, trades(3, correction=pa.array([None, "canceled", "corrected"])))
    assert ask(lake, "SELECT valid FROM trades ORDER BY ordinal") == [(True,), (False,), (False,)]


def test_sums_by_pieces_are_the_whole_s_fingerprint() -> None:
    """Whatever the pieces and their order; ordinals and capture times do not count."""
    whole = trades(100_000)
    expected = fingerprints(Dataset.TRADES, whole)
    sums = Accumulator(Dataset.TRADES)
    for at in (70_000, 0, 30_000):
        sums.add(whole.slice(at, 30_000 if at != 30_000 else 40_000))
    assert {PartitionKey(Symbol("AAPL"), DAY): sums.fingerprint} == expected
    assert sums.rows == 100_000
    captured = trades(
        100_000, ordinal=pa.array(np.arange(100_000)[::-1]), ts_recv=pa.array(np.arange(100_000))
    )
    assert fingerprints(Dataset.TRADES, captured) == expected
    assert Accumulator(Dataset.TRADES).fingerprint == ""


@pytest.mark.parametrize(
    "column", ["ts_event", "price", "size", "venue", "trade_id", "correction", "conditions"]
)
def test_every_fact_counts(column: str) -> None:
    """One value of one row changed is another content."""
    table = trades(3)
    kind = TRADES.field(column).type
    values = table[column].to_pylist()
    values[1] = {"ts_event": OPEN, "price": Decimal(7), "size": Decimal(7)}.get(column, "x")
    at = table.column_names.index(column)
    changed = table.set_column(at, TRADES.field(column), pa.array(values, kind))
    assert fingerprints(Dataset.TRADES, changed) != fingerprints(Dataset.TRADES, table)


def test_an_identity_counts_as_its_text() -> None:
    """Numbers, numbers with a leading zero, and words are all different, alone or among others."""
    key = PartitionKey(Symbol("AAPL"), DAY)

    def of(*ids: str | None) -> str:
        return fingerprints(Dataset.TRADES, trades(len(ids), trade_id=pa.array(ids, pa.string())))[key]

    assert len({of("7"), of("07"), of("7a"), of("+7"), of("17"), of(None), of("")}) == 7
    assert of("7", "x") != of("8", "x")
    apart = Accumulator(Dataset.TRADES)
    both = trades(2, trade_id=pa.array(["7", "x"]))
    apart.add(both.slice(0, 1))
    apart.add(both.slice(1, 1))
    assert apart.fingerprint == of("7", "x")
    assert of(str(2**64 - 1)) != of(str(2**64))


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    """Also half-way through."""
    writer = EventWriter(tmp_path / "x.parquet", Dataset.TRADES)
    writer.write(trades(10))
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_another_disk_s_file_is_copied(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a move is impossible the bytes are copied, and durable all the same."""
    real = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.parent == tmp_path:
            raise OSError(18, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", across)
    put(lake, tmp_path, trades(10))
    assert ask(lake, "SELECT count(*) FROM trades") == [(10,)]


def test_quotes_have_their_table_too(lake: Lake) -> None:
    """Empty, with its columns and instants."""
    assert ask(lake, "SELECT bid_price, ask_size, ts FROM quotes") == []
    assert SCHEMAS[Dataset.QUOTES] == QUOTES
