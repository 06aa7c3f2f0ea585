"""Columns that nodes name and their tables do not have, found without Spark: by declarations, and by what functions
build where that is certain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from helix_spark.answers.capture_nodes import known_columns
from helix_spark.dag.node import Dag, Node
from helix_spark.errors import ColumnNotFoundError, nearest
from helix_spark.plans.captured_function import BuiltFunction
from helix_spark.plans.plan_columns import INPUT
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.workflow.operators import ApplyStage, FitStage, Stage, named_columns
from helix_spark.workflow.parameters import takes_label

_READ_BY_STAGES = ("inputCol", "featuresCol", "labelCol", "weightCol", "inputCols")
"""Parameters of Spark ML's stages that name columns of their table."""

_CERTAIN = frozenset({"read", "project", "filter", "with_columns", "sort", "limit"})
"""Relations whose columns all come from their input, or are made by a name that the plan says."""

_UNCERTAIN = frozenset({"expression_string", "unresolved_regex", "subquery_expression"})
_NAMED = frozenset({"alias", "unresolved_attribute", "unresolved_star"})
"""Expressions whose columns have names that the plan says; Spark makes up those of others."""


def check_columns_exist(nodes: Iterable[Node], dag: Dag, settings: Mapping[str, str]) -> None:
    """Whether tables have the columns that these nodes name, where the columns are known without Spark.

    Raises:
        ColumnNotFoundError: one has not; with the nearest name, and where it is written.
    """
    known = known_columns(dag, settings)
    for node in nodes:
        for source, column, where in _columns_of(node):
            columns = known.get(source)
            if columns is None or column.lower() in {one.lower() for one in columns}:
                continue
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {column!r}, which {source!r} does not have" + where,
                where=node.where, remedy=nearest(column, columns),
            )


def _columns_of(node: Node) -> Iterator[tuple[str, str, str]]:
    """Tables that a node reads, the columns of them that it names, and where, as what follows in a sentence."""
    operator = node.operator
    match operator:
        case BuiltFunction(built=built):
            for place, column in _certain(built.plan):
                if place < len(node.inputs) and not _made_by(built.plan, column):
                    at = built.place_of(column)
                    yield node.inputs[place], column, f" (at {at})" if at else ""
        case FitStage(stage=Stage() as stage) | ApplyStage(stage=Stage() as stage):
            yield from ((node.inputs[0], column, "") for column in _named_by(stage, operator))
        case _ if node.inputs:
            yield from ((node.inputs[0], column, "") for column in named_columns(operator))


def _named_by(stage: Stage, operator: FitStage | ApplyStage) -> Iterator[str]:
    given = dict(stage.parameters)
    for name in _READ_BY_STAGES:
        value = given.get(name)
        names = value if isinstance(value, list | tuple) else [value]
        yield from (one for one in names if isinstance(one, str) and _is_plain(one))
    if takes_label(stage) and isinstance(operator, FitStage) and not operator.columns:
        yield from (column for column in ("features", "label") if f"{column}Col" not in given and _is_learner(stage))


def _is_learner(stage: Stage) -> bool:
    path = stage.make if isinstance(stage.make, str) else getattr(stage.make, "__module__", "")
    return str(path).startswith(("pyspark.ml.classification", "pyspark.ml.regression"))


def _is_plain(name: str) -> bool:
    """Whether a text is the name of a column, and not of a part of one."""
    return "." not in name and "`" not in name


def _certain(plan: Any) -> Iterator[tuple[int, str]]:
    """The columns that a plan surely reads of its one input, by the place of that input."""
    parts = list(messages(plan))
    places: set[int] = set()
    for one in parts:
        kind = one.WhichOneof("rel_type") if sort_of(one) == "Relation" else None
        if kind is not None and kind not in _CERTAIN:
            return
        chosen = one.project.expressions if kind == "project" else ()
        if not _NAMED.issuperset(each.WhichOneof("expr_type") for each in chosen):
            return
        if sort_of(one) == "Expression" and one.WhichOneof("expr_type") in _UNCERTAIN:
            return
        if kind == "read":
            name = one.read.named_table.unparsed_identifier
            if not name.startswith(INPUT):
                return
            places.add(int(name.removeprefix(INPUT)))
    if sort_of(plan) == "Expression":
        places = {0}
    if len(places) != 1:
        return
    (place,) = places
    for one in parts:
        if sort_of(one) == "Expression" and one.WhichOneof("expr_type") == "unresolved_attribute":
            name = one.unresolved_attribute.unparsed_identifier
            plain = name[1:-1] if name[:1] == name[-1:] == "`" else name
            if _is_plain(plain) and not plain.startswith(("_metadata", INPUT)):
                yield place, plain


def _made_by(plan: Any, column: str) -> bool:
    """Whether a plan makes a column of a name somewhere."""
    return any(
        column.lower() in {name.lower() for name in one.name}
        for one in messages(plan) if sort_of(one) == "Expression.Alias"
    )
