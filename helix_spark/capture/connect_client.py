"""PySpark's Connect client, recording: it builds relations and expressions as ever, and asks no server.

All that is private in pyspark, and all that Helix replaces in it, is here. `tests/unit/test_captured_programs.py` says
at once when another version of pyspark builds something else.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from dis import opmap
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, cast

from helix_spark.capture.captured_sql import BINDING, defining, is_query, query_of
from helix_spark.capture.plan_columns import INPUT, Columns, UnknownColumnsError, columns_of
from helix_spark.capture.type_text import UnknownTypeError, parse_type
from helix_spark.capture.whole_plan import in_stages, whole_plan
from helix_spark.errors import SetupError
from helix_spark.hermetic.task import Purpose, guarded, written_for

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column as ConnectColumn
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.proto import Expression, Relation
    from pyspark.sql.connect.session import SparkSession as ConnectSession

UDF = "helix python code "
"""Stands in a plan that is signed for the pickle of a function: its place among all of them follows."""

_RECORDING: ContextVar[Recording | None] = ContextVar("recording", default=None)
_CLASSIC: ContextVar[bool] = ContextVar("classic", default=False)
_PROGRAMS: list[Program] = []
"""The program that this process is for, if it is for one."""


class Program(Protocol):
    """A program of an author's, all of whose sessions are Helix's."""

    def session(self, options: dict[str, str]) -> Any:
        """The session, by Spark Connect, that it gets from ``SparkSession.builder...getOrCreate()``."""

    def note_code(self, pickle: bytes, function: Any) -> None:
        """A Python function is written into a plan."""

    def purpose_of(self, function: Any) -> Purpose:
        """What a Python function is sent to workers for."""


def take_over(program: Program) -> None:
    """From now on all of `pyspark.sql` and `pyspark.ml` in this process builds plans for a program's session."""
    replace_in_pyspark()
    _PROGRAMS[:] = [program]


@contextlib.contextmanager
def classic() -> Iterator[None]:
    """In this context, and in this thread alone, pyspark works in the driver's JVM, also where a program took over."""
    token = _CLASSIC.set(True)
    try:
        yield
    finally:
        _CLASSIC.reset(token)


def _program() -> Program | None:
    return _PROGRAMS[0] if _PROGRAMS and not _CLASSIC.get() else None


def _builds() -> bool:
    """Whether pyspark is to build plans for Connect in this thread."""
    return _RECORDING.get() is not None or _program() is not None


class QuestionError(Exception):
    """What is called asks Spark something: how many rows there are, which columns a table has."""


@dataclass(slots=True)
class Recording:
    """One call of the author's, on stand-ins.

    Attributes:
        settings: Spark's, as far as they are known.
        columns: by position, the columns of input tables, as far as they are known.
        views: the plans of the views that it made, by their names in lower case.
        registered: the tables that it would have left in the session as views, by their names.
        told: tables that were asked for their columns, and what they were told.
        questions: what it asked of Spark, in words. If there are any, what it returned may rest on an answer that
            nobody gave, whether it caught the error or not.
        code: functions in the plan, in the order in which they are written.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[int, Columns | None] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, ConnectFrame] = field(default_factory=dict)
    told: list[tuple[ConnectFrame, Columns]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    code: list[Any] = field(default_factory=list)


@contextlib.contextmanager
def recording(into: Recording) -> Iterator[ConnectSession]:
    """In this context, and in this thread alone, all of `pyspark.sql` and `pyspark.ml` builds plans for the Connect
    client that records. Its session is the active one."""
    session = _session()
    active = type(session)._active_session
    before = getattr(active, "session", None)
    token = _RECORDING.set(into)
    active.session = session
    try:
        yield session
    finally:
        active.session = before
        _RECORDING.reset(token)


Plan = tuple[tuple[str, bytes], ...]
"""A plan as it is run: named parts, of which each may name those before it; the last is the plan itself. Of a table a
part is a `spark.connect.Relation`, of a column a `spark.connect.Expression`."""


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


def plan_id(frame: Any) -> int:
    """The id of a table's plan, by which columns refer to it."""
    found: int = frame._plan._plan_id
    return found


def relation_of(frame: ConnectFrame) -> Relation:
    """The plan of a table, written now."""
    relation: Relation = whole_plan(plan_id(frame), _Apart(_session().client, frame._plan).written)
    return relation


def parts_of_plan(frame: ConnectFrame, writer: PlanWriter) -> Plan:
    """The plan of a table as it is run."""
    parts = in_stages(plan_id(frame), _Apart(writer, frame._plan).written)
    return tuple((name, part.SerializeToString()) for name, part in parts)


