"""Coinbase's recorded answers: products of the Exchange.

Of its candles and trades there is no recording: the documents named ``http_*`` belong to Advanced Trade,
whose endpoints are not asked, and their values are invented.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

from mdc_resources.domain.datasets import Dataset
from tests.providers.recording import Recording

_RECORDED = dt.date(2021, 4, 17)


def product(name: str) -> Callable[[bytes], bytes]:
    """One product of the captured list, as its own endpoint sends it."""

    def extract(content: bytes) -> bytes:
        listed = json.loads(content.split(b"\n", 1)[0].split(b": ", 1)[1])
        return json.dumps(next(found for found in listed if found["id"] == name)).encode()

    return extract


RECORDINGS = tuple(
    Recording(
        "coinbase/cryptofeed/COINBASE.0",
        Dataset.INSTRUMENTS,
        (f"COINBASE:{name}",),
        _RECORDED,
        _RECORDED,
        rows=1,
        calendar="24/7",
        extract=product(name),
    )
    for name in ("SKL-EUR", "CGLD-EUR", "DASH-BTC")
)
