"""Whatever bytes arrive, a decoder answers with a page or with an error of ours."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import SCHEMAS
from tests.providers.asking import (
    WEEK,
    bar,
    bars_page,
    chart,
    csv_of,
    decode,
    is_canonical,
    midnight,
    respond,
    want,
)

DRILL = settings(
    max_examples=int(os.environ.get("MDC_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def _parquet() -> bytes:
    out = io.BytesIO()
    columns = {name: [1.5] * 5 for name in ("open", "high", "low", "close")}
    pq.write_table(pa.table({"session": list(WEEK), **columns}), out)
    return out.getvalue()


EVENTS = {"splits": {"1": {"date": 1709562600, "numerator": 4, "denominator": 1}}}
ACTION = {"symbol": "AAPL", "ex_date": "2024-03-05", "rate": 0.25, "process_date": "2024-03-05"}
CASES: dict[str, tuple[FetchRequest, bytes, dict[str, Any]]] = {
    "yahoo daily": (want("yahoo", "AAPL"), json.dumps(chart(events=EVENTS)).encode(), {}),
    "yahoo minutes": (want("yahoo", "AAPL", dataset=Dataset.BARS_1M), json.dumps(chart()).encode(), {}),
    "yahoo actions": (
        want("yahoo", "AAPL", dataset=Dataset.CORPORATE_ACTIONS),
        json.dumps(chart(events=EVENTS)).encode(),
        {},
    ),
    "stooq": (want("stooq", "AAPL"), csv_of(*((day, 1, 2, 0.5, 1.5, 100) for day in WEEK)).encode(), {}),
    "alpaca daily": (
        want("alpaca", "AAPL"),
        json.dumps(bars_page("next", AAPL=[bar(midnight(day)) for day in WEEK])).encode(),
        {},
    ),
    "alpaca actions": (
        want("alpaca", "AAPL", dataset=Dataset.CORPORATE_ACTIONS),
        json.dumps({"corporate_actions": {"cash_dividends": [ACTION]}, "next_page_token": None}).encode(),
        {},
    ),
    "csv files": (
        want("files", "AAPL"),
        csv_of(
            *((day, 1, 2, 0.5, 1.5) for day in WEEK), header=("session", "open", "high", "low", "close")
        ).encode(),
        {"drop_folder": "/drop"},
    ),
    "parquet files": (want("files", "AAPL"), _parquet(), {"drop_folder": "/drop", "format": "parquet"}),
}
CASE = pytest.mark.parametrize("case", CASES)


def _page_or_error(request: FetchRequest, body: bytes, configured: dict[str, Any]) -> Page | ProviderError:
    try:
        return decode(request, body, **configured)
    except ProviderError as error:
        return error


def _answers(case: str, body: bytes) -> None:
    request, _, configured = CASES[case]
    page = _page_or_error(request, body, configured)
    if isinstance(page, ProviderError):
        assert page.provider == request.provider
        assert len(str(page)) < 1000
        return
    for dataset, table in page.tables.items():
        assert is_canonical(table, SCHEMAS[dataset])
        assert set(table.column("symbol").to_pylist()) <= set(request.symbols)
        assert all(request.start <= day <= request.end for day in table.column("session").to_pylist())
    assert all(len(wrong.raw) <= 2000 for wrong in page.rejected)


@CASE
def test_the_unharmed_body_is_decoded(case: str) -> None:
    """The seeds of the drills below are good answers."""
    request, body, configured = CASES[case]
    page = decode(request, body, **configured)
    assert request.dataset in page.tables
    assert page.rejected == ()


@CASE
@DRILL
@given(st.binary(max_size=300))
def test_any_bytes(case: str, body: bytes) -> None:
    """Noise."""
    _answers(case, body)


@CASE
@DRILL
@given(st.data())
def test_a_good_body_with_bytes_changed(case: str, data: st.DataObject) -> None:
    """Flips, cuts, repeats and insertions anywhere."""
    body = bytearray(CASES[case][1])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "repeat", "insert"]))
        if kind == "flip" and body:
            body[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del body[at : at + data.draw(st.integers(1, 60))]
        elif kind == "repeat":
            body[at:at] = body[at : at + data.draw(st.integers(1, 60))]
        else:
            body[at:at] = data.draw(
                st.sampled_from([b"NaN", b"null", b"-", b"1e999", b'"', b"{", b"]", b"\x00", b","])
            )
    _answers(case, bytes(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("yahoo", "alpaca"))])
@DRILL
@given(st.data())
def test_a_good_document_with_any_part_replaced(case: str, data: st.DataObject) -> None:
    """Any value, of any type, anywhere in the documented structure."""
    document = json.loads(CASES[case][1])
    path = data.draw(st.sampled_from(_paths(document)))
    value = data.draw(JSON)
    if path:
        target = document
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
    _answers(case, json.dumps(document if path else value).encode())


@pytest.mark.parametrize("name", ["alpaca", "files", "stooq", "yahoo"])
@DRILL
@given(st.binary(max_size=200), st.sampled_from([200, 204, 301, 400, 401, 403, 404, 422, 429, 500, 503]))
def test_classify_never_fails(name: str, body: bytes, status: int) -> None:
    """Judging an answer raises nothing, whatever it is."""
    error = provider(name).classify(respond(body, status))
    assert error is None or isinstance(error, ProviderError)
