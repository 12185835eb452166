"""Enabling a provider in the text of ``mdc.toml`` without touching anything else in it.

The edited text is parsed and compared with the old one: only ``providers.NAME.enabled`` may differ.
Where the file is written in a way that cannot be edited so, the answer is None and a person does it.
"""

from __future__ import annotations

import re
import tomllib

_HEADER = re.compile(r"\s*\[")
_ENABLED = re.compile(r"(\s*enabled\s*=\s*)(true|false)(\s*(#.*)?)")


def section_of(name: str) -> str:
    """The two lines that enable provider ``name``."""
    return f"[providers.{name}]\nenabled = true\n"


def with_provider(text: str, name: str) -> str | None:
    """``text`` with provider ``name`` enabled; ``text`` itself if it is; None if it cannot be edited."""
    before = tomllib.loads(text)
    providers = before.get("providers", {})
    section = providers.get(name) if isinstance(providers, dict) else None
    if isinstance(section, dict) and section.get("enabled", True) is True:
        return text
    changed = _switched(text, name) if section is not None else _appended(text, name)
    if changed is None:
        return None
    wanted = {**before, "providers": {**providers, name: {**(section or {}), "enabled": True}}}
    try:
        return changed if tomllib.loads(changed) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def _appended(text: str, name: str) -> str:
    gap = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{gap}\n{section_of(name)}"


def _switched(text: str, name: str) -> str | None:
    """``enabled = false`` of the section turned to true; its comment stays."""
    lines = text.split("\n")
    header = re.compile(rf"\s*\[\s*providers\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]\s*(#.*)?")
    start = next((at for at, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        return None
    for at in range(start + 1, len(lines)):
        if _HEADER.match(lines[at]):
            break
        if found := _ENABLED.fullmatch(lines[at]):
            lines[at] = f"{found[1]}true{found[3]}"
            return "\n".join(lines)
    return None
