"""What the benchmarks of live capture run: senders, the service, and the yardsticks beside it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from mdc_resources.cli.home_files import make_home
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, feed
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.wal import Kind, LogWriter, marks, read_segment, sealed_segments

HERE = Path(__file__).parent
MDC = "from mdc_resources.cli.main import main; main()"
CRYPTOFEED = "cryptofeed==2.4.1"
ACKNOWLEDGED = '{"result":null,"id":1}'
_FIRST_UPDATE = 1000
_BATCH = 64
Side = tuple[str, str]
CORE, OTHER = 0, 1


class Run(NamedTuple):
    """One capture: frames a second until the last was acknowledged, and what else was seen."""

    rate: float
    seen: float  # part of the frames that the monitors decoded
    exposure_ms: float
    exposure_p99_ms: float


def write_frames(path: Path, count: int) -> Path:
    """Binance frames of one pair, a line each: a quarter trades, a quarter quotes, half book updates."""
    update, lines = _FIRST_UPDATE, []
    for number in range(count):
        at = 1_700_000_000_000 + number
        if number % 4 == 0:
            stream, data = "aggTrade", {
                "e": "aggTrade", "E": at, "s": "BTCUSDT", "a": number // 4, "p": "42000.12000000",
                "q": "0.00120000", "f": number, "l": number, "T": at, "m": bool(number & 8), "M": True,
            }  # fmt: skip
        elif number % 4 == 1:
            stream, data = "bookTicker", {
                "u": update, "s": "BTCUSDT", "b": "42000.11000000", "B": "1.20000000",
                "a": "42000.12000000", "A": "0.50000000",
            }  # fmt: skip
        else:
            update += 1
            tens = number % 10
            stream, data = "depth@100ms", {
                "e": "depthUpdate", "E": at, "s": "BTCUSDT", "U": update, "u": update,
                "b": [[f"4199{tens}.11000000", "1.00000000"]], "a": [[f"4201{tens}.12000000", "0.50000000"]],
            }  # fmt: skip
        lines.append(json.dumps({"stream": f"btcusdt@{stream}", "data": data}, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


@contextmanager
def sender(frames: Path, count: int, *, per_second: int = 0) -> Iterator[int]:
    """A process that sends ``count`` frames to whoever connects, on the other core; yields its port."""
    command = [
        sys.executable, "-m", "mdc_resources.sandbox.live.blast", "--frame-file", str(frames),
        "--frames", str(count), "--await-message", "--greeting", ACKNOWLEDGED,
        "--per-second", str(per_second),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {OTHER})
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


def received_by_websockets(frames: Path, count: int) -> float:
    """Frames a second that ``websockets`` alone receives, looking at none of them."""
    with sender(frames, count) as port:
        script = HERE / "yardsticks" / "websockets_receive.py"
        command = [sys.executable, str(script), str(port), str(CORE)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["frames"] == count + 1
    return float(told["frames"] / told["seconds"])


def captured(root: Path, frames: Path, count: int, *, per_second: int = 0) -> Run:
    """The service takes ``count`` frames from one connection; nothing else runs on its core."""
    with sender(frames, count, per_second=per_second) as port:
        address = f"ws://127.0.0.1:{port}"
        home = _home(root, {"binance": (["BINANCE:BTC-USDT"], address, '["trades", "quotes"]')})
        with _service(home) as url, httpx.Client(base_url=url) as client:
            waits, began, frames_at = [], 0.0, 0
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline:
                shard, at = client.get("/status").json()["shards"][0], time.perf_counter()
                if shard["frames"] > 1 and not began:
                    began, frames_at = at, shard["frames"]
                if shard["frames"] >= count + 1 and shard["pending_bytes"] == 0:
                    break
                if began:
                    waits.append(shard["exposure_ms"])
                time.sleep(0.05)
            told = client.get("/status").json()
    seconds = at - began
    assert shard["frames"] >= count + 1, shard
    tally = told["monitors"]["feeds"]["binance"]
    seen = 1 - tally["shed"] / count
    waits = sorted(waits) or [0.0]
    return Run(
        (count + 1 - frames_at) / seconds, seen, statistics.median(waits), waits[int(len(waits) * 0.99)]
    )


def fdatasync_p99_ms(folder: Path, *, every: float, size: int, seconds: float = 10.0) -> float:
    """What the disk alone takes at worst but one in a hundred, for ``size`` bytes ``every`` few seconds."""
    handle, data, at, took = os.open(folder / "bare", os.O_RDWR | os.O_CREAT), bytes(size), 0, []
    try:
        os.posix_fallocate(handle, 0, int(seconds / every + 1) * size)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            os.pwrite(handle, data, at)
            os.fdatasync(handle)
            took.append(time.perf_counter() - began)
            at += size
            time.sleep(every)
    finally:
        os.close(handle)
    return sorted(took)[int(len(took) * 0.99)] * 1e3


def logged_and_decoded(folder: Path, frames: Path) -> float:
    """Events a second when every frame is logged, made durable every 10 ms, and decoded, in one thread of
    work beside the log's own."""
    lines = frames.read_bytes().splitlines()
    settings = SidecarSettings(segment_mb=1024, segment_seconds=1e6, reserve_mb=0)
    writer = LogWriter.open(folder, folder / "sealed", "binance-0", "binance", 1, settings)
    live = feed("binance")
    decoder = live.decoder(LiveDialect(spec=live.spec, ws_url=live.spec.ws_url))
    sink = Counting()
    stop = threading.Event()

    def commit() -> None:
        while not stop.is_set():
            writer.commit()
            time.sleep(0.01)

    thread = threading.Thread(target=commit)
    thread.start()
    began = time.perf_counter()
    for start in range(0, len(lines), _BATCH):
        batch = lines[start : start + _BATCH]
        writer.append(Kind.FRAMES, time.time_ns(), 1, batch)
        for line in batch:
            decoder.decode(line, sink)
    stop.set()
    thread.join()
    writer.commit()
    seconds = time.perf_counter() - began
    assert sink.rejected_count == 0
    writer.close()
    return sink.events / seconds


