"""Recorded answers of real vendors, kept outside the project: where they lie and what they must become.

``tests/providers/recorded/<provider>.py`` lists them. A recording becomes a tape of the
conformance suite; where the folder of payloads is absent there are none, and the suite says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdc_resources.domain.datasets import Dataset

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded body below the payloads' folder, what was asked for, and its number of rows.

    ``start`` and ``end`` are sessions, both inclusive. ``extract`` turns the file's bytes into the
    body where the file is more than that (a cassette, a gzip, one of several answers).
    """

    path: str
    dataset: Dataset
    symbols: tuple[str, ...]
    start: dt.date
    end: dt.date
    rows: int
    calendar: str = "XNYS"
    settings: Mapping[str, Any] = field(default_factory=dict)
    extract: Callable[[bytes], bytes] | None = None

    def body(self) -> bytes:
        """The body as it was received."""
        content = (PAYLOADS / self.path).read_bytes()
        return self.extract(content) if self.extract else content
