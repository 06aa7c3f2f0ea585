"""The jars that Spark lacks, as paths: fetched once for the installed versions, checked, and kept.

Naming packages at each start (`spark.jars.packages`) costs seconds, needs the network, and puts 25 older copies of
Spark's own libraries on the class path. So Spark's resolver fetches them in a short JVM of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.places.place import sync_path
from helix_spark.errors import SetupError
from helix_spark.versions import INSTALL, refused_pair

SCALA = "2.13"
"""The Scala version that pyspark is built with; `delta.pip_utils` names the artifact by it in the same way."""

SDK_OF = {"3.5.0": "2.35.4"}
"""Version of AWS's SDK that each version of Hadoop names. One that is not here was never tried."""

_IN_SPARK = "org.*:*,com.*:*,javax.*:*,commons-*:*,io.airlift:*"
"""Delta's dependencies that Spark brings itself. Excluded, the first resolution takes 6 s instead of 17 s, 13 MB."""

_SDK_CLIENTS = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client")
"""S3A names the SDK as one bundle of 686 MB. What it uses of that takes 14 MB as packages of their own."""

FILE_SYSTEMS = {
    "org.apache.hadoop.fs.s3a.": (
        "hadoop-aws", "software.amazon.awssdk:bundle,io.netty:*,commons-*:*,org.slf4j:*,org.wildfly.openssl:*,"
        "org.apache.httpcomponents:*",
    ),
    "org.apache.hadoop.fs.azurebfs.": (
        "hadoop-azure", "com.microsoft.azure:*,commons-*:*,org.slf4j:*,org.apache.httpcomponents:*,org.hdrhistogram:*",
    ),
    "org.apache.hadoop.fs.gs.": (
        "hadoop-gcp", "com.*:*,io.*:*,commons-*:*,javax.*:*,org.slf4j:*,org.codehaus*:*,org.checkerframework:*,"
        "org.conscrypt:*,org.threeten:*,org.json:*,org.apache.httpcomponents:*",
    ),
}
"""By the package of a file system's class its artifact, and what that names and Spark or the artifact itself brings."""

DIGESTS = Path(__file__).with_name("jar_digests.txt")
"""SHA-256 of each jar, as `sha256sum` writes it in the folder of all sets; `make constraints` writes it."""


@dataclass(frozen=True, slots=True)
class JarSet:
    """Jars that are fetched together, by `coordinates` of packages, and without those that Spark brings or nothing
    needs, as Maven writes them, with commas. `name` is of their folder, here and in `DIGESTS`; what `is_required` must
    be in HELIX_JARS, if that is set."""

    name: str
    coordinates: str
    excluded: str
    title: str
    is_required: bool = True

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of each jar, by its name; none if no version of Helix was tested with this set."""
        return known_digests().get(self.name, {})


@cache
def known_digests() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for digest, path in map(str.split, DIGESTS.read_text().splitlines()):
        folder, _, name = path.partition("/")
        found.setdefault(folder, {})[name] = digest
    return found


@dataclass(frozen=True, slots=True)
class DeltaPair:
    """Versions of pyspark and delta-spark that go together.

    >>> DeltaPair("4.2.0", "4.4.0").jars.coordinates
    'io.delta:delta-spark_4.2_2.13:4.4.0'
    """

    pyspark: str
    delta: str

    @property
    def jars(self) -> JarSet:
        """Delta's and Unity Catalog's jars."""
        artifact = f"delta-spark_{'.'.join(self.pyspark.split('.')[:2])}_{SCALA}"
        coordinates = f"io.delta:{artifact}:{self.delta}"
        return JarSet(f"{artifact}-{self.delta}", coordinates, _IN_SPARK, coordinates)


def store_artifact(file_system: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the package of a file system of Hadoop's, of Spark's version, as Maven writes it, or raise SetupError."""
    name = next(name for package, (name, _) in FILE_SYSTEMS.items() if file_system.startswith(package))
    return f"org.apache.hadoop:{name}:{hadoop_version(environ)}"


