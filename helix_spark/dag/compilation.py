"""From a workflow to a graph: look up names, order nodes, check inputs, and merge equal nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from helix_spark.dag.node import Dag, Node, slice_to_outputs
from helix_spark.errors import OperatorError, WorkflowError, nearest
from helix_spark.workflow.functions import TABLE_FORMS, never_a_table
from helix_spark.workflow.operators import COLLECTED, Assemble, FitStage, Form, Function, Kind, Predict, Result
from helix_spark.workflow.workflow import Workflow


def compile_workflow(workflow: Workflow) -> Dag:
    """Return the part of the workflow that its outputs need, as a frozen graph. Raises WorkflowError for a name that no
    node has, with the nearest one, for a circle, and where there is no output; OperatorError for a column of another
    table, and an input of another kind than its reader takes."""
    declared = {declaration.name: declaration for declaration in workflow.declarations}
    nodes = [_node(declaration, declared) for declaration in workflow.declarations]
    ordered = _topological(nodes)
    by_name = {node.name: node for node in ordered}
    _check_columns(ordered, by_name)
    for node in ordered:
        _check_inputs(node, by_name)
    if not workflow.outputs:
        raise WorkflowError(
            f"workflow {workflow.name!r} asks for nothing", where=workflow.where,
            remedy="mark what you want to see: output=True on a node, or wf.output(node)",
        )
    for name in workflow.outputs:
        if name not in by_name:
            raise WorkflowError(f"output {name!r} is not a node", where=workflow.where, remedy=nearest(name, by_name))
        if by_name[name].result is Result.COLUMN:
            raise OperatorError(
                f"output {name!r} is a column, which is nothing without its table", where=by_name[name].where,
                remedy="ask for a table that holds it, or return a DataFrame from the function",
            )
    outputs = tuple(dict.fromkeys(workflow.outputs))
    return slice_to_outputs(Dag(workflow.name, ordered, outputs, parameters=dict(workflow.parameters)))


def _node(declaration: Node, declared: Mapping[str, Node]) -> Node:
    kept = [name for name in declaration.inputs if name in declared or name not in declaration.optional]
    for name in kept:
        if name not in declared:
            raise WorkflowError(
                f"{declaration.name!r} reads {name!r}, and no node is named so", where=declaration.where,
                remedy=nearest(name, declared),
            )
    operator = declaration.operator
    if isinstance(operator, FitStage | Predict) and operator.rows is None:
        # The author leaves the side of the split to the examples. Of examples without a split their column `split`
        # decides when it runs.
        examples = declared[examples_of(operator, kept)].operator
        if isinstance(examples, Assemble) and examples.split is not None:
            operator = replace(operator, rows="train" if isinstance(operator, FitStage) else "test")
    if isinstance(operator, Function) and len(kept) < len(declaration.inputs):
        parameters = zip(operator.arguments, operator.forms, declaration.inputs, strict=True)
        there = [(argument, form) for argument, form, name in parameters if name in kept]
        operator = replace(
            operator, arguments=tuple(argument for argument, _ in there), forms=tuple(form for _, form in there)
        )
    return replace(declaration, operator=operator, inputs=tuple(kept), optional=frozenset())


def examples_of(operator: FitStage | Predict, inputs: Sequence[str]) -> str:
    """Return the name of the table whose rows an operator takes; a prediction takes a model before that."""
    return inputs[0] if isinstance(operator, FitStage) else inputs[1]


def with_known_columns(node: Node, columns: Mapping[str, Collection[str] | None]) -> Node:
    """Return a node that takes all rows of a table, where that is known to have no column `split`.

    Args:
        columns: of tables by name; None where they are not known.
    """
    operator = node.operator
    if not isinstance(operator, FitStage | Predict) or operator.rows is not None:
        return node
    known = columns.get(examples_of(operator, node.inputs))
    if known is None or "split" in {name.lower() for name in known}:
        return node
    return replace(node, operator=replace(operator, rows="all"))


def _topological(nodes: list[Node]) -> tuple[Node, ...]:
    """Return nodes inputs first, else in the order of their declarations, which mostly has inputs first by itself."""
    above = set[str]()
    for node in nodes:
        if not above.issuperset(node.inputs):
            break
        above.add(node.name)
    else:
        return tuple(nodes)
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(node.name for node in nodes)
    graph.add_edges_from((source, node.name) for node in nodes for source in node.inputs)
    position = {node.name: index for index, node in enumerate(nodes)}
    by_name = {node.name: node for node in nodes}
    try:
        return tuple(by_name[name] for name in nx.lexicographical_topological_sort(graph, position.__getitem__))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        raise WorkflowError(
            "nodes read each other in a circle: " + " -> ".join([*circle, circle[0]]),
            where=by_name[circle[0]].where, remedy="have one of them read something else",
        ) from None


def _check_columns(nodes: tuple[Node, ...], by_name: Mapping[str, Node]) -> None:
    """Columns are read only by extractors and examples of the very table that they extend."""
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
                    remedy="columns are read where columns of the same table are made, or assembled by a synthesizer",
                )
            if read.base != base:
                raise OperatorError(
                    f"{node.name!r} is made of {base!r}, but {name!r} is a column of {read.base!r}", where=node.where,
                    remedy=f"extract it from {base!r}",
                )


def _takes_columns(node: Node) -> bool:
    if isinstance(node.operator, Function):
        return node.result is Result.COLUMN
    return node.kind is Kind.EXTRACTOR or isinstance(node.operator, Assemble)


def _check_inputs(node: Node, by_name: Mapping[str, Node]) -> None:
    """Check whether every input is what the node takes it for; nothing is left out because it is something else."""
    if isinstance(node.operator, Function):
        _check_annotations(node, node.operator, by_name)
        return
    for position, name in enumerate(node.inputs):
        # A ready-made operator takes a model and examples, or a table and columns of it.
        if isinstance(node.operator, Predict):
            wanted, remedy = (Result.MODEL, Result.TABLE)[position], "the order is wf.predict(name, model, examples)"
        elif position:
            wanted = Result.COLUMN
            remedy = f"make a column of it: an extractor of {node.inputs[0]!r} that reads it and returns a Column"
        else:
            wanted, remedy = Result.TABLE, "name a table: what a source, scanner or synthesizer makes"
        read = by_name[name]
        if name != f"{node.name}.fit" and read.result is not wanted:
            raise OperatorError(
                f"{node.kind} {node.name!r} reads {name!r} as a {wanted}, and it is a {read.result}",
                where=node.where, exists=f"{name!r} is declared at {read.where}", remedy=remedy,
            )


def _check_annotations(node: Node, function: Function, by_name: Mapping[str, Node]) -> None:
    """A table is handed over as its parameter's annotation says, so the annotation has to name a table."""
    for parameter, form, name in zip(function.arguments, function.forms, node.inputs, strict=True):
        if by_name[name].result is not Result.TABLE:
            continue
        if node.base == name and form in COLLECTED and parameter == function.arguments[0]:
            raise OperatorError(
                f"extractor {node.name!r} makes a Column of {name!r}, and takes that as a {form}", where=node.where,
                remedy="annotate it as pyspark.sql.DataFrame, or return a table (-> pd.DataFrame or pa.Table)",
            )
        if form not in (*TABLE_FORMS, Form.ANY) and (said := never_a_table(function.call, parameter)) is not None:
            raise OperatorError(
                f"{node.kind} {node.name!r} takes {name!r} as `{said}`, and {name!r} is a table", where=node.where,
                exists=f"{name!r} is declared at {by_name[name].where}",
                remedy="annotate it as pyspark.sql.DataFrame, pandas.DataFrame or pyarrow.Table",
            )


