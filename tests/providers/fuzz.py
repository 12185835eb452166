"""Decoders under a coverage-guided fuzzer: ``python -m tests.providers.fuzz [PROVIDER]... [--seconds N]``.

One process per provider, each input decoded as the answer to one of the provider's tapes. What is
neither a page nor an error of ours, or takes more than 1 GiB or 10 s, ends the run with the input
saved in ``fuzz-found/``. Needs atheris; :mod:`tests.providers.test_fuzz` is the short version.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mdc_resources.calendars import get_calendar
from mdc_resources.config import ProviderSettings
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.providers.registry import load_providers, provider
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import SCHEMAS
from tests.providers.asking import is_canonical, respond
from tests.providers.conformance import TAPES, Tape, read_tapes

FOUND = "fuzz-found"


@dataclass(frozen=True, slots=True)
class Seed:
    """A good answer to start from."""

    provider: str
    name: str
    request: FetchRequest
    dialect: Dialect
    body: bytes

    def __str__(self) -> str:
        return f"{self.provider}-{self.name}"


def seeds(*names: str) -> list[Seed]:
    """The tapes of the providers called ``names``, or of all."""
    return [
        _seed(name, tape) for name in names or tuple(load_providers()) for tape in read_tapes(name, TAPES)
    ]


def _seed(name: str, tape: Tape) -> Seed:
    settings = ProviderSettings(**tape.settings)
    dialect = Dialect(provider(name).spec, settings, get_calendar(tape.request.calendar))
    return Seed(name, tape.name, tape.request, dialect, tape.body)


def judge(seed: Seed, body: bytes) -> Page | ProviderError:
    """Decode ``body`` in the place of the seed's; raises where what comes out breaks a promise."""
    found = provider(seed.provider)
    sent = found.plan(seed.request, seed.dialect)
    try:
        page = found.decode(seed.request, seed.dialect, sent, respond(body))
    except ProviderError as error:
        return _fit_to_show(error, seed)
    for dataset, table in page.tables.items():
        assert is_canonical(table, SCHEMAS[dataset])
        assert set(table.column("symbol").to_pylist()) <= set(seed.request.symbols)
        days = table.column("session").to_pylist()
        assert all(seed.request.start <= day <= seed.request.end for day in days)
    assert all(len(wrong.raw) <= 2000 for wrong in page.rejected)
    return page


def _fit_to_show(error: ProviderError, seed: Seed) -> ProviderError:
    assert error.provider == seed.provider, "an error names its provider"
    assert len(str(error)) < 1000, "an error fits on a screen"
    return error


def drill(name: str, seconds: int) -> None:
    """Fuzz one provider in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["mdc_resources.providers"]):
        starts = seeds(name)
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    for at, seed in enumerate(starts):
        (corpus / seed.name).write_bytes(bytes([at]) + seed.body)

    def one(data: bytes) -> None:
        if data:
            judge(starts[data[0] % len(starts)], data[1:])

    Path(FOUND).mkdir(exist_ok=True)
    flags = [
        f"-max_total_time={seconds}",
        "-rss_limit_mb=1024",
        "-timeout=10",
        f"-artifact_prefix={FOUND}/{name}-",
    ]
    atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Drill every named provider, one after the other; 1 if one of them broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="PROVIDER")
    parser.add_argument("--seconds", type=int, default=60, help="for each provider")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        drill(asked.names[0], asked.seconds)
        return 0
    failed = []
    for name in asked.names or list(load_providers()):
        command = [
            sys.executable,
            "-m",
            "tests.providers.fuzz",
            name,
            "--here",
            "--seconds",
            str(asked.seconds),
        ]
        ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        executed = [line for line in ran.stderr.splitlines() if "number_of_executed_units" in line]
        runs = executed[0].split()[-1] if executed else "an unknown number of"
        print(f"{name}: {runs} inputs, {'nothing found' if not ran.returncode else 'FAILED'}", flush=True)
        if ran.returncode:
            failed.append(name)
            print(ran.stderr[-3000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
