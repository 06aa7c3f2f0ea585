"""All that Helix replaces in pyspark, once a process: where pyspark asks by which client it works, what its Connect
client notes of what an author's code builds, and how Python functions are written into plans.
`tests/unit/test_captured_programs.py` says at once when another version of pyspark builds something else."""

from __future__ import annotations

import atexit
import hashlib
import logging
import pickle
import sys
import tempfile
from dis import opmap
from functools import cache
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import helix_spark.plans.connect_proto as pb
from helix_spark.forks import Birthplace, remove_own
from helix_spark.hermetic.task import guarded, purpose
from helix_spark.plans.classic_ways import behave_as_classic, notice_classic_only
from helix_spark.plans.frame_creation import settle_frames
from helix_spark.plans.recorded_call import (
    PROGRAMS,
    NeedsClassicError,
    Program,
    builds,
    client_session,
    program_here,
    replaces,
    script,
)
from helix_spark.plans.sql_texts import BINDING
from helix_spark.plans.written_plan import write_relations_apart

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame


def take_over(program: Program) -> None:
    """Make all of `pyspark.sql` and `pyspark.ml` in this process build plans for a program's session from now on."""
    replace_in_pyspark()
    PROGRAMS[:] = [program]


KEPT_SETTINGS = frozenset({"spark.app.name", "spark.master", "spark.remote"})
"""What a session that there is already keeps, whatever its builder is told."""


def keep_errors_out_of_logs() -> None:
    """Stop pyspark from writing errors of queries to the terminal, as JSON with the stack traces of JVM and Python:
    exceptions have them. Loggers that the author has set up stay as they are, and handlers that are added later get the
    records."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        if name not in logging.Logger.manager.loggerDict:
            logger = PySparkLogger.getLogger(name)
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
            logger.addHandler(logging.NullHandler())


@cache
def replace_in_pyspark() -> None:
    """Replace what pyspark looks up to choose its client, and the methods that Helix notes; once a process."""
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

    @replaces(classic.SparkSession.Builder, "getOrCreate")  # else a JVM would start
    def get_or_create(got: Any, self: Any) -> Any:
        program, client = program_here(), client_session()
        if program is None and client is not None:
            for name in self._options.keys() - KEPT_SETTINGS:
                client.conf.set(name, self._options[name])
            return client
        return got(self) if program is None else program.session(dict(self._options))

    debugs: Any = errors.is_debugging_enabled
    captured: Any = errors._capture_call_site
    errors.is_debugging_enabled = lambda: builds() or debugs()
    errors._capture_call_site = lambda depth: call_site() if builds() else captured(depth)
    _pickle_at_first_call()
    _replace_functions_of_classic_sessions()
    _replace_columns()
    behave_as_classic()
    write_relations_apart()
    _replace_plans()
    notice_classic_only()
    settle_frames()


def _replace_plans() -> None:
    """Give statements that have arguments a table, where they have none: see `BINDING`. And make relations and
    expressions note the author's file and line that built them. Of relations pyspark notes none, and of expressions
    those alone that operators and methods of columns make."""
    from pyspark.sql.connect import expressions, plan

    @replaces(plan.SQL, "__init__")
    def make(made: Any, self: Any, query: str, args: Any = None, named_args: Any = None, views: Any = None) -> None:
        if (args or named_args) and not views and builds():
            views = [plan.SubqueryAlias(plan.Range(0, 1, 1), BINDING)]
        made(self, query, args, named_args, views)

    @replaces(expressions.Expression, "__init__")
    def make_expression(made: Any, self: Any) -> None:
        made(self)
        if self.origin is None and builds():
            place = pb.PythonOrigin(fragment="expression", call_site=call_site())
            self.origin = pb.Origin(python_origin=place)

    @replaces(plan.LogicalPlan, "__init__")
    def make_relation(made: Any, self: Any, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        if builds():
            self._place = call_site()

    @replaces(plan.LogicalPlan, "_create_proto_relation")
    def write(written: Any, self: Any) -> pb.Relation:
        relation: pb.Relation = written(self)
        if place := getattr(self, "_place", ""):
            relation.common.origin.python_origin.fragment = type(self).__name__
            relation.common.origin.python_origin.call_site = place
        return relation


def _replace_columns() -> None:
    """Tell the columns of a table where they are known; else Spark is asked. So is it where a name is looked up, as by
    ``hasattr(rows, "income")``: a table of Connect has an attribute of any name, for a column that is looked for when
    the plan runs."""
    from pyspark.errors import PySparkAttributeError
    from pyspark.sql.connect.dataframe import DataFrame

    written_out = {opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in opmap}

    @replaces(DataFrame, "columns")
    def columns(asked: Any, self: ConnectFrame) -> list[str]:
        program = program_here()
        known = None if program is None else program.columns(self)
        return asked(self) if known is None else list(known)

    @replaces(DataFrame, "__getattr__")
    def get(got: Any, self: ConnectFrame, name: str) -> Any:
        found, program, caller = got(self, name), script(), sys._getframe(2)
        if not builds() or name.startswith("__"):
            return found
        names = None if program is None else program.columns(self)
        if names is None:
            # At a call of the author's, as of `hasattr`, and not at an attribute that is written out.
            code = caller.f_code
            is_written_out = code.co_code[caller.f_lasti] in written_out
            if is_written_out or code.co_filename.startswith(_pyspark_folder()):
                return found
            names = self.columns
        if name not in names:
            raise PySparkAttributeError(errorClass="ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name})
        return found


def _replace_functions_of_classic_sessions() -> None:
    """A Python function that was declared for Spark before there was a client, as ``@F.udf`` or ``@F.udtf`` at the top
    of a module, is called as one of the client's."""
    from pyspark.sql.connect import udf, udtf
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.sql.udtf import UserDefinedTableFunction

    def replace(classic: Any, connect: Any) -> None:
        @replaces(classic, "__call__")
        def call(called: Any, self: Any, /, *given: Any, **named: Any) -> Any:
            if not builds():
                return called(self, *given, **named)
            same = connect(
                self.func, self._returnType, name=self._name, evalType=self.evalType, deterministic=self.deterministic
            )
            return same(*given, **named)

    replace(UserDefinedFunction, udf.UserDefinedFunction)
    replace(UserDefinedTableFunction, udtf.UserDefinedTableFunction)


