"""Differences between a classic session and PySpark's Connect client.

The client is changed to behave as a classic session does: names of aggregates, types of decimals, seeds and arguments
of Spark ML's stages. Uses of what only a classic session has (RDDs, the JVM, contexts, streams) are noticed before
pyspark refuses them."""

from __future__ import annotations

import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from copy import copy
from decimal import Decimal
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

import helix_spark.plans.connect_proto as pb
from helix_spark.hermetic.action import asks, current
from helix_spark.plans.current_program import (
    NeedsClassicError,
    client_session,
    is_connect,
    program_here,
    replaces,
    script,
)
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.written_plan import StepWriter, relation_of

if TYPE_CHECKING:
    from pyspark.conf import SparkConf


def behave_as_classic() -> None:
    """Make pyspark's Connect client behave as a classic session; once a process."""
    from pyspark.errors.exceptions import connect
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.group import GroupedData
    from pyspark.sql.connect.plan import LocalRelation

    _replace_types_of_literals()
    _send_all_arguments()
    # The server refuses some plans before it analyses them, such as duplicates by a missing column.
    errors: Any = connect.EXCEPTION_CLASS_MAPPING
    errors["org.apache.spark.sql.connect.common.InvalidPlanInput"] = errors["org.apache.spark.sql.AnalysisException"]

    @replaces(DataFrame, "agg")
    @replaces(GroupedData, "agg")
    def agg(original: Any, self: Any, *exprs: Any) -> Any:
        if is_connect() and len(exprs) == 1 and isinstance(exprs[0], dict):
            exprs = ({column: _AGGREGATES.get(name.lower(), name.lower()) for column, name in exprs[0].items()},)
        return original(self, *exprs)

    @replaces(DataFrame, "toPandas")
    def to_pandas(original: Any, self: Any) -> Any:
        table = original(self)
        if is_connect():
            table.attrs.clear()  # the client's metrics, which pandas cannot write to a file
        return table

    @replaces(LocalRelation, "__init__")
    def copy_rows(original: Any, self: Any, table: Any, schema: str | None = None) -> None:
        original(self, table, schema)
        if table is not None:  # it may share the memory of arrays that the author changes before it is sent
            rows = self._serialize_table()
            self._serialize_table = lambda: rows

    # The Connect client's `Column.outer` leaves no trace in the plan. A classic session analyses a table with outer
    # columns only as part of the outer query.
    @replaces(Column, "outer")
    def outer(_: Any, self: Any) -> Any:
        expression = copy(self._expr)
        site = "" if expression.origin is None else expression.origin.python_origin.call_site
        expression.origin = pb.Origin(python_origin=pb.PythonOrigin(fragment=_OUTER, call_site=site))
        return Column(expression)


_AGGREGATES = {"average": "avg", "mean": "avg", "std": "stddev", "size": "count"}
"""Aliases that the JVM's `RelationalGroupedDataset` resolves before it names the columns."""

_OUTER = "outer"
"""Marks a column of an outer query, in the place of the fragment of the author's code."""


def _replace_types_of_literals() -> None:
    """Give a decimal the precision of its value; pyspark's Connect client gives it ten digits. Write a time of day as
    SQL: Spark Connect refuses other literals while Spark has the type switched off."""
    from pyspark.sql.connect.expressions import LiteralExpression
    from pyspark.sql.types import DecimalType, TimeType

    @replaces(LiteralExpression, "_infer_type")
    def infer(original: Any, value: Any) -> Any:
        data_type = original(value)
        if not is_connect() or not isinstance(value, Decimal):
            return data_type
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or exponent > 0:  # no number, or a number that classic sessions refuse
            return data_type
        return DecimalType(max(len(digits), -exponent), -exponent)

    @replaces(LiteralExpression, "to_plan")
    def to_plan(original: Any, self: Any, session: Any) -> Any:
        if not is_connect() or not isinstance(self._dataType, TimeType) or self._value is None:
            return original(self, session)
        expression = self._create_proto_expression()
        expression.expression_string.expression = f"TIME '{self._dataType.fromInternal(self._value)}'"
        return expression


