"""What exists in the synthetic market: who is listed, when, and what happened to it.

Any symbol is listed from 2000-01-03, without corporate actions, except the named ones in
:data:`NAMED` and those that start with ``ZZ``, which no vendor knows. Names are borrowed from real
tickers where a fact is (split dates, renames); their prices are invented.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from mdc_resources.calendars import Calendar
from mdc_resources.domain.symbols import Symbol

LISTED = dt.date(2000, 1, 3)
UNKNOWN_PREFIX = "ZZ"
_TENTH_OF_A_MILL = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Split:
    """``to`` new shares for ``old`` old ones; ``ex_date`` is the first session at the new price."""

    ex_date: dt.date
    to: int
    old: int

    @property
    def ratio(self) -> Fraction:
        """New shares per old share."""
        return Fraction(self.to, self.old)


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash per share as paid on the share count of the ex-date, dollars."""

    ex_date: dt.date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """One ticker. ``last`` is its last session; ``entity`` names the price series behind it."""

    symbol: Symbol
    entity: Symbol
    listed: dt.date = LISTED
    last: dt.date | None = None
    price_cents: int | None = None
    daily_volume: int | None = None
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    halts: frozenset[dt.date] = frozenset()
    successor: Symbol | None = None
    former: Symbol | None = None

    def split_ratio(self, after: dt.date, asof: dt.date) -> Fraction:
        """Shares at ``asof`` per share at the close of ``after``: the product of later splits."""
        ratio = Fraction(1)
        for split in self.splits:
            if after < split.ex_date <= asof:
                ratio *= split.ratio
        return ratio


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one named symbol, in short; see :data:`NAMED`."""

    listed: dt.date = LISTED
    last: dt.date | None = None
    price_cents: int | None = None
    daily_volume: int | None = None
    splits: tuple[Split, ...] = ()
    quarterly: Decimal | None = None  # per share, before any split
    halts: frozenset[dt.date] = frozenset()
    successor: Symbol | None = None
    former: Symbol | None = None
    every_june: bool = False


NAMED: dict[str, Facts] = {
    "AAPL": Facts(price_cents=48_000, quarterly=Decimal("0.82"), splits=(Split(dt.date(2020, 8, 31), 4, 1),)),
    "NVDA": Facts(
        price_cents=60_000,
        quarterly=Decimal("0.16"),
        splits=(Split(dt.date(2021, 7, 20), 4, 1), Split(dt.date(2024, 6, 10), 10, 1)),
    ),
    "GE": Facts(price_cents=1_300, quarterly=Decimal("0.01"), splits=(Split(dt.date(2021, 8, 2), 1, 8),)),
    "MSFT": Facts(price_cents=28_000, quarterly=Decimal("0.62")),
    "KO": Facts(price_cents=6_000, quarterly=Decimal("0.44")),
    "JNJ": Facts(price_cents=16_000, quarterly=Decimal("1.13")),
    "SPLT": Facts(price_cents=9_000, every_june=True),
    "TWTR": Facts(price_cents=4_500, listed=dt.date(2013, 11, 7), last=dt.date(2022, 10, 27)),
    "META": Facts(price_cents=21_000, listed=dt.date(2012, 5, 18), former=Symbol("FB")),
    "FB": Facts(listed=dt.date(2012, 5, 18), last=dt.date(2022, 6, 8), successor=Symbol("META")),
    "NEWN": Facts(price_cents=7_700, former=Symbol("OLDN")),
    "OLDN": Facts(last=dt.date(2025, 8, 15), successor=Symbol("NEWN")),
    "GONE": Facts(price_cents=1_200, last=dt.date(2025, 11, 14)),
    "NEWCO": Facts(price_cents=2_400, listed=dt.date(2024, 2, 1)),
    "HALT": Facts(price_cents=3_100, halts=frozenset({dt.date(2024, 3, 13), dt.date(2024, 3, 14)})),
    # Splits and halts around two Thanksgivings: the ground of the conformance suite.
    "CONF": Facts(
        price_cents=32_000,
        quarterly=Decimal("0.40"),
        splits=(Split(dt.date(2017, 11, 13), 3, 2), Split(dt.date(2024, 11, 18), 4, 1)),
        halts=frozenset({dt.date(2017, 11, 21), dt.date(2024, 11, 26)}),
    ),
    "THIN": Facts(price_cents=1_750, daily_volume=2_400),
    # Some 3 million trades a session: a day of ticks that no program should hold in memory.
    "BUSY": Facts(price_cents=52_000, daily_volume=360_000_000),
}


def is_unknown(symbol: str) -> bool:
    """True for symbols that no vendor knows."""
    return symbol.startswith(UNKNOWN_PREFIX)


def describe(symbol: Symbol, calendar: Calendar) -> Instrument:
    """The instrument called ``symbol``, with its rules unrolled over ``calendar``."""
    facts = NAMED.get(symbol, Facts())
    splits = (*facts.splits, *(_june_splits(calendar) if facts.every_june else ()))
    bare = Instrument(
        symbol=symbol,
        entity=facts.successor or symbol,
        listed=_session_from(calendar, facts.listed),
        last=facts.last,
        price_cents=facts.price_cents,
        daily_volume=facts.daily_volume,
        splits=splits,
        halts=facts.halts,
        successor=facts.successor,
        former=facts.former,
    )
    if facts.quarterly is None:
        return bare
    return replace(bare, dividends=tuple(_quarterly(calendar, bare, facts.quarterly)))


def _quarterly(calendar: Calendar, instrument: Instrument, amount: Decimal) -> Iterator[Dividend]:
    for year in range(instrument.listed.year, calendar.last_known.year + 1):
        for month in (2, 5, 8, 11):
            ex_date = _session_from(calendar, dt.date(year, month, 9))
            if instrument.listed < ex_date:
                shares = instrument.split_ratio(instrument.listed, ex_date)
                paid = amount * shares.denominator / shares.numerator
                yield Dividend(ex_date, paid.quantize(_TENTH_OF_A_MILL))


def _june_splits(calendar: Calendar) -> Iterator[Split]:
    """2:1 on June's first session of even years, 1:2 of odd ones: every twelve months hold one."""
    for year in range(LISTED.year, calendar.last_known.year + 1):
        to, old = (2, 1) if year % 2 == 0 else (1, 2)
        yield Split(_session_from(calendar, dt.date(year, 6, 1)), to, old)


def _session_from(calendar: Calendar, date: dt.date) -> dt.date:
    """The first session on or after ``date`` (the last one known where there is none)."""
    at = min(bisect_left(calendar.dates, date), len(calendar.dates) - 1)
    return calendar.dates[at]
