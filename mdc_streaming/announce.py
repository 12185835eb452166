"""Where the running sidecar answers: ``state/sidecar.json``, written atomically, believed while it lives.

A standby announces itself beside it (``state/standby.json``) until it takes over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mdc_resources.config import Home
from mdc_resources.domain.errors import UsageError
from mdc_resources.state.owner import Owner

ACTIVE, STANDBY = "sidecar.json", "standby.json"


def announce(home: Home, url: str, *, standby: bool = False) -> None:
    """Say that this process answers at ``url``; a standby's own note is withdrawn once it is none."""
    home.state_dir.mkdir(parents=True, exist_ok=True)
    note = {"url": url, **asdict(Owner.current())}
    path = home.state_dir / (STANDBY if standby else ACTIVE)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(note) + "\n", encoding="utf-8")
    scratch.replace(path)
    if not standby:
        _withdraw(home.state_dir / STANDBY)


def is_vacant(home: Home) -> bool:
    """True if no living process is announced: the one that was has gone, another one of this home goes on."""
    note = _read(home.state_dir / ACTIVE)
    return note is None or _owner(note).is_dead()


def withdraw(home: Home) -> None:
    """This process answers no more."""
    for name in (ACTIVE, STANDBY):
        _withdraw(home.state_dir / name)


def address(home: Home) -> str:
    """The URL of the running sidecar of ``home``; raises UsageError if none runs."""
    for name in (ACTIVE, STANDBY):
        note = _read(home.state_dir / name)
        if note and not _owner(note).is_dead():
            return str(note["url"])
    raise UsageError("no sidecar runs in this home", hint="mdc stream run starts one")


def _withdraw(path: Path) -> None:
    note = _read(path)
    if note and _owner(note) == Owner.current():
        path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(note, dict) and str(note.get("url", "")).startswith("http://")
    return note if known else None


def _owner(note: Mapping[str, Any]) -> Owner:
    return Owner(
        str(note.get("host", "")),
        str(note.get("boot_id", "")),
        int(note.get("pid", 0)),
        str(note.get("started", "")),
    )
