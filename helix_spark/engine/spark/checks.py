"""The checks of `helix doctor`. They start no JVM."""

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
    """The result of a check: what was found, whether Helix can work with it, and what to do if not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(catalog: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Check everything that a run needs. The catalog, on a disk or in a store, need not exist."""
    def check_jars_of_store() -> str:
        access, path = parse_address(str(catalog))
        file_system = file_system_of(access.hadoop(path.partition("/")[0]))
        if not file_system:
            return "none: Spark does not reach this store"
        return _jars(store_jars(file_system, environ), environ)

    checks: dict[str, Callable[[], str]] = {
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
            checks["store's jars"] = check_jars_of_store
        checks["catalog"] = lambda: _catalog(catalog)
    return [_result(name, check) for name, check in checks.items()]


def _result(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (SetupError, CatalogError) as error:
        found = f"{error.what} ({error.exists})" if error.exists else error.what
        return Check(name, False, found, error.remedy or "")


def _pair(environ: Mapping[str, str]) -> str:
    pair, server = installed_pair(environ), ""
    if address := named_server({}, spark_home(environ), environ):
        settings_of_server(address)
        server = f", for the server at {shown_address(address)}"
    return f"pyspark {pair.pyspark} with delta-spark {pair.delta} in {spark_home(environ)}{server}"


def _jars(jars: JarSet, environ: Mapping[str, str]) -> str:
    if (paths := kept_jars(jars, environ)) is None:
        return "not there yet; the first session fetches them"
    check_jars(paths, jars, environ)
    return f"{len(paths)} in {paths[0].parent}"


def _solver() -> str:
    from helix_spark.planner.solver import is_available

    if not is_available():
        raise SetupError("HiGHS is not installed", remedy="pip install highspy")
    return "HiGHS"


def _memory() -> str:
    total = machine_memory()
    text = f"{total / GIB:.1f} GiB, {driver_memory(total)} of it for Spark's driver"
    if total < 7 * GIB // 2:  # of 4 GiB the kernel reserves a part, so that 3.8 may be left
        raise SetupError(text, remedy="give the machine or the container 4 GiB, or set spark.driver.memory lower")
    return text


def _folder(folder: Path, remedy: str) -> str:
    """Check that the folder, or its nearest existing parent, is writable and has 2 GiB free."""
    existing = what_is_there(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise SetupError(f"{folder}: no file can be created in {existing}: {error.strerror}", remedy=remedy) from error
    free = shutil.disk_usage(existing).free
    text = f"{folder.absolute()}, {free / GIB:.1f} GiB free" + ("" if folder.exists() else ", not created yet")
    if free < 2 * GIB:
        raise SetupError(text, remedy="free some space: results and Spark's spill files go there")
    return text


def _catalog(where: Path | str) -> str:
    """Check that a run can use the catalog's folder and its disk, or its object store."""
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
    variables = {name: value for name, value in sorted(environ.items()) if name.startswith("HELIX_")}
    text = ", ".join(f"{name}={without_password(value)}" for name, value in variables.items())
    if unknown := [name for name in variables if name not in _VARIABLES]:
        remedy = f"known are {', '.join(sorted(_VARIABLES))}"
        raise SetupError(f"{text}; unknown: {', '.join(unknown)}", remedy=remedy)
    return text or "no HELIX_ variable is set"
