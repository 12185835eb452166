"""Power loss on a real ext4: every frame that was acknowledged is in the log after the lights go out."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
from wal_logs import Home, abandon, drain, fork, kill, last_acknowledged, write_for_ever

from mdc_resources.wal import read_segment, verify_segment
from tests.lake.test_lake_power_loss import NO_LOG_FLUSH, SHUTDOWN, disk, wait_stopped

__all__ = ["disk"]
CYCLES = int(os.environ.get("MDC_WAL_POWER_CYCLES", "100"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]


def cut_power(mount: Path, pid: int) -> None:
    """Stop the writer, drop everything that was not synced, and mount what is left."""
    os.kill(pid, signal.SIGSTOP)
    wait_stopped(pid)  # the ioctl in the middle of an fsync gives false losses
    handle = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(handle)
    kill(pid)
    subprocess.run(["umount", str(mount)], check=True)
    subprocess.run(["mount", "-o", "loop", str(mount.parent / "disk.img"), str(mount)], check=True)


def test_acknowledged_frames_survive_power_loss(disk: Path) -> None:
    """A log that rolls and seals all the time, cut at random: lost 0, in order, every segment sound."""
    seed = int(os.environ.get("MDC_SEED", time.time_ns() % 2**32))
    print(f"MDC_SEED={seed}")
    chance, home = random.Random(seed), Home(disk)
    kept: list[int] = []
    done: set[str] = set()
    acknowledged = -1
    for cycle in range(CYCLES):
        start = kept[-1] + 1 if kept else 0
        pid, reading = fork(lambda writing, start=start: write_for_ever(home, start, writing))
        time.sleep(chance.uniform(0.0, 0.3))
        cut_power(disk, pid)
        acknowledged = last_acknowledged(drain(reading), acknowledged)
        writer = home.open()
        assert writer.recovery.damaged == (), f"cycle {cycle}"
        abandon(writer)
        for path in home.files():
            name = path.name.partition(".")[0]
            if name not in done:
                assert verify_segment(path).torn_bytes == 0, f"cycle {cycle}"
                found = [int(frame.split()[0]) for record in read_segment(path) for frame in record.frames]
                kept += found
                done |= {name} if found else set()
        assert kept == list(range(len(kept))), f"cycle {cycle}"
        assert len(kept) > acknowledged, f"cycle {cycle}"
    assert acknowledged > CYCLES
    print(f"cycles={CYCLES} acknowledged={acknowledged + 1} lost=0")
