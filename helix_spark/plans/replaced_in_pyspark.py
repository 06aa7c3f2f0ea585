"""Helix's replacements in pyspark, made once a process: the choice of the client, the origins of relations and
expressions in the author's file, and the writing of Python functions into plans.
`tests/unit/test_captured_programs.py` fails if another version of pyspark builds different plans."""

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
from helix_spark.plans.classic_compatibility import behave_as_classic, notice_classic_only
from helix_spark.plans.current_program import (
    PROGRAMS,
    NeedsClassicError,
    Program,
    client_session,
    is_connect,
    program_here,
    replaces,
    script,
)
from helix_spark.plans.frame_creation import settle_frames
from helix_spark.plans.sql_texts import BINDING
from helix_spark.plans.written_plan import leave_holes_in_plans

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame


def take_over(program: Program) -> None:
    """Make all of `pyspark.sql` and `pyspark.ml` in this process build plans for a program's session from now on."""
    replace_in_pyspark()
    PROGRAMS[:] = [program]


KEPT_SETTINGS = frozenset({"spark.app.name", "spark.master", "spark.remote"})
"""Settings of an open session that a builder does not change."""


def keep_errors_out_of_logs() -> None:
    """Stop pyspark from printing errors of queries as JSON with stack traces of JVM and Python: exceptions have them.
    Loggers that the author has set up do not change, and handlers that are added later get the records."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        if name not in logging.Logger.manager.loggerDict:
            logger = PySparkLogger.getLogger(name)
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
            logger.addHandler(logging.NullHandler())


@cache
def replace_in_pyspark() -> None:
    """Make all of Helix's replacements in pyspark; once a process."""
    keep_errors_out_of_logs()
    import pyspark.errors.utils as errors
    import pyspark.sql.connect.session  # noqa: F401 - before its parts, which import each other in circles
    import pyspark.sql.session as classic
    import pyspark.sql.utils as utils

    original = utils.is_remote

    def is_remote() -> bool:
        return is_connect() or original()

    for module in sys.modules.copy().values():
        if getattr(module, "__name__", "").startswith("pyspark.") and vars(module).get("is_remote") is original:
            vars(module)["is_remote"] = is_remote
    vars(sys.modules["pyspark.sql"])["is_remote"] = is_remote

    @replaces(classic.SparkSession.Builder, "getOrCreate")  # else a JVM would start
    def get_or_create(original: Any, self: Any) -> Any:
        program, client = program_here(), client_session()
        if program is None and client is not None:
            for name in self._options.keys() - KEPT_SETTINGS:
                client.conf.set(name, self._options[name])
            return client
        return original(self) if program is None else program.session(dict(self._options))

    is_debugging: Any = errors.is_debugging_enabled
    capture: Any = errors._capture_call_site
    errors.is_debugging_enabled = lambda: is_connect() or is_debugging()
    errors._capture_call_site = lambda depth: call_site() if is_connect() else capture(depth)
    _pickle_at_first_call()
    _replace_functions_of_classic_sessions()
    _replace_columns()
    behave_as_classic()
    leave_holes_in_plans()
    _replace_plans()
    notice_classic_only()
    settle_frames()


def _replace_plans() -> None:
    """Add the table `BINDING` to SQL statements that have arguments and no table. Make all relations and expressions
    note the author's file and line; pyspark notes only those of columns' operators and methods."""
    from pyspark.sql.connect import expressions, plan

    @replaces(plan.SQL, "__init__")
    def create_sql(
        original: Any, self: Any, query: str, args: Any = None, named_args: Any = None, views: Any = None
    ) -> None:
        if (args or named_args) and not views and is_connect():
            views = [plan.SubqueryAlias(plan.Range(0, 1, 1), BINDING)]
        original(self, query, args, named_args, views)

    @replaces(expressions.Expression, "__init__")
    def create_expression(original: Any, self: Any) -> None:
        original(self)
        if self.origin is None and is_connect():
            origin = pb.PythonOrigin(fragment="expression", call_site=call_site())
            self.origin = pb.Origin(python_origin=origin)

    @replaces(plan.LogicalPlan, "__init__")
    def create_relation(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if is_connect():
            self._call_site = call_site()

    @replaces(plan.LogicalPlan, "_create_proto_relation")
    def write(original: Any, self: Any) -> pb.Relation:
        relation: pb.Relation = original(self)
        if site := getattr(self, "_call_site", ""):
            relation.common.origin.python_origin.fragment = type(self).__name__
            relation.common.origin.python_origin.call_site = site
        return relation


def _replace_columns() -> None:
    """Return known columns of tables without a request. Refuse attributes that are no columns, as for
    ``hasattr(rows, "income")``: a table of Connect has an attribute of any name."""
    from pyspark.errors import PySparkAttributeError
    from pyspark.sql.connect.dataframe import DataFrame

    attribute_codes = {opmap[name] for name in ("LOAD_ATTR", "LOAD_METHOD") if name in opmap}

    @replaces(DataFrame, "columns")
    def columns(original: Any, self: ConnectFrame) -> list[str]:
        program = program_here()
        names = None if program is None else program.columns(self)
        return original(self) if names is None else list(names)

    @replaces(DataFrame, "__getattr__")
    def get(original: Any, self: ConnectFrame, name: str) -> Any:
        column, program, caller = original(self, name), script(), sys._getframe(2)
        if not is_connect() or name.startswith("__"):
            return column
        names = None if program is None else program.columns(self)
        if names is None:
            # Request the columns for a call such as `hasattr`, but not for `rows.income`.
            code = caller.f_code
            is_attribute = code.co_code[caller.f_lasti] in attribute_codes
            if is_attribute or code.co_filename.startswith(_pyspark_folder()):
                return column
            names = self.columns
        if name not in names:
            raise PySparkAttributeError(errorClass="ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": name})
        return column


