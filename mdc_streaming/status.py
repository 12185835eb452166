"""What ``/status`` and ``/health`` say: plain JSON of bounded size, without a secret in it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

from mdc_resources import __version__
from mdc_streaming.monitoring import Hub

if TYPE_CHECKING:
    from mdc_streaming.service import Service
    from mdc_streaming.shard import Shard


def feeds_of(hub: Hub) -> dict[str, dict[str, Any]]:
    """What the monitors know about each feed."""
    return cast(dict[str, dict[str, Any]], hub.snapshot()["feeds"])


def status_of(service: Service) -> dict[str, Any]:
    """Everything a person or a supervisor may ask about the process."""
    shards = [shard_of(shard) for _, shard in sorted(service.shards.items())]
    return {
        "version": __version__,
        "pid": os.getpid(),
        "url": service.url,
        "uptime_seconds": round(time.time() - service.started, 3),
        "ready": service.ready,
        "standby": service.standby,
        "draining": service.draining,
        "troubles": service.troubles(),
        "shards": shards,
        "failover": service.switchboard.as_dict(),
        "reload": service.reload_state,
        "clock_steps": service.lookout.clock_steps,
        "monitors": service.hub.snapshot(),
    }


def health_of(service: Service) -> dict[str, Any]:
    """Whether what can be captured is captured and kept: not a standby's question, but a full disk's."""
    troubles = service.troubles()
    return {
        "healthy": not troubles,
        "ready": service.ready,
        "standby": service.standby,
        "troubles": troubles,
        "shards": {name: shard.state for name, shard in sorted(service.shards.items())},
        "durable_through": {
            name: shard.log.durable_through if shard.log else 0
            for name, shard in sorted(service.shards.items())
        },
    }


def shard_of(shard: Shard) -> dict[str, Any]:
    """One shard."""
    log, writer = shard.log, shard.writer
    return {
        "shard": shard.plan.name,
        "feed": shard.plan.feed,
        "market": shard.plan.spec.market,
        "state": shard.state,
        "trouble": shard.trouble,
        "ready": shard.ready,
        "hours_open": shard.hours_open,
        "failed_over": shard.plan.probed,
        "holder": shard.lease.holder() if shard.state == "standby" else None,
        "wanted": len(shard.recording.wanted),
        "confirmed": sum(len(c.asked.confirmed) for c in shard.connections()),
        "reading": shard.reading,
        "durable_through": log.durable_through if log else 0,
        "pending_bytes": log.pending_bytes if log else 0,
        "commits": log.commits if log else 0,
        "exposure_ms": round(log.exposure_seconds * 1e3, 3) if log else None,
        "segment": writer.segment if writer else None,
        "wal_bytes": writer.segment_used if writer else 0,
        "frames": shard.recording.frames_total,
        "bytes": shard.recording.bytes_total,
        "ends": dict(shard.ends),
        "holes": shard.holes(),
        "snapshots_waiting": shard.recording.snapshots.waiting,
        "lines": [line.as_dict() for line in shard.lines],
    }


def summary_of(service: Service) -> dict[str, Any]:
    """What a run came to, once it has ended."""
    shards = [shard for _, shard in sorted(service.shards.items())]
    return {
        "frames": sum(shard.recording.frames_total for shard in shards),
        "bytes": sum(shard.recording.bytes_total for shard in shards),
        "shards": [
            {
                "shard": shard.plan.name,
                "frames": shard.recording.frames_total,
                "durable_through": shard.log.durable_through if shard.log else 0,
                "ends": dict(shard.ends),
                "holes": shard.holes(),
            }
            for shard in shards
        ],
    }
