"""URLs and credentials: what is sent, what is shown, and where a key may follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.config import Secrets
from mdc_resources.domain.errors import BadCredentials
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.transport.addresses import masked_url, real_headers, real_url, redirected, same_origin

SECRETS = Secrets({"KEY": "SEKRET_9d81bb", "EMPTY": ""})


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("https://a.test/x", "https://a.test/y?z=1", True),
        ("https://a.test/x", "https://a.test:443/y", True),
        ("https://a.test/x", "https://A.TEST/y", True),
        ("http://a.test/x", "https://a.test/y", False),
        ("https://a.test/x", "https://a.test:8443/y", False),
        ("https://a.test/x", "https://b.a.test/y", False),
        ("https://a.test/x", "https://a.test.evil.test/y", False),
        ("https://a.test/x", "https://a.test@evil.test/y", False),
        ("https://a.test/x", "file://a.test/y", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(first: str, second: str, same: bool) -> None:
    """Look-alike hosts, other ports and other schemes are elsewhere."""
    assert same_origin(first, second) is same


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/y?b=2", "https://a.test/y?b=2"),
        ("y", "https://a.test/dir/y"),
        ("?b=2", "https://a.test/dir/x?b=2"),
        ("//c.test/y", "https://c.test/y"),
        ("https://a.test/y?key=SEKRET_9d81bb&b=2#top", "https://a.test/y?b=2"),
    ],
)
def test_a_location_is_resolved(location: str, url: str) -> None:
    """Relative ones against the request, as RFC 3986 has it; the vendor's copy of the key is dropped."""
    wire = HttpRequest("https://a.test/dir/x", params=(("a", "1"),), query_auth=(("key", "KEY"),))
    target = redirected(wire, location)
    assert target.url.rstrip("?") == url
    assert (target.params, target.query_auth) == ((), wire.query_auth)


@pytest.mark.parametrize("location", ["http://[", "http://a:b:c/"])
def test_what_is_no_url_is_refused(location: str) -> None:
    """Garbage in a Location header is a ValueError, whatever the parser calls it."""
    with pytest.raises(ValueError, match=r".+"):
        redirected(HttpRequest("https://a.test/x"), location)


def test_credentials_come_from_a_file_too(tmp_path: object) -> None:
    """``KEY_FILE`` names a file; its line end is not part of the key."""
    from pathlib import Path

    file = Path(str(tmp_path)) / "key"
    file.write_text("SEKRET_from_file\n", encoding="utf-8")
    secrets = Secrets({"KEY_FILE": str(file)})
    wire = HttpRequest("https://a.test/x", auth=(("x-key", "KEY"),))
    assert real_headers(wire, secrets, provider="acme") == (("x-key", "SEKRET_from_file"),)


def test_an_empty_credential_is_a_missing_one() -> None:
    """``KEY=`` in ``.env`` is the template's line, not a key."""
    with pytest.raises(BadCredentials, match="EMPTY is not set"):
        real_url(HttpRequest("https://a.test/x", query_auth=(("k", "EMPTY"),)), SECRETS, provider="acme")


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(params=st.lists(st.tuples(_WORDS, _WORDS), max_size=5))
def test_parameters_survive_the_url(params: list[tuple[str, str]]) -> None:
    """Whatever a symbol or date looks like, the vendor reads back what was meant."""
    wire = HttpRequest("https://a.test/x?own=1", params=tuple(params))
    kept = [pair for pair in params if pair[0] != "own"]
    sent = [
        pair for pair in real_url(wire, SECRETS, provider="acme").params.multi_items() if pair[0] != "own"
    ]
    assert sorted(sent) == sorted(kept)


@given(params=st.lists(st.tuples(_WORDS, _WORDS), max_size=5))
def test_what_is_shown_never_holds_the_key(params: list[tuple[str, str]]) -> None:
    """The shown URL differs from the sent one by the mask."""
    wire = HttpRequest("https://a.test/x", params=tuple(params), query_auth=(("k", "KEY"),))
    assert "SEKRET_9d81bb" in str(real_url(wire, SECRETS, provider="acme"))
    assert "SEKRET" not in masked_url(wire)
