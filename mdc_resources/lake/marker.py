"""The marker at a lake's root: proof that this directory is that lake.

An empty mount point, a deleted directory or another lake's files must never read as "everything is
missing", so every open demands the marker, and its id must be the one inside the catalog.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from mdc_resources.domain.errors import LakeMarkerMissing
from mdc_resources.lake.durable import write_text

FILE_NAME = "MARKER"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Marker:
    """Identity and mode of a lake. ``catalog`` is ``sqlite`` or ``postgres``."""

    lake_id: str
    sandbox: bool
    catalog: str
    created_at: str
    format: int = FORMAT

    @classmethod
    def new(cls, *, sandbox: bool, catalog: str) -> Marker:
        """A marker with a fresh id."""
        return cls(uuid.uuid4().hex, sandbox, catalog, dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))

    def write(self, lake_dir: Path) -> None:
        """Write the marker durably; raises StorageFailed if there is one already."""
        write_text(lake_dir / FILE_NAME, json.dumps(asdict(self), indent=1) + "\n")


def read_marker(lake_dir: Path) -> Marker:
    """The marker of the lake at ``lake_dir``; raises LakeMarkerMissing if absent or unreadable."""
    path = lake_dir / FILE_NAME
    hint = "Is the disk mounted and the path right? `mdc init` makes a new lake; nothing was changed"
    try:
        marker = Marker(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LakeMarkerMissing(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    except (ValueError, TypeError):
        raise LakeMarkerMissing(f"{path} is not a lake's marker", hint=hint) from None
    if marker.format != FORMAT:
        raise LakeMarkerMissing(
            f"{path} has format {marker.format}, this program knows {FORMAT}", hint="Upgrade mdc"
        )
    return marker
