"""Four days of real Coinbase minutes, from an archive, written as the vendor's candles and read back.

The archive overlaps with no recorded answer, so nothing is compared across vendors: the days show
that real prices, fractional volumes and silent minutes pass through unchanged.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from decimal import Decimal

import pyarrow as pa
import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.providers.coinbase import PROVIDER
from mdc_resources.schema.checks import failures
from tests.providers.asking import dialect_of, respond, want
from tests.providers.recording import PAYLOADS

FOLDER = PAYLOADS / "lean/crypto/coinbase/minute/btcusd"
DAYS = [dt.date(2016, 10, 7), dt.date(2016, 10, 8), dt.date(2016, 10, 9), dt.date(2018, 4, 4)]
DIALECT = dialect_of("coinbase", "24/7")
Minute = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the archive's real minutes are not at hand")


def archived(day: dt.date) -> list[Minute]:
    """Epoch seconds, open, high, low, close, volume, oldest first."""
    opened = int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())
    content = zipfile.ZipFile(io.BytesIO((FOLDER / f"{day:%Y%m%d}_trade.zip").read_bytes()))
    found = []
    for line in content.read(content.namelist()[0]).decode().split():
        millis, *numbers = line.split(",")
        o, h, low, c, volume = map(Decimal, numbers)
        found.append((opened + int(millis) // 1000, o, h, low, c, volume))
    return found


def decoded(day: dt.date) -> pa.Table:
    """The day as a backfill reads it: five spans, each newest first."""
    request = want(
        "coinbase", "COINBASE:BTC-USD", dataset=Dataset.BARS_1M, start=day, end=day, calendar="24/7"
    )
    minutes = archived(day)
    tables = []
    sent: HttpRequest | None = PROVIDER.plan(request, DIALECT)
    while sent is not None:
        asked = dict(sent.params)
        start, end = (int(dt.datetime.fromisoformat(asked[name]).timestamp()) for name in ("start", "end"))
        inside = [minute for minute in reversed(minutes) if start <= minute[0] <= end]
        cells = (f"[{at},{low},{h},{o},{c},{v}]" for at, o, h, low, c, v in inside)
        page = PROVIDER.decode(request, DIALECT, sent, respond(f"[{','.join(cells)}]"))
        assert (page.rejected, page.dropped, page.incomplete) == ((), 0, ())
        tables.append(page.tables[Dataset.BARS_1M])
        sent = page.next
    return pa.concat_tables(tables)


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_real_minutes_pass_unchanged(day: dt.date) -> None:
    """Every minute and every digit; what was silent stays absent; no rule is broken."""
    table, minutes = decoded(day), archived(day)
    assert 1000 < table.num_rows == len(minutes) <= 1440
    columns = ("open", "high", "low", "close", "volume")
    found = [tuple(row[name] for name in columns) for row in table.to_pylist()]
    assert found == [minute[1:] for minute in minutes]
    assert [int(at.timestamp()) for at in table.column("ts").to_pylist()] == [minute[0] for minute in minutes]
    assert set(table.column("session").to_pylist()) == {day}
    assert failures(Dataset.BARS_1M, table) == []


def test_real_days_meet_at_midnight() -> None:
    """Close and next open lie within half a per cent: the session is the UTC day, and no other."""
    for earlier, later in ((DAYS[0], DAYS[1]), (DAYS[1], DAYS[2])):
        close = decoded(earlier).column("close")[-1].as_py()
        opened = decoded(later).column("open")[0].as_py()
        assert abs(opened / close - 1) < Decimal("0.005")
