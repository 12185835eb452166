"""Book snapshots over HTTP, for feeds whose stream has none: fetched one at a time, at a bounded rate.

An answer that is refused or does not come is asked for again with backoff, a few times; then the
book stays invalid until the next resync asks. The same symbol is never waited for twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx
from pydantic import SecretStr

from mdc_resources.config import Secrets
from mdc_resources.domain.errors import MdcError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Fetch
from mdc_resources.telemetry import get_logger, mask_text
from mdc_resources.transport.addresses import masked_url, real_headers, real_url
from mdc_streaming.pacing import Backoff

Fetched = Callable[[int, Symbol, str, bytes], None]  # connection, symbol, masked URL, body

_OK, _TOO_MANY, _BANNED = 200, 429, 418
_ATTEMPTS = 5
_LONGEST_WAIT = 300.0
_DEADLINE = 15.0


class Snapshots:
    """The fetcher of one shard. ``pause`` is the least time between two requests, in seconds."""

    def __init__(self, feed: str, fetched: Fetched, *, pause: float = 0.5, max_bytes: int = 32 << 20) -> None:
        self._feed = feed
        self._fetched = fetched
        self._pause = pause
        self._max_bytes = max_bytes
        self._waiting: dict[tuple[int, Symbol], Fetch] = {}
        self._woken = asyncio.Event()
        self.failed = 0
        self.done = 0

    def want(self, connection: int, wanted: Fetch) -> None:
        """Fetch it soon; once, however often it is wanted before that."""
        self._waiting.setdefault((connection, wanted.symbol), wanted)
        self._woken.set()

    def forget(self, connection: int) -> None:
        """The connection is over: its snapshots are of no use."""
        for key in [key for key in self._waiting if key[0] == connection]:
            del self._waiting[key]

    @property
    def waiting(self) -> int:
        """How many are still to be fetched."""
        return len(self._waiting)

    async def run(self, secrets: Callable[[], Mapping[str, SecretStr]]) -> None:
        """Fetch until cancelled."""
        async with httpx.AsyncClient(timeout=_DEADLINE, follow_redirects=False) as client:
            while True:
                while not self._waiting:
                    self._woken.clear()
                    await self._woken.wait()
                key = next(iter(self._waiting))
                await self._one(client, key, self._waiting[key], secrets())
                self._waiting.pop(key, None)
                await asyncio.sleep(self._pause)

    async def _one(
        self,
        client: httpx.AsyncClient,
        key: tuple[int, Symbol],
        wanted: Fetch,
        secrets: Mapping[str, SecretStr],
    ) -> None:
        known = Secrets({name: value.get_secret_value() for name, value in secrets.items()})
        backoff = Backoff(max(self._pause, 1.0), 60.0)
        for _ in range(_ATTEMPTS):
            try:
                pause = await self._ask(client, key, wanted, known)
            except (httpx.HTTPError, MdcError, TimeoutError) as error:
                self._complain(wanted, mask_text(f"{type(error).__name__}: {error}"))
                pause = 0.0
            if pause is None or key not in self._waiting:
                return
            await asyncio.sleep(max(pause, backoff.failed()))

    async def _ask(
        self, client: httpx.AsyncClient, key: tuple[int, Symbol], wanted: Fetch, secrets: Secrets
    ) -> float | None:
        """One request; None if it is done with, else the least seconds to wait."""
        wire = wanted.request
        url = real_url(wire, secrets, provider=self._feed)
        headers = dict(real_headers(wire, secrets, provider=self._feed))
        async with (
            asyncio.timeout(_DEADLINE),
            client.stream(wire.method, url, headers=headers, content=wire.body or None) as answer,
        ):
            if answer.status_code != _OK:
                self._complain(wanted, f"HTTP {answer.status_code}")
                after = answer.headers.get("retry-after", "")
                slow = answer.status_code in (_TOO_MANY, _BANNED)
                asked = float(after) if after.isdigit() else 30.0
                return min(asked, _LONGEST_WAIT) if slow else 0.0
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > self._max_bytes:
                    self._complain(wanted, f"more than {self._max_bytes} bytes")
                    return None
        if key in self._waiting:  # else its connection is over, and the answer belongs to nobody
            self.done += 1
            self._fetched(key[0], wanted.symbol, masked_url(wire), bytes(body))
        return None

    def _complain(self, wanted: Fetch, reason: str) -> None:
        self.failed += 1
        get_logger().warning(
            "stream.snapshot_failed", feed=self._feed, symbol=wanted.symbol, reason=reason[:200]
        )
