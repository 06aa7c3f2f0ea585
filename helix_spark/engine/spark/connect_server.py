"""Helix's own Spark: its settings, and its JVM with a server of Spark Connect."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any

from helix_spark.engine.spark import gateway
from helix_spark.engine.spark.driver_client import DriverClient, end_service, for_workers, has_class, serve
from helix_spark.engine.spark.jars import delta_jars, get_jars, spark_home, store_artifact, store_jars
from helix_spark.engine.spark.java import begin_draft, find_java, keep_draft, ready_archive
from helix_spark.engine.spark.settings import (
    DELTA,
    MODELS_AS_CLASSIC,
    brings,
    check_settings,
    file_system_of,
    given_around,
    is_local,
    machine_memory,
    own_settings,
)
from helix_spark.forks import Birthplace, remove_own
from helix_spark.plans.current_program import classic, set_own_session
from helix_spark.plans.replaced_in_pyspark import keep_errors_out_of_logs

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

_LOCAL = {
    # Avoid the lookup of the machine's name, which takes seconds on some networks.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}

SERVING = {
    **MODELS_AS_CLASSIC,
    "spark.connect.session.planCache.maxSize": "256",  # analysed plans; 16 by default
    "spark.sql.artifact.isolation.enabled": "true",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
}
"""Settings of a server of Spark Connect, beyond those of a session."""


def as_spark_has_it() -> dict[str, str]:
    """Return Spark's own defaults where Helix's differ, also this machine's time zone: results are as without Helix."""
    zone = os.environ.get("TZ", "").lstrip(":")
    link = Path("/etc/localtime")
    if not zone and link.is_symlink():
        _, _, zone = str(link.readlink()).partition("zoneinfo/")
    return {
        "spark.app.name": "pyspark-shell",
        "spark.sql.shuffle.partitions": "200",
        "spark.sql.parquet.compression.codec": "snappy",
        "spark.scheduler.mode": "FIFO",
        # A classic session has partitions of a table of the driver's rows, and computes only those that are needed. A
        # server's optimizer would compute all rows, as one partition, during planning.
        "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
        **({"spark.sql.session.timeZone": zone} if zone else {}),
    }


def planned_settings(
    author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS, defaults: Mapping[str, str] = NO_SETTINGS
) -> dict[str, str]:
    """Return all settings of Helix's own session, without starting it; the author's take precedence. Under spark-submit
    its JVM is read. Raises SetupError if Spark is not installed, or a setting leaves Delta out."""
    configured = _settings_of_existing_jvm() if _jvm_exists() else given_around(spark_home())
    hadoop = {f"spark.hadoop.{name}": value for name, value in store.items()}
    overrides = {**defaults, **hadoop, **configured, **author}
    # Helix's own session uses Connect's client in any case.
    remote = overrides.pop("spark.remote", "") or os.environ.get("SPARK_REMOTE", "")
    overrides.pop("spark.api.mode", None)
    if remote and not remote.startswith("sc://"):
        overrides.setdefault("spark.master", remote)
    settings = own_settings(os.cpu_count() or 1, machine_memory()) | overrides
    if is_local(settings["spark.master"]):
        settings = _LOCAL | settings
    check_settings(settings)
    return settings


def uses_hive(settings: Mapping[str, str]) -> bool:
    """Return whether a session uses Hive, whose metastore's database a process locks as long as it lives."""
    return settings.get("spark.sql.catalogImplementation") == "hive"


_IMPORTING = Lock()


def import_pyspark() -> None:
    """Import pyspark, one thread at a time. Raises SetupError if it is not installed.

    Its modules import each other in circles. If two threads begin with different ones, Python avoids the deadlock by
    giving one thread a module that is only half imported."""
    spark_home()
    with _IMPORTING:
        import_module("pyspark.sql")
        keep_errors_out_of_logs()


class SparkServer(ABC):
    """A server of Spark Connect on this machine, in a JVM of this process or of a keeper.

    Attributes:
        address: the address of its service, with its token.
        spark: its session, after `open`.
        start_seconds: the time from the decision to start it until it could be used.
    """

    address: str
    spark: Any = None
    start_seconds: float
    _client: DriverClient | None = None

    def open(self) -> None:
        """Open a session; from then on `pyspark.sql` is Connect's. Raises ServerEndedError if a kept server ended."""
        start = time.perf_counter()
        self._client = self._new_client()
        self.spark = self._client.spark
        set_own_session(self.spark)
        self.start_seconds += time.perf_counter() - start

    @abstractmethod
    def _new_client(self) -> DriverClient:
        """Return a client of one of the server's sessions; stop the server if that fails."""

    def _close_client(self) -> None:
        if self._client is not None:
            set_own_session(None)
            if not self.how_ended():
                self._client.close()
            self._client = None

    def open_session(self, user: str, session_id: str) -> None:
        """Register a session under a client's ids. No-op here: a service opens one at the first request."""
        return

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Leave the rows of a session's table in memory to later runs; return whether they are left."""
        return False

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register rows that an earlier run left, under a name, with a session; return whether they are there."""
        return False

    @abstractmethod
    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how it ended unexpectedly, in words; empty while it runs. `error` is that of a failed request."""

    @abstractmethod
    def stop(self, *, keep_classes: bool = True) -> None:
        """Stop it, or end this run's part of a kept one. No-op in a forked child. If `keep_classes`, the classes that
        its own JVM loaded become an archive for the next start."""


