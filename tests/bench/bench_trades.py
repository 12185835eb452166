"""Ticks: a page of trades from JSON to the lake, beside pandas and bare pyarrow; a session's memory.

Pages are 10,000 trades of Alpaca, as the sandbox writes them. ``mdc`` does all of it: decode, check,
spool, see to the order, Parquet, fingerprint, commit, one session a run. pandas reads the same pages
with ``read_json`` and writes them with ``to_parquet``, its defaults; pyarrow only parses.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from mdc_resources.lake import CommitBatch, Lake
from tests.memory import peak_mb

SYMBOL, SESSION = "AAPL", dt.date(2025, 6, 2)
BUSY = dt.date(2024, 6, 3)
ROUNDS = 5
Figure = tuple[str, float, str, str, float | None, str]


def trades_to_lake() -> list[Figure]:
    """Rows a second and bytes a row, against the two yardsticks."""
    bodies, rows = _pages()
    with tempfile.TemporaryDirectory() as folder:
        lakes = [Lake.create(Path(folder) / f"lake{number}") for number in range(ROUNDS)]
        ours = _best(lambda number: _lake(bodies, lakes[number]))
        for lake in lakes:
            lake.close()
        pandas = _best(lambda number: _pandas(bodies, Path(folder) / f"pandas{number}"))
        arrow = _best(lambda _: _arrow(bodies))
    rate, size = rows / ours[0], ours[1] / rows
    return [
        (
            "trades to lake: rows/s",
            rate,
            "",
            "pandas.read_json + to_parquet",
            rate * pandas[0] / rows,
            ">= 3",
        ),
        ("trades to lake: bytes/row", size, "B", "pandas' Parquet", size * rows / pandas[1], "<= 0.5"),
        ("trades to lake: rows/s", rate, "", "bare pyarrow.json", rate * arrow[0] / rows, ">= 0.5"),
    ]


def busy_session() -> list[Figure]:
    """Peak memory of a backfill of some four million trades, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as vendor,
        ProcessPoolExecutor(1, mp_context=context) as us,
    ):
        url = vendor.submit(_serve).result()
        rows, seconds, peak = us.submit(_backfill, url).result()
    return [
        (f"session of {rows / 1e6:.1f} million: peak memory", peak, "MB", "limit, 600", peak / 600, "<= 1"),
        ("that session: rows/s", rows / seconds, "", "", None, ""),
    ]  # fmt: skip


def _pages() -> tuple[list[bytes], int]:
    """The session's pages as bytes, and its trades."""
    from mdc_resources.sandbox.answers import Page, Query
    from mdc_resources.sandbox.dialects.alpaca import Alpaca
    from mdc_resources.sandbox.market import Market

    dialect = Alpaca(Market.synthetic(seed=7))
    headers = {"apca-api-key-id": "key", "apca-api-secret-key": "secret"}
    params = {
        "symbols": SYMBOL,
        "start": "2025-06-02T00:00:00Z",
        "end": "2025-06-02T23:00:00Z",
        "limit": "10000",
    }
    bodies, rows = [], 0
    while True:
        page = dialect.respond(Query("/v2/stocks/trades", params, headers))
        assert isinstance(page, Page)
        bodies.append(page.answer().body)
        document = json.loads(bodies[-1])
        rows += len(document["trades"][SYMBOL])
        if document["next_page_token"] is None:
            return bodies, rows
        params = {**params, "page_token": document["next_page_token"]}


def _best(run: Callable[[int], int]) -> tuple[float, int]:
    """Seconds of the fastest of some rounds, and what it returned."""
    found = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        result = run(number)
        found.append((time.perf_counter() - began, result))
    return min(found)


