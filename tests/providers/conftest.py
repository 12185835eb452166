"""Property tests here measure correctness, not speed: a busy machine must not fail them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("providers", deadline=None)
settings.load_profile("providers")
