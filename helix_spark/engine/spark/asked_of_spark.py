"""What the author's code has Spark do that no signature covers, seen where pyspark is called, whatever leads there.

It reads files, tables and views that are none of its inputs; it takes samples, which depend on how rows are
partitioned; it reads settings that change no result of Spark's, but may change the function's; it leaves settings that
do other than it found them, so that whatever is computed later in its session is computed under these. What a captured
function builds says most of that by itself.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from operator import attrgetter
from types import FrameType, FunctionType, ModuleType
from typing import Any, cast
from weakref import WeakKeyDictionary

from helix_spark.engine.spark.settings import counts
from helix_spark.hermetic.action import Action, asks, current
from helix_spark.hermetic.asking import Asker, CodeOwner, asker, kind_of
from helix_spark.hermetic.generators import WhenImported
from helix_spark.plans.frame_creation import PASSING_ON
from helix_spark.plans.recorded_call import is_only_planned
from helix_spark.plans.sql_texts import MAKES_VIEW, read_statement


@dataclass(frozen=True, slots=True)
class SparkCall:
    """A call of one of pyspark's methods.

    Attributes:
        of: the object whose method it is.
        frame: of the code that calls it.
    """

    of: Any
    method: str
    given: tuple[Any, ...]
    named: Mapping[str, Any]
    frame: FrameType

    @property
    def first(self) -> Any:
        """The first argument; None if there is none."""
        return next(iter((*self.given, *self.named.values())), None)

    @property
    def statement(self) -> str:
        """The text of a call of `sql`; empty if it has none."""
        text = self.given[0] if self.given else self.named.get("sqlQuery")
        return text if isinstance(text, str) else ""


Note = Callable[[SparkCall], None]

_views: WeakKeyDictionary[Action, set[str]] = WeakKeyDictionary()
"""Names, in lower case, of the views that each action has registered."""

_inside = threading.local()


@cache
def watch_pyspark() -> None:
    """Have pyspark's classes note how they are called; once a process. A class that is loaded later does from then on.
    """
    names = {module for module, _, _ in _WATCHED}
    for name in names & sys.modules.keys():
        _watch(sys.modules[name])
    sys.meta_path.insert(0, WhenImported(names, _watch))


def _watch(module: ModuleType) -> None:
    for name, path, methods in _WATCHED:
        if name == module.__name__:
            kind = attrgetter(path)(module)
            for method, notes in methods.items():
                _watch_method(kind, method, notes)


def _watch_method(kind: Any, name: str, notes: Sequence[Note]) -> None:
    told = vars(kind).get(name)
    if isinstance(told, classmethod):
        setattr(kind, name, classmethod(_noting(told.__func__, name, notes)))
    elif isinstance(told, FunctionType):
        setattr(kind, name, _noting(told, name, notes))
    elif isinstance(told, property):
        setattr(kind, name, property(_noting(told.fget, name, notes), told.fset, doc=told.__doc__))
    elif name in _ATTRIBUTES:
        read = _noting(lambda self: vars(self).get(name), name, notes)
        setattr(kind, name, property(read, lambda self, value: vars(self).__setitem__(name, value)))


def _noting(told: Any, name: str, notes: Sequence[Note]) -> Any:
    @wraps(told)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        made = SparkCall(self, name, given, named, sys._getframe(1))
        for note in notes:
            note(made)
        before, _inside.pyspark = getattr(_inside, "pyspark", False), True
        try:
            return told(self, *given, **named)
        finally:
            _inside.pyspark = before

    PASSING_ON.add(cast(FunctionType, call).__code__)
    return call


def _outside(phrases: Callable[[SparkCall], Iterator[str]]) -> Note:
    """Note what is read besides the inputs of a node."""

    def note(call: SparkCall) -> None:
        if (action := current()) is None or action.watch is None or (who := _who_calls(call.frame)) is None:
            return
        for phrase in phrases(call):
            if not action.reads_declared:
                declare = "make it a source of the workflow, or name it in depends_on="
                action.watch.asks_others(f"{who.at(phrase)}: {declare}")

    return note


def _draws(call: SparkCall) -> None:
    if (action := current()) is None or action.watch is None or (who := _who_calls(call.frame)) is None:
        return
    action.watch.differs(who.at(f"calls .{call.method}(), which depends on how rows are partitioned even with a seed"))


def _who_calls(frame: FrameType | None) -> Asker | None:
    """Return who calls pyspark, directly or through another part of it; None if it is Helix, or another method of
    pyspark's that is watched. Of a call that is only planned, the plan says what it reads."""
    if getattr(_inside, "pyspark", False) or is_only_planned():
        return None
    while frame is not None:
        file = frame.f_code.co_filename
        if kind_of(file) not in (CodeOwner.SPARK, CodeOwner.PYTHON) and not file.endswith(_IN_PLACE_OF_PYSPARK):
            return asker(frame)
        frame = frame.f_back
    return None


