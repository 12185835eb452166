"""A home that is filled, then damaged: what the end-to-end drills start from, and what they measure.

Forty symbols and two years of daily bars with their corporate actions, filled by the real backfill
from three dialects; one symbol delisted midway, one renamed, one session closed by override. Then a
seeded share of all partitions is lost, through the lake's own commit, and the event log still
believes in them: the repair has to come from the ledger.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mdc_assets.launch import REPORTER
from mdc_resources import config
from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage.expectation import Expectation, expect
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.coverage.listings import listings_of
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest import Want, backfill
from mdc_resources.ingest.planner import Holes, plan
from mdc_resources.ingest.scope import holes
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.providers.registry import load_providers
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import KEYS

DATASETS = (Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS)
NAMED = ("AAPL", "NVDA", "MSFT", "KO", "JNJ", "GE", "META", "SPLT", "HALT", "THIN", "GONE", "OLDN", "NEWN")
SYMBOLS = tuple(Symbol(name) for name in (*NAMED, *(f"PEER{n:02d}" for n in range(40 - len(NAMED)))))
DAYS = 730
SHARE = 0.05
LISTING_VERBS = (
    ("delist", "GONE", "2025-11-14"),
    ("rename", "OLDN", "NEWN", "2025-08-18"),
)

_CONFIG = """\
[lake]
sandbox = true

[sandbox]
port = {port}

[transport]
deadline_seconds = 10
breaker_open_seconds = 0.5

[universes.us]
calendar = "XNYS"
start = 2024-01-01

[schedule]                     # the drill measures the sensor's path alone
end_of_day = false
recheck = false
verify = false
reconcile = false
freshness = false
coverage_map = false

