"""All that Helix replaces in pyspark, once a process: where pyspark asks by which client it works, and what its Connect
client notes while this thread records. `tests/unit/test_captured_programs.py` says at once when another version of
pyspark builds something else."""

from __future__ import annotations

import logging
import sys
from dis import opmap
from functools import cache, wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from helix_spark.capture.captured_sql import BINDING, defining
from helix_spark.capture.classic_only import OF_FRAMES, need_classic, notice_classic_only
from helix_spark.capture.classic_ways import behave_as_classic, raise_classic_errors
from helix_spark.capture.frame_creation import settle_frames
from helix_spark.capture.named_functions import calling, registered
from helix_spark.capture.plan_columns import UnknownColumnsError, columns_of
from helix_spark.capture.recorded_call import PROGRAMS, RECORDING, Program, builds, client_session, program_here
from helix_spark.capture.written_functions import pickle_at_first_call
from helix_spark.capture.written_plan import plan_id, relation_of, write_relations_apart

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.proto import Relation

def take_over(program: Program) -> None:
    """From now on all of `pyspark.sql` and `pyspark.ml` in this process builds plans for a program's session."""
    replace_in_pyspark()
    raise_classic_errors()
    PROGRAMS[:] = [program]


_NAMES = frozenset({"spark.app.name", "spark.master", "spark.remote"})
"""What a session that there is already keeps, whatever its builder is told."""