_IN_PLACE_OF_PYSPARK = "/plans/replaced_in_pyspark.py"
"""Of Helix's own: it passes on to pyspark what it is asked."""


def _reads(call: SparkCall) -> Iterator[str]:
    path = next((one for one in (*call.given, call.named.get("path")) if isinstance(one, str)), None)
    yield f"reads {path} by itself" if path else f"reads by itself (.{call.method}())"


def _reads_table(call: SparkCall) -> Iterator[str]:
    table = str(call.first or "")
    if table.lower() not in _own_views():
        yield f"reads the table {table} by itself"


def _reads_in_sql(call: SparkCall) -> Iterator[str]:
    if _BEFORE_TABLES.search(call.statement) is None:
        return
    statement = read_statement(call.statement)
    if not statement.asks and (made := _VIEW.search(call.statement)) is not None:
        _own_views().add(made[1].lower())
    if not statement.known:
        yield "reads tables that its SQL names by itself"
    # A table that the statement is given, as `{rows}`, is named in it as that is.
    own = {"", *_own_views(), *(key.lower() for key in call.named)}
    yield from (f"reads the table {table} by itself" for table in sorted(statement.tables) if table.lower() not in own)


_BEFORE_TABLES = re.compile(r"\b(from|into|join|table|update|view)\b|\bidentifier\s*\(", re.IGNORECASE)
_VIEW = re.compile(r"\bview\s+(?:if\s+(?:not\s+)?exists\s+)?`?([\w.]+)", re.IGNORECASE)


def _registers(call: SparkCall) -> Iterator[str]:
    view = str(call.first or "").lower()
    _own_views().add(f"global_temp.{view}" if "Global" in call.method else view)
    yield from ()


def _own_views() -> set[str]:
    action = current()
    return set() if action is None else _views.setdefault(action, set())


def _asks_setting(call: SparkCall) -> None:
    key = call.first
    if not (isinstance(key, str) and counts(key)):
        asks(f"reads Spark's settings (.{call.method}" + (")" if key is None else f"({key!r}))"), call.frame)


def _asks_in_sql(call: SparkCall) -> None:
    if (found := _ASKS_IN_SQL.search(call.statement)) is not None:
        asks(f"reads Spark's settings ({found[0].strip()} in SQL)", call.frame)


_ASKS_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)


