"""Prices as known at a date, from Python and from the command line: an option of its own beside as_of."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mdc
from mdc_resources.cli.main import app
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.lake import Lake
from mdc_resources.query.session import parse_known_at
from tests.lake.lake_rows import action, actions, bars, batch, day, empties

LEARNED = dt.datetime(2031, 6, 3, 12, tzinfo=dt.UTC)  # ahead of any clock: after the commits of this test
SQL = "SELECT session, close FROM bars_1d ORDER BY session"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Four raw closes of 400 in January 2024 and a 4:1 split of the third day, learned in June 2031."""
    root = tmp_path / "home"
    root.mkdir()
    (root / "mdc.toml").write_text("")
    lake = Lake.create(root / "lake")
    sessions = [day(n) for n in range(4)]
    lake.commit(batch(bars("ACME", sessions, per=1, close="400"), dataset=Dataset.BARS_1D))
    split = action("ACME", day(2), "split", ratio_to=4, ratio_from=1, known_at=LEARNED)
    quiet = empties(Dataset.CORPORATE_ACTIONS, "ACME", [s for s in sessions if s != day(2)])
    lake.commit(batch(actions(split), dataset=Dataset.CORPORATE_ACTIONS, coverage=quiet))
    lake.close()
    return root


@pytest.mark.parametrize(
    ("known_at", "first"),
    [
        (None, 100),
        ("2031-06-02", 400),
        ("2031-06-03", 100),  # a date reaches to its end
        (dt.date(2031, 6, 3), 100),
        ("2031-06-03T11:59:59Z", 400),
        (LEARNED, 100),
        (LEARNED - dt.timedelta(microseconds=1), 400),
    ],
    ids=str,
)
def test_facts_count_from_the_instant_they_were_learned(
    home: Path, known_at: str | dt.date | None, first: int
) -> None:
    """From both functions, as a date, an instant, or text of either."""
    found = mdc.bars("ACME", day(0), day(3), exact=True, config=home, known_at=known_at)
    assert found.arrow()["close"][0].as_py() == Decimal(first)
    with mdc.connect(home, known_at=known_at) as lake:
        assert lake.sql(SQL).fetchall()[0] == (day(0), Decimal(first))


def test_the_command_line_has_the_same_option(home: Path) -> None:
    """``mdc query --known-at``."""
    shown = []
    for at in ("2031-06-02", "2031-06-03"):
        ran = CliRunner().invoke(app, ["--config", str(home), "query", SQL, "--json", "--known-at", at])
        assert ran.exit_code == 0, ran.output
        shown.append(json.loads(ran.stdout)[0]["close"])
    assert shown == ["400", "100"]


def test_known_at_and_as_of_are_two_options(home: Path) -> None:
    """A snapshot before the facts and an instant after them: the lake of then had none to know."""
    with Lake.open(home / "lake").connect() as reader:
        (snapshot,) = reader.execute("SELECT min(commit_seq) FROM coverage_log").fetchone() or (0,)
    found = mdc.bars("ACME", day(0), day(3), config=home, as_of=snapshot, known_at="2031-06-03")
    assert found.arrow()["close"].null_count == 3
    assert "are not covered" in str(found.arrow()["null_reason"][0])


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-01-02T10:00:00", "17", ""])
def test_what_is_no_date_and_no_instant_is_refused(text: str) -> None:
    """With the form that is meant; a snapshot id is none."""
    with pytest.raises(UsageError, match="--known-at"):
        parse_known_at(text)
