"""Puts a plan together of relations that were written one by one.

pyspark copies what a relation reads into it, and that into the next one: a loop of 400 steps writes the first of them
400 times. Here each is written once, with holes for what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Any

from helix_spark.capture.plan_messages import relations_in

_STEPS = 20
"""How many relations on top of each other Spark analyses at a time. A step whose types have to be brought together
waits for those below it, and each takes a pass over all of them: of 100 passes Spark makes no more."""

Written = Callable[[int], Any]
"""Gives a relation (`spark.connect.Relation`) with holes by its plan id. Holes are relations that have a plan id, and
nothing else."""


def whole_plan(top: int, written: Written) -> Any:
    """A relation with all that it reads."""
    return _filled(top, written, ())


def in_stages(top: int, written: Written) -> list[tuple[str, Any]]:
    """A relation in parts that are not deep, each with its name. A part has those before it as cached relations; the
    last one is the relation itself."""
    heights: dict[int, int] = {}
    cuts: list[int] = []
    waiting = [top]
    while waiting:
        one = waiting[-1]
        below = [hole.common.plan_id for hole in holes(written(one))]
        unknown = [each for each in below if each not in heights]
        if unknown:
            waiting.extend(unknown)
            continue
        waiting.pop()
        if one in heights:
            continue
        heights[one] = 1 + max((heights[each] for each in below), default=0)
        # SQL asks for tables of its own by their names, which stand beside their plans.
        is_named = written(one).WhichOneof("rel_type") == "subquery_alias"
        if heights[one] >= _STEPS and one != top and not is_named:
            cuts.append(one)
            heights[one] = 0
    return [(_name(one), _filled(one, written, cuts)) for one in [*cuts, top]]


def _filled(top: int, written: Written, cuts: Container[int]) -> Any:
    relation = type(written(top))()
    relation.CopyFrom(written(top))
    waiting = list(holes(relation))
    while waiting:
        hole = waiting.pop()
        plan_id = hole.common.plan_id
        if plan_id in cuts:
            hole.cached_remote_relation.relation_id = _name(plan_id)
        else:
            hole.CopyFrom(written(plan_id))
            waiting.extend(holes(hole))
    return relation


def _name(plan_id: int) -> str:
    return f"helix part {plan_id}"


def holes(relation: Any) -> Iterator[Any]:
    """The places in a relation that are left for those that it reads."""
    waiting = list(relations_in(relation))
    while waiting:
        one = waiting.pop()
        if one.WhichOneof("rel_type") is None:
            yield one
        else:
            waiting.extend(relations_in(one))
