"""Tables of pyspark's Connect client as plans, put together of relations that were written one by one.

pyspark copies what a relation reads into it, and that into the next one: a loop of 400 steps writes the first of them
400 times. Here each is written once, with holes for what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import helix_spark.plans.connect_proto as pb
from helix_spark.plans.plan_messages import relations_in

if TYPE_CHECKING:
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame


def relation_of(frame: ConnectFrame) -> pb.Relation:
    """Return the plan of a table with all that it reads, written now."""
    writer = StepWriter(frame._session.client, frame._plan)
    relation: pb.Relation = deepcopy(writer.written(frame._plan._plan_id))
    waiting = list(holes(relation))
    while waiting:
        hole = waiting.pop()
        hole.CopyFrom(writer.written(hole.common.plan_id))
        waiting.extend(holes(hole))
    return relation


class StepWriter:
    """Writes each relation of a plan once, for a client, with holes for what it reads."""

    def __init__(self, client: Any, top: Any) -> None:
        self.writing: Any = None
        self.plans: dict[int, Any] = {top._plan_id: top}  # and those that holes are left for
        self._client = client
        self._relations: dict[int, Any] = {}

    def written(self, plan_id: int) -> Any:
        """Return the relation of the plan, or of one that a hole was left for, with holes."""
        if plan_id not in self._relations:
            self.writing = self.plans[plan_id]
            token = _APART.set(self)
            try:
                self._relations[plan_id] = self.writing.plan(self._client)
            finally:
                _APART.reset(token)
        return self._relations[plan_id]

    def hole(self, plan: Any) -> Any:
        self.plans[plan._plan_id] = plan
        return pb.Relation(common=pb.RelationCommon(plan_id=plan._plan_id))


_APART: ContextVar[StepWriter | None] = ContextVar("apart", default=None)


def write_relations_apart() -> None:
    """Make plans ask, when they are to be written, whether they are written apart; those that are yet to be declared,
    as Spark ML's, too."""
    from pyspark.sql.connect.plan import LogicalPlan

    def wrap(kind: Any) -> None:
        told = vars(kind).get("plan")
        if told is None:
            return

        def plan(self: Any, session: Any) -> Any:
            apart = _APART.get()
            return told(self, session) if apart is None or apart.writing is self else apart.hole(self)

        kind.plan = plan

    waiting: list[Any] = [LogicalPlan]
    while waiting:
        kind = waiting.pop()
        wrap(kind)
        waiting.extend(kind.__subclasses__())
    LogicalPlan.__init_subclass__ = classmethod(lambda kind: wrap(kind))  # type: ignore[assignment]  # there is none


def in_stages(relation: Any) -> list[tuple[str, Any]]:
    """Divide a relation in place into parts that are not deep, each with its name. A part has those before it as cached
    relations; the last one is the relation itself.

    Spark analyses no more than 20 relations on top of each other at a time then. A step whose types have to be brought
    together waits for those below it, and each takes a pass over all of them: of 100 passes Spark makes no more.
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
        if height >= 20 and waiting and not is_named and one.common.HasField("plan_id"):
            number, height = one.common.plan_id, 0
            part = f"helix part {number}"
            if part not in parts:
                parts[part] = deepcopy(one)
            one.Clear()
            one.common.plan_id = number
            one.cached_remote_relation.relation_id = part
        if waiting:
            waiting[-1][2].append(height)
    return [*parts.items(), ("", relation)]


def holes(relation: Any) -> Iterator[Any]:
    """Yield the places in a relation that are left for those that it reads."""
    waiting = list(relations_in(relation))
    while waiting:
        one = waiting.pop()
        if one.WhichOneof("rel_type") is None:
            yield one
        else:
            waiting.extend(relations_in(one))
