"""Lakes for tests. An empty one is made once and copied: a lake can be moved, so it can be copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.lake import Lake


@pytest.fixture(scope="session")
def _empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "lake"
    Lake.create(path).close()
    return path


@pytest.fixture
def lake_dir(_empty_lake: Path, tmp_path: Path) -> Path:
    """The directory of an empty lake, closed."""
    return Path(shutil.copytree(_empty_lake, tmp_path / "lake"))


@pytest.fixture
def lake(lake_dir: Path) -> Iterator[Lake]:
    """An empty open lake."""
    opened = Lake.open(lake_dir)
    yield opened
    opened.close()
