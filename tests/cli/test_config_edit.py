"""Enabling a provider in ``mdc.toml``: the file stays as a person wrote it."""

from __future__ import annotations

import tomllib

import pytest

from mdc_resources.cli.config_edit import section_of, with_provider
from mdc_resources.cli.home_templates import config_text


@pytest.mark.parametrize("sandbox", [True, False], ids=["sandbox", "real"])
def test_a_fresh_config_gains_two_lines(sandbox):
    """Comments and all stay."""
    text = config_text(sandbox=sandbox, port=1)
    changed = with_provider(text, "polygon")
    assert changed == text + "\n" + section_of("polygon")
    assert tomllib.loads(changed)["providers"]["polygon"] == {"enabled": True}


def test_a_disabled_section_is_switched_on_and_keeps_its_comment():
    """Nothing else in it moves."""
    text = "[providers.alpaca]   # mine\nrank = 5\nenabled = false  # no key yet\nfeed = 'iex'\n[lake]\n"
    assert with_provider(text, "alpaca") == text.replace("enabled = false", "enabled = true")


@pytest.mark.parametrize(
    "text", ["[providers.x]\n", "[providers.x]\nenabled = true\n", "[providers]\nx = {}\n"]
)
def test_what_is_enabled_already_is_left_alone(text):
    """A section without the key is enabled."""
    assert with_provider(text, "x") == text


@pytest.mark.parametrize(
    "text",
    [
        "[providers]\nx = { enabled = false }\n",
        "providers.x.enabled = false\n",
        "[providers]\nx.enabled = false\n",
        "providers = { y = {} }\n",
    ],
    ids=["inline", "dotted", "half-dotted", "inline-all"],
)
def test_what_cannot_be_edited_safely_is_left_to_a_person(text):
    """None rather than a guess."""
    assert with_provider(text, "x") is None


def test_the_enabled_of_another_section_is_not_taken():
    """The search ends where the section does."""
    text = "[providers.x]\nrank = 1\n[providers.y]\nenabled = false\n"
    assert with_provider(text, "x") == text
    both = "[providers.x]\n'enabled' = false\n[providers.y]\nenabled = false\n"
    assert with_provider(both, "x") is None


def test_a_text_block_that_looks_like_a_section_is_seen_through():
    """The parse afterwards tells."""
    text = 'a = """\n[providers.x]\nenabled = false\n"""\n[providers.x]\nenabled = false\n'
    assert with_provider(text, "x") is None
