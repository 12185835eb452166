"""Counter-based noise: random numbers that are a function of a key and an index, not of a history.

SplitMix64 in numpy, wrapping 64-bit integers only, so every platform and version agrees.
Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ROOT_3 = 1.7320508075688772
_ALL = (1 << 64) - 1


def key(*parts: object) -> int:
    """A 64-bit key for ``parts``; different parts give unrelated streams."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(stream: int, count: int) -> Floats:
    """``count`` numbers in [0, 1) of the stream called ``stream`` (a key)."""
    return uniform_at(stream, np.arange(1, count + 1, dtype=np.uint64))


def uniform_at(stream: int, counter: NDArray[np.uint64]) -> Floats:
    """The numbers in [0, 1) at the places ``counter`` of the stream called ``stream``."""
    found: Floats = (_mixed(stream, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def whole(stream: int, counter: int) -> int:
    """64 bits at one place of a stream, in plain integers: quicker than numpy for a single one."""
    z = (counter * 0x9E3779B97F4A7C15 + stream) & _ALL
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _ALL
    return z ^ (z >> 31)


def bell(stream: int, count: int) -> Floats:
    """``count`` bell-shaped numbers, mean 0, variance 1, within +-3.5 (a sum of four uniforms)."""
    found: Floats = (uniform(stream, 4 * count).reshape(count, 4).sum(axis=1) - 2.0) * _ROOT_3
    return found


def fraction(stream: int) -> float:
    """One number in [0, 1)."""
    return float(uniform(stream, 1)[0])


def _mixed(stream: int, counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = counter * _GAMMA + np.uint64(stream)
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))
