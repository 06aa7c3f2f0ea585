"""What a function has Spark read that is no input: files, tables and views, told from what it refers to.

What Python itself reads is seen while it runs (see `hermetic`). What Spark reads for a value that a function asks for
is in no plan that anybody keeps; so it is told from the code alone, which says what is likely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.text.forms import Call
from helix_spark.signature.text.sql_texts import is_sql, tables_named, views_made

_READERS = re.compile(
    r"pyspark\.pandas\.(\w+\.)*read_\w+$|delta\.(\w+\.)*DeltaTable\.for(Path|Name)$"
    r"|pyspark\.ml\.(\w+\.)*(load|read)$"
)
_READING = frozenset({"textFile", "wholeTextFiles", "binaryFiles", "sequenceFile"})
"""Methods that nothing but Spark's context has."""

_READER = frozenset({"read", "readStream"})
_READS = frozenset({
    "csv", "format", "jdbc", "json", "load", "option", "options", "orc", "parquet", "schema", "table", "text", "xml",
})
"""What a session has to read with, and its methods: a column may be called `read`, too. Of a table that is lazy, the
plan tells of it as well; of a value nothing does."""

_NO_TEXTS = Texts()
_VIEWS = re.compile(r"create(OrReplace)?(Global)?TempView$|registerTempTable$")
_BY_NAME = frozenset({"sql", "table"})
"""Methods of a session that know tables and views by their names."""


def outside_uses(
    names: Iterable[tuple[str, int]], calls: Iterable[tuple[Call, str | None]], texts: Texts = _NO_TEXTS,
) -> Iterator[tuple[str, int]]:
    """What one function has Spark read by itself: phrases with the line each was seen at.

    Args:
        names: full dotted names of what the function refers to outside the project, each with a line.
        calls: its calls, each with the dotted name of what is called; None if that is not known.
        texts: that are passed.

    >>> list(outside_uses([("pyspark.pandas.read_csv", 3), ("math.pi", 4)], []))
    [('uses pyspark.pandas.read_csv', 3)]
    """
    calls = list(calls)
    yield from ((f"uses {name}", line) for name, line in names if _READERS.match(name))
    methods = [call for call, called in calls if called is None]
    yield from ((f"calls .{call.method}()", call.line) for call in methods if call.method in _READING)
    # A session is never one that a function finds outside.
    of_locals = [call for call in methods if call.slot is None]
    read = [call for call in of_locals if call.owner in _READER and call.method in _READS - _BY_NAME]
    yield from ((f"calls .{call.owner}.{call.method}()", call.line) for call in read)
    own = views_of(calls, texts) | texts.elsewhere.views
    yield from _by_name([call for call in of_locals if call.method in _BY_NAME], texts, own)


def views_of(calls: Iterable[tuple[Call, str | None]], texts: Texts) -> frozenset[str]:
    """The views that a function registers, in lower case; empty for one whose name is not known. Arguments as for
    `outside_uses`.

    >>> from helix_spark.signature.text.forms import Argument
    >>> views_of([(Call(None, "createTempView", "", None, 1, (Argument("'People'"),), ()), None)], _NO_TEXTS)
    frozenset({'people'})
    """
    made = [call for call, called in calls if called is None and _VIEWS.match(call.method)]
    named = {name.lower() for call in made for name in texts.of(call) or ("",)}
    # A view of all sessions is read as global_temp.people.
    named |= {"global_temp"} if any("Global" in call.method for call in made) else set()
    return frozenset(named).union(*map(views_made, texts.own))


def asks_others(calls: Iterable[tuple[Call, str | None]], texts: Texts, own: frozenset[str]) -> bool:
    """Whether what the rest of what is reached says may change what a function is taken to read by name: texts that it
    is given, views that others register. Arguments as for `outside_uses`, and the views that it registers itself."""
    by_name = [call for call, called in calls if called is None and call.slot is None and call.method in _BY_NAME]
    given = any(call.method == "sql" and texts.given(call).open for call in by_name)
    return given or any(_by_name(by_name, texts, own))


def _by_name(calls: Iterable[Call], texts: Texts, own: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Tables that are read by name, and are none of the views that the node registers itself.

    Args:
        calls: of a session's methods.
        own: names of these views.
    """
    for call in calls:
        if call.method == "table":
            named = {text.lower() for text in texts.of(call)} or ({"?"} if call.arguments else set())
            if not named <= own:
                yield ("calls .read.table()" if call.owner in _READER else "calls .table()"), call.line
            continue
        named = set(_tables_of(call, texts))
        # A name that is put into a text is most likely that of a view that was made for it; a view whose name is not
        # known, one that the text reads.
        if not (named - {""} if own else named) <= own and "" not in own:
            yield "names a table in .sql()", call.line


def _tables_of(call: Call, texts: Texts) -> frozenset[str]:
    """The tables that a query in SQL names. Where it is not known, any piece of SQL in reach may be part of it."""
    given = texts.given(call)
    return tables_named(*given.known, *(filter(is_sql, texts.candidates) if given.open else ()))