def store_jars(file_system: str, environ: Mapping[str, str] = os.environ) -> JarSet:
    """Return the jars with which Spark reaches an object store by a file system of Hadoop's, named by its class: for S3
    with its part of AWS's SDK. Raises SetupError if Spark's version of Hadoop was never tried."""
    artifact = store_artifact(file_system, environ)
    _, name, hadoop = artifact.split(":")
    if hadoop not in SDK_OF:
        raise SetupError(
            f"which jars Hadoop {hadoop} needs for an object store is not known",
            exists=f"known are {', '.join(SDK_OF)}",
            remedy=f"name {artifact} in spark.jars.packages, or use Spark's own pyspark",
        )
    clients = [f"software.amazon.awssdk:{client}:{SDK_OF[hadoop]}" for client in _SDK_CLIENTS]
    coordinates = [artifact, *(clients if name == "hadoop-aws" else ())]
    excluded = next(excluded for known, excluded in FILE_SYSTEMS.values() if known == name)
    return JarSet(f"{name}-{hadoop}", ",".join(coordinates), excluded, artifact, is_required=False)


def hadoop_version(environ: Mapping[str, str] = os.environ) -> str:
    """Version of Hadoop that Spark has: S3A must be of the very same. Raises SetupError if that cannot be told."""
    folder = spark_home(environ) / "jars"
    if (found := next(folder.glob("hadoop-client-api-*.jar"), None)) is None:
        raise SetupError(f"Spark in {folder.parent} does not tell its version of Hadoop",
                         exists=f"{folder} has no hadoop-client-api", remedy="unset SPARK_HOME")
    return found.stem.removeprefix("hadoop-client-api-")


def spark_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Spark's folder as pyspark finds it: SPARK_HOME, else the package. Raises SetupError if there is neither."""
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
    """Return the pyspark that would be imported, and delta-spark. Imports neither. Raises SetupError if one is missing,
    the two do not go together, or SPARK_HOME is another Spark."""
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
            f"SPARK_HOME is another Spark than the pyspark {pair.pyspark} that Python imports", exists=f"{cores[0]}",
            remedy="unset SPARK_HOME, or install the pyspark of that version",
        )
    return pair


def _package_folder() -> Path:
    if (spec := find_spec("pyspark")) is None or spec.origin is None:
        raise SetupError("pyspark is not installed", remedy=INSTALL)
    return Path(spec.origin).parent


def _version_file() -> str:
    """Text of pyspark's version.py. Its loader reads it, because spark-submit has pyspark in a zip."""
    path = _package_folder() / "version.py"
    loader: Any = getattr(find_spec("pyspark"), "loader", None)
    content: bytes = loader.get_data(str(path)) if hasattr(loader, "get_data") else path.read_bytes()
    return content.decode()


def kept_jars(jars: JarSet, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...] | None:
    """Return the jars of a set if they are there already: in HELIX_JARS, else in the cache folder; None if not. Raises
    SetupError if HELIX_JARS is set, but does not hold the jars that it must."""
    given = environ.get("HELIX_JARS")
    if given and (found := _jars_in(Path(given), jars)) is not None:
        return found
    if given and jars.is_required:
        there = ", ".join(sorted(jar.name for jar in Path(given).glob("*.jar")))
        raise SetupError(
            f"HELIX_JARS does not hold the jars of {jars.title}",
            exists=f"{given} holds {there or 'no jar'}; needed are {', '.join(jars.digests)}",
            remedy="unset HELIX_JARS to have the jars resolved, or fill the folder again for the installed versions",
        )
    return _jars_in(cache_folder(environ) / "jars" / jars.name, jars)


