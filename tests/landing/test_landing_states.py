"""What captured partitions amount to, and what happens where a log is damaged, missing or late."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from captured import (
    BTC,
    DEPTH,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    TRADES,
    Log,
    crypto_home,
    land_all,
    match,
    opened,
    query,
    snapshot,
    update,
)

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, fingerprints
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.letters import Cause
from mdc_resources.schema.arrow import TRADES as SCHEMA
from mdc_resources.state import State

MIDNIGHT = NOON - 12 * HOUR
DAY = dt.date(2026, 3, 10)
KEY = PartitionKey(Symbol(BTC), DAY)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for coins."""
    return crypto_home(tmp_path)


def coverage(home: Home, dataset: str = "trades") -> dict[str, tuple[object, object, object]]:
    """State, reason and rows by session."""
    found = query(
        home,
        f"SELECT session::VARCHAR, state, reason, row_count FROM coverage WHERE dataset = '{dataset}'",
    )
    return {str(row[0]): row[1:] for row in found}  # type: ignore[misc]


def whole_day(home: Home, *trades: tuple[int, int]) -> None:
    """A log from before midnight until after the next one with ``trades`` (time, id)."""
    log = Log(home)
    log.start(MIDNIGHT - 10 * SECOND, TRADES)
    log.open(MIDNIGHT - 5 * SECOND, 1, TRADES)
    for at, number in trades:
        log.frames(at, 1, match(at, number))
    log.frames(MIDNIGHT + 24 * HOUR + SECOND, 1, b'{"type":"heartbeat"}')
    log.end()


def test_a_day_captured_whole_is_present(home: Home) -> None:
    """The days before and after it are partial, and say so."""
    whole_day(home, (NOON, 1))
    land_all(home)
    assert coverage(home) == {
        "2026-03-09": ("partial", "captured from 23:59:55Z", 0),
        "2026-03-10": ("present", "", 1),
        "2026-03-11": ("partial", "captured to 00:00:01Z", 0),
    }
    spans = query(home, "SELECT session::VARCHAR, start_ns, end_ns, source FROM spans ORDER BY ALL")
    assert spans[1] == ("2026-03-10", MIDNIGHT, MIDNIGHT + 24 * HOUR, "coinbase/live")


def test_a_day_without_anything_is_empty(home: Home) -> None:
    """Capture without a hole is the proof."""
    whole_day(home)
    land_all(home)
    assert coverage(home)["2026-03-10"][0] == "empty"


def test_a_hole_keeps_a_day_partial(home: Home) -> None:
    """Open where history can refill it, beyond repair where there is none."""
    log = Log(home)
    log.start(MIDNIGHT - 10 * SECOND, TRADES, DEPTH)
    log.open(MIDNIGHT - 10 * SECOND, 1, TRADES, DEPTH)
    log.frames(MIDNIGHT - 9 * SECOND, 1, snapshot([("1", "1")], [("2", "1")]))
    log.frames(NOON, 1, match(NOON, 1))
    log.close(NOON + MINUTE, 1)
    log.open(NOON + 2 * MINUTE, 2, TRADES, DEPTH)
    log.frames(NOON + 3 * MINUTE, 2, snapshot([("1", "1")], [("2", "1")]))
    log.frames(MIDNIGHT + 24 * HOUR + SECOND, 2, b'{"type":"heartbeat"}')
    log.end()
    landed = land_all(home)
    assert coverage(home)["2026-03-10"][:2] == ("partial", "1 hole open")
    assert coverage(home, "depth")["2026-03-10"][:2] == ("partial", "1 hole beyond repair")
    (hole,) = [h for h in landed.holes if h.dataset is Dataset.TRADES]
    assert (hole.start_ns, hole.end_ns, hole.reason) == (NOON, NOON + 2 * MINUTE, "disconnect")
    assert (hole.provider, hole.connection, hole.state) == ("coinbase", "coinbase-0/1", "open")


