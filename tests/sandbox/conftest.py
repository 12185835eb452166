"""A market at a fixed instant, and a server over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, NOW, Fault, Params, epoch


@pytest.fixture(scope="session")
def market() -> Market:
    """The default market on 2024-06-28."""
    return Market.synthetic(seed=7, now=NOW)


@pytest.fixture(scope="session")
def shared_server(market: Market) -> Iterator[SandboxServer]:
    """One server for all tests of this area; see ``server``."""
    with SandboxServer(market=market) as running:
        yield running


@pytest.fixture
def server(shared_server: SandboxServer) -> Iterator[SandboxServer]:
    """The server, without faults and with an empty log."""
    shared_server.clear_faults()
    shared_server.clear_requests()
    yield shared_server
    shared_server.clear_faults()


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    """A plain HTTP client of the server."""
    with httpx.Client(base_url=server.url, timeout=10) as opened:
        yield opened


@pytest.fixture
def chart(client: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask Yahoo's dialect for ``symbol`` from the start of one date to the start of another."""

    def ask(symbol: str, start: str, end: str, interval: str = "1d", **params: Any) -> httpx.Response:
        period: Params = {"period1": epoch(start), "period2": epoch(end), "interval": interval}
        return client.get(f"/yahoo/v8/finance/chart/{symbol}", params=period | params)

    return ask


@pytest.fixture
def bars(client: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask Alpaca's dialect for bars."""

    def ask(symbols: str, start: str, end: str, timeframe: str = "1Day", **params: Any) -> httpx.Response:
        asked: Params = {"symbols": symbols, "timeframe": timeframe, "start": start, "end": end}
        return client.get("/alpaca/v2/stocks/bars", params=asked | params, headers=KEYS)

    return ask


@pytest.fixture
def csv(client: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask Stooq's dialect for daily bars."""

    def ask(symbol: str, start: str, end: str, **params: Any) -> httpx.Response:
        dates: Params = {"d1": start.replace("-", ""), "d2": end.replace("-", "")}
        return client.get("/stooq/q/d/l/", params={"s": symbol, "i": "d"} | dates | params)

    return ask


@pytest.fixture
def fault(client: httpx.Client) -> Fault:
    """Set a fault over HTTP; returns the rule as the server tells it."""

    def post(provider: str, kind: str, **more: Any) -> dict[str, Any]:
        answer = client.post("/_sandbox/faults", json={"provider": provider, "kind": kind, **more})
        assert answer.status_code == 201, answer.text
        rule: dict[str, Any] = answer.json()
        return rule

    return post
