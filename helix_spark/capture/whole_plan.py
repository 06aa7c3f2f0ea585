"""Puts a plan together of relations that were written one by one.

pyspark copies what a relation reads into it, and that into the next one: a loop of 400 steps writes the first of them
400 times. Here each is written once, with holes for what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from helix_spark.capture.plan_identity import parts_of, sort_of


def whole_plan(top: Any, written: Callable[[int], Any]) -> Any:
    """A relation with all that it reads.

    Args:
        top: a `spark.connect.Relation` with holes: relations that have a plan id, and nothing else. It is filled.
        written: a relation with holes, by its plan id; it is left as it is.
    """
    waiting = list(_holes(top))
    while waiting:
        hole = waiting.pop()
        hole.CopyFrom(written(hole.common.plan_id))
        waiting.extend(_holes(hole))
    return top


def _holes(relation: Any) -> Iterator[Any]:
    waiting = parts_of(relation)
    while waiting:
        one = waiting.pop()
        match sort_of(one):
            case "Relation" if one.WhichOneof("rel_type") is None:
                yield one
            case "Expression" | "Expression.Alias" | "Expression.SortOrder":
                pass  # they have none in them
            case _:
                waiting.extend(parts_of(one))
