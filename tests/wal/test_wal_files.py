"""Writing durably: whole or not at all, every failure with a name, a full disk told from a broken one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mdc_resources.domain.errors import Disposition, ExitCode, StorageFailed
from mdc_resources.wal import LogTaken, NewerLog, NoSpace, WalDamaged
from mdc_resources.wal.files import make_dirs, move, remove, space, storage, write_all, write_file
from mdc_resources.wal.holding import boot_id, locked


def failing(code: int) -> Callable[..., object]:
    """A system call that answers ``code``."""

    def call(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_failure_of_the_disk(tmp_path: Path, code: int) -> None:
    """It can be tried again, and says that nothing was lost."""
    with (
        pytest.raises(NoSpace, match="there is no room") as caught,
        storage("write", tmp_path),
        space(tmp_path),
    ):
        raise OSError(code, os.strerror(code))
    assert caught.value.disposition is Disposition.RETRY
    assert isinstance(caught.value, StorageFailed)
    assert "nothing was lost" in str(caught.value)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EFBIG, errno.EMFILE])
def test_everything_else_is(tmp_path: Path, code: int) -> None:
    """With what was done, to which file, and the system's own words."""
    with pytest.raises(StorageFailed) as caught, storage("fsync", tmp_path), space(tmp_path):
        raise OSError(code, os.strerror(code))
    assert not isinstance(caught.value, NoSpace)
    assert f"fsync of {tmp_path} failed: {os.strerror(code)}" in str(caught.value)
    assert (caught.value.disposition, caught.value.exit_code) == (Disposition.ABORT, ExitCode.LAKE)


def test_a_write_that_takes_nothing_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop without end."""
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with (tmp_path / "x").open("wb") as file, pytest.raises(OSError, match="nothing was written"):
        write_all(file.fileno(), b"data", 0)


def test_a_small_file_is_there_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed fsync leaves the old content and no temporary file."""
    path = tmp_path / "next.json"
    write_file(path, b"old")
    for code, error in ((errno.EIO, StorageFailed), (errno.ENOSPC, NoSpace)):
        monkeypatch.setattr(os, "fsync", failing(code))
        with pytest.raises(error):
            write_file(path, b"new")
        monkeypatch.undo()
        assert path.read_bytes() == b"old"
        assert [found.name for found in tmp_path.iterdir()] == ["next.json"]
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_folders_are_made_with_their_parents_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the parent of one that is there: who made it may have been killed before that."""
    synced: list[str] = []
    real = os.fsync

    def noted(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    make_dirs(tmp_path / "a" / "b")
    assert synced == [str(tmp_path), str(tmp_path / "a")]
    synced.clear()
    make_dirs(tmp_path / "a" / "b")
    assert synced == [str(tmp_path / "a")]


def test_moving_and_removing_sync_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of them where a file changes its folder."""
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "x").write_bytes(b"x")
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
    )
    move(tmp_path / "from" / "x", tmp_path / "to" / "y")
    assert synced == [str(tmp_path / "to"), str(tmp_path / "from")]
    remove(tmp_path / "to" / "y")
    remove(tmp_path / "to" / "y")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize(
    ("act", "call"),
    [
        (lambda path: make_dirs(path / "new"), "mkdir"),
        (lambda path: move(path / "x", path / "y"), "rename"),
        (lambda path: remove(path / "x"), "unlink"),
        (lambda path: remove(path / "x"), "fsync"),
    ],
    ids=["mkdir", "rename", "unlink", "fsync"],
)
def test_every_call_fails_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None], call: str
) -> None:
    """No bare OSError leaves the log."""
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(os, call, failing(errno.EIO))
    with pytest.raises(StorageFailed, match=f"{call} of"):
        act(tmp_path)


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    """By whoever has it; it needs no clean end."""
    held = locked(tmp_path / "lock", "coinbase-0")
    with pytest.raises(LogTaken, match="coinbase-0 is being written") as caught:
        locked(tmp_path / "lock", "coinbase-0")
    assert caught.value.disposition is Disposition.RETRY
    os.close(held)
    os.close(locked(tmp_path / "lock", "coinbase-0"))


def test_the_boot_is_known_or_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not say is no obstacle."""
    assert len(boot_id()) == 36
    monkeypatch.setattr(Path, "read_text", failing(errno.ENOENT))
    assert boot_id() == ""


def test_messages_say_where_and_what_to_do() -> None:
    """Path, offset, reason, and where it goes on."""
    damaged = WalDamaged(Path("a/1.wal"), 40, "a checksum", 99)
    assert str(damaged).startswith(
        "a/1.wal is damaged at offset 40: a checksum; the next valid one is at 99."
    )
    assert "none is valid after it" in str(WalDamaged(Path("a/1.wal"), 40, "a checksum"))
    assert "reads up to 1" in str(NewerLog(Path("a/1.wal"), 3, 1))
