"""Reads Catalyst plans for what may make rows differ each time, and tells quickly of most that nothing does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from helix_spark.capture import plan_order

BY_ORDER = {kind: name for name, kind in reversed(list(plan_order.BY_ORDER.items()))} | {"Sample": "sample"}
"""Catalyst calls these deterministic, yet they depend on the order in which rows come, or on how they are divided."""

BY_CLOCK = {"CurrentTimestamp", "CurrentDate", "Now", "LocalTimestamp", "CurrentTime"}
"""Expressions that read the clock."""

_SUSPICIOUS = frozenset({*BY_ORDER, *BY_CLOCK, "GlobalLimit", "LocalLimit", "Deduplicate"})
"""Operators and expressions that have a plan read as a whole."""


def is_plain_above(plan: Any, inputs: Sequence[Any]) -> bool:
    """Whether nothing in a plan, outside these parts of it, can make its rows differ each time.

    Args:
        plan: an analysed Catalyst plan.
        inputs: analysed plans that are known already, told by their being the very same objects.
    """
    return all(
        operator.nodeName() not in _SUSPICIOUS and all(map(_is_plain, members(operator.expressions())))
        for operator in operators_above(plan, inputs)
    )


def operators_above(plan: Any, inputs: Sequence[Any]) -> Iterator[Any]:
    """The operators of a plan outside these parts of it. Arguments as for `is_plain_above`."""
    waiting = [plan]
    while waiting:
        operator = waiting.pop()
        if not any(operator.fastEquals(one) for one in inputs):
            yield operator
            waiting += members(operator.children())


def _is_plain(expression: Any) -> bool:
    """A subquery has a plan of its own, which is not followed here."""
    names = set(class_names(expression))
    return bool(expression.deterministic()) and not names & _SUSPICIOUS and not any("Subquery" in n for n in names)


def class_names(tree: Any) -> list[str]:
    """The classes of a plan or an expression, without their packages, from the top down. How rows that are in memory
    came there is not part of the plan that reads them."""
    nodes = [node for node in objects(json.loads(tree.toJSON())) if "class" in node]
    return [str(node["class"]).rsplit(".", 1)[-1] for node in nodes]


def members(sequence: Any) -> list[Any]:
    """The elements of a Scala sequence."""
    return [sequence.apply(index) for index in range(sequence.size())]


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in what a plan or an expression tells as JSON, from the top down."""
    if isinstance(value, dict):
        if str(value.get("class", "")).endswith(".InMemoryRelation"):
            return [value]
        return [value, *(found for item in value.values() for found in objects(item))]
    return [found for item in value for found in objects(item)] if isinstance(value, list) else []
