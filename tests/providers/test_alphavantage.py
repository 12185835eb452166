"""Alpha Vantage's requests and refusals: one status for everything, sentences for the difference."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.alphavantage import PROVIDER, vendor_symbol
from tests.providers.asking import ASOF, dialect_of, refusal, respond, want

PLANS = "Please subscribe to any of the premium plans at https://www.alphavantage.co/premium/"
DAILY_QUOTA = (
    "Thank you for using Alpha Vantage! Our standard API rate limit is 25 requests per day. "
    f"{PLANS} to instantly remove all daily rate limits."
)
ECHOED = (
    "We have detected your API key as Q7ZK1M9XEXAMPLE0 and our standard API rate limit is 25 requests "
    "per day. "
    f"{PLANS} to instantly remove all daily rate limits."
)
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly "
    "(1 request per second). You may subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to lift the free key rate limit (25 requests per day) and "
    "instantly remove all daily rate limits."
)
PER_MINUTE = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls "
    "per day. Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API "
    "call frequency."
)
PREMIUM_SIZE = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the "
    f"TIME_SERIES_DAILY endpoint. {PLANS} to instantly unlock all premium features"
)
PREMIUM_ENDPOINT = f"Thank you for using Alpha Vantage! This is a premium endpoint. {PLANS}"
INVALID = (
    "Invalid API call. Please retry or visit the documentation "
    "(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."
)
NO_KEY = "the parameter apikey is invalid or missing. Please claim your free API key on the support page."


def params(*symbols: str, **more: Any) -> dict[str, str]:
    """The parameters of the first request."""
    return dict(PROVIDER.plan(want("alphavantage", *symbols, **more), dialect_of("alphavantage")).params)


def test_the_key_goes_in_the_url_by_name() -> None:
    """No header is accepted; the value is filled in by the transport and masked everywhere."""
    wire = PROVIDER.plan(want("alphavantage", "IBM"), dialect_of("alphavantage"))
    assert wire.url == "https://www.alphavantage.co/query"
    assert (wire.auth, wire.query_auth) == ((), (("apikey", "ALPHA_VANTAGE_API_KEY"),))
    moved = PROVIDER.plan(
        want("alphavantage", "IBM"),
        dialect_of("alphavantage", base_url="http://127.0.0.1:1/av/", key_env="MINE"),
    )
    assert (moved.url, moved.query_auth) == ("http://127.0.0.1:1/av/query", (("apikey", "MINE"),))


def test_old_ranges_ask_for_everything() -> None:
    """What the last hundred rows do not reach needs ``full``."""
    assert params("IBM") == {
        "function": "TIME_SERIES_DAILY",
        "symbol": "IBM",
        "outputsize": "full",
        "datatype": "json",
    }


@pytest.mark.parametrize(
    ("back", "size"), [(0, "compact"), (98, "compact"), (99, "compact"), (100, "full"), (400, "full")]
)
def test_the_hundredth_row_is_the_limit_of_compact(back: int, size: str) -> None:
    """Counted in sessions back from the day of the fetch, itself included."""
    calendar = dialect_of("alphavantage").calendar
    start = calendar.session_at(calendar.ordinal(ASOF) - back)
    assert params("IBM", start=start, end=ASOF)["outputsize"] == size


def test_what_counts_is_the_day_of_the_fetch_not_the_end_of_the_range() -> None:
    """An old week was recent once."""
    request = replace(want("alphavantage", "IBM"), asof=dt.date(2024, 3, 11))
    wire = PROVIDER.plan(request, dialect_of("alphavantage"))
    assert dict(wire.params)["outputsize"] == "compact"


def test_minutes_are_asked_for_by_month_raw_and_regular() -> None:
    """Adjusted and with extended hours is what the vendor would send by default."""
    asked = params("IBM", dataset=Dataset.BARS_1M)
    assert asked == {
        "function": "TIME_SERIES_INTRADAY",
        "symbol": "IBM",
        "interval": "1min",
        "adjusted": "false",
        "extended_hours": "false",
        "month": "2024-03",
        "outputsize": "full",
        "datatype": "json",
    }


@pytest.mark.parametrize(
    ("dataset", "function"), [(Dataset.CORPORATE_ACTIONS, "SPLITS"), (Dataset.INSTRUMENTS, "OVERVIEW")]
)
def test_facts_have_functions_of_their_own(dataset: Dataset, function: str) -> None:
    """Whatever range is meant, they tell everything."""
    assert params("IBM", dataset=dataset) == {"function": function, "symbol": "IBM"}


def test_class_shares_take_a_dash() -> None:
    """A dot would start the name of an exchange."""
    assert vendor_symbol(Symbol("BRK.B")) == "BRK-B"
    assert params("BRK.B")["symbol"] == "BRK-B"


@pytest.mark.parametrize("symbol", ["KRAKEN:BTC-USD", "A_B"])
def test_what_it_cannot_spell_is_said_before_asking(symbol: str) -> None:
    """No request is spent on it."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("alphavantage", symbol), dialect_of("alphavantage"))


