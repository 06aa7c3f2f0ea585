"""What a function has Spark read that is no input: files, tables and views, told from what it refers to.

What Python itself reads is seen while it runs (see `hermetic`). What Spark reads for a value that a function asks for
is in no plan that anybody keeps; so it is told from the code alone, which says what is likely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from helix_spark.signature.functions.code_form import CodeForm
from helix_spark.signature.functions.sql_texts import is_sql, tables_named, views_made
from helix_spark.signature.objects.edges import Asked

_READERS = re.compile(
    r"pyspark\.pandas\.(\w+\.)*read_\w+$|delta\.(\w+\.)*DeltaTable\.for(Path|Name)$"
    r"|pyspark\.ml\.(\w+\.)*(load|read)$"
)
_READING = frozenset({"textFile", "wholeTextFiles", "binaryFiles", "sequenceFile"})
"""Methods that nothing but Spark's context has."""

_READER = frozenset({"read", "readStream"})
_READS = frozenset({
    "csv", "format", "jdbc", "json", "load", "option", "options", "orc", "parquet", "schema", "text", "xml",
})
"""What a session has to read with, and its methods: a column may be called `read`, too."""

_VIEWS = re.compile(r"create(OrReplace)?(Global)?TempView$|registerTempTable$")


def outside_uses(form: CodeForm, used: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int, str | None, bool]]:
    """What one function has Spark read by itself: phrases with the line each was seen at, the table as in `Asked`, and
    whether that is one.

    Args:
        used: full dotted names of what the function refers to outside the project, each with a line.
    """
    for name, line in used:
        if _READERS.match(name):
            yield f"uses {name}", line, None, False
    for use in form.uses:
        if use.slot is not None or not use.is_call:  # a session is never one that a function finds outside
            continue
        method, owner = use.names[-1], use.names[-2] if len(use.names) > 1 else ""
        if method in _READING:
            yield f"calls .{method}()", use.line, None, False
        elif method in _READS and owner in _READER:
            yield f"calls .{owner}.{method}()", use.line, None, False
        elif method == "table" and (use.text is not None or owner in ("read", "sparkSession")):
            called = "calls .read.table()" if owner in _READER else "calls .table()"
            yield called, use.line, (use.text or "").lower(), True
        elif method == "sql":
            yield "names a table in .sql()", use.line, None, True


def views_of(form: CodeForm) -> frozenset[str]:
    """The names that the views may have which a function registers, in lower case; empty for one that is not known.

    >>> from helix_spark.signature.functions.code_form import form_of
    >>> sorted(views_of(form_of((lambda rows: rows.createTempView("People")).__code__)))
    ['people']
    """
    registers = [name for name in form.mentioned if _VIEWS.match(name)]
    made = [use for use in form.uses if use.names and _VIEWS.match(use.names[-1])]
    # A view of all sessions is read as global_temp.people.
    shared = {"global_temp"} if any("Global" in name for name in registers) else set()
    named = {(use.text or "").lower() for use in made} or ({""} if registers else set())
    return frozenset(named | shared).union(*map(views_made, form.texts))


def told_outside(asked: Sequence[Asked], texts: Iterable[str], views: frozenset[str]) -> Iterator[str]:
    """What is asked for by a name, in sentences, beside the views that are the node's own.

    Args:
        texts: all that is said where the node leads.
        views: those that anything registers there; empty for one whose name is not known.
    """
    in_sql = tables_named(*filter(is_sql, texts)) if any(one.table is None for one in asked) else frozenset()
    for one in asked:
        if one.table is not None:
            is_own = one.table in views
        else:
            # A name that is put into a text is most likely that of a view that was made for it; a view whose name is
            # not known, one that the text reads.
            is_own = "" in views or (in_sql - {""} if views else in_sql) <= views
        if not is_own:
            yield one.told
