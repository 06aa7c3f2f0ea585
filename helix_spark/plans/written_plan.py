"""Plans of the Connect client's tables, assembled from relations that are written one by one.

pyspark copies each relation into the relation that reads it: a loop of 400 steps writes the first of them 400 times.
Here each relation is written once, with holes for its inputs.
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
    """Write the plan of a table with all its inputs."""
    writer = StepWriter(frame._session.client, frame._plan)
    relation: pb.Relation = deepcopy(writer.written(frame._plan._plan_id))
    waiting = list(holes(relation))
    while waiting:
        hole = waiting.pop()
        hole.CopyFrom(writer.written(hole.common.plan_id))
        waiting.extend(holes(hole))
    return relation


class StepWriter:
    """Writes each relation of a plan once, for a client, with holes for its inputs."""

    def __init__(self, client: Any, top: Any) -> None:
        self.writing: Any = None
        self.plans: dict[int, Any] = {top._plan_id: top}  # with those of all holes
        self._client = client
        self._relations: dict[int, Any] = {}

    def written(self, plan_id: int) -> Any:
        """Return the relation of the plan or of a hole, with holes for its inputs."""
        if plan_id not in self._relations:
            self.writing = self.plans[plan_id]
            token = _WRITER.set(self)
            try:
                self._relations[plan_id] = self.writing.plan(self._client)
            finally:
                _WRITER.reset(token)
        return self._relations[plan_id]

    def hole(self, plan: Any) -> Any:
        self.plans[plan._plan_id] = plan
        return pb.Relation(common=pb.RelationCommon(plan_id=plan._plan_id))


_WRITER: ContextVar[StepWriter | None] = ContextVar("step writer", default=None)


def leave_holes_in_plans() -> None:
    """Make plans leave holes while a `StepWriter` writes; classes declared later, such as Spark ML's, too."""
    from pyspark.sql.connect.plan import LogicalPlan

    def wrap(kind: Any) -> None:
        original = vars(kind).get("plan")
        if original is None:
            return

        def plan(self: Any, session: Any) -> Any:
            writer = _WRITER.get()
            return original(self, session) if writer is None or writer.writing is self else writer.hole(self)

        kind.plan = plan

    waiting: list[Any] = [LogicalPlan]
    while waiting:
        kind = waiting.pop()
        wrap(kind)
        waiting.extend(kind.__subclasses__())
    LogicalPlan.__init_subclass__ = classmethod(lambda kind: wrap(kind))  # type: ignore[assignment]  # there is none


def divide_relation(relation: Any) -> list[tuple[str, Any]]:
    """Divide a relation in place into shallow parts, each with its name. A part refers to earlier parts as cached
    relations; the last part is the relation itself.

    Spark then analyses at most 20 relations on top of each other. A step whose types have to be coerced waits for the
    steps below it, each of which takes a pass over all of them, and Spark makes at most 100 passes.
    """
    parts: dict[str, Any] = {}
    # For each relation on the path: its inputs that are not yet visited, and the heights of the visited ones.
    waiting = [(relation, list(relations_in(relation)), [0])]
    while waiting:
        current, below, heights = waiting[-1]
        if below:
            deeper = below.pop()
            waiting.append((deeper, list(relations_in(deeper)), [0]))
            continue
        waiting.pop()
        height = 1 + max(heights)
        # SQL refers to its tables by these names.
        is_named = current.WhichOneof("rel_type") == "subquery_alias"
        if height >= 20 and waiting and not is_named and current.common.HasField("plan_id"):
            number, height = current.common.plan_id, 0
            part = f"helix part {number}"
            if part not in parts:
                parts[part] = deepcopy(current)
            current.Clear()
            current.common.plan_id = number
            current.cached_remote_relation.relation_id = part
        if waiting:
            waiting[-1][2].append(height)
    return [*parts.items(), ("", relation)]


def holes(relation: Any) -> Iterator[Any]:
    """Yield the holes in a relation, to be filled with its inputs."""
    waiting = list(relations_in(relation))
    while waiting:
        inner = waiting.pop()
        if inner.WhichOneof("rel_type") is None:
            yield inner
        else:
            waiting.extend(relations_in(inner))
