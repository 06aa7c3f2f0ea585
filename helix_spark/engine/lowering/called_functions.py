"""Functions of nodes: those that get something of Spark's are called as programs of their own, others as they are. What
a captured one built is run with the results of its inputs in place of their placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.calls import (
    Watcher,
    argument,
    authors_line,
    checked,
    remedy_for,
)
from helix_spark.engine.lowering.columns import add_expressions, base_of, column_name
from helix_spark.engine.results.node_results import ColumnResult, ModelResult, NodeResult, TableResult, quoted
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.function_inputs import NotAsBuiltError, ServingSession, given_inputs
from helix_spark.engine.spark.moved_results import as_classic, as_served
from helix_spark.errors import ColumnNotFoundError, Location, NodeError
from helix_spark.plans.captured_function import CapturedFunction, Input, NotCaptured
from helix_spark.plans.connect_session import column_of, name_by_itself
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.recorded_call import NeedsClassicError, classic
from helix_spark.workflow.operators import Form, Function, Result

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from helix_spark.engine.spark.session import Sessions


_NO_SUCH_COLUMN = re.compile(r"(?:dataframe column|with name) [\"`](.+?)[\"`]")
"""How Spark says which column it does not find."""

_CONDITIONS = ("UNRESOLVED_COLUMN", "CANNOT_RESOLVE_DATAFRAME_COLUMN")


def call(
    node: Node, operator: Function, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher
) -> NodeResult:
    """Call a function that returns a table, a model or a value, or an extractor's that asks Spark something.

    Raises:
        NodeError: the function failed.
        ResultTypeError: it returned something else than it declared.
    """
    def arguments() -> dict[str, Any]:
        return {
            name: argument(result, form)
            for name, result, form in zip(operator.arguments, results, operator.forms, strict=True)
        }

    try:
        if any(map(_is_sparks, results, operator.forms)):
            return _called_as_program(node, operator, results, sessions, watcher)
        given = arguments()
        with watcher.acting(node):
            returned = operator.call(**given)
        return checked(node, returned, sessions)
    except NeedsClassicError as needs:
        returned = _called_in_classic(node, operator, arguments(), sessions, watcher, needs)
        return checked(node, returned, sessions)


def _is_sparks(result: NodeResult, form: Form) -> bool:
    return isinstance(result, ModelResult) or _is_table(result, form)


def _is_table(result: NodeResult, form: Form) -> bool:
    return isinstance(result, TableResult) and form not in (Form.PANDAS, Form.ARROW)


def _called_as_program(
    node: Node, operator: Function, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher
) -> NodeResult:
    """Return the result of a function that gets something of Spark's: it is called with placeholders for tables, and
    what it asks is answered from the record, or by Spark."""
    taken = [_is_table(result, form) for result, form in zip(results, operator.forms, strict=True)]
    tables = {place: one.frame() for place, one in enumerate(results) if taken[place] and isinstance(one, TableResult)}
    with given_inputs(sessions.get(), tables) as serves:
        kinds: list[Input] = ["table" if one else "other" for one in taken]
        call = watcher.begin(node, dict(zip(operator.arguments, kinds, strict=True)), serves)
        others = {
            name: call.model(place, result.copy()) if isinstance(result, ModelResult) else argument(result, form)
            for place, (name, result, form) in enumerate(zip(operator.arguments, results, operator.forms, strict=True))
            if not taken[place]
        }
        try:
            with watcher.acting(node):
                returned = call.call(operator.call, others)
            if node.result is Result.COLUMN or call.is_own(returned):
                found = call.look_at(returned)
                if isinstance(found, NotCaptured):  # an extractor's column may be none that other tables have, too
                    raise NotAsBuiltError(f"it {found.why}")
                watcher.captured(node, found)
                if found.is_column:
                    return built_column(node, found, results)
                server = call.server
                assert isinstance(server, ServingSession)
                returned = _table_of(node, found, server, tables)
            elif node.result is Result.MODEL:
                returned = call.returned_model(returned)
            return checked(node, returned, sessions)
        finally:
            call.end()


def _called_in_classic(
    node: Node, operator: Function, given: dict[str, Any], sessions: Sessions, watcher: Watcher, needs: BaseException
) -> Any:
    """Return what a function returns that uses what only a classic session has, such as RDDs: called in that session,
    on the same tables. What it gives has no plan that anybody could look at.

    Raises:
        NodeError: it failed, or the session is one of a server elsewhere.
    """
    client = driver_client(sessions.get())
    if client is None:
        raise NodeError(
            node.name, f"{node.kind} {node.name!r} uses {needs}, which a server of Spark Connect has not",
            where=authors_line(needs) or node.where,
            remedy="do the same with DataFrames, or have Helix start the session",
        )
    given = {name: as_classic(value, client) for name, value in given.items()}
    with watcher.acting(node), classic():
        returned = operator.call(**given)
    if why := client.why_nondeterministic(returned):
        watcher.differs(node, why)
    return as_served(returned, client)


def built_table(node: Node, built: CapturedFunction, results: Sequence[NodeResult], spark: Any) -> DataFrame:
    """Return the table that a function built. The views and Python functions that it registers are in the session then.

    Raises:
        NotAsBuiltError: what it built is not what it would build of its inputs, or of this session.
    """
    frames = {place: one.frame() for place, one in enumerate(results) if isinstance(one, TableResult)}
    with given_inputs(spark, frames) as serves:
        try:
            return _table_of(node, built, serves(built.call.values), frames)
        finally:
            built.call.end()


def _table_of(
    node: Node, built: CapturedFunction, server: ServingSession, frames: Mapping[int, DataFrame]
) -> DataFrame:
    from pyspark.errors import AnalysisException

    _check_columns(built, server)
    try:
        return server.table(built.call, built.plan)
    except AnalysisException as error:
        missing = _NO_SUCH_COLUMN.search(str(error))
        if missing is None or not (error.getCondition() or "").startswith(_CONDITIONS):
            raise
        known = dict.fromkeys(name for frame in frames.values() for name in frame.columns)
        file, _, line = built.place_of(missing[1]).rpartition(":")
        raise ColumnNotFoundError(
            f"{node.kind} {node.name!r} reads a column {missing[1]!r} that its table does not have",
            where=Location(file, int(line)) if file else None, remedy=remedy_for(missing[1], known),
        ) from error


def built_column(node: Node, built: CapturedFunction, results: Sequence[NodeResult]) -> ColumnResult:
    """Return the column that an extractor built; one for all the tables that it is added to.

    Raises:
        NotAsBuiltError: what it built is not what it would build of its table, or of this session.
    """
    base = base_of(results)
    needs = {place: one for place, one in enumerate(results) if isinstance(one, ColumnResult)}
    with given_inputs(base.frame().sparkSession, {0: base.frame()}) as serves:
        server = serves(built.call.values)
        _check_columns(built, server)
        expression = type(built.plan)()
        expression.CopyFrom(built.plan)
        name_by_itself(expression)
        server.fill(expression, {f"`{INPUT}{place}`": quoted(need.column) for place, need in needs.items()})
    made: Any = column_of(expression)
    return ColumnResult(column_name(node.name), base, tuple(needs.values()), add_expressions, lambda frame: made)


def _check_columns(built: CapturedFunction, server: ServingSession) -> None:
    """Raise NotAsBuiltError if a table has other columns than the function was told."""
    for relation, told in built.call.told:
        found = tuple(server.table(built.call, relation).columns)
        if found != told:
            raise NotAsBuiltError(f"its table has the columns {', '.join(found)}, not {', '.join(told)}")
