"""Reads plans of Spark Connect in the driver's own JVM: no server, no socket, and tables of this session in them.

What a server does with a plan that a client sends it (`SparkConnectPlanner`), called through the gateway.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


class PlanReader:
    """Turns plans into DataFrames and Columns of one session."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        jvm: Any = spark._jvm
        self._jvm = jvm
        connect = jvm.org.apache.spark.sql.connect
        self._holder = connect.service.SessionHolder("helix", str(uuid.uuid4()), spark._jsparkSession)
        self._planner = connect.planner.SparkConnectPlanner(self._holder, self._jvm.scala.Option.empty())
        self._run_python_as(spark.sparkContext.pythonExec)

    def _run_python_as(self, python: str) -> None:
        """Has Python functions run by the interpreter that this session runs them by. A server's planner takes that of
        the JVM's environment instead, where a driver that was started otherwise has none."""
        kind = self._planner.getClass()
        gateway: Any = self._spark.sparkContext._gateway
        told = kind.getDeclaredMethod("pythonExec", gateway.new_array(self._jvm.java.lang.Class, 0))
        told.setAccessible(True)
        told.invoke(self._planner, None)  # it is lazy: once it was asked for, it is what its field says
        held = kind.getDeclaredField("pythonExec")
        held.setAccessible(True)
        held.set(self._planner, python)

    @contextmanager
    def known(self, frames: Mapping[int, DataFrame]) -> Iterator[dict[int, str]]:
        """Has plans name these tables, by the ids that it gives, while they are read."""
        names = {place: uuid.uuid4().hex for place in frames}
        for place, frame in frames.items():
            self._holder.cacheDataFrameById(names[place], frame._jdf)
        try:
            yield names
        finally:
            for name in names.values():
                self._holder.removeCachedDataFrame(name)

    def frame(self, plan: bytes) -> DataFrame:
        """The table of a relation, analysed. Raises what Spark raises of a plan that is wrong."""
        from pyspark.sql import DataFrame

        relation = self._jvm.org.apache.spark.connect.proto.Relation.parseFrom(plan)
        logical = self._planner.transformRelation(relation)
        return DataFrame(self._jvm.org.apache.spark.sql.classic.Dataset.ofRows(self._spark._jsparkSession, logical),
                         self._spark)

    def column(self, plan: bytes) -> Column:
        """The column of an expression."""
        from pyspark.sql.classic.column import Column

        written = self._jvm.org.apache.spark.connect.proto.Expression.parseFrom(plan)
        expression = self._planner.transformExpression(written)
        return Column(self._jvm.org.apache.spark.sql.classic.ExpressionUtils.column(expression))
