"""Masking: by value in every spelling, by name in URLs, and nothing more than that."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.telemetry import mask_bytes, mask_text, mask_url, register_secret
from mdc_resources.telemetry.masking import is_secret_name

SECRET = 'SEKRET/+=& "quoted" 4711'


@pytest.fixture(autouse=True)
def _registered() -> None:
    register_secret(SECRET)


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
    ids=["plain", "url", "url strict", "form", "json", "json slash", "base64", "base64url"],
)
def test_every_spelling_of_a_value(spelling: str) -> None:
    """However a vendor or library wrote it down, it is gone; what is around it stays."""
    assert mask_text(f"<{spelling}>").startswith("<***")
    assert "4711" not in mask_text(spelling)
    masked = mask_bytes(f"<{spelling}>".encode())
    assert len(masked) == len(spelling) + 2
    assert masked[1:-2].strip(b"*=") == b""


@given(st.text())
def test_other_text_is_untouched(text: str) -> None:
    """Masking changes nothing that does not hold a secret."""
    assert mask_text(text) == text
    assert mask_bytes(text.encode("utf-8", "surrogatepass")) == text.encode("utf-8", "surrogatepass")


def test_short_values_are_not_masked() -> None:
    """A key called "demo" must not eat the word from payloads."""
    register_secret("demo")
    register_secret("")
    assert mask_bytes(b"a demo body") == b"a demo body"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/x?a=1&b=2", "https://h/x?a=1&b=2"),
        ("https://h/x?apikey=abc&s=BRK.B", "https://h/x?apikey=***&s=BRK.B"),
        ("https://h/x?API_KEY=abc", "https://h/x?API_KEY=***"),
        ("https://h/x?token=abc&page_token=def", "https://h/x?token=***&page_token=def"),
        ("https://user:pw@h:8/x", "https://***@h:8/x"),
        ("https://h/x?k=abc", "https://h/x?k=***"),
        ("file:///data/A%20B.csv", "file:///data/A%20B.csv"),
        ("", ""),
        ("http://[", "http://["),
    ],
)
def test_urls_for_people(url: str, shown: str) -> None:
    """Named secrets and user info are masked, page tokens and everything else are kept."""
    assert mask_url(url, secret_params=["k"]) == shown


@pytest.mark.parametrize(
    "name", ["Authorization", "APCA-API-KEY-ID", "APCA-API-SECRET-KEY", "X-Api-Key", "Set-Cookie"]
)
def test_names_that_mean_a_secret(name: str) -> None:
    """Headers vendors use for keys."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["page_token", "next_page_token", "symbol", "key", "keys", "tokens", "content-type"]
)
def test_names_that_do_not(name: str) -> None:
    """A page token is data; masking it would break decoding from the archive."""
    assert not is_secret_name(name)
