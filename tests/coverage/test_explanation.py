"""Explanations: the state, why, and evidence that is really there."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from mdc_resources.coverage.evidence import Effect, Role
from mdc_resources.coverage.explain import NOT_EXPECTED, explain
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.coverage.explaining import ACTIONS, DAILY, D, about, fetch, say
from tests.homes import KEYS

# -- evidence ---------------------------------------------------------------------------------------


def test_a_present_bar_is_explained_down_to_its_exact_row(home):
    """State, source, fingerprint, basis and the row's decimals, as the lake has them."""
    found = about(home, "AAPL", "2024-03-05")
    assert (found.state, found.expected) == ("present", True)
    assert found.why == "1 row of sandbox:yahoo"
    (row,) = found.evidence.rows
    assert isinstance(row["close"], Decimal)
    lake = Lake.open(home.lake_dir)
    try:
        line = lake.coverage(DAILY, symbols=[Symbol("AAPL")], start=D("2024-03-05"), end=D("2024-03-05"))
        stored = (
            lake.connect()
            .execute("SELECT close FROM bars_1d_stored WHERE symbol = 'AAPL' AND session = DATE '2024-03-05'")
            .fetchone()
        )
    finally:
        lake.close()
    newest = found.evidence.changes[-1]
    assert newest.fingerprint == line["fingerprint"][0].as_py()
    assert row["close"] == stored[0]
    assert (newest.basis, newest.run_id, newest.effect) == ("split", "first-run", Effect.CHANGED)


def test_the_raw_record_lies_where_it_is_said_to(home):
    """At that byte of that file a WARC record begins, as long as said, with the body of that hash."""
    (request,) = [r for r in about(home, "AAPL", "2024-03-05").evidence.requests if r.role is Role.STORED]
    raw = request.raw
    assert raw is not None
    assert not Path(raw.file).is_absolute()
    whole = (home.root / raw.file).read_bytes()
    record = whole[raw.offset : raw.offset + raw.length]
    assert record.startswith(b"WARC/1.1\r\n")
    assert request.record_id.encode() in record
    body = record[: -len(b"\r\n\r\n")].split(b"\r\n\r\n", 2)[2]
    assert hashlib.sha256(body).hexdigest() == raw.sha256 == request.sha256
    assert raw.agrees
    assert not raw.fault


def test_a_run_that_did_not_end_has_no_index_and_is_read_all_the_same(home):
    """Without the .cdxj the record is found by reading the file."""
    (index,) = home.raw_dir.rglob("first-run.cdxj")
    before = about(home, "AAPL", "2024-03-05").evidence.requests[0].raw
    index.unlink()
    assert about(home, "AAPL", "2024-03-05").evidence.requests[0].raw == before


def test_a_damaged_raw_record_is_said_so_and_explains_the_rest(home):
    """A flipped bit in the body: the state stays, the record is not whole."""
    raw = about(home, "AAPL", "2024-03-05").evidence.requests[0].raw
    path = home.root / raw.file
    whole = bytearray(path.read_bytes())
    whole[raw.offset + raw.length - 20] ^= 1
    path.write_bytes(whole)
    found = about(home, "AAPL", "2024-03-05")
    assert found.state == "present"
    fault = found.evidence.requests[0].raw.fault
    assert "does not match its digest" in fault
    assert str(home.root) not in fault


def test_a_raw_file_that_is_gone_is_said_so(home):
    """Moved away with its index."""
    shutil.rmtree(home.raw_dir)
    raw = about(home, "AAPL", "2024-03-05").evidence.requests[0].raw
    assert "is in no file" in raw.fault
    assert raw.file == ""


def test_the_same_content_again_is_confirmed(home):
    """A refetch that gives the same: two lines, one change, two answers."""
    fetch(
        home,
        "AAPL",
        start="2024-03-05",
        end="2024-03-05",
        run_id="second-run",
        provider="yahoo",
        refetch=True,
    )
    evidence = about(home, "AAPL", "2024-03-05").evidence
    assert [change.effect for change in evidence.changes] == [Effect.CHANGED, Effect.CONFIRMED]
    assert [change.run_id for change in evidence.changes] == ["first-run", "second-run"]
    assert evidence.changes[0].commit_seq < evidence.changes[1].commit_seq
    assert [request.role for request in evidence.requests] == [Role.STORED, Role.CONFIRMED]


def test_what_another_provider_gave_first_is_outdated(home):
    """stooq answers otherwise (no split adjustment alike): the old answer is outdated, the new one stored."""
    say(
        home,
        "AAPL",
        "2024-03-05",
        PartitionState.MISSING,
        replaces=frozenset({(DAILY, PartitionKey(Symbol("AAPL"), D("2024-03-05")))}),
    )
    fetch(home, "AAPL", start="2024-03-05", end="2024-03-05", run_id="third-run", provider="stooq")
    evidence = about(home, "AAPL", "2024-03-05").evidence
    assert [change.state for change in evidence.changes] == ["present", "missing", "present"]
    assert [change.effect for change in evidence.changes] == [Effect.CHANGED] * 3
    assert [(request.provider, request.role) for request in evidence.requests] == [
        ("yahoo", Role.OUTDATED),
        ("stooq", Role.STORED),
    ]


