"""``mdc stream tail`` against a real sidecar's HTTP face: lines, JSON, tables and clear errors."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from mdc_resources import config
from mdc_resources.cli.main import app
from mdc_streaming.announce import announce
from mdc_streaming.tail_command import _table, clock, line
from tests.cli.running import Result
from tests.streaming.hubbing import NOW_NS, match, snapshot, ticker, update
from tests.streaming.tailing import Sidecar, sidecar

BTC = "COINBASE:BTC-USD"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing but a config."""
    for name in list(os.environ):
        if name.startswith("MDC"):
            monkeypatch.delenv(name)
    (tmp_path / "mdc.toml").write_text("[lake]\nsandbox = true\n")
    return tmp_path


@pytest.fixture(scope="module")
def running_sidecar() -> Iterator[Sidecar]:
    """One for all tests of this module."""
    with sidecar() as found:
        yield found


@pytest.fixture
def watched(home: Path, running_sidecar: Sidecar) -> Sidecar:
    """The sidecar, announced in the home."""
    running_sidecar.announce(home)
    return running_sidecar


def mdc(home: Path, *words: str) -> Result:
    """Run it in this process."""
    ran = CliRunner().invoke(app, ["--config", str(home), "stream", "tail", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Result(ran.exit_code, ran.stdout, ran.stderr)


def test_a_line_per_event(home: Path, watched: Sidecar):
    """Time of the event in UTC, what, which symbol, prices and sizes as the vendor wrote them."""
    frames = (match(1), ticker(), snapshot(levels=5), update(("sell", "62000.00", "0")))
    feeding = watched.frames_once_watched(*frames, at_ns=NOW_NS)
    ran = mdc(home, "--limit", "4")
    feeding.join(10)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"11:06:40.000000000  trade  {BTC}  62000.10 x 0.00500000 buy",
        f"11:06:40.000000000  quote  {BTC}  61999.99 x 0.5 | 62000.10 x 1.25",
        f"11:06:40.000000000  depth  {BTC}  snapshot bids [61999.00:1.5 61998.00:1.5 61997.00:1.5 ... 5]"
        " asks [62000.00:2.25 62001.00:2.25 62002.00:2.25 ... 5]",
        f"11:06:40.000000000  depth  {BTC}  update bids [] asks [62000.00:0]",
    ]


def test_json_is_a_document_per_line(home: Path, watched: Sidecar):
    """For programs; symbols may be typed in lower case."""
    feeding = watched.frames_once_watched(match(1, "ETH-USD"), match(2), ticker(), at_ns=NOW_NS)
    ran = mdc(home, "coinbase:btc-usd", "--dataset", "trades", "--feed", "coinbase", "--json", "--limit", "1")
    feeding.join(10)
    (event,) = map(json.loads, ran.out.splitlines())
    assert (event["type"], event["symbol"], event["trade_id"]) == ("trade", BTC, "2")


def test_the_table_of_books_shows_the_best_of_each(home: Path, watched: Sidecar):
    """Redrawn while it runs; the last state stays on the screen."""
    feeding = watched.frames_once_watched(snapshot(), at_ns=NOW_NS)
    ran = mdc(home, "--book", BTC, "--limit", "1")
    feeding.join(10)
    assert ran.code == 0
    row = next(text for text in ran.out.splitlines() if BTC in text)
    assert row.split()[2:6] == ["1.5", "61999.00", "62000.00", "2.25"]


def test_without_a_sidecar_it_says_how_to_start_one(home: Path):
    """No note of one: nothing runs."""
    ran = mdc(home)
    assert ran.code == 2
    assert "no sidecar runs in this home" in ran.err
    assert "mdc stream run" in ran.err


def test_a_sidecar_that_does_not_answer_is_named(home: Path):
    """It lives, as far as its note says, and its address is dead."""
    announce(config.load(home / "mdc.toml", environ={}), "http://127.0.0.1:9")
    ran = mdc(home)
    assert ran.code == 1
    assert "127.0.0.1:9 does not answer" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "bars_1d"], "trades, quotes, depth"),
        (["--feed", "nasdaq"], "unknown feed"),
        (["A/../B"], "is not a symbol"),
        (["--book", "--dataset", "trades"], "Leave --dataset out"),
    ],
)
def test_what_cannot_be_watched_is_refused(home: Path, watched: Sidecar, words: list[str], said: str):
    """Usage errors, exit 2."""
    ran = mdc(home, *words)
    assert ran.code == 2
    assert said in ran.err


