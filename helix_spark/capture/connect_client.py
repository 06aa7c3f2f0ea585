"""PySpark's Connect client, recording: it builds relations and expressions as ever, and asks no server.

What is private in pyspark is here, in `written_plan` and in `replaced_in_pyspark`;
`tests/unit/test_captured_programs.py` says at once when another version of pyspark builds something else.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from helix_spark.capture.answer_texts import SERVER_SESSION, of_session
from helix_spark.capture.captured_sql import is_query, query_of
from helix_spark.capture.plan_columns import INPUT
from helix_spark.capture.plan_messages import messages, sort_of
from helix_spark.capture.recorded_call import RECORDING, Asks, QuestionError, Recording
from helix_spark.capture.replaced_in_pyspark import replace_in_pyspark
from helix_spark.capture.type_text import UnknownTypeError, parse_type
from helix_spark.capture.written_plan import PlanWriter
from helix_spark.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column as ConnectColumn
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.proto import Expression, Relation
    from pyspark.sql.connect.session import SparkSession as ConnectSession


def make_ready() -> None:
    """Makes the session that records, once in a process. It draws its id, which is not to be taken for a draw of the
    author's."""
    _session()


@contextlib.contextmanager
def recording(into: Recording) -> Iterator[ConnectSession]:
    """In this context, and in this thread alone, all of `pyspark.sql` and `pyspark.ml` builds plans for the Connect
    client that records. Its session is the active one."""
    session = _session()
    into.session = session
    active = type(session)._active_session
    before = getattr(active, "session", None)
    token = RECORDING.set(into)
    active.session = session
    try:
        yield session
    finally:
        active.session = before
        RECORDING.reset(token)


def stand_in_table(position: int) -> ConnectFrame:
    """What stands for an input table."""
    from pyspark.sql.connect.dataframe import DataFrame

    return DataFrame(_leaf_class()(position), _session())


def stand_in_column(position: int) -> ConnectColumn:
    """What stands for an input column."""
    from pyspark.sql.connect.column import Column

    return Column(_input_column_class()(position))


def is_frame(value: object) -> bool:
    """Whether a value is a table that the recording client built."""
    return type(value).__module__ == "pyspark.sql.connect.dataframe" and value._session is _session()  # type: ignore[attr-defined]  # told by the class


def is_column(value: object) -> bool:
    """Whether a value is an expression that the recording client built."""
    return type(value).__module__ == "pyspark.sql.connect.column"


def expression_of(column: ConnectColumn, client: Any = None) -> Expression:
    """The plan of a column, written now.

    Args:
        client: what it is written for; else the client that records.
    """
    return column._expr.to_plan(client or _session().client)


def has_subquery(column: ConnectColumn) -> bool:
    """Whether an expression has a plan of its own in it."""
    from pyspark.sql.connect.expressions import SubqueryExpression

    found: list[object] = []
    column._expr.foreach(lambda part: found.append(part) if isinstance(part, SubqueryExpression) else None)
    return bool(found)


_BY_TABLE = ("Expression.UnresolvedAttribute", "Expression.UnresolvedStar")


def references(plan: Any) -> Iterator[Any]:
    """The columns in an expression that are named by a table."""
    for message in messages(plan):
        one: Any = message
        if sort_of(message) in _BY_TABLE and one.HasField("plan_id"):
            yield one


def name_by_itself(plan: Any) -> None:
    """A column of an extractor is added to tables that have its own table's columns, and more: under their names."""
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
    """What a client is made with that has its service in its own process.

    Args:
        address: that the client is to have, as if it were asked there.
    """
    from pyspark.sql.connect.client import DefaultChannelBuilder

    class NowhereBuilder(DefaultChannelBuilder):
        def toChannel(self) -> Any:  # noqa: N802 - pyspark calls it so
            return _Nowhere()

    return NowhereBuilder(address or "sc://localhost:1")


_MAKING = threading.Lock()


@cache
def _made() -> ConnectSession:
    try:
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:  # pyspark's own says which package is missing
        raise SetupError(
            "PySpark's Connect client, which builds Spark's plans in Python, cannot be imported",
            exists=(str(error).splitlines() or [""])[0], remedy="pip install 'pyspark[connect]' of the version in use",
        ) from error

    replace_in_pyspark()
    session = SparkSession(channel_to_nowhere())
    client = session.client
    client._internal_stub = cast("Any", _Recorder())
    client._use_reattachable_execute = False
    client._plan_compression_threshold = -1
    say_no_goodbye(client)
    return session


