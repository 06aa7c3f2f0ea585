"""Writes the digests of the jars that Helix fetches, for all pairs of versions that it works with: `make constraints`.

What Maven's repository has under a version never changes. So a digest that is there already and comes out another is an
error, and only what has none yet is added.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

from helix_spark.engine.spark.jars import DIGESTS, FILE_SYSTEMS, DeltaPair, JarSet, fetch, known_digests, store_jars
from helix_spark.versions import PAIRS

WANTED = (
    "io.delta_*.jar", "io.unitycatalog_*.jar", "org.apache.hadoop_*.jar", "org.apache.hadoop.thirdparty_*.jar",
    "org.wildfly.openssl_*.jar", "software.amazon*.jar", "org.reactivestreams_*.jar",
)
"""Of what comes with the packages; Spark brings the rest."""


def fetched(jars: JarSet) -> Iterator[tuple[str, str]]:
    """Fetch the jars of a set; yield their paths below the folder of all sets, and their digests."""
    with tempfile.TemporaryDirectory(prefix="helix-jars-") as folder:
        for jar in fetch(jars, Path(folder), os.environ):
            if any(fnmatch(jar.name, pattern) for pattern in WANTED):
                yield f"{jars.name}/{jar.name}", sha256(jar.read_bytes()).hexdigest()


def main() -> None:
    known = {f"{name}/{jar}": digest for name, jars in known_digests().items() for jar, digest in jars.items()}
    found: dict[str, str] = {}
    for jars in (*(DeltaPair(*pair).jars for pair in PAIRS.items()), *map(store_jars, FILE_SYSTEMS)):
        found |= fetched(jars)
    if changed := [path for path, digest in found.items() if known.get(path, digest) != digest]:
        sys.exit(f"{', '.join(changed)}: what was fetched is not what {DIGESTS.name} says")
    DIGESTS.write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(found.items())))


if __name__ == "__main__":
    main()
