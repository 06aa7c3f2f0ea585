"""Which functions of a graph are captured: those of Spark tables and columns that return one, and ask Spark nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from helix_spark.capture.captured_function import BuiltFunction, Input, NotCaptured, capture
from helix_spark.dag.node import Dag, Node
from helix_spark.workflow.operators import Form, Function, Kind, Result

_FORMS = {Result.TABLE: {Form.SPARK, Form.ANY}, Result.COLUMN: {Form.COLUMN, Form.ANY}}
_INPUTS: Mapping[Result, Input] = {Result.TABLE: "table", Result.COLUMN: "column"}


def capture_nodes(dag: Dag, settings: Mapping[str, str]) -> Dag:
    """The graph, with what functions of tables and columns build in place of their texts. Calls them.

    A function that cannot be told by what it builds stays as it is.

    Args:
        settings: Spark settings that change results.
    """
    return replace(dag, nodes=tuple(_captured(node, dag, settings) for node in dag.nodes))


def _captured(node: Node, dag: Dag, settings: Mapping[str, str]) -> Node:
    operator = node.operator
    # What an author leaves out of a signature is named as code names it, and a plan has no such names.
    if not isinstance(operator, Function) or node.wishes.exclude or node.kind is Kind.REDUCER:
        return node
    if operator.returns not in (Form.SPARK, Form.COLUMN) or node.result not in _FORMS:
        return node
    inputs: dict[str, Input] = {}
    for name, source, form in zip(operator.arguments, node.inputs, operator.forms, strict=True):
        result = dag[source].result
        if form not in _FORMS.get(result, ()):
            return node
        inputs[name] = _INPUTS[result]
    found = capture(operator.call, inputs, settings)
    if isinstance(found, NotCaptured) or found.is_column != (node.result is Result.COLUMN):
        return node
    built = BuiltFunction(operator.call, operator.arguments, operator.forms, operator.returns, built=found)
    return replace(node, operator=built)
