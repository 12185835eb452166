"""Colours, words and the stylesheet of the heat map.

Shades differ in lightness, and most of those that need attention in pattern too, so that they can be
told apart without colour. The page's policy lets it load nothing: no script, no font, no image.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from mdc_resources.coverage.picture import Shade


@dataclass(frozen=True, slots=True)
class Look:
    """How a shade is drawn and named. ``mark`` is its class in the page; colours are light, dark."""

    mark: str
    label: str
    means: str
    colours: tuple[str, str]


LOOKS: dict[Shade, Look] = {
    Shade.PRESENT: Look("p", "present", "complete rows are stored", ("#58ad87", "#23795a")),
    Shade.EMPTY: Look("e", "empty", "proven: nothing happened", ("#cdeadb", "#123a2d")),
    Shade.EXPIRED: Look("x", "expired", "dropped by retention", ("#8a94a0", "#59636f")),
    Shade.PARTIAL: Look("c", "partial", "the answer was cut short", ("#f0b02a", "#f5c04a")),
    Shade.MISSING: Look("m", "missing", "expected, and nothing explains it", ("#b3202c", "#ff757b")),
    Shade.QUARANTINED: Look("q", "quarantined", "came, but failed a check", ("#552583", "#b795f0")),
    Shade.PENDING: Look("w", "pending", "not due yet", ("#d9e6fa", "#17304f")),
    Shade.UNASKED: Look("u", "not asked", "before the first session asked for", ("#ffffff", "#0f1318")),
    Shade.UNLISTED: Look("n", "not expected", "no session, or not listed", ("#eceff2", "#1b2027")),
}
# Shares covered below 1: upper bound, mark, what the legend calls it (at least so much), colours.
STEPS: tuple[tuple[float, str, str, tuple[str, str]], ...] = (
    (0.25, "s0", "less", ("#b3202c", "#ff757b")),
    (0.75, "s1", "25 % or more", ("#dd6b35", "#c27735")),
    (0.95, "s2", "75 % or more", ("#f0b02a", "#8c6d27")),
    (1.0, "s3", "95 % or more", ("#f7dc8a", "#5d5228")),
)


def step_of(share: float) -> str:
    """The mark of a share covered below 1."""
    return next(mark for bound, mark, _, _ in STEPS if share < bound)


def stylesheet() -> str:
    """The whole of it: the file beside this module, with the colours of the shades for light and dark."""
    light, dark = (_variables(at) for at in (0, 1))
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{_marks()}{_sheet()}"


def _variables(at: int) -> str:
    shades = "".join(f"--{look.mark}:{look.colours[at]};" for look in LOOKS.values())
    return shades + "".join(f"--{mark}:{colours[at]};" for _, mark, _, colours in STEPS)


def _marks() -> str:
    plain = "".join(f".{look.mark}{{background:var(--{look.mark})}}" for look in LOOKS.values())
    return plain + "".join(f".{mark}{{background:var(--{mark})}}" for _, mark, _, _ in STEPS)


def _sheet() -> str:
    return (resources.files(__package__) / "heatmap.css").read_text(encoding="utf-8").replace("\n", "")
