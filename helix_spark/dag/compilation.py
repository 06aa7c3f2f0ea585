"""Compile a workflow into a graph: look up names, order nodes, check inputs, and merge equal nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from helix_spark.dag.node import Dag, Node, slice_to_outputs
from helix_spark.errors import OperatorError, WorkflowError, nearest
from helix_spark.workflow.declaration import Wishes
from helix_spark.workflow.functions import TABLE_FORMS, never_a_table
from helix_spark.workflow.operators import COLLECTED, Assemble, FitStage, Form, Function, Kind, Predict, Result
from helix_spark.workflow.workflow import Workflow


def compile_workflow(workflow: Workflow) -> Dag:
    """Return the part of a workflow that its outputs need, as a frozen graph. Raises WorkflowError for unknown names,
    cycles, and a workflow without outputs; OperatorError for inputs of the wrong kind or table."""
    declared = {declaration.name: declaration for declaration in workflow.declarations}
    nodes = [_node(declaration, declared) for declaration in workflow.declarations]
    ordered = _topological(nodes)
    by_name = {node.name: node for node in ordered}
    _check_columns(ordered, by_name)
    for node in ordered:
        _check_inputs(node, by_name)
    if not workflow.outputs:
        raise WorkflowError(
            f"workflow {workflow.name!r} has no outputs", where=workflow.where,
            remedy="mark what you want to see: output=True on a node, or wf.output(node)",
        )
    for name in workflow.outputs:
        if name not in by_name:
            raise WorkflowError(f"output {name!r} is not a node", where=workflow.where, remedy=nearest(name, by_name))
        if by_name[name].result is Result.COLUMN:
            raise OperatorError(
                f"output {name!r} is a column, and columns exist only in their table", where=by_name[name].where,
                remedy="make a table that has the column an output, or return a DataFrame from the function",
            )
    outputs = tuple(dict.fromkeys(workflow.outputs))
    return slice_to_outputs(Dag(workflow.name, ordered, outputs, parameters=dict(workflow.parameters)))


def _node(declaration: Node, declared: Mapping[str, Node]) -> Node:
    inputs = [name for name in declaration.inputs if name in declared or name not in declaration.optional]
    for name in inputs:
        if name not in declared:
            raise WorkflowError(
                f"{declaration.name!r} reads {name!r}, but no node has this name", where=declaration.where,
                remedy=nearest(name, declared),
            )
    operator = declaration.operator
    if isinstance(operator, FitStage | Predict) and operator.rows is None:
        # By default the rows are those of a side of the examples' split. If they declare none, their column `split`
        # decides when the node runs.
        examples = declared[examples_of(operator, inputs)].operator
        if isinstance(examples, Assemble) and examples.split is not None:
            operator = replace(operator, rows="train" if isinstance(operator, FitStage) else "test")
    if isinstance(operator, Function) and len(inputs) < len(declaration.inputs):
        parameters = zip(operator.arguments, operator.forms, declaration.inputs, strict=True)
        present = [(argument, form) for argument, form, name in parameters if name in inputs]
        operator = replace(
            operator, arguments=tuple(argument for argument, _ in present), forms=tuple(form for _, form in present)
        )
    return replace(declaration, operator=operator, inputs=tuple(inputs), optional=frozenset())


def examples_of(operator: FitStage | Predict, inputs: Sequence[str]) -> str:
    """Return the name of the table whose rows an operator takes. A prediction's first input is the model."""
    return inputs[0] if isinstance(operator, FitStage) else inputs[1]


def with_known_columns(node: Node, columns: Mapping[str, Collection[str] | None]) -> Node:
    """Return a fit or prediction that takes all rows if its table has no column `split`; other nodes as they are.

    Args:
        columns: columns by table; None if unknown.
    """
    operator = node.operator
    if not isinstance(operator, FitStage | Predict) or operator.rows is not None:
        return node
    names = columns.get(examples_of(operator, node.inputs))
    if names is None or "split" in {name.lower() for name in names}:
        return node
    return replace(node, operator=replace(operator, rows="all"))


def _topological(nodes: list[Node]) -> tuple[Node, ...]:
    """Return nodes inputs first, and otherwise in order of declaration."""
    earlier = set[str]()
    for node in nodes:  # mostly they are declared in such an order, and networkx is not imported
        if not earlier.issuperset(node.inputs):
            break
        earlier.add(node.name)
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
        cycle = [edge[0] for edge in nx.find_cycle(graph)]
        raise WorkflowError(
            "nodes read each other in a cycle: " + " -> ".join([*cycle, cycle[0]]),
            where=by_name[cycle[0]].where, remedy="make one of them read another node",
        ) from None


