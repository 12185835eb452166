"""Windowed history: a part of a session, asked of each vendor's dialect, is exactly that part."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.events import window_of
from mdc_resources.providers.registry import provider
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.transport import notes
from mdc_resources.transport.archive_reader import ArchivedExchange, read_archive
from tests.providers.asking import dialect_of
from tests.providers.talking import Talk

MONDAY = dt.date(2024, 6, 3)
SECOND = 10**9
NOON = int(dt.datetime(2024, 6, 3, 16, tzinfo=dt.UTC).timestamp()) * SECOND
HOUR = (NOON, NOON + 3600 * SECOND)
VENDORS = {
    "alpaca": ("AAPL", "XNYS"),
    "polygon": ("AAPL", "XNYS"),
    "kraken": ("KRAKEN:BTC-USD", "24/7"),
    "coinbase": ("COINBASE:BTC-USD", "24/7"),
    "binance": ("BINANCE:BTC-USDT", "24/7"),
}
Ask = Callable[[str, Dataset, tuple[int, int] | None], pa.Table]


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


@pytest.fixture
def ask(vendor: SandboxServer, tmp_path: Path) -> Ask:
    """Ask one vendor for its symbol's window of Monday."""

    def asked(name: str, dataset: Dataset, window: tuple[int, int] | None) -> pa.Table:
        talk = Talk.open(provider(name), vendor, tmp_path / name)
        said = talk.ask(_request(name, dataset, window))
        assert (said.error, said.rejected, said.incomplete) == (None, [], set())
        return said.table(dataset)

    return asked


def _request(name: str, dataset: Dataset, window: tuple[int, int] | None) -> FetchRequest:
    symbol, calendar = VENDORS[name]
    return FetchRequest(name, dataset, (Symbol(symbol),), MONDAY, MONDAY, calendar, MONDAY, 1, window)


def _facts(table: pa.Table) -> list[tuple[object, ...]]:
    """The rows by content; ordinals are the page's own."""
    names = [name for name in table.column_names if name != "ordinal"]
    return sorted(zip(*(table[name].to_pylist() for name in names), strict=True), key=repr)


@pytest.mark.parametrize("name", VENDORS)
def test_a_window_is_that_part_of_the_session(ask: Ask, name: str) -> None:
    """Cut at two trades, half-open: the first is in, the second is not."""
    hour = ask(name, Dataset.TRADES, HOUR)
    times = hour["ts_event"].to_numpy()
    assert len(times) > 50
    assert HOUR[0] <= times.min() <= times.max() < HOUR[1]
    start, end = (int(times[len(times) * part // 10]) for part in (3, 6))
    found = ask(name, Dataset.TRADES, (start, end))
    inside = pa.array((times >= start) & (times < end))
    assert _facts(found) == _facts(hour.filter(inside))


@pytest.mark.parametrize("name", ["alpaca", "polygon"])
def test_quotes_have_windows_too(ask: Ask, name: str) -> None:
    """Of both vendors that keep them."""
    window = (NOON + 7, NOON + 120 * SECOND + 13)
    found = ask(name, Dataset.QUOTES, window)
    times = found["ts_event"].to_numpy()
    assert len(times) > 5
    assert window[0] <= times.min() <= times.max() < window[1]


@pytest.mark.parametrize("name", VENDORS)
def test_a_window_without_a_trade_is_empty(ask: Ask, name: str) -> None:
    """Between two neighbours lies nothing, and the answer is complete."""
    times = np.unique(ask(name, Dataset.TRADES, HOUR)["ts_event"].to_numpy())
    gap = int(np.argmax(np.diff(times)))
    window = (int(times[gap]) + 1, int(times[gap + 1]))
    assert ask(name, Dataset.TRADES, window).num_rows == 0


def test_a_window_needs_few_requests(vendor: SandboxServer, tmp_path: Path) -> None:
    """Not those of its session: that is what it is for."""
    talk = Talk.open(provider("kraken"), vendor, tmp_path)
    said = talk.ask(_request("kraken", Dataset.TRADES, (NOON, NOON + 60 * SECOND)))
    assert len(said.attempts) <= 2


def test_the_archive_keeps_the_window(vendor: SandboxServer, tmp_path: Path) -> None:
    """Without it the bodies would be read as a whole session."""
    talk = Talk.open(provider("coinbase"), vendor, tmp_path)
    request = _request("coinbase", Dataset.TRADES, (NOON, NOON + 60 * SECOND))
    talk.ask(request)
    kept = [entry.fetch for entry in read_archive(talk.home.raw_dir) if isinstance(entry, ArchivedExchange)]
    assert set(kept) == {request}


def test_notes_of_whole_sessions_look_as_ever(vendor: SandboxServer, tmp_path: Path) -> None:
    """Older archives have no window, and are read as before."""
    talk = Talk.open(provider("alpaca"), vendor, tmp_path)
    whole = replace(_request("alpaca", Dataset.TRADES, None), end=MONDAY)
    wire = talk.provider.plan(whole, dialect_of("alpaca", "XNYS"))
    note = notes.Note(whole, wire, 200, {}, dt.datetime(2024, 6, 4, tzinfo=dt.UTC), 1, 1, "f")
    assert "window" not in notes.to_json(note)
    assert notes.from_json(notes.to_json(note)).fetch == whole


@settings(max_examples=60)
@given(start=st.integers(-(2**40), 2**47), length=st.integers(1, 2**47))
def test_no_window_reaches_beyond_its_session(start: int, length: int) -> None:
    """What is asked for is the part of the window that lies in the session."""
    dialect = dialect_of("kraken", "24/7")
    whole = window_of(_request("kraken", Dataset.TRADES, None), dialect)
    wanted = (whole[0] + start, whole[0] + start + length)
    asked = window_of(_request("kraken", Dataset.TRADES, wanted), dialect)
    assert asked == (max(whole[0], wanted[0]), min(whole[1], wanted[1]))


def test_a_window_is_no_backfill(tmp_path: Path, vendor: SandboxServer) -> None:
    """The ordinary way to the lake refuses it: its answer is not the session."""
    import asyncio

    from mdc_resources.calendars import get_calendar
    from mdc_resources.ingest.asking import Answer
    from mdc_resources.ingest.candidates import candidates
    from mdc_resources.ingest.events import EventAsker
    from mdc_resources.state import State

    talk = Talk.open(provider("kraken"), vendor, tmp_path)
    (found,), _ = candidates(talk.home, Dataset.TRADES, asset_class="crypto", venue="KRAKEN")
    answer = Answer(_request("kraken", Dataset.TRADES, HOUR), found, get_calendar("24/7"))
    with State.open(talk.home) as state:
        asker = EventAsker(None, state, tmp_path, tmp_path, "run", "")  # type: ignore[arg-type] # never asked
        with pytest.raises(UsageError, match="part of a session"):
            asyncio.run(asker.ask(answer, []))
