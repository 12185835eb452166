"""The edges of a running service: hours that begin and end, a wall clock that steps, books that resync."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest

from mdc_resources.domain.symbols import Symbol
from mdc_resources.wal import marks
from mdc_streaming.clock import ClockWatch
from tests.streaming.capturing import Running, capturing, coinbase, home_at, marked, until
from tests.streaming.server import Exchange

_KEY = {"FINNHUB_API_KEY": "a-key-of-the-test"}


class _Wall:
    """A wall clock that can be set; it goes on from there."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self._offset = dt.datetime.fromisoformat(text) - dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._offset


def _wake(running: Running) -> None:
    """As a reload does."""
    shard = running.service.shards["finnhub-0"]
    running.call(shard.apply, shard.home, shard.plan)


def test_a_feed_begins_and_ends_with_its_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed: nothing wanted, no connection, ready. Then it connects at the open and leaves at the close."""
    wall = _Wall("2026-11-20T14:29:58+00:00")
    monkeypatch.setattr("mdc_streaming.shard.now", wall)
    with Exchange(echo_any='{"type":"ping"}') as server:
        stream = f'[stream.finnhub]\nws_url = "{server.url}"\nsymbols = ["AAPL"]\nhours = "regular"\n'
        home = home_at(tmp_path, stream, environ=_KEY)
        with capturing(home) as running:
            shard = running.shard("finnhub-0")
            assert (shard["hours_open"], shard["wanted"], shard["lines"]) == (False, 0, [])
            assert running.get("/ready").status_code == 200
            assert not server.opened
            until(lambda: running.shard("finnhub-0")["confirmed"] == 1, 10, "open at 14:30")
            wall.set("2026-11-20T20:59:59+00:00")
            _wake(running)
            until(lambda: server.open == 0, 10, "closed at 21:00")
            assert running.get("/ready").status_code == 200
            assert running.shard("finnhub-0")["holes"] == {}
    wanted = [len(mark.pairs) for mark in marked(home, marks.Wanted, "finnhub-0")]
    assert wanted == [0, 1, 0]
    assert marked(home, marks.Closed, "finnhub-0")[0].reason.startswith("hours")


def test_a_step_of_the_wall_clock_is_marked(tmp_path: Path) -> None:
    """Ahead by ten minutes, as after a suspend: a mark in the log, and new connections."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            jump = [0]
            running.service.lookout.clock = ClockWatch(wall=lambda: time.time_ns() + jump[0])
            jump[0] = 600_000_000_000
            until(lambda: running.shard()["ends"].get("suspended"))
            assert running.status()["clock_steps"] == 1
    assert abs(marked(home, marks.ClockStepped)[0].by_ns - 600_000_000_000) < 10_000_000


def test_a_step_back_is_marked_and_interrupts_nobody(tmp_path: Path) -> None:
    """A clock that was set back by a week: deadlines are the monotonic clock's, the connection stays."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            jump = [0]
            running.service.lookout.clock = ClockWatch(wall=lambda: time.time_ns() + jump[0])
            jump[0] = -7 * 86_400 * 1_000_000_000
            until(lambda: running.status()["clock_steps"] == 1)
            assert running.shard()["ends"] == {}
    assert marked(home, marks.ClockStepped)[0].by_ns < 0


def test_a_resync_asks_once_for_a_new_snapshot(tmp_path: Path) -> None:
    """Carried out on the connection that has the book, and not more often than allowed."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, datasets='["trades", "depth"]'))
        with capturing(home) as running:
            running.ready()
            asked = len(server.asked)
            for _ in range(5):
                running.call(running.service._resync, "coinbase-0", Symbol("COINBASE:BTC-USD"))
            running.call(running.service._resync, "coinbase-0", Symbol("COINBASE:NOBODY"))
            running.call(running.service._resync, "another-0", Symbol("COINBASE:BTC-USD"))
            until(lambda: len(server.asked) == asked + 2)
            running.ready()
    assert [message["type"] for message in server.asked[asked:]] == ["unsubscribe", "subscribe"]
