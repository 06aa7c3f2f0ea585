"""The jars that Delta needs, as paths: resolved once for a pair of pyspark and delta-spark, then kept.

Only Delta's and Unity Catalog's jars are missing from Spark, so only those are resolved (see `resolving`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from helix_spark.engine.spark.resolving import Packages, checked, resolve
from helix_spark.errors import SetupError
from helix_spark.versions import INSTALL, refused_pair

SCALA = "2.13"
"""The Scala version that pyspark is built with; `delta.pip_utils` names the artifact by it in the same way."""

IN_SPARK = "org.*:*,com.*:*,javax.*:*,commons-*:*,io.airlift:*"
"""Delta's dependencies that Spark brings itself. Excluded, the first resolution takes 6 s instead of 17 s, 13 MB."""

WANTED = ("io.delta_*.jar", "io.unitycatalog_*.jar")

@dataclass(frozen=True, slots=True)
class DeltaPair:
    """Versions of pyspark and delta-spark that go together.

    >>> DeltaPair("4.2.0", "4.4.0").coordinates
    'io.delta:delta-spark_4.2_2.13:4.4.0'
    """

    pyspark: str
    delta: str

    @property
    def artifact(self) -> str:
        return f"delta-spark_{'.'.join(self.pyspark.split('.')[:2])}_{SCALA}"

    @property
    def coordinates(self) -> str:
        return f"io.delta:{self.artifact}:{self.delta}"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where jars, archives and fetched data are kept: HELIX_CACHE, else the user's cache folder."""
    given = environ.get("HELIX_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("helix_spark")


def spark_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Spark's folder as pyspark finds it: SPARK_HOME, else the installed package.

    Raises:
        SetupError: there is neither.
    """
    given = environ.get("SPARK_HOME")
    folder = Path(given) if given else _package_folder()
    if not (folder / "bin" / "spark-submit").is_file():
        raise SetupError(
            f"{folder} is no Spark folder: it has no bin/spark-submit",
            exists="SPARK_HOME is set" if given else "pyspark is installed there",
            remedy="unset SPARK_HOME" if given else f"reinstall it: {INSTALL}",
        )
    return folder


def installed_pair(environ: Mapping[str, str] = os.environ) -> DeltaPair:
    """The pyspark that would be imported, and delta-spark. Imports neither.

    Raises:
        SetupError: one is missing, the two do not go together, or SPARK_HOME is another Spark.
    """
    found = re.search(r'__version__[^=]*=\s*["\']([^"\']+)', _version_file())
    try:
        delta = version("delta-spark")
    except PackageNotFoundError:
        raise SetupError("delta-spark is not installed", remedy=INSTALL) from None
    if found is None:
        raise SetupError(f"pyspark in {_package_folder()} does not tell its version", remedy=f"reinstall: {INSTALL}")
    pair = DeltaPair(found[1], delta)
    if why := refused_pair(pair.pyspark, pair.delta):
        raise SetupError(why, remedy=INSTALL)
    cores = sorted((spark_home(environ) / "jars").glob(f"spark-core_{SCALA}-*.jar"))
    if cores and not cores[0].name.endswith(f"-{pair.pyspark}.jar"):
        raise SetupError(
            f"SPARK_HOME is another Spark than the pyspark {pair.pyspark} that Python imports",
            exists=f"{cores[0]}",
            remedy="unset SPARK_HOME, or install the pyspark of that version",
        )
    return pair


def kept_jars(pair: DeltaPair, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...] | None:
    """The jars if they are there already: in HELIX_JARS, else in the cache folder. Sorted by name; None if not there.

    Raises:
        SetupError: HELIX_JARS is set, but does not hold the jars of this pair.
    """
    given = environ.get("HELIX_JARS")
    folder = Path(given) if given else _kept_folder(pair, environ)
    jars = tuple(sorted(jar for jar in folder.glob("*.jar") if re.match(r"(io\.)?(delta|unitycatalog)[-_.]", jar.name)))
    if any(jar.name.endswith(f"{pair.artifact}-{pair.delta}.jar") for jar in jars):
        return tuple(jar.resolve() for jar in jars)
    if given:
        raise SetupError(
            f"HELIX_JARS does not hold {pair.artifact}-{pair.delta}.jar",
            exists=f"{folder} holds {', '.join(jar.name for jar in jars) or 'no jar of Delta'}",
            remedy="unset HELIX_JARS to have the jars resolved, or fill the folder again for the installed versions",
        )
    return None


def delta_jars(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the jars for the installed pair, resolved now (about 6 s, network) if they are not there yet.

    Raises:
        SetupError: the pair does not fit, or the jars cannot be had or are not those that Helix was tested with.
    """
    pair = installed_pair(environ)
    return checked(kept_jars(pair, environ) or _resolve(pair, environ), to_replace(environ))


def to_replace(environ: Mapping[str, str]) -> str:
    """Return what to do about a jar that has other bytes than it should."""
    if given := environ.get("HELIX_JARS"):
        return f"fill {given} anew from Maven's repository, or unset HELIX_JARS to have the jars fetched"
    return f"delete {cache_folder(environ) / 'jars'}; the jars are fetched again"


def _package_folder() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SetupError("pyspark is not installed", remedy=INSTALL)
    return Path(spec.origin).parent


def _version_file() -> str:
    """Text of pyspark's version.py. Its loader reads it, because spark-submit has pyspark in a zip."""
    path = _package_folder() / "version.py"
    loader: Any = getattr(find_spec("pyspark"), "loader", None)
    content: bytes = loader.get_data(str(path)) if hasattr(loader, "get_data") else path.read_bytes()
    return content.decode()


def _kept_folder(pair: DeltaPair, environ: Mapping[str, str]) -> Path:
    return cache_folder(environ) / "jars" / f"{pair.artifact}-{pair.delta}"


def _resolve(pair: DeltaPair, environ: Mapping[str, str]) -> tuple[Path, ...]:
    resolve(
        delta_packages(pair), _kept_folder(pair, environ), lambda: kept_jars(pair, environ) is not None,
        spark_home(environ), environ,
    )
    return kept_jars(pair, environ) or ()


def delta_packages(pair: DeltaPair) -> Packages:
    """What to resolve for a pair."""
    return Packages(pair.coordinates, IN_SPARK, WANTED, "io/delta and io/unitycatalog")
