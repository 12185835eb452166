"""``mdc providers setup``: asks for a provider's credentials, tries them, and only then writes them.

A value comes from a hidden prompt, from the environment or from lines ``NAME=value`` of standard
input, never from the command line (the shell would remember it), and is never printed. It is tried
with one request through the real transport before ``.env`` is replaced (mode 600, whole or not at
all). A vendor that refuses the key leaves the home as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mdc_resources.cli import config_edit, dotenv_file
from mdc_resources.domain.errors import UsageError
from mdc_resources.telemetry.masking import register_secret

if TYPE_CHECKING:
    from mdc_resources.cli.provider_probe import Probe
    from mdc_resources.config import Home

LONGEST = 4096
_LOCK_SECONDS = 30


class Source(StrEnum):
    """Where values come from."""

    PROMPT = "prompt"
    ENVIRONMENT = "environment"
    STDIN = "stdin"


@dataclass(frozen=True, slots=True)
class Task:
    """What one provider still needs: credentials by variable, and a section that enables it."""

    provider: str
    missing: tuple[str, ...]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one provider. ``written`` are names of variables, never values."""

    provider: str
    ok: bool
    written: tuple[str, ...]
    enabled: bool
    checked: str
    message: str

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "provider": self.provider,
            "ok": self.ok,
            "written": list(self.written),
            "enabled": self.enabled,
            "checked": self.checked,
            "message": self.message,
        }


def tasks(home: Home, names: Sequence[str], source: Source, *, again: bool) -> list[Task]:
    """What is to be done for ``names``, or for every enabled provider that lacks a credential.

    With ``again`` credentials that are set already are asked for too.

    A source of symbols that is no provider (``openfigi``) may be named, too.

    Raises:
        ConfigError: a name is no provider (with the nearest one).
    """
    from mdc_resources.config import ProviderSettings
    from mdc_resources.ingest.candidates import credential_names
    from mdc_resources.providers.registry import provider, provider_names
    from mdc_resources.providers.search import SOURCES

    stored = dotenv_file.read_values(_text(home.root / ".env"))
    known = stored if source is Source.ENVIRONMENT else None
    found = []
    for name in names or sorted(home.settings.providers):
        settings = home.settings.providers.get(name)
        only_search = name in SOURCES and name not in provider_names()
        needed = (
            [variable for _, variable in SOURCES[name].auth]
            if only_search
            else credential_names(provider(name), settings or ProviderSettings())
        )
        # What the environment says is not in the file yet: that is what it is asked to say.
        there = [v for v in needed if (v in known if known is not None else home.secrets.get(v) is not None)]
        missing = tuple(variable for variable in needed if again or variable not in there)
        # What is asked about symbols only has no section that could enable it.
        enabled = only_search or (settings is not None and settings.enabled)
        if names or (enabled and missing):
            found.append(Task(name, missing, enabled))
    return found


def reader(source: Source, ask: Callable[[str], str]) -> Callable[[str], str | None]:
    """How a variable's value is got: asked for, or looked up; None where the source has none.

    Raises:
        UsageError: a prompt without a terminal, or standard input that is no list of NAME=value.
    """
    if source is Source.ENVIRONMENT:
        return lambda name: os.environ.get(name) or None
    if source is Source.STDIN:
        given = _lines(sys.stdin.read(LONGEST * 64))
        return lambda name: given.get(name) or None
    if not sys.stdin.isatty():
        raise UsageError(
            "a key is asked for on a terminal only",
            hint="Use --from-env, or pipe NAME=value lines into --stdin",
        )
    return lambda name: ask(name).strip() or None


def carry_out(
    home: Home, task: Task, values: Mapping[str, str], *, probe: Callable[[Home], Probe] | None
) -> Done:
    """Try ``values`` with ``probe`` (unless None), then write them and enable the provider."""
    for name, value in values.items():
        _require_usable(name, value)
        register_secret(value)
    lacking = [name for name in task.missing if name not in values]
    if lacking:
        return Done(task.provider, False, (), task.enabled, "no", f"no value for {', '.join(lacking)}")
    said, warning = "no", ""
    if probe is not None:
        result = probe(_with(home, task.provider, values))
        said = str(result.verdict)
        if not result.verdict.key_is_good:
            hint = "" if result.verdict == "bad credentials" else "; --no-check writes without asking"
            return Done(task.provider, False, (), task.enabled, said, f"{result.message}{hint}")
        warning = "" if result.ok else f"; {result.message}"
    if values:
        _write(home.root / ".env", values, home.state_dir)
    enabled, told = _enable(home, task)
    return Done(task.provider, True, tuple(values), enabled, said, f"{told}{warning}")


def _with(home: Home, name: str, values: Mapping[str, str]) -> Home:
    """``home`` as it would be with ``values`` and with provider ``name`` enabled; nothing is written."""
    from mdc_resources.config import ProviderSettings, Secrets
    from mdc_resources.providers.registry import provider_names

    secrets = Secrets({**home.secrets.environ, **values})
    if name not in provider_names():
        return replace(home, secrets=secrets)
    settings = home.settings.providers.get(name, ProviderSettings())
    providers = {**home.settings.providers, name: settings.model_copy(update={"enabled": True})}
    return replace(
        home,
        settings=home.settings.model_copy(update={"providers": providers}),
        secrets=secrets,
    )


def _write(path: Path, values: Mapping[str, str], state_dir: Path) -> None:
    """Change ``.env`` whole; two setups at once write one after the other."""
    from filelock import FileLock, Timeout

    from mdc_resources.cli.home_files import replace_file
    from mdc_resources.domain.errors import StorageFailed

    state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state_dir / "dotenv.lock", timeout=_LOCK_SECONDS):
            target = path.resolve()  # a link to a file elsewhere stays a link
            replace_file(target, dotenv_file.with_values(_text(target), values), mode=0o600)
    except Timeout:
        raise StorageFailed(f"another mdc has been writing {path} for {_LOCK_SECONDS} s") from None
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror}") from None


def _enable(home: Home, task: Task) -> tuple[bool, str]:
    """Enable the provider in ``mdc.toml``; where that cannot be edited, say the lines to add."""
    from mdc_resources.cli.home_files import replace_file

    if task.enabled:
        return True, "ready"
    path = home.config_file.resolve()
    changed = config_edit.with_provider(path.read_text(encoding="utf-8"), task.provider)
    by_hand = " / ".join(config_edit.section_of(task.provider).split("\n")).strip(" /")
    if changed is None:
        return False, f"add to {path.name} by hand: {by_hand}"
    try:
        replace_file(path, changed, mode=path.stat().st_mode & 0o777)
    except OSError as error:
        return False, f"{path.name} cannot be written ({error.strerror}); add to it: {by_hand}"
    return True, f"enabled in {path.name}"


def _require_usable(name: str, value: str) -> None:
    if len(value) > LONGEST or not value.isascii() or not value.isprintable() or value != value.strip():
        raise UsageError(
            f"the value given for {name} cannot be a key",
            hint="Copy it again: one line of printable ASCII, without spaces around it",
        )


def _lines(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise UsageError(
                f"line {number} of standard input is not NAME=value", hint="One credential a line, unquoted"
            )
        found[name.strip()] = value.strip()
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
