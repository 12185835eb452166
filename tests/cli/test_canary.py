"""A canary in every credential of every provider: whatever goes wrong, no byte written holds it.

Each provider's answers echo its own keys, in the spellings a vendor might use, while backfills (with
and without Dagster), probes and reports run in processes of their own. Then every byte below the home
is searched, compressed ones too, and everything that was said.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq
import pytest

from mdc_resources.cli.dotenv_file import read_values
from mdc_resources.providers.registry import load_providers
from mdc_resources.providers.search import openfigi
from mdc_resources.telemetry.masking import mask_bytes

SESSIONS = ("--start", "2024-01-03", "--end", "2024-01-03")
RANGES = {"nasdaq": ("--start", "2017-01-04", "--end", "2017-01-04")}
QUOTA = "We have detected your API key as {key} and our standard API rate limit is 25 requests per day."
ECHO = json.dumps({"Information": QUOTA, "as": ["{key}", "{b64}", "{url}", "{plus}"], "error": "{key}"})
FAULTS = {
    "401": ("status", {"status": 401, "body": ECHO}),
    "403": ("status", {"status": 403, "body": ECHO}),
    "429-quota": ("status", {"status": 429, "retry_after": "99999", "body": ECHO}),
    "500": ("status", {"status": 500, "body": "Traceback: invalid key {key} ({b64})"}),
    "200-quota": ("error200", {"body": ECHO}),
    "200-html": ("html200", {"body": "<html>your key {key}, again {url}</html>"}),
    "elsewhere": ("redirect", {"location": "http://127.0.0.1:9/x?apikey={url}&again={b64}#{key}"}),
    "reset": ("reset", {"after_bytes": 40}),
}


def spellings(key: str) -> Mapping[str, str]:
    """How a vendor may write ``key``."""
    encoded = base64.b64encode(key.encode()).decode()
    return {"{key}": key, "{b64}": encoded, "{url}": quote(key, safe=""), "{plus}": quote_plus(key)}


def filled(value: object, key: str) -> object:
    """``value`` with the places for the key filled in."""
    if isinstance(value, str):
        for place, text in spellings(key).items():
            value = value.replace(place, text)
    return value


def needles(keys: Mapping[str, str]) -> dict[bytes, str]:
    """Everything to look for: each key, its random part, and base64 at each of the three offsets."""
    found: dict[bytes, str] = {}
    for name, key in keys.items():
        random = key.partition("_")[2].partition("/")[0]
        for form in (*spellings(key).values(), random):
            found[form.encode()] = name
        for shift in range(3):
            inner = base64.b64encode(b"x" * shift + key.encode())
            found[inner[4 : len(inner) - 4]] = f"{name} in base64"
    return found


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below ``root``, as it is and unpacked; ``.env`` alone may hold keys."""
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path == root / ".env":
            continue
        raw = path.read_bytes()
        yield str(path.relative_to(root)), raw
        if path.suffix == ".parquet":
            yield f"{path.name} (unpacked)", repr(pq.read_table(path).to_pylist()).encode()
        with contextlib.suppress(zlib.error):  # zlib or gzip by its head, or neither
            yield f"{path.name} (unpacked)", zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw)


@pytest.fixture
def keys(mdc) -> dict[str, str]:
    """A home where every provider is asked at the sandbox with a canary per credential."""
    names = {name: p.spec.credentials for name, p in load_providers().items() if p.spec.credentials}
    names["openfigi"] = (openfigi.CREDENTIAL,)
    values = {
        name: f"SEKRET_{secrets.token_hex(12)}{'/+=&' if at % 2 else ''}"
        for at, name in enumerate(sorted(n for several in names.values() for n in several))
    }
    sections = "".join(
        f'\n[providers.{name}]\nbase_url = "{mdc.server.url}/{name}"\nlimits = {{ minute = 9000 }}\n'
        for name in names
        if name not in ("alpaca", "openfigi")
    )
    mdc.append(
        sections + "\n[transport]\nmax_attempts = 2\ndeadline_seconds = 5\nmax_retry_after_seconds = 1\n"
    )
    lines = "".join(f"{name}='{value}'\n" for name, value in values.items())
    (mdc.root / ".env").write_text(f"DAGSTER_HOME={mdc.root}/dagster_home\n{lines}")
    assert read_values((mdc.root / ".env").read_text()).items() >= values.items()
    return values


