"""Live events over real sockets: filters, bounded queues, and readers that do not read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mdc_streaming.fanout import MOST_SUBSCRIBERS, routes
from mdc_streaming.monitoring import Hub
from mdc_streaming.monitoring_subscribers import Filter, Subscriber
from tests.streaming.hubbing import (
    NOW_NS,
    coinbase_hub,
    drained,
    match,
    running,
    snapshot,
    ticker,
    until,
    update,
)


@dataclass(frozen=True, slots=True)
class Served:
    """A hub at work, and where its events are."""

    hub: Hub
    url: str

    @property
    def socket_url(self) -> str:
        """The WebSocket's."""
        return self.url.replace("http", "ws", 1) + "/ws"


@asynccontextmanager
async def served(**settings: float) -> AsyncIterator[Served]:
    """A real server on a free port."""
    hub = coinbase_hub(**settings)
    config = uvicorn.Config(Starlette(routes=routes(hub)), log_level="error", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with running(hub):
            await until(lambda: server.started)
            yield Served(hub, f"http://127.0.0.1:{listening.getsockname()[1]}/events")
        server.should_exit = True
        await asyncio.wait_for(serving, 10)


async def lines_of(response: httpx.Response, count: int) -> list[dict[str, object]]:
    """The first ``count`` events."""
    found = []
    async for line in response.aiter_lines():
        found.append(json.loads(line))
        if len(found) == count:
            break
    return found


def run(coroutine):
    """Run it in a loop of its own, within ten seconds."""
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def test_events_arrive_as_lines_of_json():
    """Prices and sizes are text as the vendor wrote them, instants are whole numbers."""

    async def body():
        async with served() as at, httpx.AsyncClient() as client, client.stream("GET", at.url) as response:
            assert response.headers["content-type"] == "application/x-ndjson"
            for frame in (match(1), ticker(), snapshot(), update(("buy", "61998.50", "0.1"))):
                at.hub.frame(1, NOW_NS + 5, frame)
            return await lines_of(response, 4)

    trade, quote, book, change = run(body())
    assert trade == {
        "type": "trade",
        "feed": "coinbase",
        "symbol": "COINBASE:BTC-USD",
        "ts_event": NOW_NS,
        "ts_recv": NOW_NS + 5,
        "price": "62000.10",
        "size": "0.00500000",
        "side": "buy",
        "trade_id": "1",
    }
    assert (quote["bid_price"], quote["ask_size"]) == ("61999.99", "1.25")
    assert (book["action"], book["bids"][0]) == ("snapshot", ["61999.00", "1.5"])
    assert (change["action"], change["bids"], change["asks"]) == ("update", [["61998.50", "0.1"]], [])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbol=coinbase:eth-usd", [("trade", "COINBASE:ETH-USD")]),
        ("dataset=quotes&feed=coinbase", [("quote", "COINBASE:BTC-USD")]),
        ("symbol=KRAKEN:BTC-USD,COINBASE:BTC-USD&dataset=trades", [("trade", "COINBASE:BTC-USD")]),
        ("dataset=trades&dataset=quotes", [("trade", "COINBASE:BTC-USD"), ("quote", "COINBASE:BTC-USD")]),
    ],
)  # fmt: skip
def test_filters_choose(query, expected):
    """By symbol, dataset and feed; each may repeat or hold commas."""

    async def body():
        async with (
            served() as at,
            httpx.AsyncClient() as client,
            client.stream("GET", f"{at.url}?{query}") as response,
        ):
            for frame in (match(1), ticker(), match(1, "ETH-USD")):
                at.hub.frame(1, NOW_NS, frame)
            return await lines_of(response, len(expected))

    assert [(event["type"], event["symbol"]) for event in run(body())] == expected


@pytest.mark.parametrize("query", ["symbol=../etc", "dataset=bars_1d", "feed=nasdaq", "since=yesterday"])
def test_a_wrong_filter_is_refused_with_the_reason(query):
    """400, and over a WebSocket a close with it."""

    async def body():
        async with served() as at, httpx.AsyncClient() as client:
            answer = await client.get(f"{at.url}?{query}")
            async with connect(f"{at.socket_url}?{query}") as refused:
                with pytest.raises(ConnectionClosed) as caught:
                    await refused.recv()
            return answer, caught.value.rcvd.code, len(at.hub.fanout)

    answer, code, joined = run(body())
    assert (answer.status_code, code, joined) == (400, 1007, 0)
    assert answer.json()["error"]


def test_a_websocket_gets_one_message_per_event():
    """And leaves the fan-out when it goes, also while nothing happens."""

    async def body():
        async with served() as at:
            async with connect(at.socket_url) as reader:
                await until(lambda: len(at.hub.fanout) == 1)
                at.hub.frame(1, NOW_NS, match(1))
                at.hub.frame(1, NOW_NS, match(2))
                found = [json.loads(await reader.recv())["trade_id"] for _ in range(2)]
            await until(lambda: not at.hub.fanout)
            return found

    assert run(body()) == ["1", "2"]


