"""What a node gives where the rows that it reads come in another order, told from its operator, or from the plan that
its function built. What is not surely one of the two kinds below depends on the order.

It depends more often than one would think. Floats add up to other last digits in another order, so sums, means and
nearly all fits do; and a plan does not tell which columns are floats. The greatest and the least number do not tell 0.0
from -0.0, and one of several equal texts may be kept where upper and lower case are the same. Python code may look at
the rows' order, and what draws draws by it. What remains is to count, and what looks at one row at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from helix_spark.plans.captured_function import BuiltFunction
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.plan_order import IN_ANY_ORDER
from helix_spark.plans.sql_words import called, tokens
from helix_spark.workflow.operators import (
    Bucket,
    EncodeCategories,
    FitCategories,
    FitStage,
    Interact,
    Operator,
    Select,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

InAnyOrder = Literal["rows", "result"]
"""Of the same rows in another order a node gives the same rows, in whatever order, or the very same result."""

_COUNTING_FITS = frozenset({
    "pyspark.ml.feature.StringIndexer", "pyspark.ml.feature.OneHotEncoder", "pyspark.ml.feature.IDF",
})
"""They count, or take the greatest of whole numbers; ties are in alphabetical order."""

_ROW_BY_ROW = frozenset({
    "Relation", "Read", "Read.NamedTable", "Project", "Filter", "WithColumns", "WithColumnsRenamed",
    "WithColumnsRenamed.Rename", "Drop", "ToDF", "SubqueryAlias", "NAFill", "NADrop", "Sort", "Repartition",
    "Expression", "Expression.Alias", "Expression.Literal", "Expression.UnresolvedAttribute",
    "Expression.UnresolvedStar", "Expression.SortOrder",
})
_OF_SEVERAL_ROWS = frozenset({"Join", "SetOperation"})
"""Which rows they give does not depend on the order of those that they read."""

_NOT_ROW_BY_ROW = frozenset({"over", "select", "from", "collate", "lateral"})
"""Words of SQL."""


def given_in_any_order(operator: Operator) -> InAnyOrder | None:
    """What a node gives where the rows that it reads come in another order; None where that depends on it."""
    match operator:
        case FitCategories():
            return "result"
        case FitStage(stage=stage) if _path(stage.make) in _COUNTING_FITS:
            return "result"
        case Select() | EncodeCategories() | Bucket() | Interact():
            return "rows"
        case BuiltFunction(built=built):
            return of_plan(built.plan)
    return None


def of_plan(plan: Message) -> InAnyOrder | None:
    """The same of a relation or an expression."""
    if not all(map(_is_plain, messages(plan))):
        return None
    return "result" if sort_of(plan) == "Relation" and _has_one_row(plan) else "rows"


def _path(make: object) -> str:
    return f"{make.__module__}.{make.__qualname__}" if isinstance(make, type) else str(make)


def _is_plain(message: Message) -> bool:
    one: Any = message
    sort = sort_of(message)
    match sort:
        case "Expression.UnresolvedFunction":
            return not one.is_user_defined_function and str(one.function_name).lower() in IN_ANY_ORDER
        case "Expression.ExpressionString":
            return _is_plain_text(one.expression)
        case "Expression.Cast":
            return _is_plain_text(one.type_str)
        case "Aggregate":
            return bool(one.group_type == one.GROUP_TYPE_GROUPBY)
        case "Deduplicate":
            return bool(one.all_columns_as_keys)
    return sort in _ROW_BY_ROW or sort in _OF_SEVERAL_ROWS


def _is_plain_text(text: str) -> bool:
    given = tokens(text)
    words = {word.lower() for kind, word in given if kind == "word"}
    return words.isdisjoint(_NOT_ROW_BY_ROW) and all(name in IN_ANY_ORDER for name, _ in called(given))


def _has_one_row(relation: Any) -> bool:
    """Whether a table has no more than one row, as it counts all those that it is made of."""
    while True:
        kind = relation.WhichOneof("rel_type")
        made = getattr(relation, kind)
        if kind == "aggregate":
            return not made.grouping_expressions
        if sort_of(made) not in _ROW_BY_ROW or kind == "read":
            return False
        relation = made.input
