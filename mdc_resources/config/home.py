"""A home and its settings: the folder from which lake, archive and state are found, and its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mdc_resources.config.sections import (
    DagsterSettings,
    DatasetSettings,
    IngestSettings,
    LakeSettings,
    ProviderSettings,
    RecoverySettings,
    SandboxSettings,
    ScheduleSettings,
    SearchSettings,
    SidecarSettings,
    SlaSettings,
    StreamSettings,
    TransportSettings,
    UniverseSettings,
    default_datasets,
)
from mdc_resources.domain.errors import ConfigError

FILE_NAME = "mdc.toml"
ENV_FILE = ".env"
PREFIX = "MDC__"


class Settings(BaseSettings):
    """All settings of a home, validated. Build it with :func:`load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__"
    )

    lake: LakeSettings = LakeSettings()
    transport: TransportSettings = TransportSettings()
    ingest: IngestSettings = IngestSettings()
    recovery: RecoverySettings = RecoverySettings()
    schedule: ScheduleSettings = ScheduleSettings()
    sla: dict[str, SlaSettings] = Field(default_factory=dict)
    dagster: DagsterSettings = DagsterSettings()
    sandbox: SandboxSettings = SandboxSettings()
    search: SearchSettings = SearchSettings()
    sidecar: SidecarSettings = SidecarSettings()
    stream: dict[str, StreamSettings] = Field(default_factory=dict)
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    universes: dict[str, UniverseSettings] = Field(default_factory=lambda: {"us": UniverseSettings()})
    datasets: dict[str, DatasetSettings] = Field(default_factory=default_datasets)

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
        defaults = {name: value.model_dump() for name, value in default_datasets().items()}
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
    def wal_dir(self) -> Path:
        """Logs that are being written by the sidecar, a folder per shard."""
        return self.root / "wal"

    @property
    def segments_dir(self) -> Path:
        """Sealed segments of those logs: the raw partitions, a folder per shard."""
        return self.root / "segments"

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