def test_an_http_reader_that_goes_is_forgotten():
    """Also while nothing happens."""

    async def body():
        async with served() as at, httpx.AsyncClient() as client:
            async with client.stream("GET", at.url):
                await until(lambda: len(at.hub.fanout) == 1)
            await until(lambda: not at.hub.fanout)

    run(body())


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_reader_that_does_not_read_costs_nobody_anything(kind):
    """Its oldest events go, it is told how many; another reader gets every one, and memory is bounded."""
    count = 30_000

    async def stuck_reader(at: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*at.url[7:].split("/")[0].split(":"), limit=1024)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        head = f"GET /events{'/ws' if kind == 'websocket' else ''} HTTP/1.1\r\nHost: here\r\n"
        key = f"{upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if kind == "websocket" else ""
        writer.write((head + key + "\r\n").encode())
        return reader, writer

    async def body():
        async with served(subscriber_events=200) as at:
            reader, writer = await stuck_reader(at)
            await until(lambda: len(at.hub.fanout) == 1)
            stuck = at.hub.fanout._subscribers[0]
            good = at.hub.fanout.join(Filter())
            seen = 0
            for first in range(1, count, 100):
                for number in range(first, first + 100):
                    at.hub.frame(1, NOW_NS, match(number))
                await drained(at.hub)
                seen += len(await good.next_lines())
            state = (seen, good.dropped, stuck.dropped, stuck.sent, len(stuck._lines))
            text = b""
            while b'"dropped","count":' not in text:
                text = text[-50:] + await asyncio.wait_for(reader.read(65536), 5)
            writer.close()
            await until(lambda: len(at.hub.fanout) == 1)
            return state

    seen, lost, dropped, sent, queued = run(body())
    assert (seen, lost) == (count, 0)
    assert queued <= 200
    assert dropped > 1_000  # the rest is in the sockets' buffers and nowhere else
    assert dropped + sent + queued == count


def test_a_queue_is_bounded_in_events_and_in_bytes():
    """Big events fill it sooner; what was dropped is told once, before what comes after."""

    async def body():
        few = Subscriber(Filter(), 3)
        for number in range(10):
            few.put(b"%d\n" % number)
        first = await few.next_lines()
        few.put(b"10\n")
        big = Subscriber(Filter(), 10_000)
        for _ in range(100):
            big.put(b" " * (1 << 20))
        return first, await few.next_lines(), len(big._lines), big.dropped

    first, second, kept, dropped = run(body())
    assert first == [b'{"type":"dropped","count":7}\n', b"7\n", b"8\n", b"9\n"]
    assert second == [b"10\n"]
    assert (kept, dropped) == (4, 96)


def test_book_tops_come_only_when_asked_for():
    """``dataset=book``: the best levels after each look, and why there are none."""

    async def body():
        async with (
            served() as at,
            httpx.AsyncClient() as client,
            client.stream("GET", f"{at.url}?dataset=book") as response,
        ):
            at.hub.frame(1, NOW_NS, snapshot(levels=20))
            lines = response.aiter_lines()
            first = json.loads(await anext(lines))
            at.hub.frame(1, NOW_NS, update(("buy", "70000.00", "1")))
            second = json.loads(await anext(lines))
            return first, second

    first, second = run(body())
    assert (first["type"], first["valid"], len(first["bids"])) == ("book", True, 10)
    assert (second["valid"], second["reason"], "bids" in second) == (False, "crossed", False)


def test_pages_of_other_origins_are_refused():
    """A web site in a browser of this machine must not read along."""

    async def body():
        async with served() as at, httpx.AsyncClient() as client:
            foreign = {"Origin": "https://evil.example"}
            answer = await client.get(at.url, headers=foreign)
            with pytest.raises((ConnectionClosed, InvalidStatus)):
                async with connect(at.socket_url, additional_headers=foreign) as refused:
                    await refused.recv()
            return answer.status_code, len(at.hub.fanout)

    assert run(body()) == (403, 0)


def test_subscribers_are_bounded():
    """The one too many is told to come back later."""

    async def body():
        async with served() as at, httpx.AsyncClient() as client:
            for _ in range(MOST_SUBSCRIBERS):
                at.hub.fanout.join(Filter())
            return (await client.get(at.url)).status_code

    assert run(body()) == 503


def test_draining_ends_every_stream():
    """What was queued is still sent, then both kinds of stream end in order."""

    async def body():
        async with (
            served() as at,
            httpx.AsyncClient() as client,
            client.stream("GET", at.url) as response,
            connect(at.socket_url) as reader,
        ):
            await until(lambda: len(at.hub.fanout) == 2)
            at.hub.frame(1, NOW_NS, match(1))
            await drained(at.hub)
            at.hub.end()
            lines = [line async for line in response.aiter_lines()]
            messages = [message async for message in reader]
            return lines, messages

    lines, messages = run(body())
    assert len(lines) == len(messages) == 1
