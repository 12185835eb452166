"""The sources of symbols, each against the documented shape of its answer; and against anything else."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.errors import PayloadError, ProviderError, RateLimited
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.search import SOURCES, Found, openfigi

IBM = ("BBG000BLNNH6", "BBG001S5S399")  # as OpenFIGI's own documents have it
ROW = {
    "figi": IBM[0], "name": "INTL BUSINESS MACHINES CORP", "ticker": "IBM", "exchCode": "US",
    "compositeFIGI": IBM[0], "securityType": "Common Stock", "marketSector": "Equity",
    "shareClassFIGI": IBM[1], "securityType2": "Common Stock", "securityDescription": "IBM",
}  # fmt: skip
DOCUMENTED = {
    "polygon": {
        "results": [
            {"ticker": "IBM", "name": "International Business Machines", "market": "stocks", "locale": "us",
             "primary_exchange": "XNYS", "type": "CS", "active": True, "composite_figi": IBM[0],
             "share_class_figi": IBM[1]},
        ],
        "status": "OK", "count": 1, "request_id": "x", "next_url": "https://api.polygon.io/v3/x?cursor=y",
    },
    "alpaca": [
        {"id": "1", "class": "us_equity", "exchange": "NYSE", "symbol": "IBM", "status": "active",
         "name": "International Business Machines Corporation Common Stock", "tradable": True},
        {"id": "2", "class": "us_equity", "exchange": "NASDAQ", "symbol": "AAPL", "name": "Apple Inc.",
         "status": "active"},
    ],
    "finnhub": {
        "count": 1,
        "result": [{"description": "INTL BUSINESS MACHINES CORP", "displaySymbol": "IBM", "symbol": "IBM",
                    "type": "Common Stock"}],
    },
    "openfigi": {"data": [ROW], "next": "QW9Jd2NHOXBiblE="},
}  # fmt: skip
EMPTY = {
    "polygon": {"status": "OK", "request_id": "x"},
    "alpaca": [],
    "finnhub": {"count": 0, "result": []},
    "openfigi": {"warning": "No identifier found."},
}


def answer(document: object, status: int = 200, **headers: str) -> HttpResponse:
    """An answer with ``document`` as JSON, or with bytes as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, body, dt.datetime(2026, 11, 20, tzinfo=dt.UTC))


@pytest.mark.parametrize("name", SOURCES)
def test_a_documented_answer_is_read(name):
    """The symbol, its name, and the FIGIs of those that tell them."""
    (found,) = SOURCES[name].decode(answer(DOCUMENTED[name]), "ibm", 20)
    assert (found.symbol, found.source) == ("IBM", name)
    assert found.name.casefold().startswith("int")
    assert found.composite_figi == (IBM[0] if name in ("polygon", "openfigi") else "")
    assert found.share_class_figi == (IBM[1] if name in ("polygon", "openfigi") else "")


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_found_is_no_error(name):
    """Each vendor says it in its own way."""
    assert SOURCES[name].decode(answer(EMPTY[name]), "ibm", 20) == []
    assert SOURCES[name].classify(answer(EMPTY[name])) is None


@pytest.mark.parametrize("name", SOURCES)
def test_the_request_names_credentials_and_holds_none(name):
    """Keys go into headers, never into the address."""
    wire = SOURCES[name].plan("http://x", "ibm & co", 20)
    assert wire.url.startswith("http://x/")
    assert wire.auth == SOURCES[name].auth
    assert wire.query_auth == ()
    assert (wire.method == "POST") is (name == "openfigi") is bool(wire.body)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "body",
    [b"<html>sign in</html>", b"", b'{"data": 5, "result": 5, "results": 5}', b"[" * 100_000, b'"x"'],
    ids=["html", "empty", "numbers", "deep", "text"],
)
def test_what_is_no_list_of_symbols_is_a_payload_error(name, body):
    """By the dialect or by the decoder, never something untyped."""
    response = answer(body)
    if SOURCES[name].classify(response) is None:
        with pytest.raises(PayloadError):
            SOURCES[name].decode(response, "ibm", 20)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["IBM", "BRK/B", IBM[0]]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "result", "results", "symbol", "ticker", "figi", "name", "error", "warning"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", SOURCES)
@given(document=json_values)
@settings(max_examples=60)
def test_any_json_is_read_or_refused(name, document):
    """Rows of other types are left out."""
    try:
        found = SOURCES[name].decode(answer(document), "ibm", 20)
    except PayloadError:
        return
    assert all(isinstance(item, Found) for item in found)


