"""What a backfill is asked for, as run config: exact, compact, and readable by a person."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from dagster import validate_run_config
from hypothesis import given
from hypothesis import strategies as st

from mdc_assets import jobs
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want

DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2031, 12, 31))
SYMBOLS = st.from_regex(r"\A[A-Z0-9][A-Z0-9_:-]{0,9}\Z").map(Symbol)
KEYS = st.frozensets(st.builds(PartitionKey, SYMBOLS, DAYS), min_size=1, max_size=30)
FLAGS = st.booleans()


def holes(*keys: tuple[str, str]) -> dict[str, list[str]]:
    """``("AAPL", "2024-01-02"), ...`` as the config writes it."""
    return jobs.holes_of({PartitionKey(Symbol(s), dt.date.fromisoformat(day)) for s, day in keys})


@given(
    dataset=st.sampled_from(Dataset),
    keys=KEYS,
    more=st.lists(SYMBOLS, unique=True, max_size=3),
    exact=FLAGS,
    refetch=FLAGS,
    patient=FLAGS,
    provider=st.sampled_from([None, "yahoo"]),
)
def test_a_want_survives_its_config(dataset, keys, more, exact, refetch, patient, provider):
    """Want -> config -> Want is the identity, whatever is asked for; and Dagster accepts the config."""
    want = Want(
        dataset=dataset,
        symbols=tuple(dict.fromkeys([*sorted({key.symbol for key in keys}), *more])),
        start=min(key.session for key in keys),
        end=max(key.session for key in keys),
        provider=provider,
        refetch=refetch,
        keys=keys if exact else None,
        patient=patient,
    )
    config = jobs.config_of(want)
    assert jobs.want_of(config) == want
    assert validate_run_config(jobs.backfill_job, config)


@given(keys=KEYS)
def test_holes_are_compact(keys):
    """No two ranges of a symbol touch or overlap, and all are in order."""
    for symbol, ranges in jobs.holes_of(keys).items():
        ends = [(written.split("..")[0], written.split("..")[-1]) for written in ranges]
        days = [tuple(map(dt.date.fromisoformat, pair)) for pair in ends]
        for (_, before), (after, _) in pairwise(days):
            assert (after - before).days > 1
        assert sum((end - start).days + 1 for start, end in days) == sum(k.symbol == symbol for k in keys)


def test_consecutive_days_are_one_range():
    """A weekend ends it: the config is read without a calendar."""
    week = [("AAPL", f"2024-01-{day:02d}") for day in (3, 4, 5, 8)]
    assert holes(("MSFT", "2024-02-01"), *week) == {
        "AAPL": ["2024-01-03..2024-01-05", "2024-01-08"],
        "MSFT": ["2024-02-01"],
    }


def test_a_person_may_write_a_range_over_a_weekend_and_lower_case():
    """Days that are no session are asked for, and measured as nothing."""
    found = jobs.keys_of({"aapl": ["2024-01-05..2024-01-08"]})
    assert {key.session.day for key in found} == {5, 6, 7, 8}
    assert {key.symbol for key in found} == {"AAPL"}


@pytest.mark.parametrize(
    "written",
    [
        {"AAPL": ["2024-01-05..2024-01-03"]},
        {"AAPL": ["2024-13-01"]},
        {"AAPL": [".."]},
        {"AAPL": [""]},
        {"AAPL": ["2024-01-05..2024-01-06..2024-01-07"]},
        {"A|B": ["2024-01-05"]},
        {"AAPL": ["0001-01-01..9999-12-31"]},
    ],
    ids=["reversed", "no such date", "no dates", "empty", "three dates", "no symbol", "a slip of the year"],
)
def test_holes_that_cannot_be_read_are_refused(written):
    """With the archive's own error; a mistyped year is not counted out day by day."""
    with pytest.raises(UsageError):
        jobs.keys_of(written)


def test_a_want_of_no_partitions_has_no_config():
    """An empty set would read as "everything in the range"."""
    day = dt.date(2024, 1, 2)
    with pytest.raises(UsageError):
        jobs.config_of(Want(Dataset.BARS_1D, (Symbol("AAPL"),), day, day, keys=frozenset()))


@pytest.mark.parametrize(
    "config",
    [{}, {"ops": {}}, {"ops": {jobs.OP: {}}}, {"ops": {jobs.OP: {"config": {"symbols": 3}}}}, {"ops": None}],
    ids=["empty", "no op", "no config", "wrong types", "no mapping"],
)
def test_what_is_no_config_of_the_job_is_refused(config):
    """Runs are read back by the gap sensor; a person may have edited one."""
    with pytest.raises(UsageError):
        jobs.want_of(config)
