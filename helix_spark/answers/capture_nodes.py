"""Capture of the functions of a graph that take and return Spark tables and columns. Functions that send requests to
Spark are captured once these are answered. Also a check for missing columns without Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any
from uuid import uuid4

from helix_spark.dag.compilation import with_known_columns
from helix_spark.dag.node import Dag, Node
from helix_spark.errors import ColumnNotFoundError, nearest
from helix_spark.hermetic.action import Action, actions_to_come
from helix_spark.hermetic.observed_inputs import NOTHING_OBSERVED, ObservedInputs, files_named
from helix_spark.plans.captured_function import (
    CallInputs,
    CapturedFunction,
    Input,
    NotCaptured,
    RecordedFunction,
    SparkFunction,
)
from helix_spark.plans.plan_columns import INPUT, Columns, UnknownColumnsError, columns_of, names_of_text
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    FitStage,
    Form,
    Function,
    KeptColumn,
    Kind,
    Read,
    Result,
    Select,
    Stage,
    named_columns,
)
from helix_spark.workflow.parameters import takes_label
from helix_spark.workflow.sources import FileSource, MemorySource

_FORMS = {Result.TABLE: {Form.SPARK, Form.ANY}, Result.COLUMN: {Form.COLUMN, Form.ANY}}
_INPUTS: Mapping[Result, Input] = {Result.TABLE: "table", Result.COLUMN: "column"}


@dataclass(frozen=True, slots=True)
class CapturedDag:
    """A graph in which plans replace captured functions, and the reads of these functions."""

    dag: Dag
    reads: ObservedInputs = NOTHING_OBSERVED


def capture_nodes(dag: Dag, settings: Mapping[str, str]) -> CapturedDag:
    """Call the functions of tables and columns on placeholders. Functions without an identifying plan are unchanged."""
    observed = list[ObservedInputs]()

    def call(node: Node, operator: Function, tables: Mapping[str, Columns | None]) -> Node:
        if (inputs := inputs_of(operator, node, dag)) is None:
            return node
        from helix_spark.answers.function_calls import capture  # a recorded plan needs no client

        columns = {place: tables.get(source) for place, source in enumerate(node.inputs)}
        call_inputs = CallInputs(inputs, settings, columns)
        action = Action(uuid4().hex if node.wishes.fresh else node.name)
        captured = capture(operator.call, call_inputs, action)
        assert action.watch is not None
        action.watch.note_named_files(files_named(operator.call))
        observed.append(action.observed_inputs())
        by_code = captured.why if isinstance(captured, NotCaptured) else ""
        may_be_answered = "column" not in inputs.values() and not node.wishes.fresh
        if isinstance(captured, NotCaptured) and not (captured.asks and may_be_answered):
            return replace(node, operator=replace(operator, by_code=by_code))
        spark_function = SparkFunction(
            operator.call, operator.arguments, operator.forms, operator.returns, by_code, call_inputs=call_inputs
        )
        return as_built(replace(node, operator=spark_function), captured)

    with actions_to_come() if any(map(may_be_captured, dag.nodes)) else nullcontext():
        filled = fill_functions(dag, settings, call)
    return CapturedDag(filled, reduce(or_, observed, ObservedInputs()))


def fill_functions(
    dag: Dag, settings: Mapping[str, str], fill: Callable[[Node, Function, Mapping[str, Columns | None]], Node],
) -> Dag:
    """Return a graph whose functions of tables and columns are captured: `fill` returns such a node with its plan; its
    last argument has the columns of the tables before the node, by name."""
    tables: dict[str, Columns | None] = {}
    nodes = []
    for node in dag.nodes:
        operator = node.operator
        filled = fill(node, operator, tables) if may_be_captured(node) and isinstance(operator, Function) else node
        filled = with_known_columns(filled, tables)
        nodes.append(filled)
        if filled.result is Result.TABLE:
            tables[filled.name] = columns_of_node(filled, settings, tables)
    return replace(dag, nodes=tuple(nodes))


def may_be_captured(node: Node) -> bool:
    """Return whether a node's function may be captured: it returns a Spark table or column."""
    operator = node.operator
    # A plan lacks the names in code of parts that an author excludes from a signature.
    if not isinstance(operator, Function) or node.wishes.exclude or node.kind is Kind.REDUCER:
        return False
    return operator.returns in (Form.SPARK, Form.COLUMN) and node.result in _FORMS


def inputs_of(operator: Function, node: Node, dag: Dag) -> Mapping[str, Input] | None:
    """Return the inputs of a function of tables and columns, by parameter; None if it takes other inputs."""
    inputs: dict[str, Input] = {}
    for name, source, form in zip(operator.arguments, node.inputs, operator.forms, strict=True):
        result = dag[source].result
        if form not in _FORMS.get(result, ()):
            return None
        inputs[name] = _INPUTS[result]
    return inputs


def as_built(node: Node, captured: CapturedFunction | NotCaptured) -> Node:
    """Return the node with its function's plan; unchanged if it was not captured."""
    if isinstance(captured, NotCaptured) or captured.is_column != (node.result is Result.COLUMN):
        return node
    assert isinstance(node.operator, SparkFunction)
    return replace(node, operator=replace(node.operator, by_code="", built=captured))


def table_columns(dag: Dag, settings: Mapping[str, str]) -> dict[str, Columns | None]:
    """Return the columns of each table of a graph, by name; None if unknown."""
    tables: dict[str, Columns | None] = {}
    for node in dag.nodes:
        if node.result is Result.TABLE:
            tables[node.name] = columns_of_node(node, settings, tables)
    return tables


