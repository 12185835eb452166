"""What a run could not settle is remembered: patient runs wait, outages are no attempts, the cap ends it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.requests import Attempt
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.ingest.unrecoverable import KIND, MAX_INCIDENTS, incidents_of
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import ProviderTry, State, Tries
from tests.homes import Served, make_home
from tests.ingest.test_bad_input import query

START, END = dt.date(2024, 3, 4), dt.date(2024, 3, 8)
CALENDAR = get_calendar("XNYS")
SESSIONS = CALENDAR.sessions(START, END)
AT = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
D1 = Dataset.BARS_1D
QUICK = {"MDC__TRANSPORT__MAX_ATTEMPTS": "1", "MDC__TRANSPORT__BREAKER_OPEN_SECONDS": "0.001"}
UNRECOVERABLE = "SELECT message, symbol, session FROM incidents WHERE kind = 'unrecoverable'"


@pytest.fixture
def pair(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home that asks yahoo first and stooq next."""
    found = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo", "stooq")), vendor)
    found.calm()
    return found


def run(home: Home, symbols: str = "AAPL", *, at: dt.datetime = AT, **more: Any) -> Outcome:
    """One backfill of a week of daily bars at the instant ``at``."""
    want = Want(D1, tuple(parse_symbols([symbols])), START, END, **more)
    return backfill(home, want, run_id=f"run-{at:%d%H%M%S}", at=at)


def tries(home: Home) -> dict[PartitionKey, Tries]:
    """What is remembered of daily bars."""
    with State.open(home) as state:
        return state.tries(D1)


def after_pause(home: Home) -> dt.datetime:
    """The first instant at which every remembered partition is due again."""
    return max(found.next_at for found in tries(home).values())


def test_a_storm_is_an_outage_and_success_is_forgiven(pair: Served) -> None:
    """503 from everyone: pauses, no attempt; the run that heals forgets all of it."""
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    home = pair.reload(**QUICK)
    run(home)
    found = tries(home)
    assert set(found) == {PartitionKey(Symbol("AAPL"), session) for session in SESSIONS}
    for each in found.values():
        assert (each.count, each.outages, each.gave_up) == (0, 1, False)
        assert [pair.provider for pair in each.providers] == ["stooq", "yahoo"]
        assert all("503" in pair.reason for pair in each.providers)
    pair.calm()
    outcome = run(home, at=AT + dt.timedelta(minutes=1))
    assert outcome.counts == {PartitionState.PRESENT: len(SESSIONS)}, "a person is never refused"
    assert tries(home) == {}


def test_an_answer_is_an_attempt_unless_somebody_is_down(pair: Served) -> None:
    """Stooq's "no data" counts once Yahoo can answer too: what it lacks, Yahoo may have."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 503})
    home = pair.reload(**QUICK)
    run(home, "ZZTOP")
    assert {(t.count, t.outages) for t in tries(home).values()} == {(0, 1)}
    pair.calm()
    run(home, "ZZTOP")
    assert {(t.count, t.outages) for t in tries(home).values()} == {(1, 0)}


def test_a_patient_run_waits_and_that_is_no_failure(pair: Served) -> None:
    """Before the pause is over nothing is sent; afterwards everyone is asked again."""
    home = pair.reload(**QUICK)
    run(home, "ZZTOP")
    pair.calm()
    early = run(home, "ZZTOP,IBM", at=AT + dt.timedelta(minutes=5), patient=True)
    assert early.waiting == len(SESSIONS)
    assert (early.retryable_missing, early.errors) == (0, ())
    assert early.counts == {PartitionState.PRESENT: len(SESSIONS), PartitionState.MISSING: len(SESSIONS)}
    assert pair.requests() == 1, "IBM's"
    assert early.as_dict()["waiting"] == len(SESSIONS)
    nothing = run(home, "ZZTOP", at=AT + dt.timedelta(minutes=6), patient=True)
    assert (nothing.waiting, nothing.requests_sent, nothing.seconds < 5) == (len(SESSIONS), 0, True)
    late = run(home, "ZZTOP", at=after_pause(home), patient=True)
    assert (late.waiting, late.requests_sent) == (0, 2)
    assert {found.count for found in tries(home).values()} == {2}


def test_a_patient_run_asks_the_provider_that_did_not_fail(pair: Served) -> None:
    """The pause is of the pair: Yahoo is left alone, Stooq is asked at once."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 503})
    only_yahoo = pair.reload(**QUICK, MDC__PROVIDERS__STOOQ__ENABLED="false")
    run(only_yahoo)
    pair.calm()
    outcome = run(pair.reload(**QUICK), at=AT + dt.timedelta(minutes=1), patient=True)
    assert {row.source for row in outcome.states.values()} == {"sandbox:stooq"}
    bars = query(pair.home, "SELECT provider, error FROM fetches WHERE dataset = 'bars_1d' AND error = ''")
    assert bars == [("stooq", "")]


