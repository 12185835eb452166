"""The adjusted views, thought out again in fractions: series as they truly traded, how vendors deliver
them, and what each view must show. Shares no line and no formula of SQL with what it judges."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

PLACES = 10**9
FIRST = dt.date(
    2040, 1, 2
)  # ahead of any clock, so that an instant between two sessions lies after every commit
UNLEARNED = dt.datetime(2050, 1, 1, tzinfo=dt.UTC)


def weekday(number: int) -> dt.date:
    """The ``number``-th weekday from Monday 2040-01-02, starting at 0."""
    weeks, rest = divmod(number, 5)
    return FIRST + dt.timedelta(days=7 * weeks + rest)


@dataclass(frozen=True, slots=True)
class Split:
    """``to`` shares for ``per`` old ones from session ``at`` on; ``learned`` is None for never."""

    at: int
    to: int
    per: int
    learned: int | None = 0

    @property
    def ratio(self) -> Fraction:
        """What it multiplies a price by."""
        return Fraction(self.per, self.to)


@dataclass(frozen=True, slots=True)
class Bar:
    """A price as it was traded, and how it was fetched: the basis, on which weekday."""

    session: int
    price: Decimal
    basis: str
    fetched: int


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol. Facts are covered from session ``covered_from`` on, to long after the last bar."""

    symbol: str
    bars: tuple[Bar, ...]
    splits: tuple[Split, ...]
    dividends: Mapping[int, Decimal] = field(default_factory=dict)
    covered_from: int = 0

    @property
    def facts(self) -> list[Split]:
        """The splits that are stored."""
        return [split for split in self.splits if split.at >= self.covered_from]

    def stored(self, bar: Bar) -> Decimal:
        """The price as the vendor delivers it: adjusted by the splits of the day it was fetched."""
        if bar.basis == "raw":
            return bar.price
        return rounded(Fraction(bar.price) * self.between(self.splits, bar.session, bar.fetched))

    def between(self, splits: Iterable[Split], after: int, upto: int) -> Fraction:
        """The product of the ratios of ``splits`` in (``after``, ``upto``]."""
        product = Fraction(1)
        for split in splits:
            if after < split.at <= upto:
                product *= split.ratio
        return product

    def boundary(self, bar: Bar) -> int:
        """The weekday up to which the stored price knows all splits."""
        return bar.session if bar.basis == "raw" else bar.fetched

    def is_unsure(self, bar: Bar) -> bool:
        """Fetched on the day of a split, and nothing shows that the day was over by then."""
        upto = self.boundary(bar)
        closed = any(b.session == b.fetched == upto and b.basis != "raw" for b in self.bars)
        return bar.session < upto and any(s.at == upto for s in self.facts) and not closed

    def reference(self, known: int | None = None) -> int:
        """The weekday on whose basis ``bars_1d`` is, as known on ``known``."""
        newest = max([*map(self.boundary, self.bars), *(s.at for s in self.known(known))])
        return newest if known is None else min(newest, known)

    def known(self, known: int | None) -> list[Split]:
        """Splits learned and effective by ``known``."""
        if known is None:
            return self.facts
        return [s for s in self.facts if s.learned is not None and s.learned <= known and s.at <= known]

    def covers(self, after: int, upto: int) -> bool:
        """Every session in (``after``, ``upto``] is covered."""
        return upto <= after or after >= self.covered_from - 1

    def split_consistent(self, bar: Bar, known: int | None = None) -> Fraction | None:
        """The stored price on the reference's basis, before rounding; None where it cannot be known."""
        reference, boundary = self.reference(known), self.boundary(bar)
        if self.is_unsure(bar) or (known is not None and bar.session > known):
            return None
        price = Fraction(self.stored(bar))
        if bar.basis != "raw" and boundary > reference:  # fetched after that day: take out what nobody knew
            if not self.covers(reference, boundary):
                return None
            unlearned = [s for s in self.facts if s not in self.known(known)]
            return price / self.between(unlearned, bar.session, boundary)
        if not self.covers(boundary, reference):
            return None
        return price * self.between(self.known(known), boundary, reference)

    def as_traded(self, bar: Bar) -> Fraction | None:
        """The stored price with what the vendor multiplied in taken out; None where it cannot be known."""
        boundary = self.boundary(bar)
        if self.is_unsure(bar) or not self.covers(bar.session, boundary):
            return None
        return Fraction(self.stored(bar)) / self.between(self.facts, bar.session, boundary)

    def dividend_factor(self, bar: Bar) -> Fraction:
        """What later dividends leave of a price, from prices as they traded."""
        traded = {b.session: Fraction(b.price) for b in self.bars}
        product = Fraction(1)
        for at, amount in self.dividends.items():
            if bar.session < at <= self.reference():
                before = max(session for session in traded if session < at)
                own_shares = self.between(self.splits, before, at)
                product *= 1 - Fraction(amount) / (traded[before] * own_shares)
        return product


def rounded(value: Fraction) -> Decimal:
    """``value`` to nine places, half to even (Python rounds fractions so)."""
    return Decimal(round(value * PLACES)).scaleb(-9)
