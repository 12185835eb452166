"""Freshness promises: met, late, incomplete or pending, over a real ledger.

Commits carry the real time, so promises are judged from instants before and after it: a promise of
forty days about a session of this month is kept by a commit of today.
"""

from __future__ import annotations

import datetime as dt
from contextlib import closing

import pytest

from mdc_resources import config
from mdc_resources.calendars import get_calendar
from mdc_resources.coverage.freshness import Verdict, check_sla, sla_report
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.coverage.ledgers import append, empty_home

UTC = dt.UTC
AAPL, MSFT, NVDA = Symbol("AAPL"), Symbol("MSFT"), Symbol("NVDA")
PROMISE = '[sla.us_daily]\ndataset = "bars_1d"\nwithin = "2h"\nsessions = 3\n'
GENEROUS = PROMISE.replace("2h", "40d")


def sessions_before(at, count):
    """The newest ``count`` sessions of New York that closed two hours before ``at``, newest first."""
    calendar = get_calendar("XNYS")
    closed = calendar.sessions(at.date() - dt.timedelta(days=60), at.date())
    due = [day for day in closed if calendar.hours(day)[1] + dt.timedelta(hours=2) <= at]
    return due[::-1][:count]


def home_of(tmp_path, toml=PROMISE, symbols=(AAPL, MSFT)):
    """A home with a promise about daily bars and two members."""
    return empty_home(tmp_path / "home", toml=toml, us=symbols)


def report(home, at, **more):
    """The statuses at an instant."""
    with closing(Lake.open(home.lake_dir)) as lake, State.open(home) as state:
        return sla_report(home, lake, state, at=at, **more)


def store(home, symbols, sessions, state=PartitionState.PRESENT):
    """Ledger lines of a product."""
    with closing(Lake.open(home.lake_dir)) as lake:
        append(lake, {PartitionKey(symbol, day): state for symbol in symbols for day in sessions})


def verdicts(status):
    """(verdict, settled, expected) per session, newest first."""
    return [(session.verdict, session.settled, session.expected) for session in status.sessions]


def test_a_complete_universe_is_fresh_though_late(tmp_path):
    """Stored today, due days ago: nothing lacks now, and the promise was broken then."""
    home, at = home_of(tmp_path), now()
    days = sessions_before(at - dt.timedelta(days=1), 3)
    store(home, (AAPL, MSFT), days)
    (status,) = report(home, at - dt.timedelta(days=1))
    assert [session.session for session in status.sessions] == days
    assert verdicts(status) == [(Verdict.LATE, 2, 2)] * 3
    assert status.fresh
    assert not status.met
    assert all(session.complete_at >= at for session in status.sessions)


def test_what_was_complete_in_time_is_met(tmp_path):
    """Forty days were promised; the commit came before they were over."""
    home = home_of(tmp_path, GENEROUS)
    later = now() + dt.timedelta(days=39)  # sessions that closed yesterday become due about then
    calendar = get_calendar("XNYS")
    known = calendar.sessions(now().date() - dt.timedelta(days=20), now().date())
    due = [day for day in known if calendar.hours(day)[1] + dt.timedelta(days=40) <= later][-3:]
    store(home, (AAPL, MSFT), due)
    (status,) = report(home, later)
    assert verdicts(status) == [(Verdict.MET, 2, 2)] * 3
    assert status.met
    assert status.fresh


def test_a_lacking_symbol_is_named_with_its_state(tmp_path):
    """Missing and quarantined symbols break the promise, and the report says which."""
    home, at = home_of(tmp_path, symbols=(AAPL, MSFT, NVDA)), now()
    days = sessions_before(at, 3)
    store(home, (AAPL, MSFT, NVDA), days[2:])
    store(home, (AAPL,), days[:2])
    store(home, (MSFT,), days[:2], PartitionState.QUARANTINED)
    (status,) = report(home, at)
    assert verdicts(status) == [
        (Verdict.INCOMPLETE, 1, 3),
        (Verdict.INCOMPLETE, 1, 3),
        (Verdict.LATE, 3, 3),
    ]
    assert status.sessions[0].worst == (
        (MSFT, PartitionState.QUARANTINED),
        (NVDA, PartitionState.MISSING),
    )
    assert status.sessions[0].complete_at is None
    assert not status.fresh