def break_all(mdc, keys: Mapping[str, str], kind: str, params: Mapping[str, object]) -> list[str]:
    """Every provider that has keys answers with ``kind``, echoing its own; returns their names."""
    mdc.server.clear_faults()
    keyed = [name for name, provider in load_providers().items() if provider.spec.credentials]
    for name in keyed:
        for variable in load_providers()[name].spec.credentials:
            echoing = {field: filled(value, keys[variable]) for field, value in params.items()}
            mdc.server.add_fault(name, kind, every=1, params=echoing)
    echoing = {field: filled(value, keys[openfigi.CREDENTIAL]) for field, value in params.items()}
    mdc.server.add_fault("openfigi", kind, every=1, params=echoing)
    return keyed


def found_in(written: Iterator[tuple[str, bytes]], wanted: Mapping[bytes, str]) -> list[str]:
    """Where a key was found, and which."""
    return [
        f"{key} in {place}" for place, content in written for form, key in wanted.items() if form in content
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_byte_that_is_written_holds_a_key(mdc, keys):
    """Backfills that fail in every way, with Dagster and without; checks and lists after it."""
    said: list[tuple[str, bytes]] = []
    asked: set[str] = set()

    def run(*words: str) -> None:
        ran = mdc.process("--verbose", *words)
        said.append((" ".join(words), ran.raw + ran.err.encode()))
        assert ran.code in (0, 1, 3), (words, ran.err)

    for at, (kind, params) in enumerate(FAULTS.values()):
        keyed = break_all(mdc, keys, kind, params)
        name = keyed[at % len(keyed)]
        run("backfill", f"A{at}", "--provider", name, "--direct", *RANGES.get(name, SESSIONS))
        run("providers", "check", *keyed, "--json")
        run("symbols", "search", f"apple{at}", "--json")
        asked.update(mdc.server.requests()["providers"])
        forget_breakers(mdc)
    break_all(mdc, keys, *FAULTS["200-quota"])
    run("backfill", "B1,B2", *SESSIONS)  # a Dagster run, through all of the market
    break_all(mdc, keys, *FAULTS["401"])
    forget_breakers(mdc)
    run("backfill", "C1", "--provider", "polygon", *SESSIONS)
    for words in (["providers", "list"], ["providers", "list", "--json"], ["config", "show", "--json"]):
        run(*words)
    run("doctor", "--json")
    run("symbols", "identify", "AAPL", "MSFT")
    mdc.server.clear_faults()
    run("symbols", "identify", "AAPL", "MSFT")
    refused = mdc(
        "providers",
        "setup",
        "polygon",
        "--again",
        "--stdin",
        stdin=f"POLYGON_API_KEY=bad_{keys['POLYGON_API_KEY']}",
    )
    said.append(("setup", refused.raw + refused.err.encode()))
    assert refused.code == 3
    run("explain", "B1", "2024-01-03", "--dataset", "bars_1d")
    assert asked >= {*keyed, "openfigi"}

    wanted = needles(keys)
    archived = [path for path in mdc.root.rglob("*.warc") if b"SEKRET" in path.read_bytes()]
    assert archived == []
    assert any(b"detected your API key as ***" in path.read_bytes() for path in mdc.root.rglob("*.warc"))
    events = [path.read_bytes() for path in (mdc.root / "dagster_home").rglob("*.db")]
    assert any(b"STEP_START" in content for content in events), "a Dagster run was among them"
    written = [*contents(mdc.root), *said]
    assert len(written) > 30
    assert found_in(iter(written), wanted) == []


def test_the_search_finds_what_is_there(tmp_path, keys):
    """The test above is worth something: a key that was written in any of these ways is found."""
    name, key = next(iter(keys.items()))
    for form in (*spellings(key).values(), f"x{key}y"):
        for packed in (form.encode(), gzip.compress(form.encode()), zlib.compress(form.encode())):
            (tmp_path / "leak").write_bytes(packed)
            assert found_in(contents(tmp_path), needles(keys)), (name, form)
    (tmp_path / "leak").write_bytes(base64.b64encode(b"Bearer:" + key.encode()))
    assert found_in(contents(tmp_path), needles(keys))
    assert mask_bytes(b"nothing") == b"nothing"


def forget_breakers(mdc) -> None:
    """The next fault is met as well: a breaker would keep it away."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(mdc.root / "state" / "mdc.sqlite")) as state, state:
        state.execute("DELETE FROM breakers")