def test_complete_history_is_left_alone(home: Home) -> None:
    """What was fetched whole is not added to by a capture that comes late."""
    row = dict.fromkeys(SCHEMA.names) | {
        "symbol": BTC, "session": DAY, "ts_event": NOON, "ordinal": 0, "price": Decimal(1),
        "size": Decimal(1), "source": "coinbase",
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=SCHEMA)
    line = CoverageRow(
        Dataset.TRADES, KEY.symbol, DAY, PartitionState.PRESENT, source="coinbase", row_count=1,
        fingerprint=fingerprints(Dataset.TRADES, table)[KEY],
    )  # fmt: skip
    with opened(home) as lake:
        lake.commit(CommitBatch("r", 1, {Dataset.TRADES: table}, [line]))
    whole_day(home, (NOON, 1))
    land_all(home)
    assert coverage(home)["2026-03-10"] == ("present", "", 1)
    assert query(home, "SELECT count(*) FROM spans WHERE session = '2026-03-10'") == [(0,)]


def test_a_partition_somebody_works_on_waits(home: Home) -> None:
    """Its segments are landed the next time; nothing of them is before."""
    whole_day(home, (NOON, 1))
    with State.open(home) as state:
        claim = state.claim(Dataset.TRADES, [KEY], ttl=dt.timedelta(minutes=5))
        waiting = land_all(home)
        assert (waiting.segments, len(waiting.waiting)) == (0, 1)
        assert query(home, "SELECT count(*) FROM segments") == [(0,)]
        state.release(claim)
    assert land_all(home).segments == 1
    assert coverage(home)["2026-03-10"][0] == "present"


def test_damage_costs_what_follows_it(home: Home) -> None:
    """What is readable before a flipped byte is landed; the rest is a hole, an incident, a dead letter."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + SECOND, 1, match(NOON + SECOND, 1))
    log.cut(NOON + MINUTE)
    log.frames(NOON + MINUTE + SECOND, 1, match(NOON + MINUTE + SECOND, 2))
    log.cut(NOON + 2 * MINUTE)
    log.frames(NOON + 3 * MINUTE, 1, match(NOON + 3 * MINUTE, 3))
    _, second, _ = log.end()
    content = bytearray(second.path.read_bytes())
    content[len(content) // 3] ^= 1
    second.path.write_bytes(content)
    landed = land_all(home)
    assert landed.segments == 3
    assert query(home, "SELECT trade_id FROM trades ORDER BY ordinal") == [("1",), ("3",)]
    (hole,) = [hole for hole in landed.holes if hole.reason == "damaged"]
    assert (hole.start_ns, hole.end_ns) == (NOON + SECOND, NOON + 2 * MINUTE)
    assert query(home, "SELECT state FROM segments ORDER BY number") == [
        ("landed",),
        ("damaged",),
        ("landed",),
    ]
    assert query(home, "SELECT count(*) FROM incidents") == [(1,)]
    assert list(DeadLetters.of(home).counts()) == [Cause.DAMAGED]


def test_a_missing_segment_is_a_hole_until_it_comes(home: Home) -> None:
    """Its rows belong before what was stored meanwhile."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    for part in range(3):
        at = NOON + part * MINUTE
        log.frames(at + SECOND, 1, match(at + SECOND, part))
        if part < 2:
            log.cut(at + MINUTE)
    _, second, _ = log.end()
    away = second.path.rename(second.path.with_suffix(".away"))
    landed = land_all(home)
    (hole,) = [hole for hole in landed.holes if hole.reason == "damaged"]
    assert (hole.start_ns, hole.end_ns, hole.state) == (NOON + SECOND, NOON + 2 * MINUTE, "open")
    away.rename(second.path)
    assert land_all(home).segments == 1
    assert query(home, "SELECT trade_id, ordinal FROM trades ORDER BY ordinal") == [
        ("0", 0),
        ("1", 1),
        ("2", 2),
    ]
    assert query(home, "SELECT state FROM holes WHERE reason = 'damaged'") == [("repaired",)]
    with opened(home) as lake:
        assert lake.verify(deep=True) == []


def test_a_segment_whose_forerunner_is_not_sealed_yet_waits(home: Home) -> None:
    """It is there, in the live log: nothing is missing."""
    log = Log(home)
    log.start(NOON, TRADES)
    log.cut(NOON + 1)
    first, second = log.end()
    live = home.wal_dir / "coinbase-0" / first.path.name.removesuffix(".zst")
    away = first.path.rename(first.path.with_suffix(".away"))
    live.write_bytes(b"still being sealed")
    assert land_all(home).segments == 0
    live.unlink()
    away.rename(first.path)
    assert land_all(home).segments == 2
    assert second.number == first.number + 1


