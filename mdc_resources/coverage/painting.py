"""Makes the picture of a dataset: calendars and listings against open sessions and the ledger.

Open sessions come from :mod:`.gaps`, so that the picture and recovery never disagree. What else is not
simply present is read from the ledger's newest lines: by session where a cell is one, else counted by
month or year inside the database, symbols a few hundred at a time.
"""

# ruff: noqa: S608 - what is put into statements are constants of this module; values are bound

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.gaps import OpenSessions, open_sessions
from mdc_resources.coverage.outlook import gap_lines
from mdc_resources.coverage.picture import EXPECTED, SETTLED, Cell, Grain, Picture, Row, Shade, Tally
from mdc_resources.coverage.spans import Span, grain_of, spans_of
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State, Tries

if TYPE_CHECKING:
    import duckdb

MAX_CELLS = 120_000  # of about 45 bytes each on a page
_CHUNK = 500
_Ranged = tuple[Symbol, Span, range]


def picture_of(
    home: Home,
    lake: Lake,
    state: State,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    *,
    at: dt.datetime,
    title: str = "",
    start: dt.date | None = None,
    end: dt.date | None = None,
    max_cells: int = MAX_CELLS,
) -> Picture:
    """The picture of ``symbols`` over ``start``..``end``, both inclusive, as of the instant ``at``.

    Without ``start`` each symbol counts from its first ledger line on, as recovery does; ``end`` is
    the present day by default. Raises UsageError where a calendar does not know the range.
    """
    end = min(end or at.date(), at.date())
    opened = open_sessions(
        home, lake, state, dataset, symbols, at=at, start=start, end=end, begun=start is None
    )
    tries = state.tries(dataset, list(opened)) if opened else {}
    connection = lake.connect()
    try:
        spans = spans_of(home, lake, state, connection, dataset, symbols, at=at, start=start, end=end)
        grain = grain_of(spans.values(), max_cells)
        held = _held(connection, dataset, spans, grain)
    finally:
        connection.close()
    rows = []
    for symbol, span in spans.items():
        found = opened.get(symbol) or OpenSessions(symbol, span.calendar, Intervals(), Intervals())
        painter = _Painter(span, found, held.get(symbol, _Held()), tries, grain)
        cells = tuple(painter.cells())
        if cells:
            rows.append(Row(symbol, span.calendar, cells, painter.tally))
    rows.sort(key=_badness)
    tally: Tally = Counter()
    for row in rows:
        tally += row.tally
    return Picture(
        dataset=dataset,
        title=title,
        at=at,
        snapshot=lake.snapshots()[-1].snapshot_id,
        start=min((row.cells[0].first for row in rows), default=start or end),
        end=end,
        grain=grain,
        rows=tuple(rows),
        tally=tally,
        gaps=tuple(gap_lines(dataset, opened.values(), tries)),
        untouched=tuple(symbol for symbol in symbols if symbol not in spans),
    )


def _badness(row: Row) -> tuple[float, int, str]:
    """Least covered first, then the most sessions that lack, then by name."""
    share = row.covered / row.expected if row.expected else 1.0
    return (share, row.covered - row.expected, row.symbol)


@dataclass(frozen=True, slots=True)
class _Held:
    """Sessions that are settled otherwise than present: one by one with the reason, or counted by bucket."""

    days: Mapping[dt.date, tuple[Shade, str]] = field(default_factory=dict)
    buckets: Mapping[dt.date, Tally] = field(default_factory=dict)


def _held(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, spans: Mapping[Symbol, Span], grain: Grain
) -> dict[Symbol, _Held]:
    """By symbol, what its newest ledger lines say within what is expected of it."""
    newest = """
        SELECT symbol, session, arg_max(state, commit_seq) AS state, arg_max(reason, commit_seq) AS reason
        FROM coverage_log
        JOIN (SELECT unnest(?::VARCHAR[]) AS symbol, unnest(?::DATE[]) AS low, unnest(?::DATE[]) AS high)
             USING (symbol)
        WHERE dataset = ? AND session BETWEEN low AND high AND session IN (SELECT unnest(?::DATE[]))
        GROUP BY symbol, session HAVING state IN ('empty', 'expired', 'quarantined')"""
    found: dict[Symbol, _Held] = {}
    ranged = [(symbol, span, span.expected()) for symbol, span in spans.items() if span.expected()]
    for chunk in _chunks(ranged):
        calendar = chunk[0][1].calendar
        lows = [calendar.session_at(run.start) for _, _, run in chunk]
        highs = [calendar.session_at(run.stop - 1) for _, _, run in chunk]
        # A line of a day that was declared closed since is about no session.
        sessions = calendar.sessions(min(lows), max(highs))
        parameters = [[symbol for symbol, _, _ in chunk], lows, highs, str(dataset), list(sessions)]
        if grain is Grain.DAY:
            days: dict[Symbol, dict[dt.date, tuple[Shade, str]]] = defaultdict(dict)
            for symbol, session, state, reason in connection.execute(newest, parameters).fetchall():
                days[symbol][session] = (Shade(state), reason)
            found |= {symbol: _Held(days=known) for symbol, known in days.items()}
        else:
            query = f"""SELECT symbol, date_trunc('{grain}', session)::DATE, state, count(*)
                        FROM ({newest}) GROUP BY ALL"""
            buckets: dict[Symbol, dict[dt.date, Tally]] = defaultdict(lambda: defaultdict(Counter))
            for symbol, bucket, state, count in connection.execute(query, parameters).fetchall():
                buckets[symbol][bucket][Shade(state)] = count
            found |= {symbol: _Held(buckets=known) for symbol, known in buckets.items()}
    return found


