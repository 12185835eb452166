"""Dead letters in their real file: kept once, bounded, tried again with pauses, closed with a reason."""

from __future__ import annotations

import datetime as dt
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.errors import StorageFailed, UsageError
from mdc_resources.landing.deadletters import RAW_BYTES, DeadLetters
from mdc_resources.landing.letters import Cause, LetterState, NewLetter
from mdc_resources.telemetry.masking import register_secret

UTC = dt.UTC
NOW = dt.datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
SEGMENT = "coinbase-0/000000000012"


def letter(frame: int = 0, **values: object) -> NewLetter:
    """A frame that could not be decoded."""
    plain = {
        "segment": SEGMENT,
        "cause": Cause.UNDECODABLE,
        "reason": "no JSON",
        "offset": 4096,
        "frame": frame,
    }
    return NewLetter(**{**plain, **values})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> DeadLetters:
    """An empty one."""
    return DeadLetters(tmp_path / "state" / "deadletters.sqlite", attempts=3, limit=5)


def test_nothing_is_made_before_something_is_added(tmp_path: Path):
    """Reading an absent store finds nothing and leaves nothing behind."""
    store = DeadLetters(tmp_path / "state" / "deadletters.sqlite")
    assert (store.letters(), store.counts(), store.due(NOW), store.held_back(NOW)) == (
        [],
        {},
        [],
        frozenset(),
    )
    assert store.note_landed([SEGMENT]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_letter_is_kept_as_it_was_given(store: DeadLetters):
    """Reference, cause, reason, symbol and bytes come back; it is open and will be tried again."""
    assert store.add(letter(3, symbol="COINBASE:BTC-USD", raw=b'{"a":1}'), at=NOW)
    (found,) = store.letters()
    assert (found.reference, found.cause, found.reason) == (f"{SEGMENT}@4096.3", "undecodable", "no JSON")
    assert (found.symbol, found.raw, found.added_at) == ("COINBASE:BTC-USD", b'{"a":1}', NOW)
    assert (found.attempts, found.state, found.next_at) == (0, "open", NOW + dt.timedelta(minutes=1))
    assert store.get(found.id) == found


def test_the_same_reference_and_cause_is_kept_once(store: DeadLetters):
    """A segment that is landed again adds nothing; another cause of the same frame does."""
    assert store.add_all([letter(1), letter(2), letter(1)]) == 2
    assert store.add_all([letter(1), letter(2)]) == 0
    assert store.add(letter(1, cause=Cause.UNSTORABLE))
    assert len(store.letters()) == 3


def test_what_was_closed_does_not_open_again(store: DeadLetters):
    """Landing the segment once more finds the same frame; the person's decision stands."""
    store.add(letter())
    (found,) = store.letters()
    assert store.drop([found.id], reason="a test of the vendor's") == 1
    assert not store.add(letter())
    assert store.letters() == []
    (closed,) = store.letters(state=LetterState.DROPPED)
    assert (closed.note, closed.next_at) == ("a test of the vendor's", None)


def test_each_cause_is_bounded_and_what_is_beyond_is_counted_once(store: DeadLetters):
    """Five are kept, the rest is a number; landing the segment again counts none of it twice."""
    frames = [letter(frame) for frame in range(20)]
    assert store.add_all(frames) == 5
    assert store.add_all(frames) == 0
    assert store.add(letter(0, cause=Cause.DAMAGED, segment="coinbase-0/000000000013"))
    counts = store.counts()
    assert (counts[Cause.UNDECODABLE].open, counts[Cause.UNDECODABLE].beyond) == (5, 15)
    assert (counts[Cause.DAMAGED].open, counts[Cause.DAMAGED].beyond) == (1, 0)


def test_closing_makes_room(store: DeadLetters):
    """The bound is of open letters."""
    store.add_all([letter(frame) for frame in range(5)])
    store.drop([found.id for found in store.letters()], reason="known")
    assert store.add(letter(7))


def test_a_payload_is_cut_and_secrets_are_masked(store: DeadLetters):
    """The first two thousand bytes, without a key that was used, whole or cut in half."""
    register_secret("SEKRET_abcdef0123456789")
    whole = b"SEKRET_abcdef0123456789 and more"
    half = b"x" * (RAW_BYTES - 12) + b"SEKRET_abcdef0123456789"
    store.add_all([letter(1, raw=whole, reason="bad SEKRET_abcdef0123456789"), letter(2, raw=half)])
    second, first = store.letters()
    assert b"SEKRET" not in first.raw + second.raw
    assert "SEKRET" not in first.reason
    assert len(second.raw) == RAW_BYTES


def test_attempts_pause_ever_longer_and_end(store: DeadLetters):
    """Due after a minute, then later each time; after the last attempt it waits for a person."""
    store.add(letter(), at=NOW)
    assert store.due(NOW) == []
    (due,) = store.due(NOW + dt.timedelta(minutes=1))
    first = store.note_failure(due.id, "still no JSON", at=NOW)
    second = store.note_failure(due.id, "still no JSON", at=NOW)
    assert first.next_at is not None
    assert second.next_at is not None
    assert second.next_at - NOW > (first.next_at - NOW) * 1.5
    last = store.note_failure(due.id, "still no JSON", at=NOW)
    assert (last.attempts, last.next_at, last.state) == (3, None, "open")
    assert store.due(NOW + dt.timedelta(days=365)) == []
    assert store.note_replayed([due.id], note="by hand") == 1
    assert store.get(due.id).state == "replayed"


def test_a_failure_of_what_is_closed_changes_nothing(store: DeadLetters):
    """A retry that was under way when a person dropped the letter."""
    store.add(letter(), at=NOW)
    (found,) = store.letters()
    store.drop([found.id], reason="known")
    assert store.note_failure(found.id, "again", at=NOW).attempts == 0
    assert store.note_replayed([found.id]) == 0


def test_a_segment_that_does_not_land_is_held_back_until_its_time(store: DeadLetters):
    """It is not tried at every landing: paused, then given up, then landed by hand after all."""
    assert store.note_not_landed(SEGMENT, "no space", at=NOW).attempts == 1
    assert store.held_back(NOW) == {SEGMENT}
    assert store.held_back(NOW + dt.timedelta(minutes=3)) == frozenset()
    for _ in range(2):
        given_up = store.note_not_landed(SEGMENT, "still no space", at=NOW)
    assert (given_up.is_whole_segment, given_up.next_at, given_up.reason) == (True, None, "still no space")
    assert store.held_back(NOW + dt.timedelta(days=365)) == {SEGMENT}
    assert store.note_landed([SEGMENT, "coinbase-0/000000000099"]) == 1
    assert store.held_back(NOW) == frozenset()


def test_a_dropped_segment_stays_held_back(store: DeadLetters):
    """A person gave it up: nothing tries to land it again."""
    found = store.note_not_landed(SEGMENT, "damaged", at=NOW)
    store.drop([found.id], reason="its disk died")
    assert store.held_back(NOW + dt.timedelta(days=365)) == {SEGMENT}


def test_a_damaged_segment_is_not_held_back(store: DeadLetters):
    """What was readable of it landed; the letter about the rest stays open."""
    store.add(NewLetter(segment=SEGMENT, cause=Cause.DAMAGED, reason="a flipped bit at 4096"), at=NOW)
    assert store.note_landed([SEGMENT]) == 0
    assert store.held_back(NOW) == frozenset()
    assert [found.cause for found in store.letters()] == ["damaged"]
    assert store.due(NOW + dt.timedelta(days=365)) == [], "it stays damaged, however often it is read"


def test_an_unknown_id_is_refused(store: DeadLetters):
    """With a word on where to find one."""
    with pytest.raises(UsageError, match="no dead letter 7"):
        store.get(7)
    with pytest.raises(UsageError):
        store.drop([7], reason="?")


def test_letters_are_chosen_by_state_and_cause(store: DeadLetters):
    """The newest first, as many as asked for."""
    store.add_all([letter(1), letter(2), letter(3, cause=Cause.UNSTORABLE)])
    assert [found.frame for found in store.letters(cause=Cause.UNDECODABLE)] == [2, 1]
    assert [found.frame for found in store.letters(limit=1)] == [3]
    assert store.letters(state=LetterState.REPLAYED) == []


def test_a_file_that_is_no_database_says_what_to_do(tmp_path: Path):
    """It is no data: the message says that it may be moved away."""
    path = tmp_path / "deadletters.sqlite"
    path.write_bytes(b"this is not a database, it is a poem" * 100)
    with pytest.raises(StorageFailed, match="move the file away"):
        DeadLetters(path).letters()


def _add_many(path: Path, first: int) -> None:
    DeadLetters(path).add_all([letter(frame) for frame in range(first, first + 50)])


def test_processes_add_at_the_same_time(tmp_path: Path):
    """Two of them, overlapping: every reference once."""
    path = tmp_path / "deadletters.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(path, first)) for first in (0, 25)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(found.frame for found in DeadLetters(path).letters()) == list(range(75))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=30).map(sorted),
        max_size=4,
    )
)
def test_every_frame_is_either_kept_or_counted_beyond(tmp_path_factory: pytest.TempPathFactory, landings):
    """However often segments are gone through again, in order, the sum is right."""
    store = DeadLetters(tmp_path_factory.mktemp("letters") / "deadletters.sqlite", limit=5)
    seen: set[tuple[int, int]] = set()
    for found in landings:
        seen.update(found)
        in_order = sorted(seen)  # a segment is gone through whole: what was there before is there again
        store.add_all([letter(frame, offset=4096 * (offset + 1)) for offset, frame in in_order])
    count = store.counts().get(Cause.UNDECODABLE)
    assert (count.open if count else 0) == min(len(seen), 5)
