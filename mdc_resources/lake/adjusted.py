"""The SQL of the adjusted daily bars: what a price knows, what it lacks, and whether that is covered.

A row's *boundary* is the date up to which its price knows all splits: its session if raw, else the
later of ``basis_asof`` and its session. The series' *reference* is its newest boundary or split.

``bars_1d``        needs the splits in (boundary, reference]; a row adjusted for dividends is one of
                   them only where no dividend lies in (session, boundary].
``bars_1d_raw``    needs what the vendor multiplied in, the splits in (session, boundary].
``bars_1d_total``  needs besides the dividends in (session, reference], or in (boundary, reference]
                   of a row that knows the earlier ones.

A span is *covered* if ``corporate_actions`` are settled from its first day to its last: on every
session for which the lake has a daily bar or a line of coverage, and with no silence of more than
five days (longer than a long weekend) that no single answered request spans. A price fetched on the
very day of a split, without that day's own bar, may or may not know it: it is never shown. Facts
*known at* an instant are those learned and effective by then; a price fetched later is brought back
with everything known today.
"""

# ruff: noqa: S608 - names in statements are constants of this package; dates are formatted dates

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mdc_resources.domain.time import to_utc
from mdc_resources.lake.catalog import ALIAS

_HOLE_DAYS = 5
_FACTS = f"{ALIAS}.corporate_actions"
PRICES = ("open", "high", "low", "close")

# units x num / den, rounded half-even, in integers; then back to the column's scale.
MACROS = """
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
    TRY_CAST(TRY_CAST(TRY(mdc_ratio(mdc_size_units(size), num, den)) AS DECIMAL(29,0))
             * CAST(0.00000001 AS DECIMAL(9,8)) AS DECIMAL(28,8)) END;
CREATE MACRO mdc_divides(price, num, den) AS num = den OR (mdc_price_units(price) * num) % den = 0;
CREATE MACRO mdc_divides_size(size, num, den) AS
    size IS NULL OR num = den OR coalesce(TRY((mdc_size_units(size) * num) % den) = 0, false);
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Which facts count: all (``at`` None), or those learned and effective by ``at``."""

    at: dt.datetime | None = None

    @property
    def facts(self) -> str:
        """A condition on rows of ``corporate_actions``."""
        return "true" if self.at is None else f"known_at <= {self._instant} AND ex_date <= {self.date}"

    @property
    def lines(self) -> str:
        """A condition on lines of ``coverage``."""
        return "true" if self.at is None else f"committed_at <= {self._instant}"

    @property
    def date(self) -> str:
        """The UTC date up to which prices are shown."""
        day = dt.date(9999, 12, 31) if self.at is None else to_utc(self.at).date()
        return f"DATE '{day.isoformat()}'"

    @property
    def words(self) -> str:
        """What a reason says of it."""
        return "" if self.at is None else f" as known at {to_utc(self.at).isoformat()}"

    @property
    def _instant(self) -> str:
        assert self.at is not None
        return f"TIMESTAMPTZ '{to_utc(self.at).isoformat()}'"


