"""Repairs planned from a real ledger and a real machine state, as of a fixed instant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.recovery.repairs import RepairPlan, fingerprint_of, plan_repairs
from mdc_resources.state import State
from tests.recovery.ledgers import append, open_up, product, recent, write

AT = dt.datetime(2024, 6, 14, 12, 0, tzinfo=dt.UTC)  # a Friday, before the open
HOUR = dt.timedelta(hours=1)
BARS, ACTIONS = Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS
SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY")
TOML = """
[universes.us]
[universes.crypto]
calendar = "24/7"
asset_class = "crypto"
start = 2024-01-01
"""


@dataclass(frozen=True, slots=True)
class Archive:
    """A home whose members hold the last sixty sessions of everything."""

    home: Home
    sessions: tuple[dt.date, ...]

    def plan(self, **more: object) -> RepairPlan:
        """Plan as of :data:`AT`."""
        given = {"at": AT, "in_flight": {}, "limit": 10, **more}
        with closing(Lake.open(self.home.lake_dir)) as lake, State.open(self.home) as state:
            return plan_repairs(self.home, lake, state, **given)

    def key(self, symbol: str, number: int) -> PartitionKey:
        """The ``number``-th due session of ``symbol``; -1 is the newest."""
        return PartitionKey(Symbol(symbol), self.sessions[:60][number])


@contextmanager
def archive(folder: Path, extra: str = "") -> Iterator[Archive]:
    """An archive in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mdc.toml").write_text(TOML + extra, encoding="utf-8")
    home = config.load(folder / "mdc.toml", environ={})
    Lake.create(home.lake_dir, sandbox=True).close()
    with State.open(home) as state:
        state.add_members("us", [Symbol(name) for name in SYMBOLS], shards=1)
    sessions = recent(home, 60, at=AT)
    for dataset in (BARS, ACTIONS):
        write(home, dataset, product(SYMBOLS, sessions))
    yield Archive(home, sessions)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Archive]:
    """An archive of this test alone."""
    with archive(tmp_path / "home") as found:
        yield found


def wanted(plan: RepairPlan) -> set[PartitionKey]:
    """Everything the repairs of a plan ask for, each partition once."""
    keys = [key for repair in plan.repairs for key in repair.want.keys or ()]
    assert len(keys) == len(set(keys))
    return set(keys)


def test_nothing_open_is_nothing_to_do(held):
    """A complete ledger plans no run."""
    assert held.plan() == RepairPlan((), 0, 0, 0, 0)


def test_exactly_what_is_missing_is_planned(held):
    """The exact keys, their symbols and their hull; providers are to be spared."""
    keys = {held.key("AAPL", -20), held.key("MSFT", -20), held.key("MSFT", -3)}
    open_up(held.home, BARS, keys)
    plan = held.plan()
    assert wanted(plan) == keys
    assert plan.open == 3
    for repair in plan.repairs:
        sessions = {key.session for key in repair.want.keys}
        assert (repair.want.start, repair.want.end) == (min(sessions), max(sessions))
        assert repair.want.symbols == tuple(sorted({key.symbol for key in repair.want.keys}))
        assert repair.want.patient
        assert repair.want.dataset is BARS
        assert repair.universe == "us"


def test_partial_is_open_and_expired_is_not(held):
    """What was cut short is fetched again; what retention dropped never is, nor what a person must judge."""
    for number, state in enumerate(PartitionState):
        if state is not PartitionState.PENDING:
            write(held.home, BARS, {held.key("SPY", -30 - number)}, state)
    states = list(PartitionState)
    due = {held.key("SPY", -30 - states.index(s)) for s in (PartitionState.MISSING, PartitionState.PARTIAL)}
    assert wanted(held.plan()) == due


def test_what_was_never_begun_is_no_hole(held):
    """A member without a ledger row, and the years before the first row, are left to a person."""
    with State.open(held.home) as state:
        state.add_members("us", [Symbol("NEW")], shards=1)
    assert held.plan().open == 0


def test_inactive_members_are_left_alone(held):
    """A symbol taken out of its universe is no longer looked after."""
    open_up(held.home, BARS, {held.key("AAPL", -1), held.key("SPY", -1)})
    with State.open(held.home) as state:
        state.remove_members("us", [Symbol("SPY")])
    assert wanted(held.plan()) == {held.key("AAPL", -1)}