def columns_of_node(node: Node, settings: Mapping[str, str], tables: Mapping[str, Columns | None]) -> Columns | None:
    """Return the columns of a table by its declaration or its plan; None if unknown."""
    match node.operator:
        case Read(source=FileSource(format="text", schema=None)):
            return ("value",)
        case Read(source=FileSource(schema=str() as schema)):
            return names_of_text(schema, settings)
        case Read(source=MemorySource(data=data)):
            names = getattr(data, "column_names", None)  # pyarrow's
            return tuple(map(str, data.columns if names is None else names))
        case Select(columns=columns):
            return columns
        case Assemble(label=label, split=split, keep=keep):
            table = tables.get(node.inputs[0])
            if split is None and table is None:
                return None
            sides = [name for name in table or () if name.lower() == "split"] if split is None else ["split"]
            new = ["features", *["label"] * (label is not None), *sides]
            new += [column.name for column in keep if isinstance(column, KeptColumn)]
            return tuple(dict.fromkeys((*new, *(name for name in keep if isinstance(name, str)))))
        case SparkFunction(built=RecordedFunction(columns=columns)):
            return columns
        case SparkFunction(built=CapturedFunction() as built):
            inputs = {place: tables.get(source) for place, source in enumerate(node.inputs)}
            try:
                return columns_of(built.plan, inputs)
            except UnknownColumnsError:
                return None
    return None


_READ_BY_STAGES = ("inputCol", "featuresCol", "labelCol", "weightCol", "inputCols")
"""Parameters of Spark ML's stages that name columns of their input."""

_CERTAIN = frozenset({"read", "project", "filter", "with_columns", "sort", "limit"})
"""Relations whose columns all come from their input, or have names in the plan."""

_UNCERTAIN = frozenset({"expression_string", "unresolved_regex", "subquery_expression"})
_NAMED = frozenset({"alias", "unresolved_attribute", "unresolved_star"})
"""Expressions whose columns have names in the plan; Spark generates the names of other columns."""


def check_columns_exist(nodes: Iterable[Node], dag: Dag, settings: Mapping[str, str]) -> None:
    """Check that tables have the columns that these nodes name, as far as declarations and plans determine them. Raises
    ColumnNotFoundError for a missing column, with the nearest name and the column's line."""
    tables = table_columns(dag, settings)
    for node in nodes:
        for source, column, where in _columns_named(node):
            columns = tables.get(source)
            if columns is None or column.lower() in {name.lower() for name in columns}:
                continue
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {column!r}, which {source!r} does not have" + where,
                where=node.where, remedy=nearest(column, columns),
            )


def _columns_named(node: Node) -> Iterator[tuple[str, str, str]]:
    """Yield tables that a node reads, the columns that it names, and their line as the end of a sentence."""
    operator = node.operator
    match operator:
        case SparkFunction(built=CapturedFunction() as built):
            aliases = (part for part in messages(built.plan) if type_of(part) == "Expression.Alias")
            new = {name.lower() for alias in aliases for name in alias.name}
            for place, column in _certain(built.plan):
                if place < len(node.inputs) and column.lower() not in new:
                    at = built.place_of(column)
                    yield node.inputs[place], column, f" (at {at})" if at else ""
        case FitStage(stage=Stage() as stage) | ApplyStage(stage=Stage() as stage):
            yield from ((node.inputs[0], column, "") for column in _named_by(stage, operator))
        case _ if node.inputs:
            yield from ((node.inputs[0], column, "") for column in named_columns(operator))


def _named_by(stage: Stage, operator: FitStage | ApplyStage) -> Iterator[str]:
    parameters = dict(stage.parameters)
    for parameter in _READ_BY_STAGES:
        value = parameters.get(parameter)
        names = value if isinstance(value, list | tuple) else [value]
        yield from (name for name in names if isinstance(name, str) and _is_plain(name))
    if takes_label(stage) and isinstance(operator, FitStage) and not operator.columns:
        path = stage.make if isinstance(stage.make, str) else getattr(stage.make, "__module__", "")
        if str(path).startswith(("pyspark.ml.classification", "pyspark.ml.regression")):
            yield from (column for column in ("features", "label") if f"{column}Col" not in parameters)


def _is_plain(name: str) -> bool:
    """Return whether a text names a column, rather than a field of a column."""
    return "." not in name and "`" not in name


def _certain(plan: Any) -> Iterator[tuple[int, str]]:
    """Yield the columns that a plan certainly reads from its only input, with the position of that input."""
    places, names = set[int](), list[str]()
    for part in messages(plan):
        match type_of(part):
            case "Relation":
                kind = part.WhichOneof("rel_type")
                chosen = part.project.expressions if kind == "project" else ()
                if kind not in _CERTAIN or not _NAMED.issuperset(column.WhichOneof("expr_type") for column in chosen):
                    return
                if kind == "read":
                    name = part.read.named_table.unparsed_identifier
                    if not name.startswith(INPUT):
                        return
                    places.add(int(name.removeprefix(INPUT)))
            case "Expression":
                if part.WhichOneof("expr_type") in _UNCERTAIN:
                    return
                if part.HasField("unresolved_attribute"):
                    names.append(part.unresolved_attribute.unparsed_identifier)
    if type_of(plan) == "Expression":
        places = {0}
    for name in names if len(places) == 1 else ():
        plain = name[1:-1] if name[:1] == name[-1:] == "`" else name
        if _is_plain(plain) and not plain.startswith(("_metadata", INPUT)):
            yield from ((place, plain) for place in places)
