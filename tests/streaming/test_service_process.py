"""``mdc stream run`` as a supervisor runs it: signals, kill -9, a standby, and what it may not import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from mdc_resources.config import Home
from mdc_resources.wal import marks, sealed_segments
from tests.streaming.capturing import QUICK, Process, coinbase, frames, home_at, marked, records, until
from tests.streaming.server import Exchange

_NO_DAGSTER = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('dagster', 'dagster_duckdb', 'dagster_webserver', 'mdc_assets'):
            raise ImportError('not installed: ' + name)
sys.meta_path.insert(0, Refuse())
from mdc_resources.cli.main import main
try:
    main()
finally:
    print(sorted(m for m in sys.modules if m.partition('.')[0] in ('duckdb', 'pandas', 'dagster')),
          file=sys.stderr)
"""


def _frames(home: Home, url: str) -> int:
    found = httpx.get(f"{url}/status", timeout=10).json()["shards"]
    return sum(shard["frames"] for shard in found)


def _ready(url: str) -> None:
    until(lambda: httpx.get(f"{url}/ready", timeout=10).status_code == 200, 20, "ready")


def test_sigterm_drains_within_ten_seconds(tmp_path: Path) -> None:
    """Exit 0; Closed and Stopped are the last marks, everything is sealed and nothing is left unsealed."""
    with Exchange(every=0.001) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as process:
            _ready(process.url())
            began = time.monotonic()
            assert process.end(signal.SIGTERM) == 0, process.log
            assert time.monotonic() - began < 10
    assert [type(mark).__name__ for _, mark in _last(home, 2)] == ["Closed", "Stopped"]
    assert sealed_segments(home.segments_dir)
    assert not list(home.wal_dir.glob("*/*.wal"))
    logged = [f.decode() for f in frames(home)[1]]
    assert logged == server.sent[1][: len(logged)]


def _last(home: Home, count: int) -> list[tuple[object, object]]:
    from tests.streaming.capturing import marks_of

    return list(marks_of(home)[-count:])


def test_a_server_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """SIGTERM in the middle of a handshake nobody answers: exit 0 at once."""
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        home = home_at(tmp_path, coinbase(f"ws://127.0.0.1:{deaf.getsockname()[1]}"))
        with Process(home) as process:
            url = process.url()
            lines = until(lambda: httpx.get(f"{url}/status").json()["shards"][0]["lines"])
            assert lines[0]["connections"][0]["state"] == "connecting"
            began = time.monotonic()
            assert process.end() == 0, process.log
            assert time.monotonic() - began < 5
    assert not marked(home, marks.Opened)


def test_sigint_drains_too_and_json_sums_up(tmp_path: Path) -> None:
    """Ctrl-C is an orderly end; --json prints what the run came to."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home, "--json") as process:
            _ready(process.url())
            process.send(signal.SIGINT)
            out, _ = process.process.communicate(timeout=15)
            assert process.process.returncode == 0, process.log
    found = json.loads(out)
    assert found["frames"] == sum(map(len, frames(home).values())) > 0
    assert found["shards"][0]["shard"] == "coinbase-0"


def test_a_run_of_some_seconds_ends_by_itself(tmp_path: Path) -> None:
    """--for drains when the time is over."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home, "--for", "1") as process:
            assert process.process.wait(20) == 0, process.log
    assert marked(home, marks.Stopped)


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """What durable_through covered is in the log after the kill; the next start names where it ended."""
    with Exchange(every=0.002) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as process:
            url = process.url()
            _ready(url)
            until(lambda: _frames(home, url) > 100)
            acknowledged = httpx.get(f"{url}/health").json()["durable_through"]["coinbase-0"]
            process.end(signal.SIGKILL)
        with Process(home) as process:
            _ready(process.url())
            assert process.end() == 0, process.log
    started = marked(home, marks.Started)
    assert [started[0].last_ns, started[1].last_ns >= acknowledged] == [0, True]
    logged = frames(home)
    numbers = [record.number for record in records(home)]
    assert numbers == sorted(numbers)
    first, second = sorted(logged)
    assert [f.decode() for f in logged[first]] == server.sent[1][: len(logged[first])]
    assert second > first, "a connection's number is never used again"


