"""``mdc up`` in a process of its own, and what tests ask of it over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mdc_assets import services
from mdc_resources import config
from mdc_resources.config import Home
from tests.homes import KEYS

PATIENCE = 120.0
_SERVE = "import sys; from mdc_assets.launch import REPORTER; from mdc_resources.config import load; " + (
    "from pathlib import Path; sys.exit(REPORTER.serve(load(Path(sys.argv[1]))))"
)


@dataclass(slots=True)
class Up:
    """A served home."""

    home: Home
    process: subprocess.Popen[str]
    said: Path

    @property
    def url(self) -> str:
        """Of the web UI."""
        return services.url_of(self.home)

    def text(self) -> str:
        """What the supervisor has said."""
        return self.said.read_text(encoding="utf-8")

    def pid(self, name: str) -> int:
        """The newest process of a service."""
        lines = [
            line
            for line in self.text().splitlines()
            if f"{name} started" in line or f"{name} restarted" in line
        ]
        return int(lines[-1].rpartition("pid ")[2].rstrip(")"))

    def query(self, text: str, **variables: object) -> Any:
        """Ask GraphQL as the web UI does."""
        body = {"query": text, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def location_loads(self) -> bool:
        """True if the code location is up and has no error."""
        text = "{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
        try:
            entries = self.query(text)["workspaceOrError"]["locationEntries"]
        except (httpx.HTTPError, ValueError):
            return False
        return [entry["locationOrLoadError"] for entry in entries] == [{"__typename": "RepositoryLocation"}]


@contextmanager
def up(home: Home, folder: Path) -> Iterator[Up]:
    """Serve ``home`` on a free port until the block ends."""
    environ = {**os.environ, **KEYS, "MDC__DAGSTER__PORT": str(services.free_port())}
    said = folder / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(home.config_file)],
            env=environ,
            stdout=out,
            stderr=out,
            text=True,
        )
    served = Up(config.load(home.config_file, environ=environ), process, said)
    try:
        wait_for(lambda: "answers at" in served.text() or process.poll() is not None)
        assert process.poll() is None, served.text()
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def wait_for(condition: Callable[[], bool], *, seconds: float = PATIENCE, every: float = 0.25) -> None:
    """Return once ``condition`` holds; fail after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(every)


def alive(pid: int) -> bool:
    """True if the process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"
