"""What the types of the settings cannot say: names that must exist, ranks, paths, literal secrets.

:func:`findings` lists everything for ``mdc config check`` and ``mdc doctor``; :func:`require_sound`
raises the first error before a command fetches or serves anything.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mdc_resources.cli.selection import nearest
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home

_SECRET_KEY = re.compile(r"(key|secret|token|password)$", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|[A-Z]{3,20}")
_UNIVERSE = re.compile(r"[a-z][a-z0-9_]{0,30}")
_URL_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One thing wrong with a setting; ``level`` is ``error`` or ``warning``."""

    level: str
    key: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return asdict(self)


def findings(home: Home) -> list[ConfigFinding]:
    """Everything wrong with the settings of ``home``, errors first."""
    found = [
        *_paths(home),
        *_names(home),
        *_ranks(home),
        *_credentials(home),
        *_calendars(home),
        *_unasked(home),
    ]
    return sorted(found, key=lambda finding: finding.level != "error")


def require_sound(home: Home) -> None:
    """Raise the first error of :func:`findings` that is cheap to find; warnings pass."""
    found = [
        *literal_secrets(home.config_file),
        *_paths(home),
        *_names(home),
        *_ranks(home),
        *_unasked(home),
    ]
    for finding in found:
        if finding.level == "error":
            raise ConfigError(f"{finding.key}: {finding.message}", key=finding.key, hint=finding.hint)


def require_offered(home: Home, dataset: Dataset, provider: str | None) -> None:
    """UsageError unless some enabled provider (or ``provider``) offers ``dataset``."""
    from mdc_resources.providers.registry import load_providers

    known = load_providers()
    if provider is not None and provider not in known:
        raise UsageError(f"there is no provider {provider[:40]!a}", hint=nearest(provider, known))
    enabled = [
        name for name, settings in home.settings.providers.items() if settings.enabled and name in known
    ]
    if provider is not None and provider not in enabled:
        raise UsageError(
            f"provider {provider!r} is not enabled", hint=f"Set enabled = true under [providers.{provider}]"
        )
    asked = [provider] if provider else enabled
    if not any(_offers(known[name].spec.offers, dataset) for name in asked):
        offered = sorted({str(d) for name in asked for d in known[name].spec.offers})
        raise UsageError(
            f"none of {', '.join(asked) or 'the providers'} offers {dataset}",
            hint=f"On offer: {', '.join(offered) or 'nothing'}",
        )


