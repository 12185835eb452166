"""Bounds of the monitors as properties: whatever comes, counts add up and memory stays."""

from __future__ import annotations

import asyncio
import json
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mdc_resources.books import book_rule
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Gone, Subscription, feed
from mdc_streaming.monitoring_books import LiveBooks
from mdc_streaming.monitoring_lag import LagWindow
from mdc_streaming.monitoring_queue import Batch, FrameQueue, Watched
from mdc_streaming.monitoring_sink import MOST_SYMBOLS, FeedTally, MonitorSink
from mdc_streaming.monitoring_subscribers import BOOK, Fanout, Filter, Subscriber, TradeEvent
from tests.streaming.hubbing import BTC, NOW_NS, dialect

CAPACITY = 20


def watched(name: str = "coinbase") -> Watched:
    """One open connection of ``name``."""
    books = LiveBooks(book_rule(name), {})
    sink = MonitorSink(FeedTally(name, 0.0), books, Fanout(100))
    return Watched(f"{name}-0", feed(name), dialect(name), sink)


class Queue(RuleBasedStateMachine):
    """Two connections fill a queue that is emptied now and then; a list is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = FrameQueue(CAPACITY)
        self.connections = (watched(), watched())
        self.given = [0, 0]
        self.taken = [0, 0]
        self.last = [-1, -1]

    @rule(which=st.integers(0, 1), count=st.integers(1, 30))
    def put(self, which: int, count: int) -> None:
        """One read's frames, numbered."""
        first = self.given[which]
        frames = [b"%d" % number for number in range(first, first + count)]
        self.queue.put(Batch(self.connections[which], 0, frames, None))
        self.given[which] += count

    @rule(part=st.integers(0, 5))
    def take(self, part: int) -> None:
        """The oldest batch, or as much of it as there is time for; each frame comes once, in order."""
        if not self.queue:
            return
        batch = self.queue.take()
        which = self.connections.index(batch.connection)
        frames = batch.frames[:part] if part else batch.frames
        if len(frames) < len(batch.frames):
            self.queue.put_back(batch._replace(frames=batch.frames[len(frames) :]))
        for frame in frames:
            assert int(frame) > self.last[which]
            if int(frame) != self.last[which] + 1:
                assert batch.connection.torn
            self.last[which] = int(frame)
        batch.connection.torn = False
        self.taken[which] += len(frames)

    @invariant()
    def it_is_bounded(self) -> None:
        """Never more than its capacity once a frame was put."""
        assert self.queue.frames <= CAPACITY
        assert self.queue.bytes >= self.queue.frames

    @invariant()
    def nothing_is_lost_without_being_counted(self) -> None:
        """Given is taken, shed or waiting."""
        shed = sum(connection.sink.tally.shed for connection in self.connections)
        assert sum(self.given) == sum(self.taken) + shed + self.queue.frames


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_empty_queue_counts_nothing():
    """After everything was taken both counts are zero."""
    queue, connection = FrameQueue(CAPACITY), watched()
    for size in (1, 2, 3):
        queue.put(Batch(connection, 0, [b"x" * size] * size, None))
    while queue:
        queue.take()
    assert (queue.frames, queue.bytes) == (0, 0)


def test_mending_begins_anew():
    """A new decoder and unknown books: what was shed must not look like a hole of the feed's."""
    connection = watched()
    levels = (("1", "1"),), (("2", "1"),)
    connection.sink.books.snapshot(BTC, *levels, 0.0, sequence=None, checksum=None)
    before, connection.torn = connection.decoder, True
    connection.mend(1.0)
    assert connection.decoder is not before
    assert not connection.torn
    assert connection.sink.books.get(BTC).reason == "frames were shed"


@settings(max_examples=50)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_samples_to_three_percent(lags: list[int]):
    """Against sorting them all."""
    window = LagWindow(0.0)
    for lag in lags:
        window.add(lag)
    found = window.percentiles()
    ordered = sorted(lags)
    for share, seen in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = ordered[max(-int(-len(ordered) * share // 1) - 1, 0)]
        assert seen == pytest.approx(exact, rel=0.033, abs=1)
    assert found.samples == len(lags)


def test_the_median_of_a_steady_feed_is_the_median():
    """A thousand samples around five milliseconds."""
    lags = [5_000_000 + number * 1_000 for number in range(-500, 500)]
    window = LagWindow(0.0)
    for lag in lags:
        window.add(lag)
    assert window.percentiles().p50 == pytest.approx(statistics.median(lags), rel=0.02)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(1, 400), st.none()), max_size=60), st.integers(1, 20))
