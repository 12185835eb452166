"""OpenFIGI's dialect and the vendors' symbol searches, asked over HTTP, against the documented shapes."""

from __future__ import annotations

import httpx
import pytest

from mdc_resources.sandbox.dialects.symbol_search import COMPANIES, figi_of
from mdc_resources.symbology import is_figi
from tests.sandbox.asking import KEYS

JOB = {"idType": "TICKER", "idValue": "IBM", "exchCode": "US"}
SEARCHES = {
    "polygon": ("/polygon/v3/reference/tickers", "search", {"authorization": "Bearer k1234567"}),
    "finnhub": ("/finnhub/api/v1/search", "q", {"x-finnhub-token": "k1234567"}),
    "alpaca": ("/alpaca/v2/assets", "status", KEYS),
}


def mapping(client: httpx.Client, jobs: object, **headers: str) -> httpx.Response:
    """Post ``jobs``."""
    return client.post(
        "/openfigi/v3/mapping", json=jobs, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def test_items_come_back_in_the_order_of_the_jobs(client):
    """Data, warnings and errors side by side under a status of 200."""
    jobs = [{**JOB, "idValue": value} for value in ("BRK/B", "ZZTOP", "", "FB", "AAPL")]
    answer = mapping(client, jobs)
    assert answer.status_code == 200
    items = answer.json()
    assert [next(iter(item)) for item in items] == ["data", "warning", "error", "warning", "data"]
    assert items[1] == {"warning": "No identifier found."}
    assert items[2] == {"error": "Invalid idValue format."}
    assert [row["ticker"] for row in items[0]["data"]] == ["BRK/B"] * 3
    assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(answer.headers)


def test_a_row_has_the_recorded_shape(client, payloads):
    """Key for key, type for type, but for what only v1 had."""
    import json

    recorded = json.loads((payloads / "_quoted" / "openfigi_v1_mapping_IBM_doc.json").read_text())[0]["data"][
        0
    ]
    row = mapping(client, [JOB]).json()[0]["data"][0]
    assert set(row) == set(recorded) - {"uniqueID", "uniqueIDFutOpt"}
    assert {key: type(value) for key, value in row.items()} == {key: type(recorded[key]) for key in row}


@pytest.mark.parametrize(("key", "most"), [("", 10), ("k1234567", 100)], ids=["no-key", "key"])
def test_a_request_takes_so_many_jobs(client, key, most):
    """413 beyond; no part of it is answered."""
    assert len(mapping(client, [JOB] * most, x_openfigi_apikey=key).json()) == most
    assert mapping(client, [JOB] * (most + 1), x_openfigi_apikey=key).status_code == 413


def test_what_is_wrong_with_a_request_has_its_status(client, fault):
    """Key, method, type of content, JSON, path, limit."""
    assert mapping(client, [JOB], x_openfigi_apikey="bad").status_code == 401
    assert client.get("/openfigi/v3/mapping").status_code == 405
    assert client.post("/openfigi/v3/mapping", content=b"[]").status_code == 415
    headers = {"content-type": "application/json"}
    assert client.post("/openfigi/v3/mapping", content=b"[", headers=headers).status_code == 400
    assert mapping(client, {}).status_code == 400
    assert client.post("/openfigi/v3/search", json={}).status_code == 400
    assert client.post("/openfigi/v3/filter", json={}).status_code == 404
    fault("openfigi", "status", params={"status": 429})
    limited = mapping(client, [JOB])
    assert (limited.status_code, limited.headers["ratelimit-reset"]) == (429, "6")


def test_other_vendors_answer_no_post_and_no_endless_body(client):
    """405 and 413."""
    assert client.post("/yahoo/v8/finance/chart/AAPL", json={}).status_code == 405
    assert mapping(client, ["x" * 70_000]).status_code == 413


@pytest.mark.parametrize("symbol", [*COMPANIES, "QQQ"])
def test_every_figi_is_well_formed_and_its_own(symbol):
    """With the check digit of the standard."""
    figis = {figi_of(f"{symbol} {kind}") for kind in ("US", "UN", "UW", "share")}
    assert len(figis) == 4
    assert all(is_figi(figi) for figi in figis)


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_ask_for_the_key_first(client, name):
    """As every path of the vendor does."""
    path, parameter, headers = SEARCHES[name]
    assert client.get(path, params={parameter: "apple"}).status_code in (401, 403)
    assert client.get(path, params={parameter: "apple"}, headers=headers).status_code == 200


def test_each_search_has_its_vendors_shape(client):
    """Polygon's results, Finnhub's capitals, Alpaca's whole list, OpenFIGI's data."""
    polygon, finnhub, alpaca = (
        client.get(path, params={key: "apple"}, headers=headers).json()
        for path, key, headers in SEARCHES.values()
    )
    assert [row["ticker"] for row in polygon["results"]] == ["AAPL", "APLE", "THIN"]
    assert polygon["results"][0]["composite_figi"] == figi_of("AAPL US")
    assert [row["description"] for row in finnhub["result"]] == ["APPLE INC.", "APPLE HOSPITALITY REIT, INC."]
    assert finnhub["count"] == 2
    assert {"AAPL", "MSFT"} < {row["symbol"] for row in alpaca}
    assert "GONE" not in {row["symbol"] for row in alpaca}
    figis = client.post("/openfigi/v3/search", json={"query": "apple"}).json()
    assert figis["data"][0]["figi"] == figis["data"][0]["compositeFIGI"] == figi_of("AAPL US")


def test_nothing_found_has_its_vendors_shape(client):
    """Polygon leaves `results` out, Finnhub sends an empty list."""
    path, key, headers = SEARCHES["polygon"]
    assert "results" not in client.get(path, params={key: "zzz"}, headers=headers).json()
    path, key, headers = SEARCHES["finnhub"]
    assert client.get(path, params={key: "zzz"}, headers=headers).json() == {"count": 0, "result": []}


def test_a_ticker_without_a_company_is_found_by_its_name_alone(client):
    """Any ticker of the market trades."""
    path, key, headers = SEARCHES["finnhub"]
    assert client.get(path, params={key: "qqq"}, headers=headers).json()["result"][0]["symbol"] == "QQQ"