def literal_secrets(path: Path) -> list[ConfigFinding]:
    """Literals in the file that look like secrets; their values are not repeated."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # loading the settings says what is wrong
    return list(_secrets(tree, ""))


def shown_variable(name: str) -> str:
    """``name`` of a credential for a message; masked where it looks like the credential itself."""
    return name if _VARIABLE.fullmatch(name) else "***"


def _secrets(tree: Mapping[str, object], prefix: str) -> Iterator[ConfigFinding]:
    hint = 'Put it into .env (mode 600) and name its variable: key_env = "ALPACA_KEY_ID"'
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _secrets(value, f"{key}.")
        elif not isinstance(value, str):
            continue
        elif _SECRET_KEY.search(name):
            yield ConfigFinding("error", key, "holds a secret as a literal", hint)
        elif name.endswith("_env") and not _VARIABLE.fullmatch(value):
            yield ConfigFinding("error", key, "is not the name of an environment variable", hint)
        elif _URL_PASSWORD.search(value):
            shown = "MDC__" + key.upper().replace(".", "__")
            yield ConfigFinding(
                "warning", key, "holds a password inside a URL", f"Set {shown} in .env instead"
            )


def _paths(home: Home) -> Iterator[ConfigFinding]:
    lake = home.lake_dir
    if lake == Path(lake.anchor):
        yield ConfigFinding("error", "lake.root", f"{lake} cannot be a lake", "Name a folder of its own")
    elif lake == home.root:
        yield ConfigFinding(
            "error", "lake.root", "is the home itself", 'Name a folder of its own: root = "lake"'
        )
    elif lake.is_relative_to(home.dagster_home):
        yield ConfigFinding(
            "error", "lake.root", f"{lake} lies inside DAGSTER_HOME", "Name a folder outside it"
        )


def _names(home: Home) -> Iterator[ConfigFinding]:
    from mdc_resources.providers.registry import provider_names

    known = provider_names()
    for name in home.settings.providers:
        if name not in known:
            yield ConfigFinding("error", f"providers.{name}", "is not a known provider", nearest(name, known))
    if not any(settings.enabled for settings in home.settings.providers.values()):
        hint = f"Add [providers.yahoo] with enabled = true; known: {', '.join(known)}"
        yield ConfigFinding("error", "providers", "none is enabled: nothing can be fetched", hint)
    for name in home.settings.datasets:
        if name not in list(Dataset):
            yield ConfigFinding("error", f"datasets.{name}", "is not a dataset", nearest(name, Dataset))
    for name in home.settings.universes:
        if not _UNIVERSE.fullmatch(name):
            yield ConfigFinding(
                "error", f"universes.{name}", "cannot be a universe's name", "Use a-z, 0-9 and _"
            )
    default = home.settings.ingest.default_universe
    if default not in home.settings.universes:
        hint = nearest(default, home.settings.universes)
        yield ConfigFinding("error", "ingest.default_universe", f"there is no universe {default!r}", hint)


def _ranks(home: Home) -> Iterator[ConfigFinding]:
    from mdc_resources.providers.registry import load_providers

    known = load_providers()
    by_rank: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, settings in home.settings.providers.items():
        if settings.enabled and name in known:
            spec = known[name].spec
            by_rank[spec.venue, spec.rank if settings.rank is None else settings.rank].append(name)
    for (_, rank), names in by_rank.items():
        if len(names) > 1:
            message = (
                f"{' and '.join(names)} both have rank {rank}: the cheaper, then the idler is asked first"
            )
            yield ConfigFinding("warning", f"providers.{names[1]}.rank", message, "Give each its own")


def _credentials(home: Home) -> Iterator[ConfigFinding]:
    from mdc_resources.ingest.candidates import credential_names
    from mdc_resources.providers.registry import load_providers

    for name, provider in load_providers().items():
        settings = home.settings.providers.get(name)
        if settings is None or not settings.enabled:
            continue
        missing = [
            variable
            for variable in credential_names(provider, settings)
            if home.secrets.get(variable) is None
        ]
        if missing:
            message = f"has no credentials and will not be asked: {', '.join(map(shown_variable, missing))}"
            yield ConfigFinding(
                "warning", f"providers.{name}", message, "Set them in .env, or enabled = false"
            )


def _calendars(home: Home) -> Iterator[ConfigFinding]:
    from mdc_resources.calendars import check_calendar

    for name, settings in home.settings.universes.items():
        try:
            check_calendar(settings.calendar)
        except ConfigError as error:
            yield ConfigFinding("error", f"universes.{name}.calendar", error.message, error.hint)


def _unasked(home: Home) -> Iterator[ConfigFinding]:
    """Names in what the archive does by itself: promises, recovery, and the home's listings."""
    from mdc_resources.symbology import read_listings

    for name, promise in home.settings.sla.items():
        if promise.dataset not in list(Dataset):
            hint = nearest(promise.dataset, Dataset)
            yield ConfigFinding("error", f"sla.{name}.dataset", f"{promise.dataset!a} is not a dataset", hint)
        if promise.universe not in home.settings.universes:
            message = f"there is no universe {promise.universe!a}"
            hint = nearest(promise.universe, home.settings.universes)
            yield ConfigFinding("error", f"sla.{name}.universe", message, hint)
    for dataset in home.settings.recovery.datasets:
        if dataset not in list(Dataset):
            message = f"{dataset!a} is not a dataset"
            yield ConfigFinding("error", "recovery.datasets", message, nearest(dataset, Dataset))
    try:
        read_listings(home.root)
    except ConfigError as error:
        yield ConfigFinding("error", error.key or "listings.toml", error.message, error.hint)


def _offers(offers: Mapping[Dataset, object], dataset: Dataset) -> bool:
    carried = {d for offer in offers.values() for d in getattr(offer, "carries", ())}
    return dataset in offers or dataset in carried
