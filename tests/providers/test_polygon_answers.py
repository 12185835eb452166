"""Polygon's errors and pages: what an answer means, and where it goes on."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.providers.spec import Page
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    decode,
    dialect_of,
    refusal,
    respond,
    rows,
    want,
)
from tests.providers.polygon_pages import DAY, agg, aggs, listed, millis, trade, week

HOST = "https://api.massive.com"
AAPL = want("polygon", "AAPL")
TOO_MANY = {
    "error": "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to "
    "continue. https://polygon.io/pricing"
}
NOT_IN_PLAN = {
    "status": "NOT_AUTHORIZED",
    "message": "Your plan doesn't include this data timeframe. Please upgrade your plan",
}
CURSOR = "bGltaXQ9MiZzb3J0PWFzYw"


def _next(page: Page) -> HttpRequest:
    assert page.next is not None
    return page.next


def _trades(body: str, **more: Any) -> Page:
    return decode(want("polygon", "AAPL", dataset=Dataset.TRADES, start=DAY, end=DAY), body, **more)


@pytest.mark.parametrize("status", [200, 403])
def test_what_the_plan_does_not_include_is_another_providers_turn(status: int) -> None:
    """Also under a status of 200; the key is good, so nothing is aborted."""
    error = PROVIDER.classify(respond(NOT_IN_PLAN, status))
    assert isinstance(error, NotEntitled)
    assert error.disposition == "fail_over"
    assert "timeframe" in error.message


def test_too_many_requests_under_200_is_retried() -> None:
    """The same sentence as with a 429."""
    error = PROVIDER.classify(respond(TOO_MANY))
    assert isinstance(error, RateLimited)
    assert isinstance(refusal(AAPL, TOO_MANY), RateLimited)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_statuses_with_a_general_meaning_are_the_transports(status: int) -> None:
    """It reads their headers, Retry-After among them."""
    for body in (TOO_MANY, {"status": "ERROR", "error": "Unknown API Key"}, b"busy"):
        assert PROVIDER.classify(respond(body, status)) is None


def test_an_unknown_key_under_200_is_a_matter_of_credentials() -> None:
    """Nothing more is sent with it."""
    said = {"status": "ERROR", "request_id": "1", "error": "Unknown API Key"}
    assert isinstance(PROVIDER.classify(respond(said)), BadCredentials)


def test_a_ticker_that_is_not_found_is_a_fact_about_it() -> None:
    """With the symbol that was asked for."""
    body = {"status": "NOT_FOUND", "request_id": "1", "message": "Ticker not found."}
    error = refusal(want("polygon", "ZZTOP", dataset=Dataset.INSTRUMENTS), body, status=404)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "ZZTOP"
    assert "ZZTOP" in error.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b"", id="nothing"),
        pytest.param(200, b"<!DOCTYPE html><html>sign in</html>", id="a web page"),
        pytest.param(200, {"status": "ERROR", "error": "Could not parse"}, id="an error"),
        pytest.param(400, {"status": "ERROR", "error": "Could not parse"}, id="a bad request"),
        pytest.param(404, b"404 page not found", id="no such endpoint"),
        pytest.param(302, b"moved", id="a redirect"),
        pytest.param(414, b"{}", id="too long"),
    ],
)
def test_what_is_no_page_is_refused(status: int, body: bytes | dict[str, str]) -> None:
    """Never an empty success."""
    assert type(refusal(AAPL, body, status=status)) is PayloadError


def test_a_message_never_shows_what_looks_like_a_key() -> None:
    """Should the vendor echo the caller's key, it is cut out."""
    key = "kA7Zq9XwPp3LmN0bVcRtYu1sDfGh"
    for status in ("ERROR", "NOT_AUTHORIZED"):
        error = PROVIDER.classify(respond({"status": status, "error": f"The key {key} may not do this"}))
        assert isinstance(error, ProviderError)
        assert key not in str(error)


def test_a_short_page_with_a_next_url_continues() -> None:
    """``limit`` counts base aggregates: the number of rows says nothing about the end."""
    url = f"{HOST}/v2/aggs/ticker/AAPL/range/1/day/{millis(FRIDAY)}/2024-03-08?cursor={CURSOR}"
    page = decode(AAPL, aggs(agg(millis(MONDAY)), next_url=json.dumps(url)))
    assert len(rows(page)) == 1
    assert _next(page).params == (("cursor", CURSOR),)


def test_a_next_url_is_followed_on_the_configured_host_with_the_key_named_again() -> None:
    """Whatever host the body names: no body decides where a key is sent."""
    for host in (HOST, "https://evil.example", "http://127.0.0.1:9/polygon"):
        url = f"{host}/v2/aggs/ticker/AAPL/range/1/day/{millis(FRIDAY)}/2024-03-08?cursor={CURSOR}&apiKey=k"
        following = _next(
            decode(AAPL, aggs(*week(), next_url=json.dumps(url)), base_url="http://here:1/polygon")
        )
        assert following.url == (
            f"http://here:1/polygon/v2/aggs/ticker/AAPL/range/1/day/{millis(FRIDAY)}/2024-03-08"
        )
        assert following.auth == (("Authorization: Bearer", "POLYGON_API_KEY"),)
        assert following.params == (("cursor", CURSOR),)