def private_views(known: Known) -> dict[str, str]:
    """What the adjusted views are made of, each view after those it reads."""
    return {
        "_splits": _cumulated(f"kind = 'split' AND {known.facts}"),
        "_all_splits": _cumulated("kind = 'split'"),
        "_unlearned": _cumulated(f"kind = 'split' AND NOT ({known.facts})"),
        "_effects": f"""
            SELECT DISTINCT symbol, ex_date, kind FROM {_FACTS}
            WHERE (kind = 'split' AND ratio_from > 0 AND ratio_to > 0)
                  OR (kind = 'dividend' AND amount > 0)""",
        "_unsure_days": f"""
            SELECT e.symbol, e.ex_date, bool_or(e.kind = 'split') AS of_split FROM _effects e
            ANTI JOIN {ALIAS}.bars_1d b ON b.symbol = e.symbol AND b.session = e.ex_date
                 AND b.basis_asof = e.ex_date AND b.basis <> 'raw'
            GROUP BY ALL""",
        "_bars": f"""
            SELECT b.*, u.ex_date IS NOT NULL AND session < boundary
                        AND (u.of_split OR basis = 'split+dividend') AS unsure
            FROM (SELECT *, CASE basis WHEN 'raw' THEN session ELSE greatest(basis_asof, session) END
                            AS boundary
                  FROM {ALIAS}.bars_1d) b
            LEFT JOIN _unsure_days u ON b.symbol = u.symbol AND boundary = u.ex_date AND basis <> 'raw'""",
        "_reference": f"""
            SELECT b.symbol,
                   least(greatest(max(boundary), coalesce(max(s.newest), max(boundary))), {known.date})
                   AS reference,
                   max(session) FILTER (WHERE session <= {known.date}) AS newest_bar
            FROM _bars b
            LEFT JOIN (SELECT symbol, max(ex_date) AS newest FROM _splits GROUP BY symbol) s USING (symbol)
            GROUP BY b.symbol""",
        "_ended": f"""
            SELECT symbol, max(ex_date) AS ended FROM {_FACTS}
            WHERE kind IN ('rename', 'delisting') AND {known.facts} GROUP BY symbol""",
        **_coverage("now", "true"),
        **_coverage("then", known.lines),
        "_adjustment": f"""
            SELECT symbol, reference, {_known_from("reference")} AS known_from
            FROM (SELECT r.*, c.run_start, c.run_end, u.session AS uncovered
                  FROM _reference r ASOF LEFT JOIN _runs_then c
                       ON r.symbol = c.symbol AND r.reference >= c.run_start
                  ASOF LEFT JOIN _uncovered_then u ON r.symbol = u.symbol AND r.reference >= u.session)
            LEFT JOIN _ended USING (symbol)""",
        # From when on everything is known that a price adjusted on `boundary` has in it.
        "_undoing": f"""
            SELECT symbol, boundary, {_known_from("boundary")} AS undo_from
            FROM (SELECT b.*, c.run_start, c.run_end, u.session AS uncovered
                  FROM (SELECT symbol, boundary, max(session) AS newest_bar FROM _bars
                        WHERE basis <> 'raw' GROUP BY ALL) b
                  ASOF LEFT JOIN _runs_now c ON b.symbol = c.symbol AND b.boundary >= c.run_start
                  ASOF LEFT JOIN _uncovered_now u ON b.symbol = u.symbol AND b.boundary >= u.session)
            LEFT JOIN _ended USING (symbol)""",
        "_scaled": _scaled(known),
    }


def split_consistent(known: Known) -> str:
    """``bars_1d``: every price on the basis of the reference."""
    return _select(known, unknown="too_late OR dividends_in OR unsure OR uncovered",
                   basis="'split'", asof="reference", rows="_scaled")  # fmt: skip


def as_traded() -> str:
    """``bars_1d_raw``: the splits in (session, boundary], multiplied in by the vendor, taken out."""
    rows = """(
        SELECT b.* EXCLUDE (num, den, whole, uncovered),
               undo_num AS num, undo_den AS den, undo_whole AS whole,
               session < boundary AND session < undo_from AS uncovered
        FROM _scaled b)"""
    return _select(
        Known(), unknown="dividends_in OR unsure OR uncovered", basis="'raw'", asof="basis_asof", rows=rows,
        since="session",
    )  # fmt: skip


