"""The Java runtime, and the class-data archive of the driver's classes (JEP 350), which later JVMs map into memory.

The JVM of the first session writes the archive when it ends: about 230 MB in the cache folder. Its key is made of the
Java runtime, the jars and the flags. A JVM that finds an archive unfit starts without it (-Xshare:auto). HELIX_CDS=off
turns archives off.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.places.place import sync_path, what_is_there
from helix_spark.engine.spark.gateway import driver_flags
from helix_spark.engine.spark.jars import spark_home
from helix_spark.errors import SetupError

SUPPORTED = (17, 21, 25)
"""Spark 4.2 "runs on Java 17/21/25" (its documentation's overview)."""

_REMEDY = "install a Java runtime of version 17 (for example openjdk-17-jre-headless) and set JAVA_HOME to its folder"

_DAY = 24 * 3600
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime. `build` identifies it: its `release` file, or the output of `java -version`."""

    executable: Path
    version: str
    build: str

    def __str__(self) -> str:
        return f"{self.version} at {self.executable.resolve()}"

    @property
    def major(self) -> int:
        """The major version.

        >>> Java(Path("java"), "17.0.15", "").major, Java(Path("java"), "1.8.0_402", "").major
        (17, 8)
        """
        return int(self.version.removeprefix("1.").split(".")[0])


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """Return the Java that Spark's scripts start, by JAVA_HOME or PATH. Raises SetupError if Spark cannot run on it."""
    home = environ.get("JAVA_HOME")
    path = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java", path=environ.get("PATH"))
    if path is None:
        raise SetupError(
            f"JAVA_HOME is {home}, but there is no bin/java in it" if home else "Spark needs Java, and there is none",
            exists="JAVA_HOME comes first, then the PATH" if home else "JAVA_HOME is not set, no java is on the PATH",
            remedy=_REMEDY,
        )
    release = Path(path).resolve().parent.parent / "release"
    if release.is_file():  # reading it is faster than a process
        build = release.read_text()
    else:
        try:
            run = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SetupError(f"{path} cannot be started: {error}", remedy=_REMEDY) from error
        build = run.stderr + run.stdout
    version = re.search(r'(?:JAVA_VERSION=|version )"([^"]+)"', build)
    if version is None:
        raise SetupError(f"{path} does not tell its version", exists=build.strip()[-300:], remedy=_REMEDY)
    java = Java(Path(path), version[1], build)
    if java.major not in SUPPORTED:
        raise SetupError(
            f"Spark does not run on Java {java.major}",
            exists=f"found {java.executable}, version {java.version}; Spark runs on {', '.join(map(str, SUPPORTED))}",
            remedy=_REMEDY,
        )
    return java


def archive_path(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of a JVM's archive. It depends on the runtime, each jar on the class path and the flags."""
    parts = [java.build, *driver_flags(environ)]
    for jar in (*jars, *sorted((spark_home(environ) / "jars").glob("*.jar"))):
        stat = jar.stat()
        parts.append(f"{jar}\0{stat.st_size}\0{stat.st_mtime_ns}")
    key = sha256("\n".join(parts).encode()).hexdigest()
    return cache_folder(environ) / "archives" / f"{key[:32]}.jsa"


def ready_archive(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the archive for exactly this JVM, if it exists and is not turned off. Set its time of last use."""
    if environ.get("HELIX_CDS", "").lower() == "off":
        return None
    path = archive_path(java, jars, environ)
    with suppress(OSError):  # it does not exist, or this user may not rename the draft
        if not path.exists():
            _publish(path.with_suffix(".draft"))
        os.utime(path)
        return path
    return None


def _publish(draft: Path) -> None:
    """Rename a complete draft to an archive: a JVM writes its first bytes last. Remove archives unused for a week."""
    with draft.open("rb") as file:
        if not draft.with_suffix(".kept").exists() or not any(file.read(4)):
            return
    sync_path(draft)  # JVMs would crash on an archive that a power cut emptied
    archive = draft.rename(draft.with_suffix(".jsa"))
    for path in archive.parent.iterdir():
        if path != archive and time.time() - path.stat().st_mtime > 7 * _DAY:
            path.unlink(missing_ok=True)


def keep_draft(draft: Path) -> None:
    """Mark the draft that a JVM writes when it ends as one to publish."""
    draft.with_suffix(".kept").touch()


def begin_draft(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where this JVM writes an archive; None if archives are off, the disk has less than 2 GiB free, or a draft
    was begun within a day: a JVM that cannot write one does not try after every run."""
    draft = archive_path(java, jars, environ).with_suffix(".draft")
    if environ.get("HELIX_CDS", "").lower() == "off" or shutil.disk_usage(what_is_there(draft)).free < 2 * 2**30:
        return None
    if draft.exists() and time.time() - draft.stat().st_mtime < _DAY:
        return None
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
    except OSError:  # a folder that this user may not write to
        return None
    return draft