class ConnectServer(SparkServer):
    """A server in the JVM of a classic session that Helix starts, `driver`."""

    def __init__(
        self, author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS,
        defaults: Mapping[str, str] = NO_SETTINGS, folder: Path | None = None,
        collector: Sequence[str] = gateway.COLLECTOR,
    ) -> None:
        """Start it; if that fails or is interrupted, end its JVM. `store` has Hadoop's settings for a catalog in an
        object store; `defaults` take precedence only over Helix's own settings; the JVM starts in `folder`, by
        default that of this process. Raises SetupError if Java, Spark or the jars are missing or do not fit."""
        start = time.perf_counter()
        self._home, self._folder, self._collector = Birthplace(), folder, collector
        self._draft: Path | None = None
        self.driver: Any = None
        self._gateway: Any = None
        import_pyspark()
        # A former Connect session has set it, and pyspark would not start a classic one.
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
        warehouse = tempfile.mkdtemp(prefix="helix-warehouse-")
        self._discard = weakref.finalize(self, remove_own, Path(warehouse), self._home)
        with classic():
            try:
                settings = planned_settings({**SERVING, **author}, store, defaults)
                with gateway.environment(**for_workers(folder), SPARK_REMOTE=None, SPARK_API_MODE=None):
                    own = {} if uses_hive(settings) else {"spark.sql.warehouse.dir": warehouse}
                    self.driver = self._start({**own, **settings})
                    self.address, _ = serve(self.driver)
            except BaseException:
                self.kill()
                self._stop_driver()
                raise
        self.start_seconds = time.perf_counter() - start

    def _new_client(self) -> DriverClient:
        try:
            return DriverClient(self.driver)
        except BaseException:
            self.kill()
            self.stop(keep_classes=False)
            raise

    def how_ended(self, error: BaseException | None = None) -> str:
        return gateway.how_ended(error)

    def stop(self, *, keep_classes: bool = True) -> None:
        self._close_client()
        if not self._home.is_here:
            return
        with classic():
            if not self.how_ended():
                end_service(self.driver)
                if self._draft is not None and keep_classes:
                    keep_draft(self._draft)
            self._stop_driver()

    def kill(self) -> None:
        """End its JVM, even if it does not answer; no-op if it was there before."""
        if self._gateway is not None:
            self._gateway.proc.end()

    def _start(self, settings: Mapping[str, str]) -> Any:
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        jars, file_system = delta_jars(), file_system_of(settings)
        jars_of_store: tuple[Path, ...] = ()
        if file_system and not brings(store_artifact(file_system).split(":")[1], settings, spark_home()):
            jars_of_store = get_jars(store_jars(file_system))
        if _jvm_exists():
            settings = _add_to_existing_jvm(DELTA["spark.sql.extensions"], jars, settings)
            settings = _add_to_existing_jvm(file_system, jars_of_store, settings) if jars_of_store else settings
        else:
            java = find_java()
            archive = ready_archive(java, jars)
            # An archive of a JVM with the author's options would fit no other session.
            options = settings.keys() & {"spark.driver.extraClassPath", "spark.driver.extraJavaOptions"}
            # While its JVM wrote an archive after the run, it would lock Hive's database.
            self._draft = None if archive or options or uses_hive(settings) else begin_draft(java, jars)
            # A store's jars are not on the class path proper, which must be that of the archive.
            named = jars_of_store if is_local(settings["spark.master"]) else (*jars, *jars_of_store)
            settings = gateway.launch_settings(jars, _with_jars(settings, named), archive, self._draft, self._collector)
            self._gateway = gateway.launch(settings, self._folder)
            SparkContext._ensure_initialized(gateway=self._gateway)
        return SparkSession(SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(settings.items()))))

    def _stop_driver(self) -> None:
        if self.driver is not None and not self.how_ended():
            with suppress(Exception):  # its JVM may end meanwhile
                self.driver.stop()
        gateway.forget_ended()
        self._discard()


def _jvm_exists() -> bool:
    """Return whether this process has a JVM already, from spark-submit or a stopped session."""
    context = sys.modules.get("pyspark.core.context")
    return "PYSPARK_GATEWAY_PORT" in os.environ or (context is not None and context.SparkContext._gateway is not None)


def _existing_jvm() -> Any:
    from pyspark import SparkContext

    SparkContext._ensure_initialized()
    return SparkContext._jvm


def folder_of_spark() -> Path:
    """Return the base of Spark's relative paths in this process: the folder of its JVM, or that in which one starts."""
    return Path(_existing_jvm().java.lang.System.getProperty("user.dir") if _jvm_exists() else Path.cwd())


@cache
def _settings_of_existing_jvm() -> dict[str, str]:
    """Return spark-submit's settings, which are system properties of the JVM; once, before a session adds its own."""
    return {pair._1(): pair._2() for pair in _existing_jvm().SparkConf(True).getAll()}


def _add_to_existing_jvm(class_name: str, jars: Sequence[Path], settings: Mapping[str, str]) -> Mapping[str, str]:
    """Add the jars of a class to a JVM that started without them, so that a bare `spark-submit job.py` works.

    Before there is a context, jars can be added to SparkSubmit's class loader (`MutableURLClassLoader`), as
    `spark.jars` does. Executors in other processes get them by `spark.jars`; local ones would load them twice.
    """
    jvm = _existing_jvm()
    if has_class(jvm, class_name):
        return settings
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    for jar in jars:
        loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())
    return settings if is_local(settings["spark.master"]) else _with_jars(settings, jars)


def _with_jars(settings: Mapping[str, str], jars: Sequence[Path]) -> Mapping[str, str]:
    named = ",".join(filter(None, [settings.get("spark.jars"), *map(str, jars)]))
    return {**settings, "spark.jars": named} if jars else settings
