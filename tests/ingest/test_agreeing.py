"""What counts as the same split or dividend: hand-worked pairs of what two vendors print."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.agreeing import Fact, compare

EX = dt.date(2020, 8, 7)
TOLD = dt.datetime(2026, 11, 13, tzinfo=dt.UTC)


def dividend(
    amount: str, *, basis: str = "raw", currency: str | None = "USD", source: str = "yahoo", ex: dt.date = EX
) -> Fact:
    """A dividend as a source tells it."""
    return Fact(
        Symbol("AAPL"), ex, ActionKind.DIVIDEND, ex, None, Decimal(amount), currency, basis, TOLD, source
    )


def split(to: int, per: int = 1, *, ex: dt.date = dt.date(2020, 8, 31), source: str = "yahoo") -> Fact:
    """A split as a source tells it."""
    return Fact(Symbol("AAPL"), ex, ActionKind.SPLIT, ex, Fraction(to, per), None, None, "raw", TOLD, source)


FOUR = split(4)


def counted(amount: str) -> Fact:
    """A dividend on the share count of later splits."""
    return dividend(amount, basis="split")


NEXT_YEAR = dt.date(2027, 1, 4)
PAIRS = {
    "trailing zeros": (dividend("0.82"), dividend("0.8200"), [], True),
    "divided by a later split": (counted("0.205"), dividend("0.82"), [FOUR], True),
    "no such split is known": (counted("0.205"), dividend("0.82"), [], False),
    "six decimals printed": (counted("0.273333"), dividend("0.82"), [split(3)], True),
    "within a ten-thousandth": (counted("0.2733"), dividend("0.82"), [split(3)], True),
    "two decimals are too few": (counted("0.27"), dividend("0.82"), [split(3)], False),
    "a cent": (dividend("0.82"), dividend("0.83"), [], False),
    "another currency": (dividend("0.82"), dividend("0.82", currency="CAD"), [], False),
    "currency not said": (dividend("0.82"), dividend("0.82", currency=None), [], True),
    "same basis": (counted("0.205"), counted("0.205"), [], True),
    "split on the ex-date itself": (counted("0.82"), dividend("0.82"), [split(4, ex=EX)], True),
    "split after it was told": (counted("0.82"), dividend("0.82"), [split(4, ex=NEXT_YEAR)], True),
    "a disputed split is told once": (counted("0.205"), dividend("0.82"), [split(5), FOUR], True),
    "one ratio": (split(4), split(8, 2), [], True),
    "upside down": (split(4), split(1, 4), [], False),
}


@pytest.mark.parametrize(("one", "other", "splits", "agree"), PAIRS.values(), ids=PAIRS)
def test_pairs(one: Fact, other: Fact, splits: list[Fact], agree: bool) -> None:
    """Equal in what they mean, to the precision that vendors print; and it does not matter who is asked."""
    assert [v.agree for v in compare([one], [other], splits=splits)] == [agree]
    assert [v.agree for v in compare([other], [one], splits=splits)] == [agree]


def test_what_only_one_side_has_is_a_verdict() -> None:
    """Both directions, in order of date."""
    found = compare([FOUR], [dividend("0.82", source="alpaca")], splits=[FOUR])
    assert [v.words("yahoo", "alpaca") for v in found] == [
        "ex 2020-08-07: yahoo says no dividend, alpaca says dividend 0.82 USD",
        "ex 2020-08-31: yahoo says split 4:1, alpaca says no split",
    ]


def test_one_split_told_by_both_is_multiplied_once() -> None:
    """The known splits come from both sources."""
    (verdict,) = compare(
        [dividend("0.205", basis="split")], [dividend("0.82")], splits=[FOUR, split(4, source="alpaca")]
    )
    assert verdict.agree
    assert verdict.words("yahoo", "alpaca") == (
        "dividend 0.205 USD, on the share count of later splits from yahoo, confirmed by alpaca"
    )
