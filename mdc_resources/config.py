"""Settings of a home: ``mdc.toml``, ``.env`` beside it, and the environment, in rising precedence.

An unknown key is an error that names the nearest valid one. Secrets are never settings: a setting
names the environment variable that holds one (``key_env``), and :class:`Secrets` reads it from the
environment, from ``.env`` or from the file that ``<NAME>_FILE`` points at.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.time import parse_duration

FILE_NAME = "mdc.toml"
_PREFIX = "MDC__"


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


class SandboxSettings(_Section):
    """The local synthetic vendor of ``mdc demo`` and of the tests."""

    port: int = Field(default=8790, ge=0, le=65535)
    seed: int = 7


def _default_datasets() -> dict[str, DatasetSettings]:
    return {
        "bars_1d": DatasetSettings(),
        "bars_1m": DatasetSettings(max_partitions_per_run=260),
        "corporate_actions": DatasetSettings(settle="6h"),
        "instruments": DatasetSettings(settle="6h"),
    }


class Settings(BaseSettings):
    """All settings of a home, validated. Build it with :func:`load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=_PREFIX, env_nested_delimiter="__"
    )

    lake: LakeSettings = LakeSettings()
    transport: TransportSettings = TransportSettings()
    ingest: IngestSettings = IngestSettings()
    recovery: RecoverySettings = RecoverySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    sla: dict[str, SlaSettings] = Field(default_factory=dict)
    dagster: DagsterSettings = DagsterSettings()
    sandbox: SandboxSettings = SandboxSettings()
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    universes: dict[str, UniverseSettings] = Field(default_factory=lambda: {"us": UniverseSettings()})
    datasets: dict[str, DatasetSettings] = Field(default_factory=_default_datasets)

    @classmethod
    def settings_customise_sources(  # the signature is the library's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :func:`load` hands in: it merges the sources itself, to know each value's origin."""
        return (init_settings,)

    @field_validator("datasets", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        defaults = {name: value.model_dump() for name, value in _default_datasets().items()}
        return {
            **defaults,
            **{k: {**defaults.get(k, {}), **v} if isinstance(v, dict) else v for k, v in given.items()},
        }

    def dataset(self, name: str) -> DatasetSettings:
        """Settings of dataset ``name``, defaults where it has no section."""
        return self.datasets.get(name, DatasetSettings())


@dataclass(frozen=True, slots=True)
class Secrets:
    """Read-only view of the environment and ``.env``, for credentials only."""

    environ: Mapping[str, str]

    def get(self, name: str) -> SecretStr | None:
        """The secret called ``name``, or the content of the file ``<name>_FILE`` names."""
        if value := self.environ.get(name):
            return SecretStr(value)
        if path := self.environ.get(f"{name}_FILE"):
            try:
                return SecretStr(Path(path).read_text(encoding="utf-8").strip())
            except OSError as error:
                raise ConfigError(
                    f"{name}_FILE cannot be read: {error.strerror}", key=f"{name}_FILE"
                ) from None
        return None


@dataclass(frozen=True)
class Home:
    """A directory with a config, a lake, raw bytes and state; everything is found from here."""

    root: Path
    settings: Settings
    secrets: Secrets = field(repr=False)
    origins: Mapping[str, str] = field(repr=False)

    @property
    def lake_dir(self) -> Path:
        """Root of the lake: marker, catalog and data files."""
        return (self.root / self.settings.lake.root).resolve()

    @property
    def raw_dir(self) -> Path:
        """Root of the raw archive (WARC)."""
        return self.root / "raw"

    @property
    def state_dir(self) -> Path:
        """Machine state: claims, budgets, breakers, membership."""
        return self.root / "state"

    @property
    def dagster_home(self) -> Path:
        """``DAGSTER_HOME`` of this home; absolute."""
        return self.root / "dagster_home"

    @cached_property
    def config_file(self) -> Path:
        """The ``mdc.toml`` this home was loaded from."""
        return self.root / FILE_NAME


def find(
    explicit: Path | None = None, *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """Find a config: ``explicit``, then ``MDC_CONFIG``, then ``mdc.toml`` upward from ``cwd``.

    Raises:
        ConfigError: there is none; the hint names ``mdc init``.
    """
    named = explicit or ((environ or os.environ).get("MDC_CONFIG") or None)
    if named:
        path = Path(named)
        path = path / FILE_NAME if path.is_dir() else path
        if path.is_file():
            return path.resolve()
        raise ConfigError(f"{path} does not exist", hint="mdc init DIR makes a home with a config")
    here = (cwd or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"no {FILE_NAME} in {here} or above it",
        hint="mdc init DIR makes a home; --config or MDC_CONFIG points at one",
    )


def load(path: Path, *, environ: Mapping[str, str] | None = None) -> Home:
    """Load and validate the home whose config is ``path``.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key or a wrong type, with its dotted key.
    """
    environ = os.environ if environ is None else environ
    dotenv = _read_dotenv(path.parent / ".env")
    layers = [
        (str(path), _read_toml(path)),
        (str(path.parent / ".env"), _nested(dotenv)),
        ("environment", _nested(environ)),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        _merge(merged, layer, origin, origins)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise _explain(error, origins) from None
    return Home(path.parent.resolve(), settings, Secrets({**dotenv, **environ}), origins)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    return {k: v for k, v in dotenv_values(path).items() if v is not None} if path.is_file() else {}


def _nested(environ: Mapping[str, str]) -> dict[str, Any]:
    """``MDC__LAKE__ROOT=x`` -> ``{"lake": {"root": "x"}}``, typed by pydantic-settings' own rules."""
    source = EnvSettingsSource(Settings, env_prefix=_PREFIX, env_nested_delimiter="__")
    mine = {k.lower(): v for k, v in environ.items() if k.upper().startswith(_PREFIX)}
    source.env_vars = mine
    tree = source()
    known = {f"{_PREFIX}{name}".lower() for name in Settings.model_fields}
    for name in mine:
        if not any(name == k or name.startswith(k + "__") for k in known):
            raise _unknown(
                name.removeprefix(_PREFIX.lower()).replace("__", "."),
                list(Settings.model_fields),
                "environment",
            )
    return tree


def _merge(
    into: dict[str, Any], layer: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = ""
) -> None:
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping):
            child = into.setdefault(key, {})
            if isinstance(child, dict):
                _merge(child, value, origin, origins, f"{dotted}.")
                continue
        into[key] = value
        origins[dotted] = origin


def _explain(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    """One pydantic error as ours: file, key, what was received, the nearest valid key."""
    first = error.errors(include_url=False)[0]
    dotted = ".".join(str(part) for part in first["loc"])
    origin = origins.get(dotted, FILE_NAME)
    if first["type"] == "extra_forbidden":
        return _unknown(dotted, _siblings(first["loc"]), origin)
    return ConfigError(
        f"{origin}: {dotted} = {ascii(first.get('input'))[:60]} is not valid: {first['msg']}", key=dotted
    )


def _unknown(dotted: str, siblings: list[str], origin: str) -> ConfigError:
    near = difflib.get_close_matches(dotted.rsplit(".", 1)[-1], siblings, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(siblings)}"
    return ConfigError(f"{origin}: unknown key {dotted!r}", key=dotted, hint=hint)


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """Valid key names beside the offending one."""
    model: Any = Settings
    for part in loc[:-1]:
        annotation = (
            model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else model
        )
        arguments = getattr(annotation, "__args__", ())
        models = [a for a in (annotation, *arguments) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = models[0] if models else annotation
    return list(getattr(model, "model_fields", {}))
