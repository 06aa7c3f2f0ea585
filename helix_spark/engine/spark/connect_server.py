"""Spark of Helix's own: its settings, its JVM with a server of Spark Connect, and the sessions of that."""

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
from helix_spark.plans.recorded_call import classic, own_session_is
from helix_spark.plans.replaced_in_pyspark import keep_errors_out_of_logs

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

_LOCAL = {
    # One machine talks to itself: no look-up of its name, which takes seconds on some networks.
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}

SERVING = {
    **MODELS_AS_CLASSIC,
    "spark.connect.session.planCache.maxSize": "256",  # plans whose schema was asked for; 16 else
    "spark.sql.artifact.isolation.enabled": "true",
    "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
}
"""As pyspark starts a server for itself, at a port that is free."""


def as_spark_has_it() -> dict[str, str]:
    """Return the default settings of a program's session, where they differ from those of Helix's own: a program is to
    give what it gives without Helix, in this machine's time zone."""
    zone = os.environ.get("TZ", "").lstrip(":")
    link = Path("/etc/localtime")
    if not zone and link.is_symlink():
        _, _, zone = str(link.readlink()).partition("zoneinfo/")
    return {
        "spark.app.name": "pyspark-shell",
        "spark.sql.shuffle.partitions": "200",
        "spark.sql.parquet.compression.codec": "snappy",
        "spark.scheduler.mode": "FIFO",
        # A table of rows of the driver's has partitions in a classic session, computed as far as they are needed. A
        # server's optimizer would compute what is made of it while it plans: all rows, as one partition.
        "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
        **({"spark.sql.session.timeZone": zone} if zone else {}),
    }


def planned_settings(
    author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS, defaults: Mapping[str, str] = NO_SETTINGS
) -> dict[str, str]:
    """Return all settings of a session of our own, of which the author's come first. Starts nothing; under spark-submit
    it asks the given JVM. Raises SetupError where Spark is not installed, or a setting leaves Delta out."""
    around: Mapping[str, str] = _settings_of_given_jvm() if _jvm_is_given() else given_around(spark_home())
    given = {**defaults, **{f"spark.hadoop.{name}": value for name, value in store.items()}, **around, **author}
    # A session of our own is asked by Connect's client anyway.
    remote = given.pop("spark.remote", "") or os.environ.get("SPARK_REMOTE", "")
    given.pop("spark.api.mode", None)
    if remote and not remote.startswith("sc://"):
        given.setdefault("spark.master", remote)
    settings = own_settings(os.cpu_count() or 1, machine_memory()) | given
    if is_local(settings["spark.master"]):
        settings = _LOCAL | settings
    check_settings(settings)
    return settings


_IMPORTING = Lock()


def import_pyspark() -> None:
    """Import Spark's Python side, one thread at a time. Raises ImportError if it is not installed.

    Its modules import each other in circles. Two threads that come in at different places each hold what the other
    waits for, and Python resolves that by giving one of them a module that is half there."""
    with _IMPORTING:
        import_module("pyspark.sql")
        keep_errors_out_of_logs()


class SparkServer(ABC):
    """A server of Spark Connect on this machine, of this process or kept by another one.

    Attributes:
        address: where its service is asked, with the token that it requires.
        spark: a session that it answers, once `open` was called.
        start_seconds: from the decision to start it until it could be used.
    """

    address: str
    spark: Any = None
    start_seconds: float
    _client: DriverClient | None = None

    def open(self) -> None:
        """Open a session; `pyspark.sql` is a client's from then on. Raises ServerEndedError for a kept one's end."""
        begun = time.perf_counter()
        self._client = self._new_client()
        self.spark = self._client.spark
        own_session_is(self.spark)
        self.start_seconds += time.perf_counter() - begun

    @abstractmethod
    def _new_client(self) -> DriverClient:
        """Return a client of a session of the server's; where that fails, stop the server."""

    def _close_client(self) -> None:
        if self._client is not None:
            own_session_is(None)
            if not self.how_ended():
                self._client.close()
            self._client = None

    def open_session(self, user: str, session_id: str) -> None:
        """Register a session under a client's ids. No-op here: a service opens one at the first request."""
        return

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        """Leave the rows of a table of a session in memory to later runs; return whether they are left."""
        return False

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        """Register rows that an earlier run left, under a name, with a session; return whether they are there."""
        return False

    @abstractmethod
    def how_ended(self, error: BaseException | None = None) -> str:
        """Return how it ended without being told to, in words; empty while it runs. `error` is of a failed request."""

    @abstractmethod
    def stop(self, *, keep_classes: bool = True) -> None:
        """End what this process has of it. No-op in a forked child. Where `keep_classes`, the classes that its own JVM
        loaded become an archive, which helps the next start."""


