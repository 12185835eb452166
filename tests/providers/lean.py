"""LEAN's daily files, as a yardstick: raw closes to a hundredth of a cent, and factors to adjust them by.

A line of a factor file holds for its date and all before it, back to the line above: raw times
``split`` is what a vendor's split-adjusted close is, times ``price`` too what a dividend-adjusted
one is, both on the basis of the file's last line.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

SYMBOLS = ("AAPL", "BAC", "SPY")


@dataclass(frozen=True, slots=True)
class Day:
    """One day as it traded."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True)
class Factor:
    """Up to ``last`` inclusive; ``reference`` is the raw close of that day."""

    last: dt.date
    price: Decimal
    split: Decimal
    reference: Decimal


def daily(payloads: Path, symbol: str) -> Mapping[dt.date, Day]:
    """Every day of ``symbol``; none where the file is absent."""
    path = payloads / "lean" / "equity" / "usa" / "daily" / f"{symbol.lower()}.zip"
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    found = {}
    for stamp, *prices, volume in csv.reader(io.StringIO(text)):
        day = dt.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))
        found[day] = Day(*(Decimal(price).scaleb(-4) for price in prices), int(Decimal(volume)))
    return found


def factors(payloads: Path, symbol: str) -> list[Factor]:
    """The factor file of ``symbol``, oldest line first."""
    path = payloads / "lean" / "equity" / "usa" / "factor_files" / f"{symbol.lower()}.csv"
    return [
        Factor(dt.date(int(d[:4]), int(d[4:6]), int(d[6:])), Decimal(p), Decimal(s), Decimal(r))
        for d, p, s, r in csv.reader(io.StringIO(path.read_text()))
    ]


def factor_at(lines: list[Factor], day: dt.date) -> Factor:
    """The line that holds for ``day``."""
    return lines[bisect_left([line.last for line in lines], day)]


def split_ratio(lines: list[Factor], day: dt.date) -> Fraction:
    """Shares of the file's last day for one share of ``day``: 28 for AAPL in 2012."""
    return 1 / Fraction(factor_at(lines, day).split).limit_denominator(2000)
