"""Finds Java as Spark finds it, and says in a sentence what is wrong before Spark prints a stack trace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helix_spark.errors import SetupError

SUPPORTED = (17, 21, 25)
"""Spark 4.2 "runs on Java 17/21/25" (its documentation's overview)."""

_REMEDY = "install a Java runtime of version 17 (for example openjdk-17-jre-headless) and set JAVA_HOME to its folder"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime.

    Attributes:
        executable: the program that Spark's scripts will start.
        version: such as "17.0.15".
        build: text that tells this runtime from every other one: its `release` file, or what `java -version` prints.
    """

    executable: Path
    version: str
    build: str

    @property
    def major(self) -> int:
        """
        >>> Java(Path("java"), "17.0.15", "").major, Java(Path("java"), "1.8.0_402", "").major
        (17, 8)
        """
        return int(self.version.removeprefix("1.").split(".")[0])


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """Return the Java that Spark's scripts would start: JAVA_HOME's, else the one on the PATH.

    Raises:
        SetupError: there is none, or Spark does not run on its version.
    """
    home = environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java", path=environ.get("PATH"))
    if found is None:
        raise SetupError(
            f"JAVA_HOME is {home}, but there is no bin/java in it" if home else "Spark needs Java, and there is none",
            exists="JAVA_HOME comes first, then the PATH" if home else "JAVA_HOME is not set, no java is on the PATH",
            remedy=_REMEDY,
        )
    build = _build_of(Path(found))
    version = re.search(r'(?:JAVA_VERSION=|version )"([^"]+)"', build)
    if version is None:
        raise SetupError(f"{found} does not tell its version", exists=build.strip()[-300:], remedy=_REMEDY)
    java = Java(Path(found), version[1], build)
    if java.major not in SUPPORTED:
        raise SetupError(
            f"Spark does not run on Java {java.major}",
            exists=f"found {java.executable}, version {java.version}; Spark runs on {', '.join(map(str, SUPPORTED))}",
            remedy=_REMEDY,
        )
    return java


def _build_of(executable: Path) -> str:
    """Return the runtime's `release` file (no process), or what the program prints where it has none."""
    release = executable.resolve().parent.parent / "release"
    if release.is_file():
        return release.read_text()
    try:
        run = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{executable} cannot be started: {error}", remedy=_REMEDY) from error
    return run.stderr + run.stdout
