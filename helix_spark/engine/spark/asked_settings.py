"""What the author's code asks of a session that no signature covers: settings, and where and as what it runs.

Signatures have those settings alone that change what a query answers; what a function makes of another one may be
another result in the next session. It is seen where pyspark is asked, whichever way leads there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache, wraps
from types import FunctionType
from typing import Any, cast

from helix_spark.engine.spark.left_settings import note_built, note_set_in_sql, note_sets
from helix_spark.engine.spark.settings import counts
from helix_spark.hermetic.action import asks
from helix_spark.plans.frame_creation import PASSING_ON

_OF_CONTEXT = ("applicationId", "uiWebUrl", "startTime", "defaultParallelism", "defaultMinPartitions")
_KEPT = ("appName", "master")
"""Of a context, too; it keeps them in itself."""

_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)


@cache
def watch_settings() -> None:
    """Has pyspark's classes tell of what they are asked; once a process."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql.conf import RuntimeConfig

    for kind, name in _asked(SparkConf, SparkContext, RuntimeConfig):
        told = vars(kind)[name]
        setattr(kind, name, _property(told, name) if isinstance(told, property) else _method(told, name))
    note_sets(RuntimeConfig)
    note_built(SparkSession.Builder)
    for name in _KEPT:
        setattr(SparkContext, name, _kept(name))
    SparkSession.sql = _sql(SparkSession.sql)  # type: ignore[method-assign]  # once a process
    if "pyspark.sql.connect.session" in sys.modules:
        from pyspark.sql.connect.conf import RuntimeConf
        from pyspark.sql.connect.session import SparkSession as ConnectSession

        note_sets(RuntimeConf)
        RuntimeConf.get = _method(RuntimeConf.get, "get")  # type: ignore[method-assign]  # as above
        RuntimeConf.getAll = _property(vars(RuntimeConf)["getAll"], "getAll")  # type: ignore[assignment, method-assign]  # replaced on purpose
        ConnectSession.sql = _sql(ConnectSession.sql)  # type: ignore[method-assign]  # replaced on purpose


def _asked(conf: type, context: type, runtime: type) -> Iterator[tuple[type, str]]:
    yield from ((conf, name) for name in ("get", "getAll", "contains", "toDebugString"))
    yield from ((runtime, name) for name in ("get", "getAll"))
    yield from ((context, name) for name in (*_OF_CONTEXT, "sparkUser"))


def _tell(what: str) -> None:
    asks(f"reads Spark's settings ({what})", sys._getframe(2))


def _method(told: Any, name: str) -> Any:
    @wraps(told)
    def ask(self: Any, *given: Any, **named: Any) -> Any:
        key = given[0] if given else named.get("key")
        if not (isinstance(key, str) and counts(key)):
            _tell(f".{name}({key!r})" if key is not None else f".{name}()")
        return told(self, *given, **named)

    return ask


def _property(told: property, name: str) -> property:
    def ask(self: Any) -> Any:
        _tell(f".{name}")
        assert told.fget is not None
        return told.fget(self)

    return property(ask, doc=told.__doc__)


def _kept(name: str) -> property:
    def ask(self: Any) -> Any:
        _tell(f".{name}")
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(name) from None

    def keep(self: Any, value: Any) -> None:
        vars(self)[name] = value

    return property(ask, keep)


def _sql(told: Any) -> Any:
    @wraps(told)
    def sql(self: Any, *given: Any, **named: Any) -> Any:
        text = given[0] if given else named.get("sqlQuery")
        if isinstance(text, str) and (found := _IN_SQL.search(text)) is not None:
            _tell(f"{found[0].strip()} in SQL")
        if isinstance(text, str):
            note_set_in_sql(self, text, sys._getframe(1))
        return told(self, *given, **named)

    PASSING_ON.add(cast(FunctionType, sql).__code__)
    return sql