def test_an_empty_or_expired_partition_is_settled(tmp_path):
    """A halted day and a retained one owe nothing."""
    home, at = home_of(tmp_path), now()
    days = sessions_before(at, 3)
    store(home, (AAPL,), days, PartitionState.EMPTY)
    store(home, (MSFT,), days, PartitionState.EXPIRED)
    assert report(home, at)[0].fresh


def test_what_was_settled_and_lost_again_is_incomplete(tmp_path):
    """The newest line counts: a repaired lake owes the partition once more."""
    home, at = home_of(tmp_path), now()
    days = sessions_before(at, 3)
    store(home, (AAPL, MSFT), days)
    store(home, (AAPL,), days[:1], PartitionState.MISSING)
    (status,) = report(home, at)
    assert [verdict for verdict, _, _ in verdicts(status)] == [
        Verdict.INCOMPLETE,
        Verdict.LATE,
        Verdict.LATE,
    ]


def test_a_confirmation_does_not_make_a_session_late(tmp_path):
    """A re-check appends a line; the session was complete when it was first settled."""
    home, at = home_of(tmp_path), now()
    days = sessions_before(at, 3)
    store(home, (AAPL, MSFT), days)
    (before,) = report(home, at)
    store(home, (AAPL, MSFT), days)
    (after,) = report(home, at)
    assert [s.complete_at for s in after.sessions] == [s.complete_at for s in before.sessions]


@pytest.mark.parametrize(
    ("instant", "newest", "pending", "due"),
    [
        ("2026-11-27T19:59", "2026-11-25", "2026-11-27", "2026-11-27T20:00"),  # half day, 13:00 + 2 h
        ("2026-11-27T20:00", "2026-11-27", "2026-11-30", "2026-11-30T23:00"),
        ("2026-11-28T12:00", "2026-11-27", "2026-11-30", "2026-11-30T23:00"),
        ("2026-03-09T21:59", "2026-03-06", "2026-03-09", "2026-03-09T22:00"),  # daylight saving began
        ("2026-03-06T23:00", "2026-03-06", "2026-03-09", "2026-03-09T22:00"),
    ],
    ids=["half-day-before", "half-day-at", "saturday", "summer-before", "winter-at"],
)
def test_what_is_not_due_yet_breaks_nothing(tmp_path, instant, newest, pending, due):
    """Close plus the promised delay, half days and clock changes included."""
    home = home_of(tmp_path)
    (status,) = report(home, dt.datetime.fromisoformat(instant).replace(tzinfo=UTC))
    assert str(status.sessions[0].session) == newest
    assert str(status.pending) == pending
    assert status.pending_due_at == dt.datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_history_nobody_asked_for_breaks_no_promise(tmp_path):
    """A symbol that joined today owes the sessions from now on; a begun one since its first."""
    home, at = home_of(tmp_path), now()
    days = sessions_before(at - dt.timedelta(hours=1), 3)
    (status,) = report(home, at - dt.timedelta(hours=1))
    assert verdicts(status) == [(Verdict.MET, 0, 0)] * 3
    store(home, (AAPL,), days[1:2])
    (status,) = report(home, at - dt.timedelta(hours=1))
    assert [(settled, expected) for _, settled, expected in verdicts(status)] == [(0, 1), (1, 1), (0, 0)]


def test_a_new_member_owes_what_falls_due_later(tmp_path):
    """Followed since today and never fetched: next week that is a broken promise."""
    home = home_of(tmp_path)
    (status,) = report(home, now() + dt.timedelta(days=14))
    assert verdicts(status) == [(Verdict.INCOMPLETE, 0, 2)] * 3


