"""Rows of ``depth`` from one live book: what changed among its best levels, and snapshots of them.

A reader who starts at a ``snapshot_begin`` and applies ``set`` and ``delete`` in order holds the best
levels of the book after each update, no more and no less. A snapshot is written where the book
becomes valid, at the first row of each session and of each hour, so that reading can start there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mdc_resources.books import Book, Change, Rule
from mdc_resources.books.ladder import is_zero, scaled

Level = tuple[str, str]
Row = tuple[str | None, str | None, str | None, str]  # side, price, size, action
BEGIN: Row = (None, None, None, "snapshot_begin")
INVALID: Row = (None, None, None, "invalid")
HOUR_NS = 3600 * 10**9
_SIDES = (("bid", 1), ("ask", -1))


class BookState(msgspec.Struct):
    """A book as it is kept between segments; without levels where it was not valid."""

    valid: bool
    bids: list[Level]
    asks: list[Level]
    sequence: int | None
    clock: int
    until: int


class BookRows:
    """One connection's book of one symbol. ``clock`` never goes back: a late update is of now.

    ``until`` is when the next snapshot is due. ``waiting`` counts updates held for a snapshot.
    """

    def __init__(self, levels: int, rule: Rule) -> None:
        self.book = Book(levels, rule)
        self.levels = levels
        self.clock = 0
        self.until = 0
        self.waiting = 0
        self._shown: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self._worst: list[int | None] = [None, None]

    def snapshot(
        self, bids: Sequence[Level], asks: Sequence[Level], *, sequence: int | None, checksum: int | None
    ) -> Change:
        """Begin anew; the rows are those of :meth:`whole` if the book is valid then."""
        change = self.book.apply_snapshot(bids, asks, sequence=sequence, checksum=checksum)
        self.waiting = 0
        return change

    def delta(
        self,
        bids: Sequence[Level],
        asks: Sequence[Level],
        *,
        first: int | None,
        last: int | None,
        previous: int | None,
        checksum: int | None,
    ) -> Change:
        """Apply an update; its rows are those of :meth:`changed` if it was applied."""
        change = self.book.apply_delta(
            bids, asks, first=first, last=last, previous=previous, checksum=checksum
        )
        self.waiting += not self.book.valid
        return change

    def whole(self) -> list[Row]:
        """A snapshot of the best levels."""
        rows = [BEGIN]
        for at, (levels, (side, sign)) in enumerate(zip(self.book.top(self.levels), _SIDES, strict=True)):
            shown = self._shown[at]
            shown.clear()
            for level in levels:
                shown[sign * scaled(level[0])] = level
                rows.append((side, *level, "set"))
            self._worst[at] = min(shown) if len(shown) >= self.levels else None
        return rows

    def changed(self, bids: Sequence[Level], asks: Sequence[Level]) -> list[Row]:
        """What the update just applied changed among the best levels."""
        rows: list[Row] = []
        for at, levels in enumerate((bids, asks)):
            if levels and self._touched(at, levels, rows):
                self._compare(at, rows)
        return rows

    def _touched(self, at: int, levels: Sequence[Level], rows: list[Row]) -> bool:
        """Write plain changes of size; True if levels came into sight or left it."""
        shown, worst = self._shown[at], self._worst[at]
        side, sign = _SIDES[at]
        moved = False
        for level in levels:
            key = sign * scaled(level[0])
            if key in shown:
                if is_zero(level[1]):
                    moved = True
                elif shown[key] != level:
                    shown[key] = level
                    rows.append((side, *level, "set"))
            elif (worst is None or key > worst) and not is_zero(level[1]):
                moved = True
        return moved

    def _compare(self, at: int, rows: list[Row]) -> None:
        shown = self._shown[at]
        side, sign = _SIDES[at]
        now = {sign * scaled(level[0]): level for level in self.book.top(self.levels)[at]}
        rows.extend((side, level[0], "0", "delete") for key, level in shown.items() if key not in now)
        rows.extend((side, *level, "set") for key, level in now.items() if shown.get(key) != level)
        shown.clear()
        shown.update(now)
        self._worst[at] = min(now) if len(now) >= self.levels else None

    def kept(self) -> BookState | None:
        """The state to go on from; None where updates wait, which cannot be kept."""
        if self.waiting:
            return None
        valid = self.book.valid
        bids, asks = self.book.levels() if valid else ((), ())
        return BookState(valid, list(bids), list(asks), self.book.sequence, self.clock, self.until)

    def restore(self, state: BookState) -> None:
        """Go on from ``state``."""
        self.clock, self.until = state.clock, state.until
        if state.valid:
            self.book.apply_snapshot(state.bids, state.asks, sequence=state.sequence)
            self.whole()
