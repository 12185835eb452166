"""When a symbol meant what it means: first and last session under that name.

A ticker is reused and companies rename: ``FB`` before 2022-06-09 is not ``META``. Sessions outside a
symbol's listing are not expected of it, so they are no gaps.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mdc_resources.domain.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Listing:
    """Both dates are inclusive; None where nothing is known, which means no bound.

    ``successor`` is the symbol that goes on after ``last``, ``predecessor`` the one that ended before
    ``first``. ``origin`` says who told: the home's file, or the ledger's corporate actions.
    """

    symbol: Symbol
    first: dt.date | None = None
    last: dt.date | None = None
    successor: Symbol | None = None
    predecessor: Symbol | None = None
    origin: str = ""

    def covers(self, session: dt.date) -> bool:
        """True if the symbol was listed under its name on ``session``."""
        return (self.first is None or self.first <= session) and (self.last is None or session <= self.last)