def _chunks(ranged: Iterable[_Ranged]) -> Iterator[list[_Ranged]]:
    """Some hundred symbols of one calendar each."""
    by_calendar: dict[str, list[_Ranged]] = defaultdict(list)
    for each in ranged:
        by_calendar[each[1].calendar.name].append(each)
    for group in by_calendar.values():
        yield from (group[at : at + _CHUNK] for at in range(0, len(group), _CHUNK))


@dataclass(slots=True)
class _Painter:
    """The cells of one symbol, and their tally once they are drawn."""

    span: Span
    opened: OpenSessions
    held: _Held
    tries: Mapping[PartitionKey, Tries]
    grain: Grain
    tally: Tally = field(default_factory=Counter)

    def cells(self) -> tuple[Cell, ...]:
        """All of them, by date."""
        return tuple(self._days() if self.grain is Grain.DAY else _joined(self._buckets()))

    def _days(self) -> Iterator[Cell]:
        missing, partial = set(self.opened.missing), set(self.opened.partial)
        for ordinal in range(self.span.first, self.span.stop):
            date = self.span.calendar.session_at(ordinal)
            shade, note = self._unexpected(ordinal), ""
            if shade is None:
                if ordinal in missing or ordinal in partial:
                    shade = Shade.MISSING if ordinal in missing else Shade.PARTIAL
                    note = self._tried(date)
                else:
                    shade, note = self.held.days.get(date, (Shade.PRESENT, ""))
            self.tally[shade] += 1
            one = int(shade in EXPECTED)
            yield Cell(date, date, shade, one, int(one and shade in SETTLED), note)

    def _unexpected(self, ordinal: int) -> Shade | None:
        span = self.span
        if not span.listed[0] <= ordinal < span.listed[1]:
            return Shade.UNLISTED
        if ordinal < span.begun:
            return Shade.UNASKED
        return Shade.PENDING if ordinal >= span.due else None

    def _tried(self, date: dt.date) -> str:
        tries = self.tries.get(PartitionKey(self.opened.symbol, date))
        if tries is None:
            return ""
        times = f"tried {tries.count} time{'' if tries.count == 1 else 's'}"
        return f"{times}, given up" if tries.gave_up else f"{times}, next {tries.next_at:%Y-%m-%d %H:%M} UTC"

    def _buckets(self) -> Iterator[Cell]:
        calendar, wanted = self.span.calendar, self.span.expected()
        missing, partial = _Count(self.opened.missing), _Count(self.opened.partial)
        for begin, start, stop in _bounds(calendar, self.span.first, self.span.stop, self.grain):
            run = range(max(start, wanted.start), min(stop, wanted.stop))
            tally: Tally = Counter()
            if run:
                tally[Shade.MISSING] = missing.within(run.start, run.stop)
                tally[Shade.PARTIAL] = partial.within(run.start, run.stop)
                tally += self.held.buckets.get(begin, Counter())
                tally[Shade.PRESENT] = max(len(run) - tally.total(), 0)
            else:
                tally[self._unexpected(start) or Shade.PENDING] = 1
            self.tally += Counter({shade: count for shade, count in tally.items() if run})
            shade = next(shade for shade in _WORST_FIRST if tally[shade])
            lacking = sum(tally[shade] for shade in EXPECTED if shade not in SETTLED)
            note = ", ".join(f"{tally[s]} {s}" for s in _WORST_FIRST if tally[s]) if lacking else ""
            yield Cell(
                calendar.session_at(start),
                calendar.session_at(stop - 1),
                shade,
                len(run),
                len(run) - lacking,
                note,
            )


_WORST_FIRST = (
    Shade.MISSING, Shade.PARTIAL, Shade.QUARANTINED, Shade.EXPIRED, Shade.PRESENT, Shade.EMPTY,
    Shade.PENDING, Shade.UNASKED, Shade.UNLISTED,
)  # fmt: skip


def _bounds(calendar: Calendar, first: int, stop: int, grain: Grain) -> Iterator[tuple[dt.date, int, int]]:
    """(first day of the month or year, its ordinals within ``first``..``stop``)."""
    at = first
    while at < stop:
        date = calendar.session_at(at)
        begin = date.replace(day=1) if grain is Grain.MONTH else date.replace(month=1, day=1)
        following = (begin + dt.timedelta(days=32 if grain is Grain.MONTH else 366)).replace(day=1)
        end = min(calendar.first_from(following), stop)
        yield begin, at, end
        at = end


def _joined(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Neighbours that are complete, or not expected in the same way, become one cell."""
    last: Cell | None = None
    for cell in cells:
        quiet = cell.expected == cell.covered and cell.shade is not Shade.PENDING
        if last is not None and quiet and last.expected == last.covered and last.shade is cell.shade:
            last = last._replace(
                last=cell.last, expected=last.expected + cell.expected, covered=last.covered + cell.covered
            )
            continue
        if last is not None:
            yield last
        last = cell
    if last is not None:
        yield last


class _Count:
    """How many members of a set lie in a range, without walking the set."""

    def __init__(self, found: Intervals) -> None:
        self._starts = [start for start, _ in found.runs]
        self._runs = found.runs

    def within(self, start: int, stop: int) -> int:
        """Members in ``start``..``stop``, half-open."""
        at = max(bisect_right(self._starts, start) - 1, 0)
        count = 0
        for low, high in self._runs[at : bisect_left(self._starts, stop)]:
            count += max(0, min(high, stop) - max(low, start))
        return count
