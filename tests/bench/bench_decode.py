"""Decoding: page bytes to Arrow with exact decimals, beside the standard library and bare pyarrow.

Each figure is the best of several rounds. The yardsticks do less: the standard library's page is
parsed into Decimals and put into one Arrow table, the bare parser's stops at nested Arrow arrays;
neither checks symbols, range, order or duplicates, nor fills the canonical columns.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json as paj

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Dialect
from mdc_resources.schema.arrow import PRICE, SIZE

Figure = tuple[str, float, str, str, float | None, str]
SYMBOLS = tuple(Symbol(name) for name in ("AAPL", "IBM", "MSFT"))
_ROWS = 10_000
_RUNS = 20


def decode_alpaca_page() -> list[Figure]:
    """A full page of one-minute bars of three symbols (10,000 rows)."""
    calendar = get_calendar("XNYS")
    body = _alpaca_page(calendar)
    sessions = calendar.sessions(dt.date(2024, 1, 2), dt.date(2024, 2, 1))
    request = FetchRequest(
        "alpaca", Dataset.BARS_1M, SYMBOLS, sessions[0], sessions[-1], "XNYS", dt.date(2024, 6, 3)
    )
    ours, rows = _decoder("alpaca", request, body, calendar)
    assert rows == _ROWS, rows
    return _figures(
        "alpaca page", (ours, lambda: _alpaca_stdlib(body), lambda: _alpaca_bare(body)), request, body
    )


def decode_yahoo_page() -> list[Figure]:
    """Ten years of daily bars of one symbol in one chart."""
    calendar = get_calendar("XNYS")
    sessions = calendar.sessions(dt.date(2014, 1, 2), dt.date(2023, 12, 29))
    body = _yahoo_page(calendar, sessions)
    request = FetchRequest(
        "yahoo", Dataset.BARS_1D, SYMBOLS[:1], sessions[0], sessions[-1], "XNYS", dt.date(2024, 6, 3)
    )
    ours, rows = _decoder("yahoo", request, body, calendar)
    assert rows == len(sessions), rows
    return _figures(
        "yahoo chart", (ours, lambda: _yahoo_stdlib(body), lambda: _yahoo_bare(body)), request, body
    )


BENCHES: tuple[Callable[[], list[Figure]], ...] = (decode_alpaca_page, decode_yahoo_page)


def _figures(
    name: str, contestants: tuple[Callable[[], object], ...], request: FetchRequest, body: bytes
) -> list[Figure]:
    mine, theirs, floor = _best_ms(contestants)
    peak, size = _peak_mb(request, body), len(body) / 1e6
    return [
        (
            f"{name} -> canonical table",
            mine,
            "ms",
            f"stdlib json, Decimal, Arrow {theirs:.1f} ms",
            theirs / mine,
            ">= 1.8",
        ),
        (
            f"{name} -> canonical table",
            mine,
            "ms",
            f"bare pyarrow.json {floor:.1f} ms",
            mine / floor,
            "beside",
        ),
        (f"{name}, peak memory", peak, "MB", f"body {size:.1f} MB", peak / size, "beside"),
    ]


def _decoder(
    name: str, request: FetchRequest, body: bytes, calendar: Calendar
) -> tuple[Callable[[], object], int]:
    found = provider(name)
    dialect = Dialect(found.spec, ProviderSettings(), calendar)
    wire = found.plan(request, dialect)
    response = HttpResponse(
        200, {"content-type": "application/json"}, body, dt.datetime(2024, 6, 3, tzinfo=dt.UTC)
    )
    first = found.decode(request, dialect, wire, response).tables[request.dataset]
    return lambda: found.decode(request, dialect, wire, response), first.num_rows


def _best_ms(contestants: Sequence[Callable[[], object]]) -> list[float]:
    """The best of several rounds, the contestants taking turns: what else runs here hits all alike."""
    best = [float("inf")] * len(contestants)
    for _ in range(_RUNS):
        for at, run in enumerate(contestants):
            started = time.perf_counter()
            run()
            best[at] = min(best[at], (time.perf_counter() - started) * 1000)
    return best


def _peak_mb(request: FetchRequest, body: bytes) -> float:
    """Arrow's and Python's highest allocations, added, while a fresh process decodes ``body`` once."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_decode", "--peak", request.provider, request.dataset,
         ",".join(request.symbols), request.start.isoformat(), request.end.isoformat()],
        input=body, capture_output=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return float(said.stdout)


def _report_peak(name: str, dataset: str, symbols: str, start: str, end: str) -> None:
    calendar = get_calendar("XNYS")
    body = sys.stdin.buffer.read()
    wanted = tuple(Symbol(symbol) for symbol in symbols.split(","))
    days = (dt.date.fromisoformat(start), dt.date.fromisoformat(end))
    request = FetchRequest(name, Dataset(dataset), wanted, *days, "XNYS", dt.date(2024, 6, 3))
    found = provider(name)
    dialect = Dialect(found.spec, ProviderSettings(), calendar)
    response = HttpResponse(200, {}, body, dt.datetime(2024, 6, 3, tzinfo=dt.UTC))
    wire = found.plan(request, dialect)
    tracemalloc.start()
    found.decode(request, dialect, wire, response)
    peak = tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory()
    sys.stdout.write(str(peak / 1e6))


