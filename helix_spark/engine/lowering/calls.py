"""Calls the author's functions: arguments in the form they ask for, results checked, failures told in their terms."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from helix_spark.answers.function_calls import FunctionCall
from helix_spark.dag.node import Node
from helix_spark.engine.results.node_results import (
    ColumnResult,
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    nullable,
    plain,
)
from helix_spark.engine.spark.function_inputs import Serves
from helix_spark.engine.spark.gateway import AFTER_ITS_END, how_ended
from helix_spark.errors import ColumnNotFoundError, HelixError, Location, NodeError, ResultTypeError, nearest
from helix_spark.plans.captured_function import CapturedFunction, Input
from helix_spark.plots import as_plot
from helix_spark.workflow.operators import LEFT_BY_PREDICT, Form, Function, Kind, Result
from helix_spark.workflow.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from helix_spark.engine.spark.session import Sessions

_PACKAGE = str(Path(__file__).parents[2])
_LIBRARIES = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_WORKER_LINE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')

_CALLED_FROM = re.compile(r'^"(.+)" was called from\n(.+):(\d+)$', re.MULTILINE)
"""How Spark says which of the author's lines built what fails, where it knows."""

_LEFT = "|".join(LEFT_BY_PREDICT)
_QUOTED_LEFT = re.compile(rf"['\"`]({_LEFT})['\"`]")
_NO_SUCH_FIELD = re.compile(rf"No such struct field `?({_LEFT})\b`? in (.*)")
"""How Spark ML's stages and evaluators say that a table lacks a column, and which it has."""


class Watcher(Protocol):
    """Is told of what happens while nodes are computed."""

    def opened(self, name: str, source: Source) -> None:
        """A source was opened: Spark has listed its files."""

    def acting(self, node: Node) -> AbstractContextManager[None]:
        """While a function of a node's author runs."""

    def differs(self, node: Node, why: str) -> None:
        """What a node has may be another result each time."""

    def begin(self, node: Node, inputs: Mapping[str, Input], serves: Serves) -> FunctionCall:
        """A call of a node's function that gets something of Spark's.

        Args:
            inputs: by parameter, what it gets.
        """

    def captured(self, node: Node, found: CapturedFunction) -> None:
        """A call has built a table or a column."""


def argument(result: NodeResult, form: Form) -> Any:
    """Return a result in the form that a function asks for. It is the function's own: others see no change of it."""
    match result:
        case TableResult():
            return {Form.PANDAS: result.pandas, Form.ARROW: result.arrow}.get(form, result.frame)()
        case ModelResult() | ValueResult():
            return result.copy()
        case ColumnResult():
            raise AssertionError("columns are handed over by the extractor that adds them")


def checked(node: Node, returned: Any, sessions: Sessions) -> NodeResult:
    """Return what a function returned as the result its node declares. Of a pandas DataFrame the index is columns, too,
    where it tells something (see `with_index`).

    Raises:
        ResultTypeError: it is something else.
    """
    package, kind = type(returned).__module__.split(".")[0], type(returned).__name__
    if node.result is Result.VALUE:
        return ValueResult(plain(as_plot(returned), node.name))
    if node.result is Result.MODEL and hasattr(returned, "transform") and not hasattr(returned, "fit"):
        return ModelResult(returned)
    if node.result is Result.TABLE and kind in ("DataFrame", "Table"):
        if package == "pyspark":
            frame = nullable(returned)
            return TableResult(lambda: frame)
        if package in ("pandas", "pyarrow"):
            return _in_memory(returned, node, sessions)
    wanted = {Result.TABLE: "a table", Result.MODEL: "a fitted Spark ML model"}[node.result]
    got = "nothing (did you forget `return`?)" if returned is None else f"a {package}.{kind}"
    raise ResultTypeError(f"{node.name!r} must return {wanted}; it returned {got}", where=node.where)


def _in_memory(returned: Any, node: Node, sessions: Sessions) -> TableResult:
    import pyarrow as pa

    is_arrow = isinstance(returned, pa.Table)
    table = returned if is_arrow else pa.Table.from_pandas(with_index(returned, node), preserve_index=False)
    result = table_in_memory(_as_loaded(table), sessions)
    result.across = "" if is_arrow else str(returned.columns.name or "")
    return result