def test_a_standby_takes_over_within_a_second(tmp_path: Path) -> None:
    """The second sidecar answers, is not ready, names the holder; when the first dies it captures."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as first:
            _ready(first.url())
            with Process(home) as second:
                note = home.state_dir / "standby.json"
                url = json.loads(until(lambda: note.exists() and note.read_text(), 20))["url"]
                assert httpx.get(f"{url}/ready").json() == {"ready": False, "standby": True}
                shard = httpx.get(f"{url}/status").json()["shards"][0]
                assert (shard["state"], shard["holder"]["pid"]) == ("standby", first.process.pid)
                first.process.kill()
                killed = time.monotonic()
                until(lambda: httpx.get(f"{url}/health").json()["shards"]["coinbase-0"] == "capturing")
                assert time.monotonic() - killed < 2.0  # a second, and what a loaded machine adds
                _ready(url)
                assert second.url() == url
                until(lambda: not note.exists())
                assert second.end() == 0, second.log


def test_a_standby_on_a_fixed_port_answers_elsewhere(tmp_path: Path) -> None:
    """The port is the first one's; the standby takes a free one instead of failing."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Exchange() as server:
        fixed = QUICK.replace("port = 0", f"port = {port}")
        home = home_at(tmp_path, coinbase(server.url), sidecar=fixed)
        with Process(home) as first:
            assert first.url().endswith(f":{port}")
            with Process(home) as second:
                note = home.state_dir / "standby.json"
                assert not json.loads(until(lambda: note.exists() and note.read_text(), 20))["url"].endswith(
                    f":{port}"
                )
                assert second.end() == 0, second.log
            assert first.url().endswith(f":{port}")


def test_two_sidecars_may_share_the_shards(tmp_path: Path) -> None:
    """--shard names what a process captures; the other one has the rest, at once."""
    with Exchange() as server:
        symbols = ("BTC-USD", "ETH-USD", "LTC-USD", "ADA-USD")
        home = home_at(tmp_path, coinbase(server.url, *symbols, more="shards = 2"))
        with Process(home, "--shard", "coinbase-0") as first:
            _ready(first.url())
            with Process(home, "--shard", "coinbase-1") as second:
                _ready(second.url())
                assert second.end() == 0, second.log
            first.url()  # announced anew, now that the other one has gone
            assert first.end() == 0, first.log
    held = {
        p[1] for shard in ("coinbase-0", "coinbase-1") for p in marked(home, marks.Wanted, shard)[0].pairs
    }
    assert held == {f"COINBASE:{symbol}" for symbol in symbols}


def test_sighup_adds_a_symbol(tmp_path: Path) -> None:
    """The signal itself: the new symbol is confirmed on the connection that was open."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as process:
            _ready(process.url())
            home.config_file.write_text(QUICK + coinbase(server.url, "BTC-USD", "ETH-USD"))
            process.send(signal.SIGHUP)
            until(lambda: server.subscribed[1] == {"BTC-USD", "ETH-USD"})
            assert process.end() == 0, process.log
        assert len(server.opened) == 1


def test_a_stopped_process_comes_back_with_new_connections(tmp_path: Path) -> None:
    """SIGSTOP for longer than a stall: on SIGCONT its connections are replaced, the old ones closed last."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with Process(home) as process:
            _ready(process.url())
            process.send(signal.SIGSTOP)
            time.sleep(6)  # the stall is real time by its nature
            process.send(signal.SIGCONT)
            until(lambda: len(server.opened) == 2)
            url = process.url()
            until(lambda: httpx.get(f"{url}/status").json()["shards"][0]["ends"].get("suspended"))
            _ready(url)
            assert process.end() == 0, process.log
    assert marked(home, marks.Closed)[0].reason.startswith("suspended")


def test_no_dagster_is_needed(tmp_path: Path) -> None:
    """With Dagster not importable it captures and drains; neither DuckDB nor pandas is loaded for coins."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        found = subprocess.run(
            [sys.executable, "-c", _NO_DAGSTER, "stream", "run", "--config", str(home.root), "--for", "2"],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(os.environ),
        )
    assert found.returncode == 0, found.stderr
    assert frames(home)
    assert found.stderr.rstrip().endswith("[]"), found.stderr[-300:]


def test_mistakes_end_with_their_exit_code(tmp_path: Path) -> None:
    """No feed, an unknown shard, a missing lake: 2, 2 and 5, each with a line that says what to do."""
    home = home_at(tmp_path / "none", "")
    other = home_at(tmp_path / "shard", coinbase("ws://127.0.0.1:9"))
    gone = home_at(tmp_path / "gone", coinbase("ws://127.0.0.1:9"))
    (gone.root / "lake" / "MARKER").unlink()
    runs = [
        (Process(home), 2, "no live feed is configured"),
        (Process(other, "--shard", "kraken-0"), 2, "Known: coinbase-0"),
        (Process(gone), 5, "MARKER does not exist"),
    ]
    for process, code, said in runs:
        with process:
            assert process.process.wait(30) == code, process.log
            assert said in process.log
