"""Tiingo's rows in tests, as text where a number's own characters matter."""

from __future__ import annotations

import datetime as dt

from tests.providers.asking import WEEK


def day(
    date: dt.date | str, close: str = "100.5", *, cash: str = "0.0", factor: str = "1.0", **more: str
) -> str:
    """One day as text; the adjusted columns are something else altogether."""
    stamp = date if isinstance(date, str) else f"{date}T00:00:00.000Z"
    cells = {
        "date": f'"{stamp}"',
        "close": close,
        "high": close,
        "low": close,
        "open": close,
        "volume": "1000",
    }
    adjusted = {f"adj{name.title()}": "14.621410714285714" for name in ("close", "high", "low", "open")}
    return _object({**cells, **adjusted, "adjVolume": "7", "divCash": cash, "splitFactor": factor, **more})


def week(**more: str) -> list[str]:
    """Five days from 100.5 up."""
    return [day(date, f"{100.5 + at}", **more) for at, date in enumerate(WEEK)]


def minute(stamp: str, close: str = "100.5", **more: str) -> str:
    """One minute of IEX as text."""
    cells = {
        "date": f'"{stamp}"',
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": "120.0",
    }
    return _object({**cells, **more})


def listed(*rows: str) -> str:
    """A body."""
    return f"[{','.join(rows)}]"


def _object(cells: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in cells.items() if text) + "}"
