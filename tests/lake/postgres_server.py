"""A real PostgreSQL server for tests, on loopback, with a data directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binary(name: str) -> str:
    """Path of a PostgreSQL program; skips the test where there is none."""
    places = [
        shutil.which(name),
        *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True),
    ]
    found = next((place for place in places if place), None)
    if not found:
        pytest.skip(f"PostgreSQL's {name} is not on this machine")
    return str(Path(found).resolve())


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server; yields its URL ``postgresql://...`` and stops it afterwards."""
    initdb, server = binary("initdb"), binary("postgres")
    user = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="mdc-pg-"))
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        if who:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        options = ["-D", str(data), "-U", "mdc", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([initdb, *options], check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        process = subprocess.Popen(  # type: ignore[call-overload]
            [server, "-D", str(data), *settings], cwd=folder, stderr=subprocess.DEVNULL, **who
        )
        try:
            _wait(port)
            yield f"postgresql://mdc@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _wait(port: int) -> None:
    import psycopg2

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(f"host=127.0.0.1 port={port} user=mdc dbname=postgres").close()
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
