"""Whatever bytes arrive, a decoder answers with a page or with an error of ours.

The seeds are the tapes: one for each dataset of each provider. ``make fuzz`` lets a coverage-guided
fuzzer do the same for longer (:mod:`tests.providers.fuzz`).
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources.domain.errors import ProviderError
from mdc_resources.providers.registry import provider, provider_names
from tests.providers.asking import respond
from tests.providers.fuzz import Seed, judge, seeds

DRILL = settings(
    max_examples=int(os.environ.get("MDC_FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
SEEDS = seeds()
JSON_SEEDS = [seed for seed in SEEDS if seed.body.lstrip()[:1] in (b"{", b"[")]
each_seed = pytest.mark.parametrize("seed", SEEDS, ids=str)


def test_every_provider_has_seeds() -> None:
    """None is left out of the drill."""
    assert {seed.provider for seed in SEEDS} == set(provider_names())


@each_seed
def test_the_unharmed_body_is_decoded(seed: Seed) -> None:
    """The seeds of the drills below are good answers."""
    judged = judge(seed, seed.body)
    assert not isinstance(judged, ProviderError)
    assert judged.rejected == ()


@each_seed
@DRILL
@given(st.binary(max_size=300))
def test_any_bytes(seed: Seed, body: bytes) -> None:
    """Noise."""
    judge(seed, body)


@each_seed
@DRILL
@given(st.data())
def test_a_good_body_with_bytes_changed(seed: Seed, data: st.DataObject) -> None:
    """Flips, cuts, repeats and insertions anywhere."""
    body = bytearray(seed.body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "repeat", "insert"]))
        if kind == "flip" and body:
            body[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del body[at : at + data.draw(st.integers(1, 60))]
        elif kind == "repeat":
            body[at:at] = body[at : at + data.draw(st.integers(1, 60))]
        else:
            body[at:at] = data.draw(
                st.sampled_from([b"NaN", b"null", b"-", b"1e999", b'"', b"{", b"]", b"\x00", b","])
            )
    judge(seed, bytes(body))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in _paths(child, (*path, key)))]


@pytest.mark.parametrize("seed", JSON_SEEDS, ids=str)
@DRILL
@given(st.data())
def test_a_good_document_with_any_part_replaced(seed: Seed, data: st.DataObject) -> None:
    """Any value, of any type, anywhere in the documented structure."""
    document = json.loads(seed.body)
    path = data.draw(st.sampled_from(_paths(document)))
    value = data.draw(ANYTHING)
    if path:
        target = document
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
    judge(seed, json.dumps(document if path else value).encode())


@pytest.mark.parametrize("name", provider_names())
@DRILL
@given(st.binary(max_size=200), st.sampled_from([200, 204, 301, 400, 401, 403, 404, 422, 429, 500, 503]))
def test_classify_never_fails(name: str, body: bytes, status: int) -> None:
    """Judging an answer raises nothing, whatever it is."""
    error = provider(name).classify(respond(body, status))
    assert error is None or isinstance(error, ProviderError)
