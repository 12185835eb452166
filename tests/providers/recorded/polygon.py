"""Polygon's recorded answers: test bodies of the vendor's own Python client.

Their nanoseconds went through doubles and end in 00. The dividends are the second list of a chain and
not what a plan asks first, so test_polygon_facts reads them. Grouped bars, last trades, snapshots and
crypto are not what is asked for.
"""

from __future__ import annotations

import datetime as dt
import json

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_MOCKS = "polygon/client-python-mocks"
_CURSOR = (
    "YXA9MTkyODgxNjYmYXM9JmxpbWl0PTEwJm9yZGVyPWRlc2Mmc29ydD10aW1lc3RhbXAmdGltZXN0YW1wLmx0ZT0yMDIyLTA1LTEw"
    "VDE0JTNBMTElM0ExMi42OTA2NjExODla"
)


def facts_of_shop(body: bytes) -> bytes:
    """The list as it would be for one ticker: recorded was one for all."""
    document = json.loads(body)
    document["results"] = [fact for fact in document["results"] if fact["ticker"] == "SHOP"]
    return json.dumps(document).encode()


RECORDINGS = (
    Recording(
        f"{_MOCKS}/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json",
        Dataset.BARS_1D,
        ("AAPL",),
        dt.date(2005, 4, 1),
        dt.date(2005, 4, 4),
        rows=2,
        settings={"basis": "split"},
    ),
    Recording(
        f"{_MOCKS}/v2/aggs/ticker/AAPL/range/1/day/2005-04-02/2005-04-04.json",
        Dataset.BARS_1D,
        ("AAPL",),
        dt.date(2005, 4, 2),
        dt.date(2005, 4, 4),
        rows=1,  # the other row is of the Friday before
        settings={"basis": "split"},
    ),
    Recording(
        f"{_MOCKS}/v3/trades/AAPL&limit=2.json",
        Dataset.TRADES,
        ("AAPL",),
        dt.date(2022, 4, 28),
        dt.date(2022, 4, 28),
        rows=2,
    ),
    Recording(
        f"{_MOCKS}/v3/quotes/AAPL.json",
        Dataset.QUOTES,
        ("AAPL",),
        dt.date(2022, 5, 10),
        dt.date(2022, 5, 10),
        rows=10,
    ),
    Recording(
        f"{_MOCKS}/v3/quotes/AAPL&cursor={_CURSOR}.json",
        Dataset.QUOTES,
        ("AAPL",),
        dt.date(2022, 5, 10),
        dt.date(2022, 5, 10),
        rows=10,
    ),
    Recording(
        f"{_MOCKS}/v3/reference/splits.json",
        Dataset.CORPORATE_ACTIONS,
        ("SHOP",),
        dt.date(2022, 6, 1),
        dt.date(2022, 6, 30),
        rows=2,
        extract=facts_of_shop,
    ),
    Recording(
        f"{_MOCKS}/v3/reference/tickers/AAPL.json",
        Dataset.INSTRUMENTS,
        ("AAPL",),
        dt.date(2022, 5, 2),
        dt.date(2022, 5, 2),
        rows=1,
    ),
    Recording(
        f"{_MOCKS}/v3/reference/tickers/AAPL&date=2020-10-01.json",
        Dataset.INSTRUMENTS,
        ("AAPL",),
        dt.date(2020, 10, 1),
        dt.date(2020, 10, 1),
        rows=1,
    ),
)