def _check_columns(nodes: tuple[Node, ...], by_name: Mapping[str, Node]) -> None:
    """Check that columns are read only by extractors and examples of the table that they extend."""
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
                    remedy="only extractors of the same table, and the synthesizer that assembles it, read columns",
                )
            if read.base != base:
                raise OperatorError(
                    f"{node.name!r} extends {base!r}, but {name!r} is a column of {read.base!r}", where=node.where,
                    remedy=f"extract it from {base!r}",
                )


def _takes_columns(node: Node) -> bool:
    if isinstance(node.operator, Function):
        return node.result is Result.COLUMN
    return node.kind is Kind.EXTRACTOR or isinstance(node.operator, Assemble)


def _check_inputs(node: Node, by_name: Mapping[str, Node]) -> None:
    """Check that every input has the kind of result that the node expects."""
    if isinstance(node.operator, Function):
        _check_annotations(node, node.operator, by_name)
        return
    for position, name in enumerate(node.inputs):
        # A ready-made operator takes a model and examples, or a table and columns of it.
        if isinstance(node.operator, Predict):
            expected, remedy = (Result.MODEL, Result.TABLE)[position], "the order is wf.predict(name, model, examples)"
        elif position:
            expected = Result.COLUMN
            remedy = f"turn it into a column: an extractor of {node.inputs[0]!r} that reads it and returns a Column"
        else:
            expected, remedy = Result.TABLE, "name a table: the result of a source, scanner or synthesizer"
        read = by_name[name]
        if name != f"{node.name}.fit" and read.result is not expected:
            raise OperatorError(
                f"{node.kind} {node.name!r} reads {name!r} as a {expected}, but it is a {read.result}",
                where=node.where, exists=f"{name!r} is declared at {read.where}", remedy=remedy,
            )


def _check_annotations(node: Node, function: Function, by_name: Mapping[str, Node]) -> None:
    """Check that parameters that receive tables are annotated as tables."""
    for parameter, form, name in zip(function.arguments, function.forms, node.inputs, strict=True):
        if by_name[name].result is not Result.TABLE:
            continue
        if node.base == name and form in COLLECTED and parameter == function.arguments[0]:
            raise OperatorError(
                f"extractor {node.name!r} makes a Column of {name!r}, but takes it as a {form}", where=node.where,
                remedy="annotate it as pyspark.sql.DataFrame, or return a table (-> pd.DataFrame or pa.Table)",
            )
        if form not in (*TABLE_FORMS, Form.ANY) and (annotation := never_a_table(function.call, parameter)) is not None:
            raise OperatorError(
                f"{node.kind} {node.name!r} takes {name!r} as `{annotation}`, but it is a table", where=node.where,
                exists=f"{name!r} is declared at {by_name[name].where}",
                remedy="annotate it as pyspark.sql.DataFrame, pandas.DataFrame or pyarrow.Table",
            )


def merge_equal(dag: Dag, identity: Mapping[str, str]) -> Dag:
    """Merge nodes of one signature into the first of them. Columns stay apart: their tables need their names."""
    first: dict[str, str] = {}
    targets: dict[str, str] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    for node in dag.nodes:
        is_column = node.result is Result.COLUMN
        target = node.name if is_column else first.setdefault(identity[node.name], node.name)
        targets[node.name] = target
        if node.name != target:
            aliases[target] = (*aliases.get(target, ()), node.name)
    if not aliases:
        return dag
    merged = list[Node]()
    for node in dag.nodes:
        if targets[node.name] == node.name:
            same = aliases.get(node.name, ())
            wishes = [node.wishes, *(dag[name].wishes for name in same)]
            merged.append(replace(
                node, inputs=tuple(targets[name] for name in node.inputs), base=node.base and targets[node.base],
                aliases=same, wishes=_merge_wishes(wishes),
            ))
    outputs = tuple(dict.fromkeys(targets[name] for name in dag.outputs))
    return replace(dag, nodes=tuple(merged), outputs=outputs)


def _merge_wishes(wishes: Sequence[Wishes]) -> Wishes:
    return replace(
        wishes[0], keep=min((wish.keep for wish in wishes), key=("always", "never", "auto").index),
        fixed=any(wish.fixed for wish in wishes), recompute=any(wish.recompute for wish in wishes),
        fresh=any(wish.fresh for wish in wishes),
    )
