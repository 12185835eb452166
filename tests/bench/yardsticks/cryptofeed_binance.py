"""How fast cryptofeed parses Binance frames: run by an interpreter that has it, prints one JSON line.

    python cryptofeed_binance.py FRAMES EXCHANGE_INFO SNAPSHOT

FRAMES holds one combined-stream frame a line, EXCHANGE_INFO the vendor's list of symbols, SNAPSHOT the
book that depth updates begin from. Nothing is written anywhere: parsing, books and callbacks alone.
"""

import asyncio
import json
import sys
import time
from pathlib import Path


def main(frames: Path, exchange_info: Path, snapshot: Path) -> None:
    """Feed every frame to the exchange's own handler and time it."""
    from cryptofeed.connection import HTTPAsyncConn, HTTPSync
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import Binance

    lines = frames.read_text(encoding="utf-8").splitlines()
    events = 0

    async def count(*_args: object, **_kwargs: object) -> None:
        nonlocal events
        events += 1

    async def read_snapshot(*_args: object, **_kwargs: object) -> str:
        return snapshot.read_text(encoding="utf-8")

    class Connection:
        uuid = "1"

        async def read(self, *_args: object, **_kwargs: object) -> str:
            return await read_snapshot()

        async def write(self, *_args: object, **_kwargs: object) -> None:
            return None

    HTTPSync.read = lambda *_a, **_k: json.loads(exchange_info.read_text(encoding="utf-8"))
    HTTPAsyncConn.read = read_snapshot
    channels = (TRADES, TICKER, L2_BOOK)

    async def run() -> float:
        feed = Binance(
            symbols=["BTC-USDT"], channels=list(channels), callbacks=dict.fromkeys(channels, count), config={}
        )
        connection = Connection()
        began = time.perf_counter()
        for line in lines:
            await feed.message_handler(line, connection, 0.0)
        return time.perf_counter() - began

    seconds = asyncio.run(run())
    print(json.dumps({"frames": len(lines), "events": events, "seconds": seconds}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
