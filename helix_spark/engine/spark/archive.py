"""The class-data archive: the driver's classes, loaded and verified once, mapped by every later JVM.

The first session records the classes that it loads, and its JVM writes them as it ends, when nobody waits for it: some
230 MB in the cache folder. An archive fits exactly one Java runtime, set of jars and set of flags, its *key*: one of
another key is never used, and a JVM that finds it unfit after all starts without it (-Xshare:auto). HELIX_CDS=off turns
archives off. (JEP 350, dynamic class-data archives.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from helix_spark.catalog.places.local_disk import sync_path, what_is_there
from helix_spark.engine.spark.gateway import driver_flags
from helix_spark.engine.spark.jars import cache_folder, spark_home
from helix_spark.engine.spark.java import Java

UNUSED_SECONDS = 30 * 24 * 3600
"""An archive that no session used for so long belongs to an installation that is gone."""

RETRY_SECONDS = 24 * 3600
"""Between two sessions that record: a JVM that cannot write an archive does not try after every run."""

SPARE_BYTES = 2 * 2**30
"""Disk space below which no archive is made: it would be a poor use of what is left."""

_LONGEST_SECONDS = 1800
"""For a JVM to end and to write its archive: 15 s on an idle machine."""


def archive_path(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the archive of a JVM is or will be, by all that it depends on: the runtime, each jar on the class
    path (as the JVM checks it), and the flags. Archives of one Spark installation begin with the same letters."""
    home = spark_home(environ)
    parts = [java.build, *driver_flags(environ)]
    for jar in (*jars, *sorted((home / "jars").glob("*.jar"))):
        stat = jar.stat()
        parts.append(f"{jar}\0{stat.st_size}\0{stat.st_mtime_ns}")
    place, key = (sha256(text.encode()).hexdigest() for text in (str(home.resolve()), "\n".join(parts)))
    return cache_folder(environ) / "archives" / f"{place[:8]}-{key[:32]}.jsa"


def ready_archive(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the archive for exactly this JVM, if it is there and not turned off. Note that it was used."""
    path = archive_path(java, jars, environ)
    if _is_off(environ):
        return None
    try:
        os.utime(path)
    except FileNotFoundError:
        return None
    return path


def begin_draft(java: Java, jars: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where this JVM is to write an archive as it ends; None where archives are turned off, there is no room
    for one, or another session began a draft lately."""
    draft = archive_path(java, jars, environ).with_suffix(".draft")
    if _is_off(environ) or shutil.disk_usage(what_is_there(draft)).free < SPARE_BYTES:
        return None
    if draft.exists() and time.time() - draft.stat().st_mtime < RETRY_SECONDS:
        return None
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
    except OSError:  # a folder that this user may not write to
        return None
    return draft


def _is_off(environ: Mapping[str, str]) -> bool:
    return environ.get("HELIX_CDS", "").lower() == "off"


def finish_in_background(draft: Path, pid: int) -> None:
    """Have a process wait for the end of a JVM, and make an archive of what it wrote."""
    subprocess.Popen(
        [sys.executable, "-m", "helix_spark.engine.spark.archive", str(draft), str(pid)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )


def finish(draft: Path, pid: int) -> None:
    """Wait for the end of a JVM, and make an archive of what it wrote. Remove archives that this one replaces, and
    those that were not used for a month."""
    until = time.monotonic() + _LONGEST_SECONDS
    while _is_running(pid) and time.monotonic() < until:
        time.sleep(0.5)
    if _is_running(pid) or not _is_whole(draft):
        return
    sync_path(draft)  # JVMs map it as it is: one that a power cut emptied would crash each start
    kept = draft.rename(draft.with_suffix(".jsa"))
    place, now = kept.name.split("-")[0], time.time()
    for other in (*kept.parent.glob("*.jsa"), *kept.parent.glob("*.draft")):
        if other != kept and (other.name.startswith(place) or now - other.stat().st_mtime > UNUSED_SECONDS):
            other.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _is_whole(draft: Path) -> bool:
    """Return whether a draft was written to its end: the JVM writes its first bytes last."""
    with draft.open("rb") as file:
        return any(file.read(4))


if __name__ == "__main__":
    finish(Path(sys.argv[1]), int(sys.argv[2]))
