"""Receives frames with ``websockets`` alone and looks at none: ``PORT CORE``; prints one JSON line."""

import asyncio
import json
import os
import sys
import time


async def main(port: int) -> None:
    """Count frames until the server closes; the first one starts the clock."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with connect(
        f"ws://127.0.0.1:{port}", compression=None, max_queue=1024, max_size=1 << 24
    ) as socket:
        await socket.send("begin")
        await socket.recv(decode=False)
        count, began = 1, time.perf_counter()
        try:
            while True:
                await socket.recv(decode=False)
                count += 1
        except ConnectionClosed:
            pass
        print(json.dumps({"frames": count, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    asyncio.run(main(int(sys.argv[1])))