def is_outer(expression: Any) -> bool:
    """Return whether a column (`spark.connect.Expression`) belongs to an outer query."""
    return bool(expression.common.origin.python_origin.fragment == _OUTER)


@cache
def fit_as_classic() -> None:
    """Make stages of Spark ML send and receive the same as in a classic session; once a process.

    - An estimator sends its default seed, the only default that differs in the JVM. The client sends only parameters
      that the author set.
    - `clear` restores a parameter's default. The client's leaves the parameter as it is.
    - A matrix has a number in `isTransposed`.
    """
    from pyspark.ml import Estimator
    from pyspark.ml.connect import readwrite, serialize
    from pyspark.ml.linalg import Matrix
    from pyspark.ml.param import Params
    from pyspark.ml.wrapper import JavaParams

    @replaces(serialize, "serialize_ml_params")
    def write(original: Any, instance: Any, client: Any) -> Any:
        params = original(instance, client)
        if isinstance(instance, Estimator) and instance.hasParam("seed") and instance.isDefined("seed"):
            params.params["seed"].CopyFrom(serialize.serialize_param(instance.getOrDefault("seed"), client))
        return params

    @replaces(serialize, "deserialize_param")
    @replaces(readwrite, "deserialize_param")
    def read(original: Any, literal: Any) -> Any:
        value = original(literal)
        if isinstance(value, Matrix):
            value.isTransposed = int(value.isTransposed)  # type: ignore[assignment]  # as the JVM's pickle has it
        return value

    @replaces(JavaParams, "clear")
    def clear(original: Any, self: Any, param: Any) -> None:
        (Params.clear if is_connect() else original)(self, param)


def _send_all_arguments() -> None:
    """Make models' methods that return tables send keyword arguments, which the client of 4.2.0 drops."""
    from pyspark.ml.util import try_remote_attribute_relation

    wrapper = try_remote_attribute_relation(lambda: None).__code__

    def with_all_arguments(method: Any) -> Callable[..., Any]:
        signature = inspect.signature(method)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if is_connect():
                arguments = signature.bind(*args, **kwargs)
                arguments.apply_defaults()
                args, kwargs = arguments.args, arguments.kwargs
            return method(*args, **kwargs)

        return call

    modules = [module for name, module in sys.modules.copy().items() if name.startswith("pyspark.ml.")]
    for kind in {value for module in modules for value in vars(module).values() if isinstance(value, type)}:
        for name, method in list(vars(kind).items()):
            if getattr(method, "__code__", None) is wrapper:
                setattr(kind, name, with_all_arguments(method))


@cache
def session_class() -> type:
    """Return a class of Connect sessions that pass for `pyspark.sql.SparkSession`, without a JVM's attributes."""
    from pyspark.sql.connect.session import SparkSession as ConnectSession
    from pyspark.sql.session import SparkSession

    missing = [
        name for kind in SparkSession.__mro__[:-1] for name in vars(kind)
        if not hasattr(ConnectSession, name) and name not in ("__enter__", "__exit__")
    ]
    members: dict[str, Any] = dict.fromkeys(missing, property())  # reading it raises AttributeError
    members["sparkContext"] = property(lambda self: vars(self)["sparkContext"])
    bases: tuple[Any, ...] = (ConnectSession, SparkSession)
    return type("SparkSession", bases, {**members, "__module__": SparkSession.__module__})


def need_classic(use: str) -> None:
    """Tell this thread's program that it needs a classic session, for `use` as the author wrote it. No-op without a
    program. Raises NeedsClassicError in a node's function."""
    program = program_here()
    if program is not None:
        program.need_classic(use)
    elif client_session() is not None and current() is not None:
        raise NeedsClassicError(use)


