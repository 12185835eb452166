"""Owners: dead only when that is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mdc_resources.state import Owner
from mdc_resources.state import owner as module

ME = Owner.current()


def test_this_process_lives() -> None:
    """The current owner is itself, twice, and alive."""
    assert Owner.current() == ME
    assert ME.pid == os.getpid()
    assert not ME.is_dead()


def test_a_child_lives_until_it_ends() -> None:
    """Another process of this host is judged by its own pid and start time."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = replace(ME, pid=child.pid, started=module._started(child.pid))
    assert not theirs.is_dead()
    child.communicate(b"\n", timeout=20)
    assert theirs.is_dead()


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"host": "elsewhere/pid:[1]"}, False),
        ({"host": "elsewhere/pid:[1]", "boot_id": "x", "pid": 2**22 - 3}, False),
        ({"boot_id": ""}, False),
        ({"started": ""}, False),
        ({"started": "1"}, True),
        ({"boot_id": "another-boot"}, True),
        ({"pid": 2**22 - 3}, True),
    ],
    ids=[
        "other host",
        "other host, all else too",
        "boot unknown",
        "start unknown",
        "reused",
        "reboot",
        "gone",
    ],
)
def test_what_is_certain(change: dict[str, str | int], dead: bool) -> None:
    """Unknown counts as alive: a claim is then ended by time alone."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("no /proc here")
    assert replace(ME, **change).is_dead() is dead


def test_without_proc_pids_still_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a system without /proc a vanished pid is dead and a present one alive."""
    monkeypatch.setattr(module, "_PROC", tmp_path)
    module._boot_id.cache_clear()
    try:
        here = Owner.current()
        assert (here.boot_id, here.started) == ("", "")
        assert not here.is_dead()
        assert replace(here, pid=2**22 - 3).is_dead()
    finally:
        module._boot_id.cache_clear()


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Being forbidden to signal a process proves that it exists."""

    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(module.os, "kill", forbidden)
    assert not ME.is_dead()
