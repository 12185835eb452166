"""A disk that is slow, full or gone: acknowledged means on disk, and the reason is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mdc_resources.domain.errors import LakeMarkerMissing, StorageFailed
from mdc_resources.wal import marks
from mdc_streaming.homecheck import HomeCheck
from tests.streaming.capturing import QUICK, Process, capturing, coinbase, frames, home_at, marked, until
from tests.streaming.server import Exchange


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 6 MB; skips where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    if (
        not mounted
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_reading_and_is_told(tmp_path: Path, small_disk: Path) -> None:
    """Health is red with the reason; with room again it goes on by itself, and nothing is missing."""
    often = QUICK.replace("segment_mb = 1", "segment_mb = 0.5").replace("reserve_mb = 0", "reserve_mb = 1")
    with Exchange(every=0.01, burst=20) as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=often)
        for name in ("wal", "segments"):
            (small_disk / name).mkdir()
            (home.root / name).symlink_to(small_disk / name)
        with capturing(home) as running:
            running.ready()
            filler = small_disk / "filler"
            filler.write_bytes(b"x" * 4_500_000)
            until(lambda: running.get("/health").status_code == 503, 20, "health is red")
            health = running.get("/health").json()
            assert "no room" in health["troubles"][0]
            assert health["shards"] == {"coinbase-0": "full"}
            assert running.get("/ready").status_code == 503
            assert running.shard()["reading"] is False
            assert 'mdc_stream_disk_full{shard="coinbase-0"} 1.0' in running.get("/metrics").text
            filler.unlink()
            until(lambda: running.get("/health").status_code == 200, 20, "health is green again")
            assert running.shard()["reading"] is True
            running.ready()
            server.stop_after = 0
            until(lambda: running.shard()["frames"] >= sum(map(len, server.sent.values())))
    logged = frames(home)
    for number, sent in server.sent.items():
        assert [f.decode() for f in logged[number]] == sent


def test_a_start_on_a_full_disk_waits_for_room(tmp_path: Path, small_disk: Path) -> None:
    """There is no room for the first segment: red with the reason, and it begins once there is."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        for name in ("wal", "segments"):
            (small_disk / name).mkdir()
            (home.root / name).symlink_to(small_disk / name)
        (small_disk / "filler").write_bytes(b"x" * 5_900_000)
        with capturing(home) as running:
            until(lambda: running.get("/health").status_code == 503)
            (small_disk / "filler").unlink()
            running.ready()
            assert running.get("/health").status_code == 200


def test_a_slow_disk_slows_the_reading_and_loses_nothing(tmp_path: Path) -> None:
    """fsync takes 300 ms and the queue is short: the sockets are read more slowly, every frame is logged."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    with Exchange(every=0.01, burst=40) as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=QUICK + "queue_mb = 0.05\n")
        with Process(home) as process:
            url = process.url()
            slow = [
                "-f",
                "-qq",
                "-e",
                "trace=fdatasync,fsync",
                "-e",
                "inject=fdatasync,fsync:delay_enter=300000",
            ]
            with subprocess.Popen(
                [strace, *slow, "-p", str(process.process.pid)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as tracer:
                try:
                    until(
                        lambda: (
                            httpx.get(f"{url}/status", timeout=10).json()["shards"][0]["reading"] is False
                        ),
                        20,
                        "reading is paused",
                    )
                    pending = httpx.get(f"{url}/status", timeout=10).json()["shards"][0]["pending_bytes"]
                    assert pending < 2_000_000
                finally:
                    tracer.terminate()
            server.stop_after = 0
            _all_logged(url, server)
            assert process.end() == 0, process.log
    logged = [json.loads(f).get("trade_id") for f in frames(home)[1]]
    assert logged == [json.loads(text).get("trade_id") for text in server.sent[1]]


def _all_logged(url: str, server: Exchange) -> None:
    def logged() -> bool:
        found = httpx.get(f"{url}/status", timeout=10).json()["shards"][0]["frames"]
        return bool(found == sum(map(len, server.sent.values())))

    until(logged, 20, "everything sent is logged")


def test_a_failing_fsync_ends_the_process(tmp_path: Path) -> None:
    """EIO is never retried: exit code 5, and the next start finds what was acknowledged."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    with Exchange(every=0.005) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as process:
            url = process.url()
            until(lambda: httpx.get(f"{url}/status", timeout=10).json()["shards"][0]["frames"] > 20)
            acknowledged = httpx.get(f"{url}/health", timeout=10).json()["durable_through"]["coinbase-0"]
            fail = ["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
            with subprocess.Popen(
                [strace, *fail, "-p", str(process.process.pid)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ):
                assert process.process.wait(20) == 5, process.log
        with Process(home) as process:
            url = process.url()
            assert process.end() == 0, process.log
    assert marked(home, marks.Started)[-1].last_ns >= acknowledged


def test_a_home_that_vanishes_ends_the_process(tmp_path: Path) -> None:
    """The log is moved away while it is written: the process ends and acknowledges nothing into it."""
    with Exchange() as server:
        home = home_at(tmp_path / "home", coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            home.wal_dir.rename(tmp_path / "elsewhere")
            until(lambda: running.error)
    assert isinstance(running.error, StorageFailed)
    assert running.error.exit_code == 5


def test_an_unmounted_lake_refuses(tmp_path: Path) -> None:
    """Without its marker the home is not there; that is an error, never an empty start."""
    home = home_at(tmp_path, "")
    check = HomeCheck(home)
    check.look()
    (home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing, match="MARKER does not exist"):
        check.look()


def test_another_folder_in_the_logs_place_is_noticed(tmp_path: Path) -> None:
    """A new folder of the same name is another one: what a lost mount leaves behind."""
    home = home_at(tmp_path, "")
    check = HomeCheck(home)
    check.look()
    home.wal_dir.rename(tmp_path / "old")
    home.wal_dir.mkdir()
    with pytest.raises(StorageFailed, match="another folder took its place"):
        check.look()


def test_a_lease_outlives_nobody(tmp_path: Path) -> None:
    """A lease is taken once, known by its holder, and free again when it is released."""
    from mdc_streaming.lease import Lease

    first, second = Lease(tmp_path, "coinbase-0"), Lease(tmp_path, "coinbase-0")
    assert first.acquire()
    assert first.acquire(), "what is held is held"
    assert not second.acquire()
    assert second.holder()["pid"] == os.getpid()
    first.release()
    assert second.acquire()
    second.release()
