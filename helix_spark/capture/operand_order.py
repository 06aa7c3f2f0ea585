"""One order for operands that may change places, so that ``1 + age`` is ``age + 1`` and ``a >= b`` is ``b <= a``.

Not where the words of an expression become the name of its column: ``select(age + 1)`` makes another column than
``select(1 + age)``. Sums of several terms stay as they are bracketed, for floats add up differently in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.capture.plan_messages import messages, sort_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAY_CHANGE_PLACES = frozenset({"+", "*", "and", "or", "==", "=", "<=>", "&", "|", "^"})
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
            case "Expression.Alias" if len(one.name) == 1:
                _order(one.expr)


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
