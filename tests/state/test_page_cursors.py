"""Where a paging stopped: one line per page, in order, forgotten when it is of no use any more."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import PageCursor, State
from mdc_resources.state import tables as current
from mdc_resources.state.engine import StateEngine

KEY = PartitionKey(Symbol("AAPL"), dt.date(2024, 6, 3))
NEXT = HttpRequest(
    "https://example.com/v2/trades",
    params=(("symbols", "AAPL"), ("page_token", "abc=")),
    headers=(("Accept", "application/json"),),
    auth=(("X-Key", "SOME_API_KEY"),),
    query_auth=(("apikey", "SOME_API_KEY"),),
)


def cursor(page: int, **more: object) -> PageCursor:
    """Page ``page`` of the partition."""
    found = PageCursor(Dataset.TRADES, KEY, "alpaca", 1, page, "run", f"<urn:uuid:{page}>", NEXT)
    return replace(found, **more)  # type: ignore[arg-type]


def pages(
    state: State, key: PartitionKey = KEY, provider: str = "alpaca", version: int = 1
) -> list[PageCursor]:
    """What is known."""
    return state.pages_of(Dataset.TRADES, key, provider, decoder_version=version)


def test_pages_come_back_as_they_were_noted(home: Home) -> None:
    """In order, with the whole next request; after the last page there is none. Another process sees them."""
    with State.open(home) as state:
        noted = [cursor(1), cursor(2), cursor(3, following=None)]
        for each in noted:
            state.note_page(each)
    with State.open(home) as other:
        assert pages(other) == noted


def test_a_gap_ends_what_is_known(home: Home) -> None:
    """Page 3 without page 2 is of no use; nor is one that another decoder read."""
    with State.open(home) as state:
        for each in (cursor(1), cursor(3)):
            state.note_page(each)
        assert [each.page for each in pages(state)] == [1]
        assert pages(state, version=2) == []
        state.note_page(cursor(2, decoder_version=2))
        assert [each.page for each in pages(state)] == [1]


def test_a_page_noted_again_ends_what_followed_it(home: Home) -> None:
    """Whoever asks for page 2 anew gets other pages after it."""
    with State.open(home) as state:
        for number in (1, 2, 3, 4):
            state.note_page(cursor(number))
        state.note_page(cursor(2, record_id="<urn:uuid:new>"))
        assert [(each.page, each.record_id) for each in pages(state)] == [
            (1, "<urn:uuid:1>"),
            (2, "<urn:uuid:new>"),
        ]


def test_providers_and_partitions_are_apart(home: Home) -> None:
    """Forgetting one leaves the others."""
    other = PartitionKey(Symbol("IBM"), KEY.session)
    with State.open(home) as state:
        for each in (cursor(1), cursor(1, provider="polygon"), cursor(1, key=other)):
            state.note_page(each)
        state.forget_pages(Dataset.TRADES, [KEY], "alpaca")
        assert pages(state) == []
        assert len(pages(state, provider="polygon")) == len(pages(state, other)) == 1
        state.forget_pages(Dataset.TRADES, [KEY])
        assert pages(state, provider="polygon") == []
        state.forget_pages(Dataset.TRADES, [])
        assert len(pages(state, other)) == 1


def test_old_pages_expire(home: Home) -> None:
    """By when they were noted."""
    now = dt.datetime.now(dt.UTC)
    with State.open(home) as state:
        state.note_page(cursor(1))
        state.expire_pages(before=now - dt.timedelta(days=1))
        assert len(pages(state)) == 1
        state.expire_pages(before=now + dt.timedelta(minutes=1))
        assert pages(state) == []


def test_a_state_of_version_2_gets_the_table(home: Home) -> None:
    """When it is opened; what it held is still there."""
    with State.open(home) as state:
        state.add_members("us", [Symbol("AAPL")], shards=1)
    engine = StateEngine.of(home)
    with engine.write() as connection:
        current.page_cursors.drop(connection)
        version = current.counters.c.name == "schema"
        connection.execute(current.counters.update().where(version).values(value=2))
    engine.close()
    with State.open(home) as state:
        state.note_page(cursor(1))
        assert len(pages(state)) == 1
        assert [member.symbol for member in state.members()] == ["AAPL"]


def test_no_secret_is_kept(home: Home) -> None:
    """The next request names its credential; the value is nowhere."""
    with State.open(home) as state:
        state.note_page(cursor(1))
        (known,) = pages(state)
    assert known.following is not None
    assert known.following.auth == (("X-Key", "SOME_API_KEY"),)
