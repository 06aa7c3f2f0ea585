"""Sessions by Spark Connect: tables and columns of plans that are there, and what a session tells of itself. All
that is private in pyspark, and that this takes, is here."""

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
from helix_spark.plans.classic_ways import fit_as_classic
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.program_client import be_active_in_all_threads
from helix_spark.plans.replaced_in_pyspark import replace_in_pyspark
from helix_spark.plans.stage_references import GONE, release_models_apart

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column as ConnectColumn
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.session import SparkSession as ConnectSession


@contextlib.contextmanager
def active(session: ConnectSession) -> Iterator[None]:
    """Make a session the active one of this thread."""
    of_thread = type(session)._active_session
    before = getattr(of_thread, "session", None)
    of_thread.session = session
    try:
        yield
    finally:
        of_thread.session = before


def is_by_connect(spark: object) -> bool:
    """Return whether a session is one by Spark Connect; import nothing to find out.

    >>> is_by_connect(None)
    False
    """
    return any(kind.__module__.startswith("pyspark.sql.connect.") for kind in type(spark).__mro__)


def active_session() -> ConnectSession | None:
    """Return the session by Spark Connect that is active in this process, if one is that was not stopped."""
    module = sys.modules.get("pyspark.sql.connect.session")
    if module is None:
        return None
    kind: Any = module.SparkSession
    found: ConnectSession | None = kind._active_session.session if hasattr(kind._active_session, "session") else None
    found = found or kind._get_default_session()
    return None if found is None or found.is_stopped else found


@cache
def prepare() -> None:
    """Prepare pyspark to send the author's functions to such a session as to any other, once a process. Raises
    SetupError if its client cannot be imported."""
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
    release_models_apart()
    # pyspark's own code says so to itself where a model's summary is asked for.
    warnings.filterwarnings("ignore", "Deprecated in 4.0.0, use getCondition", FutureWarning)


def frame_of(spark: Any, relation: Any) -> ConnectFrame:
    from pyspark.sql.connect.dataframe import DataFrame

    return DataFrame(_given_class()(relation), spark)


def kept_by_server(frame: Any) -> ConnectFrame:
    """Return a table as its server analyses it now, whatever its names mean later: as a view, which keeps an analysed
    plan, and goes with the table that reads it. Raises what Spark says of one that it refuses."""
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
        GONE.put((spark.catalog.dropGlobalTempView, name))


def relation_given(spark: Any, name: str, plan_id: int | None) -> ConnectFrame:
    """Return the table that a session's server knows by an id. Its columns name it by `plan_id`; None for a new one."""
    from pyspark.sql.connect.plan import LogicalPlan

    relation = pb.Relation(cached_remote_relation=pb.CachedRemoteRelation(relation_id=name))
    relation.common.plan_id = LogicalPlan._fresh_plan_id() if plan_id is None else plan_id
    return frame_of(spark, relation)


def placeholder_table(session: ConnectSession, position: int) -> ConnectFrame:
    """Return what stands for an input table of a function."""
    from pyspark.sql.connect.plan import LogicalPlan

    relation = pb.Relation(common=pb.RelationCommon(plan_id=LogicalPlan._fresh_plan_id()))
    relation.read.named_table.unparsed_identifier = f"{INPUT}{position}"
    return frame_of(session, relation)


def placeholder_column(position: int) -> ConnectColumn:
    """Return what stands for an input column of a function."""
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.expressions import ColumnReference

    return Column(ColumnReference(f"`{INPUT}{position}`"))


def is_frame(value: object) -> bool:
    """Return whether a value is a table of a session by Spark Connect."""
    return type(value).__module__ == "pyspark.sql.connect.dataframe"


def is_column(value: object) -> bool:
    """Return whether a value is an expression that such a session's client built."""
    return type(value).__module__ == "pyspark.sql.connect.column"


def column_of(expression: Any) -> ConnectColumn:
    """Return the column of an expression (`spark.connect.Expression`)."""
    from pyspark.sql.connect.column import Column

    return Column(_expression_class()(expression))


def expression_of(column: ConnectColumn, client: Any) -> pb.Expression:
    """Return the plan of a column, written now for a client."""
    return column._expr.to_plan(client)


def has_subquery(expression: pb.Expression) -> bool:
    """Return whether an expression has a plan of its own in it."""
    return any(sort_of(one) == "SubqueryExpression" for one in messages(expression))


def references(plan: Any) -> Iterator[Any]:
    """Yield the columns in an expression that are named by a table."""
    for one in messages(plan):
        if sort_of(one) in ("Expression.UnresolvedAttribute", "Expression.UnresolvedStar"):
            yield from [one] if one.HasField("plan_id") else ()


def name_by_itself(plan: Any) -> None:
    """Name the columns in an expression by themselves: an extractor's is added to tables that have more columns."""
    for one in references(plan):
        one.ClearField("plan_id")


def named_alone(column: Any, spark: Any) -> Any:
    """Return a column whose columns are named alone, of any table that has them; unchanged if it has a query inside."""
    written = expression_of(column, spark.client)
    if has_subquery(written):
        return column
    name_by_itself(written)
    return column_of(written)


def optimised(frame: Any) -> str:
    """Return Spark's text of an optimised plan with the bytes of its relations, the topmost first."""
    return str(frame._explain_string(mode="cost"))


@cache
def _given_class() -> Any:
    from pyspark.sql.connect.plan import LogicalPlan

    class GivenRelation(LogicalPlan):
        """A relation that is there already, under its own id."""

        _plan_id = property(lambda self: self._relation.common.plan_id, lambda self, fresh: None)

        def __init__(self, relation: Any) -> None:
            self._relation = relation
            super().__init__(None)

        def plan(self, session: Any) -> Any:
            return deepcopy(self._relation)

    return GivenRelation


@cache
def _expression_class() -> Any:
    from pyspark.sql.connect.expressions import Expression

    class GivenExpression(Expression):
        """An expression that is there already."""

        def __init__(self, written: Any) -> None:
            super().__init__()
            self._written = written

        def to_plan(self, session: Any) -> Any:
            return self._written

        def __repr__(self) -> str:
            return "an expression"

    return GivenExpression
