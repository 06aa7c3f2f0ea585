"""Puts a plan together of relations that were written one by one.

pyspark copies what a relation reads into it, and that into the next one: a loop of 400 steps writes the first of them
400 times. Here each is written once, with holes for what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from helix_spark.plans.plan_messages import relations_in

_STEPS = 20
"""How many relations on top of each other Spark analyses at a time. A step whose types have to be brought together
waits for those below it, and each takes a pass over all of them: of 100 passes Spark makes no more."""

Written = Callable[[int], Any]
"""Gives a relation (`spark.connect.Relation`) with holes by its plan id. Holes are relations that have a plan id, and
nothing else."""


def whole_plan(top: int, written: Written) -> Any:
    """A relation with all that it reads."""
    relation = type(written(top))()
    relation.CopyFrom(written(top))
    waiting = list(holes(relation))
    while waiting:
        hole = waiting.pop()
        hole.CopyFrom(written(hole.common.plan_id))
        waiting.extend(holes(hole))
    return relation


def in_stages(relation: Any) -> list[tuple[str, Any]]:
    """A relation in parts that are not deep, each with its name. A part has those before it as cached relations; the
    last one is the relation itself.

    Args:
        relation: with all that it reads; it is divided in place.
    """
    parts: dict[str, Any] = {}
    # Of each relation that is looked at: what is left to look at of what it reads, and how deep the rest was.
    waiting = [(relation, list(relations_in(relation)), [0])]
    while waiting:
        one, below, heights = waiting[-1]
        if below:
            deeper = below.pop()
            waiting.append((deeper, list(relations_in(deeper)), [0]))
            continue
        waiting.pop()
        height = 1 + max(heights)
        # SQL asks for tables of its own by their names, which stand beside their plans.
        is_named = one.WhichOneof("rel_type") == "subquery_alias"
        if height >= _STEPS and waiting and not is_named and one.common.HasField("plan_id"):
            name, height = f"helix part {one.common.plan_id}", 0
            _cut(one, name, parts)
        if waiting:
            waiting[-1][2].append(height)
    return [*parts.items(), ("", relation)]


def _cut(one: Any, name: str, parts: dict[str, Any]) -> None:
    """Take a relation out of the one that reads it, as a part."""
    plan_id = one.common.plan_id
    if name not in parts:
        parts[name] = type(one)()
        parts[name].CopyFrom(one)
    one.Clear()
    one.common.plan_id = plan_id
    one.cached_remote_relation.relation_id = name


def holes(relation: Any) -> Iterator[Any]:
    """The places in a relation that are left for those that it reads."""
    waiting = list(relations_in(relation))
    while waiting:
        one = waiting.pop()
        if one.WhichOneof("rel_type") is None:
            yield one
        else:
            waiting.extend(relations_in(one))
