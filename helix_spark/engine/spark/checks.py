"""What `helix doctor` looks at: one line a thing, and the cure of what is wrong. No JVM is started."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helix_spark.cache_folder import cache_folder
from helix_spark.catalog.places.object_store import ObjectPath, try_store
from helix_spark.catalog.places.place import is_remote, what_is_there
from helix_spark.engine.spark.borrowed import named_server, settings_of_server, shown_address
from helix_spark.engine.spark.jars import JarSet, check_jars, installed_pair, kept_jars, spark_home, store_jars
from helix_spark.engine.spark.java import find_java
from helix_spark.engine.spark.settings import GIB, driver_memory, file_system_of, machine_memory
from helix_spark.errors import CatalogError, SetupError
from helix_spark.sizes import without_password
from helix_spark.store_access import parse_address


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether Helix can work with what is there, and what to do if not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(catalog: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at everything a run needs, in the order of need. The catalog, on a disk or in a store, need not exist."""
    def store_has() -> str:
        access, path = parse_address(str(catalog))
        file_system = file_system_of(access.hadoop(path.partition("/")[0]))
        if not file_system:
            return "none: Spark does not reach this store"
        return _jars(store_jars(file_system, environ), environ)

    looks: dict[str, Callable[[], str]] = {
        "python": lambda: f"{'.'.join(map(str, sys.version_info[:3]))} in {sys.prefix}",
        "java": lambda: str(find_java(environ)),
        "spark and delta": lambda: _pair(environ),
        "jars": lambda: _jars(installed_pair(environ).jars, environ),
        "solver": _solver,
        "memory": _memory,
        "cache folder": lambda: _folder(cache_folder(environ), "set HELIX_CACHE to another folder"),
        "settings": lambda: _settings(environ),
    }
    if catalog is not None:
        if is_remote(catalog):
            looks["store's jars"] = store_has
        looks["catalog"] = lambda: _catalog(catalog)
    checks = []
    for name, look in looks.items():
        try:
            checks.append(Check(name, True, look()))
        except (SetupError, CatalogError) as error:
            found = f"{error.what} ({error.exists})" if error.exists else error.what
            checks.append(Check(name, False, found, error.remedy or ""))
    return checks


def _pair(environ: Mapping[str, str]) -> str:
    pair, at = installed_pair(environ), ""
    if address := named_server({}, spark_home(environ), environ):
        settings_of_server(address)
        at = f", for the server at {shown_address(address)}"
    return f"pyspark {pair.pyspark} with delta-spark {pair.delta} in {spark_home(environ)}{at}"


def _jars(jars: JarSet, environ: Mapping[str, str]) -> str:
    if (found := kept_jars(jars, environ)) is None:
        return "not there yet; the first session gets them, once"
    check_jars(found, jars, environ)
    return f"{len(found)} in {found[0].parent}"


def _solver() -> str:
    from helix_spark.planner.solver import is_available

    if not is_available():
        raise SetupError("HiGHS is not installed", remedy="pip install highspy")
    return "HiGHS"


def _memory() -> str:
    total = machine_memory()
    found = f"{total / GIB:.1f} GiB, {driver_memory(total)} of it for Spark's driver"
    if total < 7 * GIB // 2:  # a machine of 4 GiB reports less, 3.8 for one: its kernel keeps a part to itself
        raise SetupError(found, remedy="give the machine or the container 4 GiB, or set spark.driver.memory lower")
    return found


def _folder(folder: Path, remedy: str) -> str:
    """Check whether files can be made in the folder, or where it will be made, and how much fits."""
    there = what_is_there(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise SetupError(f"{folder}: no file can be made in {there}: {error.strerror}", remedy=remedy) from error
    free = shutil.disk_usage(there).free
    found = f"{folder.absolute()}, {free / GIB:.1f} GiB free" + ("" if folder.exists() else ", not made yet")
    if free < 2 * GIB:
        raise SetupError(found, remedy="free some space: results and Spark's spill files go there")
    return found


def _catalog(where: Path | str) -> str:
    """Check whether a run would take the catalog's folder, and its disk; or whether its store does what is needed."""
    from helix_spark.catalog.catalog import Catalog

    catalog = Catalog.open(where, create=True)
    catalog.check_writable()
    if isinstance(catalog.root, ObjectPath):
        return try_store(catalog.root)
    return _folder(Path(where), "give --catalog a folder you may write to")


_VARIABLES = frozenset({
    "HELIX_AUDIT", "HELIX_AUDIT_SECONDS", "HELIX_BUDGET", "HELIX_CACHE", "HELIX_CATALOG", "HELIX_CDS", "HELIX_CUT_OFF",
    "HELIX_DATA", "HELIX_INDEX", "HELIX_JARS", "HELIX_KEEP_SMALL", "HELIX_MLFLOW", "HELIX_POLICY",
    "HELIX_RETENTION_DAYS", "HELIX_RETENTION_ITERATIONS", "HELIX_SERVER", "HELIX_SERVER_FOLDER", "HELIX_SERVER_IDLE",
    "HELIX_SERVER_MEMORY", "HELIX_SHARED",
})


def _settings(environ: Mapping[str, str]) -> str:
    mine = {name: value for name, value in sorted(environ.items()) if name.startswith("HELIX_")}
    found = ", ".join(f"{name}={without_password(value)}" for name, value in mine.items())
    if unknown := [name for name in mine if name not in _VARIABLES]:
        remedy = f"known are {', '.join(sorted(_VARIABLES))}"
        raise SetupError(f"{found}; unknown: {', '.join(unknown)}", remedy=remedy)
    return found or "no HELIX_ variable is set"