def pickled(value: Any) -> bytes:
    """Return the pickle of a function and of what it returns, or of the class of a table function. Raises
    NeedsClassicError if it uses a broadcast variable, of which a server's workers know nothing."""
    from pyspark.serializers import CloudPickleSerializer

    value = (guarded(value[0]), *value[1:]) if isinstance(value, tuple) else guarded(value)
    written: bytes = CloudPickleSerializer().dumps(value)  # type: ignore[no-untyped-call]  # pyspark's own gap
    context: Any = sys.modules["pyspark.core.context"].SparkContext._active_spark_context
    broadcasts = None if context is None else context._pickled_broadcast_vars
    if broadcasts is not None and len(list(broadcasts)) > 0:
        broadcasts.clear()
        raise NeedsClassicError("a broadcast variable")
    if len(written) <= _LARGE or not purpose().home:
        return written
    path = _folder_of_pickles() / hashlib.sha256(written).hexdigest()
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            pickle.dump(written, file)
        Path(file.name).rename(path)
    return pickle.dumps(_Filed(str(path)))


_LARGE = 64 << 10
"""Bytes of a pickle that workers on this machine read from a file. With a function of 3 MB in its plan a table has 3 MB
in each task that reads its rows, even from memory: a step of a fit took 57 ms instead of 47."""


class _Filed:
    """A pickle in a file, as it is pickled itself: by what Spark's workers know as a broadcast variable, which is how a
    classic session sends large functions."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        from pyspark.core.broadcast import Broadcast

        return Broadcast, (None, None, None, self._path)


@cache
def _folder_of_pickles() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="helix-functions-"))
    atexit.register(remove_own, folder, Birthplace())
    return folder


def _pickle_at_first_call() -> None:
    """Pickle a script's functions once, at their first call, or at registration, as a classic session does: what the
    author's globals say later does not count. The client pickles them each time a plan is sent."""
    from pyspark.sql.connect import expressions, plan, udf, udtf

    def dumps(value: Any) -> bytes:
        program = program_here()
        return pickled(value) if program is None else program.write_code(value, lambda: pickled(value))

    for module in (expressions, plan):  # where the client writes functions into plans
        vars(module)["CloudPickleSerializer"] = lambda: SimpleNamespace(dumps=dumps)

    @replaces(udf.UserDefinedFunction, "_build_common_inline_user_defined_function")
    @replaces(udtf.UserDefinedTableFunction, "_build_common_inline_user_defined_table_function")
    def build_once(build: Any, self: Any, *columns: Any, **named: Any) -> Any:
        """Make a function keep what it first writes into a plan."""
        made = build(self, *columns, **named)
        of_pyspark = sys.modules["pyspark.sql.connect.session"].SparkSession
        session = None if script() is None else of_pyspark.getActiveSession()
        if session is None:
            return made
        # What is declared nondeterministic afterwards, or used by another node, is pickled again.
        meant = purpose(), self.deterministic
        before, written = vars(self).get("_helix_written", (None, None))
        if before != meant:
            written = made._function.to_plan(session.client)
            self._helix_written = meant, written
        made._function.to_plan = lambda _: written
        return made

    @replaces(udf.UDFRegistration, "register")
    def register(registered: Any, self: Any, name: str, f: Any, *types: Any, **named: Any) -> Any:
        made = registered(self, name, f, *types, **named)
        if made is f and builds():  # a classic session returns a function of the registered name
            return udf._create_udf(f.func, f.returnType, f.evalType, name, f.deterministic)
        if made is not f and script() is not None:
            # A classic session returns what it has pickled.
            getattr(made, "_unwrapped", made)._build_common_inline_user_defined_function()
        return made


_HERE = str(Path(__file__).parent)


@cache
def _pyspark_folder() -> str:
    import pyspark

    return str(Path(pyspark.__file__).parent)


def call_site() -> str:
    """Return the author's file and line, of the innermost frame that is neither pyspark's nor this room's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_pyspark_folder(), _HERE)):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
