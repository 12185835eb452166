"""``mdc actions check``: the second source's word on demand."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want, backfill
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import KEYS, Served, make_home
from tests.ingest.test_corroborating import falsify

START, END = dt.date(2020, 8, 3), dt.date(2020, 9, 30)


@pytest.fixture
def two(tmp_path: Path, vendor: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A home with yahoo and alpaca, Apple's actions of a summer stored from yahoo."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    served = Served(make_home(tmp_path / "two", vendor.url, providers=("yahoo", "alpaca")), vendor)
    served.calm()
    want = Want(Dataset.CORPORATE_ACTIONS, (Symbol("AAPL"),), START, END, provider="yahoo")
    backfill(served.home, want, run_id="stored")
    served.calm()
    return served


def run(served: Served, *words: str) -> tuple[int, str]:
    """``mdc actions check``: exit code and standard output."""
    ran = CliRunner().invoke(app, ["--config", str(served.home.root), "actions", "check", *words])
    assert ran.exception is None or isinstance(ran.exception, SystemExit)
    return ran.exit_code, ran.stdout


def test_agreement_ends_with_zero(two: Served) -> None:
    """Once confirmed, a second look sends nothing."""
    code, out = run(two, "AAPL", "--json")
    found = json.loads(out)
    assert (code, found["agreed"], found["conflicts"], found["open"], found["requests"]) == (0, 2, [], 0, 1)
    assert run(two, "AAPL") == (0, "0 confirmed, 0 in conflict, 0 left open\n")
    assert two.requests() == 1


def test_a_conflict_ends_with_one_and_names_both(two: Served) -> None:
    """As a finding: in the table, in JSON, and in the incidents."""
    falsify(two, "AAPL", dt.date(2020, 8, 31), ratio_to=7)
    code, out = run(two, "AAPL", "--start", "2020-08-01")
    assert code == 1
    assert "yahoo says split 7:1, alpaca says split 4:1" in " ".join(out.split())


def test_a_dry_run_names_the_request(two: Served) -> None:
    """Provider, symbols, both ends of the range; nothing is sent."""
    code, out = run(two, "AAPL", "--dry-run", "--json")
    (planned,) = json.loads(out)["planned"]
    assert (code, planned["provider"], planned["symbols"], planned["about"]) == (
        0,
        "alpaca",
        ["AAPL"],
        "yahoo",
    )
    assert two.requests() == 0


def test_without_symbols_it_says_so(two: Served) -> None:
    """A wrong call is exit code 2."""
    assert run(two)[0] == 2
