"""``mdc doctor`` and a clock that jumped: a finding, until a person says that the clock is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mdc_resources import config
from mdc_resources.domain.errors import ClockJumped
from mdc_resources.state import Reading, State


def leave_mark(mdc, *, seconds):
    """This machine was last seen with a clock that many seconds ahead of the present one."""
    seen = Reading.now()
    with State.open(config.load(mdc.toml)) as state:
        state.check_clock(reading=replace(seen, wall=seen.wall + seconds))


@pytest.mark.parametrize(("seconds", "words"), [(86_400 * 7, "behind"), (-86_400 * 400, "ahead")])
def test_a_jump_is_an_error_until_it_is_accepted(mdc, seconds, words):
    """It says how far and how to go on; looking does not accept it, the option does."""
    leave_mark(mdc, seconds=seconds)
    for _ in range(2):
        ran = mdc("doctor", "--json")
        (found,) = [finding for finding in ran.json["findings"] if finding["level"] != "ok"]
        assert (ran.code, found["check"], found["level"]) == (1, "clock", "error")
        assert words in found["message"]
        assert "--accept-clock" in found["hint"]
    with State.open(config.load(mdc.toml)) as state, pytest.raises(ClockJumped):
        state.check_clock()
    accepted = mdc("doctor", "--accept-clock")
    assert accepted.code == 0, accepted.err
    assert "taken to be right" in accepted.err
    with State.open(config.load(mdc.toml)) as state:
        state.check_clock()


def test_a_clock_nobody_looked_at_yet_is_fine(mdc):
    """A new home has no mark, and the doctor leaves none."""
    assert mdc("doctor", "--json").json["healthy"]
    leave_mark(mdc, seconds=86_400 * 7)
