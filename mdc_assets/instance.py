"""Dagster's instance of a home: its ``dagster.yaml``, its environment, and opening it.

The file is rendered from a template that ships with the package. One that a former release wrote and
nobody changed is brought up to date; one that a person changed is never overwritten, and
:func:`lacking` says what the queue misses in it. A Postgres URL may hold a password, so the file
names the environment variable instead of the value: the one that also overrides the setting.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdc_assets.priorities import BACKGROUND, ON, PAUSED
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
# SHA-256 of what former releases wrote, with SQLite and with PostgreSQL.
FORMER = frozenset(
    {
        "0bc5e0fb5970c721e0322ea6a109a9a3dc8f20859ccd24b258c34f396c27f6c9",
        "b4b98f026785f7a03d47b432446331d536e6744c10c056e7fe6568fc33b851b4",
    }
)
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
    """Write ``dagster.yaml`` if there is none, or only what a former release wrote; returns its path.

    Raises:
        ConfigError: the one that exists stores events elsewhere than ``mdc.toml`` says.
    """
    path = home.dagster_home / CONFIG_NAME
    if not path.is_file() or _digest(path) in FORMER:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, render(home.settings))
    storage = _settings(path).get("storage")
    wants_postgres = bool(home.settings.dagster.storage_url)
    if wants_postgres != (isinstance(storage, dict) and "postgres" in storage):
        asked = "PostgreSQL" if wants_postgres else "SQLite"
        raise ConfigError(
            f"{path} does not store Dagster's events in {asked}, as mdc.toml asks",
            key="dagster.storage_url",
            hint="Delete the file to have it written again, or change the setting",
        )
    return path


def lacking(home: Home) -> dict[str, str]:
    """What the queue needs and a file changed by a person does not say: effect -> lines to add."""
    path = home.dagster_home / CONFIG_NAME
    if not path.is_file() or _digest(path) in FORMER:  # the next process of this home writes it
        return {}
    settings = _settings(path)
    concurrency = _section(settings, "concurrency")
    limits = _section(concurrency, "runs").get("tag_concurrency_limits")
    known = {(limit.get("key"), limit.get("value")): limit.get("limit") for limit in limits or ()}
    found = {}
    if known.get((PAUSED, ON)) != 0:
        found["`mdc queue pause` holds nothing back"] = _limit(PAUSED, 0)
    if (BACKGROUND, ON) not in known:
        found["low and deferred work can hold every slot"] = _limit(BACKGROUND, 1)
    if _section(concurrency, "pools").get("granularity") != "run":
        found["maintenance waits behind fetching"] = (
            "concurrency: {pools: {granularity: run, default_limit: 2}, runs: {max_concurrent_runs: 4}}"
        )
    queue = {**_section(settings, "run_queue"), **_section(_section(settings, "run_coordinator"), "config")}
    if not queue.get("max_user_code_failure_retries"):
        found["a run that is due while the code server is down fails"] = (
            "run_queue: {max_user_code_failure_retries: 100000, user_code_failure_retry_delay: 10}"
        )
    return found


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


def limit_pool(instance: DagsterInstance, pool: str) -> None:
    """Give a new pool the default limit of ``dagster.yaml``; one that has a limit keeps it.

    The daemon does so too, but starts whatever waits in the round before.
    """
    storage = instance.event_log_storage
    known = {limit.name for limit in storage.get_pool_limits()}
    if pool not in known and instance.global_op_concurrency_default_limit is not None:
        storage.initialize_concurrency_limit_to_default(pool)


def _limit(tag: str, limit: int) -> str:
    entry = f'{{key: {tag}, value: "{ON}", limit: {limit}}}'
    return f"concurrency: {{runs: {{tag_concurrency_limits: [{entry}]}}}}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _settings(path: Path) -> dict[str, Any]:
    from dagster_shared.yaml_utils import load_yaml_from_path

    stored = load_yaml_from_path(str(path))
    return stored if isinstance(stored, dict) else {}


def _section(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, dict) else {}


def _replace(path: Path, text: str) -> None:
    """Old text or new, never a part: a web server may be reading it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
