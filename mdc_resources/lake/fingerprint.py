"""Content hash of a partition: equal rows give equal hashes, in whatever order they come.

Each row is reduced to two 64-bit words (every column mixed with a seed made from its name), rows
are added up modulo 2^64, and the two sums and the row count are hashed. Data columns and ``basis``
count; where and when rows came from does not (``schema.arrow.PROVENANCE``). A null adds nothing,
so a new nullable column leaves old fingerprints valid. Detects accidents and restatements; it is
no defence against someone who constructs collisions.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.schema.arrow import PROVENANCE, schema_of

PREFIX = "f1-"
Words = npt.NDArray[np.uint64]
_LANES = (b"a", b"b")
_EPOCH = dt.date(1970, 1, 1)
_KEYS = frozenset({"symbol", "session"})
# Texts that seldom repeat. Where they are whole numbers, as most are, they are hashed as such.
_IDENTITIES = frozenset({"trade_id"})
_CHUNK = 32_768  # rows at a time, so that the many passes over them stay in the cache
_MASK = (1 << 64) - 1


def fingerprints(dataset: Dataset, table: pa.Table) -> dict[PartitionKey, str]:
    """Fingerprint of every partition in ``table`` (canonical schema of ``dataset``)."""
    if table.num_rows == 0:
        return {}
    table = table.combine_chunks()
    symbols, names = _codes(table.column("symbol"))
    days = _int32_days(table.column("session"))
    code = symbols.astype(np.int64) * (1 << 32) + days
    order, starts = _groups(code)
    lanes = [np.add.reduceat(words[order], starts) for words in _row_words(dataset, table)]
    counts = np.diff(np.append(starts, len(code)))
    found: dict[PartitionKey, str] = {}
    for at, start in enumerate(starts):
        row = order[start]
        key = PartitionKey(Symbol(names[symbols[row]]), _date(int(days[row])))
        found[key] = _named((int(lane[at]) for lane in lanes), int(counts[at]))
    return found


def by_partition(table: pa.Table) -> Iterator[tuple[PartitionKey, pa.Table]]:
    """``table`` cut into its partitions; the whole of it where it holds one."""
    keys = table.select(["symbol", "session"]).group_by(["symbol", "session"]).aggregate([])
    pairs = list(zip(keys["symbol"].to_pylist(), keys["session"].to_pylist(), strict=True))
    for symbol, session in pairs:
        mine = pc.and_(pc.equal(table["symbol"], symbol), pc.equal(table["session"], pa.scalar(session)))
        yield PartitionKey(Symbol(symbol), session), table if len(pairs) == 1 else table.filter(mine)


class Accumulator:
    """The fingerprint of one partition whose rows come in pieces, in any order."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._sums = [0 for _ in _LANES]
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Count in the rows of ``table`` (canonical schema), all of the one partition."""
        for start in range(0, table.num_rows, _CHUNK):
            piece = table.slice(start, _CHUNK).combine_chunks()
            for at, words in enumerate(_row_words(self._dataset, piece)):
                self._sums[at] = (self._sums[at] + int(np.add.reduce(words))) & _MASK
        self.rows += table.num_rows

    @property
    def sums(self) -> tuple[int, ...]:
        """What was added up so far, to go on from with :meth:`resume`."""
        return tuple(self._sums)

    def resume(self, rows: int, sums: Iterable[int]) -> None:
        """Go on where another one of the same dataset had come to."""
        self._sums, self.rows = list(sums), rows

    @property
    def fingerprint(self) -> str:
        """What :func:`fingerprints` says of all rows so far; empty without rows."""
        return _named(self._sums, self.rows) if self.rows else ""


def _named(sums: Iterable[int], rows: int) -> str:
    payload = b"".join(int(word).to_bytes(8, "little") for word in (*sums, rows))
    return PREFIX + hashlib.blake2b(payload, digest_size=16).hexdigest()


def _groups(code: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row order in which equal codes are adjacent, and where each group starts."""
    ordered = np.all(code[1:] >= code[:-1])
    order = np.arange(len(code)) if ordered else np.argsort(code, kind="stable")
    grouped = code[order]
    return order, np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1]))


