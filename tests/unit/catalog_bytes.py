"""All that lies in the folder of a catalog, to look for what must not be left there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from helix_spark.catalog.segments.segment import unpack


def texts(root: Path) -> Iterator[bytes]:
    """All bytes of a catalog, unpacked as far as its files are packed."""
    for path in (path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield content
        if path.suffix in (".segment", ".fold"):
            yield b"".join(unpack(content))
        if path.suffix == ".parquet":
            yield pd.read_parquet(path).to_csv().encode()


def holds(root: Path, text: str) -> bool:
    return any(text.encode() in one for one in texts(root))