def _alpaca_page(calendar: Calendar) -> bytes:
    chance = random.Random(7)
    bars: dict[str, list[dict[str, object]]] = {}
    minutes = [
        calendar.hours(session)[0] + dt.timedelta(minutes=minute)
        for session in calendar.sessions(dt.date(2024, 1, 2), dt.date(2024, 1, 12))
        for minute in range(calendar.minutes(session))
    ]
    left = _ROWS
    for symbol in SYMBOLS:
        rows = []
        for minute in minutes[: min(left, -(-_ROWS // len(SYMBOLS)))]:
            price = round(chance.uniform(90, 400), 4)
            rows.append(
                {
                    "t": minute.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "o": price,
                    "h": round(price + chance.random(), 4),
                    "l": round(price - chance.random(), 4),
                    "c": round(price + chance.uniform(-0.1, 0.1), 4),
                    "v": chance.randrange(100, 900_000),
                    "n": chance.randrange(1, 9000),
                    "vw": round(price, 6),
                }
            )
        left -= len(rows)
        bars[symbol] = rows
    return json.dumps({"bars": bars, "next_page_token": None}, separators=(",", ":")).encode()


def _yahoo_page(calendar: Calendar, sessions: tuple[dt.date, ...]) -> bytes:
    chance = random.Random(7)
    prices = [float(np.float32(chance.uniform(20, 400))) for _ in sessions]
    quote = dict.fromkeys(("open", "high", "low", "close"), prices)
    result = {
        "meta": {"symbol": SYMBOLS[0], "currency": "USD", "exchangeTimezoneName": "America/New_York"},
        "timestamp": [int(calendar.hours(session)[0].timestamp()) for session in sessions],
        "indicators": {
            "quote": [{**quote, "volume": [chance.randrange(10**6, 10**9) for _ in sessions]}],
            "adjclose": [{"adjclose": prices}],
        },
    }
    return json.dumps({"chart": {"result": [result], "error": None}}, separators=(",", ":")).encode()


def _alpaca_stdlib(body: bytes) -> pa.Table:
    bars = json.loads(body, parse_float=Decimal)["bars"]
    rows = [bar for group in bars.values() for bar in group]
    stamps = [dt.datetime.fromisoformat(bar["t"]) for bar in rows]
    columns = {key: pa.array([Decimal(bar[key]) for bar in rows], PRICE) for key in "ohlc"}
    return pa.table(
        {
            "symbol": [symbol for symbol, group in bars.items() for _ in group],
            "ts": pa.array(stamps, pa.timestamp("us", "UTC")),
            **columns,
            "volume": pa.array([Decimal(bar["v"]) for bar in rows], SIZE),
            "trade_count": pa.array([bar["n"] for bar in rows], pa.int64()),
            "vwap": pa.array([float(bar["vw"]) for bar in rows], pa.float64()),
        }
    )


def _alpaca_bare(body: bytes) -> pa.Table:
    bar = pa.struct(
        [
            ("t", pa.string()),
            *((key, PRICE) for key in "ohlc"),
            ("v", SIZE),
            ("n", pa.int64()),
            ("vw", pa.float64()),
        ]
    )
    return _bare(body, pa.schema([("bars", pa.struct([(symbol, pa.list_(bar)) for symbol in SYMBOLS]))]))


def _yahoo_stdlib(body: bytes) -> pa.Table:
    result = json.loads(body)["chart"]["result"][0]
    quote = result["indicators"]["quote"][0]
    columns = {
        name: pa.array([Decimal(str(np.float32(value))) for value in quote[name]], PRICE)
        for name in ("open", "high", "low", "close")
    }
    stamps = [dt.datetime.fromtimestamp(second, dt.UTC) for second in result["timestamp"]]
    volume = pa.array([Decimal(value) for value in quote["volume"]], SIZE)
    return pa.table({"ts": pa.array(stamps, pa.timestamp("us", "UTC")), **columns, "volume": volume})


def _yahoo_bare(body: bytes) -> pa.Table:
    doubles = pa.list_(pa.float64())
    quote = pa.struct([(name, doubles) for name in ("open", "high", "low", "close", "volume")])
    result = pa.struct(
        [("timestamp", pa.list_(pa.int64())), ("indicators", pa.struct([("quote", pa.list_(quote))]))]
    )
    return _bare(body, pa.schema([("chart", pa.struct([("result", pa.list_(result))]))]))


def _bare(body: bytes, schema: pa.Schema) -> pa.Table:
    return paj.read_json(
        io.BytesIO(body),
        read_options=paj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=paj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        _report_peak(*sys.argv[2:])
        raise SystemExit
    for bench in BENCHES:
        for name, value, unit, yardstick, ratio, target in bench():
            print(f"{name:34} {value:8.2f} {unit}   {yardstick:42} x{ratio or 0:.2f}   {target}")
