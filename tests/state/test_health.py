"""Recent answers: a bounded memory of how each provider did, in both databases."""

from __future__ import annotations

from mdc_resources.config import Home
from mdc_resources.state import Sample, State
from mdc_resources.state.health import KEPT


def sample(number: int, provider: str = "yahoo", *, ok: bool = True) -> Sample:
    """A request that took as many milliseconds as its number."""
    return Sample(provider, 1_700_000_000.0 + number, float(number), ok)


def test_answers_come_back_newest_first_per_provider(home: Home) -> None:
    """Whatever the order of their batches."""
    with State.open(home) as state:
        state.note_answers([sample(1), sample(2, "stooq", ok=False)])
        state.note_answers([sample(3)])
        found = state.answers()
    assert found == {"yahoo": [sample(3), sample(1)], "stooq": [sample(2, "stooq", ok=False)]}


def test_only_the_newest_of_each_provider_are_kept(home: Home) -> None:
    """Exactly 200 stay, and a busy provider does not push out a quiet one."""
    with State.open(home) as state:
        state.note_answers([sample(0, "stooq")])
        for start in range(0, 2 * KEPT + 50, 50):
            state.note_answers([sample(number) for number in range(start, start + 50)])
        found = state.answers()
    assert [s.milliseconds for s in found["yahoo"]] == [float(n) for n in range(2 * KEPT + 49, KEPT + 49, -1)]
    assert len(found["stooq"]) == 1


def test_nothing_noted_is_nothing_written(home: Home) -> None:
    """An empty batch is fine."""
    with State.open(home) as state:
        state.note_answers([])
        assert state.answers() == {}


def test_the_memory_outlives_the_process_that_wrote_it(home: Home) -> None:
    """Another opening reads it."""
    with State.open(home) as state:
        state.note_answers([sample(7)])
    with State.open(home) as state:
        assert state.answers() == {"yahoo": [sample(7)]}
