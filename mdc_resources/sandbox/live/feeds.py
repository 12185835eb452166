"""The live dialects by the name of their feed, and the endpoint that serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from starlette.websockets import WebSocket

from mdc_resources.sandbox.faults import FaultBook
from mdc_resources.sandbox.live.connection import LiveConnection
from mdc_resources.sandbox.live.floor import Floor
from mdc_resources.sandbox.live.ledger import LiveLedger
from mdc_resources.sandbox.live.talk import Hello, Talk

# The feed's name, and where its dialect is: module:class.
FEEDS: Mapping[str, str] = {
    "alpaca": "alpaca:AlpacaTalk",
    "polygon": "polygon:PolygonTalk",
    "finnhub": "finnhub:FinnhubTalk",
    "tiingo": "tiingo:TiingoTalk",
    "binance": "binance:BinanceTalk",
    "coinbase": "coinbase:CoinbaseTalk",
    "coinbase-advanced": "coinbase_advanced:CoinbaseAdvancedTalk",
    "kraken": "kraken:KrakenTalk",
    "kraken-v1": "kraken_v1:KrakenV1Talk",
}


async def serve(socket: WebSocket, floor: Floor, faults: FaultBook, ledger: LiveLedger) -> None:
    """Talk with the client of ``socket``; a feed or path that is not known is refused with 403."""
    name, path = socket.path_params["feed"], socket.path_params["path"]
    if name not in FEEDS or not (path == "" or path.startswith("/")):
        await socket.close()
        return
    hello = Hello(path, dict(socket.query_params), dict(socket.headers))

    def refuses(kind: str, target: str) -> bool:
        return faults.refuses(name, kind, target) is not None

    talk = _class(FEEDS[name])(floor, hello, refuses)
    await LiveConnection(socket, talk, faults, ledger).serve()


def _class(where: str) -> Callable[..., Talk]:
    module, _, name = where.partition(":")
    found: Callable[..., Talk] = getattr(import_module(f"mdc_resources.sandbox.live.{module}"), name)
    return found