def test_newest_sessions_are_normal_and_apart_from_the_old(held):
    """One run for the week people look at, one of low priority for the rest; newest first."""
    new, old = {held.key("AAPL", -5), held.key("SPY", -1)}, {held.key("MSFT", -6), held.key("SPY", -60)}
    open_up(held.home, BARS, new | old)
    plan = held.plan()
    assert [repair.priority for repair in plan.repairs] == [Priority.NORMAL, Priority.LOW]
    assert [set(repair.want.keys) for repair in plan.repairs] == [new, old]


def test_the_most_used_symbols_come_first_among_the_old(tmp_path):
    """Of sessions of the same age; two partitions make a run here."""
    with archive(tmp_path / "home", "[datasets.bars_1d]\nmax_partitions_per_run = 1\n") as held:
        open_up(held.home, BARS, {held.key(s, -10 - n) for n, s in enumerate(SYMBOLS)})
        open_up(held.home, BARS, {held.key(s, -30) for s in SYMBOLS})
        with State.open(held.home) as state:
            for _ in range(3):
                state.note_use([Symbol("SPY")])
            state.note_use([Symbol("NVDA")])
        plan = held.plan()
    order = [next(iter(repair.want.keys)).symbol for repair in plan.repairs]
    assert order == [*SYMBOLS, "SPY", "NVDA", "AAPL", "MSFT"]


def test_claimed_partitions_are_left_out_until_their_owner_is_done(held):
    """Somebody is fetching them."""
    keys = {held.key("AAPL", -10), held.key("SPY", -10)}
    open_up(held.home, BARS, keys)
    with State.open(held.home) as state:
        claim = state.claim(BARS, [held.key("AAPL", -10)], ttl=HOUR)
        plan = held.plan()
        assert wanted(plan) == {held.key("SPY", -10)}
        assert (plan.open, plan.busy) == (2, 1)
        state.release(claim)
    assert wanted(held.plan()) == keys


def test_what_a_run_under_way_holds_is_left_out(held):
    """Days that are no session, symbols without holes and other datasets do not matter."""
    open_up(held.home, BARS, {held.key("AAPL", -10), held.key("SPY", -10)})
    sunday = PartitionKey(Symbol("SPY"), dt.date(2024, 6, 2))
    held_keys = {held.key("AAPL", -10), sunday, PartitionKey(Symbol("XYZ"), sunday.session)}
    plan = held.plan(in_flight={BARS: held_keys, ACTIONS: {held.key("SPY", -10)}})
    assert wanted(plan) == {held.key("SPY", -10)}
    assert plan.busy == 1


def note(state: State, keys: set[PartitionKey], *, cap: int = 6) -> None:
    """Record a failed attempt, as ingest does at the end of a run."""
    failures = {key: {"yahoo": "no such rows"} for key in keys}
    state.note_failures(BARS, failures, at=AT, cap=cap, first_pause=HOUR, longest_pause=24 * HOUR)


def test_what_failed_waits_for_its_pause(held):
    """It is counted as waiting, and planned again once the pause is over."""
    key = held.key("AAPL", -10)
    open_up(held.home, BARS, {key})
    with State.open(held.home) as state:
        note(state, {key})
    plan = held.plan()
    assert (plan.repairs, plan.waiting) == ((), 1)
    assert wanted(held.plan(at=AT + 2 * HOUR)) == {key}


def test_what_was_given_up_is_never_planned_again(held):
    """Not after any time, until a person forgets the failures."""
    key = held.key("AAPL", -10)
    open_up(held.home, BARS, {key})
    with State.open(held.home) as state:
        note(state, {key}, cap=1)
    plan = held.plan(at=AT + 48 * HOUR)
    assert (plan.gave_up, plan.waiting) == (1, 0)
    assert key not in wanted(plan)
    with State.open(held.home) as state:
        state.forget_failures(BARS, [key])
    assert wanted(held.plan()) == {key}


