"""The jars with which Spark reaches an S3 store: Hadoop's S3A and its part of AWS's SDK; resolved once, then kept.

S3A names the SDK as one bundle of 686 MB. Of it, S3A uses the clients of S3 and STS, which as packages of their own
take 14 MB; HTTP clients and Netty, Spark brings itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from helix_spark.engine.spark.jars import cache_folder, spark_home, to_replace
from helix_spark.engine.spark.resolving import Packages, checked, resolve
from helix_spark.errors import SetupError

SDK_OF = {"3.5.0": "2.35.4"}
"""Version of AWS's SDK that each version of Hadoop names. One that is not here was never tried."""

_CLIENTS = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client")

_NOT_NEEDED = (
    "software.amazon.awssdk:bundle,io.netty:*,commons-*:*,org.slf4j:*,org.wildfly.openssl:*,org.apache.httpcomponents:*"
)

_WANTED = ("org.apache.hadoop_hadoop-aws-*.jar", "software.amazon*.jar", "org.reactivestreams_*.jar")

_NEEDED = ("hadoop-aws-", "awssdk_s3-", "awssdk_s3-transfer-manager-", "awssdk_sts-", "awssdk_netty-nio-client-")
"""What must be there for the jars to be whole."""


def hadoop_version(environ: Mapping[str, str] = os.environ) -> str:
    """Version of Hadoop that Spark has: S3A must be of the very same. Raises SetupError if that cannot be told."""
    folder = spark_home(environ) / "jars"
    found = next((jar for jar in folder.glob("hadoop-client-api-*.jar")), None)
    version = re.fullmatch(r"hadoop-client-api-(.+)\.jar", found.name) if found else None
    if version is None:
        raise SetupError(f"Spark in {folder.parent} does not tell its version of Hadoop",
                         exists=f"{folder} has no hadoop-client-api", remedy="unset SPARK_HOME")
    return version[1]


def packages(environ: Mapping[str, str] = os.environ) -> Packages:
    """What to resolve for this Spark. Raises SetupError for a version of Hadoop that was never tried."""
    hadoop = hadoop_version(environ)
    if hadoop not in SDK_OF:
        raise SetupError(
            f"which jars Hadoop {hadoop} needs for an object store is not known",
            exists=f"known are {', '.join(SDK_OF)}",
            remedy=f"name org.apache.hadoop:hadoop-aws:{hadoop} in spark.jars.packages, or use Spark's own pyspark",
        )
    clients = (f"software.amazon.awssdk:{client}:{SDK_OF[hadoop]}" for client in _CLIENTS)
    s3a = f"org.apache.hadoop:hadoop-aws:{hadoop}"
    return Packages(
        ",".join([s3a, *clients]), _NOT_NEEDED, _WANTED, "org/apache/hadoop and software/amazon",
        f"{s3a} and AWS's SDK",
    )


def kept_s3_jars(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The jars if they are there already: in HELIX_JARS, else in the cache folder. Sorted by name; none if not."""
    given = environ.get("HELIX_JARS")
    folders = [Path(given)] if given else []
    for folder in (*folders, _kept_folder(environ)):
        jars = sorted(jar for jar in folder.glob("*.jar") if _is_ours(jar.name))
        if all(any(part in jar.name for jar in jars) for part in _NEEDED):
            return tuple(jar.resolve() for jar in jars)
    return ()


def s3_jars(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the jars, resolved now (about 13 s, 14 MB, network) if they are not there yet.

    Raises:
        SetupError: the jars cannot be had, or are not those that Helix was tested with.
    """
    if not kept_s3_jars(environ):
        home = spark_home(environ)
        resolve(packages(environ), _kept_folder(environ), lambda: bool(kept_s3_jars(environ)), home, environ)
    return checked(kept_s3_jars(environ), to_replace(environ))


def _is_ours(name: str) -> bool:
    return name.startswith(("org.apache.hadoop_hadoop-aws", "hadoop-aws", "software.amazon", "org.reactivestreams_"))


def _kept_folder(environ: Mapping[str, str]) -> Path:
    return cache_folder(environ) / "jars" / f"hadoop-aws-{hadoop_version(environ)}"
