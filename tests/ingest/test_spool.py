"""The spool of one partition: pages in, one sorted file out, whatever their order and their edges."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.events import Stream
from mdc_resources.ingest.spool import Spool, sweep
from mdc_resources.lake import fingerprints
from mdc_resources.providers.spec import Page, Rejected
from mdc_resources.schema.arrow import TRADES

KEY = PartitionKey(Symbol("AAPL"), dt.date(2024, 3, 8))
SOURCE = "sandbox:alpaca/sip"


def page(times: Sequence[int], ids: Sequence[str | None] | None = None, **more: Any) -> pa.Table:
    """A page of trades at ``times``; the ids are the times unless given."""
    count = len(times)
    columns: dict[str, Any] = {
        "symbol": ["AAPL"] * count,
        "session": [KEY.session] * count,
        "ts_event": list(times),
        "ordinal": range(count),
        "price": [Decimal(100)] * count,
        "size": [Decimal(10)] * count,
        "venue": ["Q"] * count,
        "trade_id": [str(time) for time in times] if ids is None else list(ids),
        "source": ["alpaca/sip"] * count,
        **more,
    }
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in TRADES]
    return pa.table(arrays, schema=TRADES)


def spool(tmp_path: Path, *pages: pa.Table) -> tuple[Spool, pa.Table | None]:
    """A spool that took ``pages``, and what its file holds."""
    made = Spool(tmp_path, Dataset.TRADES, KEY, SOURCE, attempt=3)
    for each in pages:
        made.add(each)
    finished = made.finish()
    if finished is None:
        return made, None
    table = pq.read_table(finished.file.path, partitioning=None).cast(TRADES)
    assert table.num_rows == finished.file.rows
    assert fingerprints(Dataset.TRADES, table) == {KEY: finished.fingerprint}
    return made, table


def test_pages_become_one_file(tmp_path: Path) -> None:
    """In their order, ordinals counted on, every row of the one source."""
    made, table = spool(tmp_path, page([1, 2, 2]), page([3, 4]), page([5]))
    assert table is not None
    assert table["ts_event"].to_pylist() == [1, 2, 2, 3, 4, 5]
    assert table["ordinal"].to_pylist() == list(range(6))
    assert set(table["source"].to_pylist()) == {SOURCE}
    assert (made.rows, made.repeated, made.bad) == (6, 0, [])
    assert len(list(tmp_path.iterdir())) == 1


def test_row_groups_have_their_size(tmp_path: Path) -> None:
    """Full ones however the pages were cut, and one rest."""
    steps = np.arange(300_000)
    _, table = spool(tmp_path, *(page(steps[at : at + 30_000].tolist()) for at in range(0, 300_000, 30_000)))
    assert table is not None
    assert (np.diff(table["ts_event"].to_numpy()) == 1).all()
    (path,) = tmp_path.iterdir()
    meta = pq.read_metadata(path)
    assert [meta.row_group(at).num_rows for at in range(meta.num_row_groups)] == [131_072, 131_072, 37_856]


def test_what_a_page_repeats_of_the_last_is_one_row(tmp_path: Path) -> None:
    """A cursor that includes its own row, or its own nanosecond: dropped once and counted."""
    made, table = spool(
        tmp_path,
        page([1, 2, 2], ["a", "b", "c"]),
        page([2, 2, 3], ["c", "d", "e"]),
        page([3, 4], ["e", "f"]),
    )
    assert table is not None
    assert table["trade_id"].to_pylist() == ["a", "b", "c", "d", "e", "f"]
    assert made.repeated == 2
    assert table["ordinal"].to_pylist() == sorted(set(table["ordinal"].to_pylist()))


def test_equal_rows_without_an_identity_are_all_kept(tmp_path: Path) -> None:
    """Nothing says that they are one."""
    made, table = spool(tmp_path, page([1, 2], [None, None]), page([2, 3], [None, None]))
    assert table is not None
    assert (table.num_rows, made.repeated) == (4, 0)


def test_another_venue_s_number_is_another_trade(tmp_path: Path) -> None:
    """Identities count within a venue."""
    _, table = spool(tmp_path, page([1, 2], ["a", "b"]), page([2, 3], ["b", "c"], venue=["P", "P"]))
    assert table is not None
    assert table.num_rows == 4


def test_one_identity_told_in_two_ways_spoils_the_partition(tmp_path: Path) -> None:
    """Across a page's edge as within a page: nothing is stored, the row says why."""
    made, table = spool(tmp_path, page([1, 2], ["a", "b"]), page([2, 3], ["b", "c"], price=[Decimal(9)] * 2))
    assert table is None
    assert [row.reason for row in made.bad] == ["two different trades with one identity"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [10, 200_000], ids=["few", "many"])
