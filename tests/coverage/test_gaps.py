"""What is open: the fast answer is exactly the naive one, and counts what it should."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage.gaps import OpenSessions, open_sessions
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.coverage.ledgers import UTC, append, append_all, day, empty_home, fresh

DAILY = Dataset.BARS_1D
AT = dt.datetime(2024, 2, 1, tzinfo=UTC)
LATER = dt.datetime(2024, 2, 1, 9, tzinfo=UTC)  # instruments settle for six hours
STATES = [state for state in PartitionState if state is not PartitionState.PENDING]
OPEN = {PartitionState.MISSING, PartitionState.PARTIAL}
SYMBOLS = [Symbol(name) for name in ("AAPL", "BRK.B", "IBM")]
NUMBERS = count()
COMMITS = st.lists(
    st.dictionaries(
        st.builds(PartitionKey, st.sampled_from(SYMBOLS), st.integers(0, 20).map(day)),
        st.sampled_from(STATES),
        max_size=8,
    ),
    max_size=8,
)


TWO_MARKETS = """
[universes.us]
start = 2024-01-02
[universes.coins]
calendar = "24/7"
asset_class = "crypto"
start = 2024-01-01
[datasets.bars_1d]
settle = "30m"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose universe has three members."""
    root = tmp_path_factory.mktemp("gaps") / "home"
    return empty_home(root, toml=TWO_MARKETS, us=SYMBOLS, coins=["COINBASE:BTC-USD"])


@pytest.fixture
def state(home: Home) -> Iterator[State]:
    """Its machine state."""
    with State.open(home) as opened:
        yield opened


def naive(lake: Lake, dataset: Dataset = DAILY) -> dict[PartitionKey, PartitionState]:
    """The newest state of each partition, by the ledger's own view."""
    table = lake.coverage(dataset)
    columns = (table[name].to_pylist() for name in ("symbol", "session", "state"))
    return {PartitionKey(s, d): PartitionState(v) for s, d, v in zip(*columns, strict=True)}


def opened(found: Mapping[Symbol, OpenSessions]) -> dict[PartitionKey, PartitionState]:
    """Open partitions and how."""
    states = {}
    for gap in found.values():
        for kind, sessions in ((PartitionState.MISSING, gap.missing), (PartitionState.PARTIAL, gap.partial)):
            for ordinal in sessions:
                states[PartitionKey(gap.symbol, gap.calendar.session_at(ordinal))] = kind
    return states


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Lake, State]]:
    """One lake for many examples: each has symbols of its own."""
    home = empty_home(tmp_path_factory.mktemp("shared") / "home", toml=TWO_MARKETS)
    with State.open(home) as state, fresh(home) as lake:
        yield home, lake, state


@settings(max_examples=60, deadline=None)
@given(commits=COMMITS, flush=st.booleans())
def test_the_newest_row_of_each_partition_wins(
    shared: tuple[Home, Lake, State],
    commits: Sequence[Mapping[PartitionKey, PartitionState]],
    flush: bool,
) -> None:
    """Whatever was appended in whatever order, flushed or not: the same as sorting all rows."""
    home, lake, state = shared
    number = next(NUMBERS)
    names = {symbol: Symbol(f"{symbol}-{number}") for symbol in SYMBOLS}
    said = [{PartitionKey(names[k.symbol], k.session): v for k, v in rows.items()} for rows in commits]
    half = len(said) // 2
    append_all(lake, said[:half])
    if flush:
        lake.flush()
    append_all(lake, said[half:])
    mine = set(names.values())
    newest = {key: kind for key, kind in naive(lake).items() if key.symbol in mine}
    began = {symbol: min(k.session for k in newest if k.symbol == symbol) for symbol, _ in newest}
    sessions = get_calendar("XNYS").sessions(dt.date(2024, 1, 2), dt.date(2024, 1, 31))
    wanted = {
        PartitionKey(symbol, session): newest.get(PartitionKey(symbol, session), PartitionState.MISSING)
        for symbol, first in began.items()
        for session in sessions
        if session >= first
    }
    assert opened(open_sessions(home, lake, state, DAILY, sorted(mine), at=AT)) == {
        key: found for key, found in wanted.items() if found in OPEN
    }


