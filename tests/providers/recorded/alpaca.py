"""Answers of Alpaca as its own clients' tests keep them (hand-cut, but of the vendor's shape).

Some files end in spaces, which no answer does.
"""

from __future__ import annotations

import datetime as dt
import gzip

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

D = dt.date
_GO, _PY = "alpaca/alpaca-trade-api-go/rest_test__", "alpaca/alpaca-py/test_historical_stock_data__"


def _trades(path: str, symbols: tuple[str, ...], day: dt.date, rows: int) -> Recording:
    return Recording(path, Dataset.TRADES, symbols, day, day, rows, extract=bytes.strip)


def _quotes(path: str, symbols: tuple[str, ...], day: dt.date, rows: int) -> Recording:
    return Recording(path, Dataset.QUOTES, symbols, day, day, rows, extract=bytes.strip)


def _bars(path: str, symbols: tuple[str, ...], start: dt.date, end: dt.date, rows: int) -> Recording:
    return Recording(path, Dataset.BARS_1D, symbols, start, end, rows, extract=bytes.strip)


RECORDINGS: tuple[Recording, ...] = (
    _bars(f"{_GO}TestGetBars_Adjustment__1.json", ("GE",), D(2024, 4, 1), D(2024, 4, 2), 2),
    _bars(f"{_GO}TestGetBars_Asof__1.json", ("META",), D(2022, 6, 8), D(2022, 6, 9), 2),
    _bars(f"{_GO}TestGetBars_Asof__2.json", ("META",), D(2022, 6, 10), D(2022, 6, 13), 2),
    _bars(f"{_PY}test_get_bars.json", ("AAPL",), D(2022, 2, 1), D(2022, 2, 2), 2),
    _bars(f"{_PY}test_multisymbol_get_bars.json", ("AAPL", "TSLA"), D(2022, 3, 9), D(2022, 3, 9), 2),
    _bars(f"{_PY}test_get_bars_multi_empty_response.json", ("AAPL",), D(2022, 3, 9), D(2022, 3, 9), 0),
    _trades(f"{_GO}TestGetTrades__1.json", ("AAPL",), D(2021, 10, 13), 1),
    _trades(f"{_GO}TestGetMultiTrades__1.json", ("F", "GE"), D(2018, 6, 4), 4),
    _trades(f"{_PY}test_get_trades.json", ("AAPL",), D(2022, 3, 9), 2),
    _trades(f"{_PY}test_multisymbol_get_trades.json", ("AAPL", "TSLA"), D(2022, 3, 9), 2),
    _trades(f"{_PY}test_get_trades_multi_empty_response.json", ("AAPL",), D(2022, 3, 9), 0),
    Recording(
        "alpaca/alpaca-trade-api-go/trades.json.gz",
        Dataset.TRADES,
        ("AAPL",),
        D(2021, 10, 13),
        D(2021, 10, 13),
        5,
        extract=gzip.decompress,
    ),
    _quotes(f"{_GO}TestGetQuotes__1.json", ("IBM",), D(2021, 10, 4), 10),
    _quotes(f"{_GO}TestGetQuotes__2.json", ("IBM",), D(2021, 10, 4), 2),
    _quotes(f"{_GO}TestGetMultiQuotes__1.json", ("BA", "DIS"), D(2021, 9, 15), 6),
    _quotes(f"{_GO}TestGetQuotes_SortDesc__1.json", ("TSLA",), D(2023, 8, 16), 2),
    _quotes(f"{_PY}test_get_quotes.json", ("AAPL",), D(2022, 3, 9), 2),
    _quotes(f"{_PY}test_multisymbol_quotes.json", ("AAPL", "TSLA"), D(2022, 3, 9), 2),
    _quotes(f"{_PY}test_get_quotes_multi_empty_response.json", ("AAPL",), D(2022, 3, 9), 0),
    Recording(
        "alpaca/alpaca-py/test_corporate_actions__test_get_corporate_actions.json",
        Dataset.CORPORATE_ACTIONS,
        ("MNTS", "SRE", "MSBC", "FCF", "BSAQ", "ATNXQ"),
        D(2023, 5, 1),
        D(2023, 10, 13),
        6,
        extract=bytes.strip,
    ),
)
