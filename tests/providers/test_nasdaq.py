"""Nasdaq Data Link's requests, its refusals by code, and metadata."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    ConfigError,
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.nasdaq import PROVIDER, WIKI_ENDED, vendor_symbol
from mdc_resources.schema.arrow import INSTRUMENTS
from tests.providers.asking import decode, dialect_of, is_canonical, refusal, respond, rows, want

WEEK_OF_2018 = {"start": dt.date(2018, 3, 19), "end": dt.date(2018, 3, 23)}
WHO = want("nasdaq", "GOOGL", dataset=Dataset.INSTRUMENTS, **WEEK_OF_2018)
METADATA = {
    "dataset_code": "GOOGL",
    "database_code": "WIKI",
    "name": "Alphabet Inc (GOOGL) Prices, Dividends, Splits and Trading Volume",
    "oldest_available_date": "2004-08-19",
    "newest_available_date": "2018-03-27",
}


def refused(code: str, message: str = "no") -> dict[str, Any]:
    """An error document."""
    return {"quandl_error": {"code": code, "message": message}}


def test_a_request_names_database_code_range_and_order() -> None:
    """Both dates are inclusive; newest first would be the default."""
    wire = PROVIDER.plan(want("nasdaq", "AAPL", **WEEK_OF_2018), dialect_of("nasdaq"))
    assert wire.url == "https://data.nasdaq.com/api/v3/datasets/WIKI/AAPL.json"
    assert dict(wire.params) == {"start_date": "2018-03-19", "end_date": "2018-03-23", "order": "asc"}


def test_the_key_goes_in_a_header() -> None:
    """As the vendor's own client sends it."""
    wire = PROVIDER.plan(want("nasdaq", "AAPL"), dialect_of("nasdaq"))
    assert (wire.auth, wire.query_auth) == ((("X-Api-Token", "NASDAQ_API_KEY"),), ())
    mine = PROVIDER.plan(want("nasdaq", "AAPL"), dialect_of("nasdaq", key_env="MINE"))
    assert mine.auth == (("X-Api-Token", "MINE"),)


def test_facts_are_in_the_same_series() -> None:
    """Corporate actions are columns of it, metadata stands beside it."""
    dialect = dialect_of("nasdaq", base_url="http://127.0.0.1:1/nasdaq/")
    facts = PROVIDER.plan(want("nasdaq", "AAPL", dataset=Dataset.CORPORATE_ACTIONS), dialect)
    assert facts == PROVIDER.plan(want("nasdaq", "AAPL"), dialect)
    wire = PROVIDER.plan(WHO, dialect)
    assert wire.url == "http://127.0.0.1:1/nasdaq/api/v3/datasets/WIKI/GOOGL/metadata.json"
    assert wire.params == ()


def test_class_shares_take_an_underscore() -> None:
    """BRK.B is BRK_B."""
    assert vendor_symbol(Symbol("BRK.B")) == "BRK_B"


@pytest.mark.parametrize("symbol", ["COINBASE:BTC-USD", "BRK_B"])
def test_what_it_cannot_spell_is_said_before_asking(symbol: str) -> None:
    """An underscore of ours would come back as a dot."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(want("nasdaq", symbol), dialect_of("nasdaq"))


def test_another_database_is_a_feed() -> None:
    """It is named in the request, in the rows' source, and it has not ended."""
    dialect = dialect_of("nasdaq", feed="EOD")
    assert PROVIDER.plan(want("nasdaq", "AAPL"), dialect).url.endswith("/datasets/EOD/AAPL.json")
    assert dialect.source == "nasdaq/EOD"
    assert dialect.offer(Dataset.BARS_1D).history_end is None
    wiki = dialect_of("nasdaq")
    assert (wiki.source, wiki.offer(Dataset.BARS_1D).history_end) == ("nasdaq/WIKI", WIKI_ENDED)
    assert wiki.offer(Dataset.BARS_1D).basis is Basis.RAW


def test_the_default_named_is_the_default() -> None:
    """Writing ``feed = "WIKI"`` changes nothing."""
    named = dialect_of("nasdaq", feed="WIKI")
    assert named.offer(Dataset.CORPORATE_ACTIONS).history_end == WIKI_ENDED


