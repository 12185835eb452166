"""Live capture, seen from outside: whether the sidecar answers, what waits to be landed, open holes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from mdc_resources.cli.health.finding import Finding
from mdc_resources.config import Home

WAITING = 50  # segments: at the default length, more than four hours of one shard
_SHOWN = 3


def feeds(home: Home) -> Iterator[Finding]:
    """Nothing where no feed is enabled and none ever was."""
    enabled = [name for name, settings in home.settings.stream.items() if settings.enabled]
    if not enabled and not home.segments_dir.is_dir():
        return
    if enabled:
        yield _sidecar(home, enabled)
    yield from _landing(home)


def _sidecar(home: Home, enabled: list[str]) -> Finding:
    told, url = _health(home), _url(home)
    if told is None:
        hint = "mdc up keeps it running; mdc stream run starts it alone"
        return Finding("warning", "sidecar", f"{', '.join(enabled)}: nothing answers at {url}", hint)
    if troubles := told.get("troubles"):
        shown = "; ".join(map(str, troubles[:_SHOWN]))
        return Finding("error", "sidecar", shown, "mdc stream status shows all of it")
    standing = "stands by" if told.get("standby") else "captures"
    return Finding("ok", "sidecar", f"{standing} {', '.join(enabled)} at {url}")


def _landing(home: Home) -> Iterator[Finding]:
    from mdc_resources.lake import Lake
    from mdc_resources.landing.land import unlanded

    waiting = len(unlanded(home))
    with closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake:
        torn = len(lake.holes(states=["open"]))
    told = f"{waiting} sealed segments wait to be landed"
    if waiting > WAITING:
        yield Finding("warning", "landing", told, "Is mdc up running? mdc stream land does it by hand")
    else:
        yield Finding("ok", "landing", told)
    yield Finding("ok", "holes", f"{torn} holes of live capture are open (mdc holes)")


def _url(home: Home) -> str:
    at = home.settings.sidecar
    return f"http://{f'[{at.host}]' if ':' in at.host else at.host}:{at.port}"


def _health(home: Home) -> dict[str, Any] | None:
    import httpx

    try:
        found = httpx.get(f"{_url(home)}/health", timeout=5.0, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None
