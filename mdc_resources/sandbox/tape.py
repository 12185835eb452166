"""The live tape: trades and quotes of every second, to be streamed and to be found in history.

A tick is a function of (seed, provider, series, number), and its number one of the epoch second and
of the rate, so that a restart with the same seed and rate goes on with the same tape, and history is
made the way the stream was. Numbers count up without a gap: one that was withheld shows. Only a
burst is of one server's life: it adds trades to seconds that have not begun yet.

Prices are cents around the last close of the market, alike at all providers; times are whole
microseconds, rising; one quote stands before each trade and shows the price it took.
"""

from __future__ import annotations

import datetime as dt
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox import noise
from mdc_resources.sandbox.ticks import VENUES, Ints, Quotes, Ticks

SECOND = 10**9
HOUR, DAY = 3_600, 86_400
FIRST_ID = 10**13  # above all ids of the market before the tape
MOST_PER_SECOND = 10_000
_KEPT_SECONDS, _KEPT_HOURS = 4_096, 48
_MICROSECONDS = 10**6
_WAVES = ((7_200, 0.006), (600, 0.002), (45, 0.0005), (5, 0.0001))  # seconds, part of the price
_NO_CLOSE = 10_000  # cents, where nothing was traded before

PreviousClose = Callable[[str, dt.date], int | None]


class Tick(NamedTuple):
    """One trade and the quote before it. Cents; sizes in the unit of the market's shares."""

    number: int
    time: int  # nanoseconds
    price: int
    size: int
    buys: bool
    venue: int
    quoted: int  # nanoseconds
    bid: int
    bid_size: int
    bid_venue: int
    ask: int
    ask_size: int
    ask_venue: int

    @property
    def trade_id(self) -> int:
        """The id under which stream and history show the trade."""
        return FIRST_ID + self.number


class Columns(NamedTuple):
    """The ticks of some seconds, as history shows them; both of equal length."""

    trades: Ticks
    quotes: Quotes


@dataclass(frozen=True, slots=True)
class Burst:
    """``extra`` trades a second on top, in the seconds ``first`` .. ``stop`` (exclusive)."""

    first: int
    stop: int
    extra: int


