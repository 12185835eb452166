"""A body that was cut within a secret keeps no part of it that is worth anything."""

from __future__ import annotations

import base64
import secrets

import pytest

from mdc_resources.telemetry.masking import mask_cut, register_secret


@pytest.mark.parametrize("kept", [8, 15, 23, 24])
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "base64"])
def test_the_beginning_of_a_secret_at_the_end_is_masked(kept, encoded):
    """Plain or encoded, with the length of the body kept."""
    secret = secrets.token_hex(12)
    register_secret(secret)
    form = base64.b64encode(secret.encode()) if encoded else secret.encode()
    body = b"your key is " + form[:kept]
    masked = mask_cut(body)
    assert masked == b"your key is " + b"*" * kept


def test_what_only_looks_like_a_beginning_stays():
    """Seven characters are chance; so is the beginning of a secret elsewhere."""
    secret = secrets.token_hex(12)
    register_secret(secret)
    for body in (secret[:7].encode(), secret[:20].encode() + b".", b"", b"plain"):
        assert mask_cut(body) == body
