"""``mdc providers new``: a provider from a template, in a checkout, all or nothing."""

from __future__ import annotations

import ast
import datetime as dt
import tomllib
from pathlib import Path

import pytest

from mdc_resources.cli.provider_scaffold import checkout_from, scaffold
from mdc_resources.domain.errors import ExitCode, UsageError
from tests.cli.running import run_process

TODAY = dt.date(2026, 11, 20)
ENTRY_POINTS = '[project]\nname = "mdc"\n\n[project.entry-points."mdc.providers"]\nyahoo = "m:PROVIDER"\n'
DIALECTS = 'DIALECTS: Mapping[str, str] = {\n    "yahoo": "yahoo:Yahoo",\n}\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The two files of a clone that get a line."""
    folder = tmp_path / "clone"
    dialects = folder / "mdc_resources" / "sandbox" / "dialects"
    dialects.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(ENTRY_POINTS, encoding="utf-8")
    (dialects / "__init__.py").write_text(DIALECTS, encoding="utf-8")
    return folder


def _files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in found}


def test_everything_a_provider_needs_is_written(checkout: Path) -> None:
    """Module, dialect, tape, tests, and one line in each registry; all Python parses."""
    scaffold("acme", checkout, title="Acme Data", today=TODAY).write()
    written = _files(checkout)
    assert {
        "mdc_resources/providers/acme.py",
        "mdc_resources/sandbox/dialects/acme.py",
        "tests/providers/tapes/acme/week_of_daily_bars.json",
        "tests/providers/test_acme.py",
    } <= set(written)
    for name, text in written.items():
        if name.endswith(".py"):
            ast.parse(text)
        assert "$" not in text, name
    module = written["mdc_resources/providers/acme.py"]
    assert module.startswith('"""Acme Data: daily bars')
    assert 'credentials=("ACME_API_KEY",)' in module
    assert "dt.date(2026, 11, 20)" in module


def test_what_was_registered_stays(checkout: Path) -> None:
    """The lines of others are kept, the new one is valid."""
    scaffold("acme", checkout, today=TODAY).write()
    points = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    assert points["project"]["entry-points"]["mdc.providers"] == {
        "acme": "mdc_resources.providers.acme:PROVIDER",
        "yahoo": "m:PROVIDER",
    }
    table = (checkout / "mdc_resources/sandbox/dialects/__init__.py").read_text(encoding="utf-8")
    assert '    "acme": "acme:Acme",\n    "yahoo": "yahoo:Yahoo",\n' in table


@pytest.mark.parametrize(
    "name",
    ["", "A", "Acme", "a", "1acme", "acme-two", "../acme", "acme.py", "class", "x" * 22, "ácme", "a\nb"],
)
def test_a_name_that_cannot_be_a_module_is_refused(checkout: Path, name: str) -> None:
    """Lower-case letters and digits; no path, no keyword."""
    before = _files(checkout)
    with pytest.raises(UsageError, match="is not a name"):
        scaffold(name, checkout, today=TODAY)
    assert _files(checkout) == before


def test_a_provider_that_is_there_is_never_overwritten(checkout: Path) -> None:
    """The second time is an error that names the file."""
    made = scaffold("acme", checkout, today=TODAY)
    made.write()
    before = _files(checkout)
    with pytest.raises(UsageError, match=r"acme\.py exists already"):
        scaffold("acme", checkout, today=TODAY)
    assert _files(checkout) == before


def test_a_folder_that_lacks_a_registry_is_left_alone(checkout: Path) -> None:
    """All or nothing: the files are not written where a line would find no place."""
    (checkout / "mdc_resources/sandbox/dialects/__init__.py").write_text("", encoding="utf-8")
    before = _files(checkout)
    with pytest.raises(UsageError, match="has no line"):
        scaffold("acme", checkout, today=TODAY)
    assert _files(checkout) == before


def test_the_checkout_is_found_upward(checkout: Path, tmp_path: Path) -> None:
    """From any folder inside it, and from none outside."""
    assert checkout_from(checkout / "mdc_resources" / "sandbox") == checkout
    with pytest.raises(UsageError, match="lies in no checkout"):
        checkout_from(tmp_path)


def test_the_command_says_what_it_wrote(checkout: Path) -> None:
    """Every path, and what to do next; a dry run writes none of them."""
    before = _files(checkout)
    dry = run_process("providers", "new", "acme", "--project", str(checkout), "--dry-run")
    assert dry.code == 0
    assert dry.out.count("would write") == 6
    assert _files(checkout) == before
    said = run_process("providers", "new", "acme", "--project", str(checkout))
    assert said.code == 0, said.err
    assert said.out.count("wrote ") == 6
    assert "make install" in said.out


def test_the_command_refuses_with_exit_code_2(tmp_path: Path) -> None:
    """Outside a checkout, and for a bad name."""
    said = run_process("providers", "new", "acme", "--project", str(tmp_path))
    assert (said.code, "lies in no checkout" in said.err) == (ExitCode.USAGE, True)
