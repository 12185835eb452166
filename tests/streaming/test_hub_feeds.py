"""The hub with the decoders of several vendors: checksums, numbered updates, recorded feeds, memory."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mdc_resources.books import kraken_checksum
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.symbols import Symbol
from mdc_streaming.monitoring import Hub
from tests.streaming.hubbing import NOW_NS, dialect, drained, match, running, until

KRAKEN = Symbol("KRAKEN:BTC-USD")
BINANCE = Symbol("BINANCE:BTC-USDT")
ASKS = [(f"{62_000 + at}.1", "0.50000000") for at in range(10)]
BIDS = [(f"{61_999 - at}.9", "1.25000000") for at in range(10)]


def run(coroutine):
    """Run it in a loop of its own, within ten seconds."""
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def kraken_book(kind: str, bids, asks, checksum: int) -> bytes:
    """A frame of Kraken's version 2; numbers are JSON numbers at full precision."""
    sides = [
        f'"{name}":[{",".join(f"""{{"price":{price},"qty":{size}}}""" for price, size in levels)}]'
        for name, levels in (("bids", bids), ("asks", asks))
    ]
    clock = ',"timestamp":"2026-11-18T11:06:40.000000Z"' if kind == "update" else ""
    data = f'{{"symbol":"BTC/USD",{",".join(sides)},"checksum":{checksum}{clock}}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'.encode()