def _lake(bodies: list[bytes], lake: Lake) -> int:
    """All of it through our code, the disk included; bytes of the lake's file."""
    from mdc_resources.calendars import get_calendar
    from mdc_resources.config import ProviderSettings
    from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.domain.requests import FetchRequest, HttpResponse
    from mdc_resources.domain.symbols import Symbol
    from mdc_resources.ingest.events import AHEAD, Stream
    from mdc_resources.ingest.spool import Spool
    from mdc_resources.providers.registry import provider
    from mdc_resources.providers.spec import Dialect

    key = PartitionKey(Symbol(SYMBOL), SESSION)
    alpaca = provider("alpaca")
    dialect = Dialect(alpaca.spec, ProviderSettings(), get_calendar("XNYS"))
    request = FetchRequest("alpaca", Dataset.TRADES, (key.symbol,), SESSION, SESSION, "XNYS", SESSION)
    stream = Stream(Spool(lake.root / "spool", Dataset.TRADES, key, dialect.source))
    wire = alpaca.plan(request, dialect)
    with ThreadPoolExecutor(1) as thread:  # as the run does it: a page is spooled while the next is decoded
        writing = deque[Future[None]]()
        for body in bodies:
            page = alpaca.decode(request, dialect, wire, HttpResponse(200, {}, body, dt.datetime.now(dt.UTC)))
            if len(writing) >= AHEAD:
                writing.popleft().result()
            writing.append(thread.submit(stream.take, page))
        for one in writing:
            one.result()
    spooled = stream.finish().spooled
    assert spooled is not None
    line = CoverageRow(
        Dataset.TRADES, key.symbol, key.session, PartitionState.PRESENT, "", dialect.source,
        row_count=spooled.file.rows, fingerprint=spooled.fingerprint,
    )  # fmt: skip
    lake.commit(CommitBatch("bench", 1, {}, [line], files=[spooled.file]))
    return sum(path.stat().st_size for path in lake.root.rglob("main/trades/**/*.parquet"))


def _pandas(bodies: list[bytes], folder: Path) -> int:
    """What one would write without us: a frame a page, one file in the end."""
    import pandas as pd

    frames = []
    for body in bodies:
        # read_json itself has no way to a key inside: the rows alone are handed to it.
        rows = body[body.index(b"[") : body.rindex(b"]") + 1]
        frames.append(pd.read_json(io.BytesIO(rows), convert_dates=["t"]))
    folder.mkdir()
    path = folder / "trades.parquet"
    pd.concat(frames, ignore_index=True).to_parquet(path)
    return path.stat().st_size


def _arrow(bodies: list[bytes]) -> int:
    """Parsing alone, into whatever types it finds."""
    import pyarrow.json as paj

    return sum(
        paj.read_json(io.BytesIO(body), read_options=paj.ReadOptions(block_size=len(body) + 1)).num_rows
        for body in bodies
    )


def _serve() -> str:
    """A sandbox that lives as long as its process; the session's ticks are made once, beforehand."""
    from mdc_resources.sandbox.market import Market
    from mdc_resources.sandbox.server import SandboxServer
    from mdc_resources.sandbox.ticks import trades_of

    market = Market.synthetic(seed=7)
    trades_of(market, "BUSY", BUSY)
    server = SandboxServer(market=market)
    server.__enter__()
    return server.url


def _backfill(url: str) -> tuple[int, float, float]:
    """Rows, seconds, megabytes."""
    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.domain.symbols import Symbol
    from mdc_resources.ingest import Want, backfill
    from tests.homes import make_home

    with tempfile.TemporaryDirectory() as folder:
        home = make_home(Path(folder) / "home", url, providers=("alpaca",))
        began = time.perf_counter()
        outcome = backfill(home, Want(Dataset.TRADES, (Symbol("BUSY"),), BUSY, BUSY), run_id="bench")
        seconds = time.perf_counter() - began
    assert outcome.rows > 1_000_000, outcome.errors
    return outcome.rows, seconds, peak_mb()


BENCHES: tuple[Callable[[], list[Figure]], ...] = (trades_to_lake, busy_session)
