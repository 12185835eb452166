"""The processes of a served home: code server, web server, daemon; the sidecar where it captures live
feeds, and the sandbox where it is one.

Each is a command line and a probe. The web server and the daemon find the code server by a
workspace file with one gRPC location, so that it can be restarted under them.
"""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from dagster import DagsterInstance

from mdc_assets.child import Service
from mdc_assets.launch import LOCATION, MODULE
from mdc_resources.config import Home
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.time import now

LOOPBACK = "127.0.0.1"
WORKSPACE = "workspace.yaml"
_WORKSPACE = """\
# Written by `mdc up` for its web server and daemon.
load_from:
  - grpc_server:
      host: {host}
      port: {port}
      location_name: {name}
"""
_MDC = "from mdc_resources.cli.main import main; main()"
_HEARTBEAT_SECONDS = 180.0
_PROBE_SECONDS = 3.0
_LIVE_RATE = "5"  # trades a second and symbol


def services_of(home: Home, instance: DagsterInstance, *, code_port: int) -> list[Service]:
    """What to run for ``home``, in the order of starting."""
    workspace = str(write_workspace(home, code_port))
    ui = home.settings.dagster
    dagster = (sys.executable, "-m", "dagster")
    serving = ("-h", LOOPBACK, "-p", str(code_port), "--use-python-environment-entry-point")
    found = [
        Service(
            "code-server",
            (*dagster, "code-server", "start", "-m", MODULE, "--location-name", LOCATION, *serving),
            lambda: code_server_answers(code_port),
        ),
        Service(
            "webserver",
            (sys.executable, "-m", "dagster_webserver", "-w", workspace, "-h", ui.host, "-p", str(ui.port)),
            lambda: http_answers(f"{url_of(home)}/server_info"),
        ),
        Service(
            "daemon", (sys.executable, "-m", "dagster._daemon", "run", "-w", workspace), _beats(instance)
        ),
    ]
    captures = any(feed.enabled for feed in home.settings.stream.values())
    if captures:
        found.append(_sidecar(home))
    vendor = home.settings.sandbox
    if home.settings.lake.sandbox and is_free(LOOPBACK, vendor.port):
        options = ["--port", str(vendor.port), "--seed", str(vendor.seed)]
        # Given, its history tells what its live feeds told.
        options += ["--live-rate", _LIVE_RATE] if captures else []
        found.insert(0, Service("sandbox", (sys.executable, "-c", _MDC, "sandbox", "serve", *options)))
    return found


def _sidecar(home: Home) -> Service:
    """The process that captures live feeds; it meets Dagster on disk only."""
    at = home.settings.sidecar
    command = (sys.executable, "-c", _MDC, "--config", str(home.config_file), "stream", "run")
    host = f"[{at.host}]" if ":" in at.host else at.host
    # On a port of the system's choice it cannot be asked: then only its death is seen.
    probe = (lambda: http_answers(f"http://{host}:{at.port}/live")) if at.port else None
    return Service("sidecar", command, probe)


def url_of(home: Home) -> str:
    """Where the web UI answers."""
    ui = home.settings.dagster
    return f"http://{f'[{ui.host}]' if ':' in ui.host else ui.host}:{ui.port}"


def write_workspace(home: Home, code_port: int) -> Path:
    """Write the workspace file of the served home; returns its path."""
    path = home.state_dir / WORKSPACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_WORKSPACE.format(host=LOOPBACK, port=code_port, name=LOCATION), encoding="utf-8")
    return path


def check_address(home: Home) -> None:
    """Raise ConfigError unless the web UI can have its address."""
    ui = home.settings.dagster
    if not is_free(ui.host, ui.port):
        raise ConfigError(
            f"the web UI cannot listen on {ui.host}:{ui.port}: taken, or no address of this machine",
            key="dagster.port",
            hint="Stop what listens there, or set [dagster] port in mdc.toml (MDC__DAGSTER__PORT)",
        )


def is_free(host: str, port: int) -> bool:
    """True if a server could listen on ``host:port`` now."""
    try:
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def http_answers(url: str) -> bool:
    """True if ``url`` (ours, on loopback) answers with a success."""
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310  our own http URL
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def code_server_answers(port: int) -> bool:
    """True if the code behind the proxy answers: the proxy alone is not enough."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        return bool(DagsterGrpcClient(host=LOOPBACK, port=port).ping("mdc")["echo"] == "mdc")
    except DagsterUserCodeUnreachableError:
        return False


def _beats(instance: DagsterInstance) -> Callable[[], bool]:
    """True while the daemon's heartbeats are young; Dagster's own tolerance is half an hour."""

    def beats() -> bool:
        status = instance.get_daemon_heartbeats()
        stamps = [beat.timestamp for beat in status.values()]
        return bool(stamps) and now().timestamp() - max(stamps) < _HEARTBEAT_SECONDS

    return beats
