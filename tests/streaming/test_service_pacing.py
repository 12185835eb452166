"""Time: pauses between attempts, clocks that step, hours that begin and end, channels that fall silent."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.providers.live import Subscription
from mdc_streaming.asking import Asked
from mdc_streaming.channels import ChannelWatch
from mdc_streaming.clock import ClockWatch
from mdc_streaming.hours import Hours
from mdc_streaming.pacing import Backoff, Timing
from tests.streaming.capturing import home_at

_BTC = Subscription(Dataset.TRADES, Symbol("COINBASE:BTC-USD"))
_ETH = Subscription(Dataset.TRADES, Symbol("COINBASE:ETH-USD"))


def test_pauses_double_up_to_their_cap_and_begin_anew() -> None:
    """With the jitter at its top: 1, 2, 4, 8, 8 ... and 1 again once a connection has lived."""
    backoff = Backoff(1.0, 8.0, random_unit=lambda: 1.0)
    assert [backoff.failed() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    backoff.settled()
    assert backoff.failed() == 1.0


def test_pauses_are_fully_jittered_and_never_nothing() -> None:
    """Spread over the whole range, so that many clients do not come at once; never a hot loop."""
    backoff = Backoff(1.0, 60.0, random_unit=random.Random(7).random)
    found = [backoff.failed() for _ in range(1000)][10:]
    assert min(found) >= 0.1
    assert min(found) < 6
    assert 54 < max(found) <= 60
    assert len(set(found)) == len(found)


def test_a_minute_of_failures_is_a_bounded_number_of_attempts() -> None:
    """With the default settings a server that always fails is asked at most 20 times in a minute."""
    for seed in range(50):
        backoff = Backoff(1.0, 60.0, random_unit=random.Random(seed).random)
        passed, attempts = 0.0, 0
        while passed < 60:
            passed += backoff.failed()
            attempts += 1
        assert attempts <= 20


class _Clocks:
    def __init__(self) -> None:
        self.wall = 1_000_000_000_000_000_000
        self.steady = 5_000_000_000

    def passes(self, seconds: float, *, wall: float | None = None) -> None:
        self.steady += round(seconds * 1e9)
        self.wall += round((seconds if wall is None else wall) * 1e9)


@pytest.mark.parametrize(
    ("steady", "wall", "stepped", "stalled"),
    [
        (1.0, 1.0, 0.0, 1.0),
        (1.0, 1.9, 0.0, 1.0),
        (1.0, 601.0, 600.0, 601.0),
        (1.0, -604_799.0, -604_800.0, 1.0),
        (600.0, 600.0, 0.0, 600.0),
    ],
    ids=["nothing", "slewed", "suspended", "set back a week", "stopped"],
)
def test_a_step_of_the_wall_clock_is_told(steady: float, wall: float, stepped: float, stalled: float) -> None:
    """More than a second against the monotonic clock; a standstill is told by either."""
    clocks = _Clocks()
    watch = ClockWatch(wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    clocks.passes(steady, wall=wall)
    seen = watch.look()
    assert (seen.stepped_ns / 1e9, seen.stalled_seconds) == pytest.approx((stepped, stalled))
    clocks.passes(1.0)
    assert watch.look().stepped_ns == 0, "a step is told once"


def test_slewing_adds_up_to_a_step() -> None:
    """A clock that is slowed for long is a second off in the end, and that is told."""
    clocks = _Clocks()
    watch = ClockWatch(wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    steps = []
    for _ in range(30):
        clocks.passes(1.0, wall=1.1)
        steps.append(watch.look().stepped_ns)
    assert sum(1 for step in steps if step) == 2


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("mode", "instant", "is_open", "until"),
    [
        ("extended", "2026-11-20T08:59:59Z", False, "2026-11-20T09:00:00Z"),
        ("extended", "2026-11-20T09:00:00Z", True, "2026-11-21T01:00:00Z"),
        ("extended", "2026-11-21T01:00:00Z", False, None),
        ("extended", "2026-07-02T08:00:00Z", True, "2026-07-03T00:00:00Z"),
        ("regular", "2026-11-20T14:29:59Z", False, "2026-11-20T14:30:00Z"),
        ("regular", "2026-11-20T14:30:00Z", True, "2026-11-20T21:00:00Z"),
        ("regular", "2026-11-27T17:59:00Z", True, "2026-11-27T18:00:00Z"),
        ("regular", "2026-11-27T18:00:00Z", False, None),
        ("regular", "2026-11-26T16:00:00Z", False, "2026-11-27T14:30:00Z"),
        ("extended", "2026-03-09T08:00:00Z", True, "2026-03-10T00:00:00Z"),
        ("extended", "2026-03-06T08:59:00Z", False, "2026-03-06T09:00:00Z"),
        ("always", "2026-11-21T12:00:00Z", True, None),
    ],
)
def test_hours_follow_the_exchange(
    tmp_path: Path, mode: str, instant: str, is_open: bool, until: str | None
) -> None:
    """04:00 to 20:00 or open to close, local time: half days, Thanksgiving, both sides of a DST change."""
    hours = Hours.of(home_at(tmp_path, ""), mode)
    found, edge = hours.at(_instant(instant))
    assert found is is_open
    assert edge == (_instant(until) if until else _instant(instant) + dt.timedelta(days=1))


def test_a_date_beyond_the_calendar_is_not_taken_for_closed(tmp_path: Path) -> None:
    """What is not known is captured rather than missed."""
    hours = Hours.of(home_at(tmp_path, ""), "regular")
    assert hours.calendar is not None
    beyond = dt.datetime.combine(hours.calendar.last_known + dt.timedelta(days=2), dt.time(12), UTC)
    assert hours.at(beyond)[0] is True


def test_a_home_of_coins_never_closes(tmp_path: Path) -> None:
    """A default universe of 24/7 has no edges."""
    home = home_at(tmp_path, '[ingest]\ndefault_universe = "c"\n[universes.c]\ncalendar = "24/7"\n')
    assert Hours.of(home, "regular").calendar is None


def test_a_channel_that_fell_silent_is_suspected_ever_more_seldom() -> None:
    """Only one that had spoken; each suspicion doubles the patience, an event ends it."""
    watch = ChannelWatch()
    assert watch.look("coinbase", {"trades": 5, "quotes": 1}, 10.0, 0.0) == ()
    assert watch.look("coinbase", {"trades": 5, "quotes": 2}, 10.0, 11.0) == ("trades",)
    assert watch.look("coinbase", {"trades": 5, "quotes": 3}, 10.0, 22.0) == ()
    assert watch.look("coinbase", {"trades": 5, "quotes": 4}, 10.0, 32.0) == ("trades",)
    assert watch.look("coinbase", {"trades": 6, "quotes": 5}, 10.0, 60.0) == ()
    assert watch.look("coinbase", {"trades": 6, "quotes": 6}, 10.0, 71.0) == ("trades",)


def test_a_closed_market_is_no_silent_channel() -> None:
    """Outside its hours a feed is forgiven."""
    watch = ChannelWatch()
    watch.look("alpaca", {"trades": 5}, 10.0, 0.0)
    watch.forgive("alpaca", 1000.0)
    assert watch.look("alpaca", {"trades": 5}, 10.0, 1005.0) == ()


def test_what_is_not_answered_is_asked_for_again_after_growing_pauses() -> None:
    """Unanswered and refused ones stay visible, and come due; what is confirmed does not."""
    asked = Asked(Timing(confirm=0.0, ask_again=0.0))
    asked.ask([_BTC, _ETH])
    asked.confirm([_BTC])
    moment = _later()
    assert asked.expire(moment) == {_ETH}
    assert asked.unanswered == {_ETH}
    assert asked.due(_later()) == {_ETH}
    assert asked.waiting.keys() == {_ETH}
    asked.refuse(_ETH, "no such product")
    assert asked.as_dict()["refused"] == {"trades COINBASE:ETH-USD": "no such product"}
    assert asked.all == {_BTC, _ETH}


def test_what_the_server_ended_by_itself_is_asked_for_again_later() -> None:
    """Ended and still wanted: not at once, which would be a hot loop with a server that ends it again."""
    asked = Asked(Timing(ask_again=60.0))
    asked.ask([_BTC, _ETH])
    asked.confirm([_BTC, _ETH])
    asked.end([_BTC, _ETH], frozenset({_BTC}))
    assert asked.unanswered == {_BTC}
    assert asked.all == {_BTC}
    assert not asked.due(_later())


def _later() -> float:
    import time

    return time.monotonic() + 0.001
