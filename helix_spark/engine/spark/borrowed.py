"""A session that belongs to the user: whether it will do, and its settings, borrowed and given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from helix_spark.engine.spark.connect import check_version
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.gateway import exit_status
from helix_spark.engine.spark.jars import hadoop_version, installed_pair
from helix_spark.engine.spark.settings import CHANGES_RESULTS, DELTA, S3A, results_settings
from helix_spark.errors import SetupError
from helix_spark.plans.connect_session import active_session, is_by_connect
from helix_spark.plans.recorded_call import classic, client_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class BorrowedSettings:
    """Settings of sessions that were changed, and how to change them back."""

    def __init__(self) -> None:
        self._undo: list[tuple[SparkSession, Callable[[], None]]] = []

    def apply(self, spark: SparkSession, wanted: Mapping[str, str]) -> None:
        """Set the `wanted` settings."""
        for name, value in wanted.items():
            before = spark.conf.get(name, None)
            if before != value:
                undo = partial(spark.conf.unset, name) if before is None else partial(spark.conf.set, name, before)
                self._undo.append((spark, undo))
                spark.conf.set(name, value)

    def apply_to_hadoop(self, spark: SparkSession, wanted: Mapping[str, str]) -> None:
        """Set those of Hadoop's settings that have no value."""
        if (client := driver_client(spark)) is not None:  # a server elsewhere has its own
            self._undo.append((spark, client.set_for_store(wanted)))

    def give_back(self) -> None:
        """Put every setting back as it was, the last changed first. A session stopped meanwhile has none."""
        while self._undo:
            spark, undo = self._undo.pop()
            if is_alive(spark):
                undo()


def results_settings_of(spark: SparkSession) -> dict[str, str]:
    """Return the settings of a running session that change results; where none is set, Spark's own values."""
    every: Any = spark.conf.getAll
    found = {name: value for name, value in every.items() if value is not None}
    sparks = {name: spark.conf.get(name) for name in CHANGES_RESULTS if name not in found}
    return results_settings(found | {name: value for name, value in sparks.items() if value is not None})


def running_session() -> SparkSession | None:
    """Return the session that is active in this thread, or the process's, if one runs."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    by_connect: Any = client_session() or active_session()
    if by_connect is not None and (by_connect is client_session() or driver_client(by_connect) is None):
        return by_connect  # type: ignore[no-any-return]  # pyspark's two sorts of sessions have no type in common
    try:
        with classic():
            found = SparkSession.active()
    except PySparkRuntimeError:
        return None
    return found if is_alive(found) else None


def is_alive(spark: SparkSession) -> bool:
    """Return whether the session was not stopped, and what runs it has not ended."""
    session: Any = spark
    if is_by_connect(spark):
        if session.is_stopped or spark in _LOST:
            return False
        if (client := driver_client(spark)) is None:
            return True
        session = client.classic
    return session._sc._jsc is not None and exit_status() is None


_LOST: WeakSet[Any] = WeakSet()
"""Sessions whose servers are gone, which pyspark does not note."""


def note_end(spark: SparkSession) -> None:
    """Note that a session has ended, since its server does not answer any more."""
    _LOST.add(spark)


def is_stopping(spark: SparkSession) -> bool:
    """Return whether a session is being stopped, or was: its jobs fail some time before it has ended."""
    client = driver_client(spark)
    return not is_alive(spark) or (client is not None and client.is_stopping())


def check_alive(spark: SparkSession) -> None:
    """Raises SetupError if the user's session was stopped, or its JVM has ended."""
    if not is_alive(spark):
        raise SetupError(
            "the Spark session was stopped, or its JVM has ended",
            remedy="give a running one, or none to have one started",
        )


def check_usable(spark: SparkSession, *, reaches_store: bool) -> None:
    """Raises SetupError if the user's session has ended, or was started without Delta, or without the classes by which
    it is to reach a catalog in an object store. What a server elsewhere lacks shows when it is used."""
    check_alive(spark)
    check_version(str(spark.version), "the Spark of the session that is given")
    client = driver_client(spark)

    def lacks(name: str) -> bool:
        return client is not None and not client.has_class(name)

    missing = [name for name, needed in DELTA.items() if needed not in (spark.conf.get(name, "") or "")]
    if missing or lacks(DELTA["spark.sql.extensions"]):  # Spark only warns about an extension that is not there
        needs = [f"--packages {installed_pair().jars.coordinates}", *(f"--conf {name}={DELTA[name]}" for name in DELTA)]
        raise SetupError(
            "the Spark session that is running knows nothing of Delta, where results are stored",
            exists=f"not set: {', '.join(missing)}" if missing else "Delta's jars are not on its class path",
            remedy="\n    ".join((_START_YOURS, *needs)),
        )
    if reaches_store and lacks(S3A):
        raise SetupError(
            "the Spark session that is running has no S3A, without which it reaches no object store",
            exists="the catalog is in one",
            remedy=f"{_START_YOURS}\n    --packages org.apache.hadoop:hadoop-aws:{hadoop_version()}",
        )


_START_YOURS = "let Helix start the session (make none before it), or start yours with"
