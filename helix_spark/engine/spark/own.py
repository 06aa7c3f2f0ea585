"""A Spark session of Helix's own: what it will be, and its start."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from helix_spark.engine.spark import gateway
from helix_spark.engine.spark.archive import ready_archive
from helix_spark.engine.spark.connect import check_not_asked_for
from helix_spark.engine.spark.driver_client import for_workers
from helix_spark.engine.spark.jars import delta_jars, get_jars, s3a_jars, spark_home
from helix_spark.engine.spark.java import find_java
from helix_spark.engine.spark.settings import (
    S3A,
    brings_s3a,
    check_settings,
    given_around,
    is_local,
    machine_memory,
    own_settings,
)
from helix_spark.forks import Birthplace, remove_own
from helix_spark.plans.replaced_in_pyspark import keep_errors_out_of_logs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class DriverSession:
    """A session that we started, and may therefore stop.

    Attributes:
        spark: the session.
        start_seconds: from the decision to start it until it could be used.
        launched: whether we started its JVM too, so that an archive of classes would help the next time.
    """

    def __init__(self, spark: SparkSession, start_seconds: float, launched: bool, warehouse: str) -> None:
        self.spark, self.start_seconds, self.launched = spark, start_seconds, launched
        self._home = Birthplace()
        self._discard = weakref.finalize(self, remove_own, Path(warehouse), self._home)

    def stop(self) -> None:
        """Stop it; tables saved in its throw-away warehouse go with it. No-op in a forked child."""
        if not self._home.is_here:
            return
        try:
            if gateway.exit_status() is None:
                self.spark.stop()
        except Exception as error:
            if gateway.how_ended(error) is None:
                raise
        gateway.forget_ended()
        self._discard()


def planned_settings(
    author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS, defaults: Mapping[str, str] = NO_SETTINGS
) -> dict[str, str]:
    """Return all settings a session of our own would start with. Starts nothing; under spark-submit it asks the given
    JVM.

    Args:
        author: what the author gave; it takes precedence.
        store, defaults: see `start`.

    Raises:
        SetupError: Spark is not installed, a setting leaves Delta out, or Spark Connect is asked for.
    """
    around: Mapping[str, str] = _settings_of_given_jvm() if _jvm_is_given() else given_around(spark_home())
    settings = {
        **own_settings(os.cpu_count() or 1, machine_memory()), **defaults,
        **{f"spark.hadoop.{name}": value for name, value in store.items()}, **around, **author,
    }
    if is_local(settings["spark.master"]):
        settings = _LOCAL | settings
    check_settings(settings)
    check_not_asked_for(settings)
    return settings


_LOCAL = {
    # One machine talks to itself: no look-up of its name, which takes seconds on some networks.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


_IMPORTING = Lock()


def import_pyspark() -> None:
    """Import Spark's Python side, one thread at a time.

    Its modules import each other in circles. Two threads that come in at different places each hold what the other
    waits for, and Python resolves that by giving one of them a module that is half there.

    Raises:
        ImportError: it is not installed.
    """
    with _IMPORTING:
        import_module("pyspark.sql")
        keep_errors_out_of_logs()


def start(
    author: Mapping[str, str], record_classes: Path | None = None, store: Mapping[str, str] = NO_SETTINGS,
    defaults: Mapping[str, str] = NO_SETTINGS, jvm_start: gateway.JvmStart | None = None,
) -> DriverSession:
    """Start a session of our own. Where that fails or is interrupted, nothing is left of its JVM.

    Args:
        author: settings of the author's.
        record_classes: where the JVM, when it ends, shall write an archive of its classes.
        store: Hadoop's settings for the object store that the catalog is in; none for a catalog in a folder.
        defaults: settings that hold where neither the author nor what is around says another; else Helix's own.
        jvm_start: the start of the JVM, for a caller that may give it up.

    Raises:
        SetupError: Java, Spark or the jars are not there or do not fit together.
        EndedError: the start was given up.
    """
    begun = time.perf_counter()
    with suppress(ImportError):  # said below, with what to do
        import_pyspark()
    jvm_start, warehouse = jvm_start or gateway.JvmStart(), tempfile.mkdtemp(prefix="helix-warehouse-")
    launched = not _jvm_is_given()
    try:
        with gateway.environment(**for_workers()):
            spark = _started(author, record_classes, store, defaults, jvm_start, warehouse)
    except BaseException:
        if launched:
            jvm_start.give_up()
            gateway.forget_ended()
        rmtree(warehouse, ignore_errors=True)
        raise
    return DriverSession(spark, time.perf_counter() - begun, launched, warehouse)


def _started(
    author: Mapping[str, str], record_classes: Path | None, store: Mapping[str, str], defaults: Mapping[str, str],
    jvm_start: gateway.JvmStart, warehouse: str,
) -> SparkSession:
    settings = {"spark.sql.warehouse.dir": warehouse} | planned_settings(author, store, defaults)
    jars = delta_jars()
    further = get_jars(s3a_jars()) if store and not brings_s3a(settings, spark_home()) else ()
    if _jvm_is_given():
        settings = _add_to_given_jvm("io.delta.sql.DeltaSparkSessionExtension", jars, settings)
        if further:
            settings = _add_to_given_jvm(S3A, further, settings)
    else:
        java = find_java()
        jvm = gateway.driver_jvm(jars)
        archive = None if record_classes else ready_archive(java, jvm)
        settings = gateway.launch_settings(jvm, settings, archive, record_classes)
        if not is_local(settings["spark.master"]):
            settings["spark.jars"] = _with_jars(settings, jars)
        if further:
            # Not on the class path proper: an archive made without them would not fit any more.
            settings["spark.jars"] = _with_jars(settings, further)
        from pyspark import SparkContext

        SparkContext._ensure_initialized(gateway=gateway.launch(settings, jvm_start))
    return _session(settings)


def _jvm_is_given() -> bool:
    """Return whether the JVM exists already: spark-submit started it, or a session that was stopped left it behind."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return True
    context = sys.modules.get("pyspark.core.context")
    return context is not None and context.SparkContext._gateway is not None


