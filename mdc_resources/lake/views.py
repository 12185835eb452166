"""Views of a reader's connection: the datasets' names, the newest coverage, adjusted daily bars.

Bars are stored as delivered: ``raw`` or already adjusted by what was known on ``basis_asof``. The
views bring a series to one basis at read time, with the splits and dividends the lake knows:

- ``bars_1d``        split-consistent, on the basis of the series' newest date (the safe name);
- ``bars_1d_raw``    as traded;
- ``bars_1d_total``  split- and dividend-consistent; its factors are statistics, in DOUBLE;
- ``bars_1d_stored`` what is stored.

A price that needs corporate actions which are not covered is NULL and ``null_reason`` says so.
Splits are applied in integers, rounded half-even to the column's scale; ``exact`` is false where
rounding changed anything. A row's *boundary* is the date up to which its prices know all splits:
its session if raw, ``basis_asof`` if adjusted. The series' *reference* is its newest boundary or
split. A row needs coverage of ``corporate_actions`` from its boundary to the reference: every
session that has a bar, no hole of more than five days, and up to the newest bar. Symbols that name
a venue (``COINBASE:BTC-USD``) have no corporate actions, and a name that ended (renamed, delisted)
has none after its end: coverage up to there is coverage for good.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

from typing import TYPE_CHECKING

from mdc_resources.lake.catalog import ALIAS
from mdc_resources.lake.tables import DATASETS, LEDGERS

if TYPE_CHECKING:
    import duckdb

_HOLE_DAYS = 5  # a long weekend is four days; a longer silence is not a weekend

NEWEST_COVERAGE = (
    f"SELECT * FROM {ALIAS}.coverage"
    " QUALIFY row_number() OVER (PARTITION BY dataset, symbol, session ORDER BY commit_seq DESC) = 1"
)

# units x num / den, rounded half-even, in integers; then back to the column's scale.
_MACROS = """
CREATE MACRO mdc_ratio(units, num, den) AS (
    sign(units)::HUGEINT * (
        (abs(units) * num) // den
        + CASE WHEN 2 * ((abs(units) * num) % den) > den
                 OR (2 * ((abs(units) * num) % den) = den AND ((abs(units) * num) // den) % 2 = 1)
               THEN 1 ELSE 0 END));
CREATE MACRO mdc_price_units(price) AS
    CAST(CAST(price AS DECIMAL(27,9)) * CAST(1000000000 AS DECIMAL(10,0)) AS HUGEINT);
CREATE MACRO mdc_size_units(size) AS CAST(size * CAST(100000000 AS DECIMAL(10,0)) AS HUGEINT);
CREATE MACRO mdc_price(price, num, den) AS CASE WHEN num = den THEN price ELSE
    TRY_CAST(TRY_CAST(mdc_ratio(mdc_price_units(price), num, den) AS DECIMAL(28,0))
             * CAST(0.000000001 AS DECIMAL(10,9)) AS DECIMAL(18,9)) END;
CREATE MACRO mdc_size(size, num, den) AS CASE WHEN num = den THEN size ELSE
    TRY_CAST(TRY_CAST(mdc_ratio(mdc_size_units(size), num, den) AS DECIMAL(29,0))
             * CAST(0.00000001 AS DECIMAL(9,8)) AS DECIMAL(28,8)) END;
CREATE MACRO mdc_divides(price, num, den) AS num = den OR (mdc_price_units(price) * num) % den = 0;
"""

_PRIVATE = {
    # One row per split; `num`/`den` multiply a price across this split and all later ones.
    "_splits": f"""
        SELECT symbol, ex_date,
               list_reduce(list(ratio_from::HUGEINT) OVER later, lambda a, b: a * b) AS num,
               list_reduce(list(ratio_to::HUGEINT) OVER later, lambda a, b: a * b) AS den
        FROM (SELECT DISTINCT symbol, ex_date, ratio_from, ratio_to FROM {ALIAS}.corporate_actions
              WHERE kind = 'split' AND ratio_from > 0 AND ratio_to > 0)
        WINDOW later AS (PARTITION BY symbol ORDER BY ex_date DESC)""",
    "_bars": f"""
        SELECT *, CASE basis WHEN 'raw' THEN session ELSE greatest(basis_asof, session) END AS boundary
        FROM {ALIAS}.bars_1d""",
    "_reference": """
        SELECT b.symbol, greatest(max(boundary), coalesce(max(s.newest), max(boundary))) AS reference,
               max(session) AS newest_bar
        FROM _bars b
        LEFT JOIN (SELECT symbol, max(ex_date) AS newest FROM _splits GROUP BY symbol) s USING (symbol)
        GROUP BY b.symbol""",
    "_covered_actions": f"""
        SELECT symbol, session FROM {ALIAS}.coverage WHERE dataset = 'corporate_actions'
        QUALIFY row_number() OVER (PARTITION BY dataset, symbol, session ORDER BY commit_seq DESC) = 1
                AND state IN ('present', 'empty')""",
    # First session of the last run of covered sessions without a hole, and the end of that run.
    "_covered_run": f"""
        SELECT symbol, max(session) AS run_end,
               max(session) FILTER (WHERE before IS NULL OR session - before > {_HOLE_DAYS}) AS run_start
        FROM (SELECT symbol, session, lag(session) OVER (PARTITION BY symbol ORDER BY session) AS before
              FROM _covered_actions)
        GROUP BY symbol""",
    "_uncovered_bar": """
        SELECT b.symbol, max(b.session) AS session FROM _bars b
        ANTI JOIN _covered_actions c ON b.symbol = c.symbol AND b.session = c.session
        GROUP BY b.symbol""",
    "_ended": f"""
        SELECT symbol, max(ex_date) AS ended FROM {ALIAS}.corporate_actions
        WHERE kind IN ('rename', 'delisting') GROUP BY symbol""",
    # Rows whose `from_date` lies at or after `known_from` have all actions up to the reference.
    "_adjustment": f"""
        SELECT r.symbol, r.reference,
               CASE WHEN contains(r.symbol, ':') THEN DATE '0001-01-01'
                    WHEN run_end >= r.newest_bar AND (r.reference - run_end <= {_HOLE_DAYS}
                         OR (ended > r.newest_bar AND ended - run_end <= {_HOLE_DAYS}))
                    THEN greatest(run_start - {_HOLE_DAYS}, coalesce(u.session, DATE '0001-01-01'))
                    ELSE r.reference END AS known_from
        FROM _reference r LEFT JOIN _covered_run USING (symbol) LEFT JOIN _uncovered_bar u USING (symbol)
             LEFT JOIN _ended USING (symbol)""",
}

_PRICES = ("open", "high", "low", "close")
_UNCOVERED = "'corporate actions after ' || {date} || ' are not covered'"
_REASON = "CASE WHEN basis = 'split+dividend' THEN 'stored with dividends adjusted' ELSE {uncovered} END"


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create all views in the connection's own memory; nothing is written to the lake."""
    statements = [_MACROS]
    for table in (*DATASETS, *LEDGERS):
        if table.name not in ("bars_1d", "coverage"):
            statements.append(f"CREATE VIEW {table.name} AS FROM {ALIAS}.{table.name};")
    statements += [
        f"CREATE VIEW coverage_log AS FROM {ALIAS}.coverage;",
        f"CREATE VIEW coverage AS {NEWEST_COVERAGE};",
        f"CREATE VIEW bars_1d_stored AS FROM {ALIAS}.bars_1d;",
        *(f"CREATE VIEW {name} AS {query};" for name, query in _PRIVATE.items()),
        f"CREATE VIEW bars_1d AS {_split_consistent()};",
        f"CREATE VIEW bars_1d_raw AS {_raw()};",
        *(f"CREATE VIEW {name} AS {query};" for name, query in _dividend_views().items()),
        f"CREATE VIEW bars_1d_total AS {_total()};",
    ]
    for statement in statements:  # one by one: named windows clash across the statements of one call
        connection.execute(statement)


def _columns(*, unknown: str, reason: str, basis: str, asof: str) -> str:
    """Select list of an adjusted view over row ``b`` with factor ``num``/``den``."""
    prices = ", ".join(f"CASE WHEN NOT ({unknown}) THEN mdc_price({p}, num, den) END AS {p}" for p in _PRICES)
    exact = " AND ".join(f"mdc_divides({p}, num, den)" for p in _PRICES)
    return f"""
        SELECT symbol, session, ts, {prices},
               CASE WHEN NOT ({unknown}) THEN mdc_size(volume, den, num) END AS volume, trade_count,
               CASE WHEN {unknown} THEN NULL WHEN num = den THEN vwap ELSE vwap * num / den END AS vwap,
               {basis} AS basis, {asof} AS basis_asof, exact AND {exact} AS exact, source,
               CASE WHEN {unknown} THEN {reason} END AS null_reason"""


def _split_consistent() -> str:
    unknown = "basis = 'split+dividend' OR (boundary < reference AND boundary < known_from)"
    reason = _REASON.format(uncovered=_UNCOVERED.format(date="boundary"))
    select = _columns(unknown=unknown, reason=reason, basis="'split'", asof="reference")
    return f"""{select}
        FROM (SELECT b.*, a.reference, a.known_from, coalesce(s.num, 1) AS num, coalesce(s.den, 1) AS den
              FROM _bars b JOIN _adjustment a USING (symbol)
              ASOF LEFT JOIN _splits s ON b.symbol = s.symbol AND b.boundary < s.ex_date)"""


def _raw() -> str:
    unknown = "basis = 'split+dividend' OR (session < boundary AND session < known_from)"
    reason = _REASON.format(uncovered=_UNCOVERED.format(date="session"))
    select = _columns(unknown=unknown, reason=reason, basis="'raw'", asof="basis_asof")
    # What the vendor multiplied in: the splits after the session up to the boundary, undone.
    return f"""{select}
        FROM (SELECT b.*, a.known_from,
                     coalesce(s.den, 1) // coalesce(k.den, 1) AS num,
                     coalesce(s.num, 1) // coalesce(k.num, 1) AS den
              FROM _bars b JOIN _adjustment a USING (symbol)
              ASOF LEFT JOIN _splits s ON b.symbol = s.symbol AND b.session < s.ex_date
              ASOF LEFT JOIN _splits k ON b.symbol = k.symbol AND b.boundary < k.ex_date)"""


def _dividend_views() -> dict[str, str]:
    """Dividends on the reference's basis, then the factor of each and of all later ones.

    The factor of a dividend is ``1 - amount / close of the last session before ex_date`` (the CRSP
    convention); both are split-consistent.
    """
    return {
        "_dividends": f"""
            SELECT d.symbol, d.ex_date,
                   sum(d.amount::DOUBLE * coalesce(s.num, 1) / coalesce(s.den, 1)) AS amount
            FROM (SELECT DISTINCT symbol, ex_date, amount,
                         CASE basis WHEN 'raw' THEN ex_date
                                    ELSE greatest(ex_date, known_at::DATE) END AS boundary
                  FROM {ALIAS}.corporate_actions WHERE kind = 'dividend' AND amount > 0) d
            ASOF LEFT JOIN _splits s ON d.symbol = s.symbol AND d.boundary < s.ex_date
            GROUP BY ALL""",
        "_dividend_factors": """
            SELECT symbol, ex_date,
                   CASE WHEN bool_and(factor IS NOT NULL) OVER later
                        THEN product(factor) OVER later END AS factor
            FROM (SELECT d.symbol, d.ex_date, 1 - d.amount / nullif(b.close::DOUBLE, 0) AS factor
                  FROM _dividends d ASOF LEFT JOIN bars_1d b ON d.symbol = b.symbol AND d.ex_date > b.session)
            WINDOW later AS (PARTITION BY symbol ORDER BY ex_date DESC)""",
    }


def _total() -> str:
    scaled = "CASE WHEN factor = 1 THEN {0} ELSE TRY_CAST({0}::DOUBLE * factor AS DECIMAL(18,9)) END"
    prices = ", ".join(f"CASE WHEN known THEN {scaled.format(p)} END AS {p}" for p in _PRICES)
    return f"""
        SELECT symbol, session, ts, {prices}, volume, trade_count,
               CASE WHEN known THEN vwap * factor END AS vwap,
               'split+dividend' AS basis, basis_asof, exact AND factor = 1 AS exact, source,
               CASE WHEN NOT known THEN coalesce(null_reason,
                    CASE WHEN factor IS NULL THEN 'the close before a later dividend is not stored'
                         ELSE {_UNCOVERED.format(date="session")} END) END AS null_reason
        FROM (SELECT b.*, CASE WHEN f.ex_date IS NULL THEN 1.0::DOUBLE ELSE f.factor END AS factor,
                     coalesce(b.close IS NOT NULL AND (f.ex_date IS NULL OR f.factor IS NOT NULL)
                              AND (session >= a.reference OR session >= a.known_from), false) AS known
              FROM bars_1d b JOIN _adjustment a USING (symbol)
              ASOF LEFT JOIN _dividend_factors f ON b.symbol = f.symbol AND b.session < f.ex_date)"""
