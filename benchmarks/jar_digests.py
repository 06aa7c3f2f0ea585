"""Writes the digests of the jars that Helix fetches, for all pairs of versions that it works with: `make constraints`.

What Maven's repository has under a version never changes. So a digest that is there already and comes out another is an
error, and only what has none yet is added.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from helix_spark.engine.spark import s3_jars
from helix_spark.engine.spark.jars import DeltaPair, delta_packages, spark_home
from helix_spark.engine.spark.resolving import DIGESTS, Packages, fetch, known_digests
from helix_spark.versions import PAIRS


def fetched(packages: Packages) -> Iterator[tuple[str, str]]:
    """Fetch the jars of packages; yield their names and digests."""
    with tempfile.TemporaryDirectory(prefix="helix-jars-") as folder:
        for jar in fetch(packages, Path(folder), spark_home(), os.environ):
            yield jar.name, sha256(jar.read_bytes()).hexdigest()


def main() -> None:
    known = known_digests()
    found: dict[str, str] = {}
    for packages in (*(delta_packages(DeltaPair(*pair)) for pair in PAIRS.items()), s3_jars.packages()):
        found |= fetched(packages)
    if changed := [name for name, digest in found.items() if known.get(name, digest) != digest]:
        sys.exit(f"{', '.join(changed)}: what was fetched is not what {DIGESTS.name} says")
    DIGESTS.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(found.items())))


if __name__ == "__main__":
    main()
