"""Delta's and the object stores' jars: fetched once for the installed versions, checked, and cached.

Packages that are named at each start (`spark.jars.packages`) cost seconds, need the network, and put 25 older copies of
Spark's own libraries on the class path. So Spark's resolver fetches them in a separate JVM.
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
"""The Scala version that pyspark is built with, part of artifact names."""

SDK_OF = {"3.5.0": "2.35.4"}
"""The version of AWS's SDK by the version of Hadoop. Other versions were never tried."""

_IN_SPARK = "org.*:*,com.*:*,javax.*:*,commons-*:*,io.airlift:*"
"""Delta's dependencies that Spark has already. Without them the first resolution takes 6 s instead of 17 s."""

_SDK_CLIENTS = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client")
"""The parts of AWS's SDK that S3A uses: 14 MB instead of the bundle of 686 MB that it depends on."""

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
"""Artifact and excluded dependencies of a Hadoop file system, by the package of its class. Spark or the artifact itself
has the excluded ones."""

DIGESTS = Path(__file__).with_name("jar_digests.txt")
"""The SHA-256 of each jar, in the format of `sha256sum`; `make constraints` writes it."""


@dataclass(frozen=True, slots=True)
class JarSet:
    """Jars that are fetched together.

    Attributes:
        name: the name of their folder, in the cache and in `DIGESTS`.
        coordinates, excluded: Maven's coordinates of packages, separated by commas.
        is_required: True if HELIX_JARS, if set, must contain them.
    """

    name: str
    coordinates: str
    excluded: str
    title: str
    is_required: bool = True

    @property
    def digests(self) -> Mapping[str, str]:
        """The SHA-256 of each jar, by its name; empty if no version of Helix was tested with this set."""
        return known_digests().get(self.name, {})


@cache
def known_digests() -> Mapping[str, Mapping[str, str]]:
    """Return the SHA-256 of each jar, by the folder of its set and its name."""
    digests: dict[str, dict[str, str]] = {}
    for digest, path in map(str.split, DIGESTS.read_text().splitlines()):
        folder, _, name = path.partition("/")
        digests.setdefault(folder, {})[name] = digest
    return digests


@dataclass(frozen=True, slots=True)
class DeltaPair:
    """Versions of pyspark and delta-spark that fit each other.

    >>> DeltaPair("4.2.0", "4.4.0").jars.coordinates
    'io.delta:delta-spark_4.2_2.13:4.4.0'
    """

    pyspark: str
    delta: str

    @property
    def jars(self) -> JarSet:
        """The jars of Delta and Unity Catalog."""
        artifact = f"delta-spark_{'.'.join(self.pyspark.split('.')[:2])}_{SCALA}"
        coordinates = f"io.delta:{artifact}:{self.delta}"
        return JarSet(f"{artifact}-{self.delta}", coordinates, _IN_SPARK, coordinates)


