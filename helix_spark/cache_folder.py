"""The cache folder, for data that can be downloaded or computed again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of jars, archives, downloads and indexes of records: HELIX_CACHE or the user's cache folder."""
    if folder := environ.get("HELIX_CACHE"):
        return Path(folder)
    from platformdirs import user_cache_path

    return user_cache_path("helix_spark")
