"""Dagster, seen from outside: the web server's GraphQL where it answers, else its run storage.

Dagster's own "healthy" tolerates half an hour of silence and says nothing of a code location that
does not load, so heartbeats are compared with the clock here. A run is under way only if the process
its tags name still lives.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mdc_resources.cli.health.finding import Finding
from mdc_resources.config import Home

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEARTBEAT_SECONDS = 90
_PROCESS = ".dagster/mdc/"  # tags of a run that name the process that executes it
_UNDER_WAY = ("STARTING", "STARTED", "CANCELING")
_QUERY = """{
  instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime } } }
  workspaceOrError { __typename ... on PythonError { message }
    ... on Workspace { locationEntries { name locationOrLoadError {
      __typename ... on PythonError { message } } } } }
}"""


def instance(home: Home) -> Iterator[Finding]:
    """Web server, daemons, code locations, runs whose process is gone."""
    served = _ask(home)
    if served is None:
        yield Finding("ok", "dagster", f"not served (mdc up): nothing answers at {_url(home)}")
    else:
        yield Finding("ok", "dagster", f"the web UI answers at {_url(home)}")
        yield from _daemons(served)
        yield from _locations(served)
    yield from _runs(home)
    yield from _settings(home)


def _settings(home: Home) -> Iterator[Finding]:
    """What the queue misses in a ``dagster.yaml`` that a person changed."""
    from mdc_resources.cli.reporters import load_reporter

    lacking = load_reporter().lacking(home)
    for effect, lines in lacking.items():
        yield Finding("warning", "dagster.yaml", effect, f"Add to it, then restart mdc up: {lines}")
    if not lacking:
        yield Finding("ok", "dagster.yaml", "has what the queue needs")


def _url(home: Home) -> str:
    return f"http://{home.settings.dagster.host}:{home.settings.dagster.port}"


def _ask(home: Home) -> Mapping[str, Any] | None:
    import httpx

    try:
        answer = httpx.post(f"{_url(home)}/graphql", json={"query": _QUERY}, timeout=5.0, trust_env=False)
        data = answer.json()["data"]
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError):
        return None
    return data if isinstance(data, dict) else None


def _daemons(served: Mapping[str, Any]) -> Iterator[Finding]:
    for daemon in served["instance"]["daemonHealth"]["allDaemonStatuses"]:
        if not daemon["required"]:
            continue
        beat = daemon["lastHeartbeatTime"]
        name = f"daemon {daemon['daemonType'].lower()}"
        if beat is None:
            yield Finding("error", name, "has never been heard of", "Is mdc up running, with its daemon?")
        elif time.time() - beat > HEARTBEAT_SECONDS:
            yield Finding("error", name, f"last heard of {time.time() - beat:.0f} s ago", "Restart mdc up")
        else:
            yield Finding("ok", name, f"heard of {time.time() - beat:.0f} s ago")


def _locations(served: Mapping[str, Any]) -> Iterator[Finding]:
    workspace = served["workspaceOrError"]
    if workspace["__typename"] != "Workspace":
        yield Finding("error", "code location", _first_line(workspace.get("message", "")), "Restart mdc up")
        return
    for entry in workspace["locationEntries"]:
        loaded = entry["locationOrLoadError"]
        if loaded is None or loaded["__typename"] == "PythonError":
            why = _first_line(loaded["message"]) if loaded else "is loading"
            yield Finding(
                "error" if loaded else "warning", f"code location {entry['name']}", why, "See state/logs"
            )
        else:
            yield Finding("ok", f"code location {entry['name']}", "loads")


def _runs(home: Home) -> Iterator[Finding]:
    """Runs that the storage calls under way; read-only, and nothing where there is no storage yet."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    url = home.settings.dagster.storage_url
    path = home.dagster_home / "history" / "runs.db"
    if not url and not path.is_file():
        return
    engine = create_engine(url or f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            tags = _tags_under_way(connection)
    except SQLAlchemyError as error:
        yield Finding(
            "error", "dagster storage", f"cannot be read: {type(error).__name__}", "Is the database up?"
        )
        return
    finally:
        engine.dispose()
    dead = [run_id for run_id, found in tags.items() if _is_dead(run_id, found)]
    for run_id in dead:
        message = f"{run_id} is under way in Dagster, but its process is gone"
        yield Finding("error", "run", message, "mdc up ends it within 30 s; what it committed is stored")
    if len(dead) < len(tags):
        yield Finding("ok", "runs", f"{len(tags) - len(dead)} under way")


def _tags_under_way(connection: Connection) -> dict[str, dict[str, str]]:
    from sqlalchemy import bindparam, text

    query = text(
        "SELECT r.run_id, t.key, t.value FROM runs r LEFT JOIN run_tags t ON t.run_id = r.run_id"
        " WHERE r.status IN :states"
    ).bindparams(bindparam("states", expanding=True))
    tags: dict[str, dict[str, str]] = {}
    for run_id, key, value in connection.execute(query, {"states": _UNDER_WAY}):
        tags.setdefault(run_id, {})[key or ""] = value or ""
    return tags


def _is_dead(run_id: str, tags: Mapping[str, str]) -> bool:
    """True only if the process that the tags name certainly ended."""
    from mdc_resources.state import Owner

    pid = tags.get(f"{_PROCESS}pid", "")
    # A retry inherits its parent's tags: those that name another run's process say nothing of it.
    if not pid.isdecimal() or tags.get(f"{_PROCESS}run") != run_id:
        return False
    host, boot_id = tags.get(f"{_PROCESS}host", ""), tags.get(f"{_PROCESS}boot_id", "")
    owner = Owner(host, boot_id, int(pid), tags.get(f"{_PROCESS}started", ""))
    return owner.is_dead()


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "does not load"
