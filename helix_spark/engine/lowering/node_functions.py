"""Calls of nodes' functions, and the results made of what they return."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helix_spark.answers.function_calls import FunctionCall
from helix_spark.answers.served_session import Server
from helix_spark.dag.node import Node, column_name
from helix_spark.engine.lowering.authors_errors import authors_line, missing_column
from helix_spark.engine.lowering.columns import base_of, columns_among, with_columns
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import (
    ColumnResult,
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    nullable,
    plain,
    quoted,
)
from helix_spark.engine.spark.borrowed import results_settings_of
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.errors import NodeError, ResultTypeError
from helix_spark.hermetic.action import current
from helix_spark.hermetic.task import Purpose, purpose, written_for
from helix_spark.plans.captured_function import CapturedFunction, Input, SparkFunction
from helix_spark.plans.connect_session import column_of, frame_of, kept_by_server, name_by_itself, named_alone
from helix_spark.plans.current_program import UDF, NeedsClassicError, classic
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.program_client import service_behind
from helix_spark.plans.replaced_in_pyspark import pickled
from helix_spark.plans.sql_texts import spark_functions
from helix_spark.plots import as_plot
from helix_spark.workflow.operators import COLLECTED, Form, Function, Result

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def call(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> NodeResult:
    """Call a function; return its node's result. Raises NodeError if it failed, ResultTypeError for another type."""
    is_of_spark = isinstance(operator, SparkFunction)
    if node.result is Result.COLUMN and not is_of_spark:
        return _call_for_column(node, operator, results, watcher)
    try:
        if is_of_spark or any(isinstance(result, ModelResult) for result in results) or _frames(operator, results):
            return _call_as_program(node, operator, results, watcher)
        arguments = _arguments(operator, results)
        with watcher.acting(node) as requests:
            returned = operator.call(**arguments)
            requests.note_made(returned)
    except NeedsClassicError as needs:
        returned = _call_in_classic(node, operator, results, watcher, needs)
    return checked(node, returned, watcher)


def _arguments(operator: Function, results: Sequence[NodeResult]) -> dict[str, Any]:
    """Return the arguments of a function, in the forms that it asks for. It may change them: they are its own."""
    return dict(zip(operator.arguments, map(_argument, results, operator.forms), strict=True))


def _argument(result: NodeResult, form: Form) -> Any:
    if isinstance(result, TableResult):
        return {Form.PANDAS: result.pandas, Form.ARROW: result.arrow}.get(form, result.frame)()
    assert not isinstance(result, ColumnResult), "only extractors read columns"
    return result.copy()


def _frames(operator: Function, results: Sequence[NodeResult]) -> dict[int, DataFrame]:
    return {
        place: result.frame() for place, (result, form) in enumerate(zip(results, operator.forms, strict=True))
        if isinstance(result, TableResult) and form not in COLLECTED
    }


