"""Do two sources tell the same splits and dividends? A pure comparison of what they mean.

Ratios must be equal. Dividends are brought to the share count of their ex-date (an amount that
counts later splits in is multiplied by them) and may differ by what vendors round away: a
ten-thousandth of the currency, and for an amount that a vendor divided by splits a millionth times
that divisor (they print six decimals). Several payments of one ex-date are their sum on both sides.
What only one side has is a disagreement; whom to ask, and about which days, is decided elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.datasets import Basis
from mdc_resources.domain.symbols import Symbol

COMPARED = (ActionKind.SPLIT, ActionKind.DIVIDEND)
CENTS = Fraction(1, 10_000)
"""Vendors print a dividend with four decimals at least."""
PRINTED = Fraction(1, 1_000_000)
"""What dividing by later splits costs: they print the quotient with six decimals."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One split or dividend as a source tells it; ``known_at`` is when it told."""

    symbol: Symbol
    session: dt.date
    kind: ActionKind
    ex_date: dt.date
    ratio: Fraction | None
    amount: Decimal | None
    currency: str | None
    basis: str
    known_at: dt.datetime
    source: str

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Fact:
        """A row of ``corporate_actions``; raises ValueError where its kind is none that is compared."""
        to, per, amount, currency = (row[n] for n in ("ratio_to", "ratio_from", "amount", "currency"))
        kind, session, ex_date, known_at = (
            ActionKind(str(row["kind"])),
            row["session"],
            row["ex_date"],
            row["known_at"],
        )
        assert isinstance(session, dt.date)
        assert isinstance(ex_date, dt.date)
        assert isinstance(known_at, dt.datetime)
        ratio = (
            Fraction(to, per) if isinstance(to, int) and isinstance(per, int) and to > 0 and per > 0 else None
        )
        return cls(
            Symbol(str(row["symbol"])), session, kind, ex_date, ratio,
            amount if isinstance(amount, Decimal) else None,
            str(currency) if currency is not None else None,
            str(row["basis"]), known_at, str(row["source"]),
        )  # fmt: skip

    @property
    def shown(self) -> str:
        """``split 4:1`` or ``dividend 0.22 USD``."""
        if self.kind is ActionKind.SPLIT:
            return f"split {self.ratio.numerator}:{self.ratio.denominator}" if self.ratio else "split"
        amount = f"{self.amount.normalize():f}" if self.amount is not None else "of an unknown amount"
        counted = ", on the share count of later splits" if self.basis == Basis.SPLIT else ""
        return f"dividend {amount} {self.currency or ''}".rstrip() + counted


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two sources say of one kind of action on one ex-date; None is nothing."""

    symbol: Symbol
    session: dt.date
    ex_date: dt.date
    kind: ActionKind
    stored: Fact | None
    other: Fact | None
    agree: bool

    def words(self, ours: str, theirs: str) -> str:
        """One sentence with both sources and both values."""
        said = {name: fact.shown if fact else f"no {self.kind}"
                for name, fact in ((ours, self.stored), (theirs, self.other))}  # fmt: skip
        if self.agree:
            return f"{said[ours]} from {ours}, confirmed by {theirs}"
        return f"ex {self.ex_date}: {ours} says {said[ours]}, {theirs} says {said[theirs]}"


def compare(stored: Iterable[Fact], others: Iterable[Fact], *, splits: Iterable[Fact]) -> list[Verdict]:
    """A verdict on every action that either side has, by symbol, date and kind.

    ``splits`` are all that is known of the symbols' splits, from either side: they bring amounts to one
    share count.
    """
    mine, theirs = _by_action(stored), _by_action(others)
    known = list(splits)
    found = []
    for key in sorted(mine.keys() | theirs.keys(), key=lambda key: (key[0], key[1], key[2].value)):
        one, other = mine.get(key), theirs.get(key)
        fact = one or other
        assert fact is not None
        agree = one is not None and other is not None and _agree(one, other, known)
        found.append(Verdict(fact.symbol, fact.session, fact.ex_date, fact.kind, one, other, agree))
    return found


def _by_action(facts: Iterable[Fact]) -> dict[tuple[Symbol, dt.date, ActionKind], Fact]:
    return {(fact.symbol, fact.ex_date, fact.kind): fact for fact in facts}


def _agree(one: Fact, other: Fact, splits: Sequence[Fact]) -> bool:
    if one.kind is ActionKind.SPLIT:
        return one.ratio is not None and one.ratio == other.ratio
    if one.amount is None or other.amount is None:
        return False
    if one.currency and other.currency and one.currency != other.currency:
        return False
    # Where the sources disagree about a split that is told once: the payment is not disputed with it.
    readings = [{(s.symbol, s.ex_date): s for s in order if s.ratio} for order in (splits, splits[::-1])]
    return any(_equal(one, other, list(reading.values())) for reading in readings)


def _equal(one: Fact, other: Fact, splits: Sequence[Fact]) -> bool:
    divisors = [_divisor(fact, splits) for fact in (one, other)]
    left, right = (Fraction(fact.amount or 0) * by for fact, by in zip((one, other), divisors, strict=True))
    return abs(left - right) <= CENTS + sum((PRINTED * by for by in divisors if by > 1), Fraction(0))


def _divisor(fact: Fact, splits: Sequence[Fact]) -> Fraction:
    """How often the share of the ex-date had been split when the amount was told."""
    product = Fraction(1)
    if fact.basis == Basis.SPLIT:
        for split in splits:
            if split.symbol == fact.symbol and fact.ex_date < split.ex_date <= fact.known_at.date():
                product *= split.ratio or 1
    return product
