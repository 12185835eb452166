"""Which of several feeds of one market is captured: a state machine without I/O and without a clock.

A rule names a primary and its backups. Told what happens (frames, failed connections, lag, outcomes
of probes) it answers with a :class:`Switch` or a :class:`Probe`. Promises: at most one switch per
``minimum`` seconds; never to a feed whose circuit is failing while another one's is not; back to a
better feed only once its probes were good for ``steady`` seconds, twice as long each time that did
not last. Instants are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mdc_resources.config.sections import StreamSettings
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.time import parse_duration

_RELAPSE = 10.0  # times ``steady``: a feed that is left again within it has not recovered
_MOST_DOUBLINGS = 5
_RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverRule:
    """When to leave a feed, and when to come back. Durations are seconds.

    ``silence``: no frame at all; ``errors``: failed connections in a row; ``lag``: the median of what
    arrives is later than that, for ``silence`` seconds on end. ``minimum`` is the shortest stay on a
    feed, ``steady`` for how long probes must have been good before a better feed is returned to.
    """

    primary: str
    backups: tuple[str, ...]
    silence: float = 30.0
    errors: int = 5
    lag: float = 10.0
    probe: float = 60.0
    minimum: float = 30.0
    steady: float = 60.0

    def __post_init__(self) -> None:
        if len(set(self.feeds)) != len(self.feeds):
            raise ConfigError(
                f"{self.primary} names a backup twice, or itself", key=f"stream.{self.primary}.backups"
            )

    @property
    def feeds(self) -> tuple[str, ...]:
        """All of them, the preferred first."""
        return (self.primary, *self.backups)

    @classmethod
    def of(cls, primary: str, settings: StreamSettings) -> FailoverRule:
        """The rule of ``[stream.<primary>]``."""
        silence = parse_duration(settings.failover_silence).total_seconds()
        probe = parse_duration(settings.probe).total_seconds()
        return cls(
            primary=primary,
            backups=settings.backups,
            silence=silence,
            errors=settings.failover_errors,
            lag=parse_duration(settings.failover_lag).total_seconds(),
            probe=probe,
            minimum=silence,
            steady=probe,
        )


@dataclass(frozen=True, slots=True)
class Switch:
    """Capture ``target`` instead of ``source``, because of ``reason``."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Connect to ``feed``, see whether it says anything, close; tell with :meth:`FailoverPolicy.probed`."""

    feed: str


@dataclass(slots=True)
class _Feed:
    """What is known of one feed."""

    heard: float = 0.0  # the last frame, or since when one is expected
    errors: int = 0  # failed connections in a row
    lagging_since: float | None = None
    failing: bool = False  # its circuit: left for a cause, or its last probe failed
    good_since: float | None = None  # first of an unbroken run of good probes
    good_at: float = 0.0  # the last of them
    asked: float | None = None  # when the last probe was asked for
    returned: bool = False  # it is the active one since it recovered
    relapses: int = 0  # in a row

    def rest(self, now: float) -> None:
        """Begin anew: nothing that was before counts against it."""
        self.heard, self.errors, self.lagging_since = now, 0, None


