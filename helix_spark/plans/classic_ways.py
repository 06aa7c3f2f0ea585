"""What a classic session does otherwise than PySpark's Connect client, so that programs get it from the client, too:
names of aggregates, printed schemas, types of decimals, classes of errors. Stages of Spark ML are in `classic_stages`.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from copy import copy
from decimal import Decimal
from functools import cache
from types import FunctionType
from typing import Any

from helix_spark.plans.classic_stages import call_stages_as_classic
from helix_spark.plans.recorded_call import builds


def behave_as_classic() -> None:
    """Replace in pyspark's Connect client what a classic session does otherwise; once a process."""
    _replace_aggregates()
    _replace_printed_schemas()
    _replace_types_of_literals()
    _mark_outer_columns()
    _replace_self_joins()
    call_stages_as_classic()


_AGGREGATES = {"average": "avg", "mean": "avg", "std": "stddev", "size": "count"}
"""The JVM's `RelationalGroupedDataset` resolves these aliases itself, and columns are named by what they stand for."""


def _replace_aggregates() -> None:
    from pyspark.errors import PySparkTypeError
    from pyspark.errors.exceptions import connect
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.group import GroupedData

    aggregate_numbers: Any = GroupedData._numeric_agg

    def as_classic(aggregate: Any) -> Any:
        def agg(self: Any, *exprs: Any) -> Any:
            if builds() and len(exprs) == 1 and isinstance(exprs[0], dict):
                exprs = (as_jvm_map({
                    column: _AGGREGATES.get(name.lower(), name.lower()) for column, name in exprs[0].items()
                }),)
            return aggregate(self, *exprs)

        return agg

    def numeric_agg(self: Any, function: str, cols: Any) -> Any:
        try:
            return aggregate_numbers(self, function, cols)
        except PySparkTypeError as error:
            if not builds() or error.getCondition() != "NOT_NUMERIC_COLUMNS":
                raise
            refused: Any = connect.EXCEPTION_CLASS_MAPPING["org.apache.spark.sql.AnalysisException"]
            names = literal_eval((error.getMessageParameters() or {})["invalid_columns"])
            raise refused(
                f'"{names[0]}" is not a numeric column. Aggregation function can only be applied on a numeric column.'
            ) from None

    tables: tuple[Any, ...] = (DataFrame, GroupedData)
    for kind in tables:
        kind.agg = as_classic(kind.agg)
    GroupedData._numeric_agg = numeric_agg  # type: ignore[method-assign]  # only while this thread builds plans


def as_jvm_map(named: Mapping[str, str]) -> dict[str, str]:
    """The entries of a dict in the order in which the JVM has them, to which a classic session hands it: first
    Java's `HashMap`, and of more than four entries then Scala's.

    >>> list(as_jvm_map({"z": "max", "b": "min", "age": "avg"}))
    ['b', 'z', 'age']
    """
    size = 16
    while len(named) > size * 3 // 4:
        size *= 2
    found = sorted(named, key=lambda name: (_hash(name) ^ _hash(name) >> 16) & size - 1)
    if len(found) > 4:
        found = list(_in_trie([(_improved(_hash(name)), name) for name in found]))
    return {name: named[name] for name in found}


def _hash(text: str) -> int:
    """Java's hash of a text, as an unsigned number."""
    found, units = 0, text.encode("utf-16-be", "surrogatepass")
    for unit in range(0, len(units), 2):
        found = (31 * found + int.from_bytes(units[unit:unit + 2], "big")) & 0xFFFFFFFF
    return found


def _improved(found: int) -> int:
    """Scala's `Hashing.improve`."""
    found = (found + ~(found << 9)) & 0xFFFFFFFF
    found ^= found >> 14
    found = (found + (found << 4)) & 0xFFFFFFFF
    return found ^ found >> 10


def _in_trie(entries: list[tuple[int, str]], shift: int = 0) -> Iterator[str]:
    """The names in the order of Scala's `HashMap`: at each level those alone in their slot come before the others."""
    slots: dict[int, list[tuple[int, str]]] = {}
    for one in entries:
        slots.setdefault(one[0] >> shift & 31, []).append(one)
    ordered = [slots[at] for at in sorted(slots)]
    yield from (several[0][1] for several in ordered if len(several) == 1)
    for several in ordered:
        if len(several) > 1 and shift < 32:
            yield from _in_trie(several, shift + 5)
        elif len(several) > 1:
            yield from (name for _, name in several)


