"""Power loss on a real ext4: whatever a commit acknowledged is there after the lights go out.

The file system is shut down without flushing its journal (the ext4 shutdown ioctl), unmounted and
mounted again. The writer is stopped first: the ioctl in the middle of an fsync gives false losses.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.lake import Lake

SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
CYCLES = int(os.environ.get("MDC_POWER_CYCLES", "25"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A loop-mounted ext4 of 256 MB; skips without root or loop devices."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("power loss needs root and mkfs.ext4")
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mount.mkdir()
    if subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False).returncode:
        pytest.skip("this machine does not allow loop mounts")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=False)


def cut_power(mount: Path) -> None:
    """Drop everything that was not synced, and mount what is left."""
    handle = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(handle)
    subprocess.run(["umount", str(mount)], check=True)
    subprocess.run(["mount", "-o", "loop", str(mount.parent / "disk.img"), str(mount)], check=True)


def wait_stopped(pid: int) -> None:
    """Until every thread of ``pid`` is stopped: none is inside a system call."""
    while any(
        (task / "stat").read_text().rpartition(")")[2].split()[0] not in "TtZ"
        for task in Path(f"/proc/{pid}/task").iterdir()
    ):
        time.sleep(0.002)


def test_acknowledged_commits_survive_power_loss(disk: Path) -> None:
    """Commits, replaces, flushes and compactions, cut at random: nothing acknowledged is lost."""
    seed = int(os.environ.get("MDC_SEED", time.time_ns() % 2**32))
    print(f"MDC_SEED={seed}")
    chance = random.Random(seed)
    Lake.create(disk / "lake").close()
    writer = Path(__file__).with_name("endless_writer.py")
    acknowledged: set[str] = set()
    for cycle in range(CYCLES):
        process = subprocess.Popen(
            [sys.executable, str(writer), str(disk / "lake"), str(cycle)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.6))
        process.send_signal(signal.SIGSTOP)
        wait_stopped(process.pid)
        handle = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(handle)
        process.kill()
        acknowledged.update((first + process.stdout.read()).split())
        process.wait()
        subprocess.run(["umount", str(disk)], check=True)
        subprocess.run(["mount", "-o", "loop", str(disk.parent / "disk.img"), str(disk)], check=True)
        lake = Lake.open(disk / "lake")
        with lake.connect() as reader:
            stored = {row[0] for row in reader.execute("SELECT DISTINCT symbol FROM bars_1m").fetchall()}
        assert acknowledged - stored == set(), f"cycle {cycle}"
        assert lake.verify(deep=True) == [], f"cycle {cycle}"
        lake.close()
    assert len(acknowledged) >= CYCLES


def test_the_drill_can_fail(disk: Path) -> None:
    """Without fsync the same cut loses a file: the drill really drops what was not synced."""
    (disk / "unsynced").write_text("gone")
    (disk / "synced").write_text("kept")
    for path, flags in ((disk / "synced", os.O_RDONLY), (disk, os.O_RDONLY | os.O_DIRECTORY)):
        handle = os.open(path, flags)
        os.fsync(handle)
        os.close(handle)
    (disk / "later").write_text("gone too")
    cut_power(disk)
    left = {path.name for path in disk.iterdir()}
    assert "synced" in left
    assert "later" not in left
    assert (disk / "synced").read_text() == "kept"
