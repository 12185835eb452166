"""A home with live feeds and a real lake, captures served to it, and what log and lake hold then.

Captures go through a real WebSocket, the real service and the real landing, with the wall clock where it
stood when they were recorded: an event a day away from when it was received is refused, rightly.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mdc_resources.config import Home
from mdc_resources.lake import HoleRow, Lake
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.land import Landed, land, unlanded
from mdc_resources.sandbox.live.replay import LiveReplay
from mdc_resources.wal import Kind, marks, verify_segment
from mdc_streaming.pacing import Timing
from tests.feeds.captures import Capture, read_capture
from tests.homes import make_home
from tests.streaming.capturing import QUICK, capturing, marks_of, records, until

# Patient where a busy machine would be taken for a dead peer; nothing here is about deadlines.
CALM = Timing(tick=0.05, lease=0.05, resync=0.2, stall=60.0)
CRYPTO = '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\nstart = 2015-01-01\n'


def feed_home(root: Path, stream: str, *, sandbox: bool = False) -> Home:
    """A home with a real lake and the feeds of ``stream``."""
    return make_home(root, "http://127.0.0.1:1", providers=(), sandbox=sandbox, extra=CRYPTO + QUICK + stream)


def section(feed: str, symbols: Iterable[str], **settings: object) -> str:
    """A section of ``mdc.toml``."""
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    return f"[stream.{feed}]\nsymbols = {json.dumps(list(symbols))}\n{''.join(lines)}"


def set_clock(patch: pytest.MonkeyPatch, start_ns: int) -> None:
    """Let the wall clock stand at ``start_ns`` now, and go on from there."""
    real = time.time_ns
    behind = real() - start_ns
    patch.setattr(time, "time_ns", lambda: real() - behind)


class Heard(NamedTuple):
    """One frame of the log; ``symbol`` only of a body that was fetched over HTTP."""

    at_ns: int
    text: bytes
    symbol: str = ""

    @property
    def document(self) -> Any:
        """The JSON of it; every number in it as its text."""
        return json.loads(self.text, parse_float=str, parse_int=str)


def heard(home: Home, shard: str) -> list[Heard]:
    """What the log of ``shard`` holds besides marks, in its order."""
    found: list[Heard] = []
    for record in records(home, shard):
        if record.kind == Kind.FRAMES:
            found += [Heard(record.recv_ns, frame) for frame in record.frames]
        elif record.kind == Kind.FETCHED:
            symbol = json.loads(record.frames[0])["symbol"]
            found.append(Heard(record.recv_ns, record.frames[1], symbol))
    return found


def fetched(home: Home, shard: str) -> int:
    """How many answers over HTTP are in the log of ``shard``."""
    return sum(record.kind == Kind.FETCHED for record in records(home, shard))


def rows(home: Home, dataset: str, columns: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each symbol, in the order of capture, as a reader of the lake sees them."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    sql = f"select symbol, {columns} from {dataset} order by symbol, session, ordinal"
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as reader:
        for symbol, *values in reader.execute(sql).fetchall():
            found[symbol].append(tuple(values))
    return dict(found)


@dataclass(frozen=True, slots=True)
class Recording:
    """A capture as it lies in the payloads, and the symbols it is of (left out: those it asked for)."""

    name: str
    feed: str
    symbols: tuple[str, ...] = ()
    pace: float = 6.0


@dataclass(frozen=True, slots=True)
class Replayed:
    """A capture that went through service and landing. ``said`` is what our client sent."""

    home: Home
    capture: Capture
    heard: list[Heard]
    landed: Landed
    said: list[str]


def play(
    payloads: Path, root: Path, patch: pytest.MonkeyPatch, recording: Recording, **settings: object
) -> Replayed:
    """Serve the capture at the time it was recorded, capture it, stop, seal and land.

    The log must hold the capture byte for byte and in its order.
    """
    capture, greeting, served = _recorded(payloads, recording)
    times = [capture.opened_at, *(said.at_ns for said in capture.received)]
    delays = [(after - before) / 1e9 for before, after in pairwise(times)]
    messages = [(0.0, text) for text in greeting]
    messages += [(delay, said.text.decode()) for delay, said in zip(delays, capture.received, strict=True)]
    shard = f"{recording.feed}-0"
    with patch.context() as clock, LiveReplay(messages, pace=recording.pace, answers=served) as replay:
        symbols = recording.symbols or asked_symbols(capture)
        places = {"ws_url": replay.ws_url, "rest_url": replay.http_url, "hours": "always"}
        home = feed_home(root, section(recording.feed, symbols, **places, **settings))
        set_clock(clock, capture.opened_at)
        with capturing(home, timing=CALM) as running:
            until(lambda: running.shard(shard)["frames"] >= len(messages), 30, "every frame came")
            until(lambda: fetched(home, shard) >= len(served), 30, "every snapshot was fetched")
        assert running.error is None
        assert all(verify_segment(one.path).sealed for one in unlanded(home))
        landed = land(home, run_id="recorded")
        assert land(home, run_id="again").rows == {}
    found = heard(home, shard)
    stream = [one.text for one in found if not one.symbol]
    assert stream == [text.encode() for text in greeting] + [said.text for said in capture.received]
    assert sorted(one.text for one in found if one.symbol) == sorted(served.values())
    return Replayed(home, capture, found, landed, list(replay.said))


def asked_symbols(capture: Capture) -> list[str]:
    """The symbols a recorded client of Kraken subscribed to."""
    return [kraken_symbol(pair) for pair in json.loads(capture.sent[0].text)["pair"]]


def kraken_symbol(pair: str) -> str:
    """``KRAKEN:BTC-USD`` for ``XBT/USD``."""
    return f"KRAKEN:{pair.replace('XBT', 'BTC').replace('/', '-')}"


def assert_nothing_is_missing(home: Home, landed: Landed) -> None:
    """Nothing was refused or put aside, everything is landed, and capture has no hole."""
    assert (landed.rejected, landed.failed, landed.waiting) == (0, (), ())
    assert (DeadLetters.of(home).letters(state=None), unlanded(home)) == ([], [])
    assert inner_holes(home, landed) == []


def inner_holes(home: Home, landed: Landed) -> list[HoleRow]:
    """Holes after a subscription was confirmed (for books: shown) and before the last frame."""
    (feed,) = home.settings.stream
    begun = {
        pair: record.recv_ns
        for record, mark in reversed(marks_of(home, f"{feed}-0"))
        if isinstance(mark, marks.Confirmed)
        for pair in mark.pairs
    }
    for symbol, found in rows(home, "depth", "ts_recv").items():
        begun["depth", symbol] = max(begun["depth", symbol], found[0][0])
    last = max(one.at_ns for one in heard(home, f"{feed}-0"))
    return [
        hole
        for hole in landed.holes
        if hole.start_ns < last and hole.end_ns > begun[hole.dataset.value, hole.key.symbol]
    ]


def _recorded(payloads: Path, recording: Recording) -> tuple[Capture, list[str], dict[str, bytes]]:
    """The capture, what a server says first to our own client, and answers over HTTP by their path."""
    folder = payloads / recording.feed.partition("-")[0] / "cryptofeed"
    if recording.feed == "binance":
        capture = read_capture(folder / f"{recording.name}.ws.1.0")
        answers = read_capture(folder / f"{recording.name}.http.0.0").answers
        served = {f"/api/v3/depth?{said.url.partition('?')[2]}": said.text for said in answers}
        return capture, ['{"result":null,"id":1}'], served  # recorded with its streams in the URL: unasked
    capture = read_capture(folder / recording.name)
    asked = json.loads(capture.sent[0].text)
    if asked["subscription"]["name"] == "trade":
        return capture, [], {}
    # The recorded client asked for ``ticker``, which ours reads and does not ask for.
    told = {"event": "subscriptionStatus", "status": "subscribed", "subscription": {"name": "spread"}}
    return capture, [json.dumps(told | {"pair": pair, "reqid": 1}) for pair in asked["pair"]], {}
