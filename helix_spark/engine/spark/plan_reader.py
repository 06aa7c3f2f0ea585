"""Reads plans of Spark Connect in the driver's own JVM: no server, no socket, and tables of this session in them.

What a server does with a plan that a client sends it (`SparkConnectPlanner`), called through the gateway.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from helix_spark.capture.named_functions import is_key
from helix_spark.capture.written_plan import Plan
from helix_spark.engine.spark.tree_patterns import holds_any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


class _Java:
    """What plans are read with: classes of a JVM, their methods and what these give.

    They are looked up once: each part of a name in Java takes a call to the JVM, as long as the call that it is for.
    """

    def __init__(self, jvm: Any) -> None:
        connect, sql = jvm.org.apache.spark.connect, jvm.org.apache.spark.sql
        self.session, self.planner = sql.connect.service.SessionHolder, sql.connect.planner.SparkConnectPlanner
        self.nothing = jvm.scala.Option.empty()
        self.expression, self.relation = connect.proto.Expression.parseFrom, connect.proto.Relation.parseFrom
        self.stream = jvm.org.sparkproject.connect.protobuf.CodedInputStream.newInstance
        self.table, self.column = sql.classic.Dataset.ofRows, sql.classic.ExpressionUtils.column


@lru_cache(maxsize=1)
def _java(gateway: Any) -> _Java:
    return _Java(gateway.jvm)


def table_of(spark: SparkSession, logical: Any) -> DataFrame:
    """The table of a plan of Catalyst's, analysed in a session."""
    from pyspark.sql import DataFrame

    return DataFrame(_java(spark.sparkContext._gateway).table(spark._jsparkSession, logical), spark)


class JvmPlanReader:
    """See `transport.PlanReader`."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._jvm: Any = spark._jvm
        self._java = _java(spark.sparkContext._gateway)
        self._holder = self._java.session("helix", str(uuid.uuid4()), spark._jsparkSession)
        self._planner = self._java.planner(self._holder, self._java.nothing)

    @contextmanager
    def known(self, frames: Mapping[int, DataFrame]) -> Iterator[dict[int, str]]:
        """Has plans name these tables, by the ids that it gives, while they are read.

        Each is a copy: the planner notes on a table by which id the plan's columns name it, and one table may be two
        inputs, or part of another one.
        """
        names = {place: uuid.uuid4().hex for place in frames}
        for place, frame in frames.items():
            self._holder.cacheDataFrameById(names[place], self._frame(frame._jdf.logicalPlan().clone()))
        try:
            yield names
        finally:
            for name in names.values():
                self._holder.removeCachedDataFrame(name)

    def frame(self, plan: Plan) -> DataFrame:
        """The table of a plan, analysed. Raises what Spark raises of a plan that is wrong."""
        from pyspark.sql import DataFrame

        *parts, (_, top) = plan
        try:
            for name, part in parts:
                if is_key(name):
                    self.register(name, part)
                else:
                    self._holder.cacheDataFrameById(name, self._relation(part))
            return DataFrame(self._relation(top), self._spark)
        finally:
            for name, _ in parts:  # functions, too: a table that was analysed holds those that it calls
                if is_key(name):
                    self._spark._jsparkSession.sessionState().catalog().dropTempFunction(name, True)
                else:
                    self._holder.removeCachedDataFrame(name)

    def column(self, plan: Plan) -> Column:
        """The column of an expression."""
        from pyspark.sql.classic.column import Column

        for name, part in plan[:-1]:
            self.register(name, part)
        return Column(self._java.column(self._expression(plan[-1][1])))

    def register(self, name: str, function: bytes) -> None:
        """Has the session know a Python function by a name. In plans it has the name that it was declared by."""
        expression = self._expression(function)
        called = expression if expression.getClass().getSimpleName() in _PYTHON else expression.aggregateFunction()
        declared = self._jvm.org.apache.spark.sql.execution.python.UserDefinedPythonFunction(
            called.name(), called.func(), called.dataType(), called.evalType(), called.udfDeterministic()
        )
        self._spark._jsparkSession.udf().registerPython(name, declared)

    def _expression(self, written: bytes) -> Any:
        expression = self._planner.transformExpression(self._java.expression(self._deep(written)))
        self._run_python_as_ours(expression)
        return expression

    def _relation(self, part: bytes) -> Any:
        logical = self._planner.transformRelation(self._java.relation(self._deep(part)))
        self._run_python_as_ours(logical)
        return self._frame(logical)

    def _frame(self, logical: Any) -> Any:
        return self._java.table(self._spark._jsparkSession, logical)

    def _deep(self, plan: bytes) -> Any:
        """A plan to be parsed: by itself a parser refuses more than a hundred messages in each other, which are fifty
        steps."""
        stream = self._java.stream(plan)
        stream.setRecursionLimit(_DEEPEST)
        return stream

    def _run_python_as_ours(self, tree: Any) -> None:
        """Has Python functions run as this session runs its own: by the same interpreter, with the same environment,
        path and broadcast variables. A server's planner takes the interpreter of the JVM's environment, and no more."""
        functions = list(self._functions_in(tree))
        if not functions:
            return
        ours = self._function_of_ours()
        kind = ours.getClass()
        for name in ("envVars", "pythonIncludes", "pythonExec", "broadcastVars"):
            held = kind.getDeclaredField(name)
            held.setAccessible(True)
            value = held.get(ours)
            for function in functions:
                held.set(function, value)

    def _function_of_ours(self) -> Any:
        """A Python function as pyspark wraps one for this session; broadcast variables are those that were pickled in
        this thread since it last wrapped one."""
        from pyspark.core.rdd import _prepare_for_python_RDD

        context = self._spark.sparkContext
        command, broadcast, environment, includes = _prepare_for_python_RDD(context, ())
        return self._jvm.SimplePythonFunction(
            bytearray(command), environment, includes, context.pythonExec, context.pythonVer, broadcast, None
        )

    def _functions_in(self, tree: Any) -> Iterator[Any]:
        """The Python functions in a plan or an expression."""
        from py4j.java_gateway import is_instance_of

        gateway = self._spark.sparkContext._gateway
        waiting = [tree]
        while waiting:
            one = waiting.pop()
            if not holds_any(one, ("PYTHON_UDF", "GENERATOR")):
                continue
            if one.getClass().getSimpleName() in _PYTHON:
                yield one.func()
            inside = [one.children(), one.innerChildren()]
            if is_instance_of(gateway, one, "org.apache.spark.sql.catalyst.plans.QueryPlan"):
                inside.append(one.expressions())
            waiting.extend(part.apply(place) for part in inside for place in range(part.size()))


_PYTHON = frozenset({"PythonUDF", "PythonUDAF", "PythonUDTF", "UnresolvedPolymorphicPythonUDTF"})
"""Expressions of Catalyst that hold a Python function."""

_DEEPEST = 100_000
"""Messages in each other. Spark's own stack ends long before."""
