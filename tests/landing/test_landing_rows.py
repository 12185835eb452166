"""Sealed segments become rows: exact, once, in the order of capture, in the right session."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from captured import (
    BTC,
    DEPTH,
    HOUR,
    MINUTE,
    NOON,
    QUOTES,
    SECOND,
    TRADES,
    Log,
    crypto_home,
    land_all,
    match,
    opened,
    query,
    segments,
    snapshot,
    ticker,
    update,
)

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import fingerprints
from mdc_resources.landing.land import unlanded
from mdc_resources.wal import marks


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for coins."""
    return crypto_home(tmp_path)


def test_a_segment_becomes_rows_once(home: Home) -> None:
    """Trades, quotes and the book as captured; landing again changes nothing."""
    log = Log(home)
    log.start(NOON, TRADES, QUOTES, DEPTH)
    log.open(NOON + SECOND, 1, TRADES, QUOTES, DEPTH)
    log.frames(NOON + 2 * SECOND, 1, snapshot([("100", "1")], [("101", "2")]))
    log.frames(
        NOON + 3 * SECOND,
        1,
        match(NOON + 2_900_000_000, 7, "100.123456789", "0.00000001"),
        ticker(NOON + 2_950_000_000, 8, "100", "101"),
        update(NOON + 2_960_000_000, ("buy", "100", "3"), ("sell", "101", "0"), ("sell", "102", "5")),
    )
    log.end()
    landed = land_all(home)
    assert landed.segments == 1
    assert landed.rows == {Dataset.TRADES: 1, Dataset.QUOTES: 1, Dataset.DEPTH: 6}
    assert landed.rejected == 0
    assert landed.failed == ()
    trades = query(
        home, "SELECT symbol, session, ts_event, ts_recv, ordinal, price, size, side, source FROM trades"
    )
    assert trades == [
        (
            BTC,
            dt.date(2026, 3, 10),
            NOON + 2_900_000_000,
            NOON + 3 * SECOND,
            0,
            Decimal("100.123456789"),
            Decimal("0.00000001"),
            "buy",
            "coinbase/live",
        )
    ]
    assert query(home, "SELECT bid_price, ask_size FROM quotes") == [(Decimal(100), Decimal(2))]
    depth = query(home, "SELECT action, side, price, size FROM depth ORDER BY ordinal")
    assert depth == [
        ("snapshot_begin", None, None, None),
        ("set", "bid", Decimal(100), Decimal(1)),
        ("set", "ask", Decimal(101), Decimal(2)),
        ("set", "bid", Decimal(100), Decimal(3)),
        ("delete", "ask", Decimal(101), Decimal(0)),
        ("set", "ask", Decimal(102), Decimal(5)),
    ]
    assert unlanded(home) == []
    again = land_all(home)
    assert (again.segments, again.skipped, again.snapshot_id) == (0, 1, None)
    assert query(home, "SELECT count(*) FROM trades") == [(1,)]


def test_segments_append_and_the_ledger_hashes_all(home: Home) -> None:
    """After several landings rows go on counting, and the fingerprint is that of all rows."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    for part in range(4):
        at = NOON + (part + 1) * MINUTE
        log.frames(at, 1, *(match(at + n, part * 10 + n, f"{100 + n}.5") for n in range(5)))
        log.cut(at + SECOND)
        land_all(home)
        if part == 1:
            (home.state_dir / "landing" / "sums.json").unlink()
    key = PartitionKey(Symbol(BTC), dt.date(2026, 3, 10))
    with opened(home) as lake:
        rows = lake.rows_of(Dataset.TRADES, [key])
        line = lake.coverage(Dataset.TRADES).to_pylist()[0]
        assert sorted(rows["ordinal"].to_pylist()) == list(range(20))
        assert line["row_count"] == 20
        assert line["fingerprint"] == fingerprints(Dataset.TRADES, rows)[key]
        assert lake.verify(deep=True) == []
    assert line["state"] == "partial"
    assert line["reason"].startswith("captured to 12:04:0")


def test_what_a_reconnect_repeats_is_dropped(home: Home) -> None:
    """The same trade of two connections is one row, within a segment, across segments and late."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + 1, 1, match(NOON, 1), match(NOON, 2))
    log.open(NOON + 2, 2, TRADES)
    log.frames(NOON + 3, 2, match(NOON, 2), match(NOON, 3))
    log.cut(NOON + 4)
    log.frames(NOON + 5, 2, match(NOON, 3), match(NOON, 4))
    first, second = log.end()
    land_all(home, [second])
    land_all(home, [first])
    found = query(
        home, "SELECT trade_id, ts_recv - $1, ordinal FROM trades ORDER BY ordinal".replace("$1", str(NOON))
    )
    assert found == [("1", 1, 0), ("2", 1, 1), ("3", 3, 2), ("4", 5, 3)]