def store_artifact(file_system: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return Maven's coordinates of a Hadoop file system, in the version that Spark has. Raises SetupError."""
    name = next(name for package, (name, _) in FILE_SYSTEMS.items() if file_system.startswith(package))
    return f"org.apache.hadoop:{name}:{hadoop_version(environ)}"


def store_jars(file_system: str, environ: Mapping[str, str] = os.environ) -> JarSet:
    """Return the jars of a Hadoop file system, named by its class, with which Spark reaches an object store. Raises
    SetupError if Spark's version of Hadoop was never tried."""
    artifact = store_artifact(file_system, environ)
    _, name, hadoop = artifact.split(":")
    if hadoop not in SDK_OF:
        raise SetupError(
            f"Helix was never tested with an object store and Hadoop {hadoop}",
            exists=f"known are {', '.join(SDK_OF)}",
            remedy=f"name {artifact} in spark.jars.packages, or use Spark's own pyspark",
        )
    clients = [f"software.amazon.awssdk:{client}:{SDK_OF[hadoop]}" for client in _SDK_CLIENTS]
    coordinates = [artifact, *(clients if name == "hadoop-aws" else ())]
    excluded = dict(FILE_SYSTEMS.values())[name]
    return JarSet(f"{name}-{hadoop}", ",".join(coordinates), excluded, artifact, is_required=False)


def hadoop_version(environ: Mapping[str, str] = os.environ) -> str:
    """Return Spark's version of Hadoop, which a file system must have as well. Raises SetupError if it is unknown."""
    folder = spark_home(environ) / "jars"
    if (jar := next(folder.glob("hadoop-client-api-*.jar"), None)) is None:
        raise SetupError(f"the version of Hadoop of the Spark in {folder.parent} is unknown",
                         exists=f"{folder} has no hadoop-client-api", remedy="unset SPARK_HOME")
    return jar.stem.removeprefix("hadoop-client-api-")


def spark_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return Spark's folder: SPARK_HOME, or the package pyspark. Raises SetupError if it is not Spark's."""
    variable = environ.get("SPARK_HOME")
    folder = Path(variable) if variable else _package_folder()
    if not (folder / "bin" / "spark-submit").is_file():
        raise SetupError(
            f"{folder} is no Spark folder: it has no bin/spark-submit",
            exists="SPARK_HOME is set" if variable else "pyspark is installed there",
            remedy="unset SPARK_HOME" if variable else f"reinstall it: {INSTALL}",
        )
    return folder


def installed_pair(environ: Mapping[str, str] = os.environ) -> DeltaPair:
    """Return the installed versions, without importing pyspark. Raises SetupError if a package is missing, they do not
    fit each other, or SPARK_HOME is another Spark."""
    pyspark = re.search(r'__version__[^=]*=\s*["\']([^"\']+)', _version_file())
    try:
        delta = version("delta-spark")
    except PackageNotFoundError:
        raise SetupError("delta-spark is not installed", remedy=INSTALL) from None
    if pyspark is None:
        raise SetupError(f"pyspark in {_package_folder()} has no version", remedy=f"reinstall: {INSTALL}")
    pair = DeltaPair(pyspark[1], delta)
    if why := refused_pair(pair.pyspark, pair.delta):
        raise SetupError(why, remedy=INSTALL)
    cores = sorted((spark_home(environ) / "jars").glob(f"spark-core_{SCALA}-*.jar"))
    if cores and not cores[0].name.endswith(f"-{pair.pyspark}.jar"):
        raise SetupError(
            f"SPARK_HOME is not the Spark of pyspark {pair.pyspark}, which Python imports", exists=f"{cores[0]}",
            remedy="unset SPARK_HOME, or install the pyspark of its version",
        )
    return pair


def _package_folder() -> Path:
    if (spec := find_spec("pyspark")) is None or spec.origin is None:
        raise SetupError("pyspark is not installed", remedy=INSTALL)
    return Path(spec.origin).parent


def _version_file() -> str:
    """Return the text of pyspark's version.py. Its loader reads it, since spark-submit imports pyspark from a zip."""
    path = _package_folder() / "version.py"
    loader: Any = getattr(find_spec("pyspark"), "loader", None)
    content: bytes = loader.get_data(str(path)) if hasattr(loader, "get_data") else path.read_bytes()
    return content.decode()


def kept_jars(jars: JarSet, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...] | None:
    """Return the cached jars of a set: from HELIX_JARS, or the cache folder; None if one is missing. Raises SetupError
    if HELIX_JARS is set and lacks required jars."""
    folder = environ.get("HELIX_JARS")
    if folder and (paths := _jars_in(Path(folder), jars)) is not None:
        return paths
    if folder and jars.is_required:
        names = ", ".join(sorted(jar.name for jar in Path(folder).glob("*.jar")))
        raise SetupError(
            f"HELIX_JARS does not contain the jars of {jars.title}",
            exists=f"{folder} contains {names or 'no jar'}; needed are {', '.join(jars.digests)}",
            remedy="unset HELIX_JARS to have the jars fetched, or fill the folder for the installed versions",
        )
    return _jars_in(cache_folder(environ) / "jars" / jars.name, jars)


def _jars_in(folder: Path, jars: JarSet) -> tuple[Path, ...] | None:
    """Return the jars of a set in the order of their digests; None if one is missing. The resolver's names begin with
    the group, io.delta_delta-storage-4.4.0.jar; those in a user's folder may lack it."""
    paths = []
    for name in jars.digests:
        candidates = (folder / name, folder / name.partition("_")[2])
        if (jar := next(filter(Path.is_file, candidates), None)) is None:
            return None
        paths.append(jar.resolve())
    return tuple(paths) or None


def delta_jars(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return Delta's jars for the installed versions. Raises as `get_jars` and `installed_pair`."""
    return get_jars(installed_pair(environ).jars, environ)


def get_jars(jars: JarSet, environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the jars of a set; fetch them if they are not cached (6 to 13 s). Raises SetupError if they cannot be
    fetched, or are not those that Helix was tested with."""
    if (cached := kept_jars(jars, environ)) is not None:
        check_jars(cached, jars, environ)
        return cached
    folder = cache_folder(environ) / "jars" / jars.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may do this at once: each jar is moved there as a whole.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".resolving-") as scratch:
        fetched = {jar.name: jar for jar in fetch(jars, Path(scratch), environ)}
        if not jars.digests or not fetched.keys() >= jars.digests.keys():
            raise SetupError(
                f"Spark's resolver did not find all jars of {jars.title}",
                exists=f"missing are {', '.join(name for name in jars.digests if name not in fetched)}",
            )
        paths = [fetched[name] for name in jars.digests]
        check_jars(paths, jars, environ, "the network sent another file: check the proxy and Ivy's settings")
        for jar in paths:  # no session could start with a jar that a power cut emptied
            sync_path(jar)
        folder.mkdir(exist_ok=True)
        return tuple(jar.replace(folder / jar.name).resolve() for jar in paths)


def check_jars(paths: Sequence[Path], jars: JarSet, environ: Mapping[str, str], remedy: str = "") -> None:
    """Raise SetupError for a jar with another digest than the tested one. The default remedy is for cached jars."""
    if not remedy and (folder := environ.get("HELIX_JARS")):
        remedy = f"fill {folder} again from Maven's repository, or unset HELIX_JARS to have the jars fetched"
    remedy = remedy or f"delete {cache_folder(environ) / 'jars'}; the jars are fetched again"
    for jar, expected in zip(paths, jars.digests.values(), strict=True):
        if (digest := sha256(jar.read_bytes()).hexdigest()) != expected:
            raise SetupError(
                f"{jar} is not the jar that Helix was tested with",
                exists=f"its SHA-256 is {digest}, not {expected}", remedy=remedy,
            )


def fetch(jars: JarSet, scratch: Path, environ: Mapping[str, str]) -> list[Path]:
    """Fetch packages into an empty folder and return all their jars. Raises SetupError if it fails.

    SparkSubmit resolves them and then runs itself, to print its version: no session starts. Its resolver would fail at
    a ~/.m2 with poms but no jars, so it gets an empty home folder."""
    ivy, options = scratch / "ivy", f"{environ.get('SPARK_SUBMIT_OPTS', '')} -Duser.home={scratch}"
    result = subprocess.run(
        [
            str(spark_home(environ) / "bin" / "spark-submit"), "--master", "local", "--conf", f"spark.jars.ivy={ivy}",
            "--packages", jars.coordinates, "--exclude-packages", jars.excluded,
            "--class", "org.apache.spark.deploy.SparkSubmit", "spark-internal", "--version",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**environ, "SPARK_SUBMIT_OPTS": options},
    )
    if result.returncode != 0:
        lines = [line.strip() for line in result.stdout.splitlines()]
        causes = [line for line in lines if re.search(r"Exception|WARN|FAILED|not found", line)]
        raise SetupError(
            f"the jars of {jars.title} could not be resolved",
            exists="; ".join(causes[-3:]) or result.stdout.strip()[-300:] or None,
            remedy="check the network and the proxy (JVM options go into SPARK_SUBMIT_OPTS), or copy the jars into a "
            "folder and set HELIX_JARS to it",
        )
    return sorted((ivy / "jars").glob("*.jar"))
