"""Which columns of its input tables a plan may read, told from the names in it.

What does not name what it reads, and what passes on rows as they are, reads all columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helix_spark.capture.plan_columns import INPUT
from helix_spark.capture.plan_messages import messages, relations_in, sort_of
from helix_spark.dag.columns_read import WHOLE, Reads, reads_by_name

_CHOOSES = frozenset({"project", "aggregate"})
"""Relations that have of their input no more than they name."""

_AS_ITS_INPUT = frozenset({
    "filter", "sort", "limit", "offset", "tail", "sample", "repartition", "repartition_by_expression", "hint",
    "subquery_alias", "with_columns", "with_columns_renamed", "drop", "join", "deduplicate",
})
"""Relations that have all columns of their inputs, and look at none of them but those that they name."""


def columns_named(plan: Any, place: int) -> Reads:
    """What a plan reads of the input at a place.

    Args:
        plan: a `spark.connect.Relation`, or the `Expression` of a column that is added to its table.
    """
    if sort_of(plan) == "Relation" and place in _read_whole(plan):
        return WHOLE
    names: list[str] = []
    texts: list[str] = []
    stars = 0
    for message in messages(plan):
        one: Any = message
        match sort_of(message):
            case "Expression.UnresolvedAttribute":
                names.append(one.unparsed_identifier)
            case "Expression.ExpressionString":
                texts.append(one.expression)
            case "Expression.UnresolvedStar":
                stars += 1
            case "Expression.UnresolvedFunction":
                stars -= _counts_rows(one)
            case "Expression.UnresolvedRegex" | "SubqueryExpression" | "SQL":
                return WHOLE
            case "WithColumnsRenamed":
                names += [*one.rename_columns_map, *(each.col_name for each in one.renames)]
            case "Join":
                names += one.using_columns
            case "Deduplicate":
                names += one.column_names
    found = reads_by_name(names)
    return WHOLE if stars or found.whole else Reads(found.names, ", ".join(texts))


def _counts_rows(function: Any) -> bool:
    """Whether it is ``count(*)``, which reads no column."""
    given = [one.WhichOneof("expr_type") for one in function.arguments]
    return function.function_name == "count" and given == ["unresolved_star"] and not function.is_distinct


def _read_whole(plan: Any) -> Iterator[int]:
    """The places of the inputs of which a plan reads all columns, or passes them on."""
    waiting = [(plan, True)]
    while waiting:
        relation, whole = waiting.pop()
        sort = relation.WhichOneof("rel_type")
        name = relation.read.named_table.unparsed_identifier if sort == "read" else ""
        if whole and name.startswith(INPUT):
            yield int(name.removeprefix(INPUT))
        if sort in _CHOOSES:
            whole = False
        elif sort not in _AS_ITS_INPUT or relation.deduplicate.all_columns_as_keys:
            whole = True
        waiting.extend((one, whole) for one in relations_in(relation))
