"""Dead letters replayed: what an older decoder could not read is read again and gets into the lake once."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.config import Home
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.landing import deadletters
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.land import land
from mdc_resources.landing.letters import Cause, LetterState, NewLetter
from mdc_resources.landing.replaying import replay_due
from mdc_resources.providers.coinbase.live import CoinbaseDecoder
from mdc_resources.state import State
from mdc_resources.wal import Kind, LogWriter, marks, read_segment, sealed_segments
from tests.cli.running import Result
from tests.homes import make_home
from tests.streaming.hubbing import match, ticker

BTC = "COINBASE:BTC-USD"
NOON = int(dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC).timestamp()) * 10**9
SECOND = 10**9
EXTRA = (
    '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\n'
    f'[stream.coinbase]\nsymbols = ["{BTC}"]\ndatasets = ["trades", "quotes"]\n'
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A real one with an empty lake."""
    return make_home(tmp_path / "home", "http://127.0.0.1:9", providers=(), extra=EXTRA)


def capture(home: Home, *reads: tuple[bytes, ...]) -> None:
    """A sealed segment of one connection; each read is a record, one second after the other."""
    settings = SidecarSettings(reserve_mb=0, segment_mb=1)
    pairs = (("trades", BTC), ("quotes", BTC))
    with LogWriter.open(
        home.wal_dir, home.segments_dir, "coinbase-0", "coinbase", 1, settings, clock=lambda: NOON
    ) as log:
        number = log.next_connection()
        for mark in (
            marks.Started(1, "test"),
            marks.Wanted(pairs),
            marks.Opened("coinbase", "ws://here"),
            marks.Confirmed(pairs),
        ):
            log.append(Kind.MARK, NOON, number, (marks.encode(mark),))
        for at, frames in enumerate(reads, start=1):
            log.append(Kind.FRAMES, NOON + at * SECOND, number, frames)
        log.commit()


@contextlib.contextmanager
def older_decoder(monkeypatch: pytest.MonkeyPatch, cannot: Callable[[bytes], bool]) -> Iterator[None]:
    """Within it the decoder is that of an earlier release, which could not read some frames."""
    today = CoinbaseDecoder.decode

    def decode(self: CoinbaseDecoder, frame: bytes, sink: Any) -> None:
        if cannot(frame):
            sink.rejected("not understood yet", frame)
        else:
            today(self, frame, sink)

    with monkeypatch.context() as patched:
        patched.setattr(CoinbaseDecoder, "decode", decode)
        yield


def at_noon(number: int) -> bytes:
    """A trade of its second after noon."""
    return match(number, clock=f"2026-11-18T12:00:{number:02}.000000Z")


def rows(home: Home, dataset: Dataset, column: str) -> list[object]:
    """A column of what is stored, in the order of capture."""
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        found = lake.connect().execute(f"SELECT {column} FROM {dataset} ORDER BY ordinal")
        return [row[0] for row in found.fetchall()]