def notice_classic_only() -> None:
    """Make pyspark call `need_classic` where its Connect client has no such feature or a different one."""
    from pyspark.core.context import SparkContext
    from pyspark.errors import PySparkAttributeError, PySparkNotImplementedError
    from pyspark.ml.connect.readwrite import RemoteMLWriter
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

    @replaces(PySparkAttributeError, "__init__")
    @replaces(PySparkNotImplementedError, "__init__")
    def refuse(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        """Notice an attribute that the client is about to refuse, such as `rdd`, `_jdf` and `_jvm`."""
        if kwargs.get("errorClass") in ("JVM_ATTRIBUTE_NOT_SUPPORTED", "NOT_IMPLEMENTED"):
            need_classic(f".{next(iter(kwargs['messageParameters'].values()))}")
        original(self, *args, **kwargs)

    @replaces(DataFrame, "toJSON")  # an RDD of texts in a classic session
    @replaces(DataFrame, "writeStream")
    @replaces(SparkSession, "readStream")
    def use(original: Any, self: Any, *arguments: Any) -> Any:
        need_classic(f".{original.__name__}")
        return original(self, *arguments)

    @replaces(SparkContext, "getOrCreate")
    @replaces(SparkContext, "__init__")
    def create_context(original: Any, *args: Any, **kwargs: Any) -> Any:
        need_classic("SparkContext")
        return original(*args, **kwargs)

    def write_in_format(writer: Any, source: str) -> Any:
        """Refuse formats of a model, such as PMML, that a server cannot write."""
        if source.lower() != "internal":
            need_classic(f'.format("{source}") of a model')
            raise NotImplementedError(f"Spark Connect writes no model in the format {source!r}; a classic session does")
        return writer

    RemoteMLWriter.format = write_in_format  # type: ignore[attr-defined]  # of classic sessions' writers
    _notice_stages_of_jvm()

    # A classic session takes ``rows.a == rows.a`` for a column of each side. Spark Connect takes both columns from the
    # side that has the table less deep in its plan, or refuses the join.
    @replaces(DataFrame, "join")
    def join(original: Any, self: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        joined = original(self, other, *args, **kwargs)
        if program_here() is not None and (column := _ambiguous_column(joined, (self, other))):
            need_classic(f"a join of a table with itself by {column}, which may be of either side")
        return joined


_WAS_SET = "_helix_was_set"
"""Attribute of a model whose author has set parameters."""


def _notice_stages_of_jvm() -> None:
    """Notice calls of the JVM's stages: of methods that Connect does not have, since pyspark first hands parameters to
    the JVM; of methods of models, such as `evaluate`, to which Connect does not hand parameters that were set after the
    fit; and of stages that the author's file created in a classic session."""
    from pyspark.ml.base import Estimator, Transformer
    from pyspark.ml.evaluation import Evaluator
    from pyspark.ml.param import Params
    from pyspark.ml.wrapper import JavaModel, JavaParams, JavaWrapper

    @replaces(Params, "_set")
    def set_parameters(original: Any, self: Any, **parameters: Any) -> Any:
        # A fit and a load set them in `_copyValues` and in `load`.
        if isinstance(self, JavaModel) and sys._getframe(2).f_code.co_name.startswith("set"):
            vars(self)[_WAS_SET] = True
        return original(self, **parameters)

    @replaces(JavaWrapper, "_call_java")
    def call_java(original: Any, self: Any, name: str, *args: Any) -> Any:
        if args and is_connect() and _WAS_SET in vars(self):
            need_classic(f".{name} of a model whose parameters were set after its fit")
        return original(self, name, *args)

    @replaces(JavaParams, "_transfer_params_to_java")
    def transfer(original: Any, self: Any) -> None:
        if is_connect():
            need_classic(f"{type(self).__name__}._java_obj")
        original(self)

    @replaces(Estimator, "fit")
    @replaces(Transformer, "transform")
    @replaces(Evaluator, "evaluate")
    def call(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        stage = getattr(self, "_java_obj", None)
        if type(stage).__module__ == "py4j.java_gateway" and script() is None and client_session() is not None:
            raise NeedsClassicError(f"a {type(self).__name__} of a classic session")
        return original(self, *args, **kwargs)


def _ambiguous_column(joined: Any, tables: tuple[Any, Any]) -> str:
    """Return a column of a join's condition that may be of either table; an empty text without one."""
    step = StepWriter(joined._session.client, joined._plan).written(joined._plan._plan_id).join
    parts = list(messages(step.join_condition))
    columns = [part for part in parts if type_of(part) == "Expression.UnresolvedAttribute" and part.HasField("plan_id")]
    if not columns:
        return ""
    top_ids = [step.left.common.plan_id, step.right.common.plan_id]
    relation = relation_of(joined).join
    ids = [
        {part.common.plan_id for part in messages(side) if type_of(part) == "Relation"}
        for side in (relation.left, relation.right)
    ]

    def sides(column: Any) -> list[int]:
        """Return the sides that a column may be of."""
        if column.plan_id in top_ids:
            return [side for side in (0, 1) if column.plan_id == top_ids[side]]
        name = column.unparsed_identifier
        return [side for side in (0, 1) if column.plan_id in ids[side] and (
            "." in name or name.strip("`").lower() in map(str.lower, tables[side].columns)
        )]

    for column in columns:
        if len(sides(column)) > 1:
            return str(column.unparsed_identifier)
    for part in parts if not ids[0].isdisjoint(ids[1]) else ():
        if type_of(part) == "Expression.UnresolvedFunction" and part.function_name in ("==", "<=>"):
            left, right = (argument.unresolved_attribute for argument in part.arguments)
            have_tables = left.HasField("plan_id") and right.HasField("plan_id")
            is_same = left.unparsed_identifier.lower() == right.unparsed_identifier.lower()
            if have_tables and is_same and sides(left) == sides(right):
                return str(left.unparsed_identifier)
    return ""


class SessionContext:
    """The ``sparkContext`` of a Connect session: the attributes of PySpark's that need no JVM."""

    uiWebUrl = None  # noqa: N815 - pyspark calls it so; None, as where Spark's own pages are off

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self.applicationId = f"local-{int(time.time() * 1000)}"
        self.appName = settings.get("spark.app.name", "")
        self.master = settings.get("spark.master", "")
        local = re.fullmatch(r"local(?:\[(\d+|\*)[^\]]*\])?", self.master)
        cores = settings.get("spark.default.parallelism", "")
        if not cores.isdigit():
            cores = "*" if local is None else local[1] or "1"
        self.defaultParallelism = os.cpu_count() or 1 if cores == "*" else int(cores)

    def __getattribute__(self, name: str) -> Any:
        if name in ("applicationId", "appName", "master", "defaultParallelism", "getConf"):
            asks(f"reads Spark's settings (.{name})", sys._getframe(1))
        return object.__getattribute__(self, name)

    @property
    def version(self) -> str:
        from pyspark import __version__

        return __version__

    def getConf(self) -> SparkConf:  # noqa: N802 - as above
        """Return a copy of the session's first settings."""
        from pyspark.conf import SparkConf

        return SparkConf(loadDefaults=False).setAll(list(self._settings.items()))

    def stop(self, *args: object, **named: object) -> None:
        """No-op, like the calls below: `SparkSession.stop` ends the session; they only change what Spark shows."""

    setLogLevel = setJobGroup = setJobDescription = setLocalProperty = stop  # noqa: N815 - as above

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    def __getattr__(self, name: str) -> Any:
        from pyspark.errors import PySparkAttributeError

        if not name.startswith("__"):
            need_classic(f".sparkContext.{name}")
        raise PySparkAttributeError(
            f"spark.sparkContext.{name} needs a classic session, which a program under Helix does not have; run it "
            "with the variable HELIX=off, or do the same with DataFrames"
        )
