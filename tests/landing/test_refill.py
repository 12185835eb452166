"""Holes refilled from history: whole again, once, cited, and honest about what could not be had."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.landing.refill import Refilled, open_holes, refill
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import Owner, State
from mdc_resources.transport.archive_reader import ArchivedCommit, read_archive
from tests.landing.refilling import (
    ALPACA,
    COINBASE,
    KRAKEN,
    MONDAY,
    NOON,
    SECOND,
    Torn,
    facts,
    tear,
    with_settings,
    without,
)  # fmt: skip

LATER = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the module; tearing calms it."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


def run(torn: Torn, **more: object) -> Refilled:
    """Refill what is open."""
    return refill(torn.home, run_id="refill", at=LATER, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vendor_of", "dataset", "extra"),
    [
        (KRAKEN, Dataset.TRADES, ""),
        (COINBASE, Dataset.TRADES, ""),
        (("binance", "BINANCE:BTC-USDT", "24/7"), Dataset.TRADES, ""),
        (ALPACA, Dataset.TRADES, '[stream.alpaca]\nfeed = "sip"\n'),
        (ALPACA, Dataset.QUOTES, '[stream.alpaca]\nfeed = "sip"\n'),
        (("polygon", "AAPL", "XNYS"), Dataset.TRADES, ""),
    ],
)
def test_a_torn_partition_becomes_whole(
    tmp_path: Path, vendor: SandboxServer, vendor_of: tuple[str, str, str], dataset: Dataset, extra: str
) -> None:
    """Every row of the market is there once, whichever vendor and dataset it is."""
    torn = tear(tmp_path, vendor, [(100, 160), (300, 420)], vendor=vendor_of, dataset=dataset, extra=extra)
    before = torn.rows().num_rows
    assert before < torn.whole.num_rows
    done = run(torn)
    assert facts(torn.rows()) == facts(torn.whole)
    assert (len(done.repairs), done.rows, done.failed) == (2, torn.whole.num_rows - before, ())
    assert {hole.state for hole in torn.holes()} == {"repaired"}
    assert torn.line()["row_count"] == torn.whole.num_rows
    assert torn.is_sound()


def test_it_asks_for_the_holes_and_for_nothing_else(tmp_path: Path, vendor: SandboxServer) -> None:
    """A page each: a session has dozens."""
    torn = tear(tmp_path, vendor, [(100, 160), (300, 420)])
    assert run(torn).requests == torn.requests() <= 4


def test_what_was_captured_stays_as_it_was_captured(tmp_path: Path, vendor: SandboxServer) -> None:
    """Receive times and the order of capture survive; history has neither."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    captured = torn.rows().filter(~_missing(torn)).drop_columns(["ordinal"])
    run(torn)
    rows = torn.rows()
    assert rows.filter(~_missing(torn)).drop_columns(["ordinal"]).equals(captured)
    assert set(rows.filter(_missing(torn))["source"].to_pylist()) == {"sandbox:kraken"}
    assert rows["ordinal"].to_pylist() == list(range(rows.num_rows))


def _missing(torn: Torn) -> object:
    import pyarrow.compute as pc

    return pc.field("ts_recv").is_null()


def test_spans_say_who_told_what(tmp_path: Path, vendor: SandboxServer) -> None:
    """The hole's span gives way to one of history, which names who repaired it and why it had to."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    run(torn)
    (span,) = torn.spans()
    assert (span.source, span.state) == ("sandbox:kraken", "present")
    assert span.reason == "disconnect: refilled by sandbox:kraken"
    assert span.start_ns <= NOON + 100 * SECOND
    assert span.end_ns >= NOON + 160 * SECOND


def test_a_second_refill_has_nothing_to_do(tmp_path: Path, vendor: SandboxServer) -> None:
    """No request, no commit."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    run(torn)
    torn.calm()
    again = run(torn)
    assert (again.repairs, again.requests, again.snapshot_ids, torn.requests()) == ((), 0, (), 0)


