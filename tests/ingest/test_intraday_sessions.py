"""When a session of minutes is complete: half days, clock changes, thin names, halts, broken paging.

A partition is present when the answer was complete through the close. A minute without a trade is a
fact; how many there are never decides a state.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.coverage import coverage_summary
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.homes import Served

D = dt.date
XNYS = get_calendar("XNYS")
MINUTES, DAILY = Dataset.BARS_1M, Dataset.BARS_1D
PRESENT, EMPTY = PartitionState.PRESENT, PartitionState.EMPTY


def fetch(served: Served, symbol: str, start: dt.date, end: dt.date, dataset: Dataset = MINUTES) -> Outcome:
    """Backfill one symbol."""
    return backfill(served.home, Want(dataset, (Symbol(symbol),), start, end), run_id="test")


def query(served: Served, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with (
        contextlib.closing(Lake.open(served.home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql, parameters).fetchall()


def states(outcome: Outcome) -> dict[str, PartitionState]:
    """State per session, as typed."""
    return {key.session.isoformat(): row.state for key, row in sorted(outcome.states.items())}


def counts(served: Served) -> dict[str, int]:
    """Minutes stored per session."""
    rows = query(served, "SELECT session::VARCHAR, count(*) FROM bars_1m GROUP BY ALL ORDER BY 1")
    return dict(rows)


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        pytest.param(D(2024, 7, 2), D(2024, 7, 5), [390, 210, 390], id="eve of Independence Day"),
        pytest.param(D(2024, 11, 27), D(2024, 12, 2), [390, 210, 390], id="day after Thanksgiving"),
        pytest.param(D(2026, 3, 5), D(2026, 3, 10), [390] * 4, id="spring"),
        pytest.param(D(2026, 10, 29), D(2026, 11, 3), [390] * 4, id="autumn"),
    ],
)
def test_sessions_are_as_long_as_they_are(
    served: Served, start: dt.date, end: dt.date, minutes: Sequence[int]
) -> None:
    """Half days and the weeks in which clocks change are complete; each begins and ends on time."""
    outcome = fetch(served, "AAPL", start, end)
    assert outcome.counts == {PRESENT: len(minutes)}
    assert list(counts(served).values()) == minutes
    stored = query(served, "SELECT session, min(ts), max(ts) FROM bars_1m GROUP BY ALL ORDER BY 1")
    for session, first, last in stored:
        opened, closed = XNYS.hours(session)
        assert (first, last) == (opened, closed - dt.timedelta(minutes=1))
    offsets = {first.astimezone(dt.UTC).hour for _, first, _ in stored}
    assert offsets == ({13, 14} if start.year == 2026 else {14 if start.month == 11 else 13})


def test_a_minute_without_a_trade_is_a_fact(served: Served) -> None:
    """THIN trades in a few minutes of a session, on a half day in fewer: all are present, none a gap."""
    outcome = fetch(served, "THIN", D(2024, 7, 1), D(2024, 7, 5))
    assert set(states(outcome).values()) == {PRESENT}
    assert all(0 < minutes < 60 for minutes in counts(served).values())
    again = fetch(served, "THIN", D(2024, 7, 1), D(2024, 7, 5))
    assert again.requests_sent == 0


def test_a_halted_day_is_empty_when_two_say_so(served: Served) -> None:
    """HALT did not trade on two days: explained, with the reason, and asked for once."""
    outcome = fetch(served, "HALT", D(2024, 3, 11), D(2024, 3, 15), DAILY)
    assert list(states(outcome).values()) == [PRESENT, PRESENT, EMPTY, EMPTY, PRESENT]
    halted = PartitionKey(Symbol("HALT"), D(2024, 3, 13))
    assert outcome.states[halted].reason
    assert fetch(served, "HALT", D(2024, 3, 11), D(2024, 3, 15), DAILY).requests_sent == 0


def test_one_vendor_s_silence_is_no_proof(served: Served) -> None:
    """Minutes of a halted day, of which one vendor alone has history: open, never guessed to be empty."""
    outcome = fetch(served, "HALT", D(2024, 3, 12), D(2024, 3, 14))
    assert list(states(outcome).values()) == [PRESENT, PartitionState.MISSING, PartitionState.MISSING]


def test_broken_paging_cuts_the_last_session_only(served: Served) -> None:
    """What came before it is complete, what comes after is missing; both are gaps until refilled."""
    start, end = D(2024, 6, 17), D(2024, 7, 31)
    served.fault("alpaca", "html200", match="page_token", times=100)
    outcome = fetch(served, "AAPL", start, end)
    sessions, room = list(XNYS.sessions(start, end)), 10_000
    complete = 0
    while room >= XNYS.minutes(sessions[complete]):
        room -= XNYS.minutes(sessions[complete])
        complete += 1
    kinds = [PRESENT] * complete + [PartitionState.PARTIAL]
    kinds += [PartitionState.MISSING] * (len(sessions) - len(kinds))
    assert list(states(outcome).values()) == kinds
    assert counts(served)[sessions[complete].isoformat()] == room
    with contextlib.closing(Lake.open(served.home.lake_dir)) as lake, State.open(served.home) as state:
        (gap,) = open_sessions(
            served.home, lake, state, MINUTES, [Symbol("AAPL")], at=now(), end=end
        ).values()
        assert [XNYS.session_at(ordinal) for ordinal in gap.partial] == [sessions[complete]]
        assert [XNYS.session_at(ordinal) for ordinal in gap.missing] == sessions[complete + 1 :]
        served.calm()
        assert fetch(served, "AAPL", start, end).counts == {PRESENT: len(sessions)}
        assert open_sessions(served.home, lake, state, MINUTES, [Symbol("AAPL")], at=now(), end=end) == {}
    assert counts(served)[sessions[complete].isoformat()] == XNYS.minutes(sessions[complete])


def test_a_stored_day_may_be_closed_afterwards(served: Served) -> None:
    """A closure by override takes the session out of what is expected; its rows stay."""
    span = (D(2024, 7, 8), D(2024, 7, 12))
    fetch(served, "AAPL", *span, DAILY)
    (served.home.root / "closures.toml").write_text("[XNYS]\nclosed = [2024-07-09]\n")
    seen = coverage_summary(served.home, DAILY, [Symbol("AAPL")], *span)
    assert (seen.expected, seen.present, seen.gaps) == (4, 4, ())
    again = fetch(served, "AAPL", *span, DAILY)
    assert (again.expected, again.requests_sent) == (4, 0)
    assert len(query(served, "SELECT 1 FROM bars_1d_stored WHERE session = DATE '2024-07-09'")) == 1


def test_an_early_close_by_override_bounds_the_minutes(served: Served) -> None:
    """Minutes after it are dropped: the exchange was shut."""
    (served.home.root / "closures.toml").write_text('[XNYS]\nearly_close = { 2024-07-09 = "12:00" }\n')
    outcome = fetch(served, "AAPL", D(2024, 7, 8), D(2024, 7, 9))
    assert set(states(outcome).values()) == {PRESENT}
    assert counts(served) == {"2024-07-08": 390, "2024-07-09": 150}