class _Apart:
    """Writes each relation of a plan once, with holes for what it reads.

    Args:
        client: what they are written for.
        top: the plan.
    """

    def __init__(self, client: Any, top: Any) -> None:
        self.writing: Any = None
        self._client = client
        self._plans: dict[int, Any] = {top._plan_id: top}
        self._relations: dict[int, Any] = {}

    def written(self, plan_id: int) -> Any:
        """The relation of the plan, or of one that a hole was left for, with holes."""
        if plan_id not in self._relations:
            self.writing = self._plans[plan_id]
            token = _APART.set(self)
            try:
                self._relations[plan_id] = self.writing.plan(self._client)
            finally:
                _APART.reset(token)
        return self._relations[plan_id]

    def hole(self, plan: Any) -> Any:
        """What stands for a plan in the relation that reads it."""
        import pyspark.sql.connect.proto as pb

        self._plans[plan._plan_id] = plan
        return pb.Relation(common=pb.RelationCommon(plan_id=plan._plan_id))


_APART: ContextVar[_Apart | None] = ContextVar("apart", default=None)


def _write_relations_apart() -> None:
    """Has plans ask, when they are to be written, whether they are written apart; those that are yet to be declared,
    as Spark ML's, too."""
    from pyspark.sql.connect.plan import LogicalPlan

    def wrap(kind: Any) -> None:
        told = vars(kind).get("plan")
        if told is None:
            return

        def plan(self: Any, session: Any) -> Any:
            apart = _APART.get()
            return told(self, session) if apart is None or apart.writing is self else apart.hole(self)

        kind.plan = plan

    waiting: list[Any] = [LogicalPlan]
    while waiting:
        kind = waiting.pop()
        wrap(kind)
        waiting.extend(kind.__subclasses__())
    LogicalPlan.__init_subclass__ = classmethod(lambda kind: wrap(kind))  # type: ignore[assignment]  # there is none


def expression_of(column: ConnectColumn, client: Any = None) -> Expression:
    """The same for an expression."""
    return column._expr.to_plan(client or _session().client)


def has_subquery(column: ConnectColumn) -> bool:
    """Whether an expression has a plan of its own in it."""
    from pyspark.sql.connect.expressions import SubqueryExpression

    found: list[object] = []
    column._expr.foreach(lambda part: found.append(part) if isinstance(part, SubqueryExpression) else None)
    return bool(found)


@dataclass(frozen=True, slots=True)
class PlanWriter:
    """Takes the client's place where a plan is written to be run.

    Attributes:
        tables: by position of an input, the id by which the server knows its table.
        columns: by position of an input, what its column is called, as Spark reads it.
        settings: Spark's, as far as they are known; as the call had them.
    """

    tables: Mapping[int, str]
    columns: Mapping[int, str]
    settings: Mapping[str, str]

    def _analyze(self, method: str, **given: Any) -> Any:
        """What plans ask while they are written: what a text means as a type."""
        if method != "ddl_parse":
            raise NotImplementedError(f"a plan that is written asks for {method}")
        return _Parsed(parse_type(given["ddl_string"], self.settings))


@dataclass(frozen=True, slots=True)
class _Parsed:
    parsed: Any


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

        answer = pb.ConfigResponse(session_id=request.session_id, server_side_session_id="recorder")
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
        answer = pb.AnalyzePlanResponse(session_id=request.session_id, server_side_session_id="recorder")
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
            case _:
                raise _asked({"schema": "the columns of a table"}.get(sort, sort))
        return answer

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        command = request.plan.command
        match command.WhichOneof("command_type"):
            case "sql_command" if is_query(query_of(command.sql_command.input)):
                return iter(())  # what the client makes of it then is the statement's own plan
            case "create_dataframe_view" if command.create_dataframe_view.replace:
                return iter(())
            case None:
                raise _asked("rows")
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
    return _RECORDING.get() or Recording()


def _asked(question: str) -> QuestionError:
    _current().questions.append(question)
    return QuestionError(f"it asks Spark for {question}")


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


