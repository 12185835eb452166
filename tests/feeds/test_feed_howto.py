"""The recipe for a feed names what there is: modules, commands, interfaces, and one that can be copied."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mdc_resources.providers import live
from mdc_resources.providers.live import LiveSpec, Sink
from tests.feeds import matrix

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "add-a-feed.md").read_text(encoding="utf-8")


def test_every_path_on_the_page_exists() -> None:
    """Modules, folders and documents, but for those that the reader is to write."""
    paths = re.findall(r"`((?:mdc_resources|tests|docs)/[^`]+)`", PAGE)
    written = [path for path in paths if "acme" in path]
    assert written == ["tests/feeds/tapes/acme.json"]
    assert all((ROOT / path).exists() for path in paths if path not in written)
    assert (ROOT / "mdc_resources" / "providers" / "decoding" / "live_text.py").exists()


def test_there_are_at_most_ten_steps() -> None:
    """Numbered without a gap."""
    steps = [int(number) for number in re.findall(r"^(\d+)\. \*\*", PAGE, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) <= 10


@pytest.mark.parametrize("field", ["market", "identities", "silence", "decoder_version"])
def test_fields_named_on_the_page_are_those_of_the_spec(field: str) -> None:
    """What the recipe speaks of is what the code declares."""
    assert f"`{field}`" in PAGE
    assert field in LiveSpec.__dataclass_fields__


def test_the_entry_point_group_and_the_commands_are_the_real_ones() -> None:
    """A reader who types them gets what is promised."""
    assert f'[project.entry-points."{live.GROUP}"]' in PAGE
    assert f'[project.entry-points."{live.GROUP}"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "python -m tests.feeds.matrix acme" in PAGE
    assert matrix.PAGE.name in PAGE
    assert callable(Sink.rejected)
    assert callable(Sink.hole)