def test_what_failed_on_the_way_is_there_with_its_words(served):
    """yahoo says 503, another delivers: every request, and the incident that tells of the outage."""
    served.fault("yahoo", "status", probability=1.0, params={"status": 503})
    fetch(served.home, "AAPL", start="2024-02-05", end="2024-02-05", run_id="failover-run")
    evidence = about(served.home, "AAPL", "2024-02-05").evidence
    failed = [request for request in evidence.requests if request.role is Role.FAILED]
    assert failed
    assert {(request.provider, request.status) for request in failed} == {("yahoo", 503)}
    assert all(request.error and request.raw and not request.raw.fault for request in failed)
    assert evidence.requests[-1].role is Role.STORED
    assert {incident["provider"] for incident in evidence.incidents} == {"yahoo"}


def test_another_symbols_trouble_is_not_this_ones(served):
    """The incident of a run names no symbol; it counts where that provider failed for the partition."""
    served.fault("yahoo", "status", probability=1.0, match="NVDA", params={"status": 503})
    both = {"start": "2024-02-05", "end": "2024-02-05", "provider": "yahoo"}
    fetch(served.home, "AAPL", "NVDA", run_id="one-failed", **both)
    assert about(served.home, "NVDA", "2024-02-05").evidence.incidents
    assert not about(served.home, "AAPL", "2024-02-05").evidence.incidents


def test_corporate_actions_that_came_along_cite_the_request_that_brought_them(home):
    """Asked for bars, got the dividend: the request is of bars, and it is the stored one."""
    found = about(home, "AAPL", "2024-05-09", ACTIONS)
    assert found.state == "present"
    assert [row["kind"] for row in found.evidence.rows] == ["dividend"]
    (stored,) = [request for request in found.evidence.requests if request.role is Role.STORED]
    assert stored.dataset is DAILY


def test_secrets_stay_masked(home):
    """Nothing of an explanation holds a credential."""
    text = repr(explain(home, Symbol("AAPL"), D("2024-03-05")))
    assert not any(secret in text for secret in KEYS.values())


# -- states -----------------------------------------------------------------------------------------


def test_an_empty_session_names_its_proof(home):
    """HALT did not trade on 2024-03-13; two sources say so, and both of their answers are the proof."""
    found = about(home, "HALT", "2024-03-13")
    assert (found.state, found.why) == ("empty", "nothing happened: two sources agree")
    assert {request.provider for request in found.evidence.requests if request.role is Role.STORED} >= {
        "alpaca",
        "yahoo",
    }
    assert found.evidence.rows == ()


def test_a_quarantined_session_shows_the_rows_that_were_refused(served):
    """Rows with high below low, from everybody: the state, the check, and what was received."""
    for provider in ("alpaca", "yahoo", "stooq"):
        served.fault(provider, "high_lt_low", probability=1.0)
    fetch(served.home, "AAPL", start="2024-02-05", end="2024-02-05", run_id="bad-rows")
    found = about(served.home, "AAPL", "2024-02-05")
    assert found.state == "quarantined"
    refused = found.evidence.quarantine
    assert refused
    assert all(row["reason"] and row["raw"] for row in refused)
    assert f"{len(refused)} refused" in found.why


def test_a_partial_session_says_what_is_there(home):
    """Cut short: rows are kept, and it is a gap."""
    say(
        home,
        "AAPL",
        "2024-02-05",
        PartitionState.PARTIAL,
        reason="the answer was cut short",
        source="sandbox:yahoo",
    )
    found = about(home, "AAPL", "2024-02-05")
    assert (found.state, found.why) == ("partial", "the answer was cut short: 0 rows of sandbox:yahoo")


def test_an_expired_session_is_not_missing(home):
    """Retention took it; nobody asks again."""
    say(home, "AAPL", "2024-02-05", PartitionState.EXPIRED)
    found = about(home, "AAPL", "2024-02-05")
    assert found.state == "expired"
    assert "dropped by retention on " in found.why


def test_never_asked_names_where_asking_began(home):
    """Before the first ledger line of the symbol, recovery looks at nothing."""
    found = about(home, "AAPL", "2024-02-05")
    assert (found.state, found.begun) == ("missing", D("2024-03-01"))
    assert found.why == "never asked: AAPL was only asked for from 2024-03-01 on"


def test_never_asked_of_a_symbol_without_any_line(home):
    """A member of the universe that nobody has fetched."""
    assert about(home, "META", "2024-03-05").why == "never asked: nothing of META was ever asked for"


