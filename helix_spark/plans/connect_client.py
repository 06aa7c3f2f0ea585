"""PySpark's Connect client where no server answers it: it builds relations and expressions as ever.

What is private in pyspark is here, in `written_plan` and in `replaced_in_pyspark`;
`tests/unit/test_captured_programs.py` says at once when another version of pyspark builds something else.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from helix_spark.errors import SetupError
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column as ConnectColumn
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.proto import Expression, Relation
    from pyspark.sql.connect.session import SparkSession as ConnectSession


def check_client() -> None:
    """Raise SetupError if PySpark's Connect client cannot be imported."""
    try:
        import pyspark.sql.connect.session  # noqa: F401 - the error says which package is missing
    except ImportError as error:
        raise SetupError(
            "PySpark's Connect client, which builds Spark's plans in Python, cannot be imported",
            exists=(str(error).splitlines() or [""])[0], remedy="pip install 'pyspark[connect]' of the version in use",
        ) from error


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


def placeholder_table(session: ConnectSession, position: int) -> ConnectFrame:
    from pyspark.sql.connect.dataframe import DataFrame

    return DataFrame(_leaf_class()(position), session)


def placeholder_column(position: int) -> ConnectColumn:
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.expressions import ColumnReference

    return Column(ColumnReference(f"`{INPUT}{position}`"))


def is_frame(value: object) -> bool:
    """Return whether a value is a table of a session by Spark Connect."""
    return type(value).__module__ == "pyspark.sql.connect.dataframe"


def is_column(value: object) -> bool:
    """Return whether a value is an expression that the recording client built."""
    return type(value).__module__ == "pyspark.sql.connect.column"


def expression_of(column: ConnectColumn, client: Any) -> Expression:
    """Return the plan of a column, written now for a client."""
    return column._expr.to_plan(client)


def has_subquery(expression: Expression) -> bool:
    """Return whether an expression has a plan of its own in it."""
    return any(sort_of(one) == "SubqueryExpression" for one in messages(expression))


_BY_TABLE = ("Expression.UnresolvedAttribute", "Expression.UnresolvedStar")


def references(plan: Any) -> Iterator[Any]:
    """Yield the columns in an expression that are named by a table."""
    for message in messages(plan):
        one: Any = message
        if sort_of(message) in _BY_TABLE and one.HasField("plan_id"):
            yield one


def name_by_itself(plan: Any) -> None:
    """Name the columns in an expression by themselves: an extractor's is added to tables that have more columns."""
    for one in references(plan):
        one.ClearField("plan_id")


class _Nowhere:
    """The channel of a client whose service is in its own process. A real one has threads, which starting a JVM, a fork
    of this process, would disturb."""

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **named: None


def channel_to_nowhere(address: str = "") -> Any:
    """Return the channel of a client that has its service in its own process, as if it were at an address."""
    from pyspark.sql.connect.client import DefaultChannelBuilder

    class NowhereBuilder(DefaultChannelBuilder):
        def toChannel(self) -> Any:  # noqa: N802 - pyspark calls it so
            return _Nowhere()

    return NowhereBuilder(address or "sc://localhost:1")


def say_no_goodbye(client: Any) -> None:
    """Stop a client from turning to its server when this process ends, where there is none."""
    for goodbye in ("_on_exit", "_cleanup_ml_cache"):  # of pyspark 4.2, of 4.1
        if hasattr(client, goodbye):
            atexit.unregister(getattr(client, goodbye))


DEFAULT_SETTINGS = {
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.pandas.convertToArrowArraySafely": "true",
    "spark.sql.execution.pandas.inferPandasDictAsMap": "false",
    "spark.sql.execution.pandas.structHandlingMode": "legacy",
    "spark.sql.execution.arrow.pyspark.selfDestruct.enabled": "false",
    "spark.sql.execution.pyspark.binaryAsBytes": "true",
    "spark.sql.execution.pythonUDF.arrow.enabled": "true",
    "spark.sql.execution.pythonUDTF.arrow.enabled": "true",
    "spark.sql.pyspark.inferNestedDictAsStruct.enabled": "false",
    "spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled": "false",
    "spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled": "false",
    "spark.sql.session.localRelationCacheThreshold": str(2**62),
    "spark.sql.session.localRelationSizeLimit": str(2**62),
    "spark.sql.session.localRelationChunkSizeRows": str(2**31 - 1),
    "spark.sql.session.localRelationChunkSizeBytes": str(2**62),
    "spark.sql.session.localRelationBatchOfChunksSizeBytes": str(2**62),
    "spark.python.sql.dataFrameDebugging.enabled": "true",
    "spark.connect.session.planCompression.threshold": "-1",
    "spark.connect.session.planCompression.defaultAlgorithm": "NONE",
}
"""What the client itself asks for to turn rows of Python's into a plan, as Spark has it by default. Rows stay in the
plan, however many: there is no server to keep them. What is not here, and in no known setting, is a question."""


@cache
def _leaf_class() -> type:
    from pyspark.sql.connect.plan import LogicalPlan

    class InputTable(LogicalPlan):
        """The relation of an input."""

        def __init__(self, position: int) -> None:
            super().__init__(None)
            self.position = position

        def plan(self, session: Any) -> Relation:
            relation = self._create_proto_relation()
            relation.read.named_table.unparsed_identifier = f"{INPUT}{self.position}"
            return relation

    return InputTable
