"""The sections of ``mdc.toml``, one model each: what may stand in it, of which kind, and its default.

Frozen, and an unknown key is refused. Durations are text (``30m``) that is checked when it is read.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.time import parse_duration


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked_duration(value: str) -> str:
    """``value`` if it is one, for validators."""
    try:
        parse_duration(value)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return value


class LakeSettings(_Section):
    """Where the data lies. ``catalog_url`` empty means SQLite inside the lake."""

    root: str = "lake"
    catalog_url: str = ""
    snapshot_days: int = Field(default=90, ge=1)
    sandbox: bool = False


class TransportSettings(_Section):
    """Bounds of every HTTP exchange."""

    deadline_seconds: float = Field(default=60.0, gt=0, description="one exchange, all retries included")
    max_body_mb: float = Field(default=64.0, gt=0, description="decoded bytes of one response")
    max_attempts: int = Field(default=4, ge=1, le=10)
    max_retry_after_seconds: float = Field(default=30.0, ge=0, description="longer waits fail over")
    connections: int = Field(default=16, ge=1, le=16)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_open_seconds: float = Field(default=30.0, gt=0)


class Limits(_Section):
    """Requests allowed per rolling window; 0 means no limit of that kind."""

    second: int = Field(default=0, ge=0)
    minute: int = Field(default=0, ge=0)
    hour: int = Field(default=0, ge=0)
    day: int = Field(default=0, ge=0)


class ProviderSettings(_Section):
    """One provider. What is None comes from the provider's own spec."""

    enabled: bool = True
    rank: int | None = Field(default=None, ge=0, description="lower is asked first")
    base_url: str | None = None
    ws_url: str | None = None
    key_env: str | None = None
    secret_env: str | None = None
    feed: str | None = None
    limits: Limits | None = None
    drop_folder: str | None = Field(default=None, description="files provider: where the files are")
    mapping: dict[str, str] | None = Field(default=None, description="files: canonical = their column")
    market: str | None = Field(default=None, description="files: the market these data measure")
    format: Literal["csv", "parquet"] | None = Field(
        default=None, description="files: csv unless said otherwise"
    )
    timezone: str | None = Field(default=None, description="files: IANA zone of timestamps that carry none")
    basis: Literal["raw", "split", "split+dividend"] | None = None

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://", "file://")):
            raise ValueError("must start with http://, https:// or file://")
        return value


class UniverseSettings(_Section):
    """Symbols that share a calendar; ``shards`` x 40 is its capacity."""

    calendar: str = "XNYS"
    asset_class: Literal["equity", "crypto", "fx", "future"] = "equity"
    start: dt.date = dt.date(2010, 1, 1)
    shards: int = Field(default=1, ge=1, le=500)


class DatasetSettings(_Section):
    """How a dataset is fetched."""

    settle: str = Field(default="30m", description="after the close, before a session is final")
    max_partitions_per_run: int = Field(default=2600, ge=1)

    @field_validator("settle")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        return _checked_duration(value)

    @property
    def settle_delay(self) -> dt.timedelta:
        """``settle`` as a timedelta."""
        return parse_duration(self.settle)


class IngestSettings(_Section):
    """Sizes of the fetching pipeline."""

    batch_partitions: int = Field(default=5000, ge=1, description="ledger lines per commit")
    batch_rows: int = Field(default=1_000_000, ge=1, description="rows per commit, whichever comes first")
    claim_minutes: float = Field(default=30.0, gt=0)
    busy_wait_seconds: float = Field(
        default=120.0, ge=0, description="for partitions another run is fetching"
    )
    default_universe: str = "us"
    corroborate: bool = Field(
        default=True, description="ask a second source about splits and dividends, in the weekly recheck"
    )


class RecoverySettings(_Section):
    """How holes are filled without being asked. ``datasets`` are those that are looked after.

    A partition is asked for ``max_attempts`` times, with pauses that double from ``first_pause`` to
    ``longest_pause``; then an incident says what was tried, and it is left to a person.
    """

    datasets: tuple[str, ...] = ("bars_1d", "bars_1m", "corporate_actions")
    interval_seconds: int = Field(default=60, ge=1, description="between two looks at the ledger")
    max_runs_per_tick: int = Field(default=10, ge=1, le=100)
    max_attempts: int = Field(default=6, ge=1)
    first_pause: str = Field(default="10m", description="after the first failure")
    longest_pause: str = "1d"

    @field_validator("first_pause", "longest_pause")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        return _checked_duration(value)


class ScheduleSettings(_Section):
    """What is switched on when a home is first served; the web UI switches it later."""

    gaps: bool = Field(default=True, description="the sensor that fills holes")
    end_of_day: bool = Field(default=True, description="new sessions, after the close plus settle")
    recheck: bool = Field(default=True, description="weekly: the last sessions once more")
    recheck_sessions: int = Field(default=20, ge=1)
    verify: bool = Field(default=True, description="monthly: every file and row against the ledger")
    reconcile: bool = Field(default=True, description="hourly: what the event log lacks")
    freshness: bool = Field(default=True, description="the sensor that evaluates [sla.*]")
    coverage_map: bool = Field(default=True, description="daily: the picture of what is held")