def _jars_in(folder: Path, jars: JarSet) -> tuple[Path, ...] | None:
    """Return the jars of a set in the order of their digests; None if one is missing. The resolver's names begin with
    the group, io.delta_delta-storage-4.4.0.jar; in a folder of the user's they may not."""
    found = []
    for name in jars.digests:
        names = (name, name.partition("_")[2])
        if (jar := next((folder / one for one in names if (folder / one).is_file()), None)) is None:
            return None
        found.append(jar.resolve())
    return tuple(found) or None


def delta_jars(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return Delta's jars for the installed versions; see `get_jars`. Raises SetupError also if these do not fit."""
    return get_jars(installed_pair(environ).jars, environ)


def get_jars(jars: JarSet, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the jars of a set, fetched now (6 to 13 s, network) if they are not there yet. Raises SetupError if they
    cannot be had, or are not those that Helix was tested with."""
    if (known := kept_jars(jars, environ)) is not None:
        check_jars(known, jars, environ)
        return known
    kept = cache_folder(environ) / "jars" / jars.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Each is put there whole, so that several processes may do so at once.
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".resolving-") as scratch:
        fetched = {jar.name: jar for jar in fetch(jars, Path(scratch), environ)}
        if not jars.digests or not fetched.keys() >= jars.digests.keys():
            raise SetupError(
                f"Spark's resolver did not find all jars of {jars.title}",
                exists=f"missing are {', '.join(name for name in jars.digests if name not in fetched)}",
            )
        found = [fetched[name] for name in jars.digests]
        check_jars(found, jars, environ, "what the network gave is another file: look at the proxy and Ivy's settings")
        for jar in found:  # one that a loss of power emptied would keep every later session from starting
            sync_path(jar)
        kept.mkdir(exist_ok=True)
        return tuple(jar.replace(kept / jar.name).resolve() for jar in found)


def check_jars(found: Sequence[Path], jars: JarSet, environ: Mapping[str, str], remedy: str = "") -> None:
    """Raise SetupError for a jar with other bytes than Helix was tested with; without a remedy it is a kept one."""
    if not remedy and (given := environ.get("HELIX_JARS")):
        remedy = f"fill {given} anew from Maven's repository, or unset HELIX_JARS to have the jars fetched"
    remedy = remedy or f"delete {cache_folder(environ) / 'jars'}; the jars are fetched again"
    for jar, expected in zip(found, jars.digests.values(), strict=True):
        if (digest := sha256(jar.read_bytes()).hexdigest()) != expected:
            raise SetupError(
                f"{jar} is not the jar that Helix was tested with",
                exists=f"its SHA-256 is {digest}, not {expected}", remedy=remedy,
            )


def fetch(jars: JarSet, scratch: Path, environ: Mapping[str, str]) -> list[Path]:
    """Fetch packages into an empty folder and return all jars that came. Raises SetupError if they cannot be had.

    SparkSubmit resolves them and then, as the class that it runs, prints its own version: no session starts. Its
    resolver looks into ~/.m2 first, and fails at one with poms but no jars: so it sees an empty home folder."""
    ivy, options = scratch / "ivy", f"{environ.get('SPARK_SUBMIT_OPTS', '')} -Duser.home={scratch}"
    done = subprocess.run(
        [
            str(spark_home(environ) / "bin" / "spark-submit"), "--master", "local", "--conf", f"spark.jars.ivy={ivy}",
            "--packages", jars.coordinates, "--exclude-packages", jars.excluded,
            "--class", "org.apache.spark.deploy.SparkSubmit", "spark-internal", "--version",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**environ, "SPARK_SUBMIT_OPTS": options},
    )
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines()]
        causes = [line for line in lines if re.search(r"Exception|WARN|FAILED|not found", line)]
        raise SetupError(
            f"the jars of {jars.title} could not be resolved",
            exists="; ".join(causes[-3:]) or done.stdout.strip()[-300:] or None,
            remedy="check the network and the proxy (JVM options go into SPARK_SUBMIT_OPTS), or copy the jars into a "
            "folder and set HELIX_JARS to it",
        )
    return sorted((ivy / "jars").glob("*.jar"))
