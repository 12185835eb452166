"""Asking a provider in tests: a request, its dialect, and a body that a vendor might send."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mdc_resources.calendars import get_calendar
from mdc_resources.config import ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Dialect, Page

RECEIVED = dt.datetime(2026, 11, 20, 21, 5, tzinfo=dt.UTC)
ASOF = RECEIVED.date()
MONDAY = dt.date(2024, 3, 4)
FRIDAY = dt.date(2024, 3, 8)
WEEK = tuple(MONDAY + dt.timedelta(days=day) for day in range(5))


def want(
    name: str,
    *symbols: str,
    dataset: Dataset = Dataset.BARS_1D,
    start: dt.date = MONDAY,
    end: dt.date = FRIDAY,
    calendar: str = "XNYS",
) -> FetchRequest:
    """A request to ``name`` for one week unless said otherwise."""
    return FetchRequest(name, dataset, tuple(map(Symbol, symbols)), start, end, calendar, ASOF, attempt=7)


def dialect_of(name: str, calendar: str = "XNYS", **settings: Any) -> Dialect:
    """The provider's dialect under ``settings``."""
    return Dialect(provider(name).spec, ProviderSettings(**settings), get_calendar(calendar))


def respond(body: bytes | str | object, status: int = 200, **headers: str) -> HttpResponse:
    """A response; what is neither bytes nor text is sent as JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return HttpResponse(status, headers, body, RECEIVED)


def decode(
    request: FetchRequest,
    body: bytes | str | object,
    *,
    status: int = 200,
    sent: HttpRequest | None = None,
    **settings: Any,
) -> Page:
    """Plan, then decode ``body`` as the answer."""
    found = provider(request.provider)
    dialect = dialect_of(request.provider, request.calendar, **settings)
    return found.decode(request, dialect, sent or found.plan(request, dialect), respond(body, status))


def refusal(
    request: FetchRequest, body: bytes | str | object, *, status: int = 200, **settings: Any
) -> ProviderError:
    """The error that decoding ``body`` must raise."""
    try:
        page = decode(request, body, status=status, **settings)
    except ProviderError as error:
        return error
    raise AssertionError(f"decoded without an error: {page}")


def rows(page: Page, dataset: Dataset = Dataset.BARS_1D) -> list[dict[str, Any]]:
    """The canonical rows of ``dataset``."""
    found: list[dict[str, Any]] = page.tables[dataset].to_pylist()
    return found


def prices(page: Page, column: str = "close", dataset: Dataset = Dataset.BARS_1D) -> list[str]:
    """One column in plain notation without trailing zeros."""
    return [plain(value) for value in page.tables[dataset].column(column).to_pylist()]


def plain(value: Decimal | None) -> str:
    """``1.500000000`` as ``1.5``."""
    return "null" if value is None else f"{value.normalize():f}"


def same(left: Page, right: Page) -> bool:
    """True if two pages say the same, to the order of rows and rejections."""
    tables = all(left.tables[name].equals(right.tables[name]) for name in left.tables | right.tables)
    return tables and left.rejected == right.rejected and left.dropped == right.dropped


def opened(session: dt.date, calendar: str = "XNYS") -> int:
    """Epoch seconds of the session's open."""
    return int(get_calendar(calendar).hours(session)[0].timestamp())


def chart(
    symbol: str = "AAPL",
    stamps: Sequence[Any] | None = None,
    close: Sequence[Any] | None = None,
    *,
    events: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    **columns: Sequence[Any],
) -> dict[str, Any]:
    """A Yahoo chart document in the documented shape; open, high and low follow ``close``."""
    stamps = [opened(session) for session in WEEK] if stamps is None else stamps
    close = [100.5 + at for at in range(len(stamps))] if close is None else close
    quote: dict[str, Any] = {name: list(close) for name in ("open", "high", "low", "close")}
    quote["volume"] = [1000 + at for at in range(len(stamps))]
    quote |= {name: list(values) for name, values in columns.items()}
    result: dict[str, Any] = {
        "meta": {
            "currency": "USD", "symbol": symbol, "exchangeName": "NMS", "instrumentType": "EQUITY",
            "firstTradeDate": 345479400, "gmtoffset": -18000, "exchangeTimezoneName": "America/New_York",
            "longName": "Apple Inc.", **(meta or {}),
        },
        "timestamp": list(stamps),
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [1.0] * len(stamps)}]},
    }  # fmt: skip
    if events is not None:
        result["events"] = dict(events)
    return {"chart": {"result": [result], "error": None}}


def bar(t: str, close: float | str = 100.5, **more: Any) -> dict[str, Any]:
    """An Alpaca bar; open, high and low follow ``close``."""
    return {"t": t, "o": close, "h": close, "l": close, "c": close, "v": 1000, "n": 10, "vw": 100.25, **more}


def bars_page(token: str | None = None, **groups: Any) -> dict[str, Any]:
    """An Alpaca page; ``BRK_B`` stands for ``BRK.B``."""
    return {
        "bars": {name.replace("_", "."): group for name, group in groups.items()},
        "next_page_token": token,
    }


def midnight(session: dt.date) -> str:
    """An Alpaca daily bar's timestamp: midnight in New York, as UTC."""
    instant = dt.datetime.combine(session, dt.time(), get_calendar("XNYS").tz)
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def csv_of(*lines: Sequence[object], header: Sequence[str] | None = None, end: str = "\r\n") -> str:
    """CSV text as Stooq sends it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(header or ("Date", "Open", "High", "Low", "Close", "Volume"))
    writer.writerows(lines)
    return out.getvalue()


def is_canonical(table: pa.Table, schema: pa.Schema) -> bool:
    """True if ``table`` has exactly ``schema`` and nulls only where it allows them."""
    return table.schema.equals(schema) and all(
        field.nullable or not table.column(field.name).null_count for field in schema
    )
