"""What a classic session does otherwise than PySpark's Connect client, so that programs get it from the client, too:
names of aggregates, types of decimals, seeds and arguments of Spark ML's stages. And what only a classic session has:
RDDs, the JVM, contexts, streams. Where a program uses it as it runs, Helix learns of it before pyspark refuses."""

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
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.recorded_call import NeedsClassicError, builds, client_session, program_here, replaces, script
from helix_spark.plans.written_plan import StepWriter, relation_of

if TYPE_CHECKING:
    from pyspark.conf import SparkConf


def behave_as_classic() -> None:
    """Replace in pyspark's Connect client what a classic session does otherwise; once a process."""
    from pyspark.errors.exceptions import connect
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.group import GroupedData

    _replace_types_of_literals()
    _send_all_arguments()
    # The server refuses some plans before it analyses them, such as duplicates by a column that there is not.
    refused: Any = connect.EXCEPTION_CLASS_MAPPING
    refused["org.apache.spark.sql.connect.common.InvalidPlanInput"] = refused["org.apache.spark.sql.AnalysisException"]

    @replaces(DataFrame, "agg")
    @replaces(GroupedData, "agg")
    def agg(aggregate: Any, self: Any, *exprs: Any) -> Any:
        if builds() and len(exprs) == 1 and isinstance(exprs[0], dict):
            exprs = ({column: _AGGREGATES.get(name.lower(), name.lower()) for column, name in exprs[0].items()},)
        return aggregate(self, *exprs)

    # `Column.outer` of the Connect client leaves no trace, and a classic session does not analyse a table with columns
    # of a query around it before it is part of that query.
    @replaces(Column, "outer")
    def outer(_: Any, self: Any) -> Any:
        expression = copy(self._expr)
        site = "" if expression.origin is None else expression.origin.python_origin.call_site
        expression.origin = pb.Origin(python_origin=pb.PythonOrigin(fragment=_OUTER, call_site=site))
        return Column(expression)


_AGGREGATES = {"average": "avg", "mean": "avg", "std": "stddev", "size": "count"}
"""The JVM's `RelationalGroupedDataset` resolves these aliases itself, and columns are named by what they stand for."""

_OUTER = "outer"
"""What the client would call the part of the author's code that makes a column of a query around this one."""


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


def is_outer(expression: Any) -> bool:
    """Return whether a column (`spark.connect.Expression`) belongs to a query around the one that names it."""
    return bool(expression.common.origin.python_origin.fragment == _OUTER)


@cache
def fit_as_classic() -> None:
    """Make stages of Spark ML send and receive what they do in a classic session; once a process.

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
    """Make methods of models that return tables send all their arguments: the client drops those that are given by
    keyword (4.2.0), so that `approxSimilarityJoin(..., distCol="far")` has a column of another name."""
    from pyspark.ml.util import try_remote_attribute_relation

    wrapper = try_remote_attribute_relation(lambda: None).__code__

    def with_all_arguments(method: Any) -> Callable[..., Any]:
        signature = inspect.signature(method)

        @wraps(method)
        def call(*args: Any, **named: Any) -> Any:
            if builds():
                bound = signature.bind(*args, **named)
                bound.apply_defaults()
                args, named = bound.args, bound.kwargs
            return method(*args, **named)

        return call

    modules = [one for name, one in sys.modules.items() if name.startswith("pyspark.ml.")]
    for kind in {one for module in modules for one in vars(module).values() if isinstance(one, type)}:
        for name, method in list(vars(kind).items()):
            if getattr(method, "__code__", None) is wrapper:
                setattr(kind, name, with_all_arguments(method))


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


def need_classic(what: str) -> None:
    """Tell this thread's program that it needs a classic session, for what it uses, as that is written; no-op where
    there is none. Raises NeedsClassicError if a function of a node's uses it."""
    program = program_here()
    if program is not None:
        program.need_classic(what)
    elif client_session() is not None and current() is not None:
        raise NeedsClassicError(what)