[ingest]
busy_wait_seconds = 20
batch_partitions = {batch}
"""
_RECOVERY = """
[recovery]
datasets = ["bars_1d", "corporate_actions"]
interval_seconds = 5
first_pause = "4s"
longest_pause = "20s"
max_attempts = 12
"""
_DATASET = """
[datasets.{name}]
settle = "{settle}"
max_partitions_per_run = {size}
"""
_PROVIDER = """
[providers.{name}]
base_url = "{url}"
rank = {rank}
limits = {{}}
"""
# The first asked is the one of single-symbol requests: then no failover needs more requests than it.
_RANKS = {"yahoo": 10, "stooq": 20, "alpaca": 30}


class Held(NamedTuple):
    """What the ledger says of one partition."""

    state: str
    source: str
    fingerprint: str
    rows: int

    @property
    def vendor(self) -> str:
        """The provider in the source ``sandbox:provider/feed``."""
        return self.source.removeprefix("sandbox:").partition("/")[0]


Content = dict[tuple[Dataset, PartitionKey], Held]


def write_home(
    root: Path,
    vendor: SandboxServer,
    *,
    providers: Iterable[str] = _RANKS,
    size: int = 500,
    batch: int = 5000,
    extra: str = "",
) -> Home:
    """``mdc.toml`` and the closure, and a lake where there is none.

    ``size`` is partitions per run, ``batch`` partitions per commit.
    """
    root.mkdir(parents=True, exist_ok=True)
    port = int(vendor.url.rpartition(":")[2])
    text = _CONFIG.format(port=port, batch=batch) + _RECOVERY
    for name in DATASETS:
        text += _DATASET.format(name=name, settle=_settle(), size=size)
    for name in providers:
        text += (
            f'\n[providers.{name}]\nbase_url = "{vendor.url}/{name}"\nrank = {_RANKS[name]}\nlimits = {{}}\n'
        )
    (root / config.FILE_NAME).write_text(text + extra, encoding="utf-8")
    home = config.load(root / config.FILE_NAME, environ=KEYS)
    if not home.lake_dir.exists():
        close_sessions(root, closures()[0])
        Lake.create(home.lake_dir, sandbox=True).close()
        state_listings(home)
    return home


def closures() -> tuple[dt.date, dt.date]:
    """Two ordinary sessions: one is closed before the fill, of the other that is learned later."""
    sessions = get_calendar("XNYS").sessions(*span_of())
    return sessions[-170], sessions[-130]


def close_sessions(root: Path, *sessions: dt.date) -> None:
    """Declare ``sessions`` closed, as a person does it."""
    closed = ", ".join(session.isoformat() for session in sessions)
    (root / "closures.toml").write_text(f"[XNYS]\nclosed = [{closed}]\n", encoding="utf-8")


def state_listings(home: Home) -> None:
    """Tell the home of the delisting and the rename, by the commands a person has for it."""
    for words in LISTING_VERBS:
        command = [sys.executable, "-m", "mdc_resources.cli.main", "symbols", *words]
        environ = {**os.environ, "MDC_CONFIG": str(home.config_file)}
        subprocess.run(command, env=environ, check=True, capture_output=True)


def _settle() -> str:
    """A settle delay under which no session becomes due while a drill runs."""
    today = get_calendar("XNYS").final_sessions
    here, soon = now(), now() + dt.timedelta(minutes=45)
    span = (here.date() - dt.timedelta(days=10), here.date())
    for hours in range(1, 24):
        settle = dt.timedelta(hours=hours)
        if today(*span, at=here, settle=settle) == today(*span, at=soon, settle=settle):
            return f"{hours}h"
    raise AssertionError("a session becomes due at every hour of the day")


def span_of() -> tuple[dt.date, dt.date]:
    """First and last session date of the drill, both included: two years up to today."""
    today = now().date()
    return today - dt.timedelta(days=DAYS), today


def fill(home: Home) -> None:
    """The real backfill, as a run of this process: data, and the events the web UI shows."""
    start, end = span_of()
    outcome = REPORTER.run(home, Want(Dataset.BARS_1D, SYMBOLS, start, end))
    assert outcome.retryable_missing == 0, outcome.errors
    assert outcome.counts[PartitionState.MISSING] == 0, outcome.counts


def fill_directly(home: Home) -> None:
    """The same without Dagster: what one vendor says of everything."""
    backfill(home, Want(Dataset.BARS_1D, SYMBOLS, *span_of()), run_id="reference")


def content(home: Home) -> Content:
    """Every partition of the ledger that is settled, after a deep verification of every stored row."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        assert lake.verify(deep=True) == []
        rows = connection.execute(
            "SELECT dataset, symbol, session, state, source, fingerprint, row_count FROM coverage"
        ).fetchall()
        for dataset in DATASETS:
            keys = "symbol, session" + (", kind, ex_date" if dataset is Dataset.CORPORATE_ACTIONS else "")
            table = "bars_1d_stored" if dataset.is_bars else dataset.value
            twice = f"SELECT {keys} FROM {table} GROUP BY ALL HAVING count(*) > 1"
            assert connection.execute(twice).fetchall() == [], f"duplicate rows of {dataset}"
    return {
        (Dataset(dataset), PartitionKey(Symbol(symbol), session)): Held(state, source, fingerprint, count)
        for dataset, symbol, session, state, source, fingerprint, count in rows
        if dataset in DATASETS
    }


def untrue(held: Content, told_by: Callable[[str], Content]) -> list[tuple[Dataset, PartitionKey]]:
    """Partitions whose content is not what their own source says of them in calm weather.

    Vendors differ (rounding, basis), so content is compared with that of the vendor who gave it.
    """
    return [
        at
        for at, one in held.items()
        if one.fingerprint and told_by(one.vendor)[at].fingerprint != one.fingerprint
    ]


@dataclass(frozen=True, slots=True)
class Loss:
    """Partitions that were lost, and what the ledger said of them before."""

    keys: Mapping[Dataset, frozenset[PartitionKey]]
    before: Content
    seed: int

    @property
    def count(self) -> int:
        """How many partitions were lost."""
        return sum(len(keys) for keys in self.keys.values())

    def minimum(self, calendar: Calendar) -> int:
        """Requests that the first provider needs for all of it at once, without a fault.

        The planner's own fewest, over everything lost: a run of consecutive sessions of a symbol is
        one request, and corporate actions lost where bars were lost come with the bars.
        """
        spec = load_providers()["yahoo"].spec
        bars = self.keys.get(Dataset.BARS_1D, frozenset())
        alone = self.keys.get(Dataset.CORPORATE_ACTIONS, frozenset()) - bars
        today = now().date()
        return sum(
            len(plan(spec, dataset, Holes(calendar, holes(calendar, keys).missing), asof=today))
            for dataset, keys in ((Dataset.BARS_1D, bars), (Dataset.CORPORATE_ACTIONS, alone))
        )


