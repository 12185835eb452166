"""Yahoo's recorded answers: charts of two clients' test suites.

Left out are the invented files (``.fake``, ``notimestamp``: prices without stamps, which are refused),
funds and futures whose symbols are not ours, and the defective histories of yfinance-bad-data,
which are tables, not bodies: test_yahoo_defects reads those.
"""

from __future__ import annotations

import datetime as dt
import json

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_CLIENT = "yahoo/yahoo-finance2"
_PORTFOLIO = "yahoo/portfolio-performance"
_YEAR = (dt.date(2021, 2, 1), dt.date(2022, 1, 28))
_NEW_YEAR = (dt.date(2020, 1, 1), dt.date(2020, 1, 3))


def body_of(recorded: bytes) -> bytes:
    """The answer inside a recorded exchange."""
    return json.dumps(json.loads(recorded)["response"]["bodyJson"]).encode()


def _chart(
    name: str, symbol: str, rows: int, start: dt.date, end: dt.date, *,
    dataset: Dataset = Dataset.BARS_1D, calendar: str = "XNYS",
) -> Recording:  # fmt: skip
    path = f"{_CLIENT}/{name}.json"
    return Recording(path, dataset, (symbol,), start, end, rows, calendar=calendar, extract=body_of)


_NVDA = "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv"
_MSFT = "historical-via-chart-MSFT-dividends-2021-02-01-to-2022-01-31.csv"
_TSLA = "historical-via-chart-dividends-TSLA-no-dividends"

RECORDINGS = (
    _chart(_NVDA, "NVDA", 252, *_YEAR),
    _chart(_NVDA, "NVDA", 1, *_YEAR, dataset=Dataset.CORPORATE_ACTIONS),
    _chart(_MSFT, "MSFT", 252, *_YEAR),
    _chart(_MSFT, "MSFT", 4, *_YEAR, dataset=Dataset.CORPORATE_ACTIONS),
    _chart(_MSFT, "MSFT", 1, *_YEAR, dataset=Dataset.INSTRUMENTS),
    _chart(_TSLA, "TSLA", 3303, dt.date(2010, 6, 29), dt.date(2023, 8, 11)),
    *(
        _chart(f"chart-{symbol}-2020-01-01-to-2020-01-03", symbol, 1, *_NEW_YEAR)
        for symbol in ("AAPL", "ABBV", "AMZN", "BABA", "CRON", "EPAC", "GOOG", "QQQ", "SPOT")
    ),
    _chart("chart-OCDO.L-2020-01-01-to-2020-01-03", "OCDO.L", 1, *_NEW_YEAR, calendar="XLON"),
    # The live row of a running session: stamped with the last trade.
    Recording(
        f"{_PORTFOLIO}/yahoo_australian_quotes.json", Dataset.BARS_1D, ("ALL.AX",),
        dt.date(2021, 10, 13), dt.date(2022, 1, 13), 64, calendar="XASX",
    ),
    # A row of nulls, and one for a holiday.
    Recording(
        f"{_PORTFOLIO}/response_yahoo_historical02.json", Dataset.BARS_1D, ("MUV2.DE",),
        dt.date(2018, 4, 27), dt.date(2018, 5, 25), 19, calendar="XETR",
    ),
)  # fmt: skip
