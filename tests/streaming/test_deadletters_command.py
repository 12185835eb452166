"""``mdc stream deadletter`` on a real home: list, show and drop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.letters import Cause, LetterState, NewLetter
from tests.cli.running import Result

SEGMENT = "coinbase-0/000000000012"
HOSTILE = b'{"price":"\x1b[31mred"}\r\nforged line \xff'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing but a config."""
    for name in list(os.environ):
        if name.startswith("MDC"):
            monkeypatch.delenv(name)
    (tmp_path / "mdc.toml").write_text("[lake]\nsandbox = true\n")
    return tmp_path


@pytest.fixture
def store(home: Path) -> DeadLetters:
    """Its dead letters: two frames and a whole segment."""
    found = DeadLetters(home / "state" / "deadletters.sqlite")
    found.add_all(
        [
            NewLetter(
                segment=SEGMENT,
                cause=Cause.UNDECODABLE,
                reason="no \x1b[2JJSON\r\nerror: forged",
                offset=4096,
                frame=3,
                symbol="COINBASE:BTC-USD",
                raw=HOSTILE,
            ),
            NewLetter(segment=SEGMENT, cause=Cause.UNSTORABLE, reason="too large", offset=8192, frame=0),
        ]
    )
    found.note_not_landed("coinbase-0/000000000013", "the disk is full")
    return found


def mdc(home: Path, *words: str) -> Result:
    """Run it in this process."""
    ran = CliRunner().invoke(app, ["--config", str(home), "stream", "deadletter", *words])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Result(ran.exit_code, ran.stdout, ran.stderr)


def test_a_home_without_any_says_so(home: Path):
    """And makes no file."""
    ran = mdc(home, "list")
    assert (ran.code, ran.out) == (0, "no open dead letters\n")
    assert mdc(home, "list", "--json").json == {"letters": [], "counts": {}}
    assert not (home / "state" / "deadletters.sqlite").exists()


def test_the_list_tells_what_and_why(home: Path, store: DeadLetters):
    """A line per letter, the newest first; counts by cause on stderr."""
    ran = mdc(home, "list")
    rows = ran.out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["3", "2", "1"]
    assert "coinbase-0/000000000013" in rows[0]
    assert f"{SEGMENT}@4096.3" in rows[2]
    assert "undecodable: 1 open" in ran.err
    assert "not-landed: 1 open" in ran.err


def test_the_list_can_be_narrowed(home: Path, store: DeadLetters):
    """By cause, by state and to the newest."""
    assert [
        found["id"] for found in mdc(home, "list", "--cause", "unstorable", "--json").json["letters"]
    ] == [2]
    assert [found["id"] for found in mdc(home, "list", "--limit", "1", "--json").json["letters"]] == [3]
    assert mdc(home, "list", "--state", "dropped").out == "no dropped dead letters\n"
    assert len(mdc(home, "list", "--state", "all", "--json").json["letters"]) == 3


@pytest.mark.parametrize("words", [("list", "--cause", "bad luck"), ("list", "--state", "gone")])
def test_unknown_words_are_refused(home: Path, words: tuple[str, ...]):
    """With those that are known."""
    ran = mdc(home, *words)
    assert ran.code == 2
    assert "Known:" in ran.err


@pytest.mark.parametrize("words", [("list",), ("show", "1")])
def test_a_payload_cannot_steer_the_terminal(home: Path, store: DeadLetters, words: tuple[str, ...]):
    """Escape sequences and line ends are shown, not obeyed."""
    out = mdc(home, *words).out
    assert all(text.isprintable() for text in out.splitlines())
    assert "\nerror: forged" not in out
    assert "\nforged" not in out


def test_one_is_shown_with_its_first_bytes(home: Path, store: DeadLetters):
    """For people with escapes, in JSON as text."""
    assert "\\x1b[31mred" in mdc(home, "show", "1").out
    found = mdc(home, "show", "1", "--json").json
    assert (found["offset"], found["frame"], found["symbol"]) == (4096, 3, "COINBASE:BTC-USD")
    assert found["raw"] == '{"price":"\x1b[31mred"}\r\nforged line \\xff'
    assert mdc(home, "show", "3", "--json").json["offset"] is None


def test_an_unknown_id_is_a_usage_error(home: Path, store: DeadLetters):
    """Whichever verb."""
    for words in (("show", "99"), ("drop", "99", "--reason", "x"), ("replay", "99")):
        ran = mdc(home, *words)
        assert ran.code == 2
        assert "no dead letter 99" in ran.err


def test_dropping_needs_a_reason_and_keeps_it(home: Path, store: DeadLetters):
    """A dry run changes nothing."""
    assert mdc(home, "drop", "1").code == 2
    assert mdc(home, "drop", "1", "--reason", "  ").code == 2
    assert "would be dropped" in mdc(home, "drop", "1", "2", "--reason", "known", "--dry-run").out
    assert len(store.letters()) == 3
    assert mdc(home, "drop", "1", "2", "--reason", "known", "--json").json == {
        "dry_run": False,
        "dropped": [1, 2],
    }
    assert {found.note for found in store.letters(state=LetterState.DROPPED)} == {"known"}


def test_what_is_closed_is_not_closed_again(home: Path, store: DeadLetters):
    """And none of those named with it is touched."""
    mdc(home, "drop", "1", "--reason", "known")
    ran = mdc(home, "drop", "2", "1", "--reason", "again")
    assert ran.code == 2
    assert "1 is dropped already" in ran.err
    assert store.get(2).state == "open"


def test_replay_wants_to_know_which(home: Path, store: DeadLetters):
    """Ids or --all, not both and not neither."""
    assert mdc(home, "replay").code == 2
    assert mdc(home, "replay", "1", "--all").code == 2
    assert mdc(home, "replay", "--due", "--all").code == 2


def test_replaying_what_is_due_leaves_the_rest(home: Path, store: DeadLetters):
    """For a timer: nothing was due within its first minute."""
    ran = mdc(home, "replay", "--due")
    assert (ran.code, ran.out) == (0, "no dead letter is due\n")
    assert [found.attempts for found in store.letters()] == [1, 0, 0]
