"""Alpaca's errors, and bodies that are not what was promised."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.providers.alpaca import PROVIDER
from tests.providers.asking import (
    MONDAY,
    WEEK,
    bar,
    bars_page,
    dialect_of,
    midnight,
    refusal,
    respond,
    want,
)

MINUTES = Dataset.BARS_1M


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"message": "subscription does not permit querying recent SIP data"}, NotEntitled),
        (400, {"message": "invalid symbol: BRK-B"}, UnknownSymbol),
        (400, {"message": "invalid limit"}, PayloadError),
        (422, {"code": 40010001, "message": "bad"}, PayloadError),
        (200, {"message": "something went wrong"}, PayloadError),
        (200, {"message": "too many requests."}, RateLimited),
        (200, "Too Many Requests", RateLimited),
        (200, "<html>login</html>", PayloadError),
        (200, "", PayloadError),
        (200, "{}", PayloadError),
        (200, {"bars": 5}, PayloadError),
        (200, {"bars": [bar(midnight(MONDAY))], "symbol": "AAPL"}, PayloadError),
        (200, {"bars": {"AAPL": 5}}, PayloadError),
        (200, {"bars": {"AAPL": {}}}, PayloadError),
        (200, {"bars": {}, "next_page_token": 5}, PayloadError),
        (307, "moved", PayloadError),
    ],
)
def test_errors_are_named_whatever_the_status(status: int, body: object, kind: type[ProviderError]) -> None:
    """A body that is no page is an error of the right kind, also with status 200."""
    error = refusal(want("alpaca", "AAPL"), body, status=status)
    assert type(error) is kind
    assert error.provider == "alpaca"


def test_an_invalid_symbol_is_named() -> None:
    """One of many symbols was refused: the message says which."""
    error = PROVIDER.classify(respond({"message": "code=400, message=invalid symbol: A-B"}, 400))
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "A-B"


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_statuses_with_a_general_meaning_are_the_transports(status: int) -> None:
    """Their headers are read in one place."""
    assert PROVIDER.classify(respond({"message": "forbidden."}, status)) is None


@pytest.mark.parametrize("cut", [1, 30, 300, -1, -2])
def test_a_truncated_body_is_refused_and_never_half_read(cut: int) -> None:
    """A prefix of a page is no page."""
    body = json.dumps(bars_page("token", AAPL=[bar(midnight(day)) for day in WEEK])).encode()[:cut]
    assert isinstance(refusal(want("alpaca", "AAPL"), body), PayloadError)


def test_a_second_document_behind_the_first_is_refused() -> None:
    """Two pages in one body are none."""
    assert isinstance(
        refusal(want("alpaca", "AAPL"), json.dumps(bars_page(AAPL=[bar(midnight(day)) for day in WEEK])) * 2),
        PayloadError,
    )


@pytest.mark.parametrize("opening", ["[", '{"bars":', '{"bars":{"AAPL":['])
def test_nesting_without_end_is_refused(opening: str) -> None:
    """A million brackets end in an error of ours, not in a crash."""
    assert isinstance(refusal(want("alpaca", "AAPL"), opening * 1_000_000), PayloadError)


def test_a_symbol_of_a_named_venue_is_not_alpacas() -> None:
    """It is refused before anything is sent."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("alpaca", "COINBASE:BTC-USD"), dialect_of("alpaca"))


def test_planning_is_pure() -> None:
    """The same wish gives the same request, and other wishes other ones."""
    request = want("alpaca", "AAPL")
    assert PROVIDER.plan(request, dialect_of("alpaca")) == PROVIDER.plan(request, dialect_of("alpaca"))
    assert PROVIDER.plan(replace(request, end=WEEK[3]), dialect_of("alpaca")) != PROVIDER.plan(
        request, dialect_of("alpaca")
    )
