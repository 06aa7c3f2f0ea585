"""What goes when a catalog holds more than its budget after all: what a later run would miss least.

A plan reckons with the records that there are. What a run records of storing and evicting comes after it, and files of
records that were merged stay for a while beside the merged one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from helix_spark.planner.lineage import Lineage, seconds_again

_UNKNOWN: Lineage = MappingProxyType({})


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
    def turn(self) -> tuple[bool, bool]:
        """Who goes first: what only saves seconds, then past draws, what is insisted on today, and draws of today."""
        return self.insisted, self.fixed


def overflow(held: Sequence[Held], excess: int, lineage: Lineage = _UNKNOWN) -> tuple[str, ...]:
    """Signatures of what to evict so that `excess` bytes are free, in order; all that takes room, if it is not enough.

    The one result that is quickest to have again from what stays, where one of that size is enough; else who saves
    least per byte, and so on. What its author insists on goes last, and draws with it (see `Held.turn`).

    Args:
        lineage: what results are made from. One of which that is not known counts with its seconds from nothing.

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

    enough = [one for one in left.values() if one.bytes >= excess and not any(one.turn)]
    if enough:
        return min((seconds(one), one.bytes, one.signature) for one in enough)[2]
    return min((one.turn, seconds(one) / one.bytes, one.signature) for one in left.values() if one.bytes)[2]
