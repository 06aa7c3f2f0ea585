"""Functions of nodes, and what they return: those that get or build something of Spark's are called as programs."""

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
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.program_client import service_behind
from helix_spark.plans.recorded_call import UDF, NeedsClassicError, classic
from helix_spark.plans.replaced_in_pyspark import pickled
from helix_spark.plans.sql_texts import spark_functions
from helix_spark.plots import as_plot
from helix_spark.workflow.operators import Form, Function, Result

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def call(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> NodeResult:
    """Call a function; return its node's result. Raises NodeError if it failed, ResultTypeError for another type."""
    is_of_spark = isinstance(operator, SparkFunction)
    if node.result is Result.COLUMN and not is_of_spark:
        return _called_for_column(node, operator, results, watcher)
    try:
        if is_of_spark or any(isinstance(one, ModelResult) for one in results) or _frames(operator, results):
            return _called_as_program(node, operator, results, watcher)
        given = _arguments(operator, results)
        with watcher.acting(node) as requests:
            returned = operator.call(**given)
            requests.note_made(returned)
    except NeedsClassicError as needs:
        returned = _called_in_classic(node, operator, results, watcher, needs)
    return checked(node, returned, watcher)


def _arguments(operator: Function, results: Sequence[NodeResult]) -> dict[str, Any]:
    """Return results in the forms that a function asks for. They are its own: others see no change of them."""
    return dict(zip(operator.arguments, map(_argument, results, operator.forms), strict=True))


def _argument(result: NodeResult, form: Form) -> Any:
    if isinstance(result, TableResult):
        return {Form.PANDAS: result.pandas, Form.ARROW: result.arrow}.get(form, result.frame)()
    assert not isinstance(result, ColumnResult), "columns are handed over by the extractor that adds them"
    return result.copy()


def _frames(operator: Function, results: Sequence[NodeResult]) -> dict[int, DataFrame]:
    return {
        place: one.frame() for place, (one, form) in enumerate(zip(results, operator.forms, strict=True))
        if isinstance(one, TableResult) and form not in (Form.PANDAS, Form.ARROW)
    }


def _called_as_program(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> NodeResult:
    """Call a function of Spark's tables with placeholders; what it asks is answered from the record, or by Spark.
    Return its result; the views and Python functions that it registers are in the session then."""
    frames = _frames(operator, results)
    with watcher.written_for(node):
        server = serving(watcher.sessions.get(), frames)
        inputs: dict[str, Input] = {
            name: "table" if place in frames else "column" if isinstance(one, ColumnResult) else "other"
            for place, (name, one) in enumerate(zip(operator.arguments, results, strict=True))
        }
        call = watcher.begin(node, inputs, server)
        server.values = call.values
        given = enumerate(zip(operator.arguments, results, operator.forms, strict=True))
        others = {
            name: call.model(place, result.copy()) if isinstance(result, ModelResult) else _argument(result, form)
            for place, (name, result, form) in given if inputs[name] == "other"
        }
        try:
            with watcher.calling(node) as requests:
                returned = call.call(operator.call, others)
                if requests is not None:
                    with call.under_way():
                        requests.note_made(returned)
            if node.result is Result.COLUMN or (node.result is Result.TABLE and call.is_own(returned)):
                found = call.look_at(returned)
                if isinstance(found, CapturedFunction) and found.is_column == (node.result is Result.COLUMN):
                    watcher.built(node, found)
                    return _result_of(node, call, found, server, frames, results)
                # A column that other tables may not have, or none.
                return _called_for_column(node, operator, results, watcher)
            if node.result is Result.MODEL and not call.is_own(returned):
                returned = call.returned_model(returned)
            return checked(node, returned, watcher)
        finally:
            call.answerer.end()


def _called_in_classic(
    node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher, needs: BaseException
) -> Any:
    """Call a function that uses RDDs, say, in the classic session, on the same tables. It gives no plan to look at."""
    spark = watcher.sessions.get()
    if (client := driver_client(spark)) is None:
        raise NodeError(
            node.name, f"{node.kind} {node.name!r} uses {needs}, which a server of Spark Connect has not",
            where=authors_line(needs) or node.where,
            remedy="do the same with DataFrames, or have Helix start the session",
        )
    given = {name: client.as_classic(value) for name, value in _arguments(operator, results).items()}
    before = results_settings_of(spark)  # whose requests are not seen
    with watcher.acting(node, gets_frames=True) as requests, classic(), sql_of_classic(client.classic) as texts:
        returned = operator.call(**given)
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
        why = f"is called in a classic session, for it uses {needs}"
    if why:
        watcher.notes.differs[node.name] = why
    return client.as_served(returned)


@contextmanager
def sql_of_classic(session: Any) -> Iterator[list[str]]:
    """Yield what actions ask of a classic session meanwhile, as far as SQL has it: functions and texts."""
    client = session.sparkContext._gateway._gateway_client
    texts: list[str] = []

    def send_command(command: str, *given: Any, **named: Any) -> Any:
        if current() is not None:
            texts.extend(_texts_in(command))
        return type(client).send_command(client, command, *given, **named)

    client.send_command = send_command
    try:
        yield texts
    finally:
        del client.send_command


def _texts_in(command: str) -> Iterator[str]:
    """Yield the function that a command of py4j calls, as SQL if it has that, and the texts that it gives.

    >>> [*_texts_in("c\\nz:org.apache.spark.sql.functions\\nrand\\nL7\\ne\\n")]
    ['rand(1)']
    >>> [*_texts_in("c\\no12\\nwhere\\nsa < 1\\ne\\n")]
    ['a < 1']
    """
    kind, target, *named = command.split("\n")
    if kind == "c" and named:
        function, *given = named[:-2]
        called = given[0][1:] if function in ("call_udf", "call_function") else function
        if target == "z:org.apache.spark.sql.functions" and (called != function or function in spark_functions()):
            yield f"{called}({', '.join('1' for _ in given)})"
        yield from (text[1:].replace("\\n", "\n") for text in given if text.startswith("s"))


def _result_of(
    node: Node, call: FunctionCall, built: CapturedFunction, server: ServingSession, frames: Mapping[int, DataFrame],
    results: Sequence[NodeResult],
) -> NodeResult:
    """Return what a function built of these tables. A column is one for all the tables that it is added to."""
    from pyspark.errors import AnalysisException

    if built.is_column:
        needs = {place: one for place, one in enumerate(results) if isinstance(one, ColumnResult)}
        expression = type(built.plan)()
        expression.CopyFrom(built.plan)
        name_by_itself(expression)
        server.fill(expression, {f"`{INPUT}{place}`": quoted(need.column) for place, need in needs.items()})
        return _column(node, results, column_of(expression))
    try:
        return table_of(server.table(call, built.plan))
    except AnalysisException as error:
        known = dict.fromkeys(name for frame in frames.values() for name in frame.columns)
        if (missing := missing_column(node, error, known, built.place_of)) is None:
            raise
        raise missing from error


def _column(node: Node, results: Sequence[NodeResult], made: Any) -> ColumnResult:
    return ColumnResult(column_name(node.name), base_of(results), columns_among(results), None, lambda frame: made)


def _called_for_column(node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher) -> ColumnResult:
    """Return the column of an extractor's function, which sees its table with the columns it takes, once for all."""
    from pyspark.sql import Column
    from pyspark.sql import functions as F

    base, needs = base_of(results), columns_among(results)
    frame = with_columns(base.frame(), needs)
    shown = {*base.frame().columns, *(need.column for need in needs)}
    if others := [name for name in frame.columns if name not in shown]:
        frame = frame.drop(*others)
    given = {
        name: F.col(quoted(result.column)) if isinstance(result, ColumnResult)
        # A Column is one of the very DataFrame that it was made of.
        else frame if result is base and form not in (Form.PANDAS, Form.ARROW) else _argument(result, form)
        for name, result, form in zip(operator.arguments, results, operator.forms, strict=True)
    }
    with watcher.acting(node, gets_frames=True) as requests:
        made = operator.call(**given)
        requests.note_made(made)
    if not isinstance(made, Column):
        raise ResultTypeError(
            f"extractor {node.name!r} must return a Column; it returned {described(made)}",
            where=node.where, remedy="annotate the table it returns (-> DataFrame), or return an expression",
        )
    return _column(node, results, named_alone(made, frame.sparkSession))


_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")
"""In what `object.__repr__` says of an object."""


def checked(node: Node, returned: Any, watcher: Watcher) -> NodeResult:
    """Return what a function returned as the result its node declares; raises ResultTypeError if it is something else.
    Of a pandas DataFrame the index is columns, too, where it tells something (see `with_index`)."""
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
            with suppress(NotStorableError):  # it is never stored
                table = storable(table)  # with the types that it will have when loaded
            return table_in_memory(table, watcher, across)
    wanted = {Result.TABLE: "a table", Result.MODEL: "a fitted Spark ML model"}[node.result]
    raise ResultTypeError(f"{node.name!r} must return {wanted}; it returned {described(returned)}", where=node.where)


def described(returned: Any) -> str:
    """Return what a function returned, in words."""
    package, kind = type(returned).__module__.split(".")[0], type(returned).__name__
    name = kind if package == "builtins" else f"{package}.{kind}"
    return "nothing (did you forget `return`?)" if returned is None else f"a {name}"


def table_of(frame: DataFrame) -> TableResult:
    made = nullable(frame)
    return TableResult(lambda: made)


def with_index(frame: Any, node: Node) -> Any:
    """Return a pandas DataFrame with its index as columns, for a table has none: the groups of a `groupby` say what its
    rows are about. An unnamed index of whole numbers, which only counts rows, is dropped. Raises ResultTypeError where
    a level has the name of a column, or of another level."""
    import pandas as pd

    in_levels = isinstance(frame.columns, pd.MultiIndex)
    if _counts_rows(frame.index) and not in_levels:
        return frame
    parts = [column if in_levels else (column,) for column in frame.columns]
    names = ["_".join(str(part) for part in one if part != "") for one in parts]
    told = frame.set_axis(pd.Index(names, dtype=object), axis=1)  # beside categories no other name could stand
    if _counts_rows(told.index):
        return told
    try:
        told = told.reset_index()
    except ValueError as error:  # of two levels, or of a level and a column, of one name
        raise ResultTypeError(
            f"{node.name!r} returned a DataFrame whose index cannot become columns: {error}", where=node.where,
            remedy="name its levels apart with rename_axis(), or leave the index out with reset_index(drop=True)",
        ) from error
    for place in range(frame.index.nlevels):
        level = told.iloc[:, place].astype(object)
        kind = pd.api.types.infer_dtype(level, skipna=True)
        if kind in ("interval", "period") or kind.startswith("mixed"):  # a table has them as text
            told.isetitem(place, level.astype(str).where(level.notna(), None))
    return told


def _counts_rows(index: Any) -> bool:
    from pandas.api.types import is_integer_dtype

    unnamed = index.nlevels == 1 and index.name is None
    return bool(unnamed and (is_integer_dtype(index.dtype) or index.inferred_type == "empty"))


def table_in_memory(table: pa.Table, watcher: Watcher, across: str = "") -> TableResult:
    """Return a pyarrow Table as a result; its DataFrame is made when Spark asks for it."""

    def frame() -> DataFrame:
        from pyspark.sql.pandas.types import from_arrow_schema

        # Times without a zone stay without one, as where they are stored without Spark.
        schema = from_arrow_schema(table.schema, prefer_timestamp_ntz=True)
        return nullable(watcher.sessions.get().createDataFrame(table, schema))

    result = TableResult(frame, lambda: table, across=across)
    result.arrow()  # its rows are here: nothing must be started to count or to store them
    return result


# What answers a call -----------------------------------------------------------------------------------------------

@dataclass(slots=True)
class ServingSession(Server):
    """A session of the engine's as the server of a call. What stays in memory of a workflow are its nodes' rows.

    Attributes:
        inputs: relations of `frames` by placeholder: the server knows a table as long as this process refers to it.
        values: what stands in plans for Python functions, by place: a function and what it returns, or the class of a
            table function. They are written for what is `meant`.
    """

    spark: Any
    inputs: Mapping[str, Any]
    frames: Mapping[int, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)
    meant: Purpose = field(default_factory=purpose)

    @property
    def session_id(self) -> str:
        """By which pyspark tells whether two tables are of one session."""
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
        """Return a request as one of the session's, with all that takes the places of names."""
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

    def fill(self, what: Any, columns: Mapping[str, str] | None = None) -> None:
        """Put tables and pickles into the places of their names, in a message. `columns` are, by placeholder as it is
        written in an expression, those that take its place."""
        for one in messages(what):
            match sort_of(one):
                case "Relation" if one.read.named_table.unparsed_identifier.startswith(INPUT):
                    number = one.common.plan_id
                    one.CopyFrom(self.inputs[one.read.named_table.unparsed_identifier])
                    one.common.plan_id = number
                case "PythonUDF" | "PythonUDTF" if one.command.startswith(UDF.encode()):
                    with written_for(self.meant):
                        one.command = pickled(self.values[int(one.command.removeprefix(UDF.encode()))])
                case "Expression.UnresolvedAttribute" if columns and one.unparsed_identifier in columns:
                    one.unparsed_identifier = columns[one.unparsed_identifier]

    def table(self, call: FunctionCall, relation: Any) -> DataFrame:
        """Return the table of a relation that a call built. Its names may mean something else later: a server elsewhere
        keeps what they mean now, and in this process's JVM it is to be settled."""
        relation = call.as_sent(relation)
        self.fill(relation)
        found: Any = frame_of(self.spark, relation)
        is_kept = call.registers and driver_client(self.spark) is None
        return kept_by_server(found) if is_kept else found


def serving(spark: Any, frames: Mapping[int, Any]) -> ServingSession:
    """Return a session as the server of the call of a function with these input tables, by position."""
    if driver_client(spark) is not None:
        # They are relations that the service knows, where it notes by which id columns name one: one may be two inputs.
        frames = {place: frame.where("true") for place, frame in frames.items()}
    relations = {f"{INPUT}{at}": frame._plan.plan(spark.client) for at, frame in frames.items()}
    return ServingSession(spark, relations, frames)