def test_an_hour_of_503s_costs_a_bounded_number_of_requests(pair: Served) -> None:
    """A patient run every four minutes: at once, after ten minutes and after twenty more, no oftener."""
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    home = pair.reload(**QUICK)
    sent = [
        run(home, "AAPL,IBM", at=AT + dt.timedelta(minutes=minute), patient=True).requests_sent
        for minute in range(0, 60, 4)
    ]
    per_run = 2 * 2 * home.settings.transport.max_attempts  # symbols, providers
    assert sum(sent) == pair.requests() <= 3 * per_run
    assert sent[0] == per_run
    assert not any(sent[1:3]), "nothing before ten minutes have passed"
    assert {(each.count, each.outages) for each in tries(home).values()} == {(0, 3)}, "and no attempt spent"
    assert query(home, UNRECOVERABLE) == []


def test_what_waits_for_a_provider_that_is_gone_is_paused(pair: Served) -> None:
    """Due, but the one that was due is disabled since: a pause, not a run at every look."""
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    home = pair.reload(**QUICK)
    run(home, provider=None)
    run(pair.reload(**QUICK, MDC__PROVIDERS__YAHOO__ENABLED="false"))
    run(home)  # yahoo failed twice, stooq three times
    due = min(found.next_at for found in tries(home).values())
    without = pair.reload(**QUICK, MDC__PROVIDERS__YAHOO__ENABLED="false")
    assert run(without, at=due, patient=True).waiting == len(SESSIONS)
    assert min(found.next_at for found in tries(home).values()) > due


def test_the_cap_ends_in_one_incident_with_evidence(pair: Served) -> None:
    """Nobody knows the symbol: after the last attempt one incident says who was asked and what came."""
    home = pair.reload(**QUICK, MDC__RECOVERY__MAX_ATTEMPTS="2")
    run(home, "ZZTOP")
    assert query(home, UNRECOVERABLE) == []
    run(home, "ZZTOP", at=after_pause(home), patient=True)
    ((message, symbol, session),) = query(home, UNRECOVERABLE)
    assert (symbol, session) == ("ZZTOP", None)
    assert message.startswith(
        "bars_1d of ZZTOP 2024-03-04..2024-03-08 (5 sessions): given up after 2 attempts"
    )
    newest = query(
        home, "SELECT arg_max(fetch_id, started_at) FROM fetches WHERE error <> '' GROUP BY provider"
    )
    assert len(newest) == 2
    for name, (fetch_id,) in zip(("stooq", "yahoo"), sorted(newest, key=str), strict=True):
        assert f"{name} 2 times: " in message
        assert fetch_id in message
    pair.calm()
    given_up = run(home, "ZZTOP", at=AT + dt.timedelta(days=900), patient=True)
    assert (given_up.waiting, pair.requests()) == (len(SESSIONS), 0), "left to a person"
    insisted = run(home, "ZZTOP", at=AT + dt.timedelta(days=900))
    assert (insisted.waiting, insisted.requests_sent) == (0, 2)
    assert len(query(home, UNRECOVERABLE)) == 1, "said once"


def test_asking_one_provider_says_nothing_about_the_others(pair: Served) -> None:
    """``--provider stooq`` in vain is no attempt; it succeeding is a success."""
    home = pair.reload(**QUICK)
    run(home, "ZZTOP", provider="stooq")
    assert tries(home) == {}
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    run(home)
    pair.calm()
    run(home, provider="stooq")
    assert tries(home) == {}


def test_a_refetch_in_vain_leaves_stored_partitions_unmarked(pair: Served) -> None:
    """They are no gaps: nothing to recover."""
    home = pair.reload(**QUICK)
    run(home)
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    outcome = run(home, refetch=True)
    assert outcome.counts == {PartitionState.PRESENT: len(SESSIONS)}
    assert tries(home) == {}


