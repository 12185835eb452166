"""However a log is cut, and in whatever order its segments are landed: the same rows, the same holes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from captured import (
    DEPTH,
    NOON,
    QUOTES,
    SECOND,
    TRADES,
    Log,
    crypto_home,
    land_all,
    match,
    opened,
    segments,
    snapshot,
    ticker,
    update,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.schema.arrow import TRADES as TRADES_SCHEMA
from mdc_resources.wal import marks

TRADE_ID = TRADES_SCHEMA.get_field_index("trade_id")
PAIRS = (TRADES, DEPTH, QUOTES)
ACTIONS = ("event", "event", "event", "repeat", "open", "close", "crash", "refuse", "unwant", "hole")


class Step(NamedTuple):
    """Something that happens ``seconds`` after the step before; ``cut`` ends a segment after it."""

    action: str
    seconds: int
    pick: int
    cut: bool


STEPS = st.lists(
    st.builds(Step, st.sampled_from(ACTIONS), st.integers(1, 2000), st.integers(0, 7), st.booleans()),
    min_size=3,
    max_size=25,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to be copied: making a lake takes longer than landing."""
    root = tmp_path_factory.mktemp("template") / "home"
    crypto_home(root)
    return root


class Market:
    """Plays steps into a log: connections that overlap, repeat themselves, die, and are cut off."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.at = NOON
        self.heard = 0
        self.connection = 0
        self.trade = 0
        self.times: dict[int, int] = {}
        self.open: list[int] = []
        self.wanted = True

    def play(self, steps: Sequence[Step], *, cut: bool) -> None:
        """All of ``steps``; with ``cut`` in segments."""
        self.log.start(self.at, *PAIRS)
        self.join()
        for step in steps:
            self.at += step.seconds * SECOND
            getattr(self, step.action)(step.pick)
            self.heard = self.at
            if step.cut and cut:
                self.log.cut(self.at)
        self.at += SECOND
        self.log.mark(self.at, marks.Stopped("drained"))

    def join(self) -> None:
        """A new connection: its book's snapshot comes before the mark that says it is confirmed."""
        self.connection += 1
        self.log.open(self.at, self.connection)
        self.log.frames(self.at, self.connection, snapshot([("100", "1"), ("99", "2")], [("101", "1")]))
        self.log.mark(self.at, marks.Confirmed(PAIRS), self.connection)
        self.open.append(self.connection)

    def event(self, pick: int) -> None:
        """A trade, a change of the book and a quote on every connection, not quite at the same time."""
        self.trade += 1
        self.times[self.trade] = self.at
        for late, connection in enumerate(self.open):
            self.log.frames(
                self.at + late,
                connection,
                match(self.at, self.trade),
                update(self.at, ("buy", str(100 - pick), str(pick)), ("sell", str(101 + pick), "1")),
                ticker(self.at, self.trade, "100", "101"),
            )

    def repeat(self, pick: int) -> None:
        """A connection tells its last trades once more."""
        if self.open:
            numbers = range(max(1, self.trade - pick), self.trade + 1)
            told = [match(self.times[number], number) for number in numbers]
            self.log.frames(self.at, self.open[pick % len(self.open)], b'{"type":"heartbeat"}', *told)

    def close(self, pick: int) -> None:
        """A connection ends; the service notices some time after it was last heard."""
        if self.open:
            self.log.close(self.at, self.open.pop(pick % len(self.open)))

    def crash(self, _: int) -> None:
        """The process dies and comes back."""
        self.open.clear()
        self.log.start(self.at, *(PAIRS if self.wanted else ()), last_ns=self.heard or NOON)

    def refuse(self, pick: int) -> None:
        """The server refuses one of the pairs on a connection."""
        if self.open:
            self.log.mark(self.at, marks.Refused((PAIRS[pick % 3],), "no"), self.open[-1])

    def unwant(self, _: int) -> None:
        """The hours end, or begin again."""
        self.wanted = not self.wanted
        self.log.mark(self.at, marks.Wanted(PAIRS if self.wanted else ()))

    def hole(self, _: int) -> None:
        """Another connection joins."""
        self.join()


def played(root: Path, template: Path, steps: Sequence[Step], *, cut: bool) -> Home:
    """A home with the log of ``steps``."""
    shutil.copytree(template, root)
    home = config.load(root / "mdc.toml", environ={})
    log = Log(home)
    Market(log).play([s._replace(action="hole") if s.action == "open" else s for s in steps], cut=cut)
    log.end()
    return home


def picture(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """All that a reader can tell, the layout of files and the number of commits left out."""
    told = {
        **{
            name: f"SELECT * EXCLUDE (ts) FROM {name} ORDER BY ordinal"
            for name in ("trades", "quotes", "depth")
        },
        "holes": "SELECT dataset, hole_id, start_ns, end_ns, reason, state FROM holes ORDER BY ALL",
        "coverage": "SELECT dataset, state, reason, row_count, fingerprint FROM coverage ORDER BY ALL",
    }
    with opened(home) as lake, contextlib.closing(lake.connect()) as reader:
        assert lake.verify(deep=True) == []
        return {name: reader.execute(sql).fetchall() for name, sql in told.items()}


@pytest.mark.slow
@given(steps=STEPS, order=st.randoms(use_true_random=False), groups=st.integers(1, 4))
@settings(
    max_examples=int(os.environ.get("MDC_EXAMPLES", "6")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_cuts_and_orders_change_nothing(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[Step], order: object, groups: int
) -> None:
    """One segment landed at once, or many in any order and in several commits."""
    folder = tmp_path_factory.mktemp("case")
    whole = played(folder / "whole", template, steps, cut=False)
    land_all(whole)
    parts = played(folder / "parts", template, steps, cut=True)
    sealed = segments(parts)
    order.shuffle(sealed)  # type: ignore[attr-defined]
    for start in range(groups):
        land_all(parts, sealed[start::groups])
    found = picture(parts)
    assert found == picture(whole)
    names = [row[TRADE_ID] for row in found["trades"]]
    assert len(names) == len(set(names))
    shutil.rmtree(folder)
