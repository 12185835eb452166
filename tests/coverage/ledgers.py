"""Homes with nothing but a ledger: rows are appended as commits do, without data files."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.lake.ledgers import Stamp, ledger_rows
from mdc_resources.state import State

UTC = dt.UTC


def day(number: int) -> dt.date:
    """The ``number``-th weekday from Tuesday 2024-01-02, starting at 0; holidays are not left out."""
    weeks, rest = divmod(number + 1, 5)
    return dt.date(2024, 1, 1) + dt.timedelta(days=7 * weeks + rest)


def empty_home(root: Path, *, toml: str = "", **universes: Sequence[str]) -> Home:
    """A home with an empty lake and the members of ``universes``."""
    root.mkdir(parents=True)
    (root / "mdc.toml").write_text(toml, encoding="utf-8")
    home = config.load(root / "mdc.toml", environ={})
    Lake.create(home.lake_dir).close()
    shutil.copytree(home.lake_dir, root / "pristine")
    with State.open(home) as state:
        for universe, symbols in universes.items():
            shards = home.settings.universes[universe].shards
            state.add_members(universe, [Symbol(symbol) for symbol in symbols], shards=shards)
    return home


@contextmanager
def fresh(home: Home) -> Iterator[Lake]:
    """The home's lake, empty again."""
    shutil.rmtree(home.lake_dir)
    shutil.copytree(home.root / "pristine", home.lake_dir)
    lake = Lake.open(home.lake_dir)
    try:
        yield lake
    finally:
        lake.close()


def append(
    lake: Lake, rows: Mapping[PartitionKey, PartitionState], *, dataset: Dataset = Dataset.BARS_1D
) -> None:
    """One commit that says ``rows`` and nothing else."""
    if rows:
        lines = [CoverageRow(dataset, key.symbol, key.session, state) for key, state in rows.items()]
        lake.commit(CommitBatch("run", 1, {}, lines))


def append_all(lake: Lake, commits: Sequence[Mapping[PartitionKey, PartitionState]]) -> None:
    """The rows of several commits, oldest first, at the price of one."""
    catalog = lake._catalog
    with catalog.transaction(author="test", message="commits") as following:
        for number, rows in enumerate(commits):
            lines = [
                CoverageRow(Dataset.BARS_1D, key.symbol, key.session, kind) for key, kind in rows.items()
            ]
            stamp = Stamp(following * 100 + number, dt.datetime(2024, 6, 3, tzinfo=UTC), "run")
            for ledger, table in ledger_rows(CommitBatch("run", 1, {}, lines), stamp):
                catalog.append(ledger, table)