def test_removed_and_delisted_symbols_owe_nothing(tmp_path):
    """Inactive members, and sessions after the last one of a listing."""
    home, at = home_of(tmp_path, symbols=(AAPL, MSFT, NVDA)), now()
    days = sessions_before(at, 3)
    store(home, (AAPL, MSFT, NVDA), days[2:])
    store(home, (AAPL,), days[:2])
    with State.open(home) as state:
        state.remove_members("us", [NVDA])
    text = f"[MSFT]\nlast = {days[2].isoformat()}\n"
    (home.root / "listings.toml").write_text(text, encoding="utf-8")
    (status,) = report(home, at)
    assert [(settled, expected) for _, settled, expected in verdicts(status)] == [(1, 1), (1, 1), (2, 2)]
    assert status.fresh


def test_a_shard_is_judged_by_its_own_symbols(tmp_path):
    """The check of one asset is not failed by another's."""
    toml = PROMISE + "[universes.us]\nshards = 2\n"
    symbols = [Symbol(f"S{at:02d}") for at in range(41)]
    home, at = home_of(tmp_path, toml, symbols), now()
    days = sessions_before(at, 3)
    store(home, symbols, days[2:])
    store(home, symbols[:40], days[:2])
    (first,) = report(home, at, shard=("us", 0))
    (second,) = report(home, at, shard=("us", 1))
    assert (first.fresh, second.fresh) == (True, False)
    assert second.sessions[0].worst == ((symbols[40], PartitionState.MISSING),)
    assert report(home, at, shard=("elsewhere", 0)) == []


def test_every_promise_is_reported_in_order(tmp_path):
    """Bars and corporate actions, two universes; JSON has all of it."""
    toml = (
        PROMISE
        + '[sla.actions]\ndataset = "corporate_actions"\nwithin = "12h"\nsessions = 1\n'
        + '[sla.coins]\ndataset = "bars_1d"\nuniverse = "coins"\nwithin = "1h"\n'
        + '[universes.us]\n[universes.coins]\ncalendar = "24/7"\nasset_class = "crypto"\n'
    )
    home = home_of(tmp_path, toml)
    statuses = report(home, now())
    assert [(s.name, s.dataset, len(s.sessions)) for s in statuses] == [
        ("us_daily", Dataset.BARS_1D, 3),
        ("actions", Dataset.CORPORATE_ACTIONS, 1),
        ("coins", Dataset.BARS_1D, 5),
    ]
    told = statuses[0].as_dict()
    assert told["name"] == "us_daily"
    assert told["fresh"] is True
    assert set(told["sessions"][0]) == {
        "session", "due_at", "verdict", "expected", "settled", "complete_at", "worst",
    }  # fmt: skip


def test_no_promise_is_an_empty_report(tmp_path):
    """Nothing is promised by default."""
    assert report(home_of(tmp_path, ""), now()) == []


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('[sla.x]\ndataset = "bars_2d"\n', "sla.x.dataset"),
        ('[sla.x]\ndataset = "bars_1d"\nuniverse = "eu"\n', "sla.x.universe"),
    ],
    ids=["dataset", "universe"],
)
def test_a_promise_about_nothing_is_a_config_error(tmp_path, toml, key):
    """The key is named."""
    home = home_of(tmp_path, toml)
    with pytest.raises(ConfigError) as caught:
        report(home, now())
    assert caught.value.key == key
    (name, sla), *_ = config.load(home.config_file, environ={}).settings.sla.items()
    with pytest.raises(ConfigError):
        check_sla(home, name, sla)


def test_a_young_universe_is_judged_from_its_start(tmp_path):
    """Sessions before the universe began are not expected."""
    start = sessions_before(now(), 2)[-1]
    home = home_of(tmp_path, PROMISE + f"[universes.us]\nstart = {start}\n")
    (status,) = report(home, now())
    assert [session.session for session in status.sessions] == sessions_before(now(), 2)
