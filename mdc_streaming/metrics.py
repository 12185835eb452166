"""Prometheus metrics of the sidecar, read from its state when they are scraped.

Names begin with ``mdc_stream_``. Labels are bounded: shards, feeds, and causes of a fixed list;
never a symbol, a URL or a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mdc_resources.domain.errors import MdcError
from mdc_streaming.shard import Shard
from mdc_streaming.status import feeds_of

if TYPE_CHECKING:
    from mdc_streaming.service import Service

_NS = 1e9
_QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
_Row = tuple[tuple[str, ...], float]
Rows = Sequence[tuple[Sequence[str], float]]


class StreamMetrics(Collector):
    """Collects from ``service``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterator[Metric]:
        """Nothing is collected at registration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One family after another."""
        shards = [shard for _, shard in sorted(self._service.shards.items())]
        yield from _of_shards(shards)
        yield from _of_log(shards)
        yield from self._of_feeds()
        yield _gauge("ready", "1 if every shard receives what it wants", [], [((), self._service.ready)])
        yield _gauge("healthy", "0 while health is red", [], [((), not self._service.troubles())])
        yield _counter(
            "clock_steps", "Steps of the wall clock", [], [((), self._service.lookout.clock_steps)]
        )
        yield _counter("dead_letters", "What could not be decoded or landed", ["cause"], self._letters())
        switches = len(self._service.switchboard.switches)
        yield _counter("failovers", "Switches between feeds", [], [((), switches)])

    def _letters(self) -> list[_Row]:
        """Written by landing, in another process; busy or broken, they are left out of one scrape."""
        from mdc_resources.landing.deadletters import DeadLetters

        try:
            counts = DeadLetters.of(self._service.home).counts()
        except MdcError:
            return []
        return [((str(cause),), sum(astuple(count))) for cause, count in counts.items()]

    def _of_feeds(self) -> Iterator[Metric]:
        tallies = feeds_of(self._service.hub)
        shed = [((feed,), tally["shed"]) for feed, tally in tallies.items()]
        yield _counter("shed_frames", "Frames the monitors did not look at", ["feed"], shed)
        events = [((f, d), n) for f, tally in tallies.items() for d, n in tally["events"].items()]
        yield _counter("events", "Events the monitors decoded", ["feed", "dataset"], events)
        rejected = [((feed,), sum(tally["rejected"].values())) for feed, tally in tallies.items()]
        yield _counter("rejected_frames", "Frames no decoder could read", ["feed"], rejected)
        lags: list[_Row] = []
        for feed, tally in tallies.items():
            if lag := tally["lag_ns"]:
                lags += [((feed, quantile), lag[key] / _NS) for quantile, key in _QUANTILES]
        yield _gauge("feed_lag_seconds", "Received against event time", ["feed", "quantile"], lags)
        seen = [((f, r), n) for f, tally in tallies.items() for r, n in tally["holes_seen"].items()]
        yield _counter("holes_seen", "Holes the monitors saw", ["feed", "reason"], seen)


def _of_shards(shards: list[Shard]) -> Iterator[Metric]:
    frames = [((s.plan.feed, s.plan.name), s.recording.frames_total) for s in shards]
    yield _counter("frames", "Frames received", ["feed", "shard"], frames)
    sizes = [((s.plan.feed, s.plan.name), s.recording.bytes_total) for s in shards]
    yield _counter("bytes", "Bytes of frames received", ["feed", "shard"], sizes)
    ends = [((s.plan.feed, s.plan.name, cause), n) for s in shards for cause, n in s.ends.items()]
    yield _counter("reconnects", "Connections that ended, by cause", ["feed", "shard", "reason"], ends)
    holes = [((s.plan.feed, s.plan.name, why), n) for s in shards for why, n in s.holes().items()]
    yield _counter("holes", "Holes begun, by reason", ["feed", "shard", "reason"], holes)
    live = [((s.plan.name,), sum(c.live.is_set() for c in s.connections())) for s in shards]
    yield _gauge("connected", "Connections that are live", ["shard"], live)
    confirmed = [((s.plan.name,), sum(len(c.asked.confirmed) for c in s.connections())) for s in shards]
    yield _gauge("subscribed", "Subscriptions the server confirmed", ["shard"], confirmed)
    wanted = [((s.plan.name,), len(s.recording.wanted)) for s in shards]
    yield _gauge("wanted", "Subscriptions that are wanted now", ["shard"], wanted)
    yield _gauge("leased", "1 if this process writes the shard", ["shard"], [
        ((s.plan.name,), s.lease.held) for s in shards
    ])  # fmt: skip


def _of_log(shards: list[Shard]) -> Iterator[Metric]:
    logs = [(shard, shard.log) for shard in shards if shard.log is not None]
    used = [((s.plan.name,), s.writer.segment_used) for s in shards if s.writer]
    yield _gauge("wal_bytes", "Bytes in the segment that is written", ["shard"], used)
    pending = [((s.plan.name,), log.pending_bytes) for s, log in logs]
    yield _gauge("pending_bytes", "Bytes received and not yet durable", ["shard"], pending)
    commits = [((s.plan.name,), log.commits) for s, log in logs]
    yield _counter("wal_commits", "Group commits", ["shard"], commits)
    exposure = [((s.plan.name,), log.exposure_seconds) for s, log in logs]
    yield _gauge("wal_commit_seconds", "How long the last group's first frame waited", ["shard"], exposure)
    worst = [((s.plan.name,), log.longest_exposure_seconds) for s, log in logs]
    yield _gauge("durable_lag_seconds", "The longest such wait", ["shard"], worst)
    full = [((s.plan.name,), bool(log.stalled)) for s, log in logs]
    yield _gauge("disk_full", "1 while there is no room for the log", ["shard"], full)


def _gauge(name: str, text: str, labels: list[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"mdc_stream_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, float(number))
    return family


def _counter(name: str, text: str, labels: list[str], rows: Rows) -> Metric:
    family = CounterMetricFamily(f"mdc_stream_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, float(number))
    return family
