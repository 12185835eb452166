"""Alpha Vantage's recorded answers: daily bars of two cassettes, minutes, an overview.

The minutes are of 2017, when a stamp was the end of its minute; all of them lie inside the session
either way. The extended CSV is a form that is not asked for.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording


def first_content(cassette: bytes) -> bytes:
    """The first response of a vcr cassette."""
    import yaml

    content: str = yaml.safe_load(cassette)["interactions"][0]["response"]["content"]
    return content.encode()


RECORDINGS = (
    Recording(
        "alpha_vantage/tickertrace-vcr/alpha_vantage_get_prices.yaml",
        Dataset.BARS_1D,
        ("IBM",),
        dt.date(2023, 6, 22),
        dt.date(2023, 11, 10),
        rows=100,
        extract=first_content,
    ),
    Recording(
        "alpha_vantage/tickertrace-vcr/test_post_ticker_prices.yaml",
        Dataset.BARS_1D,
        ("IBM",),
        dt.date(2023, 10, 2),
        dt.date(2023, 11, 10),
        rows=30,
        extract=first_content,
    ),
    Recording(
        "alpha_vantage/romeltorres/mock_time_series.json",
        Dataset.BARS_1M,
        ("MSFT",),
        dt.date(2017, 12, 18),
        dt.date(2017, 12, 18),
        rows=100,
    ),
    Recording(
        "alpha_vantage/romeltorres/mock_company_overview.json",
        Dataset.INSTRUMENTS,
        ("IBM",),
        dt.date(2023, 11, 10),
        dt.date(2023, 11, 10),
        rows=1,
    ),
)
