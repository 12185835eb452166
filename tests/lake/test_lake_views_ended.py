"""Daily bars of a name that ended: nobody can cover corporate actions after its end, and none is needed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from tests.lake.lake_rows import action, actions, bars, batch, day, empties

EARLY, LATE = dt.date(2024, 3, 1), dt.date(2024, 6, 3)


@pytest.mark.parametrize(
    ("end", "known"),
    [
        pytest.param(action("GONE", day(5), "delisting"), True, id="delisted"),
        pytest.param(action("GONE", day(5), "rename", successor="NEWN"), True, id="renamed"),
        pytest.param(None, False, id="nobody said so"),
        pytest.param(action("GONE", day(3), "delisting"), False, id="it went on trading"),
        pytest.param(action("OTHER", day(5), "delisting"), False, id="another one"),
    ],
)
def test_fetches_of_two_days_agree_about_the_past(
    tmp_path: Path, end: dict[str, object] | None, known: bool
) -> None:
    """Bars adjusted by what was known in March and in June are one series if the name ended before."""
    lake = Lake.create(tmp_path / "lake")
    daily = Dataset.BARS_1D
    for asof, numbers in ((EARLY, (0, 1)), (LATE, (2, 3, 4))):
        table = bars("GONE", [day(n) for n in numbers], per=1, basis="split", asof=asof)
        lake.commit(batch(table, dataset=daily))
    facts = Dataset.CORPORATE_ACTIONS
    lake.commit(batch(coverage=empties(facts, "GONE", [day(n) for n in range(5)]), dataset=facts))
    if end is not None:
        lake.commit(batch(actions(end), dataset=facts))
    rows = lake.connect().execute("SELECT close, null_reason FROM bars_1d ORDER BY session").fetchall()
    assert [price is not None for price, _ in rows] == [known, known, True, True, True]
    lake.close()
