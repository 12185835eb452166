"""The real command line on a real home, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.sandbox.server import SandboxServer


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def json(self):
        """The document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Mdc:
    """``mdc`` on one home."""

    root: Path
    server: SandboxServer

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        """Run it in this process."""
        ran = CliRunner().invoke(app, ["--config", str(self.root), *words], input=stdin)
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return Result(ran.exit_code, ran.stdout, ran.stderr, ran.stdout_bytes)

    def process(self, *words: str, **environ: str) -> Result:
        """Run it as a person does: its own process."""
        return run_process("--config", str(self.root), *words, **environ)

    @property
    def toml(self) -> Path:
        """The home's config."""
        return self.root / "mdc.toml"

    def edit(self, old: str, new: str) -> None:
        """Change the config; the old text must be there."""
        text = self.toml.read_text()
        assert old in text
        self.toml.write_text(text.replace(old, new))

    def append(self, text: str) -> None:
        """Add to the config."""
        self.toml.write_text(self.toml.read_text() + text)

    def requests(self) -> int:
        """What the vendors have been asked so far."""
        return int(self.server.requests()["total"])

    def files(self) -> dict[str, bytes]:
        """Everything below the home that is not machine state."""
        kept = (path for path in sorted(self.root.rglob("*")) if path.is_file() and "state" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in kept}


def run_process(*words: str, **environ: str) -> Result:
    """``python -m mdc_resources.cli.main`` with ``words``."""
    script = [sys.executable, "-c", "from mdc_resources.cli.main import main; main()", *words]
    ran = subprocess.run(script, capture_output=True, env={**os.environ, **environ}, timeout=120, check=False)
    return Result(ran.returncode, ran.stdout.decode(errors="replace"), ran.stderr.decode(), ran.stdout)