def _sealed(wal: Path, segments: Path, lines: Sequence[bytes]) -> None:
    """One sealed segment in which a connection opens, is confirmed, and receives ``lines``."""
    settings = SidecarSettings(segment_mb=1024, segment_seconds=1e6, reserve_mb=0)
    pairs = (("trades", "BINANCE:BTC-USDT"), ("quotes", "BINANCE:BTC-USDT"))
    # The frames' own times are of 2023: they are received then.
    first = 1_700_000_000_000_000_000
    with LogWriter.open(wal, segments, "binance-0", "binance", 1, settings, clock=lambda: first) as writer:
        for mark in (
            marks.Started(pid=1, version="bench"), marks.Wanted(pairs=pairs),
            marks.Opened(feed="binance", url="ws://127.0.0.1"), marks.Confirmed(pairs=pairs),
        ):  # fmt: skip
            writer.append(Kind.MARK, first, 1, (marks.encode(mark),))
        for start in range(0, len(lines), _BATCH):
            writer.append(Kind.FRAMES, first + start * 1_000_000, 1, lines[start : start + _BATCH])
        writer.commit()


class Counting:
    """A sink that counts, as the yardstick's callbacks do."""

    def __init__(self) -> None:
        self.events = self.rejected_count = 0

    def trade(self, _symbol: Symbol, _at: int | None, _price: str, _size: str, **_more: object) -> None:
        """One event."""
        self.events += 1

    def quote(self, _symbol: Symbol, _at: int | None, _bid: Side, _ask: Side, **_more: object) -> None:
        """One event."""
        self.events += 1

    def book_snapshot(
        self, _symbol: Symbol, _at: int | None, _bids: object, _asks: object, **_: object
    ) -> None:
        """One event."""
        self.events += 1

    def book_delta(self, _symbol: Symbol, _at: int | None, _bids: object, _asks: object, **_: object) -> None:
        """One event."""
        self.events += 1

    def hole(self, *_: object) -> None:
        """There are none in these frames."""
        self.rejected_count += 1

    def rejected(self, *_: object) -> None:
        """Nor anything unreadable."""
        self.rejected_count += 1


