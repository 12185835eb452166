"""The home is still there: its lake's marker, and the very folder the log is written to.

A log that is written into a folder somebody moved away, or below a mount point that lost its disk,
would be acknowledged and never found: both end the process.
"""

from __future__ import annotations

from mdc_resources.config import Home
from mdc_resources.domain.errors import LakeMarkerMissing, StorageFailed

_MARKER = "MARKER"


class HomeCheck:
    """Looks at ``home`` now and then; the first look is what later ones are compared with."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: tuple[int, int] | None = None

    def look(self) -> None:
        """Return if all is well.

        Raises:
            LakeMarkerMissing: the lake is not mounted, or was moved.
            StorageFailed: the log's folder is gone, or another one took its place.
        """
        marker = self._home.lake_dir / _MARKER
        if not marker.is_file():
            raise LakeMarkerMissing(
                f"{marker} does not exist",
                hint="Mount the disk the lake lies on; mdc init makes a new home",
            )
        found = self._identity()
        if self._known is not None and found != self._known:
            raise StorageFailed(
                f"{self._home.wal_dir} is gone, or another folder took its place",
                hint="Mount the disk again, then start mdc stream run",
            )
        self._known = found

    def _identity(self) -> tuple[int, int]:
        folder = self._home.wal_dir
        try:
            if self._known is None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            raise StorageFailed(
                f"{folder} cannot be used: {error.strerror}", hint="Mount the disk the home lies on"
            ) from None
        return status.st_dev, status.st_ino