def _row_words(dataset: Dataset, table: pa.Table) -> list[Words]:
    """One 64-bit word per row and lane."""
    totals = [np.zeros(table.num_rows, np.uint64) for _ in _LANES]
    for field in schema_of(dataset):
        if field.name in PROVENANCE or field.name in _KEYS:
            continue
        column = table.column(field.name)
        if column.null_count == len(column):
            continue
        words_of = _identity_words if field.name in _IDENTITIES else _column_words
        nulls = pc.is_null(column).to_numpy(zero_copy_only=False) if column.null_count else None
        for part, by_lane in enumerate(words_of(column)):
            for lane, words, total in zip(_LANES, by_lane, totals, strict=True):
                mixed = _mix(words ^ _seed(field.name.encode(), lane, bytes([part])))
                if nulls is not None:
                    mixed[nulls] = 0
                total += mixed
    return [_mix(total) for total in totals]


def _column_words(column: pa.ChunkedArray) -> Iterator[list[Words]]:
    """The values of ``column`` as one or two 64-bit words, for each lane; null slots hold anything."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        codes, names = _codes(column)
        yield [
            np.array([_seed(name.encode(), lane, b"value") for name in names] or [np.uint64(0)], np.uint64)[
                codes
            ]
            for lane in _LANES
        ]
        return
    for words in _plain_words(column):
        yield [words] * len(_LANES)


def _plain_words(column: pa.ChunkedArray) -> Iterator[Words]:
    """Values that are numbers; equal in all lanes."""
    kind = column.type
    array = pa.concat_arrays(column.chunks)
    if pa.types.is_decimal128(kind):
        words = np.frombuffer(array.buffers()[1], np.uint64)[
            2 * array.offset : 2 * (array.offset + len(array))
        ]
        yield words[0::2]
        if kind.precision > 18:
            yield words[1::2]
        return
    if pa.types.is_floating(kind):
        values = array.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 + 0.0 is 0.0
        yield values.astype(np.float64).view(np.uint64)
        return
    if pa.types.is_boolean(kind):
        yield array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint64)
        return
    if pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    yield array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)


def _identity_words(column: pa.ChunkedArray) -> Iterator[list[Words]]:
    """Like :func:`_column_words`, for texts that are nearly all different.

    The plain decimal of a 64-bit number stands for itself, any other text for its hash.
    """
    texts = pa.concat_arrays(column.chunks)
    try:
        numbers = texts.cast(pa.uint64())
        plain = pc.equal(numbers.cast(pa.string()), texts)
    except pa.ArrowInvalid:
        numbers, plain = None, pa.array([False])
    if numbers is not None and pc.all(plain).as_py() is not False:
        yield [numbers.fill_null(0).to_numpy(zero_copy_only=False)] * len(_LANES)
        return
    rows = texts.to_pylist()
    yield [
        np.fromiter((_identity_word(text, lane) for text in rows), np.uint64, len(rows)) for lane in _LANES
    ]


def _identity_word(text: str | None, lane: bytes) -> int:
    if text is None:
        return 0
    if text.isascii() and text.isdecimal() and (text[0] != "0" or text == "0") and int(text) <= _MASK:
        return int(text)
    return int(_seed(text.encode(), lane, b"value"))


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Dictionary codes of a text column and the distinct texts; a null has code 0."""
    encoded = pa.concat_arrays(column.cast(pa.string()).chunks).dictionary_encode()
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _int32_days(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    days: npt.NDArray[np.int32] = (
        pa.concat_arrays(column.chunks).cast(pa.int32()).to_numpy(zero_copy_only=False)
    )
    return days


def _date(days: int) -> dt.date:
    return _EPOCH + dt.timedelta(days=days)


def _seed(*parts: bytes) -> np.uint64:
    """A 64-bit constant that depends on ``parts`` and on nothing else, for ever."""
    digest = hashlib.blake2b(b"\x00".join(parts), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(words: Words) -> Words:
    """The splitmix64 finaliser, https://prng.di.unimi.it/splitmix64.c, on a whole array."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
