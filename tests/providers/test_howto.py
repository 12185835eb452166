"""The recipe of docs/howto/add-a-provider.md, followed literally in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import tomllib
from pathlib import Path

import pytest

from mdc_resources.config import load

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs" / "howto" / "add-a-provider.md").read_text(encoding="utf-8")
COPIED = ("mdc_assets", "mdc_resources", "mdc_streaming", "tests", "docs", "mdc.py", "pyproject.toml")
COPIED_TOO = ("Makefile", "README.md", "requirements.lock")


def _blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", RECIPE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files with a virtual environment that borrows this one's packages."""
    folder = tmp_path_factory.mktemp("clone") / "mdc"
    folder.mkdir()
    for name in (*COPIED, *COPIED_TOO):
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=ignored) if source.is_dir() else shutil.copy(
            source, folder / name
        )
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    site = next((folder / ".venv" / "lib").glob("python*")) / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def _follow(clone: Path, command: str) -> str:
    path = (
        f"{clone / '.venv' / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MDC"))}
    words = command.replace("pytest ", "python -m pytest -p no:cacheprovider ", 1)
    if words.startswith("mdc "):
        words = words.replace("mdc ", "python -m mdc_resources.cli.main ", 1)
    ran = subprocess.run(
        words,
        shell=True,
        cwd=clone,
        env={**environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


@pytest.mark.slow
def test_the_recipe_is_followed_to_a_provider_that_passes(clone: Path) -> None:
    """Every command of the page in order: scaffold, install, suite, traps, fuzzer."""
    commands = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(commands) == 5
    said = [_follow(clone, command) for command in commands]
    assert "wrote mdc_resources/providers/acme.py" in said[0]
    assert "25 outcomes, 0 failed" in said[2]
    assert re.search(r"\d+ passed", said[3])
    assert "failed" not in said[3]
    assert "nothing found" in said[4]
    assert "| acme | bars_1d |" in (clone / "docs" / "providers.md").read_text(encoding="utf-8")


def test_the_recipe_has_at_most_ten_numbered_steps() -> None:
    """Numbered one by one."""
    steps = [int(number) for number in re.findall(r"^(\d+)\. \*\*", RECIPE, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) <= 10


def test_the_recipes_settings_are_valid(tmp_path: Path) -> None:
    """The section for mdc.toml loads."""
    config = tmp_path / "mdc.toml"
    (section,) = _blocks("toml")
    assert tomllib.loads(section)
    config.write_text(section, encoding="utf-8")
    assert load(config, environ={}).settings.providers["acme"].enabled


def test_every_path_the_recipe_names_exists() -> None:
    """Folders and files, apart from those the reader is about to make."""
    named = {
        path
        for path in re.findall(r"`((?:tests|mdc_resources|docs)/[\w./-]+)`", RECIPE)
        if "acme" not in path
    }
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
