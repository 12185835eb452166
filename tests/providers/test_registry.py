"""Providers are found by name, lazily, and never guessed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.errors import ConfigError
from mdc_resources.providers import registry
from mdc_resources.sandbox.dialects import DIALECTS
from tests.providers.conformance import TAPES
from tests.providers.matrix import published

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"


def test_modules_entry_points_dialects_tapes_and_docs_name_the_same_providers() -> None:
    """None of them can be forgotten; files have no vendor, so no dialect, and OpenFIGI is only searched."""
    folder = ROOT / "mdc_resources" / "providers"
    modules = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    on_disk = {
        path.parent.name if path.stem == "__init__" else path.stem
        for path in modules
        if "\nPROVIDER = " in path.read_text(encoding="utf-8")
    }
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert on_disk == set(declared["project"]["entry-points"][registry.GROUP])
    assert on_disk == set(registry.provider_names())
    assert on_disk - {"files"} == set(DIALECTS) - {"openfigi"}
    assert on_disk == {path.name for path in TAPES.iterdir()}
    assert on_disk == {name for name, _ in published()}
    assert {path.stem for path in RECORDED.glob("*.py")} - {"__init__"} == on_disk - {"files"}


def test_all_are_loaded_by_their_names_in_order() -> None:
    """load_providers gives each provider under the name its spec declares."""
    loaded = registry.load_providers()
    assert list(loaded) == sorted(loaded)
    assert all(found.spec.name == name for name, found in loaded.items())


@pytest.mark.parametrize(("typed", "meant"), [("yaho", "yahoo"), ("YAHOO", "yahoo"), ("alpacca", "alpaca")])
def test_an_unknown_name_offers_the_nearest(typed: str, meant: str) -> None:
    """A slip of the finger is answered with the name that was probably meant."""
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        registry.provider(typed)


def test_a_name_like_no_other_lists_what_there_is() -> None:
    """Where nothing is near, the known names are listed."""
    with pytest.raises(ConfigError, match="Known: alpaca, alphavantage"):
        registry.provider("zzzzzzzz")


def test_a_hostile_name_is_shown_escaped_and_cut() -> None:
    """A name cannot forge a line of the log."""
    with pytest.raises(ConfigError) as caught:
        registry.provider("\n" + "x" * 500)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_naming_providers_imports_none_of_them() -> None:
    """The names come from metadata alone."""
    script = (
        "import sys; from mdc_resources.providers import registry; registry.provider_names();"
        "print([m for m in sys.modules if m.endswith(('.yahoo', '.stooq', '.alpaca', '.files'))])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def _installed(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in points]

    def entry_points(**_: Any) -> list[EntryPoint]:
        return found

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_a_provider_that_cannot_be_imported_names_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken plug-in is an error that says which, not a missing provider."""
    _installed(monkeypatch, ("acme", "no_such_package.acme:PROVIDER"))
    with pytest.raises(ConfigError, match=r"'acme' \(no_such_package\.acme:PROVIDER\) cannot be loaded"):
        registry.provider("acme")


def test_two_packages_cannot_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name means one provider: a second claim to it is refused."""
    _installed(monkeypatch, ("yahoo", "mdc_resources.providers.yahoo:PROVIDER"), ("yahoo", "other.yahoo:P"))
    with pytest.raises(ConfigError, match="two packages provide 'yahoo'"):
        registry.load_providers()


def test_an_object_that_is_no_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point must lead to a provider of that very name."""
    _installed(monkeypatch, ("acme", "mdc_resources.providers.yahoo:PROVIDER"))
    with pytest.raises(ConfigError, match="is not a provider called 'acme'"):
        registry.provider("acme")
