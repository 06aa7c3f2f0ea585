"""What `helix doctor` looks at: one line a thing, and the cure of what is wrong. No JVM is started."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from helix_spark.catalog.places.catalog_folder import disk_told
from helix_spark.catalog.places.local_disk import what_is_there
from helix_spark.catalog.places.place import is_remote
from helix_spark.catalog.places.s3_access import access_from
from helix_spark.engine.spark.archive import archive_path, is_off
from helix_spark.engine.spark.connect import (
    check_not_asked_for,
    named_server,
    settings_of_server,
    shown_address,
)
from helix_spark.engine.spark.gateway import driver_jvm
from helix_spark.engine.spark.jars import (
    JarSet,
    cache_folder,
    check_jars,
    installed_pair,
    kept_jars,
    s3a_jars,
    spark_home,
)
from helix_spark.engine.spark.java import find_java
from helix_spark.engine.spark.settings import GIB, driver_memory, machine_memory
from helix_spark.errors import CatalogError, SetupError
from helix_spark.plans.program_client import connect
from helix_spark.sizes import without_password
from helix_spark.versions import refused_python

LITTLE_DISK, LITTLE_MEMORY = 2 * GIB, 7 * GIB // 2
"""Bytes below which a run is likely to fail: results and Spark's spill files; driver, Python workers and the rest.
A machine of 4 GiB reports less, 3.8 for one: its kernel keeps a part to itself."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        ok: whether Helix can work with it.
        found: what is there.
        remedy: what to do if it is not ok, else "".
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(catalog: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Looks at everything a run needs, in the order in which it needs it.

    Args:
        catalog: the catalog's folder, or its place in an object store; it need not exist yet.
    """
    looks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("java", partial(_java, environ)),
        ("spark and delta", partial(_pair, environ)),
        ("jars", lambda: _jars("jars", installed_pair(environ).jars, environ)),
        ("archive", partial(_archive, environ)),
        ("solver", _solver),
        ("memory", _memory),
        ("cache folder", lambda: _folder("cache folder", cache_folder(environ), "set HELIX_CACHE to another folder")),
        ("settings", partial(_settings, environ)),
    ]
    if catalog is not None and is_remote(catalog):
        looks.append(("store's jars", lambda: _jars("store's jars", s3a_jars(environ), environ)))
        looks.append(("catalog", lambda: _stored_catalog(str(catalog))))
    elif catalog is not None:
        folder = Path(catalog)
        looks.append(("catalog", lambda: _local_catalog(folder)))
    return [_told(name, look) for name, look in looks]


def _told(name: str, look: Callable[[], Check]) -> Check:
    try:
        check = look()
    except (SetupError, CatalogError) as error:
        found = f"{error.what} ({error.exists})" if error.exists else error.what
        return Check(name, False, found, error.remedy or "")
    return replace(check, remedy="") if check.ok else check


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "python", not refused_python(), f"{found} in {sys.prefix}", "use one of the Pythons that README names"
    )


def _java(environ: Mapping[str, str]) -> Check:
    java = find_java(environ)
    return Check("java", True, f"{java.version} at {java.executable.resolve()}")


def _pair(environ: Mapping[str, str]) -> Check:
    pair, at = installed_pair(environ), ""
    if address := named_server({}, spark_home(environ), environ):
        settings_of_server(address, connect(address))
        at = f", for the server at {shown_address(address)}"
    else:
        check_not_asked_for({}, environ)
    found = f"pyspark {pair.pyspark} with delta-spark {pair.delta} in {spark_home(environ)}{at}"
    return Check("spark and delta", True, found)


def _jars(name: str, jars: JarSet, environ: Mapping[str, str]) -> Check:
    found = kept_jars(jars, environ)
    if found is None:
        return Check(name, True, "not there yet; the first session gets them (14 MB, once)")
    check_jars(found, jars, environ)
    return Check(name, True, f"{len(found)} in {found[0].parent}")


def _archive(environ: Mapping[str, str]) -> Check:
    """Never a failure: without the archive sessions only start more slowly."""
    if is_off(environ):
        return Check("archive", True, "turned off by HELIX_CDS")
    jars = kept_jars(installed_pair(environ).jars, environ)
    if jars is None:
        return Check("archive", True, "not there yet; it is built after the first session")
    path = archive_path(find_java(environ), driver_jvm(jars, environ), environ)
    if not path.exists():
        made = "made after a session, or by python -m helix_spark.engine.spark.archive"
        return Check("archive", True, f"not there yet; {made}")
    return Check("archive", True, f"{path} ({path.stat().st_size / 2**20:.0f} MiB)")


def _solver() -> Check:
    from helix_spark.planner.solver import available_solvers

    known = available_solvers()
    return Check("solver", bool(known), ", ".join(known) or "none that PuLP can use", "pip install highspy")


def _memory() -> Check:
    total = machine_memory()
    return Check(
        "memory", total >= LITTLE_MEMORY, f"{total / GIB:.1f} GiB, {driver_memory(total)} of it for Spark's driver",
        "give the machine or the container 4 GiB, or set spark.driver.memory lower",
    )


def _folder(name: str, folder: Path, remedy: str) -> Check:
    """Whether files can be made in the folder, or where it will be made, and how much fits."""
    there = what_is_there(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Check(name, False, f"{folder}: no file can be made in {there}: {error.strerror}", remedy)
    free = shutil.disk_usage(there).free
    found = f"{folder.absolute()}, {free / GIB:.1f} GiB free" + ("" if folder.exists() else ", not made yet")
    return Check(name, free >= LITTLE_DISK, found, "free some space: results and Spark's spill files go there")


def _local_catalog(folder: Path) -> Check:
    """Whether a run would take the folder for its catalog, and how much fits. Nothing is made that is not there."""
    from helix_spark.catalog.catalog import Catalog

    Catalog.open(folder, create=True).check_writable()
    check = _folder("catalog", folder, "give --catalog a folder you may write to")
    lacks = disk_told(folder) if check.ok else ()
    return replace(check, found="; ".join((check.found, *lacks)))


def _stored_catalog(address: str) -> Check:
    """Whether the store answers, and lets us in; of one that has no catalog yet, not whether it can be written."""
    from helix_spark.catalog.catalog import Catalog

    catalog = Catalog.open(address, create=True)
    catalog.check_writable()
    access = access_from()
    return Check("catalog", True, f"{catalog.root} at {access.where}")


def _settings(environ: Mapping[str, str]) -> Check:
    known = {
        "HELIX_AUDIT", "HELIX_AUDIT_SECONDS", "HELIX_BUDGET", "HELIX_CACHE", "HELIX_CATALOG", "HELIX_CDS",
        "HELIX_CUT_OFF", "HELIX_DATA", "HELIX_JARS", "HELIX_MLFLOW", "HELIX_POLICY",
    }
    mine = {name: value for name, value in sorted(environ.items()) if name.startswith("HELIX_")}
    unknown = [name for name in mine if name not in known]
    found = ", ".join(f"{name}={without_password(value)}" for name, value in mine.items())
    found = found or "no HELIX_ variable is set"
    return Check(
        "settings", not unknown, found + (f"; unknown: {', '.join(unknown)}" if unknown else ""),
        f"known are {', '.join(sorted(known))}",
    )