def dividend_views(known: Known) -> dict[str, str]:
    """Dividends on the reference's basis, then the factor of each and of all later ones.

    The factor of a dividend is ``1 - amount / close of the last session before ex_date`` (the CRSP
    convention), both split-consistent. Computed in DOUBLE, a price with n later dividends is within
    two units of its last place, n times 2**-51 and n times 1e-9 of itself of the exact one (the last
    from closes rounded to nine places). NULL, with everything before it, where that close is
    not stored or not above the amount.
    """
    return {
        "_dividends": f"""
            SELECT d.symbol, d.ex_date,
                   sum(CASE WHEN u.of_split AND d.boundary > d.ex_date THEN NULL
                            ELSE d.amount::DOUBLE * coalesce(s.num, 1) / coalesce(s.den, 1) END) AS amount,
                   bool_and(u.of_split IS NOT TRUE OR d.boundary = d.ex_date) AS sure
            FROM (SELECT DISTINCT symbol, ex_date, amount,
                         CASE basis WHEN 'raw' THEN ex_date
                                    ELSE greatest(ex_date, known_at::DATE) END AS boundary
                  FROM {_FACTS} WHERE kind = 'dividend' AND amount > 0 AND {known.facts}) d
            ASOF LEFT JOIN _splits s ON d.symbol = s.symbol AND d.boundary < s.ex_date
            LEFT JOIN _unsure_days u ON d.symbol = u.symbol AND d.boundary = u.ex_date
            GROUP BY ALL""",
        # Sessions on which there was a price, as far as the lake knows: a halt has none.
        "_priced": f"""
            SELECT c.symbol, c.session FROM _covered_then c
            ANTI JOIN (SELECT symbol, session FROM {ALIAS}.coverage WHERE dataset = 'bars_1d'
                       GROUP BY ALL HAVING arg_max(state, commit_seq) = 'empty') h USING (symbol, session)""",
        "_dividend_factors": """
            SELECT symbol, ex_date,
                   CASE WHEN bool_and(factor IS NOT NULL) OVER later
                        THEN product(factor) OVER later END AS factor
            FROM (SELECT d.symbol, d.ex_date,
                         CASE WHEN d.sure AND d.amount < b.close::DOUBLE
                                   AND (p.session IS NULL OR p.session <= b.session)
                              THEN 1 - d.amount / b.close::DOUBLE END AS factor
                  FROM _dividends d JOIN _adjustment a ON d.symbol = a.symbol AND d.ex_date <= a.reference
                  ASOF LEFT JOIN bars_1d b ON d.symbol = b.symbol AND d.ex_date > b.session
                  ASOF LEFT JOIN _priced p ON d.symbol = p.symbol AND d.ex_date > p.session)
            WINDOW later AS (PARTITION BY symbol ORDER BY ex_date DESC)""",
    }


def total_return(known: Known) -> str:
    """``bars_1d_total``: ``bars_1d`` times the factors of later dividends, in DOUBLE."""
    scaled = "CASE WHEN factor = 1 THEN {0} ELSE TRY_CAST({0}::DOUBLE * factor AS DECIMAL(18,9)) END"
    prices = ", ".join(f"CASE WHEN known THEN {scaled.format(p)} END AS {p}" for p in PRICES)
    base = ", ".join(f"mdc_price({p}, num, den) AS {p}" for p in PRICES)
    return f"""
        SELECT symbol, session, ts, {prices}, CASE WHEN known THEN volume END AS volume, trade_count,
               CASE WHEN known THEN vwap * factor END AS vwap,
               'split+dividend' AS basis, reference AS basis_asof, exact AND factor = 1 AS exact, source,
               CASE WHEN known THEN NULL
                    WHEN too_late THEN {_too_late(known)}
                    WHEN blocked THEN 'stored with dividends adjusted'
                    WHEN unsure THEN {_UNSURE}
                    WHEN lacking THEN {_uncovered("since", known)}
                    ELSE 'the close before a later dividend is not stored or not above it' END AS null_reason
        FROM (SELECT *, NOT (too_late OR blocked OR unsure OR lacking OR factor IS NULL) AS known
              FROM (SELECT b.*, CASE WHEN f.ex_date IS NULL THEN 1.0::DOUBLE ELSE f.factor END AS factor,
                           uncovered OR (since < reference AND since < known_from) AS lacking
                    FROM (SELECT symbol, session, ts, {base}, mdc_size(volume, den, num) AS volume,
                                 trade_count, vwap * num::DOUBLE / den AS vwap, source, boundary, reference,
                                 known_from, uncovered, too_late, unsure, {_exact()} AS exact,
                                 dividends_in AND boundary > reference AS blocked,
                                 CASE WHEN basis = 'split+dividend' AND boundary <= reference
                                      THEN boundary ELSE session END AS since
                          FROM _scaled) b
                    ASOF LEFT JOIN _dividend_factors f ON b.symbol = f.symbol AND b.since < f.ex_date))"""


