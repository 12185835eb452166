"""The hub's live view: what it keeps of real frames, and what it does when there are too many."""

from __future__ import annotations

import asyncio
import json

import pytest

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.symbols import Symbol
from mdc_streaming.monitoring import Hub
from mdc_streaming.monitoring_lag import LagWindow
from mdc_streaming.monitoring_sink import FeedTally
from tests.streaming.hubbing import (
    BTC,
    ETH,
    NOW_NS,
    coinbase_hub,
    dialect,
    drained,
    match,
    running,
    snapshot,
    ticker,
    until,
    update,
)

MS = 1_000_000


def run(coroutine):
    """Run it in a loop of its own."""
    return asyncio.run(coroutine)


def test_events_are_counted_and_the_last_of_each_symbol_is_kept():
    """Counts per dataset; last trade and quote with their text as received."""

    async def body():
        async with running(coinbase_hub()) as hub:
            hub.frame(1, NOW_NS, match(1))
            hub.frame(1, NOW_NS, match(2, price="62000.1000"))
            hub.frame(1, NOW_NS, ticker())
            hub.frame(1, NOW_NS, match(7, "ETH-USD"))
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["feeds"]["coinbase"]["events"] == {"trades": 3, "quotes": 1}
    last = seen["last"]["coinbase"]
    assert last[BTC]["trade"] == {
        "ts_event": NOW_NS,
        "ts_recv": NOW_NS,
        "price": "62000.1000",
        "size": "0.00500000",
        "side": "buy",
    }
    assert last[BTC]["quote"]["bid"] == ("61999.99", "0.5")
    assert set(last) == {BTC, ETH}


def test_a_book_follows_its_snapshot_and_updates():
    """Levels are set and removed; the book is as deep as its symbol's setting."""

    async def body():
        hub = Hub(SidecarSettings())
        hub.opened(1, "coinbase-0", "coinbase", dialect(levels={BTC: 3}))
        async with running(hub):
            hub.frame(1, NOW_NS, snapshot(levels=5))
            hub.frame(1, NOW_NS, update(("buy", "61999.00", "0"), ("sell", "62000.00", "9.75")))
            await drained(hub)
            live = hub.book("coinbase", BTC)
            return live.reason, live.book.top()

    reason, top = run(body())
    assert reason == ""
    assert top.bids == (("61998.00", "1.5"), ("61997.00", "1.5"), ("61996.00", "1.5"))
    assert top.asks[0] == ("62000.00", "9.75")


def test_a_crossed_book_is_unknown_and_asks_once_for_a_snapshot():
    """However many updates follow, one new snapshot is asked for within the pause."""
    asked: list[tuple[str, Symbol]] = []

    async def body():
        hub = Hub(SidecarSettings(), on_resync=lambda shard, symbol: asked.append((shard, symbol)))
        hub.opened(1, "coinbase-0", "coinbase", dialect())
        async with running(hub):
            hub.frame(1, NOW_NS, snapshot())
            hub.frame(1, NOW_NS, update(("buy", "63000.00", "1")))
            await until(lambda: asked)
            for _ in range(50):
                hub.frame(1, NOW_NS, update(("buy", "63000.00", "1")))
            await drained(hub)
            assert hub.snapshot()["books"] == {
                "total": 1,
                "valid": 0,
                "not_valid": [{"feed": "coinbase", "symbol": BTC, "reason": "crossed"}],
            }
            hub.frame(1, NOW_NS, snapshot())
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert asked == [("coinbase-0", BTC)]
    assert seen["books"]["valid"] == 1
    assert seen["feeds"]["coinbase"]["holes_seen"] == {"crossed": 1}


def test_a_jump_in_the_trade_ids_only_warns():
    """Live detection counts a hole and says so; the book of the symbol stays."""

    async def body():
        async with running(coinbase_hub()) as hub:
            for frame in (snapshot(), match(1), match(2), match(9)):
                hub.frame(1, NOW_NS, frame)
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["feeds"]["coinbase"]["holes_seen"] == {"sequence": 1}
    assert len(seen["feeds"]["coinbase"]["warnings"]) == 1
    assert seen["books"]["valid"] == 1


def test_what_cannot_be_decoded_is_counted_by_cause():
    """Garbage, invalid UTF-8 and a book of words end nothing."""

    async def body():
        async with running(coinbase_hub()) as hub:
            for frame in (b"{", b"\xff\xfe", b"[1,2]", b"", match(1)):
                hub.frame(1, NOW_NS, frame)
            await drained(hub)
            return hub.snapshot()

    seen = run(body())["feeds"]["coinbase"]
    assert sum(seen["rejected"].values()) == 4
    assert seen["events"] == {"trades": 1}


