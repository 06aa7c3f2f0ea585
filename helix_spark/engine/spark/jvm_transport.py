"""A classic session, in a JVM that this process talks to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from helix_spark.engine.spark.gateway import exit_status
from helix_spark.engine.spark.plan_reader import JvmPlanReader, table_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

_BETWEEN = "\x1e"


@lru_cache(maxsize=1)
def _setter_of_active_session(gateway: Any) -> Any:
    """Return the method of a JVM, looked up once: each part of its name takes a call to the JVM."""
    return gateway.jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession


@dataclass(frozen=True)
class JvmTransport:
    """See `Transport`."""

    spark: SparkSession

    def activate(self) -> None:
        """Make the session the active one of the JVM's thread that serves the calling thread.

        Spark reads settings, such as ANSI's, from the active session as soon as an expression is made. In a thread
        without one it takes its own defaults, whatever the session is set to.
        """
        if self.is_alive():
            _setter_of_active_session(self.spark.sparkContext._gateway)(self.spark._jsparkSession)

    @property
    def master(self) -> str:
        return str(self.spark.sparkContext.master)

    def is_alive(self) -> bool:
        return self.spark._sc._jsc is not None and exit_status() is None

    def is_stopping(self) -> bool:
        from py4j.protocol import Py4JError

        try:
            context: Any = self.spark._sc._jsc
            return bool(context.sc().isStopped())
        except (AttributeError, Py4JError, OSError):  # a JVM that was killed a moment ago refuses the connection
            return True

    def note_end(self) -> None:
        """Its process tells (see `gateway.exit_status`)."""

    def settings(self) -> dict[str, str]:
        # As one text: `conf.getAll` takes a call to the JVM for each.
        text = str(self.spark._jsparkSession.conf().getAll().mkString(_BETWEEN))
        return dict(entry.split(" -> ", 1) for entry in text.split(_BETWEEN) if " -> " in entry)

    def further_settings(self) -> Mapping[str, str]:
        return {}

    def has_class(self, name: str) -> bool:
        from py4j.protocol import Py4JJavaError

        jvm: Any = self.spark._jvm
        try:
            jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)
        except Py4JJavaError:
            return False
        return True

    def set_for_store(self, wanted: Mapping[str, str]) -> list[str]:
        settings = self._hadoop()
        missing = [name for name in wanted if settings.get(name) is None]
        for name in missing:
            settings.set(name, wanted[name])
        return missing

    def unset_for_store(self, names: list[str]) -> None:
        for name in names:
            self._hadoop().unset(name)

    def _hadoop(self) -> Any:
        """Hadoop's settings, as the whole context has them."""
        return self.spark.sparkContext._jsc.hadoopConfiguration()

    def reader(self) -> JvmPlanReader:
        return JvmPlanReader(self.spark)

    def over_rows(self, persisted: DataFrame) -> DataFrame:
        """Spark's own substitution of a cached plan (`QueryExecution.withCachedData`) is made once, here, instead of in
        each plan above it. Rows that were lost are computed again all the same: the relation knows how."""
        return table_of(self.spark, persisted._jdf.queryExecution().withCachedData())

    def empty(self, schema: StructType) -> DataFrame:
        """What `createDataFrame([], schema)` of PySpark makes is an RDD to the optimiser, which stays in the plan and
        adds its empty partitions to those of the rows: then an author's `repartition(1)` is in vain, and a learner that
        depends on how its rows are divided finds another model."""
        from pyspark.sql import DataFrame

        session: Any = self.spark._jsparkSession
        gateway = self.spark.sparkContext._gateway
        assert gateway is not None
        rows = gateway.jvm.java.util.ArrayList()
        return DataFrame(session.createDataFrame(rows, session.parseDataType(schema.json())), self.spark)

    def name_work(self, run: str, what: str) -> None:
        context = self.spark.sparkContext
        context.clearJobTags()
        context.addJobTag(run)
        context.setJobDescription(f"helix: {what}")

    def add_tag(self, run: str) -> None:
        self.spark.sparkContext.addJobTag(run)

    def remove_tag(self, run: str) -> None:
        self.spark.sparkContext.removeJobTag(run)

    def cancel(self, run: str) -> None:
        self.spark.sparkContext.cancelJobsWithTag(run)

    def compiler_seconds(self) -> float:
        compiler = self._compiler
        return 0.0 if compiler is None else float(compiler.getTotalCompilationTime()) / 1000

    @cached_property
    def _compiler(self) -> Any:
        jvm = self.spark.sparkContext._jvm
        compiler = jvm.java.lang.management.ManagementFactory.getCompilationMXBean() if jvm is not None else None
        return compiler if compiler is not None and compiler.isCompilationTimeMonitoringSupported() else None