_PRINTS: ContextVar[bool] = ContextVar("prints a schema", default=False)


def _replace_printed_schemas() -> None:
    """A classic session has the JVM print a schema, where user-defined types have other names than in Python."""
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.types import DataType, UserDefinedType

    name_of: Any = DataType._get_jvm_type_name
    print_schema: Any = DataFrame.printSchema

    def jvm_name(one: Any) -> str:
        if not _PRINTS.get() or not isinstance(one, UserDefinedType):
            return str(name_of(one))
        return (one.scalaUDT() or "PythonUserDefined").rpartition(".")[2].removesuffix("UDT").lower()

    def printed(self: Any, level: int | None = None) -> None:
        token = _PRINTS.set(builds())
        try:
            print_schema(self, level)
        finally:
            _PRINTS.reset(token)

    DataType._get_jvm_type_name = staticmethod(jvm_name)  # type: ignore[method-assign, assignment]  # as above
    DataFrame.printSchema = printed  # type: ignore[method-assign]  # as above


def _replace_types_of_literals() -> None:
    """A decimal has as many digits as it says, as in a classic session; pyspark's Connect client gives it ten. A time
    of day is a literal of SQL: Spark Connect refuses others while Spark has the type switched off."""
    from pyspark.sql.connect.expressions import LiteralExpression
    from pyspark.sql.types import DecimalType, TimeType

    told: Any = LiteralExpression._infer_type

    def infer(value: Any) -> Any:
        found = told(value)
        if not builds() or not isinstance(value, Decimal):
            return found
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or exponent > 0:  # no number, or one that classic sessions refuse
            return found
        return DecimalType(max(len(digits), -exponent), -exponent)

    LiteralExpression._infer_type = staticmethod(infer)  # type: ignore[method-assign]  # as above

    plan_literal: Any = LiteralExpression.to_plan

    def to_plan(self: Any, session: Any) -> Any:
        if not builds() or not isinstance(self._dataType, TimeType) or self._value is None:
            return plan_literal(self, session)
        written = self._create_proto_expression()
        written.expression_string.expression = f"TIME '{self._dataType.fromInternal(self._value)}'"
        return written

    LiteralExpression.to_plan = to_plan  # type: ignore[method-assign]  # as above


_OUTER = "outer"
"""What the client would call the part of the author's code that makes a column of a query around this one."""


def _mark_outer_columns() -> None:
    """Have a plan say which columns belong to a query around it: `Column.outer` of the Connect client leaves no trace,
    and a classic session does not analyse a table that has such columns before it is part of that query."""
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.proto import Origin, PythonOrigin

    def outer(self: Any) -> Any:
        expression = copy(self._expr)
        site = "" if expression.origin is None else expression.origin.python_origin.call_site
        expression.origin = Origin(python_origin=PythonOrigin(fragment=_OUTER, call_site=site))
        return Column(expression)

    Column.outer = outer  # type: ignore[method-assign]  # as above


def is_outer(expression: Any) -> bool:
    """Return whether a column (`spark.connect.Expression`) belongs to a query around the one that names it."""
    return bool(expression.common.origin.python_origin.fragment == _OUTER)


def _replace_self_joins() -> None:
    """A classic session takes ``rows.a == rows.a`` for a column of each side where a table is joined with itself; Spark
    Connect cannot tell the sides apart, and refuses it."""
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.dataframe import DataFrame

    join: Any = DataFrame.join

    def join_sides(self: Any, other: Any, on: Any = None, how: str | None = None) -> Any:
        conditions = on if isinstance(on, list) else [on]
        if not builds() or other is not self or not all(isinstance(one, Column) for one in conditions):
            return join(self, other, on, how)
        right = self.select("*")
        try:
            between = [_between(one._expr, self._plan._plan_id, right._plan._plan_id) for one in conditions]
        except LookupError:
            return join(self, other, on, how)
        return join(self, right, [Column(one) for one in between], how)

    DataFrame.join = join_sides  # type: ignore[method-assign]  # as above


