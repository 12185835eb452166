"""``mdc stream``: its commands, and what ``status`` prints and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mdc_resources.config import Home
from tests.streaming.capturing import capturing, coinbase, home_at, until
from tests.streaming.server import Exchange


def _mdc(*arguments: str, home: Home | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``mdc`` in a process of its own."""
    where = ["--config", str(home.root)] if home else []
    command = [sys.executable, "-m", "mdc_resources.cli.main", *arguments, *where]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ))


def test_the_group_lists_its_commands() -> None:
    """Help comes from the table; every entry can be imported."""
    found = _mdc("stream", "--help")
    assert found.returncode == 0
    for name in ("run", "status", "tail", "wal"):
        assert f"\n  {name} " in found.stdout, found.stdout


def test_status_of_a_healthy_sidecar(tmp_path: Path) -> None:
    """A table for people, the whole of /status for programs, exit code 0."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            until(lambda: (home.state_dir / "sidecar.json").exists())
            shown, found = _mdc("stream", "status", home=home), _mdc("stream", "status", "--json", home=home)
    assert shown.returncode == 0, shown.stderr
    assert "coinbase-0  capturing" in shown.stdout
    assert json.loads(found.stdout)["shards"][0]["confirmed"] == 1


def test_status_says_what_needs_a_person(tmp_path: Path) -> None:
    """Not ready: exit code 1; nobody there: exit code 2 and how to start one."""
    with Exchange(status=503) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home):
            until(lambda: (home.state_dir / "sidecar.json").exists())
            assert _mdc("stream", "status", home=home).returncode == 1
    gone = _mdc("stream", "status", home=home)
    assert gone.returncode == 2
    assert "mdc stream run starts one" in gone.stderr
