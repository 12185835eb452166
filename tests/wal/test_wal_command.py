"""``mdc stream wal``: verify, cat and replay, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from typer.testing import CliRunner
from wal_logs import SMALL, Home, abandon

from mdc_resources.cli.main import app
from mdc_resources.wal import Kind, LogWriter
from mdc_streaming.wal_replay import Replay

START = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the home of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("MDC"):
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a sealed segment of two connections and a live one of a mark and frames."""
    (tmp_path / "mdc.toml").write_text("[lake]\nroot = 'lake'\n", encoding="utf-8")
    found = Home(tmp_path)
    writer = found.open()
    writer.append(Kind.FRAMES, START, 1, [b'{"n":1}', b'{"n":2}'])
    writer.append(Kind.FRAMES, START + 10**9, 2, [b'{"n":3}'])
    writer.roll()
    writer.seal_finished()
    writer.append(Kind.MARK, START + 2 * 10**9, 0, [b'{"mark":"stopped","reason":"drained"}'])
    writer.append(Kind.FRAMES, START + 3 * 10**9, 1, ["kühl".encode(), b"\xff\x00"])
    writer.append(Kind.FETCHED, START + 4 * 10**9, 1, [b'{"symbol":"A","url":"u"}', b"{}"])
    writer.commit()
    yield found
    abandon(writer)


