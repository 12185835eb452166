"""Live capture on loopback: one core for the service, another one for the sender.

The service is ``mdc stream run`` itself, a process that may use one core; frames come from a process
that sends them framed beforehand. *Acknowledged* is what ``/status`` says is fsynced. Yardsticks in the
same run: ``websockets`` alone receiving the same bytes on the same core, cryptofeed's parser on the
same messages (installed beside, into a folder of its own, where that can be done), and gzip.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench import capturing

FRAMES = 2_000_000
STEADY = 100_000
PARSED = 200_000
RECOVERED = 1_000_000
Figure = tuple[str, float, str, str, float | None, str]


def capture_on_one_core() -> list[Figure]:
    """Frames a second received, logged and acknowledged, beside bare receiving; how long a frame waits."""
    with tempfile.TemporaryDirectory() as folder:
        frames = capturing.write_frames(Path(folder) / "frames.txt", 20_000)
        bare = capturing.received_by_websockets(frames, FRAMES // 4)
        run = capturing.captured(Path(folder) / "home", frames, FRAMES)
        steady = capturing.captured(Path(folder) / "steady", frames, 1_000_000, per_second=STEADY)
        size = frames.stat().st_size // 20_000 * STEADY // 100  # what comes in a hundredth of a second
        disk = capturing.fdatasync_p99_ms(Path(folder), every=0.01, size=size)
    waits = f"at {STEADY:,} frames/s: wait for fsync"
    return [
        ("capture: frames/s acknowledged", run.rate, "", "bare websockets", run.rate / bare, ">= 0.7"),
        ("capture: frames/s acknowledged", run.rate, "", "aim, 100,000", run.rate / 1e5, ">= 1"),
        ("capture: seen by monitors", 100 * run.seen, "%", "", None, "sampling"),
        (f"{waits}, median", steady.exposure_ms, "ms", "aim, 10", steady.exposure_ms / 10, "<= 1"),
        (f"{waits}, p99", steady.exposure_p99_ms, "ms", "aim, 10", steady.exposure_p99_ms / 10, "<= 1"),
        ("the same, p99", steady.exposure_p99_ms, "ms", "the disk alone", steady.exposure_p99_ms / disk, ""),
    ]


def decoding() -> list[Figure]:
    """Events a second logged, made durable and decoded in one process, beside cryptofeed's parser."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        frames = capturing.write_frames(root / "frames.txt", PARSED)
        ours = capturing.logged_and_decoded(root / "wal", frames)
        theirs = capturing.cryptofeed(root, frames)
    name = "log, fsync and decode: events/s"
    if theirs is None:
        return [(name, ours, "", "cryptofeed could not be installed", None, ">= 2")]
    return [(name, ours, "", "cryptofeed's parser, nothing stored", ours / theirs, ">= 2")]


def recovery() -> list[Figure]:
    """A log of a million messages put in order after a crash; a sealed one against gzip."""
    found: list[Figure] = []
    for size, text in ((64, "64 a record, as under load"), (1, "each in a record of its own")):
        with tempfile.TemporaryDirectory() as folder:
            seconds, sealed, gzipped = capturing.recovered(Path(folder), RECOVERED, per_record=size)
        found += [
            (f"recovery of a million messages, {text}", seconds, "s", "aim, 2", seconds / 2, "<= 1"),
            (f"sealed, {text}: bytes/message", sealed, "B", "gzip of newline JSON", sealed / gzipped, ""),
        ]
    return found


def memory() -> list[Figure]:
    """Resident memory with 500 symbols and 50 books, after half a minute under load."""
    with tempfile.TemporaryDirectory() as folder:
        peak = capturing.peak_memory(Path(folder), symbols=500, books=50)
    return [("500 symbols, 50 books: peak memory", peak, "MB", "limit, 300", peak / 300, "<= 1")]


def landing() -> list[Figure]:
    """Rows a second from sealed segments into the lake, beside decoding alone."""
    with tempfile.TemporaryDirectory() as folder:
        rate, alone = capturing.landed(Path(folder), 300_000)
    return [("landing: rows/s", rate, "", "decoding alone", rate / alone, "")]


BENCHES = (capture_on_one_core, decoding, recovery, memory, landing)
