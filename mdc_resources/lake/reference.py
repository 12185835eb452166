"""The page ``docs/reference/tables.md``, written from the DDL.

``python -m mdc_resources.lake.reference`` rewrites it; a test fails when page and DDL differ.
"""

from __future__ import annotations

from pathlib import Path

from mdc_resources.lake.tables import DATASETS, IDENTITY, LEDGERS, SCHEMA_VERSION, TableSpec

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"
_HEAD = f"""# Tables of the lake

Written by `python -m mdc_resources.lake.reference` from `mdc_resources/lake/tables.py`; a test keeps it true.

Schema version {SCHEMA_VERSION}. Instants are UTC. Ledgers are append-only and change only by migration.
A reader's connection (`mdc query`, `mdc.connect()`) shows the tables under their names, and besides:
`coverage` (newest row per partition) and `coverage_log` (all rows), `holes` and `spans` (what counts
now), `holes_log` and `spans_log`, `bars_1d` (split-consistent; also
`bars_1d_split`), `bars_1d_raw`, `bars_1d_total` and `bars_1d_stored`. The adjusted views add
`null_reason`: why a price is NULL. `trades`, `quotes` and `depth` gain `ts` (TIMESTAMPTZ, whole
microseconds), `trades` also `valid` (no correction).
"""


def reference_page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for title, group in (("Datasets", DATASETS), ("Ledgers", LEDGERS), ("Identity", (IDENTITY,))):
        parts.append(f"## {title}\n")
        parts += [_section(table) for table in group]
    return "\n".join(parts)


def _section(table: TableSpec) -> str:
    rows = "\n".join(
        f"| `{column.name}` | {column.doc}{' (may be null)' if column.nullable else ''} |"
        for column in table.columns
    )
    head = f"### {table.name}\n\n{table.doc}\n\n```sql\n{table.ddl}\n```\n"
    return f"{head}\n| column | meaning |\n|---|---|\n{rows}\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference_page(), encoding="utf-8")