def test_actions_come_along_with_their_bars(held):
    """Where both are open only the bars are asked for; the actions by themselves where they are alone."""
    both, alone = held.key("AAPL", -10), held.key("SPY", -12)
    open_up(held.home, BARS, {both})
    open_up(held.home, ACTIONS, {both, alone})
    plan = held.plan()
    assert {(repair.want.dataset, *repair.want.keys) for repair in plan.repairs} == {
        (BARS, both),
        (ACTIONS, alone),
    }
    assert (plan.open, plan.along) == (3, 1)


@pytest.mark.parametrize("cap", [6, 1], ids=["bars pause", "bars given up"])
def test_actions_do_not_wait_for_bars_that_are_not_coming(held, cap):
    """Nobody is about to fetch these bars."""
    key = held.key("AAPL", -10)
    open_up(held.home, BARS, {key})
    open_up(held.home, ACTIONS, {key})
    with State.open(held.home) as state:
        note(state, {key}, cap=cap)
    assert [repair.want.dataset for repair in held.plan().repairs] == [ACTIONS]


def test_a_session_that_fell_due_this_minute_is_left_to_the_end_of_day(held):
    """Five minutes later it is a hole like any other; without that schedule, at once."""
    session = recent(held.home, 1, at=AT)[1]  # the session of AT itself
    write(held.home, BARS, product(SYMBOLS, [session]), PartitionState.MISSING)
    due = dt.datetime(2024, 6, 14, 20, 30, tzinfo=dt.UTC)
    assert held.plan(at=due + dt.timedelta(minutes=1)).open == 0
    assert held.plan(at=due + dt.timedelta(minutes=6)).open == len(SYMBOLS)
    environ = {"MDC__SCHEDULE__END_OF_DAY": "false"}
    alone = Archive(config.load(held.home.config_file, environ=environ), held.sessions)
    assert alone.plan(at=due + dt.timedelta(minutes=1)).open == len(SYMBOLS)


def test_universes_are_repaired_apart(held):
    """Each on its own calendar: a Sunday is a session of one and not of the other."""
    sunday = dt.date(2024, 6, 9)
    days = [sunday + dt.timedelta(days=n) for n in range(-3, 5)]
    with State.open(held.home) as state:
        state.add_members("crypto", [Symbol("COINBASE:BTC-USD")], shards=1)
    write(held.home, BARS, product(["COINBASE:BTC-USD"], days))
    open_up(held.home, BARS, {PartitionKey(Symbol("COINBASE:BTC-USD"), sunday), held.key("SPY", -1)})
    found = {repair.universe: set(repair.want.keys) for repair in held.plan().repairs}
    assert found == {
        "us": {held.key("SPY", -1)},
        "crypto": {PartitionKey(Symbol("COINBASE:BTC-USD"), sunday)},
    }


def test_the_limit_bounds_a_look_and_the_queue_bounds_the_old(tmp_path):
    """Old holes wait while as many repairs are queued; the newest are planned all the same."""
    with archive(tmp_path / "home", "[datasets.bars_1d]\nmax_partitions_per_run = 4\n") as held:
        open_up(held.home, BARS, {held.key(s, n) for s in SYMBOLS for n in (-1, *range(-30, -10))})
        plan = held.plan(limit=3)
        assert [repair.priority for repair in plan.repairs] == ["normal", "low", "low"]
        assert (plan.asked, plan.later) == (12, 72)
        assert [repair.priority for repair in held.plan(limit=3, queued=2).repairs] == ["normal", "low"]
        assert [repair.priority for repair in held.plan(limit=3, queued=3).repairs] == ["normal"]


def test_one_that_rests_gives_its_place_to_the_next(tmp_path):
    """And counts as waiting: a poisoned repair starves no other."""
    with archive(tmp_path / "home", "[datasets.bars_1d]\nmax_partitions_per_run = 4\n") as held:
        open_up(held.home, BARS, {held.key(s, n) for s in SYMBOLS for n in (-20, -22, -24)})
        first, second = held.plan(limit=2).repairs
        plan = held.plan(limit=2, resting=lambda mark: mark == first.fingerprint)
        assert plan.repairs[0] == second
        assert len(plan.repairs) == 2
        assert plan.waiting == 4


