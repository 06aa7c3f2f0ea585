"""Where what can be had again is kept between runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where jars, archives, fetched data and indexes of records are kept: HELIX_CACHE, else the user's cache
    folder."""
    given = environ.get("HELIX_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("helix_spark")