def say_no_goodbye(client: Any) -> None:
    """Has a client not turn to its server when this process ends, where there is none."""
    for goodbye in ("_on_exit", "_cleanup_ml_cache"):  # of pyspark 4.2, of 4.1
        if hasattr(client, goodbye):
            atexit.unregister(getattr(client, goodbye))


def _session() -> ConnectSession:
    """The one session that records; plans are bound to none of its state."""
    with _MAKING:
        return _made()


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


class _Recorder:
    """The server that the client believes to speak to."""

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        import pyspark.sql.connect.proto as pb

        answer = pb.ConfigResponse(session_id=request.session_id, server_side_session_id=SERVER_SESSION)
        operation = request.operation
        sort = operation.WhichOneof("op_type")
        known = {**DEFAULT_SETTINGS, **_current().settings}
        match sort:
            case "get" | "get_option":
                keys = list(getattr(operation, sort).keys)
                pairs: dict[str, str | None] = {key: known.get(key) for key in keys}
            case "get_with_default":
                pairs = {pair.key: known.get(pair.key) for pair in operation.get_with_default.pairs}
            case _:
                raise _asked(f"the session's settings ({sort})")
        for key, value in pairs.items():
            if value is None:
                raise _asked(f"the session's setting {key}")
            answer.pairs.add(key=key, value=value)
        return answer

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        import pyspark.sql.connect.proto as pb
        from pyspark.sql.connect.types import pyspark_types_to_proto_types

        sort = request.WhichOneof("analyze")
        answer = pb.AnalyzePlanResponse(session_id=request.session_id, server_side_session_id=SERVER_SESSION)
        match sort:
            case "ddl_parse":
                text = request.ddl_parse.ddl_string
                try:
                    parsed = parse_type(text, _current().settings)
                except UnknownTypeError as error:
                    raise _asked(f"the type that {text!r} means") from error
                answer.ddl_parse.parsed.CopyFrom(pyspark_types_to_proto_types(parsed))
            case "is_streaming":
                answer.is_streaming.is_streaming = False  # inputs are none, and who reads others is not captured
            case "schema":
                return _answered("schema", request)[0]
            case _:
                raise _asked(sort)
        return answer

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        command = request.plan.command
        match command.WhichOneof("command_type"):
            case "sql_command" if is_query(query_of(command.sql_command.input)):
                return iter(())  # what the client makes of it then is the statement's own plan
            case "create_dataframe_view" if command.create_dataframe_view.replace:
                return iter(())
            case None:
                return iter(_answered("rows", request))
            case sort:
                raise _asked(f"to run a {sort}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def ask(*given: object, **named: object) -> Any:
            raise _asked(name)

        return ask


def _current() -> Recording:
    """The recording under way. A plan that outlived its own is asked by somebody else: that is a question, too."""
    return RECORDING.get() or Recording()


def _asked(question: str) -> QuestionError:
    _current().questions.append(question)
    return QuestionError(f"it asks Spark for {question}")


def _answered(asks: Asks, request: Any) -> list[Any]:
    """What somebody answers to a question about a table, as a server's messages."""
    from pyspark.sql.connect.dataframe import DataFrame

    into, words = _current(), {"rows": "rows", "schema": "the columns of a table"}[asks]
    asked, into.asked = into.asked, None
    if into.answer is None or asked is None:
        into.unanswered.append(words)
        raise _asked(words)
    try:
        found = into.answer(asks, DataFrame(asked, _session()))
    except Exception:  # Spark refuses, and the author's code may catch it: what it builds then is not looked into
        into.questions.append(words)
        raise
    if found is None:
        raise _asked(words)
    return [of_session(one, request) for one in found]


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
            if isinstance(session, PlanWriter):
                relation.cached_remote_relation.relation_id = session.tables[self.position]
            else:
                relation.read.named_table.unparsed_identifier = f"{INPUT}{self.position}"
            return relation

    return InputTable


@cache
def _input_column_class() -> type:
    from pyspark.sql.connect.expressions import ColumnReference

    class InputColumn(ColumnReference):
        """The expression of an input column."""

        def __init__(self, position: int) -> None:
            super().__init__(f"`{INPUT}{position}`")
            self.position = position

        def to_plan(self, session: Any) -> Expression:
            written: Expression = super().to_plan(session)
            if isinstance(session, PlanWriter):
                written.unresolved_attribute.unparsed_identifier = session.columns[self.position]
            return written

    return InputColumn

