"""The recipe of docs/howto/add-a-provider.md, followed literally."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import load
from mdc_resources.providers import registry
from mdc_resources.providers.spec import Provider
from tests.providers.conformance import checks, tapes_of

RECIPE = (Path(__file__).parents[2] / "docs" / "howto" / "add-a-provider.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", RECIPE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The recipe's module, importable, and registered by the recipe's entry point."""
    module = tmp_path / "acme.py"
    module.write_text(_blocks("python")[0], encoding="utf-8")
    ((name, value),) = tomllib.loads(_blocks("toml")[0]).items()
    spec = importlib.util.spec_from_file_location(value.partition(":")[0], module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, loaded)
    spec.loader.exec_module(loaded)

    def entry_points(**_: Any) -> list[EntryPoint]:
        return [EntryPoint(name, value, registry.GROUP)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return registry.provider("acme")


def test_the_recipe_has_at_most_ten_numbered_steps() -> None:
    """Numbered one by one."""
    steps = [int(number) for number in re.findall(r"^(\d+)\. \*\*", RECIPE, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) <= 10


def test_the_recipes_provider_passes_the_conformance_suite(acme: Provider, tmp_path: Path) -> None:
    """The code and the tape on the page are enough for every check."""
    folder = tmp_path / "tapes" / "acme"
    folder.mkdir(parents=True)
    (folder / "week_of_daily_bars.json").write_text(_blocks("json")[0], encoding="utf-8")
    tapes = tapes_of("acme", tmp_path / "tapes")
    assert len(tapes) == 1
    for check in checks():
        check(acme, tapes)


def test_the_recipes_settings_are_valid(tmp_path: Path) -> None:
    """The section for mdc.toml loads."""
    config = tmp_path / "mdc.toml"
    config.write_text(_blocks("toml")[1], encoding="utf-8")
    assert load(config, environ={}).settings.providers["acme"].enabled


def test_every_path_the_recipe_names_exists() -> None:
    """Folders and files, apart from those the reader is about to make."""
    root = Path(__file__).parents[2]
    named = {
        path
        for path in re.findall(r"`((?:tests|mdc_resources|docs)/[\w./-]+)`", RECIPE)
        if "acme" not in path
    }
    assert named
    assert [path for path in sorted(named) if not (root / path).exists()] == []