def cryptofeed(folder: Path, frames: Path) -> float | None:
    """Events a second of cryptofeed's parser on the same frames; None where it cannot be installed."""
    python = folder / "venv" / "bin" / "python"
    install = (
        [sys.executable, "-m", "venv", str(folder / "venv")],
        [str(python), "-m", "pip", "install", "--quiet", CRYPTOFEED],
    )
    for command in install:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    info, snapshot = folder / "info.json", folder / "snapshot.json"
    pair = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
    info.write_text(json.dumps({"symbols": [{**pair, "filters": [{"tickSize": "0.01"}]}]}), encoding="ascii")
    book = {"lastUpdateId": _FIRST_UPDATE, "bids": [["41900.00", "1"]], "asks": [["42100.00", "1"]]}
    snapshot.write_text(json.dumps(book), encoding="ascii")
    script = HERE / "yardsticks" / "cryptofeed_binance.py"
    command = [str(python), str(script), str(frames), str(info), str(snapshot)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    told = json.loads(done.stdout.splitlines()[-1])
    return float(told["events"] / told["seconds"])


def recovered(root: Path, count: int, *, per_record: int) -> tuple[float, float, float]:
    """Seconds to put a log of ``count`` messages in order after a kill, and bytes a message: sealed, and as
    gzip of newline JSON with the receive time."""
    lines = write_frames(root / "frames.txt", 20_000).read_bytes().splitlines()
    settings = SidecarSettings(segment_mb=1024, segment_seconds=1e6, reserve_mb=0)
    names = (root / "wal", root / "segments", "binance-0", "binance", 1, settings)
    pid = os.fork()
    if pid == 0:  # dies with its log open
        writer = LogWriter.open(*names)
        for start in range(0, count, per_record):
            batch = [lines[number % len(lines)] for number in range(start, start + per_record)]
            writer.append(Kind.FRAMES, time.time_ns(), 1, batch)
            if start % 64_000 == 0:
                writer.commit()
        writer.commit()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    began = time.perf_counter()
    writer = LogWriter.open(*names)
    seconds = time.perf_counter() - began
    assert writer.recovery.frames >= count
    writer.seal_finished()
    writer.close()
    sealed = max(sealed_segments(root / "segments"), key=lambda each: each.bytes)
    some = b"\n".join(
        b'{"t":%d,"f":%s}' % (1_700_000_000_000_000_000 + 10_007 * number, lines[number % len(lines)])
        for number in range(200_000)
    )
    return seconds, sealed.bytes / count, len(gzip.compress(some, 6)) / 200_000


def peak_memory(root: Path, *, symbols: int, books: int, seconds: float = 30.0) -> float:
    """MB at most, of the service capturing trades and quotes of ``symbols`` pairs, ``books`` of them with
    books of 1,000 levels, until ``seconds`` after all were confirmed."""
    names = [f"C{number:03d}-USD" for number in range(symbols)]
    market = Market.synthetic(seed=7)
    with SandboxServer(market=market, live_rate=2.0) as server:
        base = server.url.replace("http", "ws")
        everything = '["trades", "quotes", "depth"]'
        deep, wide = names[:books], names[books:]
        home = _home(root, {
            "kraken": ([f"KRAKEN:{n}" for n in deep], f"{base}/kraken/ws", f"{everything}\nlevels = 1000"),
            "coinbase": ([f"COINBASE:{n}" for n in wide], f"{base}/coinbase/ws", '["trades", "quotes"]'),
        })  # fmt: skip
        with _service(home) as url, httpx.Client(base_url=url, timeout=30) as client:
            wanted = 3 * books + 2 * (symbols - books)
            until = time.monotonic() + 120
            while sum(s["confirmed"] for s in client.get("/status").json()["shards"]) < wanted:
                assert time.monotonic() < until, (home / "service.log").read_text()[-2000:]
                time.sleep(0.5)
            time.sleep(seconds)  # books and queues fill
            pid = client.get("/status").json()["pid"]
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def landed(root: Path, count: int) -> tuple[float, float]:
    """Rows a second from sealed segments to committed rows, and of decoding them alone."""
    from mdc_resources import config
    from mdc_resources.landing.land import land

    home = _home(root, {"binance": (["BINANCE:BTC-USDT"], "ws://127.0.0.1:1", '["trades", "quotes"]')})
    loaded = config.load(home / "mdc.toml", environ={})
    lines = write_frames(root / "frames.txt", count).read_bytes().splitlines()
    _sealed(loaded.wal_dir, loaded.segments_dir, lines)
    began = time.perf_counter()
    done = land(loaded, run_id="bench")
    seconds = time.perf_counter() - began
    rows = sum(done.rows.values())
    live, sink = feed("binance"), Counting()
    decoder = live.decoder(LiveDialect(spec=live.spec, ws_url=live.spec.ws_url))
    began = time.perf_counter()
    for segment in sealed_segments(loaded.segments_dir):
        for record in read_segment(segment.path):
            if record.kind is Kind.FRAMES:
                for frame in record.frames:
                    decoder.decode(frame, sink)
    alone = sink.events / (time.perf_counter() - began)
    return rows / seconds, alone


@contextmanager
def _service(home: Path) -> Iterator[str]:
    """``mdc stream run`` on one core; yields its address once it answers."""
    command = [sys.executable, "-c", MDC, "--config", str(home), "stream", "run"]
    with (
        (home / "service.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        os.sched_setaffinity(process.pid, {CORE})
        try:
            yield _address(home, process)
        finally:
            process.terminate()
            process.wait(30)


def _address(home: Path, process: subprocess.Popen[bytes]) -> str:
    told = home / "state" / "sidecar.json"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert process.poll() is None, (home / "service.log").read_text()
        if told.exists():
            return str(json.loads(told.read_text())["url"])
        time.sleep(0.02)
    raise TimeoutError((home / "service.log").read_text())


def _home(root: Path, feeds: Mapping[str, tuple[Sequence[str], str, str]]) -> Path:
    """A home that captures ``feeds``: name -> symbols, address, datasets."""
    make_home(root, sandbox=True, port=1, environ={})
    sections = [
        '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\nstart = 2020-01-01',
        "[sidecar]\nport = 0",
        *(
            f'[stream.{name}]\nsymbols = {json.dumps(list(symbols))}\nws_url = "{url}"\ndatasets = {datasets}'
            for name, (symbols, url, datasets) in feeds.items()
        ),
    ]
    path = root / "mdc.toml"
    path.write_text(path.read_text() + "\n" + "\n\n".join(sections) + "\n")
    return root
