"""What in a plan depends on the order in which rows come, which no plan says: it may differ each time it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from helix_spark.plans.plan_messages import sort_of, sql_of
from helix_spark.plans.sql_words import called, tokens

if TYPE_CHECKING:
    from google.protobuf.message import Message

BY_ORDER = frozenset({
    "any_value", "first", "first_value", "last", "last_value", "collect_list", "array_agg", "collect_set", "listagg",
    "string_agg", "max_by", "min_by", "ntile", "row_number",
})
"""Functions that Spark calls deterministic, and that depend on the order of rows."""


def order_in(parts: Iterable[Message]) -> Iterator[str]:
    """Yield what depends on the order of rows, as what follows "uses".

    Args:
        parts: all messages in a plan, from the top down.
    """
    sorted_now: list[Any] = []
    for message in parts:
        one: Any = message
        if (sql := sql_of(message)) is not None:
            yield from _in_text(sql)
        match sort_of(message):
            case "Expression.UnresolvedFunction":
                if one.function_name == "sort_array" and one.arguments:
                    sorted_now.append(one.arguments[0].unresolved_function)
                elif one.function_name.lower() in BY_ORDER and not any(one is each for each in sorted_now):
                    yield one.function_name.lower()
            case "Limit" | "Offset":
                if one.input.WhichOneof("rel_type") not in ("sort", "limit", "offset") and not _is_the_same(one.input):
                    yield "limit without an order"
            case "Tail":
                yield "tail"
            case "Deduplicate":
                if one.column_names:
                    yield "dropDuplicates of some columns"


def _is_the_same(relation: Any) -> bool:
    """Whether some rows of a table are the same in any order, as it has but one, or no columns."""
    kind = relation.WhichOneof("rel_type")
    if kind == "project":
        return not relation.project.expressions
    return kind == "aggregate" and not relation.aggregate.grouping_expressions


def _in_text(text: str) -> Iterator[str]:
    given = tokens(text)
    yield from (name for name, _ in called(given) if name.lower() in BY_ORDER)
    words = {word.lower() for kind, word in given if kind == "word"}
    yield from sorted(words & {"limit", "tablesample"})
