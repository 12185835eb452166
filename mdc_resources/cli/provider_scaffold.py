"""A new provider from a template: module, dialect, tape, tests, and the two lines that register it.

Works in a checkout of the project, all or nothing: where one of the files exists already or a place
for a line is not found, nothing is written. The template is a whole provider of daily bars that
passes the conformance suite as it is; from there on facts are changed, not plumbing.
"""

from __future__ import annotations

import datetime as dt
import keyword
import re
import string
from dataclasses import dataclass
from pathlib import Path

from mdc_resources.domain.errors import UsageError

_TEMPLATES = Path(__file__).parent / "templates" / "provider"
_NAME = re.compile(r"[a-z][a-z0-9]{1,20}")
_GROUP = '[project.entry-points."mdc.providers"]\n'
_DIALECTS = "DIALECTS: Mapping[str, str] = {\n"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """Files to write, whole, by their path in the checkout."""

    project: Path
    files: dict[Path, str]

    def write(self) -> None:
        """Write all of them."""
        for path, text in self.files.items():
            target = self.project / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def scaffold(name: str, project: Path, *, title: str = "", today: dt.date) -> Scaffold:
    """What a provider called ``name`` needs in the checkout at ``project``.

    Raises:
        UsageError: not a name for a module, taken already, or not a checkout of this project.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name[:40]!a} is not a name for a provider",
            hint="2 to 21 lower-case letters and digits, beginning with a letter: acme",
        )
    words = {
        "name": name,
        "cls": name.capitalize(),
        "title": title or name.capitalize(),
        "key": f"{name.upper()}_API_KEY",
        "today": today.isoformat(),
        "date": f"{today.year}, {today.month}, {today.day}",
    }
    files = {
        Path("mdc_resources", "providers", f"{name}.py"): "provider.py.txt",
        Path("mdc_resources", "sandbox", "dialects", f"{name}.py"): "dialect.py.txt",
        Path("tests", "providers", "tapes", name, "week_of_daily_bars.json"): "tape.json.txt",
        Path("tests", "providers", f"test_{name}.py"): "test.py.txt",
    }
    taken = [path for path in files if (project / path).exists()]
    if taken:
        raise UsageError(f"{taken[0]} exists already", hint="Choose another name, or edit what is there")
    written = {path: _filled(template, words) for path, template in files.items()}
    lines = {
        Path("pyproject.toml"): (_GROUP, f'{name} = "mdc_resources.providers.{name}:PROVIDER"\n'),
        Path("mdc_resources", "sandbox", "dialects", "__init__.py"): (
            _DIALECTS,
            f'    "{name}": "{name}:{words["cls"]}",\n',
        ),
    }
    for path, (after, line) in lines.items():
        written[path] = _with_line(project, path, after, line)
    return Scaffold(project, written)


def checkout_from(folder: Path) -> Path:
    """The checkout that holds ``folder``, found upward; raises UsageError where there is none."""
    for candidate in (folder, *folder.parents):
        settings = candidate / "pyproject.toml"
        if settings.is_file() and _GROUP in settings.read_text(encoding="utf-8"):
            return candidate
    raise UsageError(
        f"{folder} lies in no checkout of this project",
        hint="Clone the project and run it there, or name the clone with --project",
    )


def _filled(template: str, words: dict[str, str]) -> str:
    return string.Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(words)


def _with_line(project: Path, path: Path, after: str, line: str) -> str:
    try:
        text = (project / path).read_text(encoding="utf-8")
    except OSError:
        text = ""
    if after not in text:
        raise UsageError(f"{project / path} has no line {after.strip()!r}", hint="Is this a checkout?")
    return text.replace(after, after + line, 1)
