"""One line of ``mdc doctor``."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``level`` is ``ok``, ``warning`` or ``error``; ``hint`` says what to do."""

    level: str
    check: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return asdict(self)