def _given_jvm() -> Any:
    from pyspark import SparkContext

    SparkContext._ensure_initialized()
    return SparkContext._jvm


@cache
def _settings_of_given_jvm() -> Mapping[str, str]:
    """Return what the command line and spark-defaults.conf said; spark-submit leaves it in the JVM's system properties.
    Read once, before a session adds what it was given."""
    return {pair._1(): pair._2() for pair in _given_jvm().SparkConf(True).getAll()}


def _add_to_given_jvm(found_by: str, jars: Sequence[Path], settings: Mapping[str, str]) -> dict[str, str]:
    """Make jars available in a JVM that started without them, so that a bare `spark-submit job.py` works.

    SparkSubmit runs an application under a class loader made to be added to (`MutableURLClassLoader`, which serves
    `spark.jars` in the same way); as long as there is no context, jars added to it are as good as named at the start.
    Executors in processes of their own get them by `spark.jars`; in ours they would only be copied, and loaded twice.
    """
    from py4j.protocol import Py4JJavaError

    jvm = _given_jvm()
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        loader.loadClass(found_by)
    except Py4JJavaError:
        for jar in jars:
            loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())
    else:
        return dict(settings)
    if is_local(settings["spark.master"]):
        return dict(settings)
    return {**settings, "spark.jars": _with_jars(settings, jars)}


def _with_jars(settings: Mapping[str, str], jars: Sequence[Path]) -> str:
    given = [jar for jar in settings.get("spark.jars", "").split(",") if jar]
    return ",".join([*given, *(str(jar) for jar in jars)])


def _session(settings: Mapping[str, str]) -> SparkSession:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(settings.items())))
    return SparkSession.builder.getOrCreate()