_OF_ERRORS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""Loggers to which pyspark writes each error of a query, as JSON with the stack traces of JVM and Python."""


def keep_errors_out_of_logs() -> None:
    """Have pyspark not write errors of queries to the terminal, once a process: the exceptions say them. Loggers that
    the author has set up already are left as they are, and handlers that are added later get the records."""
    from pyspark.logger import PySparkLogger

    for name in _OF_ERRORS:
        if name not in logging.Logger.manager.loggerDict:
            logger = PySparkLogger.getLogger(name)
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
            logger.addHandler(logging.NullHandler())


@cache
def replace_in_pyspark() -> None:
    """Has pyspark ask whether this thread records, where it asks by which client it works; once a process."""
    keep_errors_out_of_logs()
    import pyspark.errors.utils as errors
    import pyspark.sql.connect.session  # noqa: F401 - before its parts, which import each other in circles
    import pyspark.sql.session as classic
    import pyspark.sql.utils as utils

    asked = utils.is_remote

    def is_remote() -> bool:
        return builds() or asked()

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("pyspark.") and vars(module).get("is_remote") is asked:
            vars(module)["is_remote"] = is_remote
    vars(sys.modules["pyspark.sql"])["is_remote"] = is_remote

    got: Any = classic.SparkSession.Builder.getOrCreate

    @wraps(got)
    def get_or_create(self: Any) -> Any:
        if (into := RECORDING.get()) is not None:
            if not _NAMES.issuperset(self._options):  # which it would set in the session that there is
                into.questions.append("a session with other settings")
            return into.session
        program, client = program_here(), client_session()
        if program is None and client is not None:
            for name in self._options.keys() - _NAMES:
                client.conf.set(name, self._options[name])
            return client
        return got(self) if program is None else program.session(dict(self._options))

    classic.SparkSession.Builder.getOrCreate = get_or_create  # type: ignore[method-assign]  # else a JVM would start
    debugs: Any = errors.is_debugging_enabled
    captured: Any = errors._capture_call_site
    errors.is_debugging_enabled = lambda: builds() or debugs()
    errors._capture_call_site = lambda depth: call_site() if builds() else captured(depth)
    pickle_at_first_call()
    _replace_functions_of_classic_sessions()
    _replace_columns()
    _replace_attributes()
    behave_as_classic()
    write_relations_apart()
    _take_views_along()
    _take_functions_along()
    _note_places()
    _note_what_is_asked()
    settle_frames()
    notice_classic_only()


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
        into = RECORDING.get()
        if into is not None:
            query = calling(query, into.functions, is_statement=True)
        if into is not None and (into.views or views):
            query, tables = defining(query, into.views, [(one._alias, one._child) for one in views or ()])
            views = [plan.SubqueryAlias(one, alias) for alias, one in tables.items()]
        if (args or named_args) and not views and builds():
            views = [plan.SubqueryAlias(plan.Range(0, 1, 1), BINDING)]
        statement_made(self, query, args, named_args, views)

    def without_code(written: Any) -> Any:
        """A command is written to be looked at: the functions in it are not those of the plan that is signed."""
        def write(self: Any, session: Any) -> Any:
            into = RECORDING.get()
            before = 0 if into is None else len(into.code)
            try:
                return written(self, session)
            finally:
                if into is not None:
                    del into.code[before:]

        return write

    def view(self: Any, session: Any) -> Any:
        into = RECORDING.get()
        if into is not None and into.session is not None and self._replace and not self._is_global:
            into.views[self._name.lower()] = self._child
            into.registered[self._name] = DataFrame(self._child, into.session)
        return view_written(self, session)

    def table(self: Any, tableName: str) -> Any:  # noqa: N803 - pyspark calls it so
        into = RECORDING.get()
        found = None if into is None or not isinstance(tableName, str) else into.views.get(tableName.lower())
        return read(self, tableName) if found is None else self._df(plan.SubqueryAlias(found, tableName))

    plan.SQL.__init__ = made  # type: ignore[method-assign]  # only while this thread records
    plan.SQL.command = without_code(statement_written)  # type: ignore[method-assign]  # replaced on purpose
    plan.CreateView.command = without_code(view)  # type: ignore[method-assign]  # replaced on purpose
    DataFrameReader.table = table  # type: ignore[method-assign]  # replaced on purpose


def _take_functions_along() -> None:
    """A Python function that a function registers by a name, and SQL that calls it by that, while this thread
    records."""
    from pyspark.sql.connect import expressions, udf
    from pyspark.sql.connect.client import SparkConnectClient
    from pyspark.sql.connect.functions import builtin

    told: Any = udf.UDFRegistration.register
    sent: Any = SparkConnectClient.register_udf
    text_made: Any = expressions.SQLExpression.__init__

    def send(
        self: Any, function: Any, return_type: Any, name: Any = None, eval_type: Any = _OF_ROWS,
        deterministic: bool = True,
    ) -> Any:
        into = RECORDING.get()
        if into is not None:
            declared = udf._create_udf(function, return_type, eval_type, name, deterministic)
            if (found := registered(name, declared, into.functions)) is not None:
                into.functions[name.lower()] = found
                return name
        return sent(self, function, return_type, name, eval_type, deterministic)

    def register(self: Any, name: str, *given: Any, **named: Any) -> Any:
        made, into = told(self, name, *given, **named), RECORDING.get()
        return made if into is None else into.functions[name.lower()].call  # a column of it has the name, too

    def by_name(called: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            into, name = RECORDING.get(), given[0] if given else None
            found = into.functions.get(name.lower()) if into is not None and isinstance(name, str) else None
            return called(*given, **named) if found is None else found.call(*given[1:], **named)

        return call

    def made(self: Any, expr: str) -> None:
        into = RECORDING.get()
        text_made(self, expr if into is None else calling(expr, into.functions))

    SparkConnectClient.register_udf = send  # type: ignore[method-assign]  # only while this thread records
    udf.UDFRegistration.register = register  # type: ignore[method-assign]  # replaced on purpose
    expressions.SQLExpression.__init__ = made  # type: ignore[method-assign]  # replaced on purpose
    for name in ("call_udf", "call_function"):
        call = by_name(vars(builtin)[name])
        for module in (builtin, sys.modules["pyspark.sql.connect.functions"]):
            vars(module)[name] = call


_OF_ROWS = 100
"""How pyspark calls a function of Python by default: a row at a time (`PythonEvalType.SQL_BATCHED_UDF`)."""


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
        if self.origin is None and builds():
            place = pb.PythonOrigin(fragment="expression", call_site=call_site())
            self.origin = pb.Origin(python_origin=place)

    def made_relation(self: Any, *given: Any, **named: Any) -> None:
        relation_made(self, *given, **named)
        if builds():
            self._place = call_site()

    def write(self: Any) -> Relation:
        relation: Relation = written(self)
        if place := getattr(self, "_place", ""):
            relation.common.origin.python_origin.fragment = type(self).__name__
            relation.common.origin.python_origin.call_site = place
        return relation

    expressions.Expression.__init__ = made_expression  # type: ignore[method-assign]  # only while this thread records
    plan.LogicalPlan.__init__ = made_relation  # type: ignore[method-assign]  # replaced on purpose
    plan.LogicalPlan._create_proto_relation = write  # type: ignore[method-assign]  # replaced on purpose


def _note_what_is_asked() -> None:
    """Has pyspark note which table it is about to ask about, in place of the request, while this thread records. What
    is run for what it does, and not for an answer, is no question."""
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect import plan
    from pyspark.sql.connect.dataframe import DataFrame

    written: Any = plan.LogicalPlan.to_proto

    def to_proto(self: Any, session: Any, debug: bool = False) -> Any:
        into = RECORDING.get()
        if into is None:
            return written(self, session, debug)
        into.asked = self
        request = pb.Plan()
        request.root.SetInParent()
        return request

    def for_effect(called: Any) -> Any:
        def call(self: Any, function: Any) -> None:
            into = RECORDING.get()
            if into is not None:
                into.questions.append(called.__name__)
            called(self, function)

        return call

    plan.LogicalPlan.to_proto = to_proto  # type: ignore[method-assign]  # only while this thread records
    for name in ("foreach", "foreachPartition"):
        setattr(DataFrame, name, for_effect(vars(DataFrame)[name]))


def _replace_columns() -> None:
    """The columns of a table are told from its plan, while this thread records. What a plan does not tell is asked, and
    so noted as a question."""
    from pyspark.sql.connect.dataframe import DataFrame

    asked: Any = cast("property", DataFrame.columns).fget

    def columns(self: ConnectFrame) -> list[str]:
        into = RECORDING.get()
        if into is None:
            return asked(self)  # type: ignore[no-any-return]  # pyspark's own
        sensitive = into.settings.get("spark.sql.caseSensitive", "false").lower() == "true"
        written = len(into.code)
        try:
            found = columns_of(relation_of(self), into.columns, case_sensitive=sensitive)
        except UnknownColumnsError:
            return asked(self)  # type: ignore[no-any-return]  # pyspark says Any
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
        if name in OF_FRAMES:
            need_classic(f".{name}")
        if builds() and not name.startswith("__") and _is_missing(self, name, sys._getframe(1)):
            raise PySparkAttributeError(errorClass="ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name})
        return got(self, name)

    DataFrame.__getattr__ = get  # type: ignore[method-assign]  # only while this thread records


def _is_missing(frame: ConnectFrame, name: str, caller: FrameType) -> bool:
    program = None if RECORDING.get() is not None else program_here()
    columns = None if program is None else program.columns(frame)
    if columns is not None:
        return name not in columns
    return _looks_up(caller) and name not in frame.columns


_WRITTEN_OUT = frozenset(opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in opmap)


def _looks_up(frame: FrameType) -> bool:
    """Whether the author's code is at a call, as of `hasattr`, and not at an attribute that is written out."""
    code = frame.f_code
    return not code.co_filename.startswith(pyspark_folder()) and code.co_code[frame.f_lasti] not in _WRITTEN_OUT


def _replace_functions_of_classic_sessions() -> None:
    """A Python function that was declared for Spark before there was a client, as ``@F.udf`` or ``@F.udtf`` at the top
    of a module, is called as one of the client's."""
    from pyspark.sql.connect import udf, udtf
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.sql.udtf import UserDefinedTableFunction

    def replace(classic: Any, connect: Any) -> None:
        called = classic.__call__

        def call(self: Any, *given: Any, **named: Any) -> Any:
            if not builds():
                return called(self, *given, **named)
            same = connect(
                self.func, self._returnType, name=self._name, evalType=self.evalType, deterministic=self.deterministic
            )
            return same(*given, **named)

        classic.__call__ = call

    replace(UserDefinedFunction, udf.UserDefinedFunction)
    replace(UserDefinedTableFunction, udtf.UserDefinedTableFunction)


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