def _replace_functions_of_classic_sessions() -> None:
    """Call functions that were declared without a client, such as a module's ``@F.udf``, as the client's."""
    from pyspark.sql.connect import udf, udtf
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.sql.udtf import UserDefinedTableFunction

    def replace(classic: Any, connect: Any) -> None:
        @replaces(classic, "__call__")
        def call(original: Any, self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not is_connect():
                return original(self, *args, **kwargs)
            function = connect(
                self.func, self._returnType, name=self._name, evalType=self.evalType, deterministic=self.deterministic
            )
            return function(*args, **kwargs)

    replace(UserDefinedFunction, udf.UserDefinedFunction)
    replace(UserDefinedTableFunction, udtf.UserDefinedTableFunction)


def pickled(value: Any) -> bytes:
    """Return the pickle of a function and its return type, or of the class of a table function. Raises
    NeedsClassicError if it uses a broadcast variable, which a server's workers do not have."""
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
"""The most bytes of a pickle in a plan; workers on this machine read larger ones from a file. Each task that reads a
table contains its plan, even from memory: with a function of 3 MB a step of a fit took 57 ms instead of 47."""


class _Filed:
    """A pickle in a file, itself pickled as a broadcast variable, as a classic session sends large functions."""

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
    """Pickle a script's functions once, at their first call or registration, as a classic session does: later changes
    of the author's globals do not count. The client pickles them each time that it sends a plan."""
    from pyspark.sql.connect import expressions, plan, udf, udtf

    def dumps(value: Any) -> bytes:
        program = program_here()
        return pickled(value) if program is None else program.write_code(value, lambda: pickled(value))

    for module in (expressions, plan):  # where the client writes functions into plans
        vars(module)["CloudPickleSerializer"] = lambda: SimpleNamespace(dumps=dumps)

    @replaces(udf.UserDefinedFunction, "_build_common_inline_user_defined_function")
    @replaces(udtf.UserDefinedTableFunction, "_build_common_inline_user_defined_table_function")
    def build_once(original: Any, self: Any, *columns: Any, **kwargs: Any) -> Any:
        """Make a function keep the message that it first writes into a plan."""
        expression = original(self, *columns, **kwargs)
        session_type = sys.modules["pyspark.sql.connect.session"].SparkSession
        session = None if script() is None else session_type.getActiveSession()
        if session is None:
            return expression
        # A function that is later declared nondeterministic, or used by another node, is pickled again.
        key = purpose(), self.deterministic
        previous_key, message = vars(self).get("_helix_written", (None, None))
        if previous_key != key:
            message = expression._function.to_plan(session.client)
            self._helix_written = key, message
        expression._function.to_plan = lambda _: message
        return expression

    @replaces(udf.UDFRegistration, "register")
    def register(original: Any, self: Any, name: str, f: Any, *types: Any, **kwargs: Any) -> Any:
        function = original(self, name, f, *types, **kwargs)
        if function is f and is_connect():  # a classic session returns a function of the registered name
            return udf._create_udf(f.func, f.returnType, f.evalType, name, f.deterministic)
        if function is not f and script() is not None:
            # A classic session pickles the function at registration.
            getattr(function, "_unwrapped", function)._build_common_inline_user_defined_function()
        return function


_HERE = str(Path(__file__).parent)


@cache
def _pyspark_folder() -> str:
    import pyspark

    return str(Path(pyspark.__file__).parent)


def call_site() -> str:
    """Return the author's file and line: those of the innermost frame outside pyspark and `plans`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_pyspark_folder(), _HERE)):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