def test_holes_in_any_order_come_to_the_same(tmp_path: Path, vendor: SandboxServer) -> None:
    """One at a time or together: one fingerprint."""
    together = tear(tmp_path / "a", vendor, [(100, 160), (200, 210), (300, 420)])
    run(together)
    apart = tear(tmp_path / "b", vendor, [(100, 160), (200, 210), (300, 420)])
    late = [hole for hole in apart.holes() if hole.hole_id == "hole-2"]
    with contextlib.closing(Lake.open(apart.home.lake_dir)) as lake:
        _only(lake, late[0].hole_id)
    run(apart)
    with contextlib.closing(Lake.open(apart.home.lake_dir)) as lake:
        _only(lake, "hole-0", "hole-1")
    run(apart)
    assert apart.line()["fingerprint"] == together.line()["fingerprint"]


def _only(lake: Lake, *open_ids: str) -> None:
    """Leave only these holes open; the others that are not repaired wait as unrepairable."""
    from dataclasses import replace

    from mdc_resources.lake import CommitBatch

    rows = [
        replace(hole, state="open" if hole.hole_id in open_ids else "unrepairable")
        for hole in lake.holes()
        if hole.state != "repaired"
    ]
    lake.commit(CommitBatch("order", 0, {}, [], holes=rows))


def test_holes_that_touch_are_asked_for_once(tmp_path: Path, vendor: SandboxServer) -> None:
    """Nothing was captured between them."""
    torn = tear(tmp_path, vendor, [(100, 130), (130, 160)])
    done = run(torn)
    assert len(done.repairs) == 2
    assert sum(repair.rows > 0 for repair in done.repairs) == 1
    assert done.requests <= 2
    assert facts(torn.rows()) == facts(torn.whole)


def test_an_empty_partition_is_told_by_history_alone(tmp_path: Path, vendor: SandboxServer) -> None:
    """The feed was wanted and never came."""
    torn = tear(tmp_path, vendor, [(-5, 620)])
    assert torn.rows().num_rows == 0
    done = run(torn)
    inside = {fact for fact in facts(torn.rows()) if NOON <= fact[2] < NOON + 600 * SECOND}  # type: ignore[operator]
    assert inside == set(facts(torn.whole))
    assert len(done.repairs) == 1


def test_a_young_hole_waits(tmp_path: Path, vendor: SandboxServer) -> None:
    """The vendor may not have it yet."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    ended = dt.datetime.fromtimestamp(NOON // SECOND + 160, dt.UTC)
    done = refill(torn.home, run_id="refill", at=ended + dt.timedelta(seconds=2))
    assert (done.repairs, done.waiting, done.requests) == ((), 1, 0)


def test_a_vendor_that_is_down_costs_a_pause_and_no_attempt(tmp_path: Path, vendor: SandboxServer) -> None:
    """The hole stays open with a reason, waits, and is whole later."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    torn.fault("status", provider="kraken", times=99, params={"status": 503})
    done = run(torn)
    ((hole, reason),) = done.failed
    assert (hole.state, "kraken" in reason, done.repairs) == ("open", True, ())
    assert refill(torn.home, run_id="refill-2", at=LATER).waiting == 1
    with State.open(torn.home) as state:
        (known,) = state.tries(Dataset.TRADES).values()
    assert (known.count, known.outages) == (0, 1)
    torn.calm()
    soon = refill(torn.home, run_id="refill-3", at=LATER + dt.timedelta(hours=1))
    assert len(soon.repairs) == 1
    with State.open(torn.home) as state:
        assert state.tries(Dataset.TRADES) == {}


