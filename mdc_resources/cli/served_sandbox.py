"""The sandbox as a process of its own, for as long as a command needs it.

It takes a free port, so that it never meets another one, and ends with its parent: at the end of
the ``with`` block, and where the system can do that also when the parent is killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home

START_SECONDS = 30.0
_STOP_SECONDS = 5.0
# PR_SET_PDEATHSIG = 1: Linux sends the signal when the parent dies, however it dies.
_LAUNCH = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
from mdc_resources.cli.main import main
main()
"""


@contextmanager
def sandbox_of(home: Home, *, live_rate: float | None = None) -> Iterator[tuple[str, Home]]:
    """Serve the market of ``home``; yields its URL, and ``home`` with its vendors pointed at it.

    ``live_rate`` is how often each symbol is traded a second on the live feeds.

    Raises:
        UsageError: it did not answer in time; its own words are in the message.
    """
    from mdc_resources import config

    port = _free_port()
    words = ["sandbox", "serve", "--port", str(port), "--seed", str(home.settings.sandbox.seed)]
    if live_rate is not None:
        words += ["--live-rate", str(live_rate)]
    with subprocess.Popen(  # noqa: S603  our own command line
        [sys.executable, "-c", _LAUNCH, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(server, url)
            yield url, config.load(home.config_file, environ={**os.environ, **pointed_at(home, url)})
        finally:
            _stop(server)


def pointed_at(home: Home, url: str) -> dict[str, str]:
    """The environment that points every vendor of ``home``, and every live feed, at the server ``url``."""
    live = url.replace("http", "ws", 1)
    providers = {
        f"MDC__PROVIDERS__{name.upper()}__BASE_URL": f"{url}/{name}" for name in home.settings.providers
    }
    feeds = {f"MDC__STREAM__{name.upper()}__WS_URL": f"{live}/{name}/ws" for name in home.settings.stream}
    return {**providers, **feeds}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    import httpx

    until = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=1.0) as client:
        while server.poll() is None and time.monotonic() < until:
            try:
                if client.get(f"{url}/_sandbox/health").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
    _stop(server)
    said = server.stderr.read().decode(errors="replace").strip() if server.stderr else ""
    raise UsageError(f"the sandbox did not start: {ascii(said[-200:]) or 'it said nothing'}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