def test_a_database_of_other_things_is_refused() -> None:
    """Only those with raw daily bars can be read."""
    with pytest.raises(ConfigError, match="has no feed 'LBMA'"):
        dialect_of("nasdaq", feed="LBMA").offer(Dataset.BARS_1D)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("QELx01", 429, QuotaExhausted),
        ("QELx02", 429, QuotaExhausted),
        ("QELx03", 429, QuotaExhausted),
        ("QELx02", 200, QuotaExhausted),
        ("QELx04", 429, RateLimited),
        ("QELx05", 429, RateLimited),
        ("QELx06", 422, PayloadError),
        ("QELx07", 414, PayloadError),
        ("QELx08", 413, PayloadError),
        ("QEAx01", 400, BadCredentials),
        ("QEPx04", 403, NotEntitled),
        ("QEPx05", 403, NotEntitled),
        ("QESx08", 422, PayloadError),
        ("QECx02", 404, UnknownSymbol),
        ("QEMx01", 500, TransportError),
        ("QEXx01", 503, TransportError),
        ("", 429, RateLimited),
        ("Q", 400, PayloadError),
        ("", 200, PayloadError),
    ],
)
def test_the_code_decides(code: str, status: int, kind: type[ProviderError]) -> None:
    """A status stands for several codes: 429 is the day's limit or that of ten minutes."""
    error = PROVIDER.classify(respond(refused(code), status))
    assert type(error) is kind
    assert error.status == status


def test_the_ten_minute_limit_leaves_the_wait_to_the_headers() -> None:
    """A Retry-After of the answer is not overruled."""
    error = PROVIDER.classify(respond(refused("QELx04"), 429))
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_a_key_that_is_echoed_is_cut_out() -> None:
    """The message is the vendor's, the key is not ours to print."""
    error = PROVIDER.classify(respond(refused("QEAx01", "Your api_key=Zx81Qw93Lk27Mn is unknown"), 400))
    assert "Zx81Qw93" not in f"{error!r} {error}"


def test_an_unknown_code_names_the_symbol_that_was_asked_for() -> None:
    """The vendor does not say which."""
    error = refusal(want("nasdaq", "ZZTOP"), refused("QECx02"), status=404)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "ZZTOP"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", PayloadError),
        (200, b"<html>", PayloadError),
        (302, b"moved", PayloadError),
        (404, b"gone", PayloadError),
        (401, b"", None),
        (429, b"slow down", None),
        (503, b"", None),
        (500, {"quandl_error": "text"}, None),
    ],
)
def test_what_has_no_code_is_judged_by_its_status(status: int, body: Any, kind: Any) -> None:
    """General statuses are the transport's."""
    error = PROVIDER.classify(respond(body, status))
    assert (type(error) if error else None) is kind


def test_the_recorded_refusals_are_about_the_plan(payloads: Path) -> None:
    """A premium database without a subscription, and without a key."""
    folder = payloads / "nasdaq_data_link" / "beanprice"
    for name in ("test_error_premium.json", "test_error_subscription.json"):
        error = PROVIDER.classify(respond((folder / name).read_bytes(), 403))
        assert isinstance(error, NotEntitled), name


def test_the_quoted_refusals_are_understood(payloads: Path) -> None:
    """Every body that was observed live is named as what it was."""
    lines = (payloads / "_quoted" / "error_bodies.ndjson").read_text(encoding="utf-8").splitlines()
    quoted = [entry for entry in map(json.loads, lines) if entry["provider"] == "nasdaq_data_link"]
    kinds = [type(PROVIDER.classify(respond(entry["body"], entry["http_status"]))) for entry in quoted]
    assert kinds == [NotEntitled, PayloadError, RateLimited]


def test_metadata_is_one_row() -> None:
    """The name without what the series contains, and the oldest date."""
    page = decode(WHO, {"dataset": METADATA})
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    (row,) = rows(page, Dataset.INSTRUMENTS)
    assert (row["name"], row["first_trade"]) == ("Alphabet Inc", dt.date(2004, 8, 19))
    assert (row["session"], row["source"], row["currency"]) == (dt.date(2018, 3, 23), "nasdaq/WIKI", None)


@pytest.mark.parametrize(("field", "value"), [("name", None), ("name", 7), ("oldest_available_date", "soon")])
def test_metadata_that_lacks_a_fact_has_a_null(field: str, value: Any) -> None:
    """What cannot be read is not known."""
    (row,) = rows(decode(WHO, {"dataset": {**METADATA, field: value}}), Dataset.INSTRUMENTS)
    assert (row["name"] is None) == (field == "name")
    assert (row["first_trade"] is None) == (field != "name")


@pytest.mark.parametrize(
    "body",
    [{}, [], {"dataset": []}, {"dataset": {}}, {"dataset": {**METADATA, "dataset_code": "AAPL"}}],
    ids=str,
)
def test_another_series_metadata_is_refused(body: Any) -> None:
    """It says which series it is of."""
    assert isinstance(refusal(WHO, body), PayloadError)