class ConnectServer(SparkServer):
    """A server in the JVM of a classic session of our own, `driver`, from its start until `stop`."""

    def __init__(
        self, author: Mapping[str, str], store: Mapping[str, str] = NO_SETTINGS,
        defaults: Mapping[str, str] = NO_SETTINGS, jvm_start: gateway.JvmStart | None = None,
        collector: Sequence[str] = gateway.COLLECTOR,
    ) -> None:
        """Start it. Where that fails or is interrupted, nothing is left of its JVM. `store` has Hadoop's settings for a
        catalog in an object store; `defaults` hold where neither the author nor what is around says another, before
        Helix's own; a caller may give up `jvm_start`. Raises SetupError where Java, Spark or the jars are not there or
        do not fit together, EndedError where the start was given up."""
        begun = time.perf_counter()
        self._home, self._jvm_start = Birthplace(), jvm_start or gateway.JvmStart()
        self._draft: Path | None = None
        self._collector = collector
        self.driver: Any = None
        with suppress(ImportError):  # said below, with what to do
            import_pyspark()
        # A session by Spark Connect sets it for good: where one was stopped, pyspark would start no classic one.
        os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)
        warehouse = tempfile.mkdtemp(prefix="helix-warehouse-")
        self._discard = weakref.finalize(self, remove_own, Path(warehouse), self._home)
        with classic():
            try:
                settings = planned_settings({**SERVING, **author}, store, defaults)
                with gateway.environment(**for_workers(), SPARK_REMOTE=None, SPARK_API_MODE=None):
                    self.driver = self._start({"spark.sql.warehouse.dir": warehouse, **settings})
                    self.address, _ = serve(self.driver)
            except BaseException:
                self._jvm_start.give_up()
                self._stop_driver()
                raise
        self.start_seconds = time.perf_counter() - begun

    def _new_client(self) -> DriverClient:
        try:
            return DriverClient(self.driver)
        except BaseException:
            self._jvm_start.give_up()
            self.stop(keep_classes=False)
            raise

    def how_ended(self, error: BaseException | None = None) -> str:
        return gateway.how_ended(error)

    def stop(self, *, keep_classes: bool = True) -> None:
        """Stop it and its JVM's session; tables saved in its throw-away warehouse go with it."""
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
        """End its JVM, which need not answer."""
        self._jvm_start.give_up()
        self._discard()

    def _start(self, settings: Mapping[str, str]) -> Any:
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        jars, file_system = delta_jars(), file_system_of(settings)
        further: tuple[Path, ...] = ()
        if file_system and not brings(store_artifact(file_system).split(":")[1], settings, spark_home()):
            further = get_jars(store_jars(file_system))
        if _jvm_is_given():
            settings = _add_to_given_jvm(DELTA["spark.sql.extensions"], jars, settings)
            settings = _add_to_given_jvm(file_system, further, settings) if further else settings
        else:
            java = find_java()
            ready = ready_archive(java, jars)
            # With options of the author's it would fit no other session.
            options = settings.keys() & {"spark.driver.extraClassPath", "spark.driver.extraJavaOptions"}
            self._draft = None if ready or options else begin_draft(java, jars)
            # A store's are not on the class path proper: an archive made without them would not fit any more.
            named = further if is_local(settings["spark.master"]) else (*jars, *further)
            settings = gateway.launch_settings(jars, _with_jars(settings, named), ready, self._draft, self._collector)
            SparkContext._ensure_initialized(gateway=gateway.launch(settings, self._jvm_start))
        return SparkSession(SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(settings.items()))))

    def _stop_driver(self) -> None:
        if self.driver is not None and not self.how_ended():
            with suppress(Exception):  # its JVM may end meanwhile
                self.driver.stop()
        gateway.forget_ended()
        self._discard()


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
    """Return the JVM's system properties, where spark-submit leaves settings; once, before a session adds its own."""
    return {pair._1(): pair._2() for pair in _given_jvm().SparkConf(True).getAll()}


def _add_to_given_jvm(found_by: str, jars: Sequence[Path], settings: Mapping[str, str]) -> Mapping[str, str]:
    """Make jars available in a JVM that started without them, so that a bare `spark-submit job.py` works.

    SparkSubmit runs an application under a class loader made to be added to (`MutableURLClassLoader`, which serves
    `spark.jars` in the same way); as long as there is no context, jars added to it are as good as named at the start.
    Executors in processes of their own get them by `spark.jars`; in ours they would only be copied, and loaded twice.
    """
    jvm = _given_jvm()
    if has_class(jvm, found_by):
        return settings
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    for jar in jars:
        loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())
    return settings if is_local(settings["spark.master"]) else _with_jars(settings, jars)


def _with_jars(settings: Mapping[str, str], jars: Sequence[Path]) -> Mapping[str, str]:
    named = ",".join(filter(None, [settings.get("spark.jars"), *map(str, jars)]))
    return {**settings, "spark.jars": named} if jars else settings