class LeftSettings:
    """Settings that change results, as a function found them that sets them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Any, str | None, str]] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """While the function runs, in this thread."""
        token = _SETTINGS.set(self)
        try:
            yield
        finally:
            _SETTINGS.reset(token)

    def about_to_set(self, conf: Any, key: object, frame: FrameType) -> None:
        """Note the value of a setting that is about to be set, or unset, by the code of a frame."""
        if isinstance(key, str) and key not in self._found and counts(key):
            who = asker(frame)
            self._found[key] = conf, conf.get(key, None), "" if who is None else who.place

    def told(self) -> str:
        """Return the first of those that are not as they were found, in words; empty if all are."""
        for key, (conf, before, where) in self._found.items():
            now = conf.get(key, None)
            if now != before:
                return f"{key} as {now!r}, which was {before!r}" + (f" ({where})" if where else "")
        return ""


_SETTINGS: ContextVar[LeftSettings | None] = ContextVar("left settings", default=None)
_SETS_IN_SQL = re.compile(r"\s*(?:re)?set\s+`?([\w.]+)", re.IGNORECASE)


def _sets(call: SparkCall) -> None:
    """Note what is about to be set; a call that is only planned sets nothing."""
    if (settings := _SETTINGS.get()) is None or is_only_planned():
        return
    conf: Any = None
    keys: Iterable[object] = ()
    if call.method == "sql":
        if (found := _SETS_IN_SQL.match(call.statement)) is not None:
            conf, keys = call.of.conf, [found[1]]
    elif call.method == "getOrCreate":  # of the session that there is
        if call.of._options:
            conf, keys = type(call.of)().getOrCreate().conf, call.of._options
    else:
        conf, keys = call.of, [call.first]
    for key in keys:
        settings.about_to_set(conf, key, call.frame)


Methods = Mapping[str, Sequence[Note]]

_READS, _READS_TABLE = (_outside(_reads),), (_outside(_reads_table),)
_READER: Methods = {
    **dict.fromkeys(("changes", "csv", "jdbc", "json", "load", "orc", "parquet", "text", "xml"), _READS),
    "table": _READS_TABLE,
}
_SESSION: Methods = {"sql": (_outside(_reads_in_sql), _asks_in_sql, _sets), "table": _READS_TABLE}
_TABLE: Methods = {
    **dict.fromkeys(("sample", "sampleBy", "sampleByKey", "takeSample", "randomSplit"), (_draws,)),
    **dict.fromkeys(MAKES_VIEW, (_outside(_registers),)),
}
_ATTRIBUTES = ("appName", "master")
"""Of a context, which keeps them in itself."""
_CONTEXT: Methods = {
    **dict.fromkeys((
        "binaryFiles", "binaryRecords", "hadoopFile", "newAPIHadoopFile", "newAPIHadoopRDD", "pickleFile",
        "sequenceFile", "textFile", "wholeTextFiles",
    ), _READS),
    **dict.fromkeys((
        *_ATTRIBUTES, "applicationId", "uiWebUrl", "startTime", "defaultParallelism", "defaultMinPartitions",
        "sparkUser",
    ), (_asks_setting,)),
}
_SETTINGS_OF_SESSION: Methods = {
    **dict.fromkeys(("get", "getAll"), (_asks_setting,)), **dict.fromkeys(("set", "unset"), (_sets,)),
}

_WATCHED: Sequence[tuple[str, str, Methods]] = (
    ("pyspark.conf", "SparkConf", dict.fromkeys(("get", "getAll", "contains", "toDebugString"), (_asks_setting,))),
    ("pyspark.core.context", "SparkContext", _CONTEXT),
    ("pyspark.core.rdd", "RDD", _TABLE),
    ("pyspark.sql.conf", "RuntimeConfig", _SETTINGS_OF_SESSION),
    ("pyspark.sql.session", "SparkSession", _SESSION),
    ("pyspark.sql.session", "SparkSession.Builder", {"getOrCreate": (_sets,)}),
    ("pyspark.sql.classic.dataframe", "DataFrame", _TABLE),
    ("pyspark.sql.readwriter", "DataFrameReader", _READER),
    ("pyspark.sql.streaming.readwriter", "DataStreamReader", _READER),
    ("pyspark.sql.connect.conf", "RuntimeConf", _SETTINGS_OF_SESSION),
    ("pyspark.sql.connect.session", "SparkSession", _SESSION),
    ("pyspark.sql.connect.dataframe", "DataFrame", _TABLE),
    ("pyspark.sql.connect.readwriter", "DataFrameReader", _READER),
    ("pyspark.sql.connect.streaming.readwriter", "DataStreamReader", _READER),
    ("pyspark.ml.util", "JavaMLReader", {"load": _READS}),
    ("pyspark.ml.connect.readwrite", "RemoteMLReader", {"load": _READS}),
    ("delta.tables", "DeltaTable", {"forPath": _READS, "forName": _READS}),
)
"""Classes by their modules, and what their methods are noted for."""
