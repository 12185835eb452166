"""Notes of raw records: one line of ASCII that gives back exactly what went in."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.telemetry import register_secret
from mdc_resources.transport.notes import Note, from_json, masked_request, plain_json, to_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)

FETCHES = st.builds(
    FetchRequest,
    provider=TEXT,
    dataset=st.sampled_from(Dataset),
    symbols=st.lists(TEXT.map(Symbol), max_size=4).map(tuple),
    start=st.dates(),
    end=st.dates(),
    calendar=TEXT,
    asof=st.dates(),
    attempt=st.integers(min_value=0),
)
WIRES = st.builds(
    HttpRequest, url=TEXT, params=PAIRS, headers=PAIRS, auth=PAIRS, query_auth=PAIRS, method=st.just("GET")
)
NOTES = st.builds(
    Note,
    fetch=FETCHES,
    wire=WIRES,
    status=st.integers(min_value=100, max_value=999),
    headers=st.dictionaries(TEXT, TEXT, max_size=4),
    received_at=st.datetimes(timezones=st.just(dt.UTC)),
    page=st.integers(min_value=1),
    decoder_version=st.integers(min_value=1),
    fetch_id=TEXT,
    error=TEXT,
    truncated=st.booleans(),
)


@given(note=NOTES)
def test_a_note_comes_back_equal(note: Note) -> None:
    """Any wish, request and headers, through one line of ASCII without line ends."""
    line = to_json(note)
    assert line.isascii()
    assert "\n" not in line
    assert "\r" not in line
    assert from_json(line) == note


@pytest.mark.parametrize("damage", ["{}", "[]", '{"v": 1}', "", "{", "null"])
def test_another_text_is_refused(damage: str) -> None:
    """A note that is none raises, it does not half-work."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_json(damage)


def test_requests_are_masked_by_name_and_value() -> None:
    """Keys a provider put where they do not belong are caught as well."""
    register_secret("SEKRET_misplaced")
    wire = HttpRequest(
        "https://u:p@h.test/x?token=abc",
        params=(("apikey", "abc"), ("q", "SEKRET_misplaced"), ("page_token", "t1")),
        headers=(("Authorization", "Bearer abc"), ("accept", "SEKRET_misplaced"), ("x", "y")),
        auth=(("Authorization", "KEY_NAME"),),
    )
    assert masked_request(wire) == replace(
        wire,
        url="https://***@h.test/x?token=***",
        params=(("apikey", "***"), ("q", "***"), ("page_token", "t1")),
        headers=(("Authorization", "***"), ("accept", "***"), ("x", "y")),
    )


def test_plain_json_takes_what_batches_hold() -> None:
    """Named tuples, enums, dates and sets in one form each."""
    from mdc_resources.domain.coverage import PartitionKey

    key = PartitionKey(Symbol("AAPL"), dt.date(2024, 1, 2))
    note = {
        "dataset": Dataset.BARS_1D,
        "keys": [key],
        "at": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
        "ids": {"a"},
    }
    assert json.loads(plain_json(note)) == {
        "dataset": "bars_1d",
        "keys": [["AAPL", "2024-01-02"]],
        "at": "2024-01-02T00:00:00+00:00",
        "ids": ["a"],
    }
