"""Every installed provider passes every check of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mdc_resources.providers.registry import provider, provider_names
from mdc_resources.providers.spec import Provider
from tests.providers.conformance import TAPES, Tape, checks, tapes_of


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", provider_names())
def test_conformance(name: str, check: Callable[[Provider, list[Tape]], None]) -> None:
    """The numbered check holds for the provider."""
    check(provider(name), tapes_of(name))


def test_every_folder_of_tapes_belongs_to_a_provider() -> None:
    """A misspelt folder would be tested by nobody."""
    assert {folder.name for folder in TAPES.iterdir()} <= set(provider_names())
