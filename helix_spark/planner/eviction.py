"""Which results have room first where a budget is too small for all, and so which are evicted last: in the plans of
every policy, and where a catalog holds more than its budget after all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from helix_spark.planner.lineage import Lineage, seconds_again
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem, RoomPriority

_UNKNOWN: Lineage = MappingProxyType({})


def grant_room(problem: PlanningProblem, among: Collection[str], room: int | None) -> frozenset[str]:
    """Return signatures of the results that are kept without being weighed, as far as they have room.

    What other workflows insist on comes before what this version does, or this run would evict it for its own. Only a
    stored draw of this version comes before both. Draws of past versions come last, the newest first.

    Args:
        room: bytes; None for no limit.
    """
    wished = [node for node in problem.nodes if node.priority is RoomPriority.INSISTED]
    drawn, shared = [node for node in wished if node.fixed and node.stored], [node for node in wished if node.kept_for]
    theirs = [other for other in problem.others if other.priority is RoomPriority.INSISTED]
    past = [other for other in problem.others if other.priority is RoomPriority.DRAWN]
    past.sort(key=lambda other: other.age)
    claims: list[NodeCosts | OtherArtifact] = [*drawn, *shared, *theirs, *wished, *past]
    kept, taken = set[str](), 0
    for one in claims:
        if one.signature in among and one.signature not in kept and (room is None or taken + one.bytes <= room):
            kept.add(one.signature)
            taken += one.bytes
    return frozenset(kept)


def crowded_out(problem: PlanningProblem, others: Iterable[OtherArtifact]) -> Iterator[str]:
    """Yield signatures of other versions' results to evict where the budget has shrunk below what is stored.

    Results that are not weighed go only where what this version's author insists on leaves them no room.
    """
    if problem.budget is None:
        return
    stored = [node for node in problem.nodes if node.stored]
    used = problem.overhead + sum(node.bytes for node in stored if node.priority is RoomPriority.INSISTED)
    not_asked_for = sum(node.bytes for node in stored if node.priority is RoomPriority.WEIGHED)
    for other in sorted(others, key=lambda other: other.priority):
        beside = not_asked_for if other.priority is RoomPriority.WEIGHED else 0
        if used + beside + other.bytes > problem.budget:
            yield other.signature
        else:
            used += other.bytes


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A stored result.

    Attributes:
        bytes: physical.
        recompute_seconds: to have it from nothing.
        insisted: whether its author insists on it.
        fixed: whether it was fixed as it was drawn, so that it could not be had again.
    """

    signature: str
    bytes: int
    recompute_seconds: float
    insisted: bool = False
    fixed: bool = False

    @property
    def priority(self) -> RoomPriority:
        return RoomPriority.from_wishes(insisted=self.insisted, fixed=self.fixed)


def choose_evictions(held: Sequence[StoredResult], excess: int, lineage: Lineage = _UNKNOWN) -> tuple[str, ...]:
    """Return signatures of what to evict so that `excess` bytes are free, in order; of all that takes room, if it is
    not enough.

    A plan reckons with the records that exist; what a run records comes after it. Where one result is large enough, the
    one goes that is quickest to have again from what stays; else those that save least per byte. What its author
    insists on goes last, and draws with it. A result that is not in the lineage is computed from nothing.

    >>> stored = [StoredResult("large", 900, 9.0), StoredResult("small", 200, 1.0), StoredResult("dear", 300, 60.0)]
    >>> [choose_evictions(stored, excess) for excess in (100, 1000, 0)]
    [('small',), ('small', 'large'), ()]
    """
    gone: list[str] = []
    left = {one.signature: one for one in held}
    while excess > 0 and any(one.bytes for one in left.values()):
        goes = _missed_least(left, excess, lineage)
        gone.append(goes)
        excess -= left.pop(goes).bytes
    return tuple(gone)


def _missed_least(left: Mapping[str, StoredResult], excess: int, lineage: Lineage) -> str:
    def seconds(one: StoredResult) -> float:
        again = seconds_again(lineage, one.signature, left.keys())
        return one.recompute_seconds if again is None else again

    enough = [one for one in left.values() if one.bytes >= excess and one.priority is RoomPriority.WEIGHED]
    if enough:
        return min((seconds(one), one.bytes, one.signature) for one in enough)[2]
    taking = (one for one in left.values() if one.bytes)
    return min((-one.priority, one.fixed, seconds(one) / one.bytes, one.signature) for one in taking)[3]
