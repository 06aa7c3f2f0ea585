"""Python functions as they are written into plans: by the place of each among all of a captured plan; else by pickles,
made when classic PySpark makes them.

A classic session pickles a function when it is first called with columns, and keeps the pickle: what the author's
globals say later does not count. PySpark's Connect client pickles it each time a plan is sent.
"""

from __future__ import annotations

import sys
from typing import Any

from helix_spark.hermetic.task import guarded, purpose
from helix_spark.plans.method_replacement import replaces
from helix_spark.plans.recorded_call import NeedsClassicError, builds, program_here, script


class FunctionSerializer:
    """Takes the place of pyspark's pickler where the client writes functions into plans."""

    def dumps(self, value: Any) -> bytes:
        program = program_here()
        return pickled(value) if program is None else program.write_code(value, lambda: pickled(value))


def pickled(value: Any) -> bytes:
    """Return the pickle of a function and of what it returns, or of the class of a table function.

    Raises:
        NeedsClassicError: it uses a broadcast variable, of which a server's workers know nothing.
    """
    from pyspark.serializers import CloudPickleSerializer

    value = (guarded(value[0]), *value[1:]) if isinstance(value, tuple) else guarded(value)
    written: bytes = CloudPickleSerializer().dumps(value)  # type: ignore[no-untyped-call]  # pyspark's own gap
    context: Any = sys.modules["pyspark.core.context"].SparkContext._active_spark_context
    broadcasts = None if context is None else context._pickled_broadcast_vars
    if broadcasts is not None and len(list(broadcasts)) > 0:
        broadcasts.clear()
        raise NeedsClassicError("a broadcast variable")
    return written


def pickle_at_first_call() -> None:
    """Pickle a program's functions once, at their first call, or at registration."""
    from pyspark.sql.connect import expressions, plan, udf, udtf

    for module in (expressions, plan):
        vars(module)["CloudPickleSerializer"] = FunctionSerializer
    _keep_pickles(udf.UserDefinedFunction, "_build_common_inline_user_defined_function")
    _keep_pickles(udtf.UserDefinedTableFunction, "_build_common_inline_user_defined_table_function")

    @replaces(udf.UDFRegistration, "register")
    def register(registered: Any, self: Any, name: str, f: Any, *types: Any, **named: Any) -> Any:
        made = registered(self, name, f, *types, **named)
        if made is f and builds():  # a classic session returns a function of the registered name
            return udf._create_udf(f.func, f.returnType, f.evalType, name, f.deterministic)
        if made is not f and script() is not None:
            # A classic session returns what it has pickled.
            getattr(made, "_unwrapped", made)._build_common_inline_user_defined_function()
        return made


def _keep_pickles(kind: Any, builder: str) -> None:
    """Have functions of a class keep what they first write into a plan."""
    build = vars(kind)[builder]

    def build_once(self: Any, *columns: Any, **named: Any) -> Any:
        made = build(self, *columns, **named)
        client = None if script() is None else _active_client()
        if client is None:
            return made
        # What is declared nondeterministic afterwards, or used by another node, is pickled again.
        meant = purpose(), self.deterministic
        before, written = vars(self).get(_WRITTEN, (None, None))
        if before != meant:
            written = made._function.to_plan(client)
            vars(self)[_WRITTEN] = meant, written
        made._function.to_plan = lambda session: written
        return made

    setattr(kind, builder, build_once)


_WRITTEN = "_helix_written"


def _active_client() -> Any:
    """Return the client of the active session, which reads the types that functions return; None if there is none."""
    session = sys.modules["pyspark.sql.connect.session"].SparkSession.getActiveSession()
    return None if session is None else session.client