def _between(expression: Any, left: int, right: int) -> Any:
    """A condition in which equal columns of one table are those of two.

    Args:
        left, right: plan ids of the table, and of the one that the second column is to belong to.

    Raises:
        LookupError: it names a column of the table otherwise, of which nobody tells the side.
    """
    from pyspark.sql.connect.expressions import ColumnReference, UnresolvedFunction

    def is_ours(one: Any) -> bool:
        return isinstance(one, ColumnReference) and one._plan_id == left

    if not isinstance(expression, UnresolvedFunction):
        within: list[Any] = []
        expression.foreach(within.append)
        if any(map(is_ours, within)):
            raise LookupError(str(expression))
        return expression
    found, operands = copy(expression), expression._args
    if expression._name in ("==", "<=>") and all(map(is_ours, operands)) and operands[0] == operands[1]:
        second: Any = copy(operands[1])
        second._plan_id = right
        found._args = [operands[0], second]
    else:
        found._args = [_between(one, left, right) for one in operands]
    return found


@cache
def raise_classic_errors() -> None:
    """Have errors of a server be instances of a classic session's classes, too: handlers may name either; once a
    process."""
    from pyspark.errors.exceptions import base, captured, connect

    # Between the two stands what all errors of pyspark do: a classic session's ask the driver's JVM for it.
    between = type("ErrorWithoutJVM", (), {
        name: getattr(base.PySparkException, name) for name, member in vars(captured.CapturedException).items()
        if isinstance(member, FunctionType)
    })

    def both(kind: Any) -> Any:
        classic = vars(captured).get(kind.__name__)
        if classic is None:
            return kind
        return type(kind.__name__, (kind, between, classic), {"__module__": classic.__module__})

    mapping: Any = connect.EXCEPTION_CLASS_MAPPING
    mapping.update({jvm: both(kind) for jvm, kind in mapping.items()})
    # The server refuses some plans before it analyses them, such as duplicates by a column that there is not.
    mapping["org.apache.spark.sql.connect.common.InvalidPlanInput"] = mapping["org.apache.spark.sql.AnalysisException"]
    for name in ("PythonException", "UnknownException"):  # which are raised by their names
        vars(connect)[name] = both(vars(connect)[name])
    init: Any = connect.PythonException.__init__

    def python_error(self: Any, message: str | None = None, **named: Any) -> None:
        init(self, message and _as_classic_tells(message), **named)

    vars(connect)["PythonException"].__init__ = python_error


def _as_classic_tells(message: str) -> str:
    """The text of an error in a Python function, with one heading.

    >>> _as_classic_tells("An exception ... See below.\\n[PYTHON_EXCEPTION] ... the Python worker: Traceback\\nlines")
    'An exception was thrown from the Python worker:\\nTraceback\\nlines'
    """
    _, found, trace = message.partition(" the Python worker: Traceback")
    return f"An exception was thrown from the Python worker:\nTraceback{trace}" if found else message


@cache
def session_class() -> type:
    """Return a class of Connect sessions that are instances of `pyspark.sql.SparkSession`, too, as programs check, and
    that a ``with`` statement ends. What only a session in a JVM has is missing."""
    from pyspark.errors import PySparkAttributeError
    from pyspark.sql.connect.session import SparkSession as ConnectSession
    from pyspark.sql.session import SparkSession

    def missing(name: str) -> property:
        def get(self: object) -> None:
            raise PySparkAttributeError(
                errorClass="JVM_ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name}
            )

        return property(get)

    members: dict[str, Any] = {
        name: missing(name) for kind in SparkSession.__mro__[:-1] for name in vars(kind)
        if not hasattr(ConnectSession, name) and name not in ("__enter__", "__exit__")
    }
    members["sparkContext"] = property(lambda self: vars(self)["sparkContext"])
    bases: tuple[Any, ...] = (ConnectSession, SparkSession)
    return type("SparkSession", bases, {**members, "__module__": SparkSession.__module__})