def _cumulated(condition: str) -> str:
    """One row per split; ``num``/``den`` multiply a price across this split and all later ones.

    Where their products pass 10**17 (decades of stock dividends) they are taken as a quotient near
    enough for sixteen digits, and ``whole`` is false.
    """
    return f"""
        SELECT symbol, ex_date, n < 1e17 AND d < 1e17 AS whole,
               CASE WHEN n < 1e17 AND d < 1e17 THEN TRY(list_reduce(froms, lambda a, b: a * b))
                    WHEN n > d THEN 1e17::HUGEINT ELSE (1e17 * (n / d))::HUGEINT END AS num,
               CASE WHEN n < 1e17 AND d < 1e17 THEN TRY(list_reduce(tos, lambda a, b: a * b))
                    WHEN n > d THEN (1e17 / (n / d))::HUGEINT ELSE 1e17::HUGEINT END AS den
        FROM (SELECT symbol, ex_date, list(ratio_from::HUGEINT) OVER later AS froms,
                     list(ratio_to::HUGEINT) OVER later AS tos,
                     product(ratio_from::DOUBLE) OVER later AS n, product(ratio_to::DOUBLE) OVER later AS d
              FROM (SELECT DISTINCT symbol, ex_date, ratio_from, ratio_to FROM {_FACTS}
                    WHERE {condition} AND ratio_from > 0 AND ratio_to > 0)
              WINDOW later AS (PARTITION BY symbol ORDER BY ex_date DESC))"""


def _coverage(when: str, condition: str) -> dict[str, str]:
    """Settled sessions of facts, their unbroken runs, and known sessions that are not among them."""
    return {
        f"_covered_{when}": f"""
            SELECT symbol, session FROM {ALIAS}.coverage WHERE dataset = 'corporate_actions' AND {condition}
            GROUP BY ALL HAVING arg_max(state, commit_seq) IN ('present', 'empty')""",
        # A longer silence is a closure (September 2001) if one answered request spans it: had there been
        # a session, it would have come with a bar or a line of coverage.
        f"_silences_{when}": f"""
            SELECT symbol, before, session
            FROM (SELECT symbol, session, lag(session) OVER (PARTITION BY symbol ORDER BY session) AS before
                  FROM _covered_{when}) WHERE session - before > {_HOLE_DAYS}""",
        f"_holes_{when}": f"""
            SELECT symbol, session FROM _silences_{when} h
            ANTI JOIN (SELECT unnest(string_split(symbols, ',')) AS symbol, first_session, last_session
                       FROM {ALIAS}.fetches WHERE dataset IN ('bars_1d', 'corporate_actions')
                            AND error = '' AND last_session - first_session > {_HOLE_DAYS} AND {condition}) f
                 ON f.symbol = h.symbol AND f.first_session <= h.before AND f.last_session >= h.session""",
        f"_runs_{when}": f"""
            SELECT symbol, min(session) AS run_start, max(session) AS run_end
            FROM (SELECT c.symbol, c.session, count(h.session) OVER (
                             PARTITION BY c.symbol ORDER BY c.session) AS run
                  FROM _covered_{when} c LEFT JOIN _holes_{when} h USING (symbol, session))
            GROUP BY symbol, run""",
        f"_uncovered_{when}": f"""
            SELECT symbol, session
            FROM (SELECT symbol, session FROM {ALIAS}.bars_1d
                  UNION SELECT symbol, session FROM {ALIAS}.coverage WHERE dataset = 'bars_1d')
            ANTI JOIN _covered_{when} USING (symbol, session)""",
    }


def _known_from(upto: str) -> str:
    """Rows at or after it have all facts up to ``upto``; that itself where those are not covered.

    A name that ended after its newest bar has none after its end: coverage up to there is for good.
    """
    return f"""
        CASE WHEN contains(symbol, ':') THEN DATE '0001-01-01'
             WHEN coalesce(uncovered, DATE '0001-01-01') <= run_end AND ({upto} - run_end <= {_HOLE_DAYS}
                  OR (ended > newest_bar AND ended - run_end <= {_HOLE_DAYS}))
             THEN greatest(run_start - {_HOLE_DAYS}, coalesce(uncovered, DATE '0001-01-01'))
             ELSE {upto} END"""


