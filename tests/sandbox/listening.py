"""A client of the sandbox's live feeds for tests: subscribes as each vendor wants it, collects, waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from websockets.sync.client import ClientConnection, connect

from mdc_resources.sandbox.server import SandboxServer

SECONDS = 10.0
RATE = 20.0  # trades a second: enough in a short test

# The vendor's path below the feed, and what a client says to get trades, quotes and (coins) the book.
ALPACA_AUTH = {"action": "auth", "key": "key", "secret": "secret"}
PATHS = {
    "alpaca": "/v2/iex",
    "polygon": "/stocks",
    "finnhub": "?token=key",
    "tiingo": "/iex",
    "binance": "/stream",
}
HELLOS: dict[str, list[dict[str, Any]]] = {
    "alpaca": [ALPACA_AUTH, {"action": "subscribe", "trades": ["AAPL"], "quotes": ["AAPL"]}],
    "polygon": [{"action": "auth", "params": "key"}, {"action": "subscribe", "params": "T.AAPL,Q.AAPL"}],
    "finnhub": [{"type": "subscribe", "symbol": "AAPL"}],
    "tiingo": [
        {
            "eventName": "subscribe",
            "authorization": "key",
            "eventData": {"thresholdLevel": 5, "tickers": ["aapl"]},
        }
    ],
    "binance": [
        {
            "method": "SUBSCRIBE",
            "params": ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"],
            "id": 1,
        }
    ],
    "coinbase": [
        {
            "type": "subscribe",
            "product_ids": ["BTC-USD"],
            "channels": ["matches", "ticker", "level2_batch", "heartbeat"],
        }
    ],
    "coinbase-advanced": [
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": channel}
        for channel in ("market_trades", "ticker", "level2")
    ],
    "kraken": [
        {"method": "subscribe", "params": {"channel": channel, "symbol": ["BTC/USD"]}, "req_id": 1}
        for channel in ("trade", "ticker", "book")
    ],
    "kraken-v1": [
        {"event": "subscribe", "pair": ["XBT/USD"], "subscription": {"name": name}}
        for name in ("trade", "spread", "book")
    ],
}


class Listener:
    """An open connection and everything it received."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.texts: list[str] = []

    def say(self, *messages: dict[str, Any]) -> None:
        """Send messages as JSON."""
        for message in messages:
            self.socket.send(json.dumps(message))

    def hear(self) -> Any:
        """The next frame as JSON, its numbers exact."""
        text = self.socket.recv(SECONDS)
        self.texts.append(text if isinstance(text, str) else repr(text))
        return json.loads(text, parse_float=Decimal)

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The next frame that is ``wanted``; raises TimeoutError where it does not come."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.hear()
            if wanted(found):
                return found
        raise TimeoutError(self.texts[-3:])

    def collect(self, seconds: float) -> list[Any]:
        """All frames of some seconds."""
        found, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                text = self.socket.recv(left)
            except TimeoutError:
                break
            found.append(json.loads(text, parse_float=Decimal))
        return found


@contextmanager
def listening(
    server: SandboxServer, feed: str, path: str | None = None, *, max_size: int = 1 << 26
) -> Iterator[Listener]:
    """A connection to ``feed`` that has said nothing yet."""
    url = server.live_url(feed) + (PATHS.get(feed, "") if path is None else path)
    with connect(url, compression=None, max_queue=None, max_size=max_size, open_timeout=SECONDS) as socket:
        yield Listener(socket)


@contextmanager
def subscribed(server: SandboxServer, feed: str, *, max_size: int = 1 << 26) -> Iterator[Listener]:
    """A connection that asked for everything its feed has of one symbol."""
    with listening(server, feed, max_size=max_size) as listener:
        listener.say(*HELLOS[feed])
        yield listener


def eventually(ask: Callable[[], Any], fine: Callable[[Any], bool]) -> Any:
    """The first answer of ``ask`` that is ``fine``; raises TimeoutError with the last one."""
    deadline = time.monotonic() + SECONDS
    while not fine(found := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(found)
        time.sleep(0.01)
    return found


def trade_ids(feed: str, frames: list[Any]) -> list[int]:
    """The ids of the trades in ``frames``, snapshots left out; the feed has ids."""
    return [trade["id"] for trade in trades(feed, frames)]


def trades(feed: str, frames: list[Any]) -> list[dict[str, Any]]:
    """The trades in ``frames`` as id, time (the vendor's own), price and size."""
    return [found for frame in frames for found in _TRADES[feed](frame)]


def _row(identity: Any, at: Any, price: Any, size: Any, more: Any) -> dict[str, Any]:
    return {"id": int(identity), "time": at, "price": price, "size": size, "more": more}


def _alpaca(frame: Any) -> Iterator[dict[str, Any]]:
    for one in frame:
        if one["T"] == "t":
            yield _row(one["i"], one["t"], one["p"], one["s"], (one["x"], one["c"]))


def _polygon(frame: Any) -> Iterator[dict[str, Any]]:
    for one in frame:
        if one["ev"] == "T":
            more = (one["x"], one.get("c", []), one["q"], one.get("trfi"))
            yield _row(one["i"], one["t"], one["p"], one["s"], more)


def _finnhub(frame: Any) -> Iterator[dict[str, Any]]:
    for one in frame["data"] if frame["type"] == "trade" else ():
        yield _row(one["t"], one["t"], one["p"], one["v"], one["c"])


def _tiingo(frame: Any) -> Iterator[dict[str, Any]]:
    if frame["messageType"] == "A" and frame["data"][0] == "T":
        data = frame["data"]
        yield _row(data[2], data[2], data[9], data[10], data[3])


def _binance(frame: Any) -> Iterator[dict[str, Any]]:
    one = frame.get("data", frame)
    if one.get("e") == "trade":
        yield _row(one["t"], one["T"], one["p"], one["q"], one["m"])


def _coinbase(one: Any) -> Iterator[dict[str, Any]]:
    if one["type"] == "match":
        yield _row(one["trade_id"], one["time"], one["price"], one["size"], one["side"])


def _advanced(frame: Any) -> Iterator[dict[str, Any]]:
    for event in frame["events"] if frame.get("channel") == "market_trades" else ():
        for one in event["trades"] if event["type"] == "update" else ():
            yield _row(one["trade_id"], one["time"], one["price"], one["size"], one["side"])


def _kraken(frame: Any) -> Iterator[dict[str, Any]]:
    for one in frame["data"] if frame.get("channel") == "trade" and frame["type"] == "update" else ():
        yield _row(one["trade_id"], one["timestamp"], one["price"], one["qty"], one["side"])


def _kraken_v1(frame: Any) -> Iterator[dict[str, Any]]:
    if isinstance(frame, list) and frame[2] == "trade" and len(frame[1]) == 1:
        price, size, at, side, order, _ = frame[1][0]
        yield _row(Decimal(at) * 10**6, at, price, size, (side, order))


_TRADES: dict[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
    "alpaca": _alpaca,
    "polygon": _polygon,
    "finnhub": _finnhub,
    "tiingo": _tiingo,
    "binance": _binance,
    "coinbase": _coinbase,
    "coinbase-advanced": _advanced,
    "kraken": _kraken,
    "kraken-v1": _kraken_v1,
}
