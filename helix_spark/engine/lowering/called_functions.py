"""Calls functions of nodes: those that get something of Spark's as programs of their own, others as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.answers.function_calls import FunctionCall
from helix_spark.dag.node import Node
from helix_spark.engine.lowering.built import column_result, table_of
from helix_spark.engine.lowering.calls import Watcher, argument, authors_errors, authors_line, checked
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult
from helix_spark.engine.spark.driver_client import driver_client
from helix_spark.engine.spark.function_inputs import ServingSession, given_inputs
from helix_spark.engine.spark.moved_results import as_classic, as_served
from helix_spark.engine.spark.transport import NotAsBuiltError
from helix_spark.errors import NodeError
from helix_spark.plans.captured_function import Input, NotCaptured
from helix_spark.plans.recorded_call import NeedsClassicError, classic
from helix_spark.workflow.operators import Form, Function, Result

if TYPE_CHECKING:
    from helix_spark.engine.spark.session import Sessions


def call(
    node: Node, operator: Function, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher
) -> NodeResult:
    """Calls a function that returns a table, a model or a value, or an extractor's that asks Spark something.

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
        with authors_errors(node), watcher.acting(node):
            returned = operator.call(**given)
        return checked(node, returned, sessions)
    except NeedsClassicError as needs:
        returned = _called_in_classic(node, operator, arguments(), sessions, watcher, needs)
        return checked(node, returned, sessions)


def _is_sparks(result: NodeResult, form: Form) -> bool:
    """Whether a function gets something of Spark's."""
    return isinstance(result, ModelResult) or _is_table(result, form)


def _is_table(result: NodeResult, form: Form) -> bool:
    return isinstance(result, TableResult) and form not in (Form.PANDAS, Form.ARROW)


def _called_as_program(
    node: Node, operator: Function, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher
) -> NodeResult:
    """The result of a function that gets something of Spark's: it is called as a program of its own, with placeholders
    for tables, and what it asks is answered from the record, or by Spark."""
    taken = [_is_table(result, form) for result, form in zip(results, operator.forms, strict=True)]
    tables = {place: one.frame() for place, one in enumerate(results) if taken[place] and isinstance(one, TableResult)}
    with authors_errors(node), given_inputs(sessions.get(), tables) as serves:
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
                    return column_result(node, found, results)
                returned = table_of(node, found, server_of(call), tables)
            elif node.result is Result.MODEL:
                returned = call.returned_model(returned)
            return checked(node, returned, sessions)
        finally:
            call.end()


def _called_in_classic(
    node: Node, operator: Function, given: dict[str, Any], sessions: Sessions, watcher: Watcher, needs: BaseException
) -> Any:
    """What a function returns that uses what only a classic session has, such as RDDs: called in that session, on the
    same tables. What it gives has no plan that anybody could look at.

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
    with authors_errors(node), watcher.acting(node), classic():
        returned = operator.call(**given)
    if why := client.why_nondeterministic(returned):
        watcher.differs(node, why)
    return as_served(returned, client)


def server_of(call: FunctionCall) -> ServingSession:
    """The session that answers what a call asks."""
    server = call.server
    assert isinstance(server, ServingSession)
    return server
