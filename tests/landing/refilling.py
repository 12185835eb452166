"""Torn partitions in a real lake: captured from a sandbox's own market, with holes cut into them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, HoleRow, Lake, Span, fingerprints
from mdc_resources.providers.registry import provider
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.schema.arrow import schema_of
from tests.homes import KEYS, make_home
from tests.providers.talking import Talk

MONDAY = dt.date(2024, 6, 3)
SECOND = 10**9
NOON = int(dt.datetime(2024, 6, 3, 16, tzinfo=dt.UTC).timestamp()) * SECOND
LAG = SECOND // 20
UNIVERSES = (
    '[universes.us]\ncalendar = "XNYS"\n[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\n'
)
ENVIRON = {**KEYS, "POLYGON_API_KEY": "key-of-the-test"}
QUICK = '[transport]\ndeadline_seconds = 2\nmax_retry_after_seconds = 1\n[recovery]\nfirst_pause = "10s"\n'
KRAKEN = ("kraken", "KRAKEN:BTC-USD", "24/7")
COINBASE = ("coinbase", "COINBASE:BTC-USD", "24/7")
ALPACA = ("alpaca", "AAPL", "XNYS")


@dataclass(frozen=True, slots=True)
class Torn:
    """One partition of a home: what the market had, and what was captured of it."""

    home: Home
    server: SandboxServer
    key: PartitionKey
    dataset: Dataset
    whole: pa.Table

    def rows(self) -> pa.Table:
        """What is stored now, in the order of capture."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            return lake.rows_of(self.dataset, [self.key]).cast(schema_of(self.dataset)).sort_by("ordinal")

    def holes(self) -> list[HoleRow]:
        """Its holes as they stand."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            return lake.holes(self.dataset)

    def spans(self) -> list[Span]:
        """Its spans as they stand."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            return lake.spans(self.dataset)

    def line(self) -> dict[str, Any]:
        """Its newest ledger line."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            (line,) = lake.coverage(self.dataset).to_pylist()
            return dict(line)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the lake."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            return lake.connect().execute(sql).fetchall()

    def is_sound(self) -> bool:
        """True if a deep verification finds nothing."""
        with contextlib.closing(Lake.open(self.home.lake_dir)) as lake:
            return lake.verify(deep=True) == []

    def fault(self, kind: str, **more: object) -> None:
        """Make every vendor misbehave."""
        httpx.post(f"{self.server.url}/_sandbox/faults", json={"kind": kind, **more}).raise_for_status()

    def calm(self) -> None:
        """End all faults and forget the requests."""
        httpx.delete(f"{self.server.url}/_sandbox/faults").raise_for_status()
        httpx.delete(f"{self.server.url}/_sandbox/requests").raise_for_status()

    def requests(self) -> int:
        """Requests since the last :meth:`calm`."""
        return int(httpx.get(f"{self.server.url}/_sandbox/requests").json()["total"])


def tear(
    root: Path,
    server: SandboxServer,
    holes: Sequence[tuple[int, int]],
    *,
    vendor: tuple[str, str, str] = KRAKEN,
    dataset: Dataset = Dataset.TRADES,
    extra: str = "",
    seconds: int = 600,
    providers: tuple[str, ...] = (),
) -> Torn:
    """A home whose one partition lacks what was received within ``holes`` (seconds after noon)."""
    name, symbol, calendar = vendor
    httpx.delete(f"{server.url}/_sandbox/faults").raise_for_status()
    text = UNIVERSES + QUICK + extra
    home = make_home(root / "home", server.url, providers=(name, *providers), extra=text, environ=ENVIRON)
    window = (NOON, NOON + seconds * SECOND)
    request = FetchRequest(name, dataset, (Symbol(symbol),), MONDAY, MONDAY, calendar, MONDAY, 1, window)
    said = Talk(provider(name), server, home).ask(request)
    assert (said.error, said.rejected) == (None, [])
    whole = said.table(dataset)
    key = PartitionKey(Symbol(symbol), MONDAY)
    torn = Torn(home, server, key, dataset, whole)
    store(torn, [(NOON + start * SECOND, NOON + end * SECOND) for start, end in holes], name)
    torn.calm()
    return torn


def store(torn: Torn, holes: Sequence[tuple[int, int]], feed: str) -> None:
    """Commit what was captured around ``holes``, as landing does."""
    captured = _captured(torn.whole, holes, f"sandbox:{feed}/live")
    line = CoverageRow(
        torn.dataset,
        torn.key.symbol,
        torn.key.session,
        PartitionState.PARTIAL,
        f"{len(holes)} holes open",
        f"sandbox:{feed}/live",
        row_count=captured.num_rows,
        fingerprint=fingerprints(torn.dataset, captured).get(torn.key, ""),
    )
    rows = [
        HoleRow(torn.dataset, torn.key, f"hole-{at}", feed, f"{feed}-0/{at}", "", start, end, "disconnect")
        for at, (start, end) in enumerate(holes)
    ]
    spans = [
        Span(torn.dataset, torn.key, row.start_ns, row.end_ns, line.source, "hole", row.reason)
        for row in rows
    ]
    with contextlib.closing(Lake.open(torn.home.lake_dir)) as lake:
        tables = {torn.dataset: captured} if captured.num_rows else {}
        lake.commit(CommitBatch("capture", 0, tables, [line], holes=rows, spans=spans))


def _captured(whole: pa.Table, holes: Sequence[tuple[int, int]], source: str) -> pa.Table:
    received = whole["ts_event"].to_numpy() + LAG
    heard = np.ones(whole.num_rows, bool)
    for start, end in holes:
        heard &= ~((received > start) & (received < end))
    table = whole
    for name, values in (
        ("ts_recv", pa.array(received)),
        ("ordinal", pa.array(np.arange(whole.num_rows))),
        ("source", pa.array([source] * whole.num_rows)),
    ):
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(at), values)
    return table.filter(pa.array(heard))


def facts(table: pa.Table) -> list[tuple[object, ...]]:
    """The rows by content, without where they came from."""
    names = [name for name in table.column_names if name not in ("ordinal", "source", "ts_recv")]
    return sorted(zip(*(table[name].to_pylist() for name in names), strict=True), key=repr)


def with_settings(home: Home, **environ: str) -> Home:
    """The same home under other settings."""
    return config.load(home.config_file, environ={**ENVIRON, **environ})


def without(torn: Torn, home: Home) -> Torn:
    """The same partition, seen through another home's settings."""
    return replace(torn, home=home)
