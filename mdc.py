"""``mdc``: read a market-data archive from Python.

Two functions. :func:`connect` gives a plain read-only DuckDB connection with the archive's views in
place, so notebooks, ibis and BI tools need no adapter; :func:`bars` gives bars as Arrow, pandas or
polars. Nothing here writes, fetches or changes settings.

    import mdc

    with mdc.connect() as lake:
        lake.sql("SELECT symbol, max(close) FROM bars_1d GROUP BY symbol").show()

    frame = mdc.bars(["AAPL", "MSFT"], "2024-01-02", "2024-06-28").df()

The home is found as by the command line: the ``config`` argument, ``MDC_CONFIG``, or ``mdc.toml``
upward from the working directory. Errors are :class:`MdcError`; its subclasses say what to do.
"""

from __future__ import annotations

import datetime as _dt
import os as _os
from collections.abc import Sequence as _Sequence
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING

from mdc_resources import __version__
from mdc_resources.domain.errors import ConfigError, LakeError, MdcError, UsageError
from mdc_resources.query.bars import Bars

if _TYPE_CHECKING:
    import duckdb as _duckdb

    from mdc_resources.config import Home as _Home

__all__ = ["Bars", "ConfigError", "LakeError", "MdcError", "UsageError", "__version__", "bars", "connect"]


def connect(
    config: str | _os.PathLike[str] | None = None,
    as_of: int | str | _dt.datetime | None = None,
    known_at: str | _dt.date | None = None,
) -> _duckdb.DuckDBPyConnection:
    """Open the archive for reading with SQL.

    The views carry the datasets' names (``bars_1d``, ``bars_1m``, ``corporate_actions``,
    ``instruments``) and those of the ledgers (``coverage``, ``fetches``, ``quarantine`` ...);
    ``SHOW TABLES`` lists them. Prices are DECIMAL(18,9), sizes DECIMAL(28,8), instants TIMESTAMPTZ
    in UTC, ``session`` the exchange's trading date. Writing to the archive fails in DuckDB.

    Args:
        config: an ``mdc.toml`` or the home that holds it; by default it is searched for.
        as_of: a snapshot id, or an instant of the archive's own time (aware, or ISO text with a
            zone): what was stored then, whatever was corrected since.
        known_at: a date (to its end, UTC) or an instant: the adjusted views apply the splits and
            dividends that were learned and effective by then; what would need others is NULL.

    Returns:
        A connection of your own; close it, or use it in a ``with`` block.

    Raises:
        ConfigError: there is no home, or its settings are wrong.
        UsageError: ``as_of`` cannot be read (the message names the oldest readable snapshot).
        LakeError: the lake is missing or not mounted.
    """
    from mdc_resources.query.session import connect as open_connection

    return open_connection(_home(config), as_of=_as_of(as_of), known_at=_known_at(known_at))


def bars(
    symbols: str | _Sequence[str],
    start: str | _dt.date,
    end: str | _dt.date,
    *,
    dataset: str = "bars_1d",
    exact: bool = False,
    config: str | _os.PathLike[str] | None = None,
    as_of: int | str | _dt.datetime | None = None,
    known_at: str | _dt.date | None = None,
) -> Bars:
    """Bars of ``symbols`` in the sessions ``start``..``end``, both ends included.

    Sessions are the exchange's trading dates. ``ts`` is the start of a bar's interval, UTC (a daily
    bar's is its session's open). A symbol or session without stored data has no rows; the view
    ``coverage`` says why.

    Args:
        symbols: one symbol, several, or ``"AAPL,MSFT"``; as in ``BRK.B`` or ``COINBASE:BTC-USD``.
        start: first session, a date or ``"2024-01-02"``.
        end: last session, included.
        dataset: ``bars_1d`` (split-consistent, also ``bars_1d_split``), ``bars_1d_raw`` (as traded),
            ``bars_1d_total`` (dividends taken out too), ``bars_1d_stored`` (as delivered), ``bars_1m``.
        exact: keep prices and volumes as the stored decimals; by default they are float64.
        config: as in :func:`connect`.
        as_of: as in :func:`connect`.
        known_at: as in :func:`connect`.

    Returns:
        Rows in order of symbol and time, backed by Arrow: ``.arrow()``, ``.df()`` (pandas) or
        ``.pl()`` (polars; an error names ``pip install 'mdc[polars]'`` where it is missing).

    Raises:
        UsageError: not a symbol, not a date, a reversed range, or no such view of bars.
        ConfigError, LakeError: as in :func:`connect`.
    """
    from mdc_resources.domain.symbols import parse_symbols
    from mdc_resources.query.bars import read_bars
    from mdc_resources.query.session import connect as open_connection

    wanted = parse_symbols([symbols] if isinstance(symbols, str) else list(symbols))
    if not wanted:
        raise UsageError("no symbols were given", hint='mdc.bars("AAPL", "2024-01-02", "2024-06-28")')
    first, last = _session(start), _session(end)
    if first > last:
        raise UsageError(f"start {first} lies after end {last}", hint="Swap them")
    home = _home(config)
    connection = open_connection(home, as_of=_as_of(as_of), known_at=_known_at(known_at))
    try:
        return read_bars(connection, dataset, wanted, first, last, exact=exact, home=home)
    finally:
        connection.close()


def _home(config: str | _os.PathLike[str] | None) -> _Home:
    from mdc_resources.config import find, load

    return load(find(_Path(config) if config is not None else None))


def _as_of(as_of: int | str | _dt.datetime | None) -> int | _dt.datetime | None:
    from mdc_resources.query.session import parse_as_of

    return parse_as_of(as_of) if isinstance(as_of, str) else as_of


def _known_at(known_at: str | _dt.date | None) -> _dt.datetime | None:
    from mdc_resources.query.session import end_of, parse_known_at

    if known_at is None or isinstance(known_at, str):
        return parse_known_at(known_at)
    return known_at if isinstance(known_at, _dt.datetime) else end_of(known_at)


def _session(value: str | _dt.date) -> _dt.date:
    from mdc_resources.domain.time import parse_session

    if isinstance(value, _dt.datetime):
        raise UsageError(f"{value.isoformat()} is an instant, a session date is needed", hint="Give a date")
    return value if isinstance(value, _dt.date) else parse_session(value)
