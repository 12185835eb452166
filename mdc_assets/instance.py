"""Dagster's instance of a home: its ``dagster.yaml``, its environment, and opening it.

The file is rendered from a template that ships with the package; one that exists is never
overwritten. A Postgres URL may hold a password, so the file names the environment variable instead
of the value: the one that also overrides the setting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdc_resources.config import Home, Settings
from mdc_resources.domain.errors import ConfigError

if TYPE_CHECKING:
    from dagster import DagsterInstance

CONFIG_NAME = "dagster.yaml"
STORAGE_URL_ENV = "MDC__DAGSTER__STORAGE_URL"
_POSTGRES = f"""\
storage:
  postgres:
    postgres_url:
      env: {STORAGE_URL_ENV}
"""
_SQLITE = "# Storage: SQLite beside this file. [dagster] storage_url in mdc.toml asks for PostgreSQL.\n"
_SILENT_LOGS = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


def render(settings: Settings) -> str:
    """The text of ``dagster.yaml`` for ``settings``."""
    template = files("mdc_assets").joinpath("templates", CONFIG_NAME).read_text(encoding="utf-8")
    return template.replace("@storage@\n", _POSTGRES if settings.dagster.storage_url else _SQLITE)


def ensure(home: Home) -> Path:
    """Write ``dagster.yaml`` if there is none; returns its path.

    Raises:
        ConfigError: the one that exists stores events elsewhere than ``mdc.toml`` says.
    """
    from dagster_shared.yaml_utils import load_yaml_from_path

    path = home.dagster_home / CONFIG_NAME
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(home.settings), encoding="utf-8")
    stored = load_yaml_from_path(str(path)) or {}
    storage = stored.get("storage") if isinstance(stored, dict) else None
    wants_postgres = bool(home.settings.dagster.storage_url)
    if wants_postgres != (isinstance(storage, dict) and "postgres" in storage):
        asked = "PostgreSQL" if wants_postgres else "SQLite"
        raise ConfigError(
            f"{path} does not store Dagster's events in {asked}, as mdc.toml asks",
            key="dagster.storage_url",
            hint="Delete the file to have it written again, or change the setting",
        )
    return path


def environment(home: Home) -> dict[str, str]:
    """What every Dagster process of ``home`` needs in its environment."""
    found = {
        "DAGSTER_HOME": str(home.dagster_home.resolve()),
        "MDC_CONFIG": str(home.config_file),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    if url := home.settings.dagster.storage_url:
        found[STORAGE_URL_ENV] = url
    return found


@contextmanager
def open_instance(home: Home, *, silent: bool = False) -> Iterator[DagsterInstance]:
    """The instance of ``home``, closed on exit.

    ``silent`` leaves this process's stdout and stderr alone: a run in it captures no compute logs,
    which would swallow the command line's progress bar.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    ensure(home)
    with _environ(environment(home)):
        overrides: Any = _SILENT_LOGS if silent else None
        instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(home.dagster_home), overrides=overrides))
        with instance:
            yield instance


@contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
