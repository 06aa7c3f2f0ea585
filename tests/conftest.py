"""What all tests share: property tests have no deadline, for a machine that many share takes its time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("helix", deadline=None)
settings.load_profile("helix")
