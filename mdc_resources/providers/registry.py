"""Finds providers by the entry points ``mdc.providers``; a module is imported when it is asked for.

Promises that a name always means the same provider: two packages that register one name are
refused. An unknown name is an error that offers the nearest known one.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from mdc_resources.domain.errors import ConfigError
from mdc_resources.providers.spec import Provider

GROUP = "mdc.providers"


def provider_names() -> tuple[str, ...]:
    """Names of the installed providers, sorted; imports none of them."""
    return tuple(sorted(_installed()))


def provider(name: str) -> Provider:
    """The provider called ``name``.

    Raises:
        ConfigError: it is not installed (with the nearest name), or its module cannot be imported.
    """
    installed = _installed()
    if name not in installed:
        near = difflib.get_close_matches(name.lower(), installed, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(installed))}"
        raise ConfigError(f"there is no provider {name[:40]!a}", key=f"providers.{name[:40]}", hint=hint)
    return _load(installed[name])


def load_providers() -> dict[str, Provider]:
    """Every installed provider by name, in the order of names."""
    return {name: _load(point) for name, point in sorted(_installed().items())}


def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        known = found.setdefault(point.name, point)
        if known.value != point.value:
            raise ConfigError(
                f"two packages provide {point.name!r}: {known.value} and {point.value}",
                hint="Uninstall one of them",
            )
    return found


def _load(point: EntryPoint) -> Provider:
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"provider {point.name!r} ({point.value}) cannot be loaded: {error}",
            key=f"providers.{point.name}",
            hint="Install what it needs, or uninstall it",
        ) from error
    if getattr(getattr(loaded, "spec", None), "name", None) != point.name:
        raise ConfigError(
            f"{point.value} is not a provider called {point.name!r}", key=f"providers.{point.name}"
        )
    found: Provider = loaded
    return found
