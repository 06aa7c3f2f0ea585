"""Errors of nodes in their author's terms: which node failed, at which of the author's lines, and what to do."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from helix_spark.dag.node import Node
from helix_spark.engine.spark.gateway import AFTER_ITS_END, how_ended
from helix_spark.errors import ColumnNotFoundError, HelixError, Location, NodeError, nearest
from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.visible_text import cut
from helix_spark.workflow.operators import LEFT_BY_PREDICT

_WORKER_LINE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')

_CALLED_FROM = re.compile(r'^"(.+)" was called from\n(.+):(\d+)$', re.MULTILINE)
"""The author's line that built the failing expression, in Spark's messages."""

_NO_SUCH_COLUMN = re.compile(r"(?:dataframe column|with name) [\"`](.+?)[\"`]")
_SUGGESTED = re.compile(r"\[((?:`[^`]*`(?:, )?)+)\]")
"""The missing column and its suggested names, in Spark's messages."""

_LEFT = "|".join(LEFT_BY_PREDICT)
_QUOTED_LEFT = re.compile(rf"['\"`]({_LEFT})['\"`]")
_NO_SUCH_FIELD = re.compile(rf"No such struct field `?({_LEFT})\b`? in (.*)")
"""A missing column and the table's columns, in messages of Spark ML's stages and evaluators."""

_NO_ATTRIBUTE = re.compile(r"'?DataFrame'? object has no attribute `?'?(\w+)|ATTRIBUTE_NOT_SUPPORTED.*`(\w+)`")


@contextmanager
def authors_errors(node: Node) -> Iterator[None]:
    """Turn any error of a node's code or Spark job into one that names the node and the author's line."""
    try:
        yield
    except HelixError as error:
        if error.where is None:
            error.where = node.where
        raise
    except (Exception, SystemExit) as error:  # the author's code may raise anything; it is chained, never dropped
        if (missing := missing_column(node, error)) is not None:
            raise missing from error
        lines, text = _authors_lines(error), str(error)
        frames = "\n".join(f"    {place} in {function}: {code}" for place, function, code in reversed(lines[-5:]))
        head = re.split(r"\n\s*(?:JVM stacktrace:|at |Traceback )", text, maxsplit=1)[0].strip()
        in_worker = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception): .*)$", text, flags=re.MULTILINE)
        head = in_worker[-1] if "Traceback" in text and in_worker else head
        lookup = _QUOTED_LEFT.search(text) if isinstance(error, AttributeError | KeyError) else None
        cause, remedy = f"{type(error).__name__}: {cut(head, 400)}", remedy_for(lookup[1], ()) if lookup else None
        if how := how_ended(error):
            cause, remedy = f"the JVM of Spark's driver {how}", AFTER_ITS_END
        raise NodeError(
            node.name, f"{node.kind} {node.name!r} failed: {cause}", where=lines[-1][0] if lines else node.where,
            exists=f"your lines, innermost first:\n{frames}" if frames else None, remedy=remedy,
        ) from error


def remedy_for(column: str, known: Collection[str]) -> str:
    """Return the remedy for a missing column: it is misspelt, or predictions dropped it."""
    if column not in LEFT_BY_PREDICT:
        return nearest(column, known)
    remedy = f'predictions keep `{column}` only with wf.predict(..., keep_columns=("{column}",))'
    remedy += "; in other tables wf.synthesizer(name, table, features=[...]) makes it" * (column == "features")
    return f"{remedy}; {nearest(column, known)}" if known else remedy


def authors_line(error: BaseException) -> Location | None:
    """Return the author's innermost line in the traceback of an error, if there is one."""
    lines = _authors_lines(error)
    return lines[-1][0] if lines else None


def _authors_lines(error: BaseException) -> list[tuple[Location, str, str]]:
    """Return (place, function, text) of the author's frames, outermost first, those in Spark's Python workers too."""
    frames = [
        (Location(frame.filename, frame.lineno or 0), frame.name, frame.line or "")
        for frame in traceback.extract_tb(error.__traceback__) if kind_of(frame.filename) is CodeOwner.AUTHOR
    ]
    in_message = _WORKER_LINE.findall(str(error))
    in_message += [(file, line, function) for function, file, line in _CALLED_FROM.findall(str(error))]
    return frames + [
        (Location(file, int(line)), function, "") for file, line, function in in_message
        if kind_of(file) is CodeOwner.AUTHOR
    ]


def missing_column(
    node: Node, error: BaseException, known: Collection[str] = (), place_of: Callable[[str], str] = lambda _: ""
) -> ColumnNotFoundError | None:
    """Return an error of pyspark about a missing column as a ColumnNotFoundError; None for another error. `known` are
    the existing columns, by default those that Spark suggests. `place_of` returns the line where the author names a
    column, as ``FILE:LINE``; empty if unknown."""
    text, condition = str(error), getattr(error, "getCondition", lambda: None)() or ""
    is_unresolved = condition.startswith(("UNRESOLVED_COLUMN", "CANNOT_RESOLVE_DATAFRAME_COLUMN"))
    if is_unresolved and (match := _NO_SUCH_COLUMN.search(text)) is not None:
        column, suggested = match[1], _SUGGESTED.search(text)
    elif (match := _NO_SUCH_FIELD.search(text)) is not None:
        column, suggested = match[1], re.match("(.*)", match[2])
    elif (match := _NO_ATTRIBUTE.search(text)) and type(error).__module__.split(".")[0] == "pyspark":
        column, suggested = match[1] or match[2], None
    else:
        return None
    known = known or (re.findall(r"`([^`]*)`", suggested[1]) if suggested else [])
    file, _, line = place_of(column).rpartition(":")
    return ColumnNotFoundError(
        f"{node.kind} {node.name!r} reads a column {column!r} that its table does not have",
        where=Location(file, int(line)) if file else authors_line(error) or node.where,
        remedy=remedy_for(column, known) if known or column in LEFT_BY_PREDICT else None,
    )
