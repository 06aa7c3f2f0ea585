"""From a workflow to a graph: names are looked up, the order is found, columns are checked against their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import networkx as nx

from helix_spark.dag.node import Dag, Node
from helix_spark.dag.slicing import slice_to_outputs
from helix_spark.errors import CycleError, MissingOutputError, OperatorError, UnknownNodeError, nearest
from helix_spark.workflow.declaration import Declaration
from helix_spark.workflow.operators import Assemble, Function, Kind, Result
from helix_spark.workflow.workflow import Workflow


def compile_workflow(workflow: Workflow) -> Dag:
    """The part of the workflow that its outputs need, as a frozen graph.

    Raises:
        UnknownNodeError: a name that no node has, with the nearest one.
        CycleError: with the circle printed.
        MissingOutputError: if nothing is asked for.
        OperatorError: a column of another table, or a column read where a table is needed.
    """
    declared = {declaration.name: declaration for declaration in workflow.declarations}
    nodes = [_node(declaration, declared) for declaration in workflow.declarations]
    ordered = _topological(nodes)
    _check_columns(ordered)
    outputs = _outputs(workflow, {node.name: node for node in ordered})
    return slice_to_outputs(Dag(workflow.name, ordered, outputs, parameters=dict(workflow.parameters)))


def _node(declaration: Declaration, declared: Mapping[str, Declaration]) -> Node:
    kept = [name for name in declaration.inputs if name in declared or name not in declaration.optional]
    for name in kept:
        if name not in declared:
            raise UnknownNodeError(
                f"{declaration.name!r} reads {name!r}, and no node is named so", where=declaration.where,
                remedy=nearest(name, declared),
            )
    operator = declaration.operator
    if isinstance(operator, Function) and len(kept) < len(declaration.inputs):
        forms = dict(zip(operator.arguments, operator.forms, strict=True))
        operator = replace(operator, arguments=tuple(kept), forms=tuple(forms[name] for name in kept))
    return Node(
        declaration.name, declaration.kind, operator, tuple(kept), declaration.result, declaration.where,
        declaration.base, declaration.wishes,
    )


def _topological(nodes: list[Node]) -> tuple[Node, ...]:
    """Inputs before readers; otherwise the order of declaration."""
    graph = nx.DiGraph()
    graph.add_nodes_from(node.name for node in nodes)
    graph.add_edges_from((source, node.name) for node in nodes for source in node.inputs)
    position = {node.name: index for index, node in enumerate(nodes)}
    by_name = {node.name: node for node in nodes}
    try:
        return tuple(by_name[name] for name in nx.lexicographical_topological_sort(graph, position.__getitem__))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        raise CycleError(
            "nodes read each other in a circle: " + " -> ".join([*circle, circle[0]]),
            where=by_name[circle[0]].where, remedy="have one of them read something else",
        ) from None


def _outputs(workflow: Workflow, nodes: Mapping[str, Node]) -> tuple[str, ...]:
    if not workflow.outputs:
        raise MissingOutputError(
            f"workflow {workflow.name!r} asks for nothing", where=workflow.where,
            remedy="mark what you want to see: output=True on a node, or wf.output(node)",
        )
    for name in workflow.outputs:
        if name not in nodes:
            raise UnknownNodeError(
                f"output {name!r} is not a node", where=workflow.where, remedy=nearest(name, nodes)
            )
        if nodes[name].result is Result.COLUMN:
            raise OperatorError(
                f"output {name!r} is a column, which is nothing without its table", where=nodes[name].where,
                remedy="ask for a table that holds it, or return a DataFrame from the function",
            )
    return tuple(dict.fromkeys(workflow.outputs))


def _check_columns(nodes: tuple[Node, ...]) -> None:
    """Columns are read only by extractors and examples of the very table that they extend."""
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        base = node.base or (node.inputs[0] if _takes_columns(node) and node.inputs else None)
        if node.base is not None and by_name[node.base].result is not Result.TABLE:
            raise OperatorError(
                f"extractor {node.name!r} extends {node.base!r}, which is a {by_name[node.base].result}, not a table",
                where=node.where, remedy="name the table that it extends as its first parameter",
            )
        for name in node.inputs:
            read = by_name[name]
            if read.result is not Result.COLUMN:
                continue
            if not _takes_columns(node):
                raise OperatorError(
                    f"{node.kind} {node.name!r} reads {name!r}, which is a column of {read.base!r}", where=node.where,
                    remedy="columns are read by extractors of the same table, or assembled by a synthesizer",
                )
            if read.base != base:
                raise OperatorError(
                    f"{node.name!r} is made of {base!r}, but {name!r} is a column of {read.base!r}", where=node.where,
                    remedy=f"extract it from {base!r}",
                )


def _takes_columns(node: Node) -> bool:
    return node.kind is Kind.EXTRACTOR or isinstance(node.operator, Assemble)
