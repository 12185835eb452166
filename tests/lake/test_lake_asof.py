"""Time travel: by snapshot id or by an instant of the lake's own time."""

from __future__ import annotations

import datetime as dt

import pytest
from lake_rows import bars, batch, day, key

from mdc_resources.domain.errors import UsageError
from mdc_resources.lake import Lake


def sessions(lake: Lake, as_of: int | dt.datetime | None) -> list[dt.date]:
    """Sessions a reader sees as of then."""
    found = lake.connect(as_of=as_of).execute("SELECT DISTINCT session FROM bars_1m ORDER BY 1").fetchall()
    return [row[0] for row in found]


def test_a_snapshot_id_shows_the_lake_as_it_was(lake: Lake) -> None:
    """Rows and ledger of the same moment."""
    first = lake.commit(batch(bars("AAPL", [day(0)])))
    second = lake.commit(batch(bars("AAPL", [day(1)])))
    assert sessions(lake, first.snapshot_id) == [day(0)]
    assert sessions(lake, second.snapshot_id) == sessions(lake, None) == [day(0), day(1)]
    coverage = lake.connect(as_of=first.snapshot_id).execute("SELECT count(*) FROM coverage")
    assert coverage.fetchone() == (1,)


def test_an_instant_means_the_newest_snapshot_at_it(lake: Lake) -> None:
    """Between two commits the lake is what the first left; any time zone will do."""
    first = lake.commit(batch(bars("AAPL", [day(0)])))
    lake.commit(batch(bars("AAPL", [day(1)])))
    at = next(s.committed_at for s in lake.snapshots() if s.snapshot_id == first.snapshot_id)
    tokyo = dt.timezone(dt.timedelta(hours=9))
    assert sessions(lake, at) == sessions(lake, at.astimezone(tokyo)) == [day(0)]
    assert sessions(lake, dt.datetime.now(dt.UTC) + dt.timedelta(days=1)) == [day(0), day(1)]


def test_restated_rows_are_still_there_as_of_before(lake: Lake) -> None:
    """A replace keeps the old version readable."""
    before = lake.commit(batch(bars("AAPL", [day(0)], close="1")))
    lake.commit(batch(bars("AAPL", [day(0)], close="2"), replaces=[key("AAPL", 0)]))
    old = lake.connect(as_of=before.snapshot_id).execute("SELECT min(close)::INT FROM bars_1m").fetchone()
    new = lake.connect().execute("SELECT min(close)::INT FROM bars_1m").fetchone()
    assert (old, new) == ((1,), (2,))


def test_too_old_an_instant_names_the_oldest_readable(lake: Lake) -> None:
    """Never an empty answer for a time the lake cannot show."""
    oldest = lake.snapshots()[0]
    with pytest.raises(UsageError, match="cannot be read as of 1999") as caught:
        lake.connect(as_of=dt.datetime(1999, 1, 1, tzinfo=dt.UTC))
    assert f"The oldest readable snapshot is {oldest.snapshot_id}" in caught.value.hint


@pytest.mark.parametrize("number", [-1, 10_000])
def test_an_unknown_snapshot_names_the_readable_ones(lake: Lake, number: int) -> None:
    """A wrong id is answered with the right ones."""
    newest = lake.snapshots()[-1].snapshot_id
    with pytest.raises(UsageError, match=f"no snapshot {number}") as caught:
        lake.connect(as_of=number)
    assert f"the newest {newest}" in caught.value.hint


def test_naive_instants_are_refused(lake: Lake) -> None:
    """An instant without a zone means nothing."""
    with pytest.raises(UsageError, match="no time zone"):
        lake.connect(as_of=dt.datetime(2024, 1, 1))


def test_a_reader_sees_commits_made_after_it_connected(lake: Lake) -> None:
    """Without as_of each statement sees the newest snapshot; with it, the same one for ever."""
    fixed = lake.connect(as_of=lake.commit(batch(bars("AAPL", [day(0)]))).snapshot_id)
    live = lake.connect()
    lake.commit(batch(bars("AAPL", [day(1)])))
    assert live.execute("SELECT count(*) FROM bars_1m").fetchone() == (6,)
    assert fixed.execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)