class LiveTape:
    """The tape of a server. Not locked: the loop that streams also answers for history.

    ``since`` is the instant from which history shows the tape instead of the market's own ticks: the
    start of the UTC day before it was made, so that servers of the same day agree.
    """

    def __init__(
        self,
        *,
        seed: int,
        rate: float,
        close: PreviousClose,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.rate = Fraction(str(rate))
        if not 0 < self.rate <= MOST_PER_SECOND:
            raise UsageError(
                f"a live rate of {rate} cannot be kept", hint=f"Above 0, at most {MOST_PER_SECOND} a second"
            )
        yesterday = dt.datetime.fromtimestamp(clock() // SECOND, dt.UTC).date() - dt.timedelta(days=1)
        self.since = dt.datetime.combine(yesterday, dt.time(), dt.UTC)
        self.seed = seed
        self.now = clock
        self._close = close
        self._closes: dict[tuple[str, dt.date], int] = {}
        self._bursts: dict[tuple[str, str], list[Burst]] = {}
        self._seconds: OrderedDict[tuple[str, str, int], tuple[Tick, ...]] = OrderedDict()
        self._hours: OrderedDict[tuple[str, str, int], Columns] = OrderedDict()

    @property
    def since_second(self) -> int:
        """``since`` in epoch seconds."""
        return int(self.since.timestamp())

    def burst(self, provider: str, series: str, *, after: int, seconds: int, factor: int) -> Burst:
        """Trade ``factor`` times as often for ``seconds``, from the second after ``after`` on."""
        known = self._bursts.setdefault((provider, series), [])
        first = max([after + 1, *(burst.stop for burst in known)])
        extra = min(max(1, round(self.rate * (factor - 1))), MOST_PER_SECOND)
        made = Burst(first, first + seconds, extra)
        known.append(made)
        return made

    def count_before(self, provider: str, series: str, second: int) -> int:
        """How many trades there were before ``second``; also the number of its first one."""
        plain = second * self.rate.numerator // self.rate.denominator
        return plain + sum(
            burst.extra * max(0, min(second, burst.stop) - burst.first)
            for burst in self._bursts.get((provider, series), ())
        )

    def second_of(self, provider: str, series: str, trade_id: int) -> int:
        """The second in which a trade happens, by its id."""
        number, low = trade_id - FIRST_ID, self.since_second
        later = range(low, low + 4 * DAY)
        key = lambda second: self.count_before(provider, series, second)  # noqa: E731
        return low + max(bisect_right(later, number, key=key) - 1, 0)

    def second(self, provider: str, series: str, second: int) -> tuple[Tick, ...]:
        """The ticks of one second, in order."""
        key = (provider, series, second)
        found = self._seconds.get(key)
        if found is None:
            found = self._seconds[key] = _rows(self.columns(provider, series, second, second + 1))
            if len(self._seconds) > _KEPT_SECONDS:
                self._seconds.popitem(last=False)
        return found

    def latest(self, provider: str, series: str, at: int) -> Tick:
        """The newest tick whose quote is out at ``at`` (nanoseconds)."""
        second = at // SECOND
        while True:
            for tick in reversed(self.second(provider, series, second)):
                if tick.quoted <= at:
                    return tick
            second -= 1

    def hours(self, provider: str, series: str, start: int, end: int) -> Iterator[tuple[int, Columns]]:
        """The hours that meet ``start`` .. ``end`` (nanoseconds), oldest first: first second and ticks."""
        now = self.now()
        begin = max(start // SECOND, self.since_second) // HOUR * HOUR
        for first in range(begin, min(end, now) // SECOND + 1, HOUR):
            yield first, self.hour(provider, series, first, now)

    def hour(self, provider: str, series: str, first: int, until: int) -> Columns:
        """The ticks of the hour that begins with second ``first``, those before ``until`` nanoseconds."""
        over = min(first + HOUR, until // SECOND + 1)
        key = (provider, series, first)
        found = self._hours.get(key)
        if found is None or over < first + HOUR:
            found = self.columns(provider, series, first, max(first, over))
            if over == first + HOUR:
                self._hours[key] = found
                if len(self._hours) > _KEPT_HOURS:
                    self._hours.popitem(last=False)
        return _until(found, until)

    def columns(self, provider: str, series: str, first: int, stop: int) -> Columns:
        """The ticks of the seconds ``first`` .. ``stop`` (exclusive), which are of one UTC day."""
        before = [self.count_before(provider, series, at) for at in (first, stop)]
        numbers = np.arange(*before, dtype=np.int64)
        seconds, place, among = self._places(provider, series, first, stop)
        draw = _Draw(noise.key(self.seed, provider, series, "live"), numbers.astype(np.uint64))
        slot = place * _MICROSECONDS // np.maximum(among, 1)
        width = _MICROSECONDS // np.maximum(among, 1)
        micros = seconds * _MICROSECONDS + slot + (draw("time") * width * 0.8).astype(np.int64)
        middle = self._middle(series, micros)
        spread = 1 + (draw("spread") ** 3 * 3).astype(np.int64)
        bids = np.maximum(middle - spread // 2, 1)
        asks = bids + spread
        buys = draw("side") < 0.5
        sizes = 1 + (draw("size") ** 5 * 1_500).astype(np.int64)
        bid_sizes, ask_sizes = (100 * (1 + (draw(name) ** 4 * 30).astype(np.int64)) for name in ("bs", "as"))
        venues, bid_venues, ask_venues = (
            (draw(name) ** 2 * VENUES).astype(np.int8) for name in ("venue", "bv", "av")
        )
        trades = Ticks(
            times=micros * 1_000,
            prices=np.where(buys, asks, bids),
            sizes=sizes,
            ids=numbers + FIRST_ID,
            venues=venues,
            buys=buys,
        )
        quotes = Quotes(
            times=(micros - np.minimum(200, width // 10)) * 1_000,
            bids=bids,
            bid_sizes=bid_sizes,
            asks=asks,
            ask_sizes=ask_sizes,
            bid_venues=bid_venues,
            ask_venues=ask_venues,
        )
        return Columns(trades, quotes)

    def _places(self, provider: str, series: str, first: int, stop: int) -> tuple[Ints, ...]:
        """Per tick its second, its place among those of the second, and their count."""
        at = [self.count_before(provider, series, second) for second in range(first, stop + 1)]
        starts = np.array(at, np.int64)
        counts = np.diff(starts)
        seconds = np.repeat(np.arange(first, stop, dtype=np.int64), counts)
        place = np.arange(starts[0], starts[-1], dtype=np.int64) - np.repeat(starts[:-1], counts)
        return seconds, place, np.repeat(counts, counts)

    def _middle(self, series: str, micros: Ints) -> Ints:
        """The price in cents: smooth waves of several lengths around the day's anchor."""
        if not len(micros):
            return micros
        day = dt.datetime.fromtimestamp(int(micros[0]) // _MICROSECONDS, dt.UTC).date()
        anchor = self._anchor(series, day)
        factor = np.ones(len(micros))
        for length, part in _WAVES:
            at, within = np.divmod(micros, length * _MICROSECONDS)
            stream = noise.key(self.seed, series, "wave", length)
            weight = within / (length * _MICROSECONDS)
            low, high = (noise.uniform_at(stream, (at + step).astype(np.uint64)) for step in (0, 1))
            factor += part * (2 * (low + (high - low) * weight) - 1)
        found: Ints = np.rint(anchor * factor).astype(np.int64)
        return found

    def _anchor(self, series: str, day: dt.date) -> int:
        key = (series, day)
        if key not in self._closes:
            self._closes[key] = max(self._close(series, day) or _NO_CLOSE, 200)
        return self._closes[key]


@dataclass(frozen=True, slots=True)
class _Draw:
    """Noise by name, at the numbers of some trades."""

    stream: int
    numbers: NDArray[np.uint64]

    def __call__(self, name: str) -> noise.Floats:
        return noise.uniform_at(noise.key(self.stream, name), self.numbers)


def _rows(columns: Columns) -> tuple[Tick, ...]:
    trades, quotes = columns
    numbers = (trades.ids - FIRST_ID).tolist()
    sides = (trades.times, trades.prices, trades.sizes, trades.buys, trades.venues)
    quoted = (quotes.times, quotes.bids, quotes.bid_sizes, quotes.bid_venues)
    asked = (quotes.asks, quotes.ask_sizes, quotes.ask_venues)
    lists = [column.tolist() for column in (*sides, *quoted, *asked)]
    return tuple(map(Tick, numbers, *lists))


def _until(columns: Columns, until: int) -> Columns:
    """Trades and quotes that have happened before ``until``."""
    trades, quotes = columns
    stop, quoted = int(trades.times.searchsorted(until)), int(quotes.times.searchsorted(until))
    if stop == len(trades) and quoted == len(quotes):
        return columns
    return Columns(
        Ticks(*(getattr(trades, name)[:stop] for name in Ticks.__slots__)),
        Quotes(*(getattr(quotes, name)[:quoted] for name in Quotes.__slots__)),
    )