def test_a_person_who_asks_does_not_wait(tmp_path: Path, vendor: SandboxServer) -> None:
    """Pauses are for sensors."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    torn.fault("status", provider="kraken", times=99, params={"status": 503})
    run(torn)
    torn.calm()
    assert len(run(torn, patient=False).repairs) == 1


def test_a_hole_nobody_can_tell_is_given_up_with_an_incident(tmp_path: Path, vendor: SandboxServer) -> None:
    """After so many attempts; the incident says who was asked and what came."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    home = with_settings(torn.home, MDC__RECOVERY__MAX_ATTEMPTS="2")
    torn = without(torn, home)
    torn.fault("html200", provider="kraken", times=99)
    for days in range(2):
        done = refill(torn.home, run_id=f"refill-{days}", at=LATER + dt.timedelta(days=days))
    assert [hole.state for hole in done.gave_up] == ["open"]
    assert [hole.state for hole in torn.holes()] == ["unrepairable"]
    ((kind, message),) = torn.query("SELECT kind, message FROM incidents")
    assert kind == "unrecoverable"
    assert "kraken" in message
    torn.calm()
    assert run(torn).requests == 0


def test_history_of_another_market_is_never_asked(tmp_path: Path, vendor: SandboxServer) -> None:
    """The feed is IEX alone, the home's history is the consolidated tape."""
    torn = tear(tmp_path, vendor, [(100, 160)], vendor=ALPACA, extra='[stream.alpaca]\nfeed = "iex"\n')
    done = run(torn)
    ((_, reason),) = done.failed
    assert "measures us-consolidated, not iex" in reason
    assert torn.requests() == 0


def test_another_vendor_of_the_same_market_stands_in(tmp_path: Path, vendor: SandboxServer) -> None:
    """Its own identities differ; the edges are told apart by content."""
    extra = '[stream.alpaca]\nfeed = "sip"\n'
    torn = tear(tmp_path, vendor, [(100, 160)], vendor=ALPACA, extra=extra, providers=("polygon",))
    torn.fault("status", provider="alpaca", times=99, params={"status": 403})
    done = run(torn)
    assert [repair.source for repair in done.repairs] == ["sandbox:polygon"]
    times = sorted(torn.rows()["ts_event"].to_pylist())
    assert times == sorted(torn.whole["ts_event"].to_pylist())


def test_what_somebody_is_at_is_left_alone(tmp_path: Path, vendor: SandboxServer) -> None:
    """A backfill of the same partition holds its claim."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    with State.open(torn.home) as state:
        claim = state.claim(Dataset.TRADES, [torn.key], owner=Owner.current(), ttl=dt.timedelta(minutes=1))
        done = run(torn)
        assert (done.repairs, done.requests, done.waiting) == ((), 0, 1)
        state.release(claim)
    assert len(run(torn).repairs) == 1


def test_every_body_is_archived_and_cited(tmp_path: Path, vendor: SandboxServer) -> None:
    """The note of the commit names the holes and settles no partition."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    run(torn)
    notes = [entry.note for entry in read_archive(torn.home.raw_dir) if isinstance(entry, ArchivedCommit)]
    (note,) = notes
    assert note["partitions"] == {}
    assert [line[3] for line in note["refilled"]] == ["hole-0"]
    fetched = torn.query("SELECT record_id FROM fetches WHERE run_id = 'refill'")
    assert {record for (record,) in fetched} == set(note["records"])


def test_a_limit_takes_the_oldest(tmp_path: Path, vendor: SandboxServer) -> None:
    """So many partitions at a time; the rest is counted as waiting."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    done = run(torn, limit=0)
    assert (done.requests, done.waiting) == (0, 1)
    assert len(open_holes(torn.home, at=LATER).due) == 1


def test_a_kill_before_the_commit_changes_nothing(
    tmp_path: Path, vendor: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old or new: whoever comes next does it again."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    before = torn.rows()
    with monkeypatch.context() as patch:
        patch.setattr(State, "check_fence", _stop)
        with pytest.raises(RuntimeError, match="dead"):
            run(torn)
    assert torn.rows().equals(before)
    assert [hole.state for hole in torn.holes()] == ["open"]
    run(torn)
    assert facts(torn.rows()) == facts(torn.whole)


def _stop(*_: object) -> None:
    raise RuntimeError("dead")


def test_the_session_is_the_partition_s(tmp_path: Path, vendor: SandboxServer) -> None:
    """Rows of history carry it, like those of the capture."""
    torn = tear(tmp_path, vendor, [(100, 160)])
    run(torn)
    assert set(torn.rows()["session"].to_pylist()) == {MONDAY}