@pytest.mark.parametrize("key", ["Note", "Information", "Error Message", "message"])
@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        (BURST, RateLimited),
        (PER_MINUTE, RateLimited),
        (DAILY_QUOTA, QuotaExhausted),
        (ECHOED, QuotaExhausted),
        (PREMIUM_SIZE, NotEntitled),
        (PREMIUM_ENDPOINT, NotEntitled),
        (NO_KEY, BadCredentials),
        (INVALID, UnknownSymbol),
        ("Something that was never said before.", PayloadError),
    ],
    ids=["burst", "minute", "day", "echoed", "size", "endpoint", "key", "call", "new"],
)
def test_the_sentence_decides_not_the_key(key: str, sentence: str, kind: type[ProviderError]) -> None:
    """The same notice has come under different keys, and one key stands for many notices."""
    error = PROVIDER.classify(respond({key: sentence}))
    assert type(error) is kind


def test_the_burst_notice_is_retried_in_seconds() -> None:
    """It also speaks of 25 requests per day, and the key is still good."""
    error = PROVIDER.classify(respond({"Information": BURST}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 2.0
    assert error.disposition == "retry"


def test_the_old_notice_waits_a_minute() -> None:
    """Longer than a retry may wait: the next provider is asked."""
    error = PROVIDER.classify(respond({"Note": PER_MINUTE}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 60.0


@pytest.mark.parametrize(
    "sentence",
    [
        ECHOED,
        "API key: q7zk1m9xexample0 is not enough for this",
        "Your apikey=Q7ZK1M9XEXAMPLE0 is not valid",
        "Q7ZK1M9XEXAMPLE0 has been blocked",
    ],
)
def test_a_key_that_is_echoed_is_cut_out(sentence: str) -> None:
    """The message says what the vendor said, without the key."""
    error = PROVIDER.classify(respond({"Information": sentence}))
    assert error is not None
    assert "q7zk1m9x" not in f"{error!r} {error}".lower()
    assert "***" in str(error)


@pytest.mark.parametrize("length", [40, 60, 70, 90])
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_a_notice_that_was_cut_short_does_not_show_the_key(length: int, as_json: bool) -> None:
    """Neither as a document without its end nor as plain text."""
    body = (json.dumps({"Information": ECHOED}) if as_json else ECHOED)[:length]
    for dataset in (Dataset.BARS_1D, Dataset.BARS_1M, Dataset.CORPORATE_ACTIONS, Dataset.INSTRUMENTS):
        error = refusal(want("alphavantage", "IBM", dataset=dataset), body)
        assert "Q7Z" not in f"{error!r} {error}"


def test_an_invalid_call_names_the_symbol_that_was_asked_for() -> None:
    """The vendor does not say which."""
    error = refusal(want("alphavantage", "ZZTOP"), {"Error Message": INVALID})
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "ZZTOP"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_general_statuses_are_the_transports(status: int) -> None:
    """Even with a sentence: the headers that go with them are read there."""
    assert PROVIDER.classify(respond({"Information": DAILY_QUOTA}, status)) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"gone"), (302, b"moved"), (200, b""), (200, b"<html>blocked</html>"), (400, b"{}")],
)
def test_what_is_no_answer_is_an_error(status: int, body: bytes) -> None:
    """A web page, nothing, or a status that says so."""
    assert isinstance(PROVIDER.classify(respond(body, status)), PayloadError)


def test_data_is_no_refusal() -> None:
    """A short series, and facts that speak of keys."""
    good = {"Meta Data": {"1. Information": ECHOED}, "Time Series (Daily)": {}}
    assert PROVIDER.classify(respond(good)) is None
    assert PROVIDER.classify(respond({"Symbol": "IBM", "Description": NO_KEY})) is None


def test_the_quoted_refusals_of_others_are_understood(payloads: Any) -> None:
    """Every body that was observed live is named as what it was."""
    lines = (payloads / "_quoted" / "error_bodies.ndjson").read_text(encoding="utf-8").splitlines()
    quoted = [entry for entry in map(json.loads, lines) if entry["provider"] == "alpha_vantage"]
    kinds = [type(PROVIDER.classify(respond(entry["body"], entry["http_status"]))) for entry in quoted]
    assert kinds == [
        RateLimited,
        QuotaExhausted,
        QuotaExhausted,
        RateLimited,
        UnknownSymbol,
        BadCredentials,
    ]
