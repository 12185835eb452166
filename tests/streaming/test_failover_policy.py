"""The rule of a failover as a state machine: what it answers to what it is told. Times are handed in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mdc_resources.config.sections import StreamSettings
from mdc_resources.domain.errors import ConfigError
from mdc_streaming.failover import FailoverPolicy, FailoverRule, Probe, Switch

RULE = FailoverRule(
    primary="kraken",
    backups=("kraken-v1", "third"),
    silence=30,
    errors=3,
    lag=10,
    probe=60,
    minimum=30,
    steady=120,
)


def policy() -> FailoverPolicy:
    """One that began at 0 with the primary."""
    return FailoverPolicy(RULE)


def failed_over(at: float = 31.0) -> FailoverPolicy:
    """One whose primary fell silent."""
    found = policy()
    assert isinstance(found.decide(at), Switch)
    return found


def test_a_healthy_primary_is_left_alone():
    """A frame now and then: nothing to decide, nobody is probed."""
    found = policy()
    for second in range(0, 3_600, 20):
        found.frame("kraken", second)
        assert found.decide(second) is None


def test_silence_switches_to_the_first_backup():
    """After thirty seconds without a frame, and not before."""
    found = policy()
    found.frame("kraken", 10)
    assert found.decide(40) is None
    assert found.decide(40.5) == Switch("kraken", "kraken-v1", "silent for 30 s")
    assert found.active == "kraken-v1"


def test_errors_in_a_row_switch():
    """A connection that works in between begins the count anew."""
    found = policy()
    for second in (1, 2):
        found.failed("kraken", second)
    found.connected("kraken", 3)
    for second in (31, 32, 33):
        found.frame("kraken", second)
        assert found.decide(second) is None
        found.failed("kraken", second)
    assert found.decide(34) == Switch("kraken", "kraken-v1", "3 connections failed in a row")


def test_lag_switches_only_when_it_lasts():
    """One late minute is a burst; half a minute on end is a failing feed. A clock ahead is no lag."""
    found = policy()
    for second in range(0, 200, 5):
        found.frame("kraken", second)
        found.lag("kraken", 60.0 if second % 25 else -0.005, second)
        assert found.decide(second) is None
    for second in range(200, 206):
        found.frame("kraken", second)
        found.lag("kraken", 60.0, second)
        assert found.decide(second) is None
    found.frame("kraken", 211)
    assert found.decide(211) == Switch("kraken", "kraken-v1", "more than 10 s late for 31 s")


def test_a_feed_is_not_left_before_its_minimum():
    """Errors in the first second do not send it round all backups at once."""
    found = failed_over(31)
    for _ in range(9):
        found.failed("kraken-v1", 32)
    assert found.decide(33) is None
    assert found.decide(60.9) is None
    assert found.decide(61) == Switch("kraken-v1", "third", "9 connections failed in a row")


def test_recovery_is_probed_and_must_last():
    """Good probes over two minutes bring the primary back; one bad one begins anew."""
    found = failed_over(31)
    said = []
    for second in range(32, 600):
        found.frame("kraken-v1", second)
        answer = found.decide(second)
        if answer is None:
            continue
        said.append((second, answer))
        if isinstance(answer, Switch):
            break
        found.probed(answer.feed, second, ok=second != 151)
    assert said == [
        (91, Probe("kraken")),
        (151, Probe("kraken")),
        (211, Probe("kraken")),
        (271, Probe("kraken")),
        (331, Probe("kraken")),
        (332, Switch("kraken-v1", "kraken", "recovered")),
    ]


def test_a_recovery_that_does_not_last_is_trusted_less_each_time():
    """A primary that answers probes and then says nothing: the stays on the backup double."""
    found = policy()
    switches: list[float] = []
    for second in range(20_000):
        if found.active != "kraken":
            found.frame(found.active, second)
        answer = found.decide(second)
        if isinstance(answer, Probe):
            found.probed(answer.feed, second, ok=True)
        elif answer:
            switches.append(second)
    stays = [back - left for left, back in zip(switches[::2], switches[1::2], strict=False)]
    assert stays[:5] == [181, 301, 541, 1021, 1981]
    assert len(switches) < 20


def test_good_probes_of_long_ago_do_not_count():
    """Nothing was heard of the probes since: the primary is not trusted blindly."""
    found = failed_over(31)
    for second in (40, 100, 160):
        found.probed("kraken", second, ok=True)
    found.frame("kraken-v1", 400)
    assert found.decide(400) == Probe("kraken")


def test_a_failing_feed_is_never_the_target_while_another_is_good():
    """The first backup was found dead: the second one is taken."""
    found = policy()
    found.probed("kraken-v1", 5, ok=False)
    assert found.decide(31) == Switch("kraken", "third", "silent for 31 s")


def test_all_failing_stays_and_probes_each_once_an_interval():
    """Nowhere to go: it keeps its feed, asks the others in turn, and takes the first that answers."""
    found = policy()
    for name in ("kraken-v1", "third"):
        found.probed(name, 1, ok=False)
    answers = [found.decide(second) for second in range(31, 91)]
    assert answers[:2] == [Probe("kraken-v1"), Probe("third")]
    assert answers[2:] == [None] * 58
    found.probed("third", 92, ok=True)
    assert found.decide(92) == Switch("kraken", "third", "silent for 92 s")


def test_a_feed_that_comes_back_by_itself_is_kept():
    """With no good backup the primary's own recovery ends the matter."""
    found = policy()
    for name in ("kraken-v1", "third"):
        found.probed(name, 1, ok=False)
    assert isinstance(found.decide(40), Probe)
    found.connected("kraken", 41)
    found.frame("kraken", 42)
    assert found.decide(43) is None
    assert found.active == "kraken"


