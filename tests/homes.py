"""Real homes for tests: a config, a lake, and a sandbox that speaks the vendors' dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.lake import Lake
from mdc_resources.sandbox.server import SandboxServer

KEYS = {"ALPACA_KEY_ID": "key-of-the-test", "ALPACA_SECRET_KEY": "secret-of-the-test"}


@dataclass(frozen=True, slots=True)
class Served:
    """A home and the vendor it asks."""

    home: Home
    server: SandboxServer

    def fault(self, provider: str, kind: str, **more: object) -> None:
        """Make the vendor misbehave."""
        body = {"provider": provider, "kind": kind, **more}
        httpx.post(f"{self.server.url}/_sandbox/faults", json=body).raise_for_status()

    def calm(self) -> None:
        """End all faults and forget the requests so far."""
        httpx.delete(f"{self.server.url}/_sandbox/faults").raise_for_status()
        httpx.delete(f"{self.server.url}/_sandbox/requests").raise_for_status()

    def requests(self) -> int:
        """Requests the vendor has received since the last :meth:`calm`."""
        answer = httpx.get(f"{self.server.url}/_sandbox/requests").json()
        return int(answer["total"])

    def reload(self, **environ: str) -> Home:
        """The same home with other settings from the environment."""
        return config.load(self.home.config_file, environ={**KEYS, **environ})


def make_home(
    root: Path,
    server_url: str,
    *,
    providers: tuple[str, ...] = ("yahoo", "stooq", "alpaca"),
    sandbox: bool = True,
    extra: str = "",
    limits: bool = False,
    environ: Mapping[str, str] = KEYS,
) -> Home:
    """Write ``mdc.toml``, create the lake, load the home. Rate limits are lifted unless ``limits``."""
    lifted = "" if limits else "limits = {}\n"
    sections = "".join(
        f'[providers.{name}]\nbase_url = "{server_url}/{name}"\n{lifted}' for name in providers
    )
    fast = "[transport]\ndeadline_seconds = 10\n" if "[transport]" not in extra else ""
    mode = f"[lake]\nsandbox = {str(sandbox).lower()}\n"
    root.mkdir(parents=True, exist_ok=True)
    (root / "mdc.toml").write_text(mode + fast + sections + extra, encoding="utf-8")
    home = config.load(root / "mdc.toml", environ=dict(environ))
    Lake.create(home.lake_dir, sandbox=sandbox).close()
    return home
