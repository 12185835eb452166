"""Polygon's dialect against its vendor's manners: aggregates and reference data."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.asking import Ask, Params, raw_bars

KEY = {"Authorization": "Bearer key"}
MOCKS = "polygon/client-python-mocks"
DAILY = "/v2/aggs/ticker/XYZ/range/1/day/2024-06-03/2024-06-28"


def _get(client: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    answer = client.get(f"/polygon{path}", params=params, headers=KEY)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found


def _pages(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every page, following ``next_url`` as it is, with the key in the header."""
    pages = [_get(client, path, **params)]
    while "next_url" in pages[-1]:
        answer = client.get(pages[-1]["next_url"], headers=KEY)
        assert answer.status_code == 200, answer.text
        pages.append(json.loads(answer.text, parse_float=Decimal))
        assert len(pages) < 60
    return pages


def _shape(value: Any) -> Any:
    """Keys and kinds; numbers are one kind, a list is its first element's shape."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__ if isinstance(value, str | bool) or value is None else "number"


def _recorded(payloads: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((payloads / MOCKS / path).read_text())
    return found


def test_polygons_aggregates_have_the_recorded_structure(client: httpx.Client, payloads: Path) -> None:
    """Same keys and kinds at every level."""
    ours = _get(client, DAILY)
    theirs = _recorded(payloads, "v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json")
    assert _shape(ours) == _shape(theirs)


@pytest.mark.parametrize("name", ["splits", "dividends"])
def test_polygons_facts_have_the_recorded_structure(client: httpx.Client, payloads: Path, name: str) -> None:
    """The recorded keys, and those that the vendor has added since: an id, a currency."""
    ours = _get(client, f"/v3/reference/{name}", ticker="AAPL")
    theirs = _recorded(payloads, f"v3/reference/{name}.json")["results"][0]
    shape = _shape(ours["results"][0])
    assert {key: shape[key] for key in theirs} == _shape(theirs)
    assert set(shape) - set(theirs) <= {"id", "currency"}


def test_polygons_ticker_has_recorded_keys_only(client: httpx.Client, payloads: Path) -> None:
    """What it tells, it tells as recorded."""
    ours = _shape(_get(client, "/v3/reference/tickers/AAPL")["results"])
    theirs = _shape(_recorded(payloads, "v3/reference/tickers/AAPL.json")["results"])
    assert {key: theirs.get(key) for key in ours} == ours


def test_polygons_days_start_at_new_yorks_midnight(client: httpx.Client) -> None:
    """05:00Z in winter, 04:00Z in summer, in milliseconds."""
    found = _get(client, "/v2/aggs/ticker/XYZ/range/1/day/2024-03-08/2024-03-11")["results"]
    at = [dt.datetime.fromtimestamp(row["t"] / 1000, dt.UTC).isoformat()[:16] for row in found]
    assert at == ["2024-03-08T05:00", "2024-03-11T04:00"]


def test_polygons_raw_prices_are_alpacas(client: httpx.Client, bars: Ask) -> None:
    """One market: unadjusted closes and volumes are equal on every day."""
    path = "/v2/aggs/ticker/NVDA/range/1/day/2024-05-20/2024-06-20"
    ours = _get(client, path, adjusted="false")["results"]
    theirs = raw_bars(bars("NVDA", "2024-05-20", "2024-06-20"), "NVDA")
    assert [(row["c"], row["o"], int(row["v"])) for row in ours] == [
        (bar["c"], bar["o"], bar["v"]) for bar in theirs.values()
    ]


def test_polygon_adjusts_for_splits_by_default(client: httpx.Client, bars: Ask) -> None:
    """Before 2024-06-10 prices are a tenth and volumes tenfold, afterwards as traded."""
    path = "/v2/aggs/ticker/NVDA/range/1/day/2024-06-05/2024-06-12"
    raw = raw_bars(bars("NVDA", "2024-06-05", "2024-06-12"), "NVDA")
    for row in _get(client, path)["results"]:
        day = dt.datetime.fromtimestamp(row["t"] / 1000, dt.UTC).date().isoformat()
        ratio = 10 if day < "2024-06-10" else 1
        assert abs(row["c"] * ratio - raw[day]["c"]) < Decimal("0.001")
        assert int(row["v"]) == raw[day]["v"] * ratio
    assert _get(client, path)["adjusted"] is True
    assert _get(client, path, adjusted="false")["adjusted"] is False


def test_polygon_writes_large_volumes_with_an_exponent(client: httpx.Client) -> None:
    """``6.3896155e+07``, and the same number."""
    path = "/v2/aggs/ticker/AAPL/range/1/day/2021-01-04/2021-01-29"
    text = client.get(f"/polygon{path}", headers=KEY).text
    assert '"v":' in text
    large = [part.split(",")[0] for part in text.split('"v":')[1:]]
    assert any("e+07" in volume for volume in large)
    assert all("e" in volume for volume in large if Decimal(volume) >= 10**7)


def test_polygons_limit_counts_base_aggregates(client: httpx.Client) -> None:
    """Pages of minutes are whole sessions, short, and continue; all of them together are the range."""
    start, end = "2024-06-24", "2024-06-28"
    path = f"/v2/aggs/ticker/THIN/range/1/minute/{start}/{end}"
    whole = _get(client, path, limit=50_000)
    pages = _pages(client, path, limit=800)
    assert len(pages) == 3
    assert all(len(page["results"]) < 800 for page in pages)
    assert [row["t"] for page in pages for row in page["results"]] == [row["t"] for row in whole["results"]]


def test_polygons_days_are_paged(client: httpx.Client) -> None:
    """Seven a page, each day once, in either order."""
    for order in ("asc", "desc"):
        pages = _pages(client, DAILY, limit=7, sort=order)
        stamps = [row["t"] for page in pages for row in page["results"]]
        assert [len(page["results"]) for page in pages] == [7, 7, 5]
        assert stamps == sorted(set(stamps), reverse=order == "desc")


def test_polygons_next_url_is_on_the_host_that_was_asked_and_has_no_key(client: httpx.Client) -> None:
    """A cursor and nothing else; without the header it is a 401."""
    answer = client.get(f"/polygon{DAILY}", params={"limit": 7, "apiKey": "key"})
    url = httpx.URL(answer.json()["next_url"])
    assert (url.host, url.port) == (client.base_url.host, client.base_url.port)
    assert list(url.params) == ["cursor"]
    assert client.get(url).status_code == 401
    assert client.get(url, headers=KEY).status_code == 200


def test_polygons_minutes_reach_into_extended_hours(client: httpx.Client) -> None:
    """One before the open and one after the close, where the range holds them."""
    found = _get(client, "/v2/aggs/ticker/XYZ/range/1/minute/2024-06-27/2024-06-27")["results"]
    first, last = (dt.datetime.fromtimestamp(found[at]["t"] / 1000, dt.UTC) for at in (0, -1))
    assert (f"{first:%H:%M}", f"{last:%H:%M}") == ("13:29", "20:00")
    opened, closed = (int(at.timestamp() * 1000) for at in (first, last))
    inner = f"/v2/aggs/ticker/XYZ/range/1/minute/{opened + 60_000}/{closed - 60_000}"
    assert len(_get(client, inner)["results"]) == len(found) - 2


@pytest.mark.parametrize("ticker", ["ZZTOP", "xyz", "META"])
def test_polygon_has_no_results_for_a_ticker_it_does_not_know(client: httpx.Client, ticker: str) -> None:
    """The same document as for a range without data; META has nothing of FB's."""
    found = _get(client, f"/v2/aggs/ticker/{ticker}/range/1/day/2022-05-02/2022-05-31")
    assert "results" not in found
    assert (found["resultsCount"], found["status"], found["ticker"]) == (0, "OK", ticker)


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        pytest.param({}, {}, 401, id="no key"),
        pytest.param({"Authorization": "Bearer bad-key"}, {}, 401, id="a bad key"),
        pytest.param({"Authorization": "Token key"}, {}, 401, id="another scheme"),
        pytest.param(KEY, {}, 200, id="any key"),
        pytest.param({}, {"apiKey": "key"}, 200, id="in the query"),
    ],
)
def test_polygon_wants_its_key(
    client: httpx.Client, headers: dict[str, str], params: Params, status: int
) -> None:
    """A header or a parameter; the message does not repeat it."""
    answer = client.get(f"/polygon{DAILY}", params=params, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["status"] == "ERROR"
        assert "bad-key" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v2/aggs/ticker/XYZ/range/1/day/then/now",
        "/v2/aggs/ticker/XYZ/range/7/day/2024-06-03/2024-06-28",
        "/v2/aggs/ticker/XYZ/range/1/week/2024-06-03/2024-06-28",
        f"{DAILY}?limit=50001",
        f"{DAILY}?limit=0",
        f"{DAILY}?cursor=!",
        "/v3/reference/splits?limit=1001",
        "/v3/reference/tickers/XYZ?date=then",
    ],
)
def test_polygon_refuses(client: httpx.Client, path: str) -> None:
    """Bad parameters are a 400 with a message."""
    answer = client.get(f"/polygon{path}", headers=KEY)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_polygon_filters_facts_by_ticker_and_date(client: httpx.Client) -> None:
    """Newest first unless asked otherwise; bounds are inclusive or not as their names say."""
    paid = _get(client, "/v3/reference/dividends", ticker="AAPL", limit=1000)["results"]
    days = [fact["ex_dividend_date"] for fact in paid]
    assert days == sorted(days, reverse=True)
    first, last = days[-1], days[-3]
    inside = {"ex_dividend_date.gte": first, "ex_dividend_date.lt": last, "ticker": "AAPL", "order": "asc"}
    assert [f["ex_dividend_date"] for f in _get(client, "/v3/reference/dividends", **inside)["results"]] == [
        first,
        days[-2],
    ]
    (split,) = _get(client, "/v3/reference/splits", ticker="GE")["results"]
    assert (split["execution_date"], split["split_to"], split["split_from"]) == ("2021-08-02", 1, 8)
    assert _get(client, "/v3/reference/splits", ticker="ZZTOP")["results"] == []


def test_polygons_facts_are_paged(client: httpx.Client) -> None:
    """Ten a page by default, each once."""
    pages = _pages(client, "/v3/reference/dividends", ticker="MSFT")
    ids = [fact["id"] for page in pages for fact in page["results"]]
    assert len(pages) > 5
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("ticker", "date", "status"),
    [
        ("AAPL", "", 200),
        ("FB", "2020-01-02", 200),
        ("FB", "", 404),
        ("META", "2020-01-02", 404),
        ("ZZTOP", "", 404),
    ],
)
def test_polygon_knows_tickers_as_of_a_date(
    client: httpx.Client, ticker: str, date: str, status: int
) -> None:
    """FB was one until it became META."""
    params = {"date": date} if date else {}
    answer = client.get(f"/polygon/v3/reference/tickers/{ticker}", params=params, headers=KEY)
    assert answer.status_code == status
    assert answer.json()["status"] == ("OK" if status == 200 else "NOT_FOUND")


def test_polygon_has_no_other_endpoint(client: httpx.Client) -> None:
    """Plain text, as Go says it."""
    answer = client.get("/polygon/v9/anything", headers=KEY)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
