"""Who is given room first where not all that is stored has room, and so who goes last: by plans of every policy, and
when a catalog holds more than its budget after all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from helix_spark.planner.lineage import Lineage, seconds_again

if TYPE_CHECKING:
    from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem

_UNKNOWN: Lineage = MappingProxyType({})


class Turn(IntEnum):
    """In which turn a stored result is given room, the first one first.

    Draws that nobody's newest version has come in between. To lose another result costs seconds, which a plan can
    weigh; a draw could not be had again, nor could anything that was found with it. So it goes for nothing but what
    somebody insists on today. For that it does go: who often edits what is drawn would fill a budget with draws, and
    then not even the newest would be kept.
    """

    INSISTED = auto()
    """Somebody wants it kept: the author of the current version, or of another workflow's."""
    DRAWN = auto()
    """It was fixed as it was drawn, in a version that is past."""
    WEIGHED = auto()
    """What it saves decides."""

    @classmethod
    def of(cls, *, insisted: bool, fixed: bool) -> Turn:
        return cls.INSISTED if insisted else cls.DRAWN if fixed else cls.WEIGHED


def granted(problem: PlanningProblem, among: Collection[str], room: int | None) -> frozenset[str]:
    """Signatures of what is kept without being weighed, as far as there is room for all of that (None: for whatever).

    What other workflows insist on comes before what this version does, or this run would evict it for its own; only a
    draw of this version that is stored comes before both. Draws of versions that are past come last, the newest first.
    """
    wished = [node for node in problem.nodes if node.turn is Turn.INSISTED]
    drawn, shared = [node for node in wished if node.fixed and node.stored], [node for node in wished if node.kept_for]
    theirs = [other for other in problem.others if other.turn is Turn.INSISTED]
    past = sorted((other for other in problem.others if other.turn is Turn.DRAWN), key=lambda other: other.age)
    claims: list[NodeCosts | OtherArtifact] = [*drawn, *shared, *theirs, *wished, *past]
    kept, taken = set[str](), 0
    for one in claims:
        if one.signature in among and one.signature not in kept and (room is None or taken + one.bytes <= room):
            kept.add(one.signature)
            taken += one.bytes
    return frozenset(kept)


def without_room(problem: PlanningProblem, others: Iterable[OtherArtifact]) -> Iterator[str]:
    """Signatures of what must go of other versions when the budget has shrunk below what is stored. What is not weighed
    goes only where it has no room beside what this version's author insists on."""
    if problem.budget is None:
        return
    stored = [node for node in problem.nodes if node.stored]
    used = problem.overhead + sum(node.bytes for node in stored if node.turn is Turn.INSISTED)
    not_asked_for = sum(node.bytes for node in stored if node.turn is Turn.WEIGHED)
    for other in sorted(others, key=lambda other: other.turn):
        beside = not_asked_for if other.turn is Turn.WEIGHED else 0
        if used + beside + other.bytes > problem.budget:
            yield other.signature
        else:
            used += other.bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A stored result: physical bytes, seconds to have it from nothing, whether its author insists on it, and whether
    it was fixed as it was drawn, and could not be had again."""

    signature: str
    bytes: int
    recompute_seconds: float
    insisted: bool = False
    fixed: bool = False

    @property
    def turn(self) -> Turn:
        return Turn.of(insisted=self.insisted, fixed=self.fixed)


def overflow(held: Sequence[Held], excess: int, lineage: Lineage = _UNKNOWN) -> tuple[str, ...]:
    """Signatures of what to evict so that `excess` bytes are free, in order; all that takes room, if it is not enough.

    A plan reckons with the records that there are; what a run records comes after it. Then the one result goes that is
    quickest to have again from what stays, where one of that size is enough; else who saves least per byte, and so on.
    What its author insists on goes last, and draws with it. One that is not in the lineage counts from nothing.

    >>> large, small, dear = Held("large", 900, 9.0), Held("small", 200, 1.0), Held("dear", 300, 60.0)
    >>> overflow([large, small, dear], 100), overflow([large, small, dear], 1000), overflow([large], 0)
    (('small',), ('small', 'large'), ())
    """
    gone: list[str] = []
    left = {one.signature: one for one in held}
    while excess > 0 and any(one.bytes for one in left.values()):
        goes = _missed_least(left, excess, lineage)
        gone.append(goes)
        excess -= left.pop(goes).bytes
    return tuple(gone)


def _missed_least(left: Mapping[str, Held], excess: int, lineage: Lineage) -> str:
    def seconds(one: Held) -> float:
        again = seconds_again(lineage, one.signature, left.keys())
        return one.recompute_seconds if again is None else again

    enough = [one for one in left.values() if one.bytes >= excess and one.turn is Turn.WEIGHED]
    if enough:
        return min((seconds(one), one.bytes, one.signature) for one in enough)[2]
    taking = (one for one in left.values() if one.bytes)
    return min((-one.turn, one.fixed, seconds(one) / one.bytes, one.signature) for one in taking)[3]
