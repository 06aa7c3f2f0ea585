"""What a classic session does otherwise than PySpark's Connect client, so that programs get it from the client, too:
names of aggregates, types of decimals, seeds and arguments of Spark ML's stages."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from copy import copy
from decimal import Decimal
from functools import cache, wraps
from typing import Any

from helix_spark.plans.recorded_call import builds, replaces


def behave_as_classic() -> None:
    """Replace in pyspark's Connect client what a classic session does otherwise; once a process."""
    from pyspark.errors.exceptions import connect

    _replace_aggregates()
    _replace_types_of_literals()
    _mark_outer_columns()
    _send_all_arguments()
    # The server refuses some plans before it analyses them, such as duplicates by a column that there is not.
    refused: Any = connect.EXCEPTION_CLASS_MAPPING
    refused["org.apache.spark.sql.connect.common.InvalidPlanInput"] = refused["org.apache.spark.sql.AnalysisException"]


_AGGREGATES = {"average": "avg", "mean": "avg", "std": "stddev", "size": "count"}
"""The JVM's `RelationalGroupedDataset` resolves these aliases itself, and columns are named by what they stand for."""


def _replace_aggregates() -> None:
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.group import GroupedData

    @replaces(DataFrame, "agg")
    @replaces(GroupedData, "agg")
    def agg(aggregate: Any, self: Any, *exprs: Any) -> Any:
        if builds() and len(exprs) == 1 and isinstance(exprs[0], dict):
            exprs = ({column: _AGGREGATES.get(name.lower(), name.lower()) for column, name in exprs[0].items()},)
        return aggregate(self, *exprs)


def _replace_types_of_literals() -> None:
    """A decimal has as many digits as it says, as in a classic session; pyspark's Connect client gives it ten. A time
    of day is a literal of SQL: Spark Connect refuses others while Spark has the type switched off."""
    from pyspark.sql.connect.expressions import LiteralExpression
    from pyspark.sql.types import DecimalType, TimeType

    @replaces(LiteralExpression, "_infer_type")
    def infer(told: Any, value: Any) -> Any:
        found = told(value)
        if not builds() or not isinstance(value, Decimal):
            return found
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or exponent > 0:  # no number, or one that classic sessions refuse
            return found
        return DecimalType(max(len(digits), -exponent), -exponent)

    @replaces(LiteralExpression, "to_plan")
    def to_plan(plan_literal: Any, self: Any, session: Any) -> Any:
        if not builds() or not isinstance(self._dataType, TimeType) or self._value is None:
            return plan_literal(self, session)
        written = self._create_proto_expression()
        written.expression_string.expression = f"TIME '{self._dataType.fromInternal(self._value)}'"
        return written


_OUTER = "outer"
"""What the client would call the part of the author's code that makes a column of a query around this one."""


def _mark_outer_columns() -> None:
    """Have a plan say which columns belong to a query around it: `Column.outer` of the Connect client leaves no trace,
    and a classic session does not analyse a table that has such columns before it is part of that query."""
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.proto import Origin, PythonOrigin

    @replaces(Column, "outer")
    def outer(_: Any, self: Any) -> Any:
        expression = copy(self._expr)
        site = "" if expression.origin is None else expression.origin.python_origin.call_site
        expression.origin = Origin(python_origin=PythonOrigin(fragment=_OUTER, call_site=site))
        return Column(expression)


def is_outer(expression: Any) -> bool:
    """Return whether a column (`spark.connect.Expression`) belongs to a query around the one that names it."""
    return bool(expression.common.origin.python_origin.fragment == _OUTER)


@cache
def fit_as_classic() -> None:
    """Have stages of Spark ML send and receive what they do in a classic session; once a process.

    An estimator is fitted with the seed that Python gives it: Connect's client sends only what the author set, and the
    seed is the one default that the JVM has another value for. A parameter that is cleared has its default again: the
    client leaves it as it is. A matrix says by a number whether it is transposed.
    """
    from pyspark.ml import Estimator
    from pyspark.ml.connect import readwrite, serialize
    from pyspark.ml.linalg import Matrix
    from pyspark.ml.param import Params
    from pyspark.ml.wrapper import JavaParams

    @replaces(serialize, "serialize_ml_params")
    def write(write_params: Any, instance: Any, client: Any) -> Any:
        params = write_params(instance, client)
        if isinstance(instance, Estimator) and instance.hasParam("seed") and instance.isDefined("seed"):
            params.params["seed"].CopyFrom(serialize.serialize_param(instance.getOrDefault("seed"), client))
        return params

    @replaces(serialize, "deserialize_param")
    @replaces(readwrite, "deserialize_param")
    def read(read_param: Any, literal: Any) -> Any:
        value = read_param(literal)
        if isinstance(value, Matrix):
            value.isTransposed = int(value.isTransposed)  # type: ignore[assignment]  # as the JVM's pickle has it
        return value

    @replaces(JavaParams, "clear")
    def clear(clear_in_jvm: Any, self: Any, param: Any) -> None:
        (Params.clear if builds() else clear_in_jvm)(self, param)


def _send_all_arguments() -> None:
    """Have methods of models that return tables send all their arguments: the client drops those that are given by
    keyword (4.2.0), so that `approxSimilarityJoin(..., distCol="far")` has a column of another name."""
    from pyspark.ml.util import try_remote_attribute_relation

    wrapper = try_remote_attribute_relation(lambda: None).__code__
    modules = [one for name, one in sys.modules.items() if name.startswith("pyspark.ml.")]
    for kind in {one for module in modules for one in vars(module).values() if isinstance(one, type)}:
        for name, method in list(vars(kind).items()):
            if getattr(method, "__code__", None) is wrapper:
                setattr(kind, name, _with_all_arguments(method))


def _with_all_arguments(method: Any) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        if builds():
            bound = signature.bind(*args, **named)
            bound.apply_defaults()
            args, named = bound.args, bound.kwargs
        return method(*args, **named)

    return call


@cache
def session_class() -> type:
    """Return a class of Connect sessions that are instances of `pyspark.sql.SparkSession`, too, as programs check, and
    that a ``with`` statement ends. What only a session in a JVM has is missing."""
    from pyspark.sql.connect.session import SparkSession as ConnectSession
    from pyspark.sql.session import SparkSession

    missing = [
        name for kind in SparkSession.__mro__[:-1] for name in vars(kind)
        if not hasattr(ConnectSession, name) and name not in ("__enter__", "__exit__")
    ]
    members: dict[str, Any] = dict.fromkeys(missing, property())  # which nobody can read
    members["sparkContext"] = property(lambda self: vars(self)["sparkContext"])
    bases: tuple[Any, ...] = (ConnectSession, SparkSession)
    return type("SparkSession", bases, {**members, "__module__": SparkSession.__module__})