def notice_classic_only() -> None:
    """Make pyspark call `need_classic` where its Connect client has nothing or would do something else, and where a
    context would be made."""
    from pyspark.core.context import SparkContext
    from pyspark.errors import PySparkAttributeError, PySparkNotImplementedError
    from pyspark.ml.connect.readwrite import RemoteMLWriter
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

    @replaces(PySparkAttributeError, "__init__")
    @replaces(PySparkNotImplementedError, "__init__")
    def refuse(make: Any, self: Any, *given: Any, **named: Any) -> None:
        """Notice that the client is about to refuse what it has not, such as `rdd`, `_jdf` and `_jvm`."""
        if named.get("errorClass") in ("JVM_ATTRIBUTE_NOT_SUPPORTED", "NOT_IMPLEMENTED"):
            need_classic(f".{next(iter(named['messageParameters'].values()))}")
        make(self, *given, **named)

    @replaces(DataFrame, "writeStream")
    @replaces(SparkSession, "readStream")
    def look_up(get: Any, self: Any) -> Any:
        need_classic(f".{get.__name__}")
        return get(self)

    @replaces(SparkContext, "getOrCreate")
    @replaces(SparkContext, "__init__")
    def make_context(make: Any, *given: Any, **named: Any) -> Any:
        need_classic("SparkContext")
        return make(*given, **named)

    def write_in_format(writer: Any, source: str) -> Any:
        """A server is told no format of a model, such as PMML."""
        if source.lower() != "internal":
            need_classic(f'.format("{source}") of a model')
            raise NotImplementedError(f"Spark Connect writes no model in the format {source!r}; a classic session does")
        return writer

    RemoteMLWriter.format = write_in_format  # type: ignore[attr-defined]  # of classic sessions' writers
    _notice_stages_of_jvm()

    # A classic session takes ``rows.a == rows.a`` for a column of each side, Spark Connect for two of the side that has
    # the table less deep in its plan, or refuses it.
    @replaces(DataFrame, "join")
    def join_tables(join: Any, self: Any, other: Any, *given: Any, **named: Any) -> Any:
        made = join(self, other, *given, **named)
        if program_here() is not None and (column := _of_either_side(made, (self, other))):
            need_classic(f"a join of a table with itself by {column}, which may be of either side")
        return made


def _notice_stages_of_jvm() -> None:
    """Notice calls of the JVM's stages: of a method that Connect has not, to which pyspark hands its parameters first;
    and of a stage that an author's file made in a classic session, of which a client knows nothing."""
    from pyspark.ml.base import Estimator, Transformer
    from pyspark.ml.evaluation import Evaluator
    from pyspark.ml.wrapper import JavaParams

    @replaces(JavaParams, "_transfer_params_to_java")
    def transfer(hand_over: Any, self: Any) -> None:
        if builds():
            need_classic(f"{type(self).__name__}._java_obj")
        hand_over(self)

    @replaces(Estimator, "fit")
    @replaces(Transformer, "transform")
    @replaces(Evaluator, "evaluate")
    def call(called: Any, self: Any, *given: Any, **named: Any) -> Any:
        held = getattr(self, "_java_obj", None)
        if type(held).__module__ == "py4j.java_gateway" and script() is None and client_session() is not None:
            raise NeedsClassicError(f"a {type(self).__name__} of a classic session")
        return called(self, *given, **named)


def _of_either_side(joined: Any, tables: tuple[Any, Any]) -> str:
    """Return a column in the condition of a join of two tables that may be of either, as it is written; else empty."""
    join = StepWriter(joined._session.client, joined._plan).written(joined._plan._plan_id).join
    parts = list(messages(join.join_condition))
    named = [one for one in parts if sort_of(one) == "Expression.UnresolvedAttribute" and one.HasField("plan_id")]
    if not named:
        return ""
    tops = [join.left.common.plan_id, join.right.common.plan_id]
    whole = relation_of(joined).join
    below = [
        {one.common.plan_id for one in messages(side) if sort_of(one) == "Relation"}
        for side in (whole.left, whole.right)
    ]

    def sides(column: Any) -> list[int]:
        """Return the sides that a column may be of."""
        if surely := [at for at in (0, 1) if column.plan_id == tops[at]]:
            return surely
        name = column.unparsed_identifier
        return [at for at in (0, 1) if column.plan_id in below[at] and (
            "." in name or name.strip("`").lower() in {one.lower() for one in tables[at].columns}
        )]

    for column in named:
        if len(sides(column)) > 1:
            return str(column.unparsed_identifier)
    for part in parts if not below[0].isdisjoint(below[1]) else ():
        if sort_of(part) == "Expression.UnresolvedFunction" and part.function_name in ("==", "<=>"):
            one, other = (side.unresolved_attribute for side in part.arguments)
            is_named = one.HasField("plan_id") and other.HasField("plan_id")
            is_same = one.unparsed_identifier.lower() == other.unparsed_identifier.lower()
            if is_named and is_same and sides(one) == sides(other):
                return str(one.unparsed_identifier)
    return ""


class SessionContext:
    """The ``sparkContext`` of a session that has none. Its names are PySpark's; others need a classic session."""

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
        """Return a copy of the settings that the session began with."""
        from pyspark.conf import SparkConf

        conf = SparkConf(loadDefaults=False)
        return conf.setAll(list(self._settings.items()))

    def stop(self, *args: object, **named: object) -> None:
        """Do nothing: the session's own `stop` ends it, and the calls below show Spark to people."""

    setLogLevel = setJobGroup = setJobDescription = setLocalProperty = stop  # noqa: N815 - as above

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    def __getattr__(self, name: str) -> Any:
        from pyspark.errors import PySparkAttributeError

        if not name.startswith("__"):
            need_classic(f".sparkContext.{name}")
        raise PySparkAttributeError(
            f"spark.sparkContext.{name} needs a classic session, which a program under Helix has not; run it with the "
            "variable HELIX=off, or do the same with DataFrames"
        )