def lose(home: Home, before: Content, *, seed: int, share: float = SHARE) -> Loss:
    """Lose a random ``share`` of the expected partitions of ``before``; the seed makes it again."""
    expected = {dataset: set(expected_keys(home, dataset)) for dataset in DATASETS}
    held = sorted(at for at in before if at[1] in expected[at[0]])
    lost = random.Random(seed).sample(held, k=round(len(held) * share))
    return lose_exactly(home, before, lost, seed=seed)


def lose_exactly(
    home: Home, before: Content, lost: Iterable[tuple[Dataset, PartitionKey]], *, seed: int = 0
) -> Loss:
    """Lose these partitions: rows gone, the ledger says missing, Dagster has not heard of it."""
    lost = list(lost)
    rows = [
        CoverageRow(dataset, key.symbol, key.session, PartitionState.MISSING, "lost in a drill")
        for dataset, key in lost
    ]
    holding = frozenset(at for at in lost if before[at].rows)
    with closing(Lake.open(home.lake_dir)) as lake:
        lake.commit(CommitBatch(run_id="loss", attempt=0, tables={}, coverage=rows, replaces=holding))
    keys = {dataset: frozenset(key for of, key in lost if of is dataset) for dataset in DATASETS}
    return Loss(keys, {at: before[at] for at in lost}, seed)


def calendar_of_drill(home: Home) -> Calendar:
    """XNYS with the closures of the home."""
    return get_calendar("XNYS", home.root)


def expected_keys(home: Home, dataset: Dataset) -> list[PartitionKey]:
    """Every partition that is due and listed."""
    with closing(State.open(home)) as state, closing(Lake.open(home.lake_dir)) as lake:
        expected = _expected(home, lake, state, dataset)
    return [PartitionKey(symbol, session) for symbol, e in expected.items() for session in e.sessions()]


def _expected(home: Home, lake: Lake, state: State, dataset: Dataset) -> dict[Symbol, Expectation]:
    listings = listings_of(home, lake, SYMBOLS)
    return expect(home, state, dataset, SYMBOLS, *span_of(), at=now(), listings=listings)


def unexplained(home: Home) -> int:
    """Open partitions of what the archive looks after: due, listed, and missing or cut short."""
    with closing(State.open(home)) as state, closing(Lake.open(home.lake_dir)) as lake:
        found = [open_sessions(home, lake, state, dataset, SYMBOLS, at=now()) for dataset in DATASETS]
    return sum(len(opened.all) for each in found for opened in each.values())


def marks(home: Home) -> int:
    """The newest snapshot: fetches after it are of what happens next."""
    with closing(Lake.open(home.lake_dir)) as lake:
        return lake.status().snapshot_id


def fetched_twice(home: Home, since: int, final: Content) -> Counter[tuple[Dataset, PartitionKey]]:
    """Partitions that more usable answers covered, after snapshot ``since``, than their state takes.

    One answer settles a partition that has rows. An empty one may take two (two sources have to
    agree), and so may one whose first vendor answered without it.
    """
    calendar = calendar_of_drill(home)
    covered: Counter[tuple[Dataset, PartitionKey, str]] = Counter()
    for fetch in fetches(home, since):
        for symbol in fetch["symbols"].split(","):
            for session in calendar.sessions(fetch["first_session"], fetch["last_session"]):
                at = Dataset(fetch["dataset"]), PartitionKey(Symbol(symbol), session)
                covered[*at, fetch["provider"]] += 1
    twice: Counter[tuple[Dataset, PartitionKey]] = Counter()
    for (dataset, key, provider), count in covered.items():
        if count > 1 and (dataset, key) in final and final[dataset, key].vendor == provider:
            twice[dataset, key] += count
    return twice


def fetches(home: Home, since: int) -> list[dict[str, Any]]:
    """Usable answers in the ledger ``fetches`` that were committed after snapshot ``since``."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        found = connection.execute(
            "SELECT run_id, provider, dataset, symbols, first_session, last_session FROM fetches "
            "WHERE commit_seq > ? AND error = ''",
            [since],
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def usable_answers(vendor: SandboxServer) -> int:
    """Requests that the vendor really answered: those that met a fault are asked again, rightly."""
    asked = vendor.requests()["requests"]
    return sum(1 for one in asked if one["status"] == 200 and one["fault"] in ("", "slow"))
