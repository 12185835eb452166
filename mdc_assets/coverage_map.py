"""The asset ``coverage_map/<universe>``: what is held of each dataset, as a picture and in figures.

It has no partitions and fetches nothing. The pages lie in the home (``reports/coverage``); the event
carries a table, a drawing, the pages' places, and figures that the web UI plots over time.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

from dagster import AssetsDefinition, AssetSelection, MaterializeResult, asset, define_asset_job
from dagster._core.definitions.metadata import RawMetadataValue

from mdc_assets import metadata
from mdc_assets.preview import data_uri
from mdc_resources.config import Home
from mdc_resources.coverage.heatmap_svg import SYMBOLS, svg_of
from mdc_resources.coverage.maps import CoverageMap, draw_maps
from mdc_resources.coverage.picture import Picture
from mdc_resources.domain.time import now

PREFIX = "coverage_map"
_WORST = 3

coverage_map_job = define_asset_job(
    name=PREFIX,
    selection=AssetSelection.key_prefixes([PREFIX]),
    description="Draw what every universe holds; reads the ledger, fetches nothing.",
)


def coverage_maps_of(home: Home) -> list[AssetsDefinition]:
    """One asset per universe."""
    return [coverage_map(home, universe) for universe in home.settings.universes]


def coverage_map(home: Home, universe: str) -> AssetsDefinition:
    """The map of one universe."""

    @asset(
        key=[PREFIX, universe],
        description=f"What {universe} holds of what it should: a calendar heat map per dataset.",
        group_name=universe,
        kinds={"html"},
    )
    def draw() -> MaterializeResult[None]:
        maps = draw_maps(home, universe, at=now())
        return MaterializeResult(metadata=metadata_of(maps))

    return draw


def metadata_of(maps: list[CoverageMap]) -> dict[str, RawMetadataValue]:
    """The table, the drawings, then the figures: the order in which the web UI shows them."""
    return metadata.of_maps(maps, table=table_of(maps), drawings=drawings_of(maps))


def table_of(maps: list[CoverageMap]) -> str:
    """Markdown of all datasets; the web UI shows up to 1,000 characters of it in place."""
    lines = ["|dataset|covered|of|open|gaps|least covered|", "|---|--:|--:|--:|--:|---|"]
    return "\n".join([*lines, *(_line(each.picture) for each in maps)])


def drawings_of(maps: list[CoverageMap]) -> str:
    """Markdown with a drawing of each dataset, which the web UI shows at a click."""
    lines: list[str] = []
    for each in maps:
        shown, known = min(len(each.picture.rows), SYMBOLS), len(each.picture.rows)
        which = f"the {shown} least covered of {known} symbols" if shown < known else f"{known} symbols"
        what = f"{each.picture.dataset} by month, {which}"
        lines += [f"**{what}**", "", f"![{what}]({data_uri(svg_of(each.picture))})", ""]
    return "\n".join(lines)


def _line(picture: Picture) -> str:
    lacking = [row for row in picture.rows if row.covered < row.expected]
    worst = ", ".join(f"{row.symbol} (lacks {row.expected - row.covered})" for row in lacking[:_WORST])
    share = "-" if picture.percent is None else f"{picture.percent:g}%"
    opened = sum(gap.sessions for gap in picture.gaps)
    return f"|{picture.dataset}|{share}|{picture.expected}|{opened}|{len(picture.gaps)}|{worst}|"
