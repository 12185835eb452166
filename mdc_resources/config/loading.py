"""Finding and reading a config: ``mdc.toml``, ``.env`` beside it, the environment, in rising precedence.

Every wrong key or value becomes a ConfigError that names where it came from and the nearest valid key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from mdc_resources.config.home import ENV_FILE, FILE_NAME, PREFIX, Home, Secrets, Settings
from mdc_resources.domain.errors import ConfigError


def find(
    explicit: Path | None = None, *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """Find a config: ``explicit``, then ``MDC_CONFIG``, then ``mdc.toml`` upward from ``cwd``.

    Raises:
        ConfigError: there is none; the hint names ``mdc init``.
    """
    named = explicit or ((environ or os.environ).get("MDC_CONFIG") or None)
    if named:
        path = Path(named)
        path = path / FILE_NAME if path.is_dir() else path
        if path.is_file():
            return path.resolve()
        raise ConfigError(f"{path} does not exist", hint="mdc init DIR makes a home with a config")
    here = (cwd or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"no {FILE_NAME} in {here} or above it",
        hint="mdc init DIR makes a home; --config or MDC_CONFIG points at one",
    )


def load(path: Path, *, environ: Mapping[str, str] | None = None) -> Home:
    """Load and validate the home whose config is ``path``.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key or a wrong type, with its dotted key.
    """
    environ = os.environ if environ is None else environ
    dotenv = _read_dotenv(path.parent / ENV_FILE)
    layers = [
        (str(path), _read_toml(path)),
        (str(path.parent / ENV_FILE), _nested(dotenv)),
        ("environment", _nested(environ)),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        _merge(merged, layer, origin, origins)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise _explain(error, origins) from None
    return Home(path.parent.resolve(), settings, Secrets({**dotenv, **environ}), origins)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    return {k: v for k, v in dotenv_values(path).items() if v is not None} if path.is_file() else {}


def _nested(environ: Mapping[str, str]) -> dict[str, Any]:
    """``MDC__LAKE__ROOT=x`` -> ``{"lake": {"root": "x"}}``, typed by pydantic-settings' own rules."""
    source = EnvSettingsSource(Settings, env_prefix=PREFIX, env_nested_delimiter="__")
    mine = {k.lower(): v for k, v in environ.items() if k.upper().startswith(PREFIX)}
    source.env_vars = mine
    tree = source()
    known = {f"{PREFIX}{name}".lower() for name in Settings.model_fields}
    for name in mine:
        if not any(name == k or name.startswith(k + "__") for k in known):
            raise _unknown(
                name.removeprefix(PREFIX.lower()).replace("__", "."),
                list(Settings.model_fields),
                "environment",
            )
    return tree


def _merge(
    into: dict[str, Any], layer: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = ""
) -> None:
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if not value:  # a section without keys still names what it is about
                origins[dotted] = origin
            child = into.setdefault(key, {})
            if isinstance(child, dict):
                _merge(child, value, origin, origins, f"{dotted}.")
                continue
        into[key] = value
        origins[dotted] = origin


def _explain(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    """One pydantic error as ours: file, key, what was received, the nearest valid key."""
    first = error.errors(include_url=False)[0]
    dotted = ".".join(str(part) for part in first["loc"])
    origin = origins.get(dotted, FILE_NAME)
    if first["type"] == "extra_forbidden":
        return _unknown(dotted, _siblings(first["loc"]), origin)
    return ConfigError(
        f"{origin}: {dotted} = {ascii(first.get('input'))[:60]} is not valid: {first['msg']}", key=dotted
    )


def _unknown(dotted: str, siblings: list[str], origin: str) -> ConfigError:
    near = difflib.get_close_matches(dotted.rsplit(".", 1)[-1], siblings, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(siblings)}"
    return ConfigError(f"{origin}: unknown key {dotted!r}", key=dotted, hint=hint)


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """Valid key names beside the offending one."""
    model: Any = Settings
    for part in loc[:-1]:
        annotation = (
            model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else model
        )
        arguments = getattr(annotation, "__args__", ())
        models = [a for a in (annotation, *arguments) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = models[0] if models else annotation
    return list(getattr(model, "model_fields", {}))
