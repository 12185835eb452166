"""Failover carried out: the policy decides, the service switches plans and probes.

While a backup stands in, its shards carry the primary's symbols and the primary's shards want
nothing; both changes are marks in their logs, so the hole between them is exactly known. A probe is
a connection of its own, marked as one: what it brings is logged and never landed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from mdc_resources.config import Home
from mdc_resources.providers.live import Subscription
from mdc_resources.telemetry import get_logger
from mdc_streaming.endings import End
from mdc_streaming.failover import FailoverPolicy, FailoverRule, Probe, Switch
from mdc_streaming.monitoring import Hub
from mdc_streaming.pacing import Timing
from mdc_streaming.plan import subscriptions
from mdc_streaming.shard import Shard

_PROBED_SYMBOLS = 3
_LOOK = 0.5
_MS = 1e9


class Switchboard:
    """The failover rules of a process. ``standing_in`` maps each primary that is out to its backup."""

    def __init__(self, home: Home, hub: Hub, timing: Timing, shards: Mapping[str, Shard]) -> None:
        self.switches: list[dict[str, object]] = []
        self._hub = hub
        self._timing = timing
        self._shards = shards
        self._policies: dict[str, FailoverPolicy] = {}
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._frames: dict[str, int] = {}
        self.reload(home)

    def reload(self, home: Home) -> None:
        """Take over new rules; one that is the same keeps its state."""
        rules = {
            name: FailoverRule.of(name, settings)
            for name, settings in home.settings.stream.items()
            if settings.enabled and settings.backups
        }
        kept = {name: p for name, p in self._policies.items() if rules.get(name) == p.rule}
        self._policies = {
            name: kept.get(name) or FailoverPolicy(rule, started=time.monotonic())
            for name, rule in rules.items()
        }

    @property
    def standing_in(self) -> dict[str, str]:
        """Each primary that is out, and the feed that stands in for it."""
        return {name: policy.active for name, policy in self._policies.items() if policy.active != name}

    def ended(self, feed: str, end: End) -> None:
        """A connection of ``feed`` is over."""
        if end.cause in ("stopped", "hours", "reload", "replaced"):
            return
        for policy in self._of(feed):
            if not end.was_live:
                policy.failed(feed, time.monotonic())

    def look(self, home: Home, group: asyncio.TaskGroup) -> bool:
        """Note what happened, decide; True if the plans have to be made anew. Probes run in ``group``."""
        moment = time.monotonic()
        for feed in {feed for policy in self._policies.values() for feed in policy.rule.feeds}:
            self._note(feed, moment)
        changed = False
        for policy in self._policies.values():
            self._keep_hours(policy, moment)
            decision = policy.decide(moment)
            if isinstance(decision, Switch):
                changed = True
                self.switches = [*self.switches[-49:], _as_dict(decision)]
                get_logger().warning(
                    "stream.switched",
                    source=decision.source,
                    target=decision.target,
                    reason=decision.reason,
                )
            elif isinstance(decision, Probe):
                self._probe(home, policy, decision.feed, group)
        return changed

    async def stop(self) -> None:
        """End the probes under way."""
        for task in self._probing.values():
            task.cancel()
        await asyncio.gather(*self._probing.values(), return_exceptions=True)

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        return {
            "rules": [policy.as_dict() for policy in self._policies.values()],
            "switches": self.switches,
        }

    def _of(self, feed: str) -> Iterable[FailoverPolicy]:
        return [policy for policy in self._policies.values() if feed in policy.rule.feeds]

    def _note(self, feed: str, moment: float) -> None:
        shards = [shard for shard in self._shards.values() if shard.plan.feed == feed]
        frames = sum(shard.recording.frames_total for shard in shards)
        live = any(shard.ready and shard.recording.wanted for shard in shards)
        lag = self._hub.lag(feed)
        for policy in self._of(feed):
            if frames != self._frames.get(feed, 0) and feed not in self._probing:
                policy.frame(feed, moment)
            if live and not self._was_live(feed):
                policy.connected(feed, moment)
            if lag is not None:
                policy.lag(feed, lag.p50 / _MS, moment)
        self._frames[feed] = frames
        self._frames[f"{feed}/live"] = int(live)

    def _was_live(self, feed: str) -> bool:
        return bool(self._frames.get(f"{feed}/live"))

    def _keep_hours(self, policy: FailoverPolicy, moment: float) -> None:
        """Outside the hours, as a standby or with a full disk, silence is no failure of the feed."""
        shards = [s for s in self._shards.values() if s.plan.feed in policy.rule.feeds]
        listening = any(s.state == "capturing" and s.reading and s.recording.wanted for s in shards)
        if listening and policy.paused:
            policy.resume(moment)
        elif not listening and not policy.paused:
            policy.pause()

    def _probe(self, home: Home, policy: FailoverPolicy, feed: str, group: asyncio.TaskGroup) -> None:
        shard = next((s for s in self._shards.values() if s.plan.feed == feed and s.log), None)
        if shard is None or feed in self._probing:
            return
        primary = policy.rule.primary
        wanted = sorted(subscriptions(primary, home.settings.stream[primary]))
        offered = [s for s in wanted if s.dataset in shard.plan.spec.datasets]
        symbols = list(dict.fromkeys(s.symbol for s in offered))[:_PROBED_SYMBOLS]
        asked = frozenset(s for s in offered if s.symbol in symbols)
        task = group.create_task(self._ask(policy, shard, asked))
        self._probing[feed] = task
        task.add_done_callback(lambda _: self._probing.pop(feed, None))

    async def _ask(self, policy: FailoverPolicy, shard: Shard, wanted: frozenset[Subscription]) -> None:
        """Good is: confirmed, and then it says something."""
        connection = shard.connect(shard.plan, wanted, probe=True)
        shard.probes.add(connection)
        task = asyncio.create_task(connection.run())
        good = False
        try:
            async with asyncio.timeout(min(policy.rule.silence, self._timing.overlap)):
                await connection.live.wait()
                before = connection.frames
                while connection.frames == before and not connection.over.is_set():
                    await asyncio.sleep(0.05)
                good = not connection.over.is_set()
        except TimeoutError:
            good = False
        finally:
            connection.close("replaced", "probed")
            await asyncio.wait([task])
            shard.probes.discard(connection)
            policy.probed(shard.plan.feed, time.monotonic(), ok=good)


def _as_dict(switch: Switch) -> dict[str, object]:
    return {
        "at_ns": time.time_ns(),
        "source": switch.source,
        "target": switch.target,
        "reason": switch.reason,
    }
