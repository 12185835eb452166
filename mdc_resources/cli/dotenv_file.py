"""Changing single values of a ``.env`` file while everything else in it stays as it was typed.

The new text is read back with the reader the archive uses: unless it then says exactly the new values
and all the old ones, it is refused. Texts only; nothing here prints, logs or writes a value.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from mdc_resources.domain.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def with_values(text: str, values: Mapping[str, str]) -> str:
    """``text`` of a ``.env`` file changed so that it says ``values``.

    A line that sets a name is replaced (the last one, which counts), else a commented one
    (``# NAME=``), else a line is added.

    Raises:
        UsageError: a name is none, or a value cannot be said in such a file; it is not repeated.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:40]!a} is not the name of a variable")
        line = f"{name}={_quoted(value)}"
        at = _place(lines, name)
        if at is None:
            lines.append(line)
        else:
            lines[at] = line
    changed = "\n".join(lines) + "\n"
    before, after = read_values(text), read_values(changed)
    if {n: v for n, v in before.items() if n not in values} != {
        n: v for n, v in after.items() if n not in values
    }:
        raise UsageError(
            "the .env file would say something else about other names",
            hint="It has a value of several lines; add the new one by hand",
        )
    for name, value in values.items():
        if after.get(name) != value:
            raise UsageError(
                f"the value of {name} cannot be written to a .env file",
                hint=f"Put it into a file of its own and that file's path into {name}_FILE",
            )
    return changed


def read_values(text: str) -> dict[str, str]:
    """What ``text`` says, as the archive reads it."""
    from dotenv import dotenv_values

    return {
        name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None
    }


def _place(lines: list[str], name: str) -> int | None:
    """The line to replace: the last that sets ``name``, else the last that has it commented out."""
    sets = re.compile(rf"\s*(export\s+)?{re.escape(name)}\s*(=.*)?")
    commented = re.compile(rf"\s*#\s*{re.escape(name)}\s*=\s*")
    for pattern in (sets, commented):
        for at in range(len(lines) - 1, -1, -1):
            if pattern.fullmatch(lines[at]):
                return at
    return None


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
