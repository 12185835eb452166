"""Run every benchmark and print its figures: ``python -m tests.bench [NAME ...] [--json]``.

A figure is stated beside its yardstick, measured in the same run, because absolute numbers of a
shared machine mean little. ``NAME`` picks modules: decode, lake, ingest, trades, dagster, gaps, sensor,
stream.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.table import Table

MODULES = ("decode", "lake", "ingest", "trades", "dagster", "gaps", "sensor", "stream")
Figure = tuple[str, float, str, str, float | None, str]


def figures(names: Iterable[str]) -> list[Figure]:
    """Every figure of the named modules, in order; progress goes to stderr."""
    found: list[Figure] = []
    for name in names:
        module = importlib.import_module(f"tests.bench.bench_{name}")
        benches: Sequence[Callable[[], Sequence[Figure]]] = module.BENCHES
        for bench in benches:
            began = time.monotonic()
            found.extend(tuple(figure) for figure in bench())  # type: ignore[misc]
            sys.stderr.write(f"{name}.{bench.__name__}: {time.monotonic() - began:.1f} s\n")
    return found


def print_table(found: Sequence[Figure]) -> None:
    """Figures as a table for a terminal."""
    table = Table(
        title=f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    )
    for heading, side in (("figure", "left"), ("value", "right"), ("", "left"), ("beside", "left")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    table.add_column("ratio", justify="right")
    table.add_column("aim")
    for name, value, unit, yardstick, ratio, aim in found:
        table.add_row(name, f"{value:,.2f}", unit, yardstick, f"{ratio:.2f}" if ratio else "", aim)
    Console(width=140).print(table)


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    chosen = [a for a in arguments if not a.startswith("-")] or list(MODULES)
    unknown = set(chosen) - set(MODULES)
    if unknown:
        sys.stderr.write(
            f"no benchmark called {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}\n"
        )
        return 2
    found = figures(chosen)
    if "--json" in arguments:
        sys.stdout.write(json.dumps([list(figure) for figure in found], indent=1) + "\n")
    else:
        print_table(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