def merge_equal(dag: Dag, identity: Mapping[str, str]) -> Dag:
    """Return the same graph with nodes of one identity (signature) merged into the first of them.

    Columns are left alone: their name is the name under which their table will hold them.
    """
    first: dict[str, str] = {}
    into: dict[str, str] = {}
    for node in dag.nodes:
        is_column = node.result is Result.COLUMN
        into[node.name] = node.name if is_column else first.setdefault(identity[node.name], node.name)
    aliases: dict[str, tuple[str, ...]] = {}
    for name, target in into.items():
        if name != target:
            aliases[target] = (*aliases.get(target, ()), name)
    if not aliases:
        return dag
    merged = list[Node]()
    for node in dag.nodes:
        if into[node.name] == node.name:
            same = aliases.get(node.name, ())
            all_wishes = [node.wishes, *(dag[name].wishes for name in same)]
            wishes = replace(
                node.wishes, keep=min((one.keep for one in all_wishes), key=("always", "never", "auto").index),
                fixed=any(one.fixed for one in all_wishes), recompute=any(one.recompute for one in all_wishes),
                fresh=any(one.fresh for one in all_wishes),
            )
            merged.append(replace(
                node, inputs=tuple(into[name] for name in node.inputs), base=node.base and into[node.base],
                aliases=same, wishes=wishes,
            ))
    outputs = tuple(dict.fromkeys(into[name] for name in dag.outputs))
    return replace(dag, nodes=tuple(merged), outputs=outputs)
