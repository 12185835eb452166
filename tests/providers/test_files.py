"""A drop folder of one's own CSV and Parquet files."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import ConfigError, PayloadError, UnknownSymbol
from mdc_resources.providers.files import PROVIDER
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    WEEK,
    csv_of,
    decode,
    dialect_of,
    is_canonical,
    prices,
    refusal,
    rows,
    want,
)

MINUTES = Dataset.BARS_1M
FOLDER = "/data/drop"
HEADER = ("session", "open", "high", "low", "close", "volume")
LINES = [(day, "10.10", "12", "9", f"1{at}.5", 1000 + at) for at, day in enumerate(WEEK)]
MAPPING = {"session": "Day", "open": "O", "high": "H", "low": "L", "close": "Last"}


def _csv(*lines: Any, header: tuple[str, ...] = HEADER) -> str:
    return csv_of(*(lines or LINES), header=header, end="\n")


def _parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    full = {
        "session": list(WEEK),
        **{name: [1, 2, 3, 4, 5] for name in ("open", "high", "low", "close")},
        **columns,
    }
    pq.write_table(pa.table(full), out)
    return out.getvalue()


def _decode(body: bytes | str, dataset: Dataset = Dataset.BARS_1D, **settings: Any) -> Any:
    return decode(want("files", "AAPL", dataset=dataset), body, drop_folder=FOLDER, **settings)


@pytest.mark.parametrize(
    ("symbol", "settings", "path"),
    [
        ("AAPL", {}, "/data/drop/bars_1d/AAPL.csv"),
        ("BRK.B", {"format": "parquet"}, "/data/drop/bars_1d/BRK.B.parquet"),
        ("COINBASE:BTC-USD", {}, "/data/drop/bars_1d/COINBASE%3DBTC-USD.csv"),
        ("AAPL", {"drop_folder": "/data/my files/"}, "/data/my%20files/bars_1d/AAPL.csv"),
    ],
)
def test_each_symbol_has_its_file(symbol: str, settings: dict[str, Any], path: str) -> None:
    """<drop_folder>/<dataset>/<SYMBOL>.<format>, as a file URL."""
    dialect = dialect_of("files", **{"drop_folder": FOLDER, **settings})
    assert PROVIDER.plan(want("files", symbol), dialect).url == f"file://{path}"


def test_a_windows_folder_is_a_file_url_too() -> None:
    """Drive letters have their place in the URL."""
    url = PROVIDER.plan(want("files", "AAPL"), dialect_of("files", drop_folder="C:\\drop")).url
    assert url == "file:///C:/drop/bars_1d/AAPL.csv"
    assert urlsplit(url).netloc == ""


@pytest.mark.parametrize("folder", [None, "", "drop", "./drop", "../drop"])
def test_the_folder_must_be_absolute(folder: str | None) -> None:
    """What a relative path is relative to depends on who runs, so it is refused."""
    with pytest.raises(ConfigError, match="not an absolute path") as caught:
        PROVIDER.plan(want("files", "AAPL"), dialect_of("files", drop_folder=folder))
    assert caught.value.key == "providers.files.drop_folder"


def test_market_and_basis_are_declared_by_the_home() -> None:
    """Only the owner of the files knows what they measure."""
    dialect = dialect_of("files", drop_folder=FOLDER, market="us-consolidated", basis="split")
    offer = dialect.offer(Dataset.BARS_1D)
    assert (offer.market, offer.basis) == ("us-consolidated", Basis.SPLIT)
    assert {row["basis"] for row in rows(_decode(_csv(), basis="split"))} == {"split"}
    assert {row["basis"] for row in rows(_decode(_csv()))} == {"raw"}


def test_a_csv_under_canonical_names_needs_no_mapping() -> None:
    """Text is read exactly; columns nobody mapped are ignored."""
    page = _decode(_csv(*((*line, "x") for line in LINES), header=(*HEADER, "note")))
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert prices(page) == ["10.5", "11.5", "12.5", "13.5", "14.5"]
    assert rows(page)[0]["source"] == "files"
    assert page.rejected == ()


def test_a_mapping_names_ones_own_columns() -> None:
    """canonical = theirs."""
    body = _csv(*(line[:5] for line in LINES), header=("Day", "O", "H", "L", "Last"))
    page = _decode(body, mapping=MAPPING)
    assert prices(page)[:2] == ["10.5", "11.5"]
    assert prices(page, "volume") == ["null"] * 5


def test_quoted_fields_and_a_missing_last_newline_are_fine() -> None:
    """People's editors differ."""
    body = '"session","open","high","low","close"\n2024-03-04,"1.5","2","1","1.7"\n2024-03-05,1,2,1,1.25'
    assert prices(_decode(body)) == ["1.7", "1.25"]


