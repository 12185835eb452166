"""The check of the suite that talks to the sandbox, whose dialects share no code with the feeds.

What one of them misread in the vendor's documents, the other is unlikely to have misread in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
from websockets.sync.client import ClientConnection, connect

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDecoder, LiveDialect, LiveSession, Reply, Subscription
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.feeds.bench import Bench
from tests.feeds.recorder import Recorder

_TRADES_A_SECOND = 20
_DEADLINE_SECONDS = 10.0
_KINDS = {"trade": Dataset.TRADES, "quote": Dataset.QUOTES, "snapshot": Dataset.DEPTH, "delta": Dataset.DEPTH}


class _Caller:
    """One connection to the sandbox, driven as the service drives one, one frame at a time."""

    def __init__(self, socket: ClientConnection, session: LiveSession, decoder: LiveDecoder) -> None:
        self._socket, self._session, self._decoder = socket, session, decoder
        self.sink = Recorder()
        self.confirmed: set[Subscription] = set()
        self.ended: set[Subscription] = set()

    @property
    def shown(self) -> set[Subscription]:
        """What events came of."""
        return {Subscription(_KINDS[event["kind"]], event["symbol"]) for event in self.sink.events}

    def act(self, reply: Reply) -> None:
        """Do what the session wants done."""
        assert reply.error is None, reply.error
        assert not reply.refused
        self.confirmed.update(reply.confirmed)
        self.ended.update(reply.ended)
        for frame in reply.send:
            self._socket.send(frame.decode())
        for fetch in reply.fetch:
            answer = httpx.get(fetch.request.url, params=fetch.request.params)
            self._decoder.fetched(fetch.symbol, answer.content, self.sink)

    def listen(self, until: Callable[[], bool]) -> None:
        """Take in frames until something is so; AssertionError at the deadline."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, (self.confirmed, self.ended, self.shown)
            said = self._socket.recv(timeout=left)
            frame = said.encode() if isinstance(said, str) else said
            self._decoder.decode(frame, self.sink)
            if self._session.is_control(frame):
                self.act(self._session.control(frame))


def lc_29_the_sandbox_speaks_the_same_dialect(bench: Bench) -> None:
    """Over a real socket: all is confirmed, each dataset comes without a rejection or a hole, and ends."""
    spec = bench.feed.spec
    symbol = bench.tape.wanted[0].symbol if spec.venue else Symbol("AAPL")
    wanted = [Subscription(dataset, symbol) for dataset in sorted(spec.datasets)]
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=_TRADES_A_SECOND) as server:
        base = f"{server.url.replace('http', 'ws')}/{bench.name}/ws"
        dialect = LiveDialect(spec, base, rest_url=server.provider_url(spec.provider), levels={symbol: 10})
        address = bench.feed.address(dialect)
        query = urlencode({key: f"key-{name}" for key, name in address.query_auth})
        session, decoder = bench.feed.session(dialect, wanted), bench.feed.decoder(dialect)
        with connect(f"{address.url}?{query}" if query else address.url) as socket:
            caller = _Caller(socket, session, decoder)
            caller.act(session.opened(bench.credentials))
            caller.listen(lambda: caller.confirmed >= set(wanted) and caller.shown >= set(wanted))
            caller.act(session.unsubscribe(wanted))
            caller.listen(lambda: caller.ended >= set(wanted))
    assert not caller.sink.rejections, caller.sink.rejections[:3]
    assert not caller.sink.holes, caller.sink.holes[:3]
