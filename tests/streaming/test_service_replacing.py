"""Foreseen ends: a successor is open and confirmed before the old connection is closed, nothing is lost."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from mdc_resources.wal import Kind, marks
from tests.streaming.capturing import FAST, capturing, coinbase, frames, home_at, marked, records, until
from tests.streaming.server import Exchange


def _order(home: object) -> list[tuple[str, int]]:
    """(mark, connection) of openings and closings, in the order of the log."""
    found = []
    for record in records(home):  # type: ignore[arg-type]
        if record.kind == Kind.MARK:
            name = type(marks.decode(record.frames[0])).__name__
            if name in ("Opened", "Confirmed", "Closed"):
                found.append((name, record.connection))
    return found


def test_a_connection_is_replaced_before_its_lifetime_ends(tmp_path: Path) -> None:
    """Each successor is confirmed first; both are in the log meanwhile, and no trade is missing."""
    with Exchange(every=0.005, shared_trades=True) as server:
        home = home_at(tmp_path, coinbase(server.url, more='lifetime = "1s"'))
        with capturing(home, timing=dataclasses.replace(FAST, settled=60.0)) as running:
            running.ready()
            until(lambda: running.shard()["ends"].get("replaced", 0) >= 2)
            assert "disconnect" not in running.shard()["holes"]
            assert running.shard()["lines"][0]["failures_in_a_row"] == 0
    order = _order(home)
    assert order.index(("Confirmed", 2)) < order.index(("Closed", 1))
    assert order.index(("Confirmed", 3)) < order.index(("Closed", 2))
    seen = {json.loads(f)["trade_id"] for found in frames(home).values() for f in found if b'"match"' in f}
    assert seen == set(range(min(seen), max(seen) + 1)), "no trade between the first and the last is missing"


def test_a_successor_that_is_not_confirmed_costs_nothing(tmp_path: Path) -> None:
    """The old connection goes on while its replacement fails; it is tried again later."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, more='lifetime = "1s"'))
        with capturing(home, timing=dataclasses.replace(FAST, overlap=0.5)) as running:
            running.ready()
            server.deaf = True
            until(lambda: running.shard()["ends"].get("unanswered"))
            assert running.get("/ready").status_code == 200
            server.deaf = False
            until(lambda: running.shard()["ends"].get("replaced"))
    assert len(marked(home, marks.Opened)) >= 3


def test_a_vendor_that_allows_one_connection_is_reconnected_instead(tmp_path: Path) -> None:
    """New settings and no successor can be opened: after a few attempts the old connection makes room."""
    from tests.streaming.capturing import QUICK

    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home, timing=dataclasses.replace(FAST, overlap=0.3)) as running:
            running.ready()
            server.at_most = 1
            deeper = coinbase(server.url, more='silence = "9s"')
            home.config_file.write_text(QUICK + deeper, encoding="utf-8")
            running.call(running.service.reload)
            until(lambda: running.shard()["ends"].get("reload"))
            running.ready()
            until(lambda: server.open == 1)


def test_a_stopped_process_replaces_its_connections(tmp_path: Path) -> None:
    """A loop that did not turn for a while opens successors first, then closes what may be half dead."""
    import time

    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home, timing=dataclasses.replace(FAST, stall=0.5)) as running:
            running.ready()
            running.call(time.sleep, 0.8)
            until(lambda: running.shard()["ends"].get("suspended"))
            running.ready()
    order = _order(home)
    assert order.index(("Confirmed", 2)) < order.index(("Closed", 1))


def test_a_new_segment_begins_with_what_is_wanted_and_open(tmp_path: Path) -> None:
    """Each segment can be read alone: Wanted first, then the connections that go on, with their pairs."""
    from mdc_resources.wal import read_segment, sealed_segments
    from tests.streaming.capturing import QUICK

    often = QUICK.replace("segment_seconds = 3600", "segment_seconds = 0.5")
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=often)
        with capturing(home) as running:
            running.ready()
            until(lambda: len(sealed_segments(home.segments_dir)) >= 2)
    second = list(read_segment(sealed_segments(home.segments_dir)[1].path))
    first, carried = (marks.decode(record.frames[0]) for record in second[:2])
    assert first.pairs == (("trades", "COINBASE:BTC-USD"),)
    assert isinstance(carried, marks.Carried)
    assert (carried.pairs, carried.feed, second[1].connection) == (first.pairs, "coinbase", 1)
    assert carried.last_ns > 0
