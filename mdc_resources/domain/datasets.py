"""The datasets of the archive and what a partition of each is.

A partition is one (symbol, session). Bars carry one source per partition; events carry one per
span of time. ``corporate_actions`` and ``instruments`` are covered like any other dataset.
"""

from __future__ import annotations

from enum import StrEnum

from mdc_resources.domain.errors import UsageError


class Dataset(StrEnum):
    """Canonical dataset names; also the names of tables, views, assets and ``--dataset``."""

    BARS_1D = "bars_1d"
    BARS_1M = "bars_1m"
    TRADES = "trades"
    QUOTES = "quotes"
    DEPTH = "depth"
    CORPORATE_ACTIONS = "corporate_actions"
    INSTRUMENTS = "instruments"

    @property
    def is_bars(self) -> bool:
        """True for OHLCV datasets: exact duplicates of a key are conflicts."""
        return self in (Dataset.BARS_1D, Dataset.BARS_1M)

    @property
    def is_events(self) -> bool:
        """True for ticks: many rows a session, told apart by their order, streamed and never held whole."""
        return self in (Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH)

    @property
    def is_intraday(self) -> bool:
        """True where one session holds many rows in time."""
        return self in (Dataset.BARS_1M, Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH)


def parse_dataset(text: str) -> Dataset:
    """Return the dataset called ``text``; raises UsageError listing the known ones."""
    try:
        return Dataset(text)
    except ValueError:
        known = ", ".join(Dataset)
        raise UsageError(f"{text[:40]!a} is not a dataset", hint=f"Known: {known}") from None


class Basis(StrEnum):
    """What a stored price means: as traded, or adjusted by what was known at ``basis_asof``."""

    RAW = "raw"
    SPLIT = "split"
    TOTAL = "split+dividend"


class NumberEncoding(StrEnum):
    """How a provider's numbers must be read to be exact."""

    DECIMAL = "decimal"  # the text is the number
    FLOAT32 = "float32"  # a widened single: the shortest decimal that round-trips in float32
    FLOAT64 = "float64"  # the shortest decimal that round-trips in float64
