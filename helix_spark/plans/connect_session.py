"""Sessions of Spark Connect, tables and columns from messages of plans. Uses private parts of pyspark."""

from __future__ import annotations

import contextlib
import sys
import uuid
import warnings
import weakref
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import helix_spark.plans.connect_proto as pb
from helix_spark.errors import SetupError
from helix_spark.plans.classic_compatibility import fit_as_classic
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.program_client import be_active_in_all_threads
from helix_spark.plans.replaced_in_pyspark import replace_in_pyspark
from helix_spark.plans.stage_references import RELEASES, release_models_in_thread

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column as ConnectColumn
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.session import SparkSession as ConnectSession


@contextlib.contextmanager
def active(session: ConnectSession) -> Iterator[None]:
    """Make a session the active one of this thread."""
    thread_local = type(session)._active_session
    before = getattr(thread_local, "session", None)
    thread_local.session = session
    try:
        yield
    finally:
        thread_local.session = before


def is_by_connect(spark: object) -> bool:
    """Return whether a session is of Spark Connect, without an import of it.

    >>> is_by_connect(None)
    False
    """
    return any(kind.__module__.startswith("pyspark.sql.connect.") for kind in type(spark).__mro__)


def active_session() -> ConnectSession | None:
    """Return this process's active session of Spark Connect; None without one, or if it was stopped."""
    module = sys.modules.get("pyspark.sql.connect.session")
    if module is None:
        return None
    kind: Any = module.SparkSession
    session: ConnectSession | None = getattr(kind._active_session, "session", None) or kind._get_default_session()
    return None if session is None or session.is_stopped else session


@cache
def prepare() -> None:
    """Make all changes to pyspark's Connect client, once a process. Raises SetupError if it cannot be imported."""
    try:
        import pyspark.sql.connect.session  # noqa: F401 - the error says which package is missing
    except ImportError as error:
        raise SetupError(
            "PySpark's Connect client, which builds Spark's plans in Python, cannot be imported",
            exists=(str(error).splitlines() or [""])[0], remedy="pip install 'pyspark[connect]' of the version in use",
        ) from error
    replace_in_pyspark()
    fit_as_classic()
    be_active_in_all_threads()
    release_models_in_thread()
    # pyspark's own code causes this warning when a model's summary is read.
    warnings.filterwarnings("ignore", "Deprecated in 4.0.0, use getCondition", FutureWarning)


def frame_of(spark: Any, relation: Any) -> ConnectFrame:
    from pyspark.sql.connect.dataframe import DataFrame

    return DataFrame(_message_plan_class()(relation), spark)


def kept_by_server(frame: Any) -> ConnectFrame:
    """Return a table that keeps the plan that its server analyses now, whatever its names mean later. It reads a view,
    which is dropped with the table. Raises Spark's error if Spark refuses the table."""
    name = f"helix_{uuid.uuid4().hex}"
    frame.createGlobalTempView(name)
    relation = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier=f"global_temp.{name}")))
    relation.common.plan_id = frame._plan._plan_id
    kept = frame_of(frame._session, relation)
    weakref.finalize(kept._plan, _drop, weakref.ref(frame._session), name)
    return kept


def _drop(session: Any, name: str) -> None:
    """Drop a view of a session that may have ended."""
    if (spark := session()) is not None:
        RELEASES.put((spark.catalog.dropGlobalTempView, name))


def cached_frame(spark: Any, relation_id: str, plan_id: int | None) -> ConnectFrame:
    """Return a table that a session's server has cached. Columns refer to it by `plan_id`; None for a new id."""
    from pyspark.sql.connect.plan import LogicalPlan

    relation = pb.Relation(cached_remote_relation=pb.CachedRemoteRelation(relation_id=relation_id))
    relation.common.plan_id = LogicalPlan._fresh_plan_id() if plan_id is None else plan_id
    return frame_of(spark, relation)


def placeholder_table(session: ConnectSession, position: int) -> ConnectFrame:
    """Return the placeholder of an input table of a function."""
    from pyspark.sql.connect.plan import LogicalPlan

    relation = pb.Relation(common=pb.RelationCommon(plan_id=LogicalPlan._fresh_plan_id()))
    relation.read.named_table.unparsed_identifier = f"{INPUT}{position}"
    return frame_of(session, relation)


def placeholder_column(position: int) -> ConnectColumn:
    """Return the placeholder of an input column of a function."""
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.expressions import ColumnReference

    return Column(ColumnReference(f"`{INPUT}{position}`"))


def is_frame(value: object) -> bool:
    """Return whether a value is a table of a Connect session."""
    return type(value).__module__ == "pyspark.sql.connect.dataframe"


def is_column(value: object) -> bool:
    """Return whether a value is a column of a Connect session."""
    return type(value).__module__ == "pyspark.sql.connect.column"


def column_of(expression: Any) -> ConnectColumn:
    """Return the column of an expression (`spark.connect.Expression`)."""
    from pyspark.sql.connect.column import Column

    return Column(_message_expression_class()(expression))


def expression_of(column: ConnectColumn, client: Any) -> pb.Expression:
    """Return the message of a column, written for a client."""
    return column._expr.to_plan(client)


def has_subquery(expression: pb.Expression) -> bool:
    """Return whether an expression contains a query."""
    return any(type_of(part) == "SubqueryExpression" for part in messages(expression))


def references(expression: Any) -> Iterator[Any]:
    """Yield the columns in an expression that refer to a certain table."""
    kinds = ("Expression.UnresolvedAttribute", "Expression.UnresolvedStar")
    yield from (part for part in messages(expression) if type_of(part) in kinds and part.HasField("plan_id"))


def name_by_itself(expression: Any) -> None:
    """Make the columns in an expression refer to no table: an extractor's is added to tables with more columns."""
    for column in references(expression):
        column.ClearField("plan_id")


def named_alone(column: Any, spark: Any) -> Any:
    """Return a column that refers to no table; unchanged if it contains a query."""
    expression = expression_of(column, spark.client)
    if has_subquery(expression):
        return column
    name_by_itself(expression)
    return column_of(expression)


def optimised(frame: Any) -> str:
    """Return Spark's text of an optimised plan with the bytes of its relations, the topmost first."""
    return str(frame._explain_string(mode="cost"))


@cache
def _message_plan_class() -> Any:
    from pyspark.sql.connect.plan import LogicalPlan

    class MessagePlan(LogicalPlan):
        """A relation's message, under its own id."""

        _plan_id = property(lambda self: self._relation.common.plan_id, lambda self, fresh: None)

        def __init__(self, relation: Any) -> None:
            self._relation = relation
            super().__init__(None)

        def plan(self, session: Any) -> Any:
            return deepcopy(self._relation)

    return MessagePlan


@cache
def _message_expression_class() -> Any:
    from pyspark.sql.connect.expressions import Expression

    class MessageExpression(Expression):
        """An expression's message."""

        def __init__(self, message: Any) -> None:
            super().__init__()
            self._message = message

        def to_plan(self, session: Any) -> Any:
            return self._message

        def __repr__(self) -> str:
            return "an expression"

    return MessageExpression
