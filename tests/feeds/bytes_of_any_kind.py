"""Frames that no vendor would send, or only one: noise, cuts, flips, and JSON of other shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_EXAMPLES = 150
_CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_TREES = st.recursive(
    _CELLS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ODDITIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[null]",
    b"[[]]",
    b"\xff\xfe",
    b'"\xed\xa0\x80"',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"9" * 5000,
    b"[" + b"9" * 5000 + b"]",
    b"1e999999999",
)


@st.composite
def _mutants(draw: st.DrawFn, frames: Sequence[bytes]) -> bytes:
    """A true frame with a cell replaced, or cut, flipped, doubled or joined with another."""
    frame = draw(st.sampled_from(frames))
    how = draw(st.sampled_from(("cut", "flip", "cell", "insert", "join")))
    at = draw(st.integers(0, max(0, len(frame) - 1)))
    if how == "cut":
        return frame[:at]
    if how == "flip":
        return (
            frame[:at] + bytes([frame[at] ^ (1 << draw(st.integers(0, 7)))]) + frame[at + 1 :]
            if frame
            else b""
        )
    if how == "insert":
        return frame[:at] + draw(st.binary(max_size=6)) + frame[at:]
    if how == "join":
        return frame + draw(st.sampled_from(frames))
    return _with_a_cell_replaced(draw, frame)


def _with_a_cell_replaced(draw: st.DrawFn, frame: bytes) -> bytes:
    try:
        tree = json.loads(frame)
    except ValueError:
        return frame
    node = tree
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.booleans()):
            node[key] = draw(_TREES)
            break
        node = node[key]
    return json.dumps(tree).encode()


def any_frames(frames: Sequence[bytes], take: Callable[[bytes], None]) -> None:
    """``take`` is shown oddities, noise and mutants of ``frames``; what it raises is a finding."""
    for oddity in ODDITIES:
        take(oddity)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.binary(max_size=60) | _mutants(list(frames)) | _TREES.map(lambda tree: json.dumps(tree).encode())
    )
    def run(frame: bytes) -> None:
        take(frame)

    run()