def test_a_mapped_column_that_is_missing_refuses_the_file() -> None:
    """A declared column is required, an undeclared optional one is not."""
    error = refusal(want("files", "AAPL"), _csv(), drop_folder=FOLDER, mapping={"volume": "Shares"})
    assert isinstance(error, PayloadError)
    assert "no volume" in str(error)


def test_an_unknown_canonical_name_offers_the_nearest() -> None:
    """A slip in the mapping is a configuration error."""
    with pytest.raises(ConfigError, match="Did you mean 'close'"):
        _decode(_csv(), mapping={"closs": "c"})


@pytest.mark.parametrize("value", ["1,5", "NaN", "1.1234567891", "12345678901", "x"])
def test_one_bad_value_costs_one_row(value: str) -> None:
    """One's own numbers are quoted: they fit exactly or their row is rejected."""
    page = _decode(_csv(*LINES[:2], (WEEK[2], f'"{value}"', 1, 1, 1, 1)).replace('"""', '"'))
    assert len(rows(page)) == 2
    assert (page.rejected[0].session, page.rejected[0].symbol) == (WEEK[2], "AAPL")


def test_rows_of_another_symbol_are_rejected() -> None:
    """Where the file names symbols they must be its own."""
    lines = [(*line, "MSFT" if at == 3 else "AAPL") for at, line in enumerate(LINES)]
    page = _decode(_csv(*lines, header=(*HEADER, "symbol")))
    assert len(rows(page)) == 4
    assert "'MSFT' in the file of AAPL" in page.rejected[0].reason


def test_parquet_decimals_and_integers_are_exact() -> None:
    """Wide decimals, 64-bit integers and trailing zeros arrive as they are."""
    close = pa.array(
        [Decimal("1.123456789"), Decimal("2.5"), Decimal(3), Decimal(4), Decimal(5)], pa.decimal128(38, 18)
    )
    page = _decode(_parquet(close=close, volume=[2**53 + 1, 1, 2, 3, None]), format="parquet")
    assert prices(page) == ["1.123456789", "2.5", "3", "4", "5"]
    assert prices(page, "volume") == [str(2**53 + 1), "1", "2", "3", "null"]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_parquet_floats_are_their_shortest_decimals(kind: type) -> None:
    """0.1 is 0.1 in either width, without the digits of its binary form."""
    page = _decode(_parquet(close=np.array([0.1, 166.69, 34.1, 1, 2], kind)), format="parquet")
    assert prices(page) == ["0.1", "166.69", "34.1", "1", "2"]


def test_a_parquet_nan_price_is_rejected_and_a_nan_statistic_is_null() -> None:
    """Data frames write a missing number as NaN: no price, but a missing average."""
    page = _decode(_parquet(close=[np.nan, 2, 3, 4, 5], vwap=[1.0, np.nan, 3.5, 4, 5]), format="parquet")
    assert [wrong.session for wrong in page.rejected] == [MONDAY]
    assert [row["vwap"] for row in rows(page)] == [None, 3.5, 4, 5]


@pytest.mark.parametrize(
    "session",
    [
        pa.array(WEEK, pa.date32()),
        pa.array([day.isoformat() for day in WEEK]),
        pa.array([dt.datetime.combine(day, dt.time()) for day in WEEK], pa.timestamp("ns")),
        pa.array(
            [dt.datetime.combine(day, dt.time(14, 30), dt.UTC) for day in WEEK], pa.timestamp("us", "UTC")
        ),
    ],
    ids=["date", "text", "naive midnight", "instant"],
)
def test_sessions_come_in_several_types(session: pa.Array) -> None:
    """A date, ISO text, a data frame's naive midnight, or an instant in the exchange's day."""
    page = _decode(_parquet(session=session), format="parquet")
    assert page.tables[Dataset.BARS_1D].column("session").to_pylist() == list(WEEK)


