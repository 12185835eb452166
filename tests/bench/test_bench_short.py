"""The benchmarks of live capture in a few seconds: they measure what they say, and nothing fell apart.

Ratios to yardsticks of the same run, with bounds that a busy machine keeps; `make bench` has the figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import capturing

FRAMES = 20_000

pytestmark = pytest.mark.xdist_group("served")  # not beside the drills, which take every core


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Binance frames, a line each."""
    return capturing.write_frames(tmp_path / "frames.txt", FRAMES)


def test_capture_keeps_up_with_bare_receiving(tmp_path: Path, frames: Path) -> None:
    """Every frame is acknowledged, at no less than a fifth of what ``websockets`` alone takes in."""
    bare = capturing.received_by_websockets(frames, 5 * FRAMES)
    run = capturing.captured(tmp_path / "home", frames, 50 * FRAMES)
    print(f"{run.rate:,.0f} frames/s acknowledged, {run.rate / bare:.2f} of bare receiving")
    assert run.rate >= bare / 5
    assert 0 < run.seen <= 1


def test_a_log_is_recovered_whole_and_sealed_small(tmp_path: Path) -> None:
    """Every message of a killed writer; sealed they take less than gzip makes of them."""
    seconds, sealed, gzipped = capturing.recovered(tmp_path, 100_000, per_record=64)
    print(f"{seconds:.2f} s, sealed {sealed:.1f} B a message, gzip {gzipped:.1f}")
    assert sealed < gzipped


def test_landing_and_decoding_go_on(tmp_path: Path, frames: Path) -> None:
    """Few rows in one commit land at no less than a hundredth of decoding alone; logging costs less."""
    rate, alone = capturing.landed(tmp_path / "home", 2 * FRAMES)
    logged = capturing.logged_and_decoded(tmp_path / "wal", frames)
    print(f"{rate:,.0f} rows/s, {alone:,.0f} decoded/s, {logged:,.0f} logged and decoded/s")
    assert rate > alone / 100
    assert logged > alone / 5
