"""The wall clock is believed while it moves as time does; injected clocks, no waiting."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.errors import ClockJumped, LakeError
from mdc_resources.state import Reading, State

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
START = Reading("here", "boot-1", dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC).timestamp(), 5000.0)


def later(seconds: float, *, wall: float = 0.0, boot: str = "boot-1", host: str = "here") -> Reading:
    """``seconds`` of real time after the start; the wall clock ``wall`` seconds off."""
    return Reading(host, boot, START.wall + seconds + wall, START.boottime + seconds)


def test_a_clock_that_runs_is_believed(state: State) -> None:
    """Minutes, days and a suspended night within one boot; small steps in both directions."""
    for seconds, off in (
        (0, 0),
        (60, 0),
        (3 * DAY, 30),
        (3 * DAY + 60, -9 * MINUTE),
        (90 * DAY, -9 * MINUTE),
    ):
        state.check_clock(reading=later(seconds, wall=off))


@pytest.mark.parametrize("jump", [11 * MINUTE, -11 * MINUTE, 400 * DAY, -7 * DAY])
def test_a_jump_within_a_boot_is_refused(state: State, jump: float) -> None:
    """Whatever the direction; it is a lake error that says what was seen and how to go on."""
    state.check_clock(reading=START)
    with pytest.raises(ClockJumped, match="clock") as caught:
        state.check_clock(reading=later(60, wall=jump))
    assert isinstance(caught.value, LakeError)
    assert caught.value.seconds == pytest.approx(jump, abs=61)
    assert ("ahead" if jump > 0 else "behind") in caught.value.message
    assert "--accept-clock" in caught.value.hint


def test_a_refused_check_moves_no_mark(state: State) -> None:
    """Asking again does not make a jump true; the clock set right again is believed at once."""
    state.check_clock(reading=START)
    for _ in range(3):
        with pytest.raises(ClockJumped):
            state.check_clock(reading=later(60, wall=400 * DAY))
    state.check_clock(reading=later(120))


def test_accepting_goes_on_from_the_present_clock(state: State) -> None:
    """Forward or back: what a person accepts is the new measure."""
    state.check_clock(reading=START)
    back = later(60, wall=-7 * DAY)
    with pytest.raises(ClockJumped):
        state.check_clock(reading=back)
    state.accept_clock(reading=back)
    state.check_clock(reading=replace(back, wall=back.wall + 60, boottime=back.boottime + 60))
    with pytest.raises(ClockJumped):
        state.check_clock(reading=later(180))


@pytest.mark.parametrize(("off", "fine"), [(10 * DAY, True), (44 * DAY, True), (46 * DAY, False)])
def test_across_boots_a_machine_may_have_been_off_for_weeks(state: State, off: float, fine: bool) -> None:
    """Not for 46 days without somebody confirming it."""
    state.check_clock(reading=START)
    booted = Reading("here", "boot-2", START.wall + off, 30.0)
    if fine:
        state.check_clock(reading=booted)
    else:
        with pytest.raises(ClockJumped, match="before the last boot"):
            state.check_clock(reading=booted)


def test_across_boots_the_clock_does_not_run_back(state: State) -> None:
    """A dead battery: the machine wakes up in the past."""
    state.check_clock(reading=later(DAY))
    with pytest.raises(ClockJumped, match="behind"):
        state.check_clock(reading=Reading("here", "boot-2", START.wall, 30.0))


def test_creeping_back_is_noticed(state: State) -> None:
    """Nine minutes at a time, each allowed by itself: the highest clock seen counts."""
    state.check_clock(reading=START)
    state.check_clock(reading=later(60, wall=-9 * MINUTE))
    with pytest.raises(ClockJumped):
        state.check_clock(reading=later(120, wall=-18 * MINUTE))


def test_each_host_has_its_own_boot(state: State) -> None:
    """Two machines with one state do not look like reboots of each other."""
    state.check_clock(reading=START)
    for seconds in (60.0, 120.0, 180.0):
        state.check_clock(reading=Reading("there", "boot-9", START.wall + seconds, 99_000.0 + seconds))
        state.check_clock(reading=later(seconds + 10))
    with pytest.raises(ClockJumped):
        state.check_clock(reading=later(200, wall=HOUR))


def test_this_machine_is_believed(home: Home) -> None:
    """The real clocks, twice, over a restart of the process's state."""
    for _ in range(2):
        with State.open(home) as state:
            state.check_clock()
            state.check_clock(dt.datetime.now(dt.UTC))


def test_an_instant_may_stand_in_for_the_wall_clock(state: State) -> None:
    """What a caller takes for the present is held against this machine's seconds since boot."""
    at = dt.datetime.now(dt.UTC)
    state.check_clock(at)
    with pytest.raises(ClockJumped):
        state.check_clock(at + dt.timedelta(days=1))
