"""What the author's code has Spark do that no signature covers: it reads files, tables and views that are none of its
inputs, or takes samples, which depend on how rows are partitioned.

What a captured function builds says all of that. Of other functions it is seen where pyspark is asked, whichever way
leads there.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from types import FrameType, FunctionType, ModuleType
from typing import Any, cast
from weakref import WeakKeyDictionary

from helix_spark.hermetic.action import Action, current
from helix_spark.hermetic.asking import Asker, CodeOwner, asker, kind_of
from helix_spark.hermetic.generators import WhenImported
from helix_spark.plans.frame_creation import PASSING_ON
from helix_spark.plans.recorded_call import is_only_planned
from helix_spark.plans.sql_statements import read_statement
from helix_spark.plans.sql_words import MAKES_VIEW

Told = Callable[[str, tuple[Any, ...], Mapping[str, Any]], Iterator[str]]
"""Given the name of a method of pyspark's, and what it is called with: what the method does, as phrases."""

_DECLARE = "make it a source of the workflow, or name it in depends_on="

_IN_PLACE_OF_PYSPARK = ("/plans/replaced_in_pyspark.py", "/engine/spark/asked_settings.py")
"""Files of Helix's own that pass on to pyspark what they are asked."""

_views: WeakKeyDictionary[Action, set[str]] = WeakKeyDictionary()
"""Names, in lower case, of the views that each action has registered."""

_busy = threading.local()


@cache
def watch_what_spark_is_asked() -> None:
    """Have pyspark's classes tell what they are asked to read and to draw; once a process. A class that is loaded later
    tells from then on."""
    for name in _ASKED:
        if (module := sys.modules.get(name)) is not None:
            _watch(module)
    sys.meta_path.insert(0, WhenImported(_ASKED, _watch))


def _watch(module: ModuleType) -> None:
    kind, methods = _ASKED[module.__name__]
    of = vars(module)[kind]
    for name, tell in methods.items():
        told = vars(of).get(name)
        if isinstance(told, classmethod):
            setattr(of, name, classmethod(_telling(told.__func__, name, tell)))
        elif told is not None:
            setattr(of, name, _telling(told, name, tell))


def _telling(told: Any, name: str, tell: Told) -> Any:
    @wraps(told)
    def ask(self: Any, *given: Any, **named: Any) -> Any:
        action = current()
        # One method of pyspark's may call another one. Of a call that is only planned, the plan says what it reads.
        if action is None or action.watch is None or getattr(_busy, "is_so", False) or is_only_planned():
            return told(self, *given, **named)
        who = _who_asks(sys._getframe(1))
        if who is not None:
            for phrase in tell(name, given, named):
                _note(action, who, phrase, reads=tell is not _draws)
        _busy.is_so = True
        try:
            return told(self, *given, **named)
        finally:
            _busy.is_so = False

    PASSING_ON.add(cast(FunctionType, ask).__code__)
    return ask


def _note(action: Action, who: Asker, phrase: str, *, reads: bool) -> None:
    assert action.watch is not None
    if not reads:
        action.watch.differs(who.at(phrase))
    elif not action.reads_declared:
        action.watch.asks_others(f"{who.at(phrase)}: {_DECLARE}")


def _who_asks(frame: FrameType | None) -> Asker | None:
    """Return who asks pyspark, directly or through another part of it; None if it is Helix."""
    while frame is not None:
        file = frame.f_code.co_filename
        if kind_of(file) not in (CodeOwner.SPARK, CodeOwner.PYTHON) and not file.endswith(_IN_PLACE_OF_PYSPARK):
            return asker(frame)
        frame = frame.f_back
    return None


def _reads(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    path = next((one for one in (*given, named.get("path")) if isinstance(one, str)), None)
    yield f"reads {path} by itself" if path else f"reads by itself (.{name}())"


def _reads_table(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    table = str(next(iter((*given, *named.values())), ""))
    if table.lower() not in _own_views():
        yield f"reads the table {table} by itself"


def _reads_in_sql(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    text = next(iter((*given, named.get("sqlQuery"))))
    if not isinstance(text, str) or _BEFORE_TABLES.search(text) is None:
        return
    statement = read_statement(text)
    if not statement.asks and (made := _VIEW.search(text)) is not None:
        _own_views().add(made[1].lower())
    if not statement.known:
        yield "reads tables that its SQL names by itself"
    # A table that the statement is given, as `{rows}`, is named in it as that is.
    own = {"", *_own_views(), *(key.lower() for key in named)}
    yield from (f"reads the table {table} by itself" for table in sorted(statement.tables) if table.lower() not in own)


_BEFORE_TABLES = re.compile(r"\b(from|into|join|table|update|view)\b|\bidentifier\s*\(", re.IGNORECASE)
_VIEW = re.compile(r"\bview\s+(?:if\s+(?:not\s+)?exists\s+)?`?([\w.]+)", re.IGNORECASE)


def _registers(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    view = str(next(iter((*given, *named.values())), "")).lower()
    _own_views().add(f"global_temp.{view}" if "Global" in name else view)
    yield from ()


def _draws(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    yield f"calls .{name}(), which depends on how rows are partitioned even with a seed"


def _own_views() -> set[str]:
    action = current()
    return set() if action is None else _views.setdefault(action, set())


_READER: Mapping[str, Told] = {
    **dict.fromkeys(("changes", "csv", "jdbc", "json", "load", "orc", "parquet", "text", "xml"), _reads),
    "table": _reads_table,
}
_SESSION: Mapping[str, Told] = {"sql": _reads_in_sql, "table": _reads_table}
_TABLE: Mapping[str, Told] = {
    **dict.fromkeys(("sample", "sampleBy", "sampleByKey", "takeSample", "randomSplit"), _draws),
    **dict.fromkeys(MAKES_VIEW, _registers),
}
_CONTEXT: Mapping[str, Told] = dict.fromkeys((
    "binaryFiles", "binaryRecords", "hadoopFile", "newAPIHadoopFile", "newAPIHadoopRDD", "pickleFile", "sequenceFile",
    "textFile", "wholeTextFiles",
), _reads)

_ASKED: Mapping[str, tuple[str, Mapping[str, Told]]] = {
    "pyspark.core.context": ("SparkContext", _CONTEXT),
    "pyspark.core.rdd": ("RDD", _TABLE),
    "pyspark.sql.session": ("SparkSession", _SESSION),
    "pyspark.sql.classic.dataframe": ("DataFrame", _TABLE),
    "pyspark.sql.readwriter": ("DataFrameReader", _READER),
    "pyspark.sql.streaming.readwriter": ("DataStreamReader", _READER),
    "pyspark.sql.connect.session": ("SparkSession", _SESSION),
    "pyspark.sql.connect.dataframe": ("DataFrame", _TABLE),
    "pyspark.sql.connect.readwriter": ("DataFrameReader", _READER),
    "pyspark.sql.connect.streaming.readwriter": ("DataStreamReader", _READER),
    "pyspark.ml.util": ("JavaMLReader", {"load": _reads}),
    "pyspark.ml.connect.readwrite": ("RemoteMLReader", {"load": _reads}),
    "delta.tables": ("DeltaTable", {"forPath": _reads, "forName": _reads}),
}
"""By module: a class, and what its methods do."""
