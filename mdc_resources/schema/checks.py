"""What every stored row must satisfy, as pandera schemas over Arrow-backed frames.

A schema is applied once per batch (a call costs about 10 ms whatever its size), lazily, so that
every failing row is named. Prices stay decimals throughout: comparisons run in Arrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError
from mdc_resources.schema.arrow import SCHEMAS

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pandera

_ZERO = Decimal(0)
_PRICES = ("open", "high", "low", "close", "price")
_AMOUNTS = ("volume", "trade_count", "size", "bid_price", "bid_size", "ask_price", "ask_size", "ordinal")
_SIDES = ("buy", "sell")
_LEVEL = ("set", "delete")
_WHOLE_BOOK = ("snapshot_begin", "invalid")


@dataclass(frozen=True, slots=True)
class Failure:
    """One row that failed one rule; ``row`` is its position in the checked table."""

    row: int
    rule: str


def failures(dataset: Dataset, table: pa.Table) -> list[Failure]:
    """Every (row, rule) of ``table`` that breaks the dataset's schema; empty if none does."""
    from pandera.errors import SchemaErrors

    if table.num_rows == 0:
        return []
    try:
        _schema(dataset).validate(_frame(table), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        return sorted({_failure(case) for case in cases.itertuples()}, key=lambda f: (f.row, f.rule))
    return []


def _failure(case: Any) -> Failure:
    if case.index is None or case.index != case.index:  # NaN: the frame as a whole, not a row of it
        raise DataError(f"rows do not have the canonical schema: {case.column}: {case.check}")
    return Failure(int(case.index), str(case.check))


def _frame(table: pa.Table) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


@cache
def _schema(dataset: Dataset) -> pandera.DataFrameSchema:
    import pandas as pd
    import pandera.pandas as pandera

    rules = {
        Dataset.BARS_1D: _bar_rules,
        Dataset.BARS_1M: _bar_rules,
        Dataset.CORPORATE_ACTIONS: _action_rules,
        Dataset.INSTRUMENTS: list,
        Dataset.TRADES: _trade_rules,
        Dataset.QUOTES: list,  # a crossed or one-sided quote is a fact
        Dataset.DEPTH: _depth_rules,
    }[dataset]
    columns = {
        field.name: pandera.Column(
            pd.ArrowDtype(field.type), nullable=field.nullable, checks=_column_checks(pandera, field.name)
        )
        for field in SCHEMAS[dataset]
    }
    return pandera.DataFrameSchema(columns, checks=rules(), strict=True, ordered=True, name=str(dataset))


def _column_checks(pandera: Any, name: str) -> list[Any]:
    if name in _PRICES:
        return [pandera.Check(lambda s: s > _ZERO, name=f"{name} is not above zero", ignore_na=True)]
    if name in _AMOUNTS:
        return [pandera.Check(lambda s: s >= 0, name=f"{name} is negative", ignore_na=True)]
    return []


def _bar_rules() -> list[Any]:
    import pandera.pandas as pandera

    return [
        pandera.Check(lambda f: f["high"] >= f["low"], name="high is below low"),
        pandera.Check(
            lambda f: (f["open"] >= f["low"]) & (f["open"] <= f["high"]), name="open is outside low..high"
        ),
        pandera.Check(
            lambda f: (f["close"] >= f["low"]) & (f["close"] <= f["high"]), name="close is outside low..high"
        ),
    ]


def _trade_rules() -> list[Any]:
    import pandera.pandas as pandera

    def side_is_known(f: pd.DataFrame) -> Any:
        return f["side"].isna() | f["side"].isin(_SIDES)

    return [pandera.Check(side_is_known, name="side is neither buy nor sell")]


def _depth_rules() -> list[Any]:
    import pandera.pandas as pandera

    def action_is_known(f: pd.DataFrame) -> Any:
        return f["action"].isin((*_LEVEL, *_WHOLE_BOOK))

    def level_is_whole(f: pd.DataFrame) -> Any:
        named = f["side"].isin(("bid", "ask")) & f["price"].notna() & f["size"].notna()
        return ~f["action"].isin(_LEVEL) | named

    return [
        pandera.Check(action_is_known, name="action is not snapshot_begin, set, delete or invalid"),
        pandera.Check(level_is_whole, name="a level needs bid or ask, a price and a size"),
    ]


def _action_rules() -> list[Any]:
    import pandera.pandas as pandera

    def split_has_ratio(f: pd.DataFrame) -> Any:
        above_zero = (f["ratio_to"] > 0) & (f["ratio_from"] > 0)
        return (f["kind"] != "split") | above_zero.fillna(value=False)

    def dividend_has_amount(f: pd.DataFrame) -> Any:
        return (f["kind"] != "dividend") | (f["amount"] > _ZERO).fillna(value=False)

    return [
        pandera.Check(split_has_ratio, name="a split needs two whole numbers above zero"),
        pandera.Check(dividend_has_amount, name="a dividend needs an amount above zero"),
    ]
