"""Finnhub: no recorded JSON body is at hand, only seven rows of its csv form that someone quoted."""

from __future__ import annotations

import csv
import datetime as dt
import io

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording


def candles_of(quoted: bytes) -> bytes:
    """The quoted csv rows as the candles' JSON: the same number texts, as parallel arrays."""
    rows = list(csv.DictReader(io.StringIO(quoted.decode())))
    arrays = ",".join(
        f'"{name}":[{",".join(row[name] for row in rows)}]' for name in ("c", "h", "l", "o", "t", "v")
    )
    return f'{{{arrays},"s":"ok"}}'.encode()


RECORDINGS = (
    Recording(
        "_quoted/finnhub_candles_AAPL_D_issue439.csv",
        Dataset.BARS_1D,
        ("AAPL",),
        dt.date(2012, 1, 3),
        dt.date(2012, 1, 11),
        rows=7,
        extract=candles_of,
    ),
)
