"""Numbers that Arrow cannot be asked about never reach it, in any provider."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from mdc_resources.providers.decoding.arrow_limits import beyond_arrow
from tests.providers.fuzz import judge, seeds

ABSURD = ["1e-9999999", "1E-12345", "1e99999", "2e+0000000001", "9" * 130, "0." + "7679" * 12]
JSON_SEEDS = [seed for seed in seeds() if seed.body.lstrip()[:1] in (b"{", b"[")]


@pytest.mark.parametrize("number", ABSURD)
def test_absurd_numbers_are_seen(number: str) -> None:
    """A huge exponent, or more digits than a decimal has."""
    assert beyond_arrow(b'{"a":1.5,"b":[' + number.encode() + b"]}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"a":1e-5,"b":[2E-12,-3e-999,6.3896155e+07]}',
        b'{"t":"2024-03-04T14:30:00.123456789Z","i":18446744073709551615}',
        b'{"p":99999999999999999999999999999999999999}',
    ],
)
def test_what_vendors_send_is_left_alone(body: bytes) -> None:
    """38 digits are a decimal, three digits of exponent a small number."""
    assert not beyond_arrow(body)


@pytest.mark.parametrize("seed", JSON_SEEDS, ids=str)
def test_no_decoder_dies_of_one(seed) -> None:
    """In the place of every number of a good answer, one after the other."""
    spots = [m.span() for m in re.finditer(rb"(?<=[:,\[ ])-?\d+(?:\.\d+)?(?=[,\]} ])", seed.body)][:12]
    for start, end in spots:
        for number in (b"1e-9999999", b"9" * 130):
            judge(seed, seed.body[:start] + number + seed.body[end:])


def test_the_reason_for_all_this_still_holds() -> None:
    """Once Arrow survives such a number, this guard can go."""
    script = "import pyarrow as pa; pa.array(['1e-9999999']).cast(pa.decimal128(18, 9))"
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode
    assert died < 0, "Arrow reads it now: remove decoding/arrow_limits.py"
    assert json.loads("1e-9999999") == 0