def with_index(frame: Any, node: Node) -> Any:
    """Return a pandas DataFrame with its index as columns, for a table has none: the groups of a `groupby` say what its
    rows are about. An unnamed index of whole numbers, which only counts rows, is dropped, as is a repeated column.

    Raises:
        ResultTypeError: a level of the index is named as a column that holds something else.
    """
    import pandas as pd

    in_levels = isinstance(frame.columns, pd.MultiIndex)
    if _counts_rows(frame.index) and not in_levels:
        return frame
    parts = [column if in_levels else (column,) for column in frame.columns]
    names = ["_".join(str(part) for part in one if part != "") for one in parts]
    told = frame.set_axis(pd.Index(names, dtype=object), axis=1)  # beside categories no other name could stand
    if repeated := _repeated_levels(told, node):
        told = told.reset_index(level=repeated, drop=True)
    if _counts_rows(told.index):
        return told
    levels = told.index.nlevels
    told = _told_apart(told).reset_index()
    for place in range(levels):
        column = told.iloc[:, place]
        if _is_of_spans(column.dtype) or pd.api.types.infer_dtype(column, skipna=True).startswith("mixed"):
            told.isetitem(place, column.astype(str).where(column.notna(), None))
    return told


def _told_apart(frame: Any) -> Any:
    """Number levels of one name, as after `groupby([df.born.dt.year, df.born.dt.month])`."""
    names = list(frame.index.names)
    twice = {name for name in names if name is not None and names.count(name) > 1}
    apart = [f"{name}_{level}" if name in twice else name for level, name in enumerate(names)]
    return frame.set_axis(frame.index.set_names(apart)) if twice else frame


def _counts_rows(index: Any) -> bool:
    from pandas.api.types import is_integer_dtype

    unnamed = index.nlevels == 1 and index.name is None
    return bool(unnamed and (is_integer_dtype(index.dtype) or index.inferred_type == "empty"))


def _repeated_levels(frame: Any, node: Node) -> list[int]:
    """Return the levels of the index that a column repeats, as after `set_index("id", drop=False)`."""
    import pandas as pd

    repeated = []
    for level, name in enumerate(frame.index.names):
        if name is None or name not in frame.columns:
            continue
        if not frame.index.get_level_values(level).equals(pd.Index(frame[name])):
            raise ResultTypeError(
                f"{node.name!r} returned a DataFrame with a column and an index named {name!r} that differ",
                where=node.where, remedy="rename one of them, or leave the index out with reset_index(drop=True)",
            )
        repeated.append(level)
    return repeated


def _is_of_spans(dtype: Any) -> bool:
    """Return whether values are intervals or periods, as of `pd.cut` and `to_period`: a table has them as text."""
    import pandas as pd

    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    return isinstance(inner, pd.IntervalDtype | pd.PeriodDtype)


def _as_loaded(table: pa.Table) -> pa.Table:
    """Return a table with the types it will have when it is loaded, so that its readers see one form of it: no
    categories, no nanoseconds, no unsigned integers."""
    from helix_spark.catalog.tables.table_writing import NotStorableError, storable

    try:
        return storable(table)
    except NotStorableError:
        return table  # nobody will load it


def table_in_memory(table: pa.Table, sessions: Sessions) -> TableResult:
    """Return a pyarrow Table as a result; its DataFrame is made when Spark asks for it."""

    def frame() -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema

        # Times without a zone stay without one, as where they are stored without Spark.
        schema = from_arrow_schema(table.schema, prefer_timestamp_ntz=True)
        return nullable(sessions.get().createDataFrame(table, schema))

    result = TableResult(frame, lambda: table)
    result.arrow()  # its rows are here: nothing must be started to count or to store them
    return result


@contextmanager
def authors_errors(node: Node) -> Iterator[None]:
    """Turn whatever a node's code or its Spark job raises into an error that names the node and the author's line."""
    try:
        yield
    except HelixError as error:
        if error.where is None:
            error.where = node.where
        raise
    except (Exception, SystemExit) as error:  # the author's code may raise anything; it is chained, never dropped
        missing = _missing_column(node, error)
        raise missing or _node_error(node, error) from error


def _node_error(node: Node, error: BaseException) -> NodeError:
    lines = _authors_lines(error)
    where = lines[-1][0] if lines else node.where
    shown = "\n".join(f"    {place} in {function}: {text}" for place, function, text in reversed(lines[-5:]))
    exists = f"your lines, innermost first:\n{shown}" if shown else None
    if (how := how_ended(error)) is not None:
        return NodeError(
            node.name, f"{node.kind} {node.name!r} failed: the JVM of Spark's driver {how}", where=where, exists=exists,
            remedy=AFTER_ITS_END,
        )
    return NodeError(
        node.name, f"{node.kind} {node.name!r} failed: {type(error).__name__}: {_first_lines(str(error))}",
        where=where, exists=exists, remedy=_remedy_for_lookup(error) or _remedy_for_jvm(error),
    )


def remedy_for(column: str, known: Collection[str]) -> str:
    """Return what to do about a missing column: it is misspelt, or predictions were made without it."""
    if column not in LEFT_BY_PREDICT:
        return nearest(column, known)
    asked = f'if it is of predictions: they go without `{column}` unless wf.predict(..., keep_columns=("{column}",))'
    asked += " asks for it" + ("; else wf.synthesizer(name, table, features=[...]) makes it" * (column == "features"))
    return f"{asked}; {nearest(column, known)}" if known else asked