def test_outside_the_hours_silence_is_no_failure():
    """A night without a frame decides nothing, and the morning begins with fresh clocks."""
    found = policy()
    found.pause()
    assert found.decide(50_000) is None
    found.resume(50_000)
    assert found.decide(50_029) is None
    assert isinstance(found.decide(50_031), Switch)


def test_a_clock_that_goes_back_is_survived():
    """Instants earlier than what was said count as that."""
    found = policy()
    found.frame("kraken", 100)
    found.frame("kraken", 20)
    assert found.decide(5) is None
    assert isinstance(found.decide(131), Switch)


def test_the_rule_is_made_from_the_settings():
    """``[stream.kraken]`` says who stands in, and when."""
    made = FailoverRule.of(
        "kraken",
        StreamSettings(backups=("kraken-v1",), failover_silence="5s", failover_lag="2s", probe="10s"),
    )
    assert made.feeds == ("kraken", "kraken-v1")
    assert (made.silence, made.lag, made.probe, made.errors) == (5.0, 2.0, 10.0, 5)


def test_a_feed_does_not_stand_in_for_itself():
    """It is refused when the rule is made, with its key."""
    with pytest.raises(ConfigError) as caught:
        FailoverRule(primary="kraken", backups=("kraken",))
    assert caught.value.key == "stream.kraken.backups"


def test_status_names_the_active_feed():
    """What /status shows."""
    assert failed_over().as_dict() == {
        "primary": "kraken",
        "active": "kraken-v1",
        "failing": ["kraken"],
        "paused": False,
    }


class Failover(RuleBasedStateMachine):
    """Feeds that come and go at random; whatever they do, the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = FailoverPolicy(RULE)
        self.now = 0.0
        self.well = dict.fromkeys(RULE.feeds, True)
        self.circuit = dict.fromkeys(RULE.feeds, False)  # our own account of whose circuit is failing
        self.switches: list[tuple[float, Switch]] = []
        self.probes: dict[str, list[float]] = {name: [] for name in RULE.feeds}

    @rule(name=st.sampled_from(RULE.feeds), well=st.booleans())
    def changes(self, name: str, well: bool) -> None:
        """A vendor breaks down, or recovers."""
        self.well[name] = well

    @rule(seconds=st.integers(1, 200), step=st.sampled_from([1, 5, 20]))
    def passes(self, seconds: int, step: int) -> None:
        """Time passes; the active feed is heard if it is well, and all is decided as the service would."""
        for _ in range(0, seconds, step):
            self.now += step
            if self.well[self.policy.active]:
                self.policy.frame(self.policy.active, self.now)
            else:
                self.policy.failed(self.policy.active, self.now)
            self.decide()

    @rule(seconds=st.floats(0, 60), lag=st.floats(-1, 100))
    def lags(self, seconds: float, lag: float) -> None:
        """What arrives is late."""
        self.policy.lag(self.policy.active, lag, self.now)
        self.now += seconds
        self.decide()

    @precondition(lambda self: any(self.well.values()))
    @rule()
    def calm(self) -> None:
        """Nothing changes for an hour: it comes to rest on the best feed that is well, and stays."""
        best = next(name for name in RULE.feeds if self.well[name])
        self.policy.lag(self.policy.active, 0.0, self.now)
        for _ in range(720):
            self.passes(5, 5)
        assert self.policy.active == best
        before = len(self.switches)
        for _ in range(100):
            self.passes(5, 5)
        assert len(self.switches) == before

    def decide(self) -> None:
        """Ask until there is nothing more to do: that ends."""
        for _ in range(2 * len(RULE.feeds)):
            answer = self.policy.decide(self.now)
            if answer is None:
                return
            if isinstance(answer, Probe):
                assert answer.feed != self.policy.active
                self.probes[answer.feed].append(self.now)
                self.circuit[answer.feed] = not self.well[answer.feed]
                self.policy.probed(answer.feed, self.now, ok=self.well[answer.feed])
                continue
            assert not self.circuit[answer.target], "its circuit is failing"
            assert answer.source != answer.target == self.policy.active
            if answer.reason != "recovered":
                self.circuit[answer.source] = True
            self.switches.append((self.now, answer))
        raise AssertionError("it does not come to an end")

    @invariant()
    def switches_are_apart(self) -> None:
        """It does not flap: a feed is kept for its minimum."""
        assert all(later - earlier >= RULE.minimum for (earlier, _), (later, _) in pairwise(self.switches))

    @invariant()
    def probes_are_apart(self) -> None:
        """Nobody is probed more often than once an interval."""
        for found in self.probes.values():
            assert all(later - earlier >= RULE.probe for earlier, later in pairwise(found))

    @invariant()
    def better_feeds_were_steady(self) -> None:
        """Back to a better feed only after probes that were good for two minutes."""
        for at, switch in self.switches:
            if switch.reason == "recovered":
                asked = [when for when in self.probes[switch.target] if when <= at]
                assert len(asked) >= 3
                assert asked[-1] - asked[-3] >= RULE.steady


TestFailoverMachine = Failover.TestCase
TestFailoverMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