def test_a_lost_state_is_read_again(home: Home) -> None:
    """The book goes on, the hole keeps its beginning."""
    log = Log(home)
    log.start(NOON, TRADES, DEPTH)
    log.open(NOON, 1, DEPTH)
    log.frames(NOON + 1, 1, snapshot([("100", "1")], [("101", "1")]))
    log.cut(NOON + MINUTE)
    land_all(home)
    (home.state_dir / "landing" / "coinbase-0.json").unlink()
    log.frames(NOON + 2 * MINUTE, 1, update(NOON + 2 * MINUTE, ("buy", "100", "5")))
    log.end()
    landed = land_all(home)
    assert landed.rows[Dataset.DEPTH] == 1
    assert query(home, "SELECT action, size FROM depth ORDER BY ordinal")[-1] == ("set", Decimal(5))
    assert [hole.start_ns for hole in landed.holes if hole.dataset is Dataset.TRADES] == [NOON]


def test_books_are_cut_to_their_levels(home: Home) -> None:
    """A reader of the rows holds the best three levels of each side after every update, no more."""
    log = Log(home)
    log.start(NOON, DEPTH)
    log.open(NOON, 1, DEPTH)
    log.frames(NOON + 1, 1, snapshot([(str(100 - n), "1") for n in range(5)], [("110", "1")]))
    for at, change in enumerate(
        [
            ("buy", "100", "0"),
            ("buy", "99.5", "2"),
            ("buy", "90", "9"),
            ("sell", "109", "1"),
            ("buy", "99.50", "0"),
        ]
    ):
        log.frames(NOON + 2 + at, 1, update(NOON + 2 + at, change))
    log.end()
    land_all(home)
    held: dict[tuple[object, object], object] = {}
    for action, side, price, size in query(
        home, "SELECT action, side, price, size FROM depth ORDER BY ordinal"
    ):
        if action == "snapshot_begin":
            held.clear()
        elif action == "set":
            held[side, price] = size
        else:
            del held[side, price]
        assert sum(side == "bid" for side, _ in held) <= 3
    assert held == {
        ("bid", Decimal(99)): Decimal(1),
        ("bid", Decimal(98)): Decimal(1),
        ("bid", Decimal(97)): Decimal(1),
        ("ask", Decimal(109)): Decimal(1),
        ("ask", Decimal(110)): Decimal(1),
    }


def test_a_crossed_book_is_invalid_until_its_next_snapshot(home: Home) -> None:
    """A row says so, and a hole how long."""
    log = Log(home)
    log.start(NOON, DEPTH)
    log.open(NOON, 1, DEPTH)
    log.frames(NOON + 1, 1, snapshot([("100", "1")], [("101", "1")]))
    log.frames(NOON + 2, 1, update(NOON + 2, ("buy", "102", "1")))
    log.frames(NOON + 3, 1, update(NOON + 3, ("buy", "99", "1")))
    log.frames(NOON + 4, 1, snapshot([("100", "2")], [("101", "1")]))
    log.end()
    landed = land_all(home)
    actions = [row[0] for row in query(home, "SELECT action FROM depth ORDER BY ordinal")]
    assert actions == ["snapshot_begin", "set", "set", "invalid", "snapshot_begin", "set", "set"]
    (hole,) = landed.holes
    assert (hole.reason, hole.start_ns, hole.end_ns, hole.state) == (
        "crossed",
        NOON + 1,
        NOON + 4,
        "unrepairable",
    )


def test_a_feed_without_identities_keeps_equal_trades(tmp_path: Path) -> None:
    """Two equal trades of one connection are two; those of a second connection are not taken as well."""
    from tests.homes import make_home

    home = make_home(tmp_path, "http://127.0.0.1:1", providers=(), sandbox=False)
    log = Log(home, "finnhub-0")
    pair = ("trades", "AAPL")
    trade = b'{"type":"trade","data":[{"s":"AAPL","p":1.5,"t":%d,"v":10,"c":null}]}' % (NOON // 10**6)
    log.start(NOON, pair)
    log.open(NOON, 1, pair)
    log.frames(NOON + 1, 1, trade, trade)
    log.open(NOON + 2, 2, pair)
    log.frames(NOON + 3, 1, trade)
    log.frames(NOON + 4, 2, trade)
    log.end()
    landed = land_all(home)
    assert landed.rows == {Dataset.TRADES: 3}
    assert query(home, "SELECT ts_recv FROM trades ORDER BY ordinal") == [
        (NOON + 1,),
        (NOON + 1,),
        (NOON + 4,),
    ]
    assert replace(landed, segments=1) == landed
