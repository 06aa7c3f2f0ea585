"""What only a classic session has: RDDs, the JVM, contexts, streams. Where a program uses it as it runs, in a library
or by `getattr`, Helix learns of it before pyspark refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from helix_spark.hermetic.action import current
from helix_spark.plans.recorded_call import NeedsClassicError, client_session, program_here

_OF_SESSIONS = frozenset({"_jsc", "_jconf", "_jvm", "_jsparkSession", "_sc", "newSession"})
OF_FRAMES = frozenset({"_jseq", "_jdf", "_jmap", "_jcols"})
"""Attributes of tables that hold the JVM's objects; `replaced_in_pyspark` looks at all attributes of tables."""


def need_classic(what: str) -> None:
    """Tell this thread's program that it needs a classic session; no-op where there is none.

    Args:
        what: it uses, as it is written.

    Raises:
        NeedsClassicError: a function of a node's uses it.
    """
    program = program_here()
    if program is not None:
        program.need_classic(what)
    elif client_session() is not None and current() is not None:
        raise NeedsClassicError(what)


def notice_classic_only() -> None:
    """Have pyspark call `need_classic` where its Connect client has nothing, and where a context would be made."""
    from pyspark.core.context import SparkContext
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.connect.session import SparkSession

    _notice_attributes(SparkSession, _OF_SESSIONS)
    _notice_attributes(Column, frozenset({"_jc"}))
    for kind, name in ((DataFrame, "rdd"), (DataFrame, "writeStream"), (SparkSession, "readStream")):
        _notice_property(kind, name)
    made: Any = SparkContext.getOrCreate.__func__  # type: ignore[attr-defined]  # of a class method
    begun: Any = SparkContext.__init__
    SparkContext.getOrCreate = classmethod(_noticed(made, "SparkContext"))  # type: ignore[method-assign, assignment]
    SparkContext.__init__ = _noticed(begun, "SparkContext")  # type: ignore[method-assign]  # replaced on purpose


def _noticed(called: Any, what: str) -> Callable[..., Any]:
    @wraps(called)
    def call(*given: Any, **named: Any) -> Any:
        need_classic(what)
        return called(*given, **named)

    return call


def _notice_attributes(kind: Any, names: frozenset[str]) -> None:
    get: Any = kind.__getattr__

    def look_up(self: Any, name: str) -> Any:
        if name in names:
            need_classic(f".{name}")
        return get(self, name)

    kind.__getattr__ = look_up


def _notice_property(kind: Any, name: str) -> None:
    get: Any = vars(kind)[name].fget
    setattr(kind, name, property(_noticed(get, f".{name}")))