def held(symbol: str, first: str, last: str, *, state: PartitionState = PartitionState.PRESENT) -> dict:
    """Ledger rows of every session of New York in the range."""
    sessions = get_calendar("XNYS").sessions(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    return {PartitionKey(Symbol(symbol), session): state for session in sessions}


def dates(gap: OpenSessions) -> list[str]:
    """What is open, as typed."""
    return [session for _, session in told({gap.symbol: gap})]


def told(found: Mapping[Symbol, OpenSessions]) -> list[list[str]]:
    """(symbol, session) of all that is open, in order."""
    keys = [key for gap in found.values() for key in tuple(gap.keys())]
    return [[key.symbol, key.session.isoformat()] for key in keys]


def test_only_what_was_begun_has_holes(home: Home, state: State) -> None:
    """From the first ledger session to the newest due one; other members are left alone."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-10", "2024-01-19"))
        append(lake, {PartitionKey(Symbol("IBM"), dt.date(2024, 1, 11)): PartitionState.MISSING})
        found = open_sessions(home, lake, state, DAILY, at=dt.datetime(2024, 1, 23, tzinfo=UTC))
        assert list(found) == ["IBM"]
        assert dates(found["IBM"]) == ["2024-01-11", "2024-01-22"]


def test_everything_from_the_start_of_the_universe(home: Home, state: State) -> None:
    """Not only what was begun: every member counts from its universe's start."""
    at = dt.datetime(2024, 1, 5, tzinfo=UTC)
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-03", "2024-01-04"))
        found = open_sessions(home, lake, state, DAILY, at=at, begun=False)
        assert {symbol: dates(gap) for symbol, gap in found.items()} == {
            "AAPL": ["2024-01-02", "2024-01-03", "2024-01-04"],
            "BRK.B": ["2024-01-02", "2024-01-03", "2024-01-04"],
            "IBM": ["2024-01-02"],
            "COINBASE:BTC-USD": ["2024-01-01", "2024-01-02", "2024-01-03"],  # the fourth is settling
        }
        assert list(found) == [member.symbol for member in state.members() if member.symbol in found]


@pytest.mark.parametrize(
    ("at", "newest"),
    [
        pytest.param("2024-07-02T20:29:59+00:00", "2024-07-01", id="settling"),
        pytest.param("2024-07-02T20:30:00+00:00", "2024-07-02", id="full day"),
        pytest.param("2024-07-03T17:29:59+00:00", "2024-07-02", id="half day settling"),
        pytest.param("2024-07-03T17:30:00+00:00", "2024-07-03", id="half day"),
        pytest.param("2024-07-05T13:00:00+00:00", "2024-07-03", id="holiday"),
    ],
)
def test_a_session_is_no_gap_until_it_has_settled(home: Home, state: State, at: str, newest: str) -> None:
    """Its close plus half an hour, to the second."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-06-28", "2024-06-28"))
        found = open_sessions(home, lake, state, DAILY, at=dt.datetime.fromisoformat(at))
        assert dates(found["IBM"])[-1] == newest


def test_range_is_inclusive_and_counts_from_the_first_row(home: Home, state: State) -> None:
    """``start`` and ``end`` cut; a start before the first row adds nothing."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-08", "2024-01-08"))

        def between(start: str, end: str) -> list[str]:
            span = {"start": dt.date.fromisoformat(start), "end": dt.date.fromisoformat(end)}
            found = open_sessions(home, lake, state, DAILY, at=AT, **span)
            return dates(found["IBM"]) if found else []

        assert between("2024-01-02", "2024-01-09") == ["2024-01-09"]
        assert between("2024-01-10", "2024-01-11") == ["2024-01-10", "2024-01-11"]
        assert between("2024-01-11", "2024-01-10") == []
        assert between("2023-01-11", "2023-12-29") == []


def test_one_session_before_all_others_is_counted_too(home: Home, state: State) -> None:
    """Rows from before the universe's start are looked at, back to the first one."""
    with fresh(home) as lake:
        append(lake, held("AAPL", "1998-07-01", "1998-07-01") | held("IBM", "2024-01-30", "2024-01-31"))
        found = open_sessions(home, lake, state, DAILY, at=AT, end=dt.date(1998, 7, 8))
        assert {symbol: dates(gap) for symbol, gap in found.items()} == {
            "AAPL": ["1998-07-02", "1998-07-06", "1998-07-07", "1998-07-08"]
        }


def test_removed_members_are_left_out_unless_named(home: Home, state: State) -> None:
    """A symbol that is no longer followed has no holes that anybody should fill."""
    ibm = Symbol("IBM")
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-30", "2024-01-30"))
        state.remove_members("us", [ibm])
        try:
            assert open_sessions(home, lake, state, DAILY, at=AT) == {}
            assert dates(open_sessions(home, lake, state, DAILY, [ibm], at=AT)[ibm]) == ["2024-01-31"]
        finally:
            state.add_members("us", [ibm], shards=1)


def test_other_datasets_are_other_ledgers(home: Home, state: State) -> None:
    """Daily bars explain no minute."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-30", "2024-01-30"), dataset=Dataset.BARS_1M)
        append(lake, held("IBM", "2024-01-29", "2024-01-31"))
        assert open_sessions(home, lake, state, DAILY, at=AT) == {}
        assert dates(open_sessions(home, lake, state, Dataset.BARS_1M, at=AT)["IBM"]) == ["2024-01-31"]


def test_instruments_have_one_partition(home: Home, state: State) -> None:
    """The last due session, once the symbol has any."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-29", "2024-01-29"), dataset=Dataset.INSTRUMENTS)
        found = open_sessions(home, lake, state, Dataset.INSTRUMENTS, at=LATER)
        assert {symbol: dates(gap) for symbol, gap in found.items()} == {"IBM": ["2024-01-31"]}
        append(lake, held("IBM", "2024-01-31", "2024-01-31"), dataset=Dataset.INSTRUMENTS)
        assert open_sessions(home, lake, state, Dataset.INSTRUMENTS, at=LATER) == {}


