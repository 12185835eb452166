"""``python -m tests.feeds.speed [NAME]...``: frames and events decoded a second of CPU, per feed.

The frames are the data frames of the feed's tape, in turn, without those that reset a book; the sink
keeps each event as it comes. CPU time is what counts: other work on the machine does not slow it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from mdc_resources.providers.live import feed_names
from tests.feeds.bench import Bench, bench_of

_FRAMES = 100_000


class _Keeper:
    """A sink that costs as little as a sink can."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def trade(self, *event: Any, **_: Any) -> None:
        self.events.append(event)

    quote = book_snapshot = book_delta = trade

    def hole(self, *_: Any) -> None:
        """Repeating a tape is a hole each time."""

    def rejected(self, reason: str, raw: bytes, symbol: object = None) -> None:
        raise AssertionError((reason, raw, symbol))


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured, per second of CPU."""

    name: str
    frames: float
    events: float
    bytes_a_frame: float


def measure(bench: Bench, frames: int = _FRAMES) -> Speed:
    """Decode so many frames of the feed's tape."""
    shown = [
        step.raw
        for step in bench.tape.frames
        if step.events and not step.is_control and all(event["kind"] != "snapshot" for event in step.events)
    ]
    decoder, sink = bench.decoder(), _Keeper()
    rounds = max(1, frames // len(shown))
    began = time.process_time()
    for _ in range(rounds):
        for raw in shown:
            decoder.decode(raw, sink)
    took = time.process_time() - began
    total = rounds * len(shown)
    return Speed(bench.name, total / took, len(sink.events) / took, sum(map(len, shown)) / len(shown))


def main(names: list[str]) -> int:
    """Print one line per feed."""
    for name in names or feed_names():
        speed = measure(bench_of(name))
        told = f"{speed.frames:>9,.0f} frames/s {speed.events:>9,.0f} events/s"
        print(f"{name:<18}{told}, {speed.bytes_a_frame:.0f} bytes a frame")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
