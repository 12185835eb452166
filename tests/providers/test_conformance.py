"""Every installed provider passes every check of the conformance suite, and the docs say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.providers.registry import load_providers, provider_names
from mdc_resources.sandbox.server import SandboxServer
from tests.providers.matrix import PAGE, PASSED, declared, outcome, published
from tests.providers.suite import Check, checks, vendors


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    """The vendors, for all checks of one worker."""
    with vendors() as running:
        yield running


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.number)
@pytest.mark.parametrize("name", provider_names())
def test_conformance(name: str, check: Check, server: SandboxServer, tmp_path: Path) -> None:
    """The numbered check holds for the provider, or does not apply for the reason that the docs give."""
    found = outcome(check, name, server, tmp_path)
    assert found == published().get((name, check.number)), "run python -m tests.providers.matrix"
    if found != PASSED:
        pytest.skip(f"{check.number} does not apply to {name}: {found}")


def test_the_checks_are_numbered_without_a_gap() -> None:
    """PC-01 to PC-25."""
    assert [check.number for check in checks()] == [f"PC-{number:02}" for number in range(1, 26)]


def test_the_page_shows_what_the_providers_declare() -> None:
    """Ranks, keys, limits, datasets, markets and history, as the code has them."""
    specs = {name: found.spec for name, found in load_providers().items()}
    assert declared(specs) in PAGE.read_text(encoding="utf-8")