def test_a_listing_bounds_what_is_open(home: Home, state: State) -> None:
    """Before the first session under a name, and after the last, nothing is missing."""
    (home.root / "listings.toml").write_text("[IBM]\nfirst = 2024-01-08\nlast = 2024-01-10\n")
    try:
        with fresh(home) as lake:
            append(lake, held("IBM", "2024-01-03", "2024-01-03"))
            for begun in (True, False):
                found = open_sessions(home, lake, state, DAILY, [Symbol("IBM")], at=AT, begun=begun)
                assert dates(found["IBM"]) == ["2024-01-08", "2024-01-09", "2024-01-10"]
            append(lake, held("IBM", "2024-01-10", "2024-01-10"), dataset=Dataset.INSTRUMENTS)
            assert open_sessions(home, lake, state, Dataset.INSTRUMENTS, at=LATER) == {}
    finally:
        (home.root / "listings.toml").unlink()


def test_a_day_closed_afterwards_is_no_gap(home: Home, state: State) -> None:
    """A stored session may be closed by override, and so may the first one of a symbol."""
    (home.root / "closures.toml").write_text("[XNYS]\nclosed = [2024-01-09, 2024-01-11]\n")
    try:
        with fresh(home) as lake:
            append(lake, held("IBM", "2024-01-09", "2024-01-10"))
            found = open_sessions(home, lake, state, DAILY, at=AT, end=dt.date(2024, 1, 16))
            assert dates(found["IBM"]) == ["2024-01-12", "2024-01-16"]
    finally:
        (home.root / "closures.toml").unlink()


def test_beyond_what_the_calendar_knows_is_an_error(home: Home, state: State) -> None:
    """An instant in a year that the calendar lacks does not mean that nothing traded."""
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-30", "2024-01-30"))
        with pytest.raises(UsageError, match="known from 1990-01-01 to"):
            open_sessions(home, lake, state, DAILY, at=dt.datetime(2199, 1, 5, tzinfo=UTC))
        with pytest.raises(UsageError, match="known from 1990-01-01 to"):
            open_sessions(home, lake, state, DAILY, at=AT, start=dt.date(1985, 1, 2), begun=False)


def test_an_empty_ledger_has_no_gaps(home: Home, state: State) -> None:
    """Nothing was begun; with ``begun=False`` all is missing."""
    with fresh(home) as lake:
        assert open_sessions(home, lake, state, DAILY, at=AT) == {}
        assert open_sessions(home, lake, state, DAILY, [], at=AT, begun=False) == {}
        found = open_sessions(home, lake, state, DAILY, [Symbol("IBM")], at=AT, begun=False)
        assert len(found["IBM"].missing) == 21
        assert not found["IBM"].partial


def test_many_symbols_keep_their_rows_apart(home: Home, state: State) -> None:
    """More symbols than are unpacked at once, each with another hole."""
    names = [Symbol(f"S{number:04d}") for number in range(1_100)]
    sessions = get_calendar("XNYS").sessions(dt.date(2024, 1, 2), dt.date(2024, 1, 31))
    rows = {
        PartitionKey(name, session): PartitionState.PARTIAL if at % 7 == n % 20 else PartitionState.EMPTY
        for at, name in enumerate(names)
        for n, session in enumerate(sessions)
        if n == 0 or n != 1 + at % 20
    }
    with fresh(home) as lake:
        append(lake, rows)
        found = open_sessions(home, lake, state, DAILY, names, at=AT)
        wanted = {k: PartitionState.PARTIAL for k, kind in rows.items() if kind is PartitionState.PARTIAL}
        for at, name in enumerate(names):
            wanted[PartitionKey(name, sessions[1 + at % 20])] = PartitionState.MISSING
        assert opened(found) == wanted
        assert list(found) == names


_ELSEWHERE = """
import datetime as dt, json, sys
from pathlib import Path
from mdc_resources import config
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.state import State
home = config.load(Path(sys.argv[1]) / "mdc.toml", environ={})
lake = Lake.open(home.lake_dir)
with State.open(home) as state:
    at = dt.datetime.fromisoformat(sys.argv[2])
    found = open_sessions(home, lake, state, Dataset.BARS_1D, at=at, begun=False)
print(json.dumps([[key.symbol, key.session.isoformat()] for gap in found.values() for key in gap.keys()]))
"""


def test_the_host_s_time_zone_changes_nothing(home: Home, state: State) -> None:
    """On Kiritimati it is tomorrow already, in Kathmandu a quarter of an hour is missing."""
    at = "2024-01-09T21:30:00+00:00"
    with fresh(home) as lake:
        append(lake, held("IBM", "2024-01-03", "2024-01-05"))
        here = open_sessions(home, lake, state, DAILY, at=dt.datetime.fromisoformat(at), begun=False)
        for zone in ("Pacific/Kiritimati", "Asia/Kathmandu"):
            ran = subprocess.run(
                [sys.executable, "-c", _ELSEWHERE, str(home.root), at],
                capture_output=True,
                env={**os.environ, "TZ": zone},
                timeout=120,
                check=True,
            )
            assert json.loads(ran.stdout) == told(here)
