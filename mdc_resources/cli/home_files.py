"""Making a home on disk: which folders may become one, and what is put into it.

Refuses ``/``, a folder that holds something else, and a folder inside ``DAGSTER_HOME``. Never
overwrites: what is there stays, so running it again only adds what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mdc_resources import config
from mdc_resources.cli import home_templates
from mdc_resources.cli.reporters import load_reporter
from mdc_resources.domain.errors import UsageError

_FOLDERS = ("raw", "state", "dagster_home")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a home needs. ``done`` is True where it was there already."""

    path: Path
    what: str
    done: bool


def check_folder(root: Path, environ: Mapping[str, str]) -> None:
    """Raise UsageError unless ``root`` (resolved) may become, or is, a home."""
    if root == Path(root.anchor):
        raise UsageError(f"{root} cannot be a home", hint="Name a folder: mdc init ~/market-data")
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file", hint="Name a folder that is empty or does not exist")
    dagster_home = environ.get("DAGSTER_HOME")
    if dagster_home and root.is_relative_to(Path(dagster_home).resolve()):
        raise UsageError(
            f"{root} lies inside DAGSTER_HOME ({dagster_home})", hint="Choose a folder outside it"
        )
    inside = next((folder for folder in (root, *root.parents) if (folder / "dagster.yaml").is_file()), None)
    if inside is not None:
        raise UsageError(
            f"{root} lies inside a Dagster instance ({inside})", hint="Choose a folder outside it"
        )
    if root.is_dir() and not (root / config.FILE_NAME).exists():
        foreign = next(iter(sorted(path.name for path in root.iterdir())), None)
        if foreign is not None:
            raise UsageError(
                f"{root} is not empty (it holds {foreign!a}) and no mdc home",
                hint="Name a folder that is empty or does not exist",
            )


def steps(root: Path, *, sandbox: bool) -> Iterator[Step]:
    """What :func:`make_home` would do, in order."""
    yield Step(root, "folder", root.is_dir())
    for name in _FOLDERS:
        yield Step(root / name, "folder", (root / name).is_dir())
    for path, what in (
        (root / config.FILE_NAME, "settings of a sandbox" if sandbox else "settings"),
        (root / ".env", "secrets, mode 600"),
        (root / "dagster_home" / "dagster.yaml", "Dagster instance"),
    ):
        yield Step(path, what, path.exists())


def make_home(root: Path, *, sandbox: bool, port: int, environ: Mapping[str, str]) -> config.Home:
    """Create what is missing of the home ``root``, the lake included, and return it.

    Raises:
        UsageError: the folder may not become a home, or it is one of the other kind.
    """
    check_folder(root, environ)
    _make_folder(root)
    for name in _FOLDERS:
        _make_folder(root / name)
    write_new(root / config.FILE_NAME, home_templates.config_text(sandbox=sandbox, port=port), mode=0o644)
    dotenv = home_templates.dotenv_text(root / "dagster_home", _credentials(), sandbox=sandbox)
    write_new(root / ".env", dotenv, mode=0o600)
    home = config.load(root / config.FILE_NAME)
    if sandbox and not home.settings.lake.sandbox:
        raise UsageError(f"{root} is a home for real data", hint="Make the sandbox in a folder of its own")
    _make_lake(home)
    prepare = getattr(load_reporter(), "prepare", None)
    if prepare is not None:
        prepare(home)
    return home


def write_new(path: Path, text: str, *, mode: int) -> bool:
    """Write ``path`` durably unless it exists; True if it was written."""
    if path.exists():
        return False
    replace_file(path, text, mode=mode)
    return True


def replace_file(path: Path, text: str, *, mode: int) -> None:
    """Write ``path`` so that a crash leaves the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8"
    ) as out:
        out.write(text)
        out.flush()
        os.fchmod(out.fileno(), mode)
        os.fsync(out.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(parents=True, mode=0o700)
        path.chmod(0o700)


def _make_lake(home: config.Home) -> None:
    from mdc_resources.lake import Lake
    from mdc_resources.state import State

    url = home.settings.lake.catalog_url
    there = home.lake_dir.is_dir() and any(home.lake_dir.iterdir())
    lake = (
        Lake.open(home.lake_dir, catalog_url=url)
        if there
        else Lake.create(home.lake_dir, catalog_url=url, sandbox=home.settings.lake.sandbox)
    )
    lake.close()
    home.lake_dir.chmod(0o700)
    State.open(home).close()


def _credentials() -> list[str]:
    from mdc_resources.providers.registry import load_providers

    return sorted({name for provider in load_providers().values() for name in provider.spec.credentials})
