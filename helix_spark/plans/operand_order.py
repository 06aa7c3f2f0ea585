"""One order for operands that may change places, so that ``1 + age`` is ``age + 1`` and ``a >= b`` is ``b <= a``.

Not where the words of an expression become the name of its column: ``select(age + 1)`` makes another column than
``select(1 + age)``. Sums of several terms stay as they are bracketed, for floats add up differently in another order.
``and`` and ``or`` stay as they are, too: Spark does not look at the second operand where the first one decides, and it
may be one that fails, as in ``(b != 0) & (a / b > 2)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from helix_spark.plans.plan_messages import messages, sort_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAY_CHANGE_PLACES = frozenset({"+", "*", "==", "=", "<=>", "&", "|", "^"})
_TURNED = {">": "<", ">=": "<="}


def order_operands(plan: Message) -> None:
    """Brings the operands in a plan into one order, in place; of an extractor's expression too, whose column has a name
    of its own."""
    if sort_of(plan) == "Expression":
        _order(plan)
        return
    for message in messages(plan):
        one: Any = message
        match sort_of(message):
            case "Filter":
                _order(one.condition)
            case "Join" if one.HasField("join_condition"):
                _order(one.join_condition)
            case "Project":
                _order_named(one.expressions)
            case "Aggregate":
                _order_named((*one.grouping_expressions, *one.aggregate_expressions))
            case "WithColumns":
                for alias in one.aliases:
                    _order(alias.expr)


def _order_named(columns: Iterable[Any]) -> None:
    """Brings operands into one order in columns that the author named. A name that is further inside is no column's."""
    for column in columns:
        if column.HasField("alias"):
            _order(column.alias.expr)


def _order(expression: Any) -> None:
    """Innermost first, so that equal operands are equal by the time that they are compared."""
    inside: list[Any] = [one for one in messages(expression) if sort_of(one) == "Expression.UnresolvedFunction"]
    for function in reversed(inside):
        if len(function.arguments) != 2:
            continue
        first, second = function.arguments
        turned = _TURNED.get(function.function_name)
        later = first.SerializeToString(deterministic=True) > second.SerializeToString(deterministic=True)
        if turned is not None or (function.function_name in _MAY_CHANGE_PLACES and later):
            function.function_name = turned or function.function_name
            swapped = [type(first)(), type(first)()]
            swapped[0].CopyFrom(second)
            swapped[1].CopyFrom(first)
            del function.arguments[:]
            function.arguments.extend(swapped)