@pytest.mark.parametrize(
    "session",
    [
        pa.array([dt.datetime.combine(day, dt.time(9, 30)) for day in WEEK], pa.timestamp("us")),
        pa.array([1709528400 + at for at in range(5)]),
        pa.array([None] * 5, pa.date32()),
        pa.array(["04.03.2024"] * 5),
        pa.array([2**31 - 1] * 5, pa.int32()).view(pa.date32()),
    ],
    ids=["naive instant", "epoch", "null", "another notation", "beyond all years"],
)
def test_sessions_that_would_need_a_guess_are_rejected(session: pa.Array) -> None:
    """No zone, no unit, no date: no guess."""
    page = _decode(_parquet(session=session), format="parquet")
    assert rows(page) == []
    assert len(page.rejected) == 5


MINUTE = ("ts", "open", "high", "low", "close")


@pytest.mark.parametrize(
    ("stamps", "settings"),
    [
        (("2024-03-08T14:30:00Z", "2024-03-08T20:59:00+00:00"), {}),
        (("2024-03-08T09:30:00-05:00", "2024-03-08 15:59:00-05:00"), {}),
        (("2024-03-08T09:30:00", "2024-03-08 15:59"), {"timezone": "America/New_York"}),
    ],
    ids=["UTC", "offset", "declared zone"],
)
def test_minutes_need_a_zone_of_their_own_or_a_declared_one(
    stamps: tuple[str, str], settings: dict[str, str]
) -> None:
    """The instant is the same however it is written."""
    page = _decode(_csv(*((stamp, 1, 1, 1, 1) for stamp in stamps), header=MINUTE), MINUTES, **settings)
    assert [ts.strftime("%H:%M") for ts in page.tables[MINUTES].column("ts").to_pylist()] == [
        "14:30",
        "20:59",
    ]
    assert page.tables[MINUTES].column("session").to_pylist() == [FRIDAY] * 2


@pytest.mark.parametrize("stamp", ["2024-03-08T09:30:00", "1709908200", "yesterday", ""])
def test_minutes_without_a_zone_are_rejected(stamp: str) -> None:
    """A local time alone is nobody's instant."""
    page = _decode(_csv((stamp, 1, 1, 1, 1), header=MINUTE), MINUTES)
    assert (rows(page, MINUTES), len(page.rejected)) == ([], 1)


def test_parquet_minutes_keep_their_instants() -> None:
    """Nanosecond columns with a zone are what data frames write."""
    ts = pa.array(
        [dt.datetime(2024, 3, 8, 15, minute, tzinfo=dt.UTC) for minute in range(5)], pa.timestamp("ns", "UTC")
    )
    page = _decode(_parquet(ts=ts), MINUTES, format="parquet")
    assert page.tables[MINUTES].num_rows == 5


def test_an_unknown_time_zone_is_a_configuration_error() -> None:
    """It is named before any row is read."""
    with pytest.raises(ConfigError, match="'Mars/Base' is not a time zone"):
        _decode(_csv(("2024-03-08T09:30:00", 1, 1, 1, 1), header=MINUTE), MINUTES, timezone="Mars/Base")


def test_a_missing_file_is_an_unknown_symbol() -> None:
    """A fact about the folder and the symbol."""
    error = refusal(want("files", "AAPL"), b"", status=404, drop_folder=FOLDER)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "AAPL"


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        (b"", {}),
        (b"\n", {}),
        (b"a,b\n1,2\n", {}),
        (b"PAR1 not parquet PAR1", {"format": "parquet"}),
        (_csv().encode(), {"format": "parquet"}),
        (_parquet()[:-20], {"format": "parquet"}),
    ],
    ids=["empty", "blank", "other columns", "not parquet", "csv as parquet", "cut parquet"],
)
def test_a_file_that_is_not_what_was_declared_is_refused(body: bytes, settings: dict[str, Any]) -> None:
    """The message says what is wrong with it."""
    error = refusal(want("files", "AAPL"), body, drop_folder=FOLDER, **settings)
    assert isinstance(error, PayloadError)


def test_a_parquet_without_a_column_says_what_it_has() -> None:
    """The columns there are help to write the mapping."""
    error = refusal(
        want("files", "AAPL"), _parquet(), drop_folder=FOLDER, format="parquet", mapping={"close": "px"}
    )
    assert "no column px; it has session, open" in str(error)
