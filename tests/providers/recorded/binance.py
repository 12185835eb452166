"""Binance's recorded answers: a page of klines, one of aggregate trades, symbols, two files of klines.

The documents' weekly kline is no candle of a day or a minute, and is left out.
"""

from __future__ import annotations

import datetime as dt
import json

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_FIXTURES = "binance/nautilus"
_RECORDED = dt.date(2021, 10, 22)


def rows_of_csv(content: bytes) -> bytes:
    """A bulk file as the page of klines it was made from: texts, but for the times and the count."""
    whole = (0, 6, 8)
    rows = [line.split(",") for line in content.decode().split()]
    return json.dumps(
        [[int(cell) if at in whole else cell for at, cell in enumerate(row)] for row in rows]
    ).encode()


def body_of_capture(content: bytes) -> bytes:
    """The first body of a capture: ``<url> -> <epoch>: <body>``."""
    return content.split(b"\n", 1)[0].split(b": ", 1)[1]


RECORDINGS = (
    Recording(
        f"{_FIXTURES}/http_spot_market_klines.json",
        Dataset.BARS_1M,
        ("BINANCE:BTC-USDT",),
        _RECORDED,
        _RECORDED,
        rows=10,
        calendar="24/7",
    ),
    Recording(
        f"{_FIXTURES}/ADABTC-1m-2021-11-27.csv",
        Dataset.BARS_1M,
        ("BINANCE:ADA-BTC",),
        dt.date(2021, 11, 27),
        dt.date(2021, 11, 27),
        rows=10,
        calendar="24/7",
        extract=rows_of_csv,
    ),
    Recording(
        f"{_FIXTURES}/ADABTC-1m-2021-11-28.csv",
        Dataset.BARS_1M,
        ("BINANCE:ADA-BTC",),
        dt.date(2021, 11, 28),
        dt.date(2021, 11, 28),
        rows=11,
        calendar="24/7",
        extract=rows_of_csv,
    ),
    Recording(
        f"{_FIXTURES}/http_spot_market_agg_trades.json",
        Dataset.TRADES,
        ("BINANCE:BTC-USDT",),
        _RECORDED,
        _RECORDED,
        rows=10,
        calendar="24/7",
    ),
    Recording(
        f"{_FIXTURES}/http_spot_market_exchange_info.json",
        Dataset.INSTRUMENTS,
        ("BINANCE:BTC-USDT",),
        _RECORDED,
        _RECORDED,
        rows=1,
        calendar="24/7",
    ),
    Recording(
        f"{_FIXTURES}/docs_spot_exchange_info_response.json",
        Dataset.INSTRUMENTS,
        ("BINANCE:ETH-BTC",),
        _RECORDED,
        _RECORDED,
        rows=1,
        calendar="24/7",
    ),
    Recording(
        "binance/cryptofeed/BINANCE_US.0",
        Dataset.INSTRUMENTS,
        ("BINANCE:BTC-USD",),
        dt.date(2021, 10, 12),
        dt.date(2021, 10, 12),
        rows=1,
        calendar="24/7",
        extract=body_of_capture,
    ),
)
