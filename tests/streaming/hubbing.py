"""Frames in the documented shapes, and hubs that run while a test looks on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, feed
from mdc_streaming.monitoring import Hub

BTC = Symbol("COINBASE:BTC-USD")
ETH = Symbol("COINBASE:ETH-USD")
NOW_NS = 1_795_000_000_000_000_000
CLOCK = "2026-11-18T11:06:40.000000Z"  # NOW_NS / 10^9, as Coinbase writes it


def dialect(name: str = "coinbase", levels: Mapping[Symbol, int] | None = None) -> LiveDialect:
    """The feed ``name`` as its own spec has it."""
    spec = feed(name).spec
    return LiveDialect(spec, spec.ws_url, levels=levels or {})


def match(number: int, product: str = "BTC-USD", *, price: str = "62000.10", clock: str = CLOCK) -> bytes:
    """A Coinbase trade."""
    shape = {"type": "match", "trade_id": number, "side": "sell", "size": "0.00500000", "price": price}
    return json.dumps({**shape, "product_id": product, "time": clock, "sequence": number}).encode()


def ticker(product: str = "BTC-USD", *, bid: str = "61999.99", ask: str = "62000.10") -> bytes:
    """A Coinbase quote."""
    sides = {"best_bid": bid, "best_bid_size": "0.5", "best_ask": ask, "best_ask_size": "1.25"}
    return json.dumps({"type": "ticker", "product_id": product, "time": CLOCK, **sides}).encode()


def snapshot(product: str = "BTC-USD", *, levels: int = 2, bid: int = 61_999) -> bytes:
    """A Coinbase book of ``levels`` a side, the best bid at ``bid``, the best ask one above."""
    bids = [[f"{bid - at}.00", "1.5"] for at in range(levels)]
    asks = [[f"{bid + 1 + at}.00", "2.25"] for at in range(levels)]
    return json.dumps({"type": "snapshot", "product_id": product, "bids": bids, "asks": asks}).encode()


def update(*changes: tuple[str, str, str], product: str = "BTC-USD") -> bytes:
    """A Coinbase book update."""
    shape = {"type": "l2update", "product_id": product, "time": CLOCK, "changes": changes}
    return json.dumps(shape).encode()


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[Hub]:
    """``hub`` at work, until the block is left."""
    task = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def coinbase_hub(**settings: float) -> Hub:
    """A hub with one open connection, 1, of Coinbase."""
    hub = Hub(SidecarSettings.model_validate(settings))
    hub.opened(1, "coinbase-0", "coinbase", dialect())
    return hub


async def until(condition: Callable[[], object], *, seconds: float = 5.0) -> None:
    """Wait for ``condition``; fails where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


async def drained(hub: Hub) -> None:
    """Wait until all that was taken in is decoded."""
    await until(lambda: hub.snapshot()["queue"]["frames"] == 0)