def test_sessions_are_those_of_the_event(home: Home) -> None:
    """Midnight UTC divides coins' days by event time; a replay of an older session is dropped."""
    midnight = NOON + 12 * HOUR
    log = Log(home)
    log.start(midnight - MINUTE, TRADES)
    log.open(midnight - MINUTE, 1, TRADES)
    log.frames(midnight + 5, 1, match(midnight - 1000, 1), match(midnight, 2))
    log.frames(midnight + HOUR, 1, match(midnight - 10 * MINUTE, 3))
    log.end()
    land_all(home)
    found = query(home, "SELECT session::VARCHAR, trade_id FROM trades ORDER BY ALL")
    assert found == [("2026-03-10", "1"), ("2026-03-11", "2")]


def test_each_session_and_hour_of_depth_begins_with_a_snapshot(home: Home) -> None:
    """A reader can start at any of them."""
    midnight = NOON + 12 * HOUR
    log = Log(home)
    log.start(midnight - 2 * HOUR, DEPTH)
    log.open(midnight - 2 * HOUR, 1, DEPTH)
    log.frames(midnight - 90 * MINUTE, 1, snapshot([("100", "1")], [("101", "1")]))
    for minutes in (-80, -30, 1):
        at = midnight + minutes * MINUTE
        log.frames(at, 1, update(at, ("buy", "99", str(100 + minutes))))
    log.end()
    land_all(home)
    found = query(
        home, "SELECT session::VARCHAR, ordinal FROM depth WHERE action = 'snapshot_begin' ORDER BY ALL"
    )
    assert found == [("2026-03-10", 0), ("2026-03-10", 4), ("2026-03-11", 0)]


def test_what_cannot_be_taken_is_kept_with_its_reason(home: Home) -> None:
    """A frame that is none, a price that does not fit, a time from another year: quarantined, counted."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(
        NOON + 1,
        1,
        b"{not json",
        match(NOON, 1, "1.1234567891"),
        match(NOON - 48 * HOUR, 2),
        match(NOON, 3, "0"),
        match(NOON, 4),
    )
    log.end()
    landed = land_all(home)
    assert landed.rows[Dataset.TRADES] == 1
    assert landed.rejected == 4
    reasons = {reason for (reason,) in query(home, "SELECT reason FROM quarantine")}
    assert len(reasons) == 4
    assert any("more than 9 decimals" in reason for reason in reasons)
    assert any("more than a day" in reason for reason in reasons)


def test_a_probe_is_not_landed(home: Home) -> None:
    """What a probing connection hears is only for the service."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES, probe=True)
    log.frames(NOON + 1, 1, match(NOON, 1))
    log.cut(NOON + 2)
    log.frames(NOON + 120 * SECOND, 1, match(NOON, 2))
    log.end()
    landed = land_all(home)
    assert not landed.rows.get(Dataset.TRADES)
    assert [hole.reason for hole in landed.holes] == ["start"]


def test_a_sandbox_lake_marks_its_sources(tmp_path: Path) -> None:
    """The prefix comes from the lake, as everywhere."""
    home = crypto_home(tmp_path, sandbox=True)
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + 1, 1, match(NOON, 1))
    log.end()
    land_all(home)
    assert query(home, "SELECT source FROM trades") == [("sandbox:coinbase/live",)]
    assert query(home, "SELECT DISTINCT source FROM spans") == [("sandbox:coinbase/live",)]


def test_the_ledger_names_the_segments(home: Home) -> None:
    """Counts and times of each landed segment."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + 1, 1, match(NOON, 1), match(NOON, 2))
    log.mark(NOON + 2, marks.Stopped("drained"))
    log.end()
    land_all(home)
    columns = "shard, number, feed, records, frames, rows, rejected, state"
    (found,) = query(home, f"SELECT {columns} FROM segments")
    number = segments(home)[0].number
    assert found == ("coinbase-0", number, "coinbase", 6, 7, 2, 0, "landed")
