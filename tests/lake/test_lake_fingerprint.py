"""Fingerprints: equal content, equal hash; any change of content, another hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import action, actions, bars, day, key

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import fingerprints
from mdc_resources.schema.arrow import BARS, PROVENANCE, empty

MINUTES = Dataset.BARS_1M
ONE = key("AAPL", 0)


def mark(table: pa.Table) -> str:
    """The fingerprint of the only partition of ``table``."""
    (found,) = fingerprints(MINUTES, table).values()
    return found


def changed(column: str, value: object) -> pa.Table:
    """One partition whose second row has another value in ``column``."""
    rows = bars("AAPL", [day(0)]).to_pylist()
    rows[1][column] = value
    return pa.Table.from_pylist(rows, schema=BARS)


def by_the_book(rows: list[dict[str, object]]) -> str:
    """The fingerprint written out in plain integers, as an answer the vectorised code did not produce."""
    limit = 2**64

    def seed(*parts: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(b"\x00".join(parts), digest_size=8).digest(), "little")

    def mix(word: int) -> int:
        word = (word + 0x9E3779B97F4A7C15) % limit
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % limit
        word = (word ^ word >> 27) * 0x94D049BB133111EB % limit
        return word ^ word >> 31

    def words(name: str, value: object, lane: bytes) -> list[int]:
        if isinstance(value, bool):
            return [int(value)]
        if isinstance(value, str):
            return [seed(value.encode(), lane, b"value")]
        if isinstance(value, float):
            return [int.from_bytes(struct.pack("<d", value), "little")]
        if isinstance(value, dt.datetime):
            return [int((value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))]
        if isinstance(value, Decimal):
            scale = 8 if name == "volume" else 9
            units = int(value.scaleb(scale)) % 2**128
            return [units % limit, units >> 64] if name == "volume" else [units % limit]
        assert isinstance(value, int)
        return [value % limit]

    sums = []
    for lane in (b"a", b"b"):
        total = 0
        for row in rows:
            data = {
                k: v for k, v in row.items() if k not in {"symbol", "session", *PROVENANCE} and v is not None
            }
            total += mix(
                sum(
                    mix(word ^ seed(name.encode(), lane, bytes([part])))
                    for name, value in data.items()
                    for part, word in enumerate(words(name, value, lane))
                )
                % limit
            )
        sums.append((total % limit).to_bytes(8, "little"))
    return (
        "f1-" + hashlib.blake2b(b"".join(sums) + len(rows).to_bytes(8, "little"), digest_size=16).hexdigest()
    )


def test_a_known_fingerprint_never_changes() -> None:
    """The value is part of the format: a rebuild years later must give the same."""
    assert mark(bars("AAPL", [day(0)])) == "f1-b888ccf0b961212d49b38d140728b670"


def test_fingerprints_are_what_the_format_says() -> None:
    """Big volumes, nulls and negative prices included."""
    rows = bars("AAPL", [day(0)]).to_pylist()
    rows[0] |= {
        "volume": Decimal("-99999999999999999999.12345678"),
        "low": Decimal("-1.5"),
        "trade_count": -3,
    }
    rows[1] |= {"volume": None, "trade_count": None, "vwap": None, "exact": False}
    assert mark(pa.Table.from_pylist(rows, schema=BARS)) == by_the_book(rows)


def test_no_rows_no_fingerprints() -> None:
    """An empty table has no partitions."""
    assert fingerprints(MINUTES, empty(MINUTES)) == {}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", Decimal("100.260000001")),
        ("volume", Decimal("1200.50000001")),
        ("volume", Decimal("99999999999999999999.5")),
        ("volume", None),
        ("trade_count", 13),
        ("trade_count", None),
        ("vwap", 100.25000000000001),
        ("ts", dt.datetime(2024, 1, 2, 14, 31, 0, 1, tzinfo=dt.UTC)),
        ("basis", "split"),
        ("exact", False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_every_data_column_counts(column: str, value: object) -> None:
    """One changed value, however small, changes the fingerprint."""
    assert mark(changed(column, value)) != mark(bars("AAPL", [day(0)]))


@pytest.mark.parametrize(("column", "value"), [("source", "yahoo"), ("basis_asof", dt.date(2030, 1, 1))])
def test_provenance_does_not_count(column: str, value: object) -> None:
    """Where and when rows came from is not their content."""
    assert column in PROVENANCE
    assert mark(changed(column, value)) == mark(bars("AAPL", [day(0)]))


def test_negative_zero_is_zero() -> None:
    """Two floats that compare equal hash equally."""
    assert mark(changed("vwap", -0.0)) == mark(changed("vwap", 0.0))


def test_columns_do_not_stand_in_for_each_other() -> None:
    """Swapping high and low is another content."""
    table = bars("AAPL", [day(0)])
    at, other = table.schema.get_field_index("high"), table.schema.get_field_index("low")
    swapped = table.set_column(at, table.schema.field(at), table.column("low")).set_column(
        other, table.schema.field(other), table.column("high")
    )
    assert mark(swapped) != mark(table)


def test_a_row_twice_is_not_the_row_once() -> None:
    """The hash is of a multiset."""
    table = bars("AAPL", [day(0)])
    twice = pa.concat_tables([table, table.slice(0, 1)])
    thrice = pa.concat_tables([table, table.slice(0, 1), table.slice(0, 1)])
    assert len({mark(table), mark(twice), mark(thrice)}) == 3


def test_partitions_are_independent() -> None:
    """A partition hashes the same alone and among others."""
    alone = fingerprints(MINUTES, bars("AAPL", [day(0)]))
    among = fingerprints(
        MINUTES, pa.concat_tables([bars("MSFT", [day(0)], close="3"), bars("AAPL", [day(0), day(1)])])
    )
    assert among[ONE] == alone[ONE]
    assert set(among) == {key("MSFT", 0), key("AAPL", 0), key("AAPL", 1)}


def test_symbol_and_session_are_the_key_not_the_content() -> None:
    """The same actions under two symbols hash alike: only the partition differs."""
    rows = actions(
        action("AAPL", day(0), "dividend", amount=Decimal("0.24")),
        action("MSFT", day(0), "dividend", amount=Decimal("0.24")),
    )
    assert len(set(fingerprints(Dataset.CORPORATE_ACTIONS, rows).values())) == 1


def test_null_and_zero_differ() -> None:
    """An unknown volume is not a volume of zero."""
    assert mark(changed("volume", None)) != mark(changed("volume", Decimal(0)))


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(12)), cuts=st.sets(st.integers(1, 11)))
def test_order_and_chunks_do_not_count(order: list[int], cuts: set[int]) -> None:
    """Any permutation, in any chunking, has the same fingerprints."""
    table = pa.concat_tables(
        [bars("AAPL", [day(0), day(1)]), bars("BRK.B", [day(0)]), bars("MSFT", [day(5)])]
    )
    shuffled = table.take(order)
    bounds = [0, *sorted(cuts), 12]
    chunked = pa.concat_tables([shuffled.slice(a, b - a) for a, b in pairwise(bounds)])
    assert fingerprints(MINUTES, chunked) == fingerprints(MINUTES, table)


@settings(max_examples=100, deadline=None)
@given(
    closes=st.lists(
        st.decimals("-999999999", "999999999", places=9, allow_nan=False), min_size=2, max_size=8, unique=True
    )
)
def test_different_prices_differ(closes: list[Decimal]) -> None:
    """Distinct contents have distinct fingerprints (negative prices included)."""
    rows = bars("AAPL", [day(0)], per=1).to_pylist()
    tables = [pa.Table.from_pylist([{**rows[0], "close": close}], schema=BARS) for close in closes]
    assert len({mark(table) for table in tables}) == len(closes)


def test_dates_before_1970_are_partitions_too() -> None:
    """A session before the epoch keeps its date."""
    old = dt.date(1962, 1, 2)
    assert list(fingerprints(MINUTES, bars("IBM", [old]))) == [PartitionKey(Symbol("IBM"), old)]