def test_pages_out_of_order_are_sorted_on_disk(tmp_path: Path, count: int) -> None:
    """By time, and within one instant by arrival; the fingerprint is the same as in order."""
    early, late = list(range(count)), list(range(count, 2 * count))
    _, sorted_rows = spool(tmp_path / "one", page(early), page(late))
    _, table = spool(tmp_path / "two", page(late), page(early))
    assert table is not None
    assert sorted_rows is not None
    assert table["ts_event"].to_pylist() == early + late
    assert table["ordinal"].to_pylist() == [*range(count, 2 * count), *range(count)]
    assert fingerprints(Dataset.TRADES, table) == fingerprints(Dataset.TRADES, sorted_rows)
    assert len(list((tmp_path / "two").glob("*.parquet"))) == 1


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"price": [Decimal(1), Decimal(0)]}, "price is not above zero"),
        ({"price": [Decimal(1), Decimal(-1)]}, "price is not above zero"),
        ({"size": [Decimal(1), Decimal(-1)]}, "size is negative"),
        ({"side": ["buy", "long"]}, "side is neither buy nor sell"),
    ],
)
def test_a_row_that_breaks_a_rule_spoils_the_partition(
    tmp_path: Path, columns: dict[str, Any], rule: str
) -> None:
    """It is named with its values; a size of 0 and a known side are fine."""
    made, table = spool(tmp_path, page([1, 2], **columns))
    assert table is None
    assert [(row.key, row.reason) for row in made.bad] == [(KEY, rule)]
    assert '"trade_id": "2"' in made.bad[0].raw
    assert spool(tmp_path, page([1, 2], size=[Decimal(0)] * 2, side=["buy", "sell"]))[1] is not None


def test_nothing_is_no_file(tmp_path: Path) -> None:
    """An empty answer leaves nothing behind."""
    made, table = spool(tmp_path, page([]), page([]))
    assert (made.rows, table) == (0, None)
    assert list(tmp_path.iterdir()) == []


def test_a_rejected_row_spoils_the_partition(tmp_path: Path) -> None:
    """Also one that says neither symbol nor session: there is only one it can belong to."""
    stream = Stream(Spool(tmp_path, Dataset.TRADES, KEY, SOURCE))
    stream.take(Page({Dataset.TRADES: page([1, 2])}))
    stream.take(Page({Dataset.TRADES: page([3])}, rejected=(Rejected(None, None, "unreadable", "{}"),)))
    assert stream.spoiled
    finished = stream.finish()
    assert finished.spooled is None
    assert [(row.key, row.reason) for row in finished.bad] == [(KEY, "unreadable")]
    assert list(tmp_path.iterdir()) == []


def test_a_page_may_say_that_it_is_cut_short(tmp_path: Path) -> None:
    """What the provider calls incomplete is not complete."""
    stream = Stream(Spool(tmp_path, Dataset.TRADES, KEY, SOURCE))
    stream.take(Page({Dataset.TRADES: page([1, 2])}, incomplete=((KEY.symbol, KEY.session),)))
    assert stream.finish().incomplete


def test_only_the_dead_are_swept(tmp_path: Path) -> None:
    """Spools of attempts that are under way stay."""
    for attempt in (3, 4):
        made = Spool(tmp_path, Dataset.TRADES, KEY, SOURCE, attempt=attempt)
        made.add(page([1]))
        made.finish()
    sweep(tmp_path, [4])
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["4"]
    sweep(tmp_path / "absent", [])