def test_a_subscriber_gets_or_is_told_of_every_event(steps, capacity):
    """Sent and told as dropped are all there were, in order, and never more wait than there is room for."""

    async def body() -> None:
        subscriber = Subscriber(Filter(), capacity)
        put, got, told = 0, [], 0
        for step in [*steps, None, None]:
            if step is not None:
                for _ in range(step % 40):
                    subscriber.put(b'{"n":%d}\n' % put)
                    put += 1
                assert len(subscriber._lines) <= capacity
            elif subscriber._lines:
                for line in await subscriber.next_lines():
                    event = json.loads(line)
                    told += event.get("count", 0)
                    if "n" in event:
                        got.append(event["n"])
        assert got == sorted(set(got))
        assert len(got) + told == put
        assert (subscriber.sent, subscriber.dropped) == (len(got), told)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("wanted", "event", "expected"),
    [
        (Filter(), ("trades", BTC, "coinbase"), True),
        (Filter(), (BOOK, BTC, "coinbase"), False),
        (Filter(datasets=frozenset({BOOK})), (BOOK, BTC, "coinbase"), True),
        (Filter(datasets=frozenset({BOOK})), ("depth", BTC, "coinbase"), False),
        (Filter(symbols=frozenset({BTC})), ("quotes", "COINBASE:ETH-USD", "coinbase"), False),
        (Filter(feeds=frozenset({"kraken"})), ("quotes", BTC, "coinbase"), False),
        (Filter(frozenset({BTC}), frozenset({"trades"})), ("trades", BTC, "coinbase"), True),
    ],
)  # fmt: skip
def test_a_filter_wants_what_it_names(wanted: Filter, event: tuple[str, str, str], expected: bool):
    """Empty sets are everything but books, which are for those who name them."""
    assert wanted.wants(*event) is expected


def test_an_event_is_encoded_once_for_all():
    """Ten readers share the same bytes; one that left gets none and keeps its count."""
    fanout = Fanout(10)
    readers = [fanout.join(Filter()) for _ in range(10)]
    other = fanout.join(Filter(symbols=frozenset({"KRAKEN:BTC-USD"})))
    event = TradeEvent(feed="coinbase", symbol=BTC, ts_recv=NOW_NS, price="1.10", size="2")
    fanout.publish("trades", event)
    lines = {id(reader._lines[0]) for reader in readers}
    assert len(lines) == 1
    assert not other._lines
    for _ in range(20):
        fanout.publish("trades", event)
    fanout.leave(readers[0])
    fanout.leave(readers[0])
    assert fanout.as_dict()["dropped"] == 110
    assert fanout.as_dict()["count"] == 10


def test_warnings_are_bounded_and_not_repeated():
    """A sequence that jumps with every frame is counted each time and told once a minute."""
    tally = FeedTally("coinbase", 0.0)
    for second in range(120):
        tally.warn("trades", BTC, "sequence", "2 to 8", float(second))
    assert tally.holes == {"sequence": 120}
    assert len(tally.warnings) == 2
    for number in range(2 * MOST_SYMBOLS):
        tally.warn("trades", Symbol(f"A{number}"), "sequence", "", 200.0)
    assert len(tally.warnings) == 20
    assert len(tally._warned) <= MOST_SYMBOLS


def test_symbols_beyond_the_bound_are_counted_only():
    """A vendor that invents symbols fills no memory."""
    sink = watched().sink
    for number in range(MOST_SYMBOLS + 100):
        sink.trade(Symbol(f"A{number}"), None, "1", "1")
        sink.quote(Symbol(f"A{number}"), None, ("1", "1"), ("2", "1"))
    assert len(sink.tally.trades) == len(sink.tally.quotes) == MOST_SYMBOLS
    assert sink.tally.events == {"trades": MOST_SYMBOLS + 100, "quotes": MOST_SYMBOLS + 100}
    assert sink.tally.lag.percentiles() is None


def test_a_hole_of_a_book_makes_it_unknown_and_is_told():
    """The decoder's own rule: subscribers of that dataset hear of it."""
    connection = watched("coinbase-advanced")
    sink = connection.sink
    fanout = Fanout(10)
    sink._fanout = fanout
    reader = fanout.join(Filter(datasets=frozenset({"depth"})))
    sink.book_snapshot(BTC, None, [("1", "1")], [("2", "1")])
    sink.hole(Subscription(Dataset.DEPTH, BTC), Gone.SEQUENCE, "after 7 came 9")
    assert sink.books.get(BTC).reason == "sequence"
    told = [json.loads(line) for line in reader._lines]
    assert [event["type"] for event in told] == ["depth", "hole"]
    assert told[1]["detail"] == "after 7 came 9"


def test_a_book_of_words_is_rejected_and_unknown():
    """A price that is no number, in a snapshot or an update, is no price."""
    sink = watched().sink
    sink.book_snapshot(BTC, None, [("1", "1")], [("2", "1")])
    sink.book_delta(BTC, None, [("one", "1")], [])
    assert sink.books.get(BTC).reason == "no number"
    sink.book_snapshot(BTC, None, [("1", "1")], [("two", "1")])
    assert sink.books.get(BTC).reason == "no number"
    assert sink.tally.rejected == {"a level of a book is no number": 2}
    sink.book_snapshot(BTC, None, [("1", "1")], [("2", "1")])
    assert sink.books.get(BTC).reason == ""


def test_a_large_snapshot_is_told_in_part():
    """Subscribers get the best twenty-five levels a side, and how many more there were."""
    sink = watched().sink
    fanout = Fanout(10)
    sink._fanout = fanout
    reader = fanout.join(Filter())
    bids = [(f"{1000 - at}", "1") for at in range(100)]
    sink.book_snapshot(BTC, None, bids, [("2000", "1")])
    (event,) = (json.loads(line) for line in reader._lines)
    assert (len(event["bids"]), len(event["asks"]), event["more"]) == (25, 1, 75)
