"""Bars that were not over when they were told: never final, whatever the vendor sends.

A day counts as running until its session closes, a minute until it has passed. What is taken away
here is named, so that the partition stays open.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bars import AssembledBars
from mdc_resources.providers.spec import Dialect

_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finished:
    """Bars without those still running, and the partitions that were running."""

    bars: AssembledBars
    incomplete: tuple[tuple[Symbol, dt.date], ...]


def finished(
    bars: AssembledBars, *, request: FetchRequest, dialect: Dialect, received_at: dt.datetime
) -> Finished:
    """``bars`` of ``request`` as far as they were over at ``received_at``; the others count as dropped."""
    calendar = dialect.calendar
    running = [
        session
        for session in calendar.sessions(request.start, request.end)
        if calendar.hours(session)[1] > received_at
    ]
    if not running:
        return Finished(bars, ())
    table = bars.table
    if request.dataset is Dataset.BARS_1D:
        over = pc.less(table["session"], pa.scalar(running[0], pa.date32()))
    else:
        over = pc.less_equal(table["ts"], pa.scalar(received_at - _MINUTE, table.schema.field("ts").type))
    kept = table.filter(over)
    return Finished(
        replace(bars, table=kept, dropped=bars.dropped + table.num_rows - kept.num_rows),
        tuple((symbol, session) for symbol in request.symbols for session in running),
    )
