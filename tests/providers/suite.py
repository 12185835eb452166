"""The whole conformance suite as data: every check with its number, how to run one, and the market."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mdc_resources.providers.spec import Provider
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.providers import conformance, conformance_live
from tests.providers.conformance import TAPES, tapes_of
from tests.providers.conformance_live import needs_a_dialect
from tests.providers.live_bench import NOW, Bench


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check. ``run`` raises AssertionError, or NotApplicable with a reason."""

    number: str
    title: str
    run: Callable[[Bench, Path], None]


def checks() -> list[Check]:
    """All checks in the order of their numbers."""
    offline = [(name, fn) for name, fn in vars(conformance).items() if name.startswith("pc_")]
    live = [(name, fn) for name, fn in vars(conformance_live).items() if name.startswith("pc_")]
    found = [_check(name, _on_tapes(fn)) for name, fn in offline] + [
        _check(name, _live(fn)) for name, fn in live
    ]
    return sorted(found, key=lambda check: check.number)


@contextmanager
def vendors() -> Iterator[SandboxServer]:
    """Every dialect over the suite's market."""
    with SandboxServer(market=Market.synthetic(seed=7, now=NOW)) as server:
        yield server


def bench_of(provider: Provider, server: SandboxServer, folder: Path) -> Bench:
    """What a check runs on."""
    return Bench(provider, server, folder)


def _check(name: str, run: Callable[[Bench, Path], None]) -> Check:
    _, number, title = name.split("_", 2)
    return Check(f"PC-{number}", title.replace("_", " "), run)


def _on_tapes(check: Callable[[Provider, list[conformance.Tape]], None]) -> Callable[[Bench, Path], None]:
    return lambda bench, tapes: check(bench.provider, tapes_of(bench.name, tapes))


def _live(check: Callable[[Bench], None]) -> Callable[[Bench, Path], None]:
    def run(bench: Bench, _: Path) -> None:
        needs_a_dialect(bench)
        check(bench)

    return run


__all__ = ["TAPES", "Check", "bench_of", "checks", "vendors"]
