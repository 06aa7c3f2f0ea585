"""Write the digests of the jars that Helix fetches, for all supported pairs of versions: `make constraints`.

Files of a version never change in Maven's repository. So a digest that differs from the recorded one is an error, and
only missing digests are added.
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

PATTERNS = (
    "io.delta_*.jar", "io.unitycatalog_*.jar", "org.apache.hadoop_*.jar", "org.apache.hadoop.thirdparty_*.jar",
    "org.wildfly.openssl_*.jar", "software.amazon*.jar", "org.reactivestreams_*.jar",
)
"""Names of the jars that Spark does not bring."""


def fetched(jars: JarSet) -> Iterator[tuple[str, str]]:
    """Fetch the jars of a set; yield their paths below the folder of all sets, and their digests."""
    with tempfile.TemporaryDirectory(prefix="helix-jars-") as folder:
        for jar in fetch(jars, Path(folder), os.environ):
            if any(fnmatch(jar.name, pattern) for pattern in PATTERNS):
                yield f"{jars.name}/{jar.name}", sha256(jar.read_bytes()).hexdigest()


def main() -> None:
    recorded = {f"{name}/{jar}": digest for name, jars in known_digests().items() for jar, digest in jars.items()}
    digests: dict[str, str] = {}
    for jars in (*(DeltaPair(*pair).jars for pair in PAIRS.items()), *map(store_jars, FILE_SYSTEMS)):
        digests |= fetched(jars)
    if changed := [path for path, digest in digests.items() if recorded.get(path, digest) != digest]:
        sys.exit(f"{', '.join(changed)}: the fetched jars differ from {DIGESTS.name}")
    DIGESTS.write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())))


if __name__ == "__main__":
    main()