def mdc(home: Home, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``mdc stream wal``."""
    ran = CliRunner().invoke(app, ["--config", str(home.root), "stream", "wal", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran.exit_code, ran.stdout, ran.stderr


def lines(home: Home, *words: str) -> list[dict]:
    """What ``cat`` printed, one object a line."""
    code, out, err = mdc(home, "cat", *words)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def flip(path: Path, at: int) -> None:
    """Turn a bit of byte ``at``."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_verify_says_what_each_file_holds(home: Home) -> None:
    """Sealed and live, with counts; nothing wrong is exit 0."""
    code, out, _ = mdc(home, "verify", "--json")
    sealed, live = json.loads(out)
    assert code == 0
    assert (sealed["segment"], sealed["verdict"], sealed["records"], sealed["frames"]) == (
        "coinbase-0/000000000001",
        "sealed",
        2,
        3,
    )
    assert (live["verdict"], live["records"], live["frames"], live["torn_bytes"]) == ("live", 3, 2, 0)
    code, out, _ = mdc(home, "verify")
    assert (code, "coinbase-0/000000000002" in out) == (0, True)


def test_verify_finds_damage(home: Home) -> None:
    """Exit 1, with the offset; the other files are still looked at."""
    flip(home.files()[0], 30)
    code, out, _ = mdc(home, "verify", "--json")
    damaged, live = json.loads(out)
    assert (code, damaged["verdict"], live["verdict"]) == (1, "damaged", "live")
    assert "checksum" in damaged["detail"]
    live_file = home.files()[1]
    flip(live_file, live_file.read_bytes().index(b"stopped"))
    code, out, _ = mdc(home, "verify", "coinbase-0/000000000002", "--json")
    (row,) = json.loads(out)
    assert code == 1
    assert row["offset"] < row["following"]


def test_verify_tells_a_torn_tail_from_damage(home: Home) -> None:
    """A tail is what a crash leaves; it is no finding."""
    path = home.files()[1]
    end = path.read_bytes().rstrip(b"\0")
    with path.open("r+b") as file:
        file.seek(len(end) + 1)
        file.write(b"torn")
    code, out, _ = mdc(home, "verify", str(path), "--json")
    assert code == 0
    assert json.loads(out)[0]["verdict"] == "torn"


def test_verify_lists_what_was_set_aside(home: Home) -> None:
    """It stays a finding until somebody has dealt with it."""
    shelf = home.shard / "damaged"
    shelf.mkdir()
    (shelf / "000000000000.wal").write_bytes(b"no log")
    code, out, _ = mdc(home, "verify", "--json")
    assert code == 1
    assert [row["verdict"] for row in json.loads(out)] == ["sealed", "live", "damaged"]


def test_cat_prints_every_record(home: Home) -> None:
    """In the order of capture, over segments; frames as text, others as base64."""
    found = lines(home)
    assert [row["kind"] for row in found] == ["frames", "frames", "mark", "frames", "fetched"]
    assert [row["number"] for row in found] == [0, 2, 3, 4, 6]
    assert found[0]["frames"] == ['{"n":1}', '{"n":2}']
    assert found[3]["frames"] == ["kühl", {"base64": "/wA="}]
    assert found[0]["recv_ns"] == START


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--connection", "2"], [2]),
        (["--kind", "mark"], [3]),
        (["--kind", "fetched"], [6]),
        (["--since", "2026-01-01T00:00:03Z"], [4, 6]),
        (["--limit", "2"], [0, 2]),
        (["--kind", "frames", "--connection", "1", "--limit", "1"], [0]),
        (["coinbase-0/000000000001"], [0, 2]),
        (["coinbase-0"], [0, 2, 3, 4, 6]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_cat_shows_what_is_asked_for(home: Home, words: list[str], numbers: list[int]) -> None:
    """By connection, kind, time, count and segment."""
    assert [row["number"] for row in lines(home, *words)] == numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat", "kraken-0"], "there is no log"),
        (["cat", "coinbase-0/7"], "there is no log"),
        (["cat", "--kind", "footer"], "is no kind of record"),
        (["cat", "--since", "yesterday"], "yesterday"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused(home: Home, words: list[str], message: str) -> None:
    """Exit 2, with the way to find what there is."""
    from mdc_resources.domain.errors import ExitCode

    code, _, err = mdc(home, *words)
    assert code == ExitCode.USAGE
    assert message in err


def test_cat_stops_at_damage(home: Home) -> None:
    """What comes before it is printed; the error names the offset, and the exit code says so."""
    flip(home.files()[1], home.files()[1].read_bytes().index(b"k\xc3\xbchl"))
    code, out, err = mdc(home, "cat")
    assert code == 5
    assert len(out.splitlines()) == 3
    assert "damaged at offset" in err


def test_a_home_without_logs_has_nothing_to_say(tmp_path: Path) -> None:
    """An empty list, not an error; only replay needs something."""
    (tmp_path / "mdc.toml").write_text("[lake]\nroot = 'lake'\n", encoding="utf-8")
    assert mdc(Home(tmp_path), "verify", "--json")[:2] == (0, "[]\n")
    assert mdc(Home(tmp_path), "replay")[0] == 2


async def received(url: str, *, say: str = "subscribe") -> list[str | bytes]:
    """Everything a client is sent until the clean close."""
    async with websockets.connect(url) as client:
        await client.send(say)
        return [frame async for frame in client]


def served(replay: Replay, clients: int = 1) -> list[list[str | bytes]]:
    """Serve ``clients`` one after another; what each got."""

    async def body() -> list[list[str | bytes]]:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(replay.serve(0, keep=clients > 1, announce=url.set_result))
        got = [await received(await url) for _ in range(clients)]
        if clients > 1:
            serving.cancel()
        else:
            await serving
        return got

    return asyncio.run(body())


def test_replay_sends_the_frames_again(home: Home) -> None:
    """In order, text as text and the rest as binary, nothing but received frames."""
    (got,) = served(Replay(home.files(), connection=None, speed=0))
    assert got == ['{"n":1}', '{"n":2}', '{"n":3}', "kühl", b"\xff\x00"]


def test_replay_of_one_connection_to_several_clients(home: Home) -> None:
    """Each gets all of it from the beginning."""
    replay = Replay(home.files(), connection=1, speed=0)
    assert served(replay, clients=2) == [['{"n":1}', '{"n":2}', "kühl", b"\xff\x00"]] * 2
    assert replay.sent == 8


def test_replay_keeps_the_pace(home: Home) -> None:
    """Three seconds of capture at tenfold speed take 0.3 seconds."""

    async def body() -> float:
        loop = asyncio.get_running_loop()
        url: asyncio.Future[str] = loop.create_future()
        replay = Replay(home.files(), connection=None, speed=10)
        serving = asyncio.create_task(replay.serve(0, keep=False, announce=url.set_result))
        async with websockets.connect(await url) as client:
            await client.send("subscribe")
            first = await client.recv()
            began = loop.time()
            rest = [frame async for frame in client]
            assert (first, len(rest)) == ('{"n":1}', 4)
            took = loop.time() - began
        await serving
        return took

    assert 0.25 < asyncio.run(body()) < 3


def test_what_is_replayed_can_be_captured_again(home: Home, tmp_path: Path) -> None:
    """The command as a process: its address on stdout; a second log ends with the same frames."""
    program = "from mdc_resources.cli.main import main; main()"
    words = ["--config", str(home.root), "stream", "wal", "replay", "coinbase-0", "--speed", "0"]
    command = [sys.executable, "-c", program, *words]
    again = Home(tmp_path / "again")
    writer = LogWriter.open(again.wal, again.segments, "coinbase-0", "coinbase", 1, SMALL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("ws://127.0.0.1:")
        for number, frame in enumerate(asyncio.run(received(url))):
            writer.append(Kind.FRAMES, number, 1, [frame.encode() if isinstance(frame, str) else frame])
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert "5 frames sent" in process.stderr.read()
    writer.close()
    assert again.frames() == home.frames()
