"""A session that belongs to the user: whether it will do, and its settings, borrowed and given back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.engine.spark.connect import check_version
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.gateway import exit_status
from helix_spark.engine.spark.jars import hadoop_version, installed_pair
from helix_spark.engine.spark.settings import CHANGES_RESULTS, DELTA, S3A, results_settings
from helix_spark.engine.spark.transport import transport_of
from helix_spark.errors import SetupError
from helix_spark.plans.connect_session import active_session, is_by_connect
from helix_spark.plans.recorded_call import classic, client_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class BorrowedSettings:
    """Settings of a session that were changed, and what they were before."""

    def __init__(self) -> None:
        self._before: list[tuple[SparkSession, str, str | None]] = []
        self._hadoop_set: list[tuple[SparkSession, list[str]]] = []

    def apply(self, spark: SparkSession, wanted: Mapping[str, str]) -> None:
        """Sets the `wanted` settings."""
        for name, value in wanted.items():
            before = spark.conf.get(name, None)
            if before != value:
                self._before.append((spark, name, before))
                spark.conf.set(name, value)

    def apply_to_hadoop(self, spark: SparkSession, wanted: Mapping[str, str]) -> None:
        """Sets those of Hadoop's settings that have no value."""
        self._hadoop_set.append((spark, transport_of(spark).set_for_store(wanted)))

    def give_back(self) -> None:
        """Puts every setting back as it was, the last changed first. A session stopped meanwhile has none."""
        while self._hadoop_set:
            spark, names = self._hadoop_set.pop()
            if is_alive(spark):
                transport_of(spark).unset_for_store(names)
        while self._before:
            spark, name, before = self._before.pop()
            if is_alive(spark):
                if before is None:
                    spark.conf.unset(name)
                else:
                    spark.conf.set(name, before)


def results_settings_of(spark: SparkSession) -> dict[str, str]:
    """The settings of a running session that change results; of those that nobody set, Spark's own values."""
    every: Any = spark.conf.getAll
    found = {name: value for name, value in every.items() if value is not None}
    sparks = {name: spark.conf.get(name) for name in CHANGES_RESULTS if name not in found}
    return results_settings(found | {name: value for name, value in sparks.items() if value is not None})


def running_session() -> SparkSession | None:
    """The session that is active in this thread, or the process's, if one runs."""
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
    """Whether the session was not stopped, and what runs it has not ended."""
    if is_by_connect(spark):
        return transport_of(spark).is_alive()
    return spark._sc._jsc is not None and exit_status() is None


def check_alive(spark: SparkSession) -> None:
    """Raises SetupError if the user's session was stopped, or its JVM has ended."""
    if not is_alive(spark):
        raise SetupError(
            "the Spark session was stopped, or its JVM has ended",
            remedy="give a running one, or none to have one started",
        )


def check_usable(spark: SparkSession) -> None:
    """Raises SetupError if the user's session has ended, or was started without Delta."""
    check_alive(spark)
    check_version(str(spark.version), "the Spark of the session that is given")
    missing = [name for name, needed in DELTA.items() if needed not in (spark.conf.get(name, "") or "")]
    if not missing and transport_of(spark).has_class(DELTA["spark.sql.extensions"]):  # Spark only warns about one
        return
    lines = [f"--packages {installed_pair().jars.coordinates}", *(f"--conf {name}={DELTA[name]}" for name in DELTA)]
    raise SetupError(
        "the Spark session that is running knows nothing of Delta, where results are stored",
        exists=f"not set: {', '.join(missing)}" if missing else "Delta's jars are not on its class path",
        remedy="let Helix start the session (make none before it), or start yours with\n    " + "\n    ".join(lines),
    )


def check_reaches_store(spark: SparkSession) -> None:
    """Raises SetupError if the user's session cannot reach a catalog in an object store for want of its classes."""
    if not transport_of(spark).has_class(S3A):
        raise SetupError(
            "the Spark session that is running has no S3A, without which it reaches no object store",
            exists="the catalog is in one",
            remedy="let Helix start the session (make none before it), or start yours with\n    "
            f"--packages org.apache.hadoop:hadoop-aws:{hadoop_version()}",
        )