def test_causes_are_bounded():
    """A vendor that invents a new mistake per frame fills no memory."""
    tally = FeedTally("coinbase", 0.0)
    for number in range(10_000):
        tally.reject(f"mistake {number}")
    assert len(tally.rejected) == 51
    assert tally.rejected["other"] == 9_950


def test_too_many_frames_are_shed_and_counted_not_called_holes():
    """A burst beyond the queue: the oldest go, the newest are decoded, no sequence hole is claimed."""

    async def body():
        hub = coinbase_hub(monitor_frames=100)
        hub.frame(1, NOW_NS, snapshot())
        for number in range(1, 1_001):
            hub.frame(1, NOW_NS, match(number))
        assert hub.snapshot()["queue"]["frames"] <= 100
        async with running(hub):
            await drained(hub)
        return hub.snapshot()

    seen = run(body())
    assert seen["frames"] == 1_001
    assert seen["shed"] + seen["decoded"] == 1_001
    assert seen["shed"] >= 900
    assert seen["feeds"]["coinbase"]["holes_seen"] == {}
    assert seen["last"]["coinbase"][BTC]["trade"]["price"] == "62000.10"


def test_shed_frames_make_the_books_of_their_connection_unknown():
    """Until its next snapshot; a connection of which nothing was shed keeps its books."""

    async def body():
        hub = coinbase_hub(monitor_frames=64)
        hub.opened(2, "coinbase-1", "coinbase", dialect())
        async with running(hub):
            hub.frame(1, NOW_NS, snapshot())
            hub.frame(2, NOW_NS, snapshot("ETH-USD"))
            await drained(hub)
            for number in range(200):
                hub.frame(1, NOW_NS, match(number))
            await drained(hub)
            unknown, kept = hub.book("coinbase", BTC).reason, hub.book("coinbase", ETH).reason
            hub.frame(1, NOW_NS, update(("buy", "61998.50", "1")))
            await drained(hub)
            still = hub.book("coinbase", BTC).reason
            hub.frame(1, NOW_NS, snapshot())
            await drained(hub)
            return unknown, kept, still, hub.book("coinbase", BTC).reason

    assert run(body()) == ("frames were shed", "", "frames were shed", "")


def test_no_snapshot_is_asked_for_while_frames_are_shed():
    """A hub that cannot keep up makes no more work; once it is calm it asks."""
    asked: list[Symbol] = []

    async def body():
        settings = SidecarSettings(monitor_frames=64)
        hub = Hub(settings, on_resync=lambda _, symbol: asked.append(symbol))
        hub.opened(1, "coinbase-0", "coinbase", dialect())
        async with running(hub):
            hub.frame(1, NOW_NS, snapshot())
            await drained(hub)
            hub.frames(1, NOW_NS, [match(number) for number in range(100)])
            hub.frame(1, NOW_NS, match(100))
            await drained(hub)
            assert hub.book("coinbase", BTC).reason == "frames were shed"
            hub._ask_if_calm(hub._queue.shed_at + 1)
            early = list(asked)
            hub._ask_if_calm(hub._queue.shed_at + 6)
            return early

    assert run(body()) == []
    assert asked == [BTC]


def test_overlapping_connections_show_the_book_that_is_valid():
    """While one replaces the other both have it; the view is of the one that is whole."""

    async def body():
        hub = coinbase_hub()
        hub.opened(2, "coinbase-0", "coinbase", dialect())
        async with running(hub):
            hub.frame(1, NOW_NS, snapshot())
            hub.frame(2, NOW_NS, update(("buy", "1.00", "1")))
            await drained(hub)
            first = hub.book("coinbase", BTC).reason
            hub.frame(2, NOW_NS, snapshot())
            hub.closed(1)
            await drained(hub)
            return first, hub.book("coinbase", BTC).reason, hub.book("coinbase", ETH)

    assert run(body()) == ("", "", None)


def test_events_are_counted_by_feed_and_dataset():
    """What a watchdog of single channels looks at."""

    async def body():
        async with running(coinbase_hub()) as hub:
            hub.frames(1, NOW_NS, [match(1), ticker(), ticker()])
            await drained(hub)
            return hub.events()

    assert run(body()) == {"coinbase": {"trades": 1, "quotes": 2}}


def test_the_queue_is_bounded_in_bytes_too():
    """A few huge frames do not fill memory, however many frames the queue may hold."""

    async def body():
        hub = coinbase_hub()
        for _ in range(20):
            hub.frame(1, NOW_NS, b" " * (4 << 20))
        return hub.snapshot()

    seen = run(body())
    assert seen["queue"]["bytes"] <= 32 << 20
    assert seen["shed"] >= 12


