"""The feeds speak with the sandbox over real sockets: confirmed, decoded, and with books that hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
import websockets

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Reply, Subscription, feed
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.feeds.crypto.crypto_bench import SYMBOLS, Books, dialect_of, wanted

KINDS = ("trade", "quote", "snapshot", "delta")
DEADLINE = 60


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    """The sandbox, shared by these tests."""
    with SandboxServer(market=Market.synthetic(seed=7)) as running:
        yield running


class Listener:
    """One connection, driven as the service does it."""

    def __init__(self, name: str, url: str) -> None:
        self.feed, self.sink = feed(name), Books(name, 10)
        rest = f"{url}/{self.feed.spec.provider}"
        levels = {Symbol(SYMBOLS[name]): 10}
        dialect = dialect_of(name, rest_url=rest, levels=levels)
        self.address = url.replace("http", "ws") + f"/{name}/ws"
        self.session, self.decoder = self.feed.session(dialect, wanted(name)), self.feed.decoder(dialect)
        self.confirmed: set[Subscription] = set()
        self.ended: set[Subscription] = set()

    async def act(self, socket: websockets.ClientConnection, reply: Reply) -> None:
        """Send and fetch what the session asks for."""
        assert (reply.refused, reply.error) == ((), None)
        self.confirmed.update(reply.confirmed)
        self.ended.update(reply.ended)
        for message in reply.send:
            await socket.send(message.decode())
        for fetch in reply.fetch:
            async with httpx.AsyncClient() as client:
                answer = await client.get(fetch.request.url, params=dict(fetch.request.params))
            self.decoder.fetched(fetch.symbol, answer.content, self.sink)

    async def hear(self, socket: websockets.ClientConnection) -> None:
        """Take one frame."""
        message = await socket.recv()
        frame = message.encode() if isinstance(message, str) else message
        if self.session.is_control(frame):
            await self.act(socket, self.session.control(frame))
        self.decoder.decode(frame, self.sink)

    def heard_all(self) -> bool:
        """True once every kind of event came, and the book is valid."""
        held = [book.valid for book in self.sink.books.values()]
        return all(self.sink.count(kind) > 1 or kind == "snapshot" for kind in KINDS) and held == [True]


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_a_feed_is_confirmed_and_decoded_over_a_real_socket(server: SandboxServer, name: str) -> None:
    """Nothing is rejected or missing; a resync brings a new snapshot, unsubscribing an end."""
    listener = Listener(name, server.url)

    async def talk() -> None:
        async with asyncio.timeout(DEADLINE), websockets.connect(listener.address, max_size=None) as socket:
            await listener.act(socket, listener.session.opened({}))
            while not listener.heard_all():
                await listener.hear(socket)
            assert listener.confirmed == set(wanted(name))
            await listener.act(socket, listener.session.resync(Symbol(SYMBOLS[name])))
            while listener.sink.count("snapshot") < 2:
                await listener.hear(socket)
            await listener.act(socket, listener.session.unsubscribe(wanted(name)))
            while listener.ended != set(wanted(name)):
                await listener.hear(socket)

    asyncio.run(talk())
    assert (listener.sink.rejections, listener.sink.holes) == ([], [])
    assert [change for _, _, change in listener.sink.changes if change.reason] == []