def _remedy_for_lookup(error: BaseException) -> str | None:
    """Return the same for a column that pandas or pyarrow did not find."""
    found = _QUOTED_LEFT.search(str(error)) if isinstance(error, AttributeError | KeyError) else None
    return remedy_for(found[1], ()) if found else None


_OF_A_JVM = frozenset({"NOT_IMPLEMENTED", "JVM_ATTRIBUTE_NOT_SUPPORTED", "UNSUPPORTED_OPERATION"})
"""How pyspark's Connect client says that only a classic session has RDDs, a `sparkContext` and objects of the JVM."""


def _remedy_for_jvm(error: BaseException) -> str | None:
    if not type(error).__module__.startswith("pyspark.errors") or error.getCondition() not in _OF_A_JVM:  # type: ignore[attr-defined]  # all of pyspark's have it
        return None
    return (
        "a session by Spark Connect has no RDDs and no objects of the JVM: do the same with DataFrames, or run it by a "
        "classic session (without SPARK_REMOTE and spark.remote)"
    )


def _first_lines(text: str) -> str:
    """Return a Spark error's message without the JVM's and the workers' stack traces."""
    head = re.split(r"\n\s*(?:JVM stacktrace:|at |Traceback )", text, maxsplit=1)[0].strip()
    worker = re.findall(r"^(\w+(?:\.\w+)*(?:Error|Exception): .*)$", text, flags=re.MULTILINE)
    head = worker[-1] if "Traceback" in text and worker else head
    return head if len(head) <= _LONGEST_ERROR else head[:_LONGEST_ERROR] + " ..."


_LONGEST_ERROR = 400


def authors_line(error: BaseException) -> Location | None:
    """Return the author's innermost line that an error comes from; None if there is none."""
    lines = _authors_lines(error)
    return lines[-1][0] if lines else None


def _authors_lines(error: BaseException) -> list[tuple[Location, str, str]]:
    """Return (place, function, text) of the author's frames, outermost first, those in Spark's Python workers too."""
    frames = [
        (Location(frame.filename, frame.lineno or 0), frame.name, frame.line or "")
        for frame in traceback.extract_tb(error.__traceback__) if _is_authors(frame.filename)
    ]
    frames += [
        (Location(file, int(line)), function, "")
        for file, line, function in _WORKER_LINE.findall(str(error)) if _is_authors(file)
    ]
    frames += [
        (Location(file, int(line)), function, "")
        for function, file, line in _CALLED_FROM.findall(str(error)) if _is_authors(file)
    ]
    return frames


def _is_authors(file: str) -> bool:
    outside = not file.startswith((_PACKAGE, *_LIBRARIES)) and "site-packages" not in file
    return outside and not file.startswith("<frozen") and "/pyspark/" not in file and "/py4j" not in file


def _missing_column(node: Node, error: BaseException) -> ColumnNotFoundError | None:
    condition = getattr(error, "getCondition", lambda: None)()
    text = str(error)
    if condition and condition.startswith("UNRESOLVED_COLUMN"):
        name = re.search(r"parameter with name `(.+?)` cannot|name `(.+?)` cannot", text)
        near = re.search(r"\[((?:`[^`]*`(?:, )?)+)\]", text)
        column = next((group for group in name.groups() if group), "?") if name else "?"
        known = re.findall(r"`([^`]*)`", near[1]) if near else []
    elif (missed := _NO_SUCH_FIELD.search(text)) is not None:
        column, known = missed[1], re.findall(r"`([^`]*)`", missed[2])
    else:
        attribute = re.search(r"'?DataFrame'? object has no attribute `?'?(\w+)|ATTRIBUTE_NOT_SUPPORTED.*`(\w+)`", text)
        if attribute is None or type(error).__module__.split(".")[0] != "pyspark":
            return None
        column, known = attribute[1] or attribute[2], []
    lines = _authors_lines(error)
    return ColumnNotFoundError(
        f"{node.kind} {node.name!r} reads a column {column!r} that its table does not have",
        where=lines[-1][0] if lines else node.where,
        remedy=remedy_for(column, known) if known or column in LEFT_BY_PREDICT else None,
    )


def is_lazy(node: Node) -> bool:
    """Return whether lowering the node only extends a plan: a table or a column, not a fit, a value, collected rows."""
    operator = node.operator
    if node.result not in (Result.TABLE, Result.COLUMN):
        return False
    if isinstance(operator, Function):
        return operator.returns in (Form.SPARK, Form.COLUMN) and not {Form.PANDAS, Form.ARROW} & set(operator.forms)
    return node.kind is not Kind.REDUCER