@cache
def replace_in_pyspark() -> None:
    """Has pyspark ask whether this thread records, where it asks by which client it works; once a process."""
    import pyspark.errors.utils as errors
    import pyspark.sql.connect.session  # noqa: F401 - before its parts, which import each other in circles
    import pyspark.sql.session as classic
    import pyspark.sql.utils as utils
    from pyspark.sql.connect import expressions, plan

    asked = utils.is_remote

    def is_remote() -> bool:
        return _builds() or asked()

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("pyspark.") and vars(module).get("is_remote") is asked:
            vars(module)["is_remote"] = is_remote
    vars(sys.modules["pyspark.sql"])["is_remote"] = is_remote

    got: Any = classic.SparkSession.Builder.getOrCreate

    def get_or_create(self: Any) -> Any:
        if _RECORDING.get() is not None:
            return _session()
        program = _program()
        return got(self) if program is None else program.session(dict(self._options))

    classic.SparkSession.Builder.getOrCreate = get_or_create  # type: ignore[method-assign]  # else a JVM would start
    debugs: Any = errors.is_debugging_enabled
    captured: Any = errors._capture_call_site
    errors.is_debugging_enabled = lambda: _builds() or debugs()
    errors._capture_call_site = lambda depth: call_site() if _builds() else captured(depth)
    for module in (expressions, plan):
        module.CloudPickleSerializer = _CodeNoted  # type: ignore[attr-defined]  # what it writes is no pickle here
    _replace_functions_of_classic_sessions()
    _replace_columns()
    _replace_attributes()
    _replace_types_of_literals()
    _write_relations_apart()
    _take_views_along()
    _note_places()


def _take_views_along() -> None:
    """A view that a function makes, and what reads it by its name, stay in its plan, while this thread records."""
    from pyspark.sql.connect import plan
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.readwriter import DataFrameReader

    statement_made: Any = plan.SQL.__init__
    view_written: Any = plan.CreateView.command
    statement_written: Any = plan.SQL.command
    read: Any = DataFrameReader.table

    def made(self: Any, query: str, args: Any = None, named_args: Any = None, views: Any = None) -> None:
        into = _RECORDING.get()
        if into is not None and (into.views or views):
            query, tables = defining(query, into.views, [(one._alias, one._child) for one in views or ()])
            views = [plan.SubqueryAlias(one, alias) for alias, one in tables.items()]
        if (args or named_args) and not views and _builds():
            views = [plan.SubqueryAlias(plan.Range(0, 1, 1), BINDING)]
        statement_made(self, query, args, named_args, views)

    def without_code(written: Any) -> Any:
        """A command is written to be looked at: the functions in it are not those of the plan that is signed."""
        def write(self: Any, session: Any) -> Any:
            into = _RECORDING.get()
            before = 0 if into is None else len(into.code)
            try:
                return written(self, session)
            finally:
                if into is not None:
                    del into.code[before:]

        return write

    def view(self: Any, session: Any) -> Any:
        into = _RECORDING.get()
        if into is not None and self._replace and not self._is_global:
            into.views[self._name.lower()] = self._child
            into.registered[self._name] = DataFrame(self._child, _session())
        return view_written(self, session)

    def table(self: Any, tableName: str) -> Any:  # noqa: N803 - pyspark calls it so
        into = _RECORDING.get()
        found = None if into is None or not isinstance(tableName, str) else into.views.get(tableName.lower())
        return read(self, tableName) if found is None else self._df(plan.SubqueryAlias(found, tableName))

    plan.SQL.__init__ = made  # type: ignore[method-assign]  # only while this thread records
    plan.SQL.command = without_code(statement_written)  # type: ignore[method-assign]
    plan.CreateView.command = without_code(view)  # type: ignore[method-assign]
    DataFrameReader.table = table  # type: ignore[method-assign]


def _note_places() -> None:
    """Has relations and expressions note the author's file and line that built them. Of relations pyspark notes none,
    and of expressions those alone that operators and methods of columns make."""
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect import expressions, plan

    expression_made: Any = expressions.Expression.__init__
    relation_made: Any = plan.LogicalPlan.__init__
    written: Any = plan.LogicalPlan._create_proto_relation

    def made_expression(self: Any) -> None:
        expression_made(self)
        if self.origin is None and _builds():
            place = pb.PythonOrigin(fragment="expression", call_site=call_site())
            self.origin = pb.Origin(python_origin=place)

    def made_relation(self: Any, *given: Any, **named: Any) -> None:
        relation_made(self, *given, **named)
        if _builds():
            self._place = call_site()

    def write(self: Any) -> Relation:
        relation: Relation = written(self)
        if place := getattr(self, "_place", ""):
            relation.common.origin.python_origin.fragment = type(self).__name__
            relation.common.origin.python_origin.call_site = place
        return relation

    expressions.Expression.__init__ = made_expression  # type: ignore[method-assign]  # only while this thread records
    plan.LogicalPlan.__init__ = made_relation  # type: ignore[method-assign]
    plan.LogicalPlan._create_proto_relation = write  # type: ignore[method-assign]