@given(body=st.binary(max_size=60), status=st.sampled_from([200, 400, 401, 403, 413, 429, 500]))
def test_any_bytes_are_classified(body, status):
    """A ProviderError or None."""
    for source in SOURCES.values():
        error = source.classify(answer(body, status))
        assert error is None or isinstance(error, ProviderError)


def test_vendor_spellings_become_canonical():
    """BRK/B is BRK.B; what is no symbol of ours is left out; names lose what is not printable."""
    rows = [
        {**ROW, "ticker": "BRK/B", "name": "BERKSHIRE\x1b[31m  B"},
        {**ROW, "ticker": "A B C"},
        {**ROW, "ticker": None},
        {**ROW, "ticker": "OK", "figi": "BBG000BLNNH7"},
    ]
    found = SOURCES["openfigi"].decode(answer({"data": rows}), "x", 20)
    assert [(f.symbol, f.figi) for f in found] == [("BRK.B", IBM[0]), ("OK", "")]
    assert found[0].name == "BERKSHIRE [31m B"


def test_alpacas_list_is_searched_here():
    """By the beginning of the ticker and by any part of the name."""
    decode = SOURCES["alpaca"].decode
    assert [f.symbol for f in decode(answer(DOCUMENTED["alpaca"]), "aa", 20)] == ["AAPL"]
    assert [f.symbol for f in decode(answer(DOCUMENTED["alpaca"]), "MACHINES", 20)] == ["IBM"]


def test_jobs_come_in_the_sizes_the_vendor_takes():
    """Ten without a key, a hundred with one; nobody is lost."""
    symbols = [Symbol(f"S{n}") for n in range(205)]
    without, having = (openfigi.batches(symbols, has_key=key) for key in (False, True))
    assert [len(batch) for batch in having] == [100, 100, 5]
    assert max(map(len, without)) == 10
    assert [s for batch in without for s in batch] == symbols
    wire = openfigi.plan_mapping("http://x", [Symbol("BRK.B")], ())
    assert json.loads(wire.body) == [
        {"idType": "TICKER", "idValue": "BRK/B", "exchCode": "US", "marketSecDes": "Equity"}
    ]


def test_a_mapping_is_read_by_place():
    """Data, warning and error each belong to the job of the same place."""
    symbols = [Symbol(s) for s in ("IBM", "ZZZZ", "A", "B", "MSFT")]
    others = [{**ROW, "exchCode": "UN", "figi": "BBG000BLNNV0"}, ROW]
    warning, error = {"warning": "No identifier found."}, {"error": "Invalid idValue format."}
    items = [{"data": others}, warning, error, 7, {"data": [ROW]}]
    mapped = openfigi.decode_mapping(answer(items), symbols)
    assert [m.symbol for m in mapped] == symbols
    assert mapped[0].found is not None
    assert (mapped[0].found.figi, mapped[0].others) == (IBM[0], 1)
    assert [m.reason for m in mapped[1:]] == [
        "No identifier found.",
        "Invalid idValue format.",
        "the answer cannot be read",
        "it answered with other tickers",
    ]


@pytest.mark.parametrize("items", [[], [{"data": []}] * 3, {"data": []}], ids=["short", "long", "object"])
def test_a_mapping_of_another_length_is_refused(items):
    """A shifted answer would give one share another's identifiers."""
    with pytest.raises(PayloadError, match="2 jobs"):
        openfigi.decode_mapping(answer(items), [Symbol("A"), Symbol("B")])


@pytest.mark.parametrize(
    ("reset", "wait"), [("6", 6.0), ("", None), ("-1", None), ("9" * 99, None), ("soon", None)]
)
def test_the_wait_of_a_429_is_read_from_its_headers(reset, wait):
    """``ratelimit-reset``, not Retry-After."""
    error = openfigi.classify(answer(b"Too Many Requests", 429, ratelimit_reset=reset))
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


def test_a_batch_too_large_says_what_to_do():
    """413 is about the jobs, not about the answer."""
    error = openfigi.classify(answer(b"", 413))
    assert isinstance(error, PayloadError)
    assert openfigi.CREDENTIAL in str(error)


def test_the_recorded_mapping_is_read(payloads):
    """OpenFIGI's documented answer about IBM."""
    path = payloads / "_quoted" / "openfigi_v1_mapping_IBM_doc.json"
    if not path.is_file():
        pytest.skip("the recorded mapping is not on this machine")
    (mapped,) = openfigi.decode_mapping(answer(path.read_bytes()), [Symbol("IBM")])
    assert mapped.found is not None
    assert (mapped.found.composite_figi, mapped.found.share_class_figi) == IBM
