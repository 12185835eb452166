"""Nasdaq Data Link's recorded answer: the last day of WIKI. The other bodies are errors, and no stock."""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_LAST = dt.date(2018, 3, 27)
RECORDINGS = tuple(
    Recording("nasdaq_data_link/beanprice/_test_valid_response.json", dataset, ("GOOGL",), _LAST, _LAST, rows)
    for dataset, rows in ((Dataset.BARS_1D, 1), (Dataset.CORPORATE_ACTIONS, 0), (Dataset.INSTRUMENTS, 1))
)
