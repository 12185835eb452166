"""The sessions of one request as sorted columns, to find each row's session without a loop."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.schema.arrow import INSTANT

EPOCH = dt.date(1970, 1, 1).toordinal()
NO_DAY = -(2**31)  # a date that could not be read; no session ever has it
Days = npt.NDArray[np.int32]
Micros = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SessionColumns:
    """Sessions asked for, in date order: days since 1970, open and close in µs UTC."""

    days: Days
    opens: Micros
    closes: Micros

    @classmethod
    def of(cls, calendar: Calendar, request: FetchRequest) -> SessionColumns:
        """The sessions of ``request``'s range, both ends included."""
        dates = calendar.sessions(request.start, request.end)
        first = calendar.ordinal(dates[0]) if dates else 0
        hours = slice(first, first + len(dates))
        return cls(
            pa.array(dates, pa.date32()).view(pa.int32()).to_numpy(),
            pa.array(calendar.opens[hours], INSTANT).view(pa.int64()).to_numpy(),
            pa.array(calendar.closes[hours], INSTANT).view(pa.int64()).to_numpy(),
        )

    def find_days(self, days: Days) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Position of each day among the sessions, and whether it is one of them."""
        if not len(self.days):
            return np.zeros(len(days), np.intp), np.zeros(len(days), bool)
        at = np.minimum(np.searchsorted(self.days, days), len(self.days) - 1)
        return at, self.days[at] == days

    def find_instants(self, instants: Micros) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Position of the session whose regular hours ``[open, close)`` hold each instant."""
        if not len(self.days):
            return np.zeros(len(instants), np.intp), np.zeros(len(instants), bool)
        at = np.searchsorted(self.opens, instants, side="right") - 1
        inside = (at >= 0) & (instants < self.closes[np.maximum(at, 0)])
        return np.maximum(at, 0), inside


def day_of(date: dt.date) -> int:
    """Days since 1970-01-01."""
    return date.toordinal() - EPOCH


def date_of(day: int) -> dt.date:
    """Invert :func:`day_of`."""
    return dt.date.fromordinal(int(day) + EPOCH)


def micros_of(instant: dt.datetime) -> int:
    """Microseconds since 1970, of an aware instant with whole seconds."""
    return int(instant.timestamp()) * 1_000_000
