"""Documents in step with the code: ``python -m tests.docs_drift`` prints what is not, and fails.

Checks that generated pages are current, that relative links lead somewhere, and that every
``mdc`` command a page shows exists.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mdc_resources.lake import reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
_COMMAND = re.compile(r"(?:^|`|bin/|\$)mdc ((?:[a-z]+ ?){1,2})", re.MULTILINE)
MAX_LINES = {"architecture.md": 120}
MAX_DECISION_LINES = 60


def generated() -> Iterator[str]:
    """Pages that are written from the code."""
    if reference.PAGE.read_text(encoding="utf-8") != reference.reference_page():
        yield f"{reference.PAGE.name} differs from the DDL: run python -m mdc_resources.lake.reference"


def links() -> Iterator[str]:
    """Relative links that lead nowhere."""
    for page in PAGES:
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                yield f"{page.relative_to(ROOT)} links to {target}, which does not exist"


def commands() -> Iterator[str]:
    """Commands that are shown and not known."""
    known = _help()
    for page in PAGES:
        for words in _COMMAND.findall(page.read_text(encoding="utf-8")):
            verb = words.split()[0]
            if verb not in known:
                yield f"{page.relative_to(ROOT)} shows `mdc {words.strip()}`, which is no command"


def lengths() -> Iterator[str]:
    """Pages that have outgrown themselves."""
    for page in PAGES:
        if page.parent.name == "reference":
            continue
        limit = MAX_DECISION_LINES if page.parent.name == "decisions" else MAX_LINES.get(page.name, 400)
        if (lines := len(page.read_text(encoding="utf-8").splitlines())) > limit:
            yield f"{page.relative_to(ROOT)} has {lines} lines, at most {limit} are read"


def _help() -> set[str]:
    command = [sys.executable, "-m", "mdc_resources.cli.main", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE))


def main() -> int:
    """Print every finding; 1 if there is one."""
    found = [text for check in (generated, links, commands, lengths) for text in check()]
    sys.stdout.write("\n".join([*found, f"{len(PAGES)} pages, {len(found)} findings", ""]))
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
