"""The identity of a plan: the digest of its canonical form.

Plans are Spark Connect's messages (`spark.connect.Relation`, `spark.connect.Expression`). Two programs that build the
same plan have the same identity. The canonical form removes or renames origins in the author's files, uids of stages,
names of observations, pyspark's numbered lambda variables, ids of relations, comments and line breaks of SQL. A column
named with its table (``rows.a``) differs from one named alone (``F.col("a")``): Spark resolves them differently.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from helix_spark.plans.plan_messages import Message, parts_of, type_of
from helix_spark.plans.sql_texts import Tree, is_generated, tree_of, without_layout


def identity_of(plan: Message, code: Mapping[bytes, str]) -> str:
    """Return a plan's identity, as hex SHA-256; `code` has those of Python functions by placeholder."""
    message = canonical(plan, code)
    return hashlib.sha256(type_of(message).encode() + b":" + message.SerializeToString(deterministic=True)).hexdigest()


def canonical(plan: Message, code: Mapping[bytes, str]) -> Message:
    """Return the canonical copy of a plan, see `identity_of`."""
    copy = deepcopy(plan)
    relations: list[Any] = []
    references: list[Any] = []
    # Each message with the new names of the lambda variables around it.
    waiting: list[tuple[Any, Mapping[str, str]]] = [(copy, {})]
    while waiting:
        message, names = waiting.pop()
        match type_of(message):
            case "Relation":
                relations.append(message)
            case "Expression":
                if (tree := tree_of(message.expression_string.expression)) is not None:
                    _write(tree, message)
                message.ClearField("common")
            case "Expression.UnresolvedAttribute" | "Expression.UnresolvedStar" | "Expression.UnresolvedRegex":
                if message.HasField("plan_id"):
                    references.append(message)
            case "SubqueryExpression":
                references.append(message)
            case "Expression.LambdaFunction":  # pyspark counts the variables up through the process
                new = [name for argument in message.arguments for name in argument.name_parts]
                names = {**names, **{name: f"v{len(names) + place}" for place, name in enumerate(new)}}
            case "Expression.UnresolvedNamedLambdaVariable":
                message.name_parts[:] = [names.get(name, name) for name in message.name_parts]
        _clean(message, code)
        waiting.extend((part, names) for part in reversed(parts_of(message)))
    _number(relations, references)
    return copy


def _clean(message: Message, code: Mapping[bytes, str]) -> None:
    """Remove the parts of a message that differ in equal programs or in each run."""
    match type_of(message):
        case "Expression.UnresolvedAttribute" if not message.is_metadata_column:
            message.ClearField("is_metadata_column")
        case "PythonUDF" | "PythonUDTF" | "PythonDataSource":  # the pickle differs each time
            message.command = code[message.command].encode()
        # A fitted model is a reference without a uid: to clear it would replace the reference by an empty stage.
        case "MlRelation.Transform" if message.HasField("transformer") and not rests_on_uid(message):
            message.transformer.ClearField("uid")
        case "CollectMetrics":  # changes no rows; pyspark generates a random name where there is none
            message.ClearField("name")
        case "WithRelations":  # SQL names tables by generated names
            for place, reference in enumerate(message.references):
                if (alias := reference.subquery_alias.alias) and is_generated(alias):
                    reference.subquery_alias.alias = f"table {place}"
                    sql = message.root.sql
                    sql.query = re.sub(rf"\b{alias}\b", f"`table {place}`", sql.query)
        case "SQL":
            message.query = without_layout(message.query)
        case "Expression.ExpressionString":
            message.expression = without_layout(message.expression)


def _write(tree: Tree, into: Any) -> None:
    """Write a tree into a `spark.connect.Expression` as pyspark writes ``F.col("a") > 2``."""
    into.Clear()
    if isinstance(tree, int):
        into.literal.integer = tree
    elif isinstance(tree, str) and tree.startswith("'"):
        into.literal.string = tree[1:-1]
    elif isinstance(tree, str):
        into.unresolved_attribute.unparsed_identifier = tree
    else:
        left, operator, right = tree
        into.unresolved_function.function_name = "==" if operator == "=" else operator
        for side in (left, right):
            _write(side, into.unresolved_function.arguments.add())


def _number(relations: Sequence[Any], references: Sequence[Any]) -> None:
    """Number the relations that columns and subqueries refer to, in their order. A relation that occurs twice has one
    number: Spark decides by depth in which of the two it resolves a column."""
    targets = {reference.plan_id for reference in references}
    numbers: dict[int, int] = {}
    for relation in relations:
        if relation.common.plan_id in targets:
            numbers.setdefault(relation.common.plan_id, len(numbers))
    for relation in relations:
        number = numbers.get(relation.common.plan_id)
        relation.ClearField("common")
        if number is not None:
            relation.common.plan_id = number
    for reference in references:
        reference.plan_id = numbers.get(reference.plan_id, -1)  # of no relation in the plan: Spark refuses it


def rests_on_uid(transform: Any) -> bool:
    """Return whether a stage (`spark.connect.MlRelation.Transform`) names its column by its uid, which is random."""
    if not transform.HasField("transformer") or {"outputCol", "outputCols"} & set(transform.params.params):
        return False
    return transform.transformer.name.rpartition(".")[2] not in ("SQLTransformer", "VectorSizeHint")  # add no column