def mdc(home: Home, *words: str) -> Result:
    """``mdc stream deadletter`` in this process."""
    ran = CliRunner().invoke(app, ["--config", str(home.root), "stream", "deadletter", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Result(ran.exit_code, ran.stdout, ran.stderr)


def test_a_frame_that_decodes_now_gets_its_place_in_the_lake(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Between its neighbours, in the order of capture; its letter is closed, a second replay finds none."""
    capture(home, (at_noon(1),), (at_noon(2),), (at_noon(3),))
    with older_decoder(monkeypatch, lambda frame: json.loads(frame)["trade_id"] == 2):
        assert land(home, run_id="test").rejected == 1
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "3"]
    store = DeadLetters.of(home)
    (letter,) = store.letters()
    assert (letter.cause, letter.reason) == (Cause.UNDECODABLE, "not understood yet")

    dry = mdc(home, "replay", "--all", "--dry-run", "--json").json
    assert dry["letters"][0]["ok"]
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "3"]

    ran = mdc(home, "replay", str(letter.id))
    assert ran.code == 0, ran.err
    assert "rows added in its segment: 1" in ran.out
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "2", "3"]
    assert store.get(letter.id).state is LetterState.REPLAYED
    assert mdc(home, "replay", "--all").out == "no open dead letters\n"
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []


def test_a_frame_that_still_does_not_decode_counts_an_attempt(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Exit 1, the reason of today, and a later next try."""
    capture(home, (at_noon(1), b'{"type": "surprise"}'))
    land(home, run_id="test")
    store = DeadLetters.of(home)
    (letter,) = store.letters()
    assert letter.frame == 1
    ran = mdc(home, "replay", str(letter.id))
    assert ran.code == 1
    again = store.get(letter.id)
    assert (again.attempts, again.state) == (1, LetterState.OPEN)
    assert rows(home, Dataset.TRADES, "trade_id") == ["1"]


def test_landing_tries_what_is_due_again(home: Home, monkeypatch: pytest.MonkeyPatch):
    """`mdc stream land` after an upgrade: the letter whose time has come is in the lake without a word."""
    monkeypatch.setattr(deadletters, "FIRST_PAUSE", dt.timedelta(0))
    capture(home, (at_noon(1),), (at_noon(2),))
    with older_decoder(monkeypatch, lambda frame: json.loads(frame)["trade_id"] == 2):
        land(home, run_id="test")
    ran = CliRunner().invoke(app, ["--config", str(home.root), "stream", "land"])
    assert ran.exit_code == 0
    assert "1 of 1 dead letters that were due landed after all" in ran.stdout
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "2"]
    assert replay_due(home) == []


def test_a_landing_is_told_though_a_letter_has_to_wait(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Somebody works on the letter's partition: said on stderr, the landing's own result stands."""
    monkeypatch.setattr(deadletters, "FIRST_PAUSE", dt.timedelta(0))
    capture(home, (at_noon(1),), (at_noon(2),))
    with older_decoder(monkeypatch, lambda frame: json.loads(frame)["trade_id"] == 2):
        land(home, run_id="test")
    key = PartitionKey(Symbol(BTC), dt.date(2026, 11, 18))
    with State.open(home) as state:
        claim = state.claim(Dataset.TRADES, [key], ttl=dt.timedelta(minutes=1))
        ran = CliRunner().invoke(app, ["--config", str(home.root), "stream", "land", "--json"])
        state.release(claim)
    assert ran.exit_code == 0
    told = json.loads(ran.stdout)
    assert (told["skipped"], told["replayed"]) == (1, 0)
    assert "dead letters were not tried again" in ran.stderr
    assert [letter.attempts for letter in DeadLetters.of(home).letters()] == [0]


def test_replaying_what_is_stored_adds_nothing(home: Home):
    """Quotes have no identity: what stands in the lake exactly so is not added again."""
    capture(home, (ticker(), ticker(bid="61999.50"), ticker()), (ticker(bid="61999.75"),))
    land(home, run_id="test")
    before = rows(home, Dataset.QUOTES, "bid_price")
    store = DeadLetters.of(home)
    (segment,) = sealed_segments(home.segments_dir)
    offset = next(each.offset for each in read_segment(segment.path) if each.kind is Kind.FRAMES)
    store.add(
        NewLetter(segment=segment.name, cause=Cause.UNDECODABLE, reason="a crash", offset=offset, frame=1)
    )
    assert mdc(home, "replay", "--all").code == 0
    assert rows(home, Dataset.QUOTES, "bid_price") == before
    assert len(before) == 4


def test_a_quote_of_a_frame_among_others_is_added_alone(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Of a record of three frames one was not understood: only that one's row is missing."""
    capture(home, (ticker(), ticker(bid="61999.50"), ticker(bid="61999.75")))
    with older_decoder(monkeypatch, lambda frame: b"61999.50" in frame):
        land(home, run_id="test")
    assert mdc(home, "replay", "--all").code == 0
    assert sorted(map(str, rows(home, Dataset.QUOTES, "bid_price"))) == [
        "61999.500000000",
        "61999.750000000",
        "61999.990000000",
    ]


def test_a_segment_that_did_not_land_is_landed(home: Home):
    """And its letter closed; a dry run lands nothing."""
    capture(home, (at_noon(1),))
    (segment,) = sealed_segments(home.segments_dir)
    store = DeadLetters.of(home)
    letter = store.note_not_landed(segment.name, "the lake was away")
    assert "would be landed" in mdc(home, "replay", str(letter.id), "--dry-run").out
    assert rows(home, Dataset.TRADES, "trade_id") == []
    ran = mdc(home, "replay", str(letter.id), "--json")
    assert ran.json["letters"] == [
        {"id": letter.id, "reference": segment.name, "ok": True, "told": "landed, 1 rows"}
    ]
    assert rows(home, Dataset.TRADES, "trade_id") == ["1"]
    assert store.get(letter.id).state is LetterState.REPLAYED


def test_frames_wait_for_their_segment_to_land(home: Home):
    """Added before it, their rows would come twice."""
    capture(home, (at_noon(1),))
    (segment,) = sealed_segments(home.segments_dir)
    store = DeadLetters.of(home)
    store.add(NewLetter(segment=segment.name, cause=Cause.UNDECODABLE, reason="?", offset=4096, frame=0))
    ran = mdc(home, "replay", "--all")
    assert ran.code == 1
    assert "has not landed yet" in ran.out
    assert store.letters()[0].attempts == 0


def test_a_segment_that_is_gone_is_told(home: Home):
    """Somebody deleted it: there is nothing to replay, and it is an attempt."""
    store = DeadLetters.of(home)
    store.add(
        NewLetter(segment="coinbase-0/000000000099", cause=Cause.UNDECODABLE, reason="?", offset=1, frame=0)
    )
    ran = mdc(home, "replay", "--all")
    assert ran.code == 1
    assert "its segment is gone" in ran.out
    assert store.letters()[0].attempts == 1


def test_partitions_that_somebody_works_on_are_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch):
    """Exit 5; nothing is written, no attempt is counted, the next replay succeeds."""
    capture(home, (at_noon(1),), (at_noon(2),))
    with older_decoder(monkeypatch, lambda frame: json.loads(frame)["trade_id"] == 2):
        land(home, run_id="test")
    store = DeadLetters.of(home)
    key = PartitionKey(Symbol(BTC), dt.date(2026, 11, 18))
    with State.open(home) as state:
        claim = state.claim(Dataset.TRADES, [key], ttl=dt.timedelta(minutes=1))
        ran = mdc(home, "replay", "--all")
        state.release(claim)
    assert ran.code == 5
    assert "somebody works on its partitions" in ran.err
    assert store.letters()[0].attempts == 0
    assert rows(home, Dataset.TRADES, "trade_id") == ["1"]
    assert mdc(home, "replay", "--all").code == 0
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "2"]


def test_a_partition_that_was_empty_is_present_afterwards(home: Home, monkeypatch: pytest.MonkeyPatch):
    """All of its trades were unreadable: the rows found a partition of their own."""
    capture(home, (at_noon(1), at_noon(2)))
    with older_decoder(monkeypatch, lambda _: True):
        assert land(home, run_id="test").rejected == 2
    assert len(DeadLetters.of(home).letters()) == 2
    assert mdc(home, "replay", "--all", "--json").code == 0
    assert rows(home, Dataset.TRADES, "trade_id") == ["1", "2"]
    assert DeadLetters.of(home).letters() == []