def test_fingerprints_are_of_the_dataset_and_the_set_of_keys():
    """Sixteen hex digits, the same on every machine and in every version."""
    keys = product(SYMBOLS[:2], [dt.date(2024, 1, 2), dt.date(2024, 1, 3)])
    mark = fingerprint_of(BARS, sorted(keys, reverse=True))
    assert mark == fingerprint_of(BARS, [*keys, *keys]) == "e13dcae4c56a9792"
    assert mark != fingerprint_of(Dataset.BARS_1M, keys)
    assert mark != fingerprint_of(BARS, set(list(keys)[1:]))


def test_a_mistyped_dataset_is_a_usage_error(tmp_path):
    """It must not pass for "nothing is open"."""
    mistyped = '[recovery]\ndatasets = ["bars_2d"]\n'
    with archive(tmp_path / "home", mistyped) as held, pytest.raises(UsageError, match="bars_2d"):
        held.plan()


HOLES = st.sets(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 59)), max_size=60)


@dataclass(slots=True)
class Table:
    """An archive that is set up anew for each example, its lake and state kept open: opening costs most."""

    held: Archive
    lake: Lake
    state: State

    def lay(self, **cells: set[tuple[str, int]]) -> dict[str, set[PartitionKey]]:
        """Settle everything, forget every failure; then open the cells called ``open``."""
        keys = {name: {self.held.key(*cell) for cell in each} for name, each in cells.items()}
        everything = product(SYMBOLS, self.held.sessions[:60])
        append(self.lake, BARS, everything - keys["open"])
        append(self.lake, BARS, keys["open"], PartitionState.MISSING)
        self.state.forget_failures(BARS, everything)
        return keys

    def plan(self, room: int, **more: object) -> RepairPlan:
        """Plan with chunks of at most ``room``."""
        environ = {"MDC__DATASETS__BARS_1D__MAX_PARTITIONS_PER_RUN": str(room)}
        home = config.load(self.held.home.config_file, environ=environ)
        return plan_repairs(home, self.lake, self.state, **{"at": AT, "in_flight": {}, **more})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """One for all examples of this module."""
    extra = '[recovery]\ndatasets = ["bars_1d"]\n'
    with (
        archive(tmp_path_factory.mktemp("table"), extra) as held,
        closing(Lake.open(held.home.lake_dir)) as lake,
        State.open(held.home) as state,
    ):
        yield Table(held, lake, state)


@settings(max_examples=15, deadline=None)
@given(holes=HOLES, room=st.integers(4, 30), limit=st.integers(2, 6))
def test_ticks_fill_what_is_open_and_then_stop(table, holes, room, limit):
    """Look, fetch, look again: their union is the open set, disjoint, bounded, and the same each time."""
    left = table.lay(open=holes)["open"]
    while left:
        plan = table.plan(room, limit=limit)
        keys = wanted(plan)
        assert plan.open == len(left)
        assert keys
        assert keys <= left
        assert len(plan.repairs) <= limit
        assert all(1 <= len(repair.want.keys) <= room for repair in plan.repairs)
        assert len({repair.fingerprint for repair in plan.repairs}) == len(plan.repairs)
        append(table.lake, BARS, keys)
        left -= keys
    assert table.plan(room, limit=limit).open == 0


@settings(max_examples=25, deadline=None)
@given(holes=HOLES, flying=HOLES, paused=HOLES, lost=HOLES, limit=st.integers(1, 4))
def test_every_open_partition_is_accounted_for_once(table, holes, flying, paused, lost, limit):
    """Asked for, later, busy, waiting or given up: the counts of a look add up, and never overlap."""
    keys = table.lay(open=holes, flying=flying, paused=paused, lost=lost)
    note(table.state, keys["paused"] - keys["lost"])
    note(table.state, keys["lost"], cap=1)
    plan = table.plan(9, in_flight={BARS: keys["flying"]}, limit=limit)
    assert plan == table.plan(9, in_flight={BARS: sorted(keys["flying"])}, limit=limit)
    busy = keys["open"] & keys["flying"]
    gave_up = (keys["open"] & keys["lost"]) - busy
    waiting = (keys["open"] & keys["paused"]) - busy - gave_up
    counted = (plan.open, plan.busy, plan.gave_up, plan.waiting)
    assert counted == (len(keys["open"]), len(busy), len(gave_up), len(waiting))
    assert wanted(plan) <= keys["open"] - busy - gave_up - waiting
    assert plan.later >= 0
    assert plan.later == 0 or len(plan.repairs) == limit