def _scaled(known: Known) -> str:
    """Each bar with the factor to the reference, the one back to as traded, and what stands in the way.

    ``undo`` are splits the vendor multiplied in, all of them; ``late`` those of them not yet known.
    """
    undo = "(NOT coalesce(s.whole, true) OR NOT coalesce(k.whole, true))"
    ratio = "((coalesce({0}.den, 1)::DOUBLE / coalesce({0}.num, 1)))"
    shrunk = f"({ratio.format('s')} / {ratio.format('k')})"
    pair = f"""
        CASE WHEN NOT {undo} THEN coalesce(s.den, 1) // coalesce(k.den, 1)
             WHEN {shrunk} > 1 THEN 1e17::HUGEINT ELSE (1e17 * {shrunk})::HUGEINT END AS {{0}}_num,
        CASE WHEN NOT {undo} THEN coalesce(s.num, 1) // coalesce(k.num, 1)
             WHEN {shrunk} > 1 THEN (1e17 / {shrunk})::HUGEINT ELSE 1e17::HUGEINT END AS {{0}}_den,
        NOT {undo} AS {{0}}_whole"""
    vendors = "_splits" if known.at is None else "_all_splits"
    back = f"""
        SELECT b.*, {pair.format("undo")}
        FROM _bars b
        ASOF LEFT JOIN {vendors} s ON b.symbol = s.symbol AND b.session < s.ex_date
        ASOF LEFT JOIN {vendors} k ON b.symbol = k.symbol AND b.boundary < k.ex_date"""
    late, uncovered = "", "boundary < reference AND boundary < known_from"
    factor = "coalesce(s.num, 1) AS num, coalesce(s.den, 1) AS den, coalesce(s.whole, true) AS whole"
    if known.at is not None:
        # A price fetched after that instant: the splits nobody knew by then are taken out of it.
        back = f"""
            SELECT b.*, {pair.format("late")} FROM ({back}) b
            ASOF LEFT JOIN _unlearned s ON b.symbol = s.symbol AND b.session < s.ex_date
            ASOF LEFT JOIN _unlearned k ON b.symbol = k.symbol AND b.boundary < k.ex_date"""
        late = "boundary > reference AND basis <> 'raw'"
        uncovered = f"({uncovered}) OR ({late} AND reference < undo_from)"
        factor = ", ".join(
            f"CASE WHEN {late} THEN late_{x} ELSE coalesce(s.{x}, {one}) END AS {x}"
            for x, one in (("num", "1"), ("den", "1"), ("whole", "true"))
        )
    return f"""
        SELECT b.*, {factor}, {uncovered} AS uncovered, session > {known.date} AS too_late,
               basis = 'split+dividend' AND session < boundary
               AND (session < undo_from OR coalesce(e.ex_date <= boundary, false)) AS dividends_in
        FROM (SELECT b.*, a.reference, a.known_from, u.undo_from FROM ({back}) b
              JOIN _adjustment a USING (symbol)
              LEFT JOIN _undoing u ON b.symbol = u.symbol AND b.boundary = u.boundary) b
        ASOF LEFT JOIN _splits s ON b.symbol = s.symbol AND b.boundary < s.ex_date
        ASOF LEFT JOIN (FROM _effects WHERE kind = 'dividend') e
             ON b.symbol = e.symbol AND b.session < e.ex_date"""


_UNSURE = "'fetched on the day of a corporate action, ' || boundary"


def _uncovered(date: str, known: Known) -> str:
    return f"'corporate actions after ' || {date} || ' are not covered{known.words}'"


def _too_late(known: Known) -> str:
    return f"'the session lies after ' || {known.date}"


def _exact() -> str:
    prices = " AND ".join(f"mdc_divides({p}, num, den)" for p in PRICES)
    return f"(exact AND whole AND {prices} AND mdc_divides_size(volume, den, num))"


def _select(known: Known, *, unknown: str, basis: str, asof: str, rows: str, since: str = "boundary") -> str:
    """The columns of a view over ``rows`` with the factor ``num``/``den``, NULL where ``unknown``."""
    prices = ", ".join(f"CASE WHEN NOT ({unknown}) THEN mdc_price({p}, num, den) END AS {p}" for p in PRICES)
    late = "" if known.at is None else f"WHEN too_late THEN {_too_late(known)} "
    return f"""
        SELECT symbol, session, ts, {prices},
               CASE WHEN NOT ({unknown}) THEN mdc_size(volume, den, num) END AS volume, trade_count,
               CASE WHEN {unknown} THEN NULL WHEN num = den THEN vwap
                    ELSE vwap * num::DOUBLE / den END AS vwap,
               {basis} AS basis, {asof} AS basis_asof, {_exact()} AS exact, source,
               CASE {late}WHEN NOT ({unknown}) THEN NULL
                    WHEN dividends_in THEN 'stored with dividends adjusted'
                    WHEN unsure THEN {_UNSURE}
                    ELSE {_uncovered(since, known)} END AS null_reason
        FROM {rows}"""