def _call_as_program(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> NodeResult:
    """Call a function of Spark's tables with placeholders; its requests are answered from the record, or by Spark.
    Return its result. The session then has the views and Python functions that it registers."""
    frames = _frames(operator, results)
    with watcher.written_for(node):
        server = serving(watcher.sessions.get(), frames)
        inputs: dict[str, Input] = {
            name: "table" if place in frames else "column" if isinstance(result, ColumnResult) else "other"
            for place, (name, result) in enumerate(zip(operator.arguments, results, strict=True))
        }
        call = watcher.begin(node, inputs, server)
        server.values = call.values
        parameters = enumerate(zip(operator.arguments, results, operator.forms, strict=True))
        others = {
            name: call.model(place, result.copy()) if isinstance(result, ModelResult) else _argument(result, form)
            for place, (name, result, form) in parameters if inputs[name] == "other"
        }
        try:
            with watcher.calling(node) as requests:
                returned = call.call(operator.call, others)
                if requests is not None:
                    with call.under_way():
                        requests.note_made(returned)
            if node.result is Result.COLUMN or (node.result is Result.TABLE and call.is_own(returned)):
                built = call.look_at(returned)
                if isinstance(built, CapturedFunction) and built.is_column == (node.result is Result.COLUMN):
                    watcher.built(node, built)
                    return _result_of(node, call, built, server, frames, results)
                # No column, or a column that other tables may not have.
                return _call_for_column(node, operator, results, watcher)
            if node.result is Result.MODEL and not call.is_own(returned):
                returned = call.returned_model(returned)
            return checked(node, returned, watcher)
        finally:
            call.answerer.end()


def _call_in_classic(
    node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher, needs: BaseException
) -> Any:
    """Call a function in the classic session, on the same tables: it uses RDDs, say. Its plan is not known."""
    spark = watcher.sessions.get()
    if (client := driver_client(spark)) is None:
        raise NodeError(
            node.name, f"{node.kind} {node.name!r} uses {needs}, which Spark Connect does not have",
            where=authors_line(needs) or node.where,
            remedy="do the same with DataFrames, or have Helix start the session",
        )
    arguments = {name: client.as_classic(value) for name, value in _arguments(operator, results).items()}
    before = results_settings_of(spark)  # a classic session sends no requests to watch
    with watcher.acting(node, gets_frames=True) as requests, classic(), sql_of_classic(client.classic) as texts:
        returned = operator.call(**arguments)
        requests.note_made(returned)
        requests.note_sql(texts)
    for name, value in results_settings_of(spark).items():
        if value != before.get(name):
            watcher.notes.left[node.name] = f"{name} as {value!r}, which was {before.get(name)!r}"
    why, dataset = "", getattr(returned, "_jdf", None)
    if dataset is not None and not dataset.queryExecution().analyzed().deterministic():
        why = "uses an expression that Spark calls nondeterministic (rand, uuid, ...)"
    if node.wishes.depends_on is None:
        why = f"uses {needs}, so that Helix cannot see what it reads (name that in depends_on=, [] if nothing)"
    if isinstance(operator, SparkFunction) and operator.built is not None:
        why = f"is called in a classic session because it uses {needs}"
    if why:
        watcher.notes.differs[node.name] = why
    return client.as_served(returned)


@contextmanager
def sql_of_classic(session: Any) -> Iterator[list[str]]:
    """Yield a list that collects the functions and texts that actions send to a classic session, as SQL."""
    client = session.sparkContext._gateway._gateway_client
    texts: list[str] = []

    def send_command(command: str, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            texts.extend(_texts_in(command))
        return type(client).send_command(client, command, *args, **kwargs)

    client.send_command = send_command
    try:
        yield texts
    finally:
        del client.send_command


def _texts_in(command: str) -> Iterator[str]:
    """Yield the function that a py4j command calls, if SQL has it, and the command's texts.

    >>> [*_texts_in("c\\nz:org.apache.spark.sql.functions\\nrand\\nL7\\ne\\n")]
    ['rand(1)']
    >>> [*_texts_in("c\\no12\\nwhere\\nsa < 1\\ne\\n")]
    ['a < 1']
    """
    kind, target, *fields = command.split("\n")
    if kind == "c" and fields:
        function, *arguments = fields[:-2]
        called = arguments[0][1:] if function in ("call_udf", "call_function") else function
        if target == "z:org.apache.spark.sql.functions" and (called != function or function in spark_functions()):
            yield f"{called}({', '.join('1' for _ in arguments)})"
        yield from (text[1:].replace("\\n", "\n") for text in arguments if text.startswith("s"))


def _result_of(
    node: Node, call: FunctionCall, built: CapturedFunction, server: ServingSession, frames: Mapping[int, DataFrame],
    results: Sequence[NodeResult],
) -> NodeResult:
    """Return the table or column that a function built. One column serves all tables that it is added to."""
    from pyspark.errors import AnalysisException

    if built.is_column:
        needs = {place: result for place, result in enumerate(results) if isinstance(result, ColumnResult)}
        expression = type(built.plan)()
        expression.CopyFrom(built.plan)
        name_by_itself(expression)
        server.fill(expression, {f"`{INPUT}{place}`": quoted(need.column) for place, need in needs.items()})
        return _column(node, results, column_of(expression))
    try:
        return table_of(server.table(call, built.plan))
    except AnalysisException as error:
        columns = dict.fromkeys(name for frame in frames.values() for name in frame.columns)
        if (missing := missing_column(node, error, columns, built.place_of)) is None:
            raise
        raise missing from error


def _column(node: Node, results: Sequence[NodeResult], column: Any) -> ColumnResult:
    return ColumnResult(column_name(node.name), base_of(results), columns_among(results), None, lambda frame: column)


def _call_for_column(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> ColumnResult:
    """Call an extractor's function once, on its table with the columns that it takes; return its column."""
    from pyspark.sql import Column
    from pyspark.sql import functions as F

    base, needs = base_of(results), columns_among(results)
    frame = with_columns(base.frame(), needs)
    shown = {*base.frame().columns, *(need.column for need in needs)}
    if hidden := [name for name in frame.columns if name not in shown]:
        frame = frame.drop(*hidden)
    arguments = {
        name: F.col(quoted(result.column)) if isinstance(result, ColumnResult)
        # A Column belongs to the very DataFrame that it was built from.
        else frame if result is base and form not in COLLECTED else _argument(result, form)
        for name, result, form in zip(operator.arguments, results, operator.forms, strict=True)
    }
    with watcher.acting(node, gets_frames=True) as requests:
        column = operator.call(**arguments)
        requests.note_made(column)
    if not isinstance(column, Column):
        raise ResultTypeError(
            f"extractor {node.name!r} must return a Column; it returned {described(column)}",
            where=node.where, remedy="annotate the table it returns (-> DataFrame), or return an expression",
        )
    return _column(node, results, named_alone(column, frame.sparkSession))


_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")
"""An address in the text of `object.__repr__`."""


def checked(node: Node, returned: Any, watcher: Watcher) -> NodeResult:
    """Return a returned object as the result that its node declares; raises ResultTypeError for another type. The index
    of a pandas DataFrame may become columns (see `with_index`)."""
    package, kind = type(returned).__module__.split(".")[0], type(returned).__name__
    if node.result is Result.VALUE:
        value = plain(as_plot(returned), node.name)
        if _ADDRESS.search(str(value)):
            watcher.notes.differs[node.name] = "returns the address of an object in memory"
        return ValueResult(value)
    if node.result is Result.MODEL and hasattr(returned, "transform") and not hasattr(returned, "fit"):
        return ModelResult(returned)
    if node.result is Result.TABLE and kind in ("DataFrame", "Table"):
        if package == "pyspark":
            return table_of(returned)
        if package in ("pandas", "pyarrow"):
            import pyarrow as pa

            from helix_spark.catalog.tables.table_writing import NotStorableError, storable

            table, across = returned, ""
            if package == "pandas":
                table = pa.Table.from_pandas(with_index(returned, node), preserve_index=False)
                across = str(returned.columns.name or "")
            with suppress(NotStorableError):  # then it is never stored
                table = storable(table)  # the types that it has when loaded
            return table_in_memory(table, watcher, across)
    expected = {Result.TABLE: "a table", Result.MODEL: "a fitted Spark ML model"}[node.result]
    raise ResultTypeError(f"{node.name!r} must return {expected}; it returned {described(returned)}", where=node.where)


def described(returned: Any) -> str:
    """Describe the type of a returned object, for messages."""
    package, kind = type(returned).__module__.split(".")[0], type(returned).__name__
    name = kind if package == "builtins" else f"{package}.{kind}"
    return "nothing (did you forget `return`?)" if returned is None else f"a {name}"


def table_of(frame: DataFrame) -> TableResult:
    relaxed = nullable(frame)
    return TableResult(lambda: relaxed)


def with_index(frame: Any, node: Node) -> Any:
    """Return a pandas DataFrame with its index as columns, such as the groups of a `groupby`: a table has no index. An
    unnamed index of whole numbers only counts rows and is dropped. Raises ResultTypeError where a level has the name of
    a column or of another level."""
    import pandas as pd

    in_levels = isinstance(frame.columns, pd.MultiIndex)
    if _counts_rows(frame.index) and not in_levels:
        return frame
    parts = [column if in_levels else (column,) for column in frame.columns]
    names = ["_".join(str(part) for part in column if part != "") for column in parts]
    table = frame.set_axis(pd.Index(names, dtype=object), axis=1)  # a categorical index takes no new name
    if _counts_rows(table.index):
        return table
    try:
        table = table.reset_index()
    except ValueError as error:  # two levels, or a level and a column, of one name
        raise ResultTypeError(
            f"{node.name!r} returned a DataFrame whose index cannot become columns: {error}", where=node.where,
            remedy="rename its levels with rename_axis(), or drop the index with reset_index(drop=True)",
        ) from error
    for place in range(frame.index.nlevels):
        level = table.iloc[:, place].astype(object)
        kind = pd.api.types.infer_dtype(level, skipna=True)
        if kind in ("interval", "period") or kind.startswith("mixed"):  # a table has them as text
            table.isetitem(place, level.astype(str).where(level.notna(), None))
    return table


def _counts_rows(index: Any) -> bool:
    from pandas.api.types import is_integer_dtype

    unnamed = index.nlevels == 1 and index.name is None
    return bool(unnamed and (is_integer_dtype(index.dtype) or index.inferred_type == "empty"))


def table_in_memory(table: pa.Table, watcher: Watcher, across: str = "") -> TableResult:
    """Return a pyarrow Table as a result; its DataFrame is created when it is needed."""

    def frame() -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema

        # Times without a zone keep none, as when they are stored without Spark.
        schema = from_arrow_schema(table.schema, prefer_timestamp_ntz=True)
        return nullable(watcher.sessions.get().createDataFrame(table, schema))

    result = TableResult(frame, lambda: table, across=across)
    result.arrow()  # counting or storing its rows needs no Spark
    return result


# The server of a call ---------------------------------------------------------------------------------------------

@dataclass(slots=True)
class ServingSession(Server):
    """A session of the engine as the server of a call.

    Attributes:
        inputs: relations of `frames` by placeholder: the server knows a table as long as this process refers to it.
        values: Python functions with their return types, or classes of table functions, by their number in plans.
        meant: the purpose for which these values are pickled.
    """

    spark: Any
    inputs: Mapping[str, Any]
    frames: Mapping[int, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    meant: Purpose = field(default_factory=purpose)

    @property
    def session_id(self) -> str:
        """The id by which pyspark compares the sessions of tables."""
        return str(self.spark.session_id)

    def stub(self) -> ServingSession:
        return self

    def drop(self) -> None:
        """No-op: it never ends by itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        call = getattr(service_behind(self.spark), name)
        return lambda request, metadata=None: call(self._as_of_session(request))

    def _as_of_session(self, request: Any) -> Any:
        """Return a request as one of this session, its placeholders filled."""
        like = self.spark.client._execute_plan_request_with_metadata()
        copy = type(request)()
        copy.CopyFrom(request)
        copy.session_id = like.session_id
        copy.user_context.CopyFrom(like.user_context)
        if hasattr(copy, "plan"):
            copy.tags.extend(like.tags)
            self.fill(copy.plan)
        elif type(copy).__name__ == "AnalyzePlanRequest":
            self.fill(copy)
        return copy

    def fill(self, message: Any, columns: Mapping[str, str] | None = None) -> None:
        """Replace the placeholders in a message by tables, pickles and, by placeholder in an expression, `columns`."""
        for part in messages(message):
            match type_of(part):
                case "Relation" if part.read.named_table.unparsed_identifier.startswith(INPUT):
                    number = part.common.plan_id
                    part.CopyFrom(self.inputs[part.read.named_table.unparsed_identifier])
                    part.common.plan_id = number
                case "PythonUDF" | "PythonUDTF" if part.command.startswith(UDF.encode()):
                    with written_for(self.meant):
                        part.command = pickled(self.values[int(part.command.removeprefix(UDF.encode()))])
                case "Expression.UnresolvedAttribute" if columns and part.unparsed_identifier in columns:
                    part.unparsed_identifier = columns[part.unparsed_identifier]

    def table(self, call: FunctionCall, relation: Any) -> DataFrame:
        """Return the table of a relation that a call built. Its names may mean something else later: a server elsewhere
        keeps what they mean now; in this process's JVM, `settle` does."""
        relation = call.as_sent(relation)
        self.fill(relation)
        frame: Any = frame_of(self.spark, relation)
        is_kept = call.registers and driver_client(self.spark) is None
        return kept_by_server(frame) if is_kept else frame


def serving(spark: Any, frames: Mapping[int, Any]) -> ServingSession:
    """Return a session as the server of the call of a function with these input tables, by position."""
    if driver_client(spark) is not None:
        # The service notes by which id columns name a relation: a frame that is two inputs needs two relations.
        frames = {place: frame.where("true") for place, frame in frames.items()}
    relations = {f"{INPUT}{at}": frame._plan.plan(spark.client) for at, frame in frames.items()}
    return ServingSession(spark, relations, frames)