class SlaSettings(_Section):
    """A promise: ``dataset`` of ``universe`` is complete ``within`` so long after each close."""

    dataset: str
    universe: str = "us"
    within: str = "2h"
    sessions: int = Field(default=5, ge=1, description="how many of the newest sessions it covers")

    @field_validator("within")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        return _checked_duration(value)

    @property
    def delay(self) -> dt.timedelta:
        """``within`` as a timedelta."""
        return parse_duration(self.within)


class DagsterSettings(_Section):
    """The web UI's address and the event log's storage. Loopback unless you say otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(default=3333, ge=1, le=65535)
    storage_url: str = Field(default="", description="postgresql+psycopg2://... instead of SQLite")


class SearchSettings(_Section):
    """Symbol search: who is asked, and where. Empty ``urls`` are the vendors' own hosts."""

    sources: tuple[str, ...] = ("polygon", "alpaca", "finnhub", "openfigi")
    urls: dict[str, str] = Field(default_factory=dict, description="source = its base URL")


class SandboxSettings(_Section):
    """The local synthetic vendor of ``mdc demo`` and of the tests."""

    port: int = Field(default=8790, ge=0, le=65535)
    seed: int = 7


class StreamSettings(_Section):
    """One live feed, ``[stream.coinbase]``: what it captures, and who stands in for it.

    ``symbols`` are spread over ``shards`` logs, each with a lease of its own. ``levels`` is how deep
    books are kept, ``symbol_levels`` for single symbols. ``backups`` are feeds of the same market that
    take over when this one is silent, fails or lags; while they do, it is probed.
    """

    enabled: bool = True
    symbols: tuple[str, ...] = ()
    datasets: tuple[Literal["trades", "quotes", "depth"], ...] = ()  # empty: all that the feed has
    levels: int = Field(default=100, ge=1, le=10_000)
    symbol_levels: dict[str, int] = Field(default_factory=dict)
    shards: int = Field(default=1, ge=1, le=64)
    ws_url: str | None = None
    rest_url: str | None = None
    feed: str | None = Field(default=None, description="the vendor's own: sip, iex ...")
    hours: Literal["extended", "regular", "always"] = Field(
        default="extended", description="extended: 04:00 to 20:00 local time; always: also when it is closed"
    )
    silence: str | None = Field(default=None, description="reconnect after it; the feed's own where left out")
    lifetime: str | None = Field(default=None, description="replace connections of this age, overlapping")
    backups: tuple[str, ...] = ()
    failover_silence: str = "30s"
    failover_errors: int = Field(default=5, ge=1, description="failed connections in a row")
    failover_lag: str = Field(default="10s", description="median of what arrives, against its event time")
    probe: str = Field(default="60s", description="between two probes of the primary")

    @field_validator("ws_url")
    @classmethod
    def _is_ws_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("ws://", "wss://")):
            raise ValueError("must start with ws:// or wss://")
        return value

    @field_validator("silence", "lifetime", "failover_silence", "failover_lag", "probe")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        return value if value is None else _checked_duration(value)


class SidecarSettings(_Section):
    """The capturing process, ``mdc stream run``: its log, its queues and its own HTTP address."""

    host: str = "127.0.0.1"
    port: int = Field(default=8791, ge=0, le=65535)
    commit_ms: float = Field(default=10.0, gt=0, le=1000, description="exposure: the longest wait for fsync")
    segment_mb: float = Field(default=64.0, ge=0.05, le=4096)
    segment_seconds: float = Field(default=300.0, ge=0.5)
    reserve_mb: float = Field(default=256.0, ge=0, description="disk kept free for the log")
    queue_mb: float = Field(default=64.0, gt=0, description="not yet durable; beyond it reading stops")
    monitor_frames: int = Field(default=20_000, ge=1, description="that wait for monitors; the oldest go")
    subscriber_events: int = Field(default=10_000, ge=1, description="that wait per tail; the oldest go")
    backoff_seconds: float = Field(default=1.0, gt=0, description="before the first reconnect")
    longest_backoff_seconds: float = Field(default=60.0, gt=0)
    max_frame_mb: float = Field(default=16.0, gt=0, description="a larger frame ends its connection")
    land_attempts: int = Field(default=5, ge=1, description="of one segment, before it is a dead letter")


def default_datasets() -> dict[str, DatasetSettings]:
    """Settings of the datasets that have defaults of their own."""
    return {
        "bars_1d": DatasetSettings(),
        "bars_1m": DatasetSettings(max_partitions_per_run=260),
        "corporate_actions": DatasetSettings(settle="6h"),
        "instruments": DatasetSettings(settle="6h"),
        "trades": DatasetSettings(max_partitions_per_run=5),
        "quotes": DatasetSettings(max_partitions_per_run=5),
    }
