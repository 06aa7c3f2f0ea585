"""The class-data archive: the driver's classes, loaded and verified once, mapped by every later JVM.

    python -m helix_spark.engine.spark.archive      # builds it now, in the foreground

About 230 MB in the cache folder. It fits exactly one Java runtime, set of jars and set of flags, its *key*: an archive
of another key is never used, and a JVM that finds the archive unfit after all starts without it (-Xshare:auto). It is
built once a first session is closed that has run something, by a process of its own at the lowest priority; nobody
waits for it. HELIX_CDS=off turns it off. (JEP 350, dynamic class-data archives.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from helix_spark.catalog.places.local_disk import sync_path, what_is_there
from helix_spark.engine.spark.gateway import DriverJvm, driver_jvm
from helix_spark.engine.spark.jars import cache_folder, installed_pair, kept_jars, spark_home
from helix_spark.engine.spark.java import Java, find_java

UNUSED_SECONDS = 30 * 24 * 3600
"""An archive that no session used for so long belongs to an installation that is gone."""

RETRY_SECONDS = 24 * 3600
"""After an attempt that did not end well; not after every run."""

SPARE_BYTES = 2 * 2**30
"""Disk space below which no archive is made: it would be a poor use of what is left."""

TRAINING = 2
"""Grows when the training (`training.py`) comes to use more, so that archives of an older one are replaced."""


def archive_path(java: Java, jvm: DriverJvm, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the archive of a JVM is or will be, by all that it depends on: the runtime, each jar on the class
    path (as the JVM checks it), the flags, and what it was trained on. Archives of one Spark installation begin with
    the same letters."""
    home = spark_home(environ)
    parts = [java.build, *jvm.flags, f"training {TRAINING}"]
    for jar in (*jvm.class_path, *sorted((home / "jars").glob("*.jar"))):
        stat = jar.stat()
        parts.append(f"{jar}\0{stat.st_size}\0{stat.st_mtime_ns}")
    place, key = (sha256(text.encode()).hexdigest() for text in (str(home.resolve()), "\n".join(parts)))
    return cache_folder(environ) / "archives" / f"{place[:8]}-{key[:32]}.jsa"


def ready_archive(java: Java, jvm: DriverJvm, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the archive for exactly this JVM, if it was built and is not turned off. Note that it was used."""
    if is_off(environ):
        return None
    path = archive_path(java, jvm, environ)
    try:
        os.utime(path)
    except FileNotFoundError:
        return None
    return path


def is_off(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether archives are turned off, or cannot be: the lock and the priorities are POSIX's."""
    return environ.get("HELIX_CDS", "").lower() == "off" or os.name != "posix"


def build_in_background(environ: Mapping[str, str] = os.environ) -> bool:
    """Have a detached process build the archive, unless it is there. Return whether one was started."""
    if is_off(environ):
        return False
    jars = kept_jars(installed_pair(environ).jars, environ)
    if jars is None:
        return False
    path = archive_path(find_java(environ), driver_jvm(jars, environ), environ)
    free = shutil.disk_usage(what_is_there(cache_folder(environ))).free
    if path.exists() or _tried_lately(path) or free < SPARE_BYTES:
        return False
    subprocess.Popen(
        [sys.executable, "-m", "helix_spark.engine.spark.archive", "--quiet"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, env=dict(environ),
    )
    return True


def build(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Build the archive, here and now (about a minute); None if another process is doing so."""
    from helix_spark.engine.spark.jars import delta_jars
    from helix_spark.engine.spark.training import train

    java, jvm = find_java(environ), driver_jvm(delta_jars(environ), environ)
    path = archive_path(java, jvm, environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(path.parent) as mine:
        if not mine:
            return None
        for leftover in path.parent.glob(".building-*"):
            shutil.rmtree(leftover)  # of a build that was killed: whoever holds the lock is the only builder
        if not path.exists():
            _attempt(path).touch()
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as scratch:
                made = Path(scratch) / "archive.jsa"
                train(made, Path(scratch))
                sync_path(made)  # the JVM maps it as it is: one that a power cut emptied would crash each start
                made.rename(path)
            _attempt(path).unlink()
        _discard_others(path)
    return path


def _attempt(path: Path) -> Path:
    return path.with_suffix(".attempt")


def _tried_lately(path: Path) -> bool:
    attempt = _attempt(path)
    return attempt.exists() and time.time() - attempt.stat().st_mtime < RETRY_SECONDS


@contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    """Yield whether this process holds the lock, which goes with the process, however that ends."""
    import fcntl

    with (folder / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _discard_others(kept: Path) -> None:
    """Remove what a newer key of the same installation replaces, and what was not used for a month."""
    place, now = kept.name.split("-")[0], time.time()
    for other in kept.parent.glob("*.jsa"):
        if other != kept and (other.name.startswith(place) or now - other.stat().st_mtime > UNUSED_SECONDS):
            other.unlink(missing_ok=True)


def _stand_back() -> None:
    """Let everything else on the machine go first."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    if "--quiet" in sys.argv[1:]:
        _stand_back()
    path = build()
    print(f"the archive is {path}" if path else "another process is building the archive")


if __name__ == "__main__":
    main()