@dataclass(slots=True)
class FailoverPolicy:
    """The state of one rule. ``decide`` is final: the caller carries out what it answers."""

    rule: FailoverRule
    started: float = 0.0
    active: str = field(init=False)
    since: float = field(init=False)  # when ``active`` became it
    paused: bool = field(default=False, init=False)
    _feeds: dict[str, _Feed] = field(init=False)
    _now: float = field(init=False)

    def __post_init__(self) -> None:
        self.active, self.since, self._now = self.rule.primary, self.started, self.started
        self._feeds = {name: _Feed(heard=self.started) for name in self.rule.feeds}

    def frame(self, feed: str, now: float) -> None:
        """``feed`` said something, a heartbeat included."""
        self._feeds[feed].heard = self._at(now)

    def connected(self, feed: str, now: float) -> None:
        """A connection of ``feed`` is open and its subscriptions are confirmed."""
        found = self._feeds[feed]
        found.errors, found.heard = 0, self._at(now)

    def failed(self, feed: str, now: float) -> None:
        """A connection of ``feed`` could not be opened, or ended before anything was confirmed on it."""
        self._at(now)
        self._feeds[feed].errors += 1

    def lag(self, feed: str, seconds: float, now: float) -> None:
        """The median lag of what arrived lately; negative where the vendor's clock is ahead of ours."""
        moment, found = self._at(now), self._feeds[feed]
        if seconds <= self.rule.lag:
            found.lagging_since = None
        elif found.lagging_since is None:
            found.lagging_since = moment

    def probed(self, feed: str, now: float, *, ok: bool) -> None:
        """A probe of ``feed`` ended."""
        moment, found = self._at(now), self._feeds[feed]
        if not ok:
            found.failing, found.good_since = True, None
            return
        found.failing, found.good_at = False, moment
        if found.good_since is None:
            found.good_since = moment

    def pause(self) -> None:
        """Outside the feed's hours silence is no failure: nothing is decided until :meth:`resume`."""
        self.paused = True

    def resume(self, now: float) -> None:
        """The hours begin."""
        self.paused = False
        for found in self._feeds.values():
            found.rest(self._at(now))

    def decide(self, now: float) -> Switch | Probe | None:
        """What to do now; None: nothing. To be asked again about once a second."""
        moment = self._at(now)
        if self.paused:
            return None
        why = self._why_leave(moment)
        if why:
            return self._leave(why, moment)
        preferred = self.rule.feeds[: self.rule.feeds.index(self.active)]
        may_move = moment - self.since >= self.rule.minimum
        for name in preferred:
            if may_move and self._is_steady(name, moment):
                return self._switch(name, _RECOVERED, moment)
        return self._probe(preferred, moment)

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        failing = [name for name, found in self._feeds.items() if found.failing]
        return {
            "primary": self.rule.primary,
            "active": self.active,
            "failing": failing,
            "paused": self.paused,
        }

    def _leave(self, why: str, moment: float) -> Switch | Probe | None:
        """The active feed is not well: another one if there is a good one, else look for one."""
        others = [name for name in self.rule.feeds if name != self.active]
        if moment - self.since >= self.rule.minimum:
            for name in others:
                if not self._feeds[name].failing:
                    return self._switch(name, why, moment)
        return self._probe([name for name in others if self._feeds[name].failing], moment)

    def _why_leave(self, moment: float) -> str:
        found = self._feeds[self.active]
        if found.errors >= self.rule.errors:
            return f"{found.errors} connections failed in a row"
        if moment - found.heard > self.rule.silence:
            return f"silent for {moment - found.heard:.0f} s"
        if found.lagging_since is not None and moment - found.lagging_since > self.rule.silence:
            return f"more than {self.rule.lag:g} s late for {moment - found.lagging_since:.0f} s"
        return ""

    def _is_steady(self, name: str, moment: float) -> bool:
        """Good for long enough, and seen to be so lately."""
        found = self._feeds[name]
        return (
            found.good_since is not None
            and found.good_at - found.good_since >= self.rule.steady * 2**found.relapses
            and moment - found.good_at <= 2 * self.rule.probe
        )

    def _probe(self, names: Sequence[str], moment: float) -> Probe | None:
        """The first whose turn it is: each is asked once per interval."""
        for name in names:
            found = self._feeds[name]
            if found.asked is None or moment - found.asked >= self.rule.probe:
                found.asked = moment
                return Probe(name)
        return None

    def _switch(self, target: str, reason: str, moment: float) -> Switch:
        source, left = self.active, self._feeds[self.active]
        if reason != _RECOVERED:
            left.failing = True
            relapsed = left.returned and moment - self.since < _RELAPSE * self.rule.steady
            left.relapses = min(left.relapses + 1, _MOST_DOUBLINGS) if relapsed else 0
        left.good_since, left.asked = None, moment  # not probed before an interval is over
        self.active, self.since = target, moment
        found = self._feeds[target]
        found.rest(moment)
        found.good_since, found.returned = None, reason == _RECOVERED
        return Switch(source, target, reason)

    def _at(self, now: float) -> float:
        """``now``, never before what was said earlier."""
        self._now = max(self._now, now)
        return self._now
