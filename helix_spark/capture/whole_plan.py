"""Puts a plan together of relations that were written one by one.

pyspark copies what a relation reads into it, and that into the next one: a loop of 400 steps writes the first of them
400 times. Here each is written once, with holes for what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from helix_spark.capture.plan_messages import relations_in


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
    waiting = list(relations_in(relation))
    while waiting:
        one = waiting.pop()
        if one.WhichOneof("rel_type") is None:
            yield one
        else:
            waiting.extend(relations_in(one))
