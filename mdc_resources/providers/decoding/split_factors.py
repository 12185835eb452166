"""Split factors that a vendor writes as one rounded decimal: ``0.0333`` is 1:30, ``1.3333`` is 4:3.

A factor is new shares per old one. It is read as the one ratio of small integers that rounds to it;
where none does (1.0460, a spin-off in disguise) or several do (0.0067), it is refused.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from mdc_resources.providers.decoding.numbers import read_one
from mdc_resources.schema.arrow import PRICE

_LARGEST_DIVISOR = 20  # of a forward split or a stock dividend: 21:20 is five per cent
_LARGEST_REVERSE = 10_000


def read_factor(text: str) -> Fraction:
    """New shares per old share; ValueError where ``text`` is no number, or stands for no single ratio."""
    value, _ = read_one(text, PRICE)
    if value <= 0:
        raise ValueError(f"{text[:40]} is not a split factor")
    exact = Fraction(value)
    if exact.denominator <= _LARGEST_DIVISOR or (
        exact.numerator == 1 and exact.denominator <= _LARGEST_REVERSE
    ):
        return exact
    half = Fraction(1, 2) / 10 ** _decimals(value)
    found = {Fraction(round(exact * divisor), divisor) for divisor in range(1, _LARGEST_DIVISOR + 1)}
    nearest = round(1 / exact)
    if 1 < nearest <= _LARGEST_REVERSE:
        found |= {Fraction(1, n) for n in range(max(2, nearest - 100), nearest + 101)}
    fitting = {ratio for ratio in found if abs(ratio - exact) <= half}
    if len(fitting) != 1:
        many = "several ratios" if fitting else "no ratio of two small integers"
        raise ValueError(f"split factor {text[:40]} stands for {many}")
    return fitting.pop()


def _decimals(value: Decimal) -> int:
    """Decimals that the vendor's rounding left, at least four: trailing zeros say nothing."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "read_one refuses NaN and infinities"
    return max(4, -exponent)
