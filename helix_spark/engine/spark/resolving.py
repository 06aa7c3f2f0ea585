"""Has packages resolved by Spark's own resolver, in a short JVM of its own, and keeps the jars that are wanted of them.

Naming packages at each start (`spark.jars.packages`) costs seconds, needs the network, and puts 25 older copies of
Spark's own libraries on the class path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from helix_spark.catalog.places.place import LocalPath
from helix_spark.errors import SetupError


@dataclass(frozen=True, slots=True)
class Packages:
    """What the resolver is asked for.

    Attributes:
        coordinates: as Maven writes them, divided by commas.
        excluded: patterns of packages that Spark brings itself or nobody needs, divided by commas.
        wanted: patterns of the jars to keep, by the names that the resolver gives them.
        m2_folders: folders of ~/.m2/repository where descriptions without jars can be in the way.
        short_name: for people, where the coordinates are many; else they are their own name.
    """

    coordinates: str
    excluded: str
    wanted: Sequence[str]
    m2_folders: str
    short_name: str = ""

    @property
    def name(self) -> str:
        return self.short_name or self.coordinates


def resolve(
    packages: Packages, kept: Path, is_whole: Callable[[], bool], home: Path, environ: Mapping[str, str]
) -> None:
    """Resolves into a folder of its own and renames it, so that processes that do so at once do not disturb each other.

    Args:
        kept: the folder where the jars are to be.
        is_whole: whether what is in `kept` now will do.
        home: Spark's folder.

    Raises:
        SetupError: the packages cannot be had, or the jars are not those of Maven's repository.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".resolving-") as scratch:
        fresh = Path(scratch) / "jars"
        fresh.mkdir()
        fetched = fetch(packages, Path(scratch), home, environ)
        checked(fetched, "what the network gave is another file: look at the proxy and at Ivy's settings")
        for jar in fetched:
            jar.rename(fresh / jar.name)
        # Jars that a loss of power emptied would keep every later session from starting.
        LocalPath(fresh).sync(list(LocalPath(fresh).iterdir()))
        try:
            fresh.rename(kept)
        except OSError:
            # Another process was quicker, or an incomplete folder is in the way; only the first of these is fine.
            if not is_whole():
                shutil.rmtree(kept)
                fresh.rename(kept)
    if not is_whole():
        raise SetupError(f"Spark's resolver found no jar of {packages.name}", exists=f"looked in {kept}")


def fetch(packages: Packages, scratch: Path, home: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Fetch packages and return those of their jars that are wanted.

    Spark's resolver looks into ~/.m2 first, and one with poms but no jars makes it fail. So a failure is followed by a
    second attempt that sees an empty home folder.

    Args:
        scratch: an empty folder, which holds the jars.
        home: Spark's folder.

    Raises:
        SetupError: the packages cannot be had.
    """
    ivy = scratch / "ivy"
    first = _submit(packages, ivy, home, environ)
    if first.returncode != 0:
        shutil.rmtree(ivy, ignore_errors=True)  # Ivy caches where an artifact was resolved from
        options = f"{environ.get('SPARK_SUBMIT_OPTS', '')} -Duser.home={scratch}"
        second = _submit(packages, ivy, home, {**environ, "SPARK_SUBMIT_OPTS": options})
        if second.returncode != 0:
            raise resolution_error(packages, first.stdout, second.stdout)
    return tuple(jar for pattern in packages.wanted for jar in (ivy / "jars").glob(pattern))


DIGESTS = Path(__file__).with_name("jar_digests.txt")
"""SHA-256 of each jar that may be fetched, as `sha256sum` writes it; `make constraints` writes it."""


@cache
def known_digests() -> Mapping[str, str]:
    """Return the digests of all jars that may be fetched, by their names."""
    return {name: digest for digest, name in map(str.split, DIGESTS.read_text().splitlines())}


def checked(jars: Iterable[Path], remedy: str) -> tuple[Path, ...]:
    """Return jars whose bytes are those that Helix was tested with: a JVM runs whatever is in them.

    Raises:
        SetupError: a jar has other bytes, or is not known.
    """
    known, jars = known_digests(), tuple(jars)
    for jar in jars:
        # A folder of the user's may leave out the group: delta-storage-4.4.0.jar for io.delta_delta-storage-4.4.0.jar.
        expected = known.get(jar.name) or next((known[name] for name in known if name.endswith(f"_{jar.name}")), None)
        digest = sha256(jar.read_bytes()).hexdigest()
        if digest != expected:
            raise SetupError(
                f"{jar} is not the jar that Helix was tested with", exists=f"its SHA-256 is {digest}, not {expected}"
                if expected else f"{DIGESTS.name} of this version has no jar of that name", remedy=remedy,
            )
    return jars


def _submit(
    packages: Packages, ivy: Path, home: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Has SparkSubmit resolve the packages and then, as the class it runs, print its own version: no session starts."""
    submit = home / "bin" / ("spark-submit.cmd" if os.name == "nt" else "spark-submit")
    return subprocess.run(
        [
            str(submit), "--master", "local", "--conf", f"spark.jars.ivy={ivy}",
            "--packages", packages.coordinates, "--exclude-packages", packages.excluded,
            "--class", "org.apache.spark.deploy.SparkSubmit", "spark-internal", "--version",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=dict(environ),
    )


def resolution_error(packages: Packages, output: str, clean_output: str) -> SetupError:
    """The error for two failed attempts.

    Args:
        output: what the resolver printed.
        clean_output: what it printed with an empty home folder in place of the user's.
    """
    hints = ["check the network and the proxy (JVM options go into SPARK_SUBMIT_OPTS)"]
    if "local-m2-cache" in output and ("download failed" in output or "NOT FOUND" in output):
        hints.insert(0, f"~/.m2/repository has descriptions without jars: delete {packages.m2_folders} in it")
    hints.append(f"or copy the jars of {packages.name} into a folder and set HELIX_JARS to it")
    told = [line.strip() for line in clean_output.splitlines() if re.search(r"Exception|WARN|FAILED|not found", line)]
    return SetupError(
        f"the jars of {packages.name} could not be resolved",
        exists="; ".join(told[-3:]) or clean_output.strip()[-300:] or None,
        remedy="; ".join(hints),
    )
