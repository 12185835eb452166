"""Tiingo's recorded answers: cassettes of its Python client.

Left out are weekly bars (their dates are ends of periods), CSV, single columns, lists of tickers and
crypto, none of which is asked for.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_CASSETTES = "tiingo/tiingo-python-vcr"


def first_answer(cassette: bytes) -> bytes:
    """The body of the first response of a vcr cassette."""
    import yaml

    text: str = yaml.safe_load(cassette)["interactions"][0]["response"]["body"]["string"]
    return text.encode()


def _recording(name: str, dataset: Dataset, start: dt.date, end: dt.date, rows: int) -> Recording:
    path = f"{_CASSETTES}/{name}.yaml"
    return Recording(path, dataset, ("GOOGL",), start, end, rows, extract=first_answer)


_TWO_WEEKS = (dt.date(2018, 1, 5), dt.date(2018, 1, 19))
_EQUIVALENT = "ticker_price_pandas_daily_equivalent_requesting_json_or_csv"

RECORDINGS = (
    _recording("ticker_price_with_date", Dataset.BARS_1D, dt.date(2015, 1, 1), dt.date(2015, 1, 5), 2),
    _recording("ticker_price_pandas_daily_metric_name", Dataset.BARS_1D, *_TWO_WEEKS, 10),
    _recording(_EQUIVALENT, Dataset.BARS_1D, *_TWO_WEEKS, 10),
    # The newest day has an offset where the others have a Z.
    _recording("ticker_price", Dataset.BARS_1D, dt.date(2018, 4, 12), dt.date(2018, 4, 12), 1),
    # Half hours: a row has the shape and the stamp of a minute's.
    _recording("intraday_price", Dataset.BARS_1M, dt.date(2018, 1, 2), dt.date(2018, 1, 2), 13),
    _recording(_EQUIVALENT, Dataset.CORPORATE_ACTIONS, *_TWO_WEEKS, 0),
    _recording("ticker_metadata", Dataset.INSTRUMENTS, dt.date(2017, 10, 6), dt.date(2017, 10, 6), 1),
)
