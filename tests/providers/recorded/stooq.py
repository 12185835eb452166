"""Stooq's recorded downloads: a US stock over two decades, and a currency over two centuries."""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

RECORDINGS = (
    Recording(
        "stooq/wegar-2/tsm_us_d.csv",
        Dataset.BARS_1D,
        ("TSM",),
        dt.date(2005, 2, 25),
        dt.date(2024, 12, 31),
        4995,
    ),
    Recording(
        "stooq/wegar-2/usdpln_d.csv",
        Dataset.BARS_1D,
        ("USDPLN",),
        dt.date(1990, 1, 1),
        dt.date(2025, 1, 8),
        8784,
        calendar="24/5",
    ),
)
