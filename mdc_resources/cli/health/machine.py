"""What lies outside the lake: versions of what is installed, settings, permissions, disk."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mdc_resources.cli.health.finding import Finding
from mdc_resources.config import Home

# Binaries of one DuckDB release: a mixture cannot be loaded.
_DUCKDB = (
    "duckdb",
    "duckdb-extension-ducklake",
    "duckdb-extension-sqlite-scanner",
    "duckdb-extension-postgres-scanner",
)
_OTHERS = ("mdc", "pyarrow", "dagster", "dagster-webserver")
ENOUGH_BYTES = 2_000_000_000
LOW_BYTES = 200_000_000
LOW_INODES = 10_000


def versions(_: Home) -> Iterator[Finding]:
    """Python and the packages that must fit together."""
    yield Finding("ok", "python", f"{sys.version.split()[0]} at {sys.executable}")
    duckdb = {name: _version(name) for name in _DUCKDB}
    if len(set(duckdb.values())) > 1:
        listed = ", ".join(f"{name} {number or 'missing'}" for name, number in duckdb.items())
        yield Finding(
            "error", "duckdb", f"releases differ: {listed}", "Reinstall mdc: all four move together"
        )
    else:
        yield Finding("ok", "duckdb", f"{duckdb['duckdb']} with its extensions")
    for name in _OTHERS:
        number = _version(name)
        level = "ok" if number else "error"
        yield Finding(level, name, number or "is not installed", "" if number else "Reinstall mdc")


def settings(home: Home) -> Iterator[Finding]:
    """What ``mdc config check`` finds."""
    from mdc_resources.cli import config_checks

    found = [*config_checks.literal_secrets(home.config_file), *config_checks.findings(home)]
    for finding in found:
        yield Finding(finding.level, f"config {finding.key}", finding.message, finding.hint)
    if not found:
        yield Finding("ok", "config", f"{home.config_file} is in order")


def permissions(home: Home) -> Iterator[Finding]:
    """Secrets readable by their owner alone; folders of the home writable."""
    dotenv = home.root / ".env"
    if dotenv.is_file():
        yield _mode(dotenv, 0o077, "chmod 600")
        yield _dagster_home(home, dotenv)
    for folder in (home.lake_dir, home.raw_dir, home.state_dir, home.dagster_home):
        if not folder.is_dir():
            yield Finding(
                "error",
                "folder",
                f"{folder} is missing",
                f"mdc init {home.root} makes it, if nothing was lost",
            )
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield Finding("error", "folder", f"{folder} is not writable by this user")
        else:
            yield _mode(folder, 0o022, "chmod go-w")


def disk(home: Home) -> Iterator[Finding]:
    """Free space and inodes where the data lie."""
    for folder in _distinct_devices((home.lake_dir, home.raw_dir, home.state_dir)):
        free = shutil.disk_usage(folder).free
        inodes = os.statvfs(folder).f_favail
        amount = f"{free / 1e9:.1f} GB free for {folder}"
        hint = "Free some, or move the home: mdc finds everything from mdc.toml"
        if free < LOW_BYTES:
            yield Finding("error", "disk", amount, hint)
        elif free < ENOUGH_BYTES:
            yield Finding("warning", "disk", amount, hint)
        else:
            yield Finding("ok", "disk", amount)
        if 0 < inodes < LOW_INODES:
            yield Finding("warning", "inodes", f"{inodes} left for {folder}", hint)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _mode(path: Path, forbidden: int, remedy: str) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & forbidden:
        return Finding("error", "permissions", f"{path} has mode {mode:o}", f"{remedy} {path}")
    return Finding("ok", "permissions", f"{path} has mode {mode:o}")


def _dagster_home(home: Home, dotenv: Path) -> Finding:
    """A home that was moved keeps the old path in ``.env``."""
    from dotenv import dotenv_values

    named = dotenv_values(dotenv).get("DAGSTER_HOME") or ""
    if named and Path(named) != home.dagster_home:
        hint = f"Write DAGSTER_HOME={home.dagster_home} into it"
        return Finding(
            "warning", "DAGSTER_HOME", f"{dotenv} names {named}, this home has {home.dagster_home}", hint
        )
    return Finding("ok", "DAGSTER_HOME", str(home.dagster_home))


def _distinct_devices(folders: Iterable[Path]) -> list[Path]:
    found: dict[int, Path] = {}
    for folder in folders:
        if folder.is_dir():
            found.setdefault(folder.stat().st_dev, folder)
    return list(found.values())
