"""The two readers of Polygon's pages agree, and no bytes bring either down."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.providers.spec import Page
from tests.providers.asking import WEEK, decode, plain, rows, same, want
from tests.providers.polygon_pages import DAY, agg, aggs, listed, millis, nanos, quote, split, trade, week

OPEN = nanos(DAY, 9, 30)
ASKED = {
    Dataset.BARS_1D: want("polygon", "AAPL"),
    Dataset.BARS_1M: want("polygon", "AAPL", dataset=Dataset.BARS_1M, start=DAY, end=DAY),
    Dataset.TRADES: want("polygon", "AAPL", dataset=Dataset.TRADES, start=DAY, end=DAY),
    Dataset.QUOTES: want("polygon", "AAPL", dataset=Dataset.QUOTES, start=DAY, end=DAY),
    Dataset.CORPORATE_ACTIONS: want("polygon", "AAPL", dataset=Dataset.CORPORATE_ACTIONS),
    Dataset.INSTRUMENTS: want("polygon", "AAPL", dataset=Dataset.INSTRUMENTS),
}
BODIES = {
    Dataset.BARS_1D: aggs(*week()),
    Dataset.BARS_1M: aggs(agg(millis(DAY, 9, 30)), agg(millis(DAY, 9, 31), "101.25", v="6.3896155e+07")),
    Dataset.TRADES: listed(
        trade(OPEN, conditions="[12]"), trade(OPEN + 7, id='"2"', correction="8", trf_id="1")
    ),
    Dataset.QUOTES: listed(quote(OPEN), quote(OPEN + 1, ask_price="0", ask_size="0")),
    Dataset.CORPORATE_ACTIONS: listed(split(day="2024-03-05")),
    Dataset.INSTRUMENTS: '{"results":{"ticker":"AAPL","name":"Apple","locale":"us"},"status":"OK"}',
}
PLAIN = st.decimals(min_value=0, max_value=10**6, places=4, allow_nan=False).map(lambda d: f"{d:f}")
SCIENTIFIC = st.tuples(st.integers(1, 10**8), st.integers(0, 6)).map(lambda pair: f"{pair[0]}e+{pair[1]:02d}")


def _slowly(dataset: Dataset, body: str) -> Page:
    """Decode with one hopeless row more, which makes the fast reader give up."""
    return decode(ASKED[dataset], body.replace('"results":[', '"results":[null,', 1))


@pytest.mark.parametrize("dataset", [Dataset.BARS_1D, Dataset.BARS_1M, Dataset.TRADES, Dataset.QUOTES])
def test_the_slow_reader_reads_what_the_fast_one_does(dataset: Dataset) -> None:
    """A hopeless row costs nothing but itself."""
    fast, slow = decode(ASKED[dataset], BODIES[dataset]), _slowly(dataset, BODIES[dataset])
    names = [name for name in fast.tables[dataset].column_names if name != "ordinal"]
    assert slow.tables[dataset].select(names).equals(fast.tables[dataset].select(names))
    assert (len(fast.rejected), len(slow.rejected)) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PLAIN, st.one_of(PLAIN, SCIENTIFIC)), min_size=1, max_size=5))
def test_numbers_come_through_as_written(told: list[tuple[str, str]]) -> None:
    """Prices and volumes equal their text as the standard library reads it, by either reader."""
    body = aggs(*(agg(millis(WEEK[at]), price, v=volume) for at, (price, volume) in enumerate(told)))
    expected = [(plain(Decimal(price)), plain(Decimal(volume))) for price, volume in told]
    for page in (decode(ASKED[Dataset.BARS_1D], body), _slowly(Dataset.BARS_1D, body)):
        assert [(plain(row["close"]), plain(row["volume"])) for row in rows(page)] == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6 * 3600 * 10**9), min_size=1, max_size=8))
def test_every_nanosecond_survives(offsets: list[int]) -> None:
    """Sorted, none lost, none moved."""
    told = [trade(OPEN + more, id=f'"{at}"') for at, more in enumerate(offsets)]
    page = decode(ASKED[Dataset.TRADES], listed(*told))
    assert [row["ts_event"] - OPEN for row in rows(page, Dataset.TRADES)] == sorted(offsets)


@settings(max_examples=40, deadline=None)
@given(st.permutations(week()))
def test_the_order_of_rows_does_not_matter(told: list[str]) -> None:
    """Any order gives one table."""
    assert same(decode(ASKED[Dataset.BARS_1D], aggs(*told)), decode(ASKED[Dataset.BARS_1D], aggs(*week())))


def _decoded(dataset: Dataset, body: bytes) -> Page | None:
    try:
        return decode(ASKED[dataset], body)
    except ProviderError:
        return None


@pytest.mark.parametrize("dataset", list(ASKED), ids=str)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_raise_anything_but_our_errors(dataset: Dataset, data: st.DataObject) -> None:
    """Cut, doubled, with bytes changed: a page or a typed error."""
    body = bytearray(BODIES[dataset].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b"x")
    _decoded(dataset, bytes(body))


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=True),
        st.text(max_size=6),
        st.sampled_from([10**400, "NaN", "1e5", "\ud83d", "2024-03-08", -1]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("dataset", list(ASKED), ids=str)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_part_of_another_type_is_a_page_or_an_error(dataset: Dataset, data: st.DataObject) -> None:
    """Any value in any place; what is stored has been asked for."""
    document = json.loads(BODIES[dataset])
    places = list(_places(document))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(JSON)
    page = _decoded(dataset, json.dumps(document).encode())
    if page is not None:
        asked = ASKED[dataset]
        for row in rows(page, dataset):
            assert asked.start <= row["session"] <= asked.end
            assert row["symbol"] == "AAPL"


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in _places(value[key])]


@pytest.mark.parametrize("text", ["1e-9999999", "0e-99999999", "-1.5E-2147483647", "1e-1000"])
def test_an_absurd_exponent_is_no_number_and_no_crash(text: str) -> None:
    """Arrow's parser of decimals ends the process on the first of these."""
    body = aggs(agg(millis(WEEK[0]), text), *week()[1:])
    page = decode(ASKED[Dataset.BARS_1D], body)
    assert [row["session"] for row in rows(page)] == list(WEEK[1:])
    assert page.rejected[0].session == WEEK[0]


def test_fuzzing_covers_every_dataset() -> None:
    """A dataset that is offered is asked for here."""
    assert set(ASKED) == set(PROVIDER.spec.offers)
