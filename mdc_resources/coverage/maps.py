"""The maps of a universe: a page per dataset that recovery looks after, kept in the home.

``reports/coverage/<universe>-<dataset>.html``, private to its owner, replaced by each drawing. A
dataset of which nothing was ever asked for has no map.
"""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mdc_resources.config import Home
from mdc_resources.coverage.heatmap import write_page
from mdc_resources.coverage.painting import picture_of
from mdc_resources.coverage.picture import Picture
from mdc_resources.domain.datasets import parse_dataset
from mdc_resources.lake import Lake
from mdc_resources.state import State


@dataclass(frozen=True, slots=True)
class CoverageMap:
    """A picture and the page it was written to."""

    picture: Picture
    page: Path


def draw_maps(home: Home, universe: str, *, at: dt.datetime) -> list[CoverageMap]:
    """Draw and write the maps of ``universe`` as of ``at``, in the order of ``[recovery] datasets``.

    Raises:
        LakeError: the lake is not there or cannot be read; nothing is written then.
    """
    folder = home.root / "reports" / "coverage"
    found: list[CoverageMap] = []
    with (
        closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        symbols = [member.symbol for member in state.members(universe)]
        for name in home.settings.recovery.datasets:
            dataset = parse_dataset(name)
            title = f"universe {universe}"
            picture = picture_of(home, lake, state, dataset, symbols, at=at, title=title)
            if picture.rows:
                for part in (folder.parent, folder):
                    part.mkdir(mode=0o700, exist_ok=True)
                found.append(CoverageMap(picture, write_page(picture, folder / f"{universe}-{dataset}.html")))
    return found