def test_ctrl_c_ends_it_quietly(home: Path, watched: Sidecar):
    """Exit 130, nothing on either stream but the events."""
    script = "from mdc_resources.cli.main import main; main()"
    words = [sys.executable, "-c", script, "--config", str(home), "stream", "tail", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        watched.frames_once_watched(match(1), at_ns=NOW_NS).join(30)
        assert process.stdout is not None
        assert b'"trade"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_the_end_of_the_sidecar_ends_it_in_order(home: Path):
    """What was sent is shown, then a word on stderr, exit 0."""
    with sidecar() as own:
        own.announce(home)

        def end() -> None:
            own.frames_once_watched(match(1), at_ns=NOW_NS).join(10)
            deadline = time.monotonic() + 5
            while own.hub.snapshot()["queue"]["frames"] and time.monotonic() < deadline:
                time.sleep(0.01)
            own.call(own.hub.end)

        ending = threading.Thread(target=end)
        ending.start()
        ran = mdc(home)
        ending.join(10)
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 1
    assert "the sidecar has ended the stream" in ran.err


def test_a_vendors_text_cannot_steer_the_terminal():
    """Escape sequences and line ends in any field are shown, not obeyed."""
    text = line(
        {
            "type": "trade",
            "symbol": "A\x1b[31m",
            "ts_event": None,
            "ts_recv": 0,
            "price": "1\r\n2",
            "size": "\x9b2J",
            "side": "‮",
        }
    )
    assert text.isprintable()
    assert "\\x1b[31m" in text


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        (0, "00:00:00.000000000"),
        (NOW_NS + 1, "11:06:40.000000001"),
        (86_399_999_999_999, "23:59:59.999999999"),
    ],
)
def test_the_time_of_day_is_exact(instant: int, shown: str):
    """To the nanosecond, without floats."""
    assert clock(instant) == shown


def test_holes_and_drops_are_told():
    """A warning is a line like any other event."""
    event = {"symbol": BTC, "ts_recv": 0, "dataset": "trades", "reason": "sequence", "detail": "2 to 8"}
    assert line({"type": "hole", **event}).endswith("trades sequence: 2 to 8")


def test_a_price_is_never_cut_where_the_terminal_is_narrow():
    """A price without its last digits is another price; a book that is unknown says why."""
    from rich.console import Console

    good = {"type": "book", "feed": "coinbase", "symbol": BTC, "ts_recv": NOW_NS, "valid": True}
    tops = {
        "a": {**good, "bids": [["61999.123456789", "1.5"]], "asks": [["62000.123456789", "2.25"]]},
        "b": {**good, "symbol": "KRAKEN:BTC-USD", "valid": False, "reason": "checksum\x1b[2J"},
    }
    shown = {}
    for width in (70, 120):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(_table(tops))
        shown[width] = console.export_text()
    for text in shown.values():
        assert "61999.123456789" in text
        assert "62000.123456789" in text
        assert "\x1b" not in text
    assert "unknown: checksum" in shown[120]


def test_drops_are_told_on_stderr_and_not_counted(home: Path, watched: Sidecar):
    """A terminal that does not keep up hears of it; --limit counts events."""
    from mdc_streaming.monitoring_subscribers import Dropped  # what a full queue tells

    def feed() -> None:
        (subscriber,) = watched.hub.fanout._subscribers
        subscriber.put(msgspec.json.encode(Dropped(7)) + b"\n")

    def work() -> None:
        thread = watched.frames_once_watched(at_ns=NOW_NS)
        thread.join(10)
        watched.call(feed)
        watched.frames(match(1), at_ns=NOW_NS)

    feeding = threading.Thread(target=work)
    feeding.start()
    ran = mdc(home, "--limit", "1")
    feeding.join(10)
    assert len(ran.out.splitlines()) == 1
    assert "7 events were dropped here" in ran.err
