"""A machine state on each database it supports, and real processes that share it."""

from __future__ import annotations

import datetime as dt
import multiprocessing as mp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import State

MakeKeys = Callable[..., list[PartitionKey]]


@pytest.fixture(scope="session")
def keys() -> MakeKeys:
    """``keys(250, symbols=10)``: that many partitions, spread over that many symbols."""

    def make(count: int, *, symbols: int = 10) -> list[PartitionKey]:
        first = dt.date(2015, 1, 1)
        return [
            PartitionKey(Symbol(f"S{n % symbols}"), first + dt.timedelta(days=n // symbols))
            for n in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real server started for these tests; skips where its binaries are missing."""
    initdb = shutil.which("initdb") or _debian("initdb")
    server = shutil.which("postgres") or _debian("postgres")
    if not initdb or not server:
        pytest.skip("initdb and postgres are not installed")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="mdc-pg-"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    login = ["--username=mdc", "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"]
    subprocess.run([initdb, "-D", str(data), *login], check=True, capture_output=True, user=user, cwd=folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={folder}",
        "-c",
        "fsync=off",
    ]
    process = subprocess.Popen(
        [server, "-D", str(data), "-p", str(port), *options],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"postgresql+psycopg2://mdc@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home whose state is in SQLite, then one whose state is in Postgres."""
    return _home(request, tmp_path, request.param)


@pytest.fixture
def sqlite_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home whose state is in SQLite."""
    return _home(request, tmp_path, "sqlite")


@pytest.fixture
def state(home: Home) -> Iterator[State]:
    """An empty machine state."""
    with State.open(home) as opened:
        yield opened


@pytest.fixture
def spawn() -> Iterator[Callable[..., mp.Process]]:
    """Start a function in a process of its own; all are ended after the test."""
    context = mp.get_context("spawn")
    started: list[mp.Process] = []

    def start(function: Callable[..., None], *args: object) -> mp.Process:
        process = context.Process(target=function, args=args, daemon=True)
        process.start()
        started.append(process)  # type: ignore[arg-type]
        return process  # type: ignore[return-value]

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join(timeout=20)


def _home(request: pytest.FixtureRequest, folder: Path, kind: str) -> Home:
    lines = ""
    if kind == "postgres":
        pytest.importorskip("psycopg2", reason="psycopg2 is not installed (pip install 'mdc[postgres]')")
        url = request.getfixturevalue("postgres_server")
        _drop_schema(url)
        lines = f'[lake]\ncatalog_url = "{url}"\n'
    (folder / "mdc.toml").write_text(lines, encoding="utf-8")
    return config.load(folder / "mdc.toml", environ={})


def _drop_schema(url: str) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA IF EXISTS mdc_state CASCADE"))
    engine.dispose()


def _debian(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else None


def _unprivileged() -> str | None:
    """Postgres refuses to run as root: somebody else must own it. None if we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("postgres refuses to run as root and there is no other user")


def _wait_for(port: int) -> None:
    """The server listens within 20 s."""
    import psycopg2

    for _ in range(200):
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="mdc", dbname="postgres").close()
        except psycopg2.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("postgres did not start within 20 s")