def test_asked_in_vain_tells_who_said_what(home):
    """A symbol that no vendor knows: the tries of each provider, and when the next one is due."""
    fetch(home, "ZZTOP", start="2024-03-05", end="2024-03-05", run_id="unknown-run")
    found = about(home, "ZZTOP", "2024-03-05")
    assert found.state == "missing"
    assert found.evidence.requests
    assert found.tries is not None
    assert {each.provider for each in found.tries.providers} >= {"yahoo", "stooq"}
    assert "tried 1 time" in found.why


def test_given_up_says_how_to_go_on(home):
    """After the last attempt a person is told the command."""
    key = PartitionKey(Symbol("AAPL"), D("2024-02-05"))
    with State.open(home) as state:
        for _ in range(2):
            pauses = {"first_pause": dt.timedelta(minutes=1), "longest_pause": dt.timedelta(hours=1)}
            now = dt.datetime.now(dt.UTC)
            state.note_failures(DAILY, {key: {"yahoo": "HTTP 503"}}, at=now, cap=2, **pauses)
    found = about(home, "AAPL", "2024-02-05")
    assert found.tries.gave_up
    assert found.why == "given up: tried 2 times (mdc gaps --retry asks again)"


def test_a_claim_in_force_says_who_is_fetching(home):
    """Somebody is at it now."""
    key = PartitionKey(Symbol("AAPL"), D("2024-02-05"))
    with State.open(home) as state:
        claim = state.claim(DAILY, [key], ttl=dt.timedelta(minutes=5))
        found = about(home, "AAPL", "2024-02-05")
        state.release(claim)
    assert (found.why, found.claimed) == ("being fetched now", True)
    assert [row.attempt for row in found.claims] == [claim.attempt]
    assert about(home, "AAPL", "2024-02-05").claims == ()


def test_a_session_is_pending_until_close_plus_settle(home):
    """Half an hour after the close of 2024-07-01 (20:00 UTC) and not a second before."""
    before = dt.datetime(2024, 7, 1, 20, 29, 59, tzinfo=dt.UTC)
    found = about(home, "AAPL", "2024-07-01", at=before)
    assert (found.state, found.why) == ("pending", "not due before 2024-07-01 20:30 UTC")
    assert about(home, "AAPL", "2024-07-01", at=before + dt.timedelta(seconds=1)).state == "missing"


def test_a_half_day_is_due_earlier(home):
    """2024-07-03 closed at 13:00 in New York."""
    assert about(home, "AAPL", "2024-07-03").due_at == dt.datetime(2024, 7, 3, 17, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("symbol", "date", "why"),
    [
        ("AAPL", "2024-07-04", "XNYS was closed: July 4th"),
        ("AAPL", "2024-07-06", "XNYS does not trade on Saturdays"),
        ("META", "2022-06-08", "META is listed from 2022-06-09 on; it was FB before"),
        ("FB", "2022-06-09", "FB was listed until 2022-06-08; it goes on as META"),
        ("KO", "2024-03-05", "no universe follows KO"),
        ("AAPL", "2009-12-30", "universe us starts on 2010-01-01"),
    ],
    ids=["holiday", "weekend", "before", "after", "stranger", "too-early"],
)
def test_what_is_not_expected_says_why(home, symbol, date, why):
    """No session, not listed, in no universe, before the universe."""
    found = about(home, symbol, date)
    assert (found.state, found.expected, found.why) == (NOT_EXPECTED, False, why)


def test_a_closure_by_override_is_not_expected(home):
    """The home's own file closes the exchange."""
    (home.root / "closures.toml").write_text("[XNYS]\nclosed = [2024-02-06]\n")
    assert "closures.toml" in about(home, "AAPL", "2024-02-06").why


def test_held_though_not_expected_keeps_its_state_and_says_so(home):
    """A closure declared after the fact: the bar is there, and nobody would ask for it today."""
    (home.root / "closures.toml").write_text("[XNYS]\nclosed = [2024-03-05]\n")
    found = about(home, "AAPL", "2024-03-05")
    assert (found.state, found.expected) == ("present", False)
    assert "nobody would ask for it today" in found.why


def test_a_removed_symbol_is_missing_and_looked_after_by_nobody(home):
    """Its place stays, its gaps are nobody's."""
    with State.open(home) as state:
        state.remove_members("us", [Symbol("META")])
    assert about(home, "META", "2024-03-05").why.endswith("META was removed from universe us")


def test_instruments_are_expected_of_the_newest_session_only(home):
    """One partition per symbol; a day in the past says which session counts."""
    at = dt.datetime(2024, 6, 29, tzinfo=dt.UTC)
    assert about(home, "META", "2024-03-05", Dataset.INSTRUMENTS, at=at).state == NOT_EXPECTED
    assert about(home, "META", "2024-06-27", Dataset.INSTRUMENTS, at=at).state == "missing"