def test_partial_and_quarantined_partitions_are_failures_too(pair: Served) -> None:
    """Whatever is not final gets its pause, with what was wrong."""
    pair.fault("*", "high_lt_low", probability=1.0)
    outcome = run(pair.reload(**QUICK))
    wrong = {key for key, row in outcome.states.items() if row.state is PartitionState.QUARANTINED}
    found = tries(pair.home)
    assert set(found) == wrong
    assert all("refused" in pair.reason for each in found.values() for pair in each.providers)


def test_sessions_beyond_every_history_are_attempts(pair: Served) -> None:
    """Nothing is sent, and the holes still come to an end."""
    pair.fault("*", "status", probability=1.0, params={"status": 503})
    want = Want(Dataset.BARS_1M, (Symbol("AAPL"),), START, END)
    outcome = backfill(pair.home, want, run_id="minutes", at=AT)
    assert outcome.requests_sent == 0
    with State.open(pair.home) as state:
        found = state.tries(Dataset.BARS_1M)
    assert {(each.count, each.providers[0].reason) for each in found.values()} == {
        (1, "5 sessions lie outside its history")
    }


def test_a_run_that_cannot_start_pauses_what_it_wanted(tmp_path: Path, vendor: SandboxServer) -> None:
    """No provider left: an error for the person, and no run at every look at the ledger."""
    home = make_home(tmp_path / "home", vendor.url, providers=("alpaca",), environ={})
    with pytest.raises(UsageError, match="no provider can be asked"):
        run(home)
    assert tries(home) == {}, "a person reads the error"
    with pytest.raises(UsageError, match="no provider can be asked"):
        run(home, patient=True)
    found = tries(home)
    assert len(found) == len(SESSIONS)
    assert {(each.count, each.outages) for each in found.values()} == {(0, 1)}


def _gone(symbol: str, session: dt.date) -> Tries:
    pair = ProviderTry("yahoo", 6, AT, "has nothing there")
    return Tries(PartitionKey(Symbol(symbol), session), 6, AT, gave_up=True, providers=(pair,))


def test_a_thousand_gaps_are_a_few_incidents() -> None:
    """A symbol's holes share one; beyond twenty symbols the rest of the run shares one."""
    year = CALENDAR.sessions(dt.date(2024, 1, 2), dt.date(2024, 12, 31))
    one = incidents_of(D1, [_gone("AAPL", s) for s in year], [], lambda _: CALENDAR, at=AT)
    assert [each.symbol for each in one] == ["AAPL"]
    assert "2024-01-02..2024-12-31 (252 sessions)" in one[0].message
    many = [_gone(f"S{n:03d}", session) for n in range(200) for session in SESSIONS]
    found = incidents_of(D1, many, [], lambda _: CALENDAR, at=AT)
    assert len(found) == MAX_INCIDENTS + 1
    assert {each.kind for each in found} == {KIND}
    assert (
        "S020, S021, S022, S023, S024 and 175 more, 900 sessions of 2024-03-04..2024-03-08"
        in found[-1].message
    )


def test_scattered_holes_are_named_as_ranges() -> None:
    """The first five; a single one is the incident's own session."""
    scattered = [_gone("AAPL", session) for session in CALENDAR.sessions(START, dt.date(2024, 4, 30))[::3]]
    (found,) = incidents_of(D1, scattered, [], lambda _: CALENDAR, at=AT)
    assert "2024-03-04, 2024-03-07, 2024-03-12, 2024-03-15, 2024-03-20 and 9 more ranges" in found.message
    (single,) = incidents_of(D1, scattered[:1], [], lambda _: CALENDAR, at=AT)
    assert (single.session, "sessions" in single.message) == (START, False)


def test_the_newest_request_about_the_symbol_is_cited() -> None:
    """Not that of another symbol, provider or range."""

    def sent(fetch_id: str, provider: str, symbol: str, day: int) -> Attempt:
        date = dt.date(2024, 3, day)
        return Attempt(fetch_id, provider, D1, (Symbol(symbol),), date, date, "", AT, 1.0)

    attempts = [
        sent("old", "yahoo", "AAPL", 4),
        sent("new", "yahoo", "AAPL", 4),
        sent("later-range", "yahoo", "AAPL", 8),
        sent("other-symbol", "yahoo", "IBM", 4),
        sent("other-provider", "stooq", "AAPL", 4),
    ]
    (found,) = incidents_of(D1, [_gone("AAPL", START)], attempts, lambda _: CALENDAR, at=AT)
    assert "yahoo 6 times: has nothing there (newest request new)" in found.message