def test_a_cursor_keeps_its_characters() -> None:
    """Padding, plus and slash come through as they were."""
    url = f"{HOST}/v3/trades/AAPL?cursor=YXA9MTky%2BODgx%2FNjY%3D%3D"
    page = _trades(listed(trade(millis(DAY, 10) * 10**6), next_url=url))
    assert _next(page).params == (("cursor", "YXA9MTky+ODgx/NjY=="),)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"{HOST}/v2/aggs/ticker/MSFT/range/1/day/1/2?cursor=a", id="another ticker"),
        pytest.param(f"{HOST}/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor=a", id="another span"),
        pytest.param(f"{HOST}/v2/aggs/ticker/AAPL/range/1/day/../../../../keys?cursor=a", id="out of it"),
        pytest.param(f"{HOST}/v3/trades/AAPL?cursor=a", id="another endpoint"),
        pytest.param(f"{HOST}/v2/aggs/ticker/AAPL/range/1/day/1/2", id="no cursor"),
        pytest.param(f"{HOST}/v2/aggs/ticker/AAPL/range/1/day/1/2?apiKey=a", id="nothing but a key"),
        pytest.param("?cursor=a", id="no path"),
        pytest.param("http://[broken", id="no URL"),
    ],
)
def test_a_next_url_that_leads_elsewhere_is_refused(url: str) -> None:
    """The page itself is then not the complete answer, and not taken."""
    assert isinstance(refusal(AAPL, aggs(*week(), next_url=json.dumps(url))), PayloadError)


def test_a_ticker_that_only_begins_alike_is_another_one() -> None:
    """``/v3/trades/A`` does not go on at ``/v3/trades/AAPL``."""
    asked = want("polygon", "A", dataset=Dataset.TRADES, start=DAY, end=DAY)
    body = listed(next_url=f"{HOST}/v3/trades/AAPL?cursor=x")
    assert isinstance(refusal(asked, body), PayloadError)


@pytest.mark.parametrize("token", ["7", "[]", "{}", "true"])
def test_a_next_url_that_is_no_text_is_refused(token: str) -> None:
    """Not taken for the end of the answer either."""
    assert isinstance(refusal(AAPL, aggs(*week(), next_url=token)), PayloadError)


@pytest.mark.parametrize("token", ["null", '""'])
def test_no_next_url_is_the_end(token: str) -> None:
    """Absent, null or empty."""
    assert decode(AAPL, aggs(*week(), next_url=token)).next is None


def test_a_cursor_that_repeats_itself_is_a_loop() -> None:
    """The answer to a request may not be that request."""
    url = f"{HOST}/v3/trades/AAPL?cursor=again"
    following = _next(_trades(listed(next_url=url)))
    with pytest.raises(PayloadError, match="loop"):
        _trades(listed(next_url=url), sent=following)


def test_an_empty_page_may_continue() -> None:
    """Rows filtered away by the vendor leave a page without any, and a cursor."""
    page = _trades(listed(next_url=f"{HOST}/v3/trades/AAPL?cursor=on"))
    assert page.tables[Dataset.TRADES].num_rows == 0
    assert _next(page).params == (("cursor", "on"),)


def _asked_at(received: dt.datetime, request: FetchRequest, body: str) -> Page:
    dialect = dialect_of("polygon")
    response = respond(body)
    late = type(response)(response.status, response.headers, response.body, received)
    return PROVIDER.decode(request, dialect, PROVIDER.plan(request, dialect), late)


def test_a_running_days_row_is_dropped_and_its_session_named() -> None:
    """A daily aggregate exists from the first trade on; it is final after the close."""
    noon = dt.datetime(2024, 3, 8, 17, tzinfo=dt.UTC)
    page = _asked_at(noon, AAPL, aggs(*week()))
    assert [row["session"] for row in rows(page)][-1] == dt.date(2024, 3, 7)
    assert page.incomplete == (("AAPL", FRIDAY),)
    assert page.dropped == 1
    closed = _asked_at(dt.datetime(2024, 3, 8, 21, tzinfo=dt.UTC), AAPL, aggs(*week()))
    assert (len(rows(closed)), closed.incomplete) == (5, ())


def test_a_running_minute_is_dropped_and_its_session_named() -> None:
    """The minute of 11:59 is over at 12:00:00, that of 12:00 is not."""
    asked = want("polygon", "AAPL", dataset=Dataset.BARS_1M, start=DAY, end=DAY)
    body = aggs(agg(millis(DAY, 11, 58)), agg(millis(DAY, 11, 59)), agg(millis(DAY, 12)))
    page = _asked_at(dt.datetime(2024, 3, 8, 17, 0, 0, tzinfo=dt.UTC), asked, body)
    assert [row["ts"].minute for row in rows(page, Dataset.BARS_1M)] == [58, 59]
    assert page.incomplete == (("AAPL", DAY),)
