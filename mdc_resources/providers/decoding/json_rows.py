"""Rows of a JSON document whose numbers are exact, read a column at a time.

A row is an array or an object; a column is a position or a key. A cell that is not what its column
promises is an error of its row, never of the page, and never becomes a float or a guess.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import NumberText, load_exact
from mdc_resources.providers.decoding.numbers import Numbers, read_one, read_texts
from mdc_resources.providers.decoding.sessions import SessionColumns, date_of
from mdc_resources.providers.spec import Dialect
from mdc_resources.schema.arrow import SIZE

_LARGEST = 2**63 - 1
_SHOWN = 40
_FAST = msgspec.json.Decoder(float_hook=NumberText)


def load_rows(body: bytes, *, provider: str) -> Any:
    """Parse ``body``: whole numbers as int, others as :class:`NumberText`; raises PayloadError.

    What the fast parser refuses (a NaN, a byte order mark, broken text) is read by the forgiving one,
    to which every number is :class:`NumberText`.
    """
    try:
        return _FAST.decode(body)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return load_exact(body, provider=provider)


def number_text(cell: object) -> str | None:
    """The text of a JSON number; None for anything else (true and false are no numbers)."""
    if type(cell) is int:
        return str(cell)
    return cell if isinstance(cell, NumberText) else None


class JsonRows:
    """Rows as received; ``errors`` gathers the first thing that is wrong with each."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.errors: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def raw(self, row: int) -> str:
        """One row as received."""
        return json.dumps(self.rows[row])

    def good(self) -> npt.NDArray[np.intp]:
        """Rows without an error so far."""
        good = np.ones(len(self.rows), bool)
        good[list(self.errors)] = False
        return np.flatnonzero(good)

    def readable(self, provider: str) -> npt.NDArray[np.intp]:
        """:meth:`good`, once the times are read: PayloadError where there are rows, and none of them is."""
        found = self.good()
        if len(self.rows) and not len(found):
            raise PayloadError(
                f"{provider} sent {len(self.rows)} rows of which none can be read: {self.errors[0]}",
                provider=provider,
            )
        return found

    def column(self, at: int | str) -> list[Any]:
        """The cells at position or key ``at``; None where the row has none."""
        return [self._cell(number, row, at) for number, row in enumerate(self.rows)]

    def decimals(
        self, at: int | str, kind: pa.Decimal128Type, *, quoted: bool, derived: bool = False
    ) -> Numbers:
        """A column of decimals: JSON strings where ``quoted``, else JSON numbers; null stays null."""
        wanted = "text" if quoted else "a JSON number"
        errors: dict[int, str] = {}
        texts: list[str | None] = []
        for number, cell in enumerate(self.column(at)):
            if quoted:
                text = cell if isinstance(cell, str) and not isinstance(cell, NumberText) else None
            else:
                text = number_text(cell)
            if cell is not None and text is None:
                errors[number] = f"{str(cell)[:_SHOWN]!a} is not {wanted}"
            texts.append(text)
        found = read_texts(pa.array(texts, pa.string()), kind, derived=derived)
        return Numbers(found.values, {**found.errors, **errors}, found.rounded)

    def integers(self, at: int | str) -> npt.NDArray[np.int64]:
        """A column of whole JSON numbers, exact up to 64 bits; what is none is its row's error."""
        found = np.zeros(len(self.rows), np.int64)
        for number, cell in enumerate(self.column(at)):
            try:
                value = cell if type(cell) is int else _whole(cell)
                if abs(value) > _LARGEST:
                    raise ValueError("too large")
                found[number] = value
            except ValueError:
                self.errors.setdefault(number, f"{at}: {str(cell)[:_SHOWN]!a} is not a whole number")
        return found

    def doubles(self, at: int | str) -> list[float | None]:
        """A column of statistics, text or number; None where it is neither."""
        found: list[float | None] = []
        for cell in self.column(at):
            try:
                text = cell if isinstance(cell, str) else number_text(cell)
                found.append(None if text is None else float(read_one(text, SIZE, derived=True)[0]))
            except ValueError:
                found.append(None)
        return found

    def _cell(self, number: int, row: Any, at: int | str) -> Any:
        if isinstance(at, int):
            if isinstance(row, list) and len(row) > at:
                return row[at]
            self.errors.setdefault(number, f"{str(row)[:_SHOWN]!a} is not a row of {at + 1} cells or more")
        elif isinstance(row, dict):
            return row.get(at)
        else:
            self.errors.setdefault(number, f"{str(row)[:_SHOWN]!a} is not an object")
        return None


def unseen(table: pa.Table, sessions: SessionColumns) -> set[dt.date]:
    """Sessions without a row: what a row that lacks its time may have belonged to."""
    seen = set(table.column("session").to_pylist())
    return {date_of(day) for day in sessions.days.tolist()} - seen


def untold(request: FetchRequest, dialect: Dialect) -> tuple[tuple[Symbol, dt.date], ...]:
    """All partitions of a request: what a trade that lacks its time may have belonged to."""
    sessions = dialect.calendar.sessions(request.start, request.end)
    return tuple((symbol, session) for symbol in request.symbols for session in sessions)


def _whole(cell: object) -> int:
    """``1.6e+9`` as an integer; ValueError where it is none, or no JSON number."""
    text = number_text(cell)
    if text is None:
        raise ValueError("no JSON number")
    value, _ = read_one(text, SIZE)
    if value != int(value):
        raise ValueError("not whole")
    return int(value)
