"""What the log may cost, in processor time of this process; a bound that is missed twofold is a defect."""

from __future__ import annotations

import time
from pathlib import Path

from wal_logs import Home, abandon

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.wal import Kind

FRAME = b'{"type":"match","side":"buy","size":"0.00012","price":"42000.10","product_id":"BTC-USD"}'
LARGE = SidecarSettings(segment_mb=64, reserve_mb=0)


def test_frames_cost_less_than_a_microsecond_in_records_of_64(tmp_path: Path) -> None:
    """Appended and committed every 4,096 frames: at least 400,000 a second of one core."""
    with Home(tmp_path).open(LARGE) as writer:
        began, count = time.process_time(), 0
        while count < 200_000:
            for _ in range(64):
                writer.append(Kind.FRAMES, 1, 1, [FRAME] * 64)
                count += 64
            writer.commit()
        took = time.process_time() - began
    assert count / took > 400_000


def test_a_million_messages_are_recovered_within_two_seconds(tmp_path: Path) -> None:
    """Measured on a fifth of it, each record holding one frame: the slowest case."""
    home = Home(tmp_path)
    writer = home.open(LARGE)
    for number in range(200_000):
        writer.append(Kind.FRAMES, number, 1, [FRAME])
    writer.commit()
    abandon(writer)
    began = time.process_time()
    again = home.open(LARGE)
    took = time.process_time() - began
    assert again.recovery.frames == 200_000
    abandon(again)
    assert took * 5 < 2
