"""Yahoo's errors: named by their words, and what is no answer is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    Disposition,
    OutOfRange,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.providers.yahoo import PROVIDER
from tests.providers.asking import (
    chart,
    refusal,
    respond,
    want,
)

MINUTES = Dataset.BARS_1M
ACTIONS = Dataset.CORPORATE_ACTIONS


def _error(code: str, description: str) -> dict[str, Any]:
    return {"chart": {"result": None, "error": {"code": code, "description": description}}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, _error("Not Found", "No data found, symbol may be delisted"), UnknownSymbol),
        (200, _error("Not Found", "No data found, symbol may be delisted"), UnknownSymbol),
        (404, "<html>gone</html>", PayloadError),
        (404, "nothing here", UnknownSymbol),
        (400, _error("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"), OutOfRange),
        (422, _error("Unprocessable Entity", "1m data not available for startDate=1"), OutOfRange),
        (
            422,
            _error("Unprocessable Entity", "The requested range must be within the last 30 days."),
            OutOfRange,
        ),
        (400, _error("Bad Request", "Invalid input - interval=1q"), PayloadError),
        (302, "moved", PayloadError),
        (200, "Too Many Requests\r\n", RateLimited),
        (200, {"error": "rate limit"}, RateLimited),
        (200, "<!DOCTYPE html><html>consent</html>", PayloadError),
        (200, "", PayloadError),
        (200, "  \n", PayloadError),
        (200, "OK", PayloadError),
        (200, "[]", PayloadError),
        (200, "{}", PayloadError),
        (200, {"chart": {"result": [], "error": None}}, PayloadError),
        (200, {"chart": None}, PayloadError),
        (200, {"chart": {"result": [{"meta": {"symbol": "AAPL"}}]}}, PayloadError),
    ],
)
def test_errors_are_named_whatever_the_status(status: int, body: object, kind: type[ProviderError]) -> None:
    """A body that is no chart is an error of the right kind, also with status 200."""
    error = refusal(want("yahoo", "AAPL"), body, status=status)
    assert type(error) is kind
    assert error.provider == "yahoo"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_statuses_with_a_general_meaning_are_the_transports(status: int) -> None:
    """Their headers (Retry-After) are read in one place."""
    assert PROVIDER.classify(respond("Too Many Requests\r\n", status)) is None


def test_an_unknown_symbol_is_named_and_skipped() -> None:
    """The error says which symbol, and is a fact about this provider only."""
    error = refusal(want("yahoo", "ZZZZ"), _error("Not Found", "No data found"), status=404)
    assert isinstance(error, UnknownSymbol)
    assert (error.symbol, error.disposition) == ("ZZZZ", Disposition.SKIP)


@pytest.mark.parametrize("cut", [1, 60, 400, -1, -3])
def test_a_truncated_body_is_refused_and_never_half_read(cut: int) -> None:
    """A prefix of a document is no document."""
    body = json.dumps(chart()).encode()[:cut]
    assert isinstance(refusal(want("yahoo", "AAPL"), body), PayloadError)


def test_a_second_document_behind_the_first_is_refused() -> None:
    """Two answers in one body are none."""
    body = json.dumps(chart()) * 2
    assert isinstance(refusal(want("yahoo", "AAPL"), body), PayloadError)


@pytest.mark.parametrize("opening", ["[", '{"chart":', '{"chart":{"result":['])
def test_nesting_without_end_is_refused(opening: str) -> None:
    """A million brackets end in an error of ours, not in a crash."""
    assert isinstance(refusal(want("yahoo", "AAPL"), opening * 1_000_000), PayloadError)


def test_error_messages_cannot_forge_a_line() -> None:
    """What a vendor says is escaped and cut."""
    error = refusal(want("yahoo", "AAPL"), _error("X\nY", "Z\r\n" * 200), status=400)
    assert "\n" not in str(error)
    assert len(str(error)) < 500
