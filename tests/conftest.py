"""How many examples property tests draw: few by default, more with HELIX_EXAMPLES=200."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a machine that many share takes its time.
settings.register_profile("helix", deadline=None)
settings.load_profile("helix")

EXAMPLES = int(os.environ.get("HELIX_EXAMPLES", "0"))
"""0: each test's own number."""
