"""Kraken's recorded answers: its pairs, all at once and one alone. Of candles and trades there is none.

The tokenized shares of ``http_asset_pairs_tokenized.json`` have names in mixed case, which no symbol has.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from tests.providers.recorded.binance import body_of_capture
from tests.providers.recording import Recording

_RECORDED = dt.date(2021, 4, 17)
RECORDINGS = (
    *(
        Recording(
            "kraken/cryptofeed/KRAKEN.0",
            Dataset.INSTRUMENTS,
            (f"KRAKEN:{name}",),
            _RECORDED,
            _RECORDED,
            rows=1,
            calendar="24/7",
            extract=body_of_capture,
        )
        for name in ("BTC-USD", "DOGE-EUR", "AAVE-ETH", "ETH-BTC", "BTC-USDT", "XTZ-USD")
    ),
    Recording(
        "kraken/nautilus/http_asset_pairs.json",
        Dataset.INSTRUMENTS,
        ("KRAKEN:BTC-USDT",),
        dt.date(2024, 6, 3),
        dt.date(2024, 6, 3),
        rows=1,
        calendar="24/7",
    ),
)
