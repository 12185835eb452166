"""What is looked at a few times a second beside the capture: the clock, the home, silent channels.

Also whether anything is left to capture: where every line was given up (a refused key is never
tried again), the process ends with the reason, so that a supervisor and its user see it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from mdc_resources.config import Home
from mdc_resources.telemetry import get_logger
from mdc_streaming.channels import ChannelWatch
from mdc_streaming.clock import ClockWatch
from mdc_streaming.homecheck import HomeCheck
from mdc_streaming.monitoring import Hub
from mdc_streaming.pacing import Timing
from mdc_streaming.shard import Shard
from mdc_streaming.status import feeds_of

_CHANNELS = 2.0
_IMPATIENT = 10  # a channel may be silent this many times as long as its connection


class Lookout:
    """Watches over the ``shards`` of a process."""

    def __init__(self, home: Home, hub: Hub, timing: Timing, shards: Mapping[str, Shard]) -> None:
        self.clock = ClockWatch()
        self.clock_steps = 0
        self._hub = hub
        self._timing = timing
        self._shards = shards
        self._channels = ChannelWatch()
        self._channels_due = 0.0
        self._check = HomeCheck(home)

    async def look(self) -> None:
        """One look at everything.

        Raises:
            LakeMarkerMissing: the lake is gone.
            StorageFailed: the log's folder is gone.
            ProviderError: nothing is left to capture; this is why.
        """
        self._look_at_clock()
        await asyncio.to_thread(self._check.look)
        moment = time.monotonic()
        if moment >= self._channels_due:
            self._channels_due = moment + _CHANNELS
            self._look_at_channels(moment)
        self._give_up()

    def _look_at_clock(self) -> None:
        seen = self.clock.look()
        if seen.stepped_ns:
            self.clock_steps += 1
            get_logger().warning("stream.clock_stepped", by_ns=seen.stepped_ns)
            for shard in self._shards.values():
                shard.stepped(seen.stepped_ns)
        if seen.stalled_seconds > self._timing.stall:
            get_logger().warning("stream.stalled", seconds=round(seen.stalled_seconds, 1))
            for shard in self._shards.values():
                shard.renew("suspended")

    def _look_at_channels(self, moment: float) -> None:
        for feed, tally in feeds_of(self._hub).items():
            shards = [shard for shard in self._shards.values() if shard.plan.feed == feed]
            if not shards or not all(shard.recording.wanted and shard.reading for shard in shards):
                self._channels.forgive(feed, moment)
                continue
            patience = shards[0].plan.silence * _IMPATIENT
            for dataset in self._channels.look(feed, tally["events"], patience, moment):
                get_logger().warning("stream.channel_silent", feed=feed, dataset=dataset)
                for shard in shards:
                    shard.renew("silence")

    def _give_up(self) -> None:
        lines = [line for shard in self._shards.values() for line in shard.lines if line.wanted]
        reasons = [line.given_up for line in lines if line.given_up]
        if lines and len(reasons) == len(lines):
            raise reasons[0]