def _replace_columns() -> None:
    """The columns of a table are told from its plan, while this thread records. What a plan does not tell is asked, and
    so noted as a question."""
    from pyspark.sql.connect.dataframe import DataFrame

    asked: Any = cast("property", DataFrame.columns).fget

    def columns(self: ConnectFrame) -> list[str]:
        into = _RECORDING.get()
        if into is None:
            return asked(self)  # type: ignore[no-any-return]  # pyspark's own
        sensitive = into.settings.get("spark.sql.caseSensitive", "false").lower() == "true"
        written = len(into.code)
        try:
            found = columns_of(relation_of(self), into.columns, case_sensitive=sensitive)
        except UnknownColumnsError:
            return asked(self)  # type: ignore[no-any-return]
        finally:
            del into.code[written:]  # of this plan, which is not the one that is signed
        if all(plan_id(frame) != plan_id(self) for frame, _ in into.told):
            into.told.append((self, found))
        return list(found)

    DataFrame.columns = property(columns)  # type: ignore[assignment, method-assign]  # only while this thread records


def _replace_attributes() -> None:
    """A table of Connect has an attribute of any name, for its column is looked for when the plan runs; so
    ``hasattr(rows, "income")`` would be true. Who looks a name up asks for the columns."""
    from pyspark.errors import PySparkAttributeError
    from pyspark.sql.connect.dataframe import DataFrame

    got: Any = DataFrame.__getattr__

    def get(self: ConnectFrame, name: str) -> Any:
        recorded = _builds() and not name.startswith("__")
        if recorded and _looks_up(sys._getframe(1)) and name not in self.columns:
            raise PySparkAttributeError(errorClass="ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name})
        return got(self, name)

    DataFrame.__getattr__ = get  # type: ignore[method-assign]  # only while this thread records


_WRITTEN_OUT = frozenset(opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in opmap)


def _looks_up(frame: FrameType) -> bool:
    """Whether the author's code is at a call, as of `hasattr`, and not at an attribute that is written out."""
    code = frame.f_code
    return not code.co_filename.startswith(pyspark_folder()) and code.co_code[frame.f_lasti] not in _WRITTEN_OUT


def _replace_types_of_literals() -> None:
    """A decimal has as many digits as it says, as in a classic session; pyspark's Connect client gives it ten."""
    from pyspark.sql.connect.expressions import LiteralExpression
    from pyspark.sql.types import DecimalType

    told: Any = LiteralExpression._infer_type

    def infer(value: Any) -> Any:
        found = told(value)
        if not _builds() or not isinstance(value, Decimal):
            return found
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or exponent > 0:  # no number, or one that classic sessions refuse
            return found
        return DecimalType(max(len(digits), -exponent), -exponent)

    LiteralExpression._infer_type = staticmethod(infer)  # type: ignore[method-assign]  # as above


def _replace_functions_of_classic_sessions() -> None:
    """A Python function that was declared for Spark before anybody recorded, as ``@F.udf`` or ``@F.udtf`` at the top of
    a module, is called as one of the client that records."""
    from pyspark.sql.connect import udf, udtf
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.sql.udtf import UserDefinedTableFunction

    def replace(classic: Any, connect: Any) -> None:
        called = classic.__call__

        def call(self: Any, *given: Any, **named: Any) -> Any:
            if _RECORDING.get() is None:
                return called(self, *given, **named)
            same = connect(
                self.func, self._returnType, name=self._name, evalType=self.evalType, deterministic=self.deterministic
            )
            return same(*given, **named)

        classic.__call__ = call

    replace(UserDefinedFunction, udf.UserDefinedFunction)
    replace(UserDefinedTableFunction, udtf.UserDefinedTableFunction)


class _CodeNoted:
    """Writes a function into a plan: its place among all of them where the plan is signed, else its pickle."""

    def dumps(self, value: Any) -> bytes:
        into, function = _RECORDING.get(), value[0] if isinstance(value, tuple) else value
        if into is None:
            program = _program()
            if program is None:
                return _pickled(value)
            with written_for(program.purpose_of(function)):
                pickled = _pickled(value)
            program.note_code(pickled, function)
            return pickled
        into.code.append(function)
        return f"{UDF}{len(into.code) - 1}".encode()


def _pickled(value: Any) -> bytes:
    from pyspark.serializers import CloudPickleSerializer

    # A function, and what it returns; or the class of a table function.
    value = (guarded(value[0]), *value[1:]) if isinstance(value, tuple) else guarded(value)
    written: bytes = CloudPickleSerializer().dumps(value)  # type: ignore[no-untyped-call]  # pyspark's own gap
    return written


_HERE = str(Path(__file__).parent)


@cache
def pyspark_folder() -> str:
    import pyspark

    return str(Path(pyspark.__file__).parent)


def call_site() -> str:
    """The author's file and line, of the innermost frame that is neither pyspark's nor this room's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((pyspark_folder(), _HERE)):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
