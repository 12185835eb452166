"""A live book of one symbol: snapshot, deltas, and whether it can be believed.

A book is invalid until its first snapshot, and again once its feed's rule breaks or it crosses; what
it holds then is not to be shown. Where updates are numbered, deltas that come while it is invalid are
kept (the newest 10,000) and applied to the next snapshot from its number on. No clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from mdc_resources.books.ladder import Ladder, Level
from mdc_resources.books.rules import Broken, Rule, kraken_checksum

WAITING = 10_000  # deltas kept for a snapshot that is on its way
_CHECKED = 10  # levels a side that Kraken's checksum covers


class Top(NamedTuple):
    """Levels as (price, size) in the vendor's text, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Change(NamedTuple):
    """What a snapshot or delta came to.

    Not ``applied`` and no ``reason``: it was old news, or waits for a snapshot. With a ``reason`` the
    book has just become invalid. ``cut_bids`` and ``cut_asks`` are prices that fell below the depth.
    """

    applied: bool
    reason: Broken | None = None
    detail: str = ""
    cut_bids: tuple[str, ...] = ()
    cut_asks: tuple[str, ...] = ()


class Delta(NamedTuple):
    """Absolute sizes at prices, and the updates they stand for."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    first: int | None = None
    last: int | None = None
    previous: int | None = None


_APPLIED = Change(True)
_IGNORED = Change(False)


class Book:
    """The book of one symbol, ``levels`` deep where its feed can be asked for a depth, else whole."""

    def __init__(self, levels: int, rule: Rule) -> None:
        self.wanted = levels
        self.rule = rule
        self.depth = rule.depth(levels)
        self.valid = False
        self.sequence: int | None = None
        self._bridged = False  # a delta has been applied since the snapshot
        self._bids, self._asks = Ladder(1), Ladder(-1)
        self._waiting: deque[Delta] = deque(maxlen=WAITING)

    def apply_snapshot(
        self,
        bids: Sequence[Level],
        asks: Sequence[Level],
        *,
        sequence: int | None = None,
        checksum: int | None = None,
    ) -> Change:
        """Begin anew with the whole book, and with what has waited for it.

        Raises ValueError for a price that is no number; the book is invalid then.
        """
        self.valid = False
        self._bids.replace(bids)
        self._asks.replace(asks)
        self.sequence, self._bridged = sequence, False
        change = self._settled(checksum)
        self.valid = change.applied
        return change if change.reason or not self.rule.sequenced else self._replayed(change)

    def apply_delta(
        self,
        bids: Sequence[Level],
        asks: Sequence[Level],
        *,
        first: int | None = None,
        last: int | None = None,
        previous: int | None = None,
        checksum: int | None = None,
    ) -> Change:
        """Take in absolute sizes; see :class:`Change`. Raises ValueError as :meth:`apply_snapshot` does."""
        if self.rule.sequenced:
            delta = Delta(bids, asks, first, last, previous)
            change = self._follow(delta) if self.valid else _IGNORED
            if not self.valid:
                self._waiting.append(delta)
            return change
        return self._change(bids, asks, checksum) if self.valid else _IGNORED

    def invalidate(self) -> None:
        """Believe nothing until the next snapshot: the connection was lost, or something in between."""
        self.valid = False
        self._waiting.clear()

    def top(self, count: int | None = None) -> Top:
        """The best ``count`` levels of each side, as many as wanted where it is left out."""
        count = self.wanted if count is None else count
        return Top(self._bids.top(count), self._asks.top(count))

    def levels(self) -> Top:
        """All that is held."""
        return Top(self._bids.top(len(self._bids)), self._asks.top(len(self._asks)))

    def _replayed(self, change: Change) -> Change:
        """``change`` after the deltas that waited; those from a break on wait for the next snapshot."""
        while self._waiting:
            done = self._follow(self._waiting[0])
            if done.reason:
                return done
            self._waiting.popleft()
        return change

    def _follow(self, delta: Delta) -> Change:
        """Apply ``delta`` if it is the next one, ignore it if it is old."""
        reached, last = self.sequence, delta.last
        if reached is None or last is None:
            return self._broken(Broken.SEQUENCE, "an update without a number")
        if last <= reached:
            return _IGNORED
        if delta.previous is not None:
            fits = delta.previous == reached or (not self._bridged and delta.previous <= reached)
        else:
            first = last if delta.first is None else delta.first
            fits = first == reached + 1 or (not self._bridged and first <= reached + 1)
        if not fits:
            found = delta.first if delta.previous is None else delta.previous
            return self._broken(Broken.SEQUENCE, f"after {reached} came {found} to {last}")
        change = self._change(delta.bids, delta.asks, None)
        self.sequence, self._bridged = last, True
        return change

    def _change(self, bids: Sequence[Level], asks: Sequence[Level], checksum: int | None) -> Change:
        try:
            if bids:
                self._bids.update(bids)
            if asks:
                self._asks.update(asks)
        except ValueError:
            self.valid = False
            raise
        return self._settled(checksum)

    def _settled(self, checksum: int | None) -> Change:
        """Cut to the depth, then look whether the book can be true."""
        cut_bids: tuple[str, ...] = ()
        cut_asks: tuple[str, ...] = ()
        if self.depth is not None:
            cut_bids, cut_asks = self._bids.cut(self.depth), self._asks.cut(self.depth)
        bid, ask = self._bids.best(), self._asks.best()
        if bid is not None and ask is not None and bid >= ask:
            top = self.top(1)
            return self._broken(Broken.CROSSED, f"bid {top.bids[0][0]}, ask {top.asks[0][0]}")
        if checksum is not None:
            found = kraken_checksum(self._asks.top(_CHECKED), self._bids.top(_CHECKED))
            if found != checksum:
                return self._broken(Broken.CHECKSUM, f"{found} instead of {checksum}")
        return Change(True, None, "", cut_bids, cut_asks) if cut_bids or cut_asks else _APPLIED

    def _broken(self, reason: Broken, detail: str) -> Change:
        self.valid = False
        return Change(False, reason, detail)
