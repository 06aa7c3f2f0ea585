"""Send the project's code to Spark's Python workers by value, and guard the functions that they run.

A UDF that is sent by its module's name runs the code that the worker imported earlier, which may be that before an
edit. Also, Spark considers two UDFs of equal bytes the same, and would use a table that is cached for the old one.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from helix_spark.engine.spark.settings import is_on_this_machine
from helix_spark.hermetic import generators, task
from helix_spark.hermetic.task import guarded
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.plans.current_program import replaces

_NEVER = frozenset({"__main__", "__mp_main__", "helix_spark", "pyspark", "py4j", "delta"})
"""`__main__` is sent by value anyway; the others may be outside of site-packages (a Spark distribution, a checkout)."""


def send_project_code() -> None:
    """Register the imported modules of the project, so that their functions and classes are pickled by value."""
    from pyspark.cloudpickle import register_pickle_by_value

    for name, module in sys.modules.copy().items():  # other threads may import
        file = getattr(module, "__file__", None)
        # If the names differ, the entry is an alias of the module.
        if not isinstance(file, str) or name.partition(".")[0] in _NEVER or getattr(module, "__name__", "") != name:
            continue
        if is_project_file(file):
            register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # a copy of cloudpickle's, untyped


@cache
def guard_functions() -> None:
    """Guard functions that Spark's workers run, once a process: seed them by their node and record their reads."""
    from pyspark.cloudpickle import register_pickle_by_value
    from pyspark.core import rdd
    from pyspark.sql.udf import UserDefinedFunction
    from pyspark.sql.udtf import UserDefinedTableFunction

    @replaces(rdd, "_prepare_for_python_RDD")
    def prepare(prepared: Any, sc: Any, command: Any) -> Any:
        if not is_on_this_machine(sc.master):
            for module in (generators, task):  # the workers of a cluster need not have this package
                register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # as above
        if isinstance(command, tuple) and command:
            command = (guarded(command[0]), *command[1:])
        elif isinstance(command, type):  # a table function
            command = guarded(command)
        return prepared(sc, command)

    # Pickle at each use: pyspark would cache a function that two nodes use as it was guarded for the first one.
    function: Any = UserDefinedFunction
    function._judf = property(lambda self: self._create_judf(self.func))
    table_function: Any = UserDefinedTableFunction
    table_function._judtf = property(lambda self: self._create_judtf(self.func))


def sent_to_another_process(value: object) -> bytes:
    """Return the pickle of a value with the author's functions and classes, for a process that this one starts."""
    from pyspark import cloudpickle

    pickled: bytes = cloudpickle.dumps(value)  # type: ignore[no-untyped-call]  # as above
    return pickled