def test_a_closed_connection_takes_its_books_along():
    """What it said last stays; frames after the end are ignored."""

    async def body():
        async with running(coinbase_hub()) as hub:
            hub.frame(1, NOW_NS, snapshot())
            hub.frame(1, NOW_NS, match(1))
            hub.closed(1)
            hub.frame(1, NOW_NS, match(2))
            hub.closed(1)
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["books"]["total"] == 0
    assert seen["feeds"]["coinbase"]["events"] == {"depth": 1, "trades": 1}
    assert seen["feeds"]["coinbase"]["connections"] == 0


def test_a_connection_id_is_open_once():
    """Two shards that count their own connections must not be mixed up."""

    async def body():
        coinbase_hub().opened(2, "coinbase-0", "coinbase", dialect())
        hub = coinbase_hub()
        with pytest.raises(ValueError, match="open already"):
            hub.opened(1, "coinbase-1", "coinbase", dialect())

    run(body())


def test_a_busy_hub_leaves_the_loop_to_others():
    """While a backlog is decoded, another task of the loop is never kept waiting for long."""

    async def body():
        hub = coinbase_hub()
        frames = [match(number) for number in range(20_000)]
        async with running(hub):
            loop = asyncio.get_running_loop()
            for frame in frames:
                hub.frame(1, NOW_NS, frame)
            longest = 0.0
            while hub.snapshot()["queue"]["frames"]:
                began = loop.time()
                await asyncio.sleep(0)
                longest = max(longest, loop.time() - began)
            return longest

    assert run(body()) < 0.1  # slices are 5 ms; the rest is a busy machine


def test_lag_percentiles_per_feed():
    """Receive minus event time, to 3 %; negative where the vendor's clock is ahead."""

    async def body():
        async with running(coinbase_hub()) as hub:
            for number in range(100):
                hub.frame(1, NOW_NS + number * MS, match(number))
            await drained(hub)
            late = hub.lag("coinbase")
            assert hub.lag("kraken") is None
            return late

    late = run(body())
    assert late.samples == 100
    assert late.p50 == pytest.approx(50 * MS, rel=0.05)
    assert late.p99 == pytest.approx(99 * MS, rel=0.05)


@pytest.mark.parametrize("lag", [-5 * MS, -1, 0, 1, 63, 64, 12_345, 3 * 10**9, 10**18])
def test_a_lag_of_any_size_is_kept_to_three_percent(lag: int):
    """Clock skew included; what is small is exact."""
    window = LagWindow(0.0)
    window.add(lag)
    found = window.percentiles()
    assert found.p50 == pytest.approx(lag, rel=0.03)
    assert (found.p50 < 0) == (lag < 0)


def test_the_window_slides_and_stays_small():
    """Samples older than the window are forgotten, also after a long sleep; a million take little room."""
    window = LagWindow(0.0, seconds=60)
    for number in range(100_000):
        window.add(number)
    assert sum(len(part) for part in window._parts) < 600
    window.turn(30.0)
    window.add(7)
    assert window.percentiles().samples == 100_001
    window.turn(65.0)
    assert window.percentiles().p50 == 7
    window.turn(1e6)
    assert window.percentiles() is None


def test_the_status_is_json_and_bounded():
    """Five hundred symbols come to a page, not to a book."""

    async def body():
        async with running(coinbase_hub()) as hub:
            for number in range(500):
                hub.frame(1, NOW_NS, match(1, f"A{number}-USD"))
                hub.frame(1, NOW_NS, update(("buy", "1", "1"), product=f"A{number}-USD"))
            await drained(hub)
            return json.dumps(hub.snapshot())

    text = run(body())
    assert json.loads(text)["feeds"]["coinbase"]["symbols"] == 500
    assert len(text) < 50_000


def test_a_defect_of_a_decoder_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    """It is counted, the books are unknown, the next frame is decoded."""

    async def body():
        hub = coinbase_hub()
        connection = hub._open[1]
        monkeypatch.setattr(connection.decoder, "decode", lambda *_: 1 / 0)
        async with running(hub):
            hub.frame(1, NOW_NS, match(1))
            hub.frame(1, NOW_NS, match(2))
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["defects"] == 1
    assert seen["feeds"]["coinbase"]["rejected"] == {"defect: ZeroDivisionError": 1}
    assert seen["feeds"]["coinbase"]["events"] == {"trades": 1}