def binance_depth(first: int, last: int) -> bytes:
    """A numbered update of Binance."""
    data = {"e": "depthUpdate", "E": NOW_NS // 10**6, "s": "BTCUSDT", "U": first, "u": last}
    levels = {"b": [["61999.90", "2.00000000"]], "a": []}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": {**data, **levels}}).encode()


def test_krakens_checksums_are_verified_live():
    """A true one keeps the book, a false one makes it unknown and asks for another."""
    changed = [("61999.9", "3.00000000"), *BIDS[1:]]
    good = kraken_book("update", changed[:1], [], kraken_checksum(ASKS, changed))
    bad = kraken_book("update", [("61998.9", "7.00000000")], [], 12345)
    asked: list[tuple[str, str]] = []

    async def body():
        hub = Hub(SidecarSettings(), on_resync=lambda shard, symbol: asked.append((shard, symbol)))
        hub.opened(("kraken-0", 1), "kraken-0", "kraken", dialect("kraken", {KRAKEN: 10}))
        async with running(hub):
            whole = kraken_book("snapshot", BIDS, ASKS, kraken_checksum(ASKS, BIDS))
            hub.frames(("kraken-0", 1), NOW_NS, [whole, good])
            await drained(hub)
            first = hub.book("kraken", KRAKEN).reason, hub.book("kraken", KRAKEN).book.top(1).bids
            hub.frames(("kraken-0", 1), NOW_NS, [bad])
            await until(lambda: asked)
            return first, hub.book("kraken", KRAKEN).reason, hub.snapshot()

    first, second, seen = run(body())
    assert first == ("", (("61999.9", "3.00000000"),))
    assert second == "checksum"
    assert asked == [("kraken-0", KRAKEN)]
    assert seen["feeds"]["kraken"]["rejected"] == {}


def test_binances_updates_wait_for_the_fetched_snapshot():
    """They arrive while it is fetched; a jump afterwards makes the book unknown."""

    async def body():
        hub = Hub(SidecarSettings())
        hub.opened(1, "binance-0", "binance", dialect("binance", {BINANCE: 10}))
        fetched = {"lastUpdateId": 101, "bids": [["61999.90", "1"]], "asks": [["62000.10", "1"]]}
        async with running(hub):
            hub.frames(1, NOW_NS, [binance_depth(98, 100), binance_depth(101, 103)])
            hub.fetched(1, NOW_NS, BINANCE, json.dumps(fetched).encode())
            await drained(hub)
            live = hub.book("binance", BINANCE)
            first = live.reason, live.book.sequence, live.book.top(1).bids
            hub.frame(1, NOW_NS, binance_depth(110, 111))
            await drained(hub)
            return first, hub.book("binance", BINANCE).reason

    first, second = run(body())
    assert first == ("", 103, (("61999.90", "2.00000000"),))
    assert second == "sequence"


def test_a_recorded_feed_reproduces_its_own_counts(payloads: Path):
    """Every frame of a real connection, shown to the hub as a service would: nothing is rejected."""
    text = (payloads / "binance" / "cryptofeed" / "BINANCE_US.ws.1.0").read_text()
    received = [line.split(": ", 1) for line in text.splitlines() if line[:1].isdigit()]
    kinds = Counter(json.loads(frame).get("stream", "").partition("@")[2] for _, frame in received)
    pairs = {json.loads(frame)["data"]["s"] for _, frame in received if '"stream"' in frame}
    symbols = {
        Symbol(f"BINANCE:{pair.removesuffix(quote)}-{quote}"): 10
        for pair in pairs
        for quote in ("USDT", "BUSD")
        if pair.endswith(quote)
    }

    async def body():
        hub = Hub(SidecarSettings())
        hub.opened(1, "binance-0", "binance", dialect("binance", symbols))
        async with running(hub):
            for clock, frame in received:
                hub.frame(1, int(float(clock) * 1e9), frame.encode())
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["feeds"]["binance"]["events"] == {
        "depth": kinds["depth@100ms"],
        "trades": kinds["aggTrade"],
        "quotes": kinds["bookTicker"],
    }
    assert seen["feeds"]["binance"]["rejected"] == {}
    assert -200_000_000 < seen["feeds"]["binance"]["lag_ns"]["p50"] < 0  # the recorder's clock was behind


def test_what_one_read_brought_is_taken_in_whole():
    """Decoded in its order and shed whole; the count is of frames."""

    async def body():
        hub = Hub(SidecarSettings(monitor_frames=100))
        hub.opened(1, "coinbase-0", "coinbase", dialect())
        for first in range(1, 641, 64):
            hub.frames(1, NOW_NS, [match(number) for number in range(first, first + 64)])
        hub.frames(1, NOW_NS, [])
        hub.frames("not open", NOW_NS, [match(1)])
        waiting = hub.snapshot()["queue"]["frames"]
        async with running(hub):
            await drained(hub)
        return waiting, hub.snapshot()

    waiting, seen = run(body())
    assert waiting == 64
    assert (seen["frames"], seen["shed"], seen["decoded"]) == (640, 576, 64)
    assert seen["feeds"]["coinbase"]["holes_seen"] == {}


_MEMORY = """
import asyncio, gc
from tests.memory import peak_mb
from tests.streaming.hubbing import NOW_NS, coinbase_hub, drained, match, running, snapshot, ticker, update

async def main():
    hub = coinbase_hub()
    async with running(hub):
        for number in range(500):
            hub.frames(1, NOW_NS, [match(1, f"A{number}-USD"), ticker(f"A{number}-USD")])
        await drained(hub)
        for number in range(50):
            hub.frame(1, NOW_NS, snapshot(f"A{number}-USD", levels=1000))
            await drained(hub)
        for number in range(20_000):
            hub.frame(1, NOW_NS, update(("buy", "60000.00", f"{number}.5"), product=f"A{number % 50}-USD"))
            if number % 500 == 0:
                await drained(hub)
        await drained(hub)
        books = hub.snapshot()["books"]
        assert (books["total"], books["valid"]) == (50, 50), books
    print(peak_mb())

asyncio.run(main())
"""


def test_five_hundred_symbols_and_fifty_deep_books_stay_small():
    """A thousand levels a side: the whole process stays far below 300 MB."""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", _MEMORY], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 180


@pytest.mark.parametrize("name", ["alpaca", "polygon", "finnhub", "tiingo", "coinbase-advanced", "kraken-v1"])
def test_every_feed_can_be_watched(name: str):
    """Whatever arrives, garbage included, is counted and ends nothing."""

    async def body():
        hub = Hub(SidecarSettings())
        hub.opened(1, f"{name}-0", name, dialect(name))
        async with running(hub):
            hub.frames(1, NOW_NS, [b"", b"{", b"[]", b"null", b'{"type":1}', b"\xff", b"9" * 5000])
            await drained(hub)
            return hub.snapshot()

    seen = run(body())
    assert seen["defects"] == 0
    assert seen["decoded"] == 7
