"""The reference page and the lake itself against the DDL."""

from __future__ import annotations

import re

import pytest

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.lake import Lake
from mdc_resources.lake.reference import PAGE, reference_page
from mdc_resources.lake.tables import BY_NAME, LEDGERS, TABLES
from mdc_resources.schema.arrow import SCHEMAS


def test_reference_page_is_up_to_date() -> None:
    """docs/reference/tables.md is what the DDL says (python -m mdc_resources.lake.reference)."""
    assert PAGE.read_text(encoding="utf-8") == reference_page()


def test_every_column_is_explained() -> None:
    """The page has a line for each column of each table."""
    page = PAGE.read_text(encoding="utf-8")
    for table in TABLES:
        section = page.split(f"### {table.name}\n")[1].split("\n### ")[0]
        assert re.findall(r"^\| `(\w+)` \| .+ \|$", section, re.MULTILINE) == [c.name for c in table.columns]


def test_all_ledgers_of_the_design_exist() -> None:
    """They land first, whoever fills them."""
    names = {table.name for table in LEDGERS}
    assert names == {
        "coverage",
        "spans",
        "holes",
        "fetches",
        "observations",
        "incidents",
        "quarantine",
        "quality",
        "segments",
    }


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_lake_has_the_documented_columns(lake: Lake, name: str) -> None:
    """A new lake's tables have the columns, types and nullability of the DDL."""
    found = lake.connect().execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns()"
        " WHERE database_name = 'lake' AND table_name = ? ORDER BY column_index",
        [name],
    )
    spelled = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    expected = [(c.name, spelled.get(c.type, c.type), c.nullable) for c in BY_NAME[name].columns]
    assert found.fetchall() == expected


@pytest.mark.parametrize("dataset", SCHEMAS, ids=str)
def test_datasets_have_the_canonical_schema(dataset: str) -> None:
    """The DDL of a dataset is its Arrow schema."""
    table = BY_NAME[dataset]
    assert [(f.name, f.type, f.nullable) for f in table.arrow] == [
        (f.name, f.type, f.nullable)
        for f in SCHEMAS[table.name]  # type: ignore[index]
    ]


def test_every_state_can_be_stored_in_coverage() -> None:
    """The ledger's documentation names each state a row may have."""
    text = next(column.doc for column in BY_NAME["coverage"].columns if column.name == "state")
    assert {state.value for state in PartitionState} - {"pending"} <= set(re.findall(r"\w+", text))
