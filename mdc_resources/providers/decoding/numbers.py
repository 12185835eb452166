"""Exact reading of vendors' numbers into Arrow decimals.

Text is the number: it is never turned into a float. A float is read as the shortest decimal that
round-trips in its own type, so 34.099998474121094 (a widened single) is 34.099998. A number that
does not fit its column is an error of its row if *quoted*, and rounded half-even if *derived*;
NaN, infinities and anything that is not plain ASCII notation are errors of their row.
"""

from __future__ import annotations

import contextlib
import decimal
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.datasets import NumberEncoding

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,5})?", re.ASCII)
_BEYOND_ARROW = r"[eE][+-]?[0-9]{4}|[0-9.]{39}"
_LONGEST = 100  # characters; longer ones cost time and are never prices
_EXACT = decimal.Context(prec=2 * _LONGEST, rounding=decimal.ROUND_HALF_EVEN, Emax=200_000, Emin=-200_000)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Numbers:
    """One column as read: null where missing or wrong, with the reason per row; ``rounded`` rows."""

    values: pa.Array
    errors: Mapping[int, str] = field(default_factory=dict)
    rounded: frozenset[int] = frozenset()


def read_texts(texts: pa.Array, kind: pa.Decimal128Type, *, derived: bool = False) -> Numbers:
    """Read decimal notation (``-1.5``, ``6.38e+07``) exactly; null stays null.

    Raises nothing: what cannot be read, or does not fit ``kind`` and is not ``derived``, is in
    ``errors`` of the result.
    """
    # Arrow's cast dies of a huge exponent and wraps around on more digits than any decimal has.
    if not pc.any(pc.match_substring_regex(texts, _BEYOND_ARROW), min_count=0).as_py():
        with contextlib.suppress(pa.ArrowInvalid):
            return Numbers(texts.cast(kind))
    return _one_by_one(texts, kind, derived=derived)


def read_floats(
    values: Floats,
    kind: pa.Decimal128Type,
    *,
    encoding: NumberEncoding,
    missing: npt.NDArray[np.bool_] | None = None,
    derived: bool = False,
) -> Numbers:
    """Read floats as their shortest decimals; rows in ``missing`` become null.

    With ``FLOAT32`` a value that is no widened single is still read exactly, as a double.
    """
    return read_texts(shortest(values, encoding=encoding, missing=missing), kind, derived=derived)


def shortest(
    values: Floats, *, encoding: NumberEncoding, missing: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """The shortest decimal text that round-trips, per value (Arrow prints floats that way)."""
    doubles = pa.array(values, mask=missing)
    if encoding is not NumberEncoding.FLOAT32:
        return doubles.cast(pa.string())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        singles = values.astype(np.float32)
        widened = singles.astype(np.float64) == values
    as_singles = pa.array(singles, mask=missing).cast(pa.string())
    if widened.all():
        return as_singles
    return pc.if_else(pa.array(widened), as_singles, doubles.cast(pa.string()))


def read_one(text: str, kind: pa.Decimal128Type, *, derived: bool = False) -> tuple[decimal.Decimal, bool]:
    """Read one number: its value in ``kind`` and whether it was rounded; ValueError says why not."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!a} is not a number")
    value = decimal.Decimal(text)
    if not value:
        return decimal.Decimal(0), False
    if value.adjusted() + 1 > kind.precision - kind.scale:
        raise ValueError(f"{text[:40]} is too large for {kind}")
    if value.adjusted() < -_LONGEST:  # far below the last place, and cheaper than quantizing it
        fitted = decimal.Decimal(0)
    else:
        fitted = value.quantize(decimal.Decimal(1).scaleb(-kind.scale), context=_EXACT)
    if fitted == value:
        return fitted, False
    if not derived:
        raise ValueError(f"{text[:40]} has more than {kind.scale} decimals")
    if fitted.adjusted() + 1 > kind.precision - kind.scale:
        raise ValueError(f"{text[:40]} is too large for {kind}")
    return fitted, True


def _one_by_one(texts: pa.Array, kind: pa.Decimal128Type, *, derived: bool) -> Numbers:
    values: list[decimal.Decimal | None] = []
    errors: dict[int, str] = {}
    rounded: set[int] = set()
    for row, text in enumerate(texts.to_pylist()):
        value = None
        if text is not None:
            try:
                value, was_rounded = read_one(text, kind, derived=derived)
                if was_rounded:
                    rounded.add(row)
            except ValueError as error:
                errors[row] = str(error)
        values.append(value)
    return Numbers(pa.array(values, kind), errors, frozenset(rounded))
