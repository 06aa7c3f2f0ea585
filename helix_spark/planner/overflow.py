"""What goes when a catalog holds more than its budget after all: what a later run would miss least.

A plan reckons with the records that there are. What a run records of storing and evicting comes after it, and files of
records that were merged stay for a while beside the merged one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A stored result: physical bytes, seconds to have it again without it, and whether its author insists on it."""

    signature: str
    bytes: int
    recompute_seconds: float
    insisted: bool = False


def overflow(held: Sequence[Held], excess: int) -> tuple[str, ...]:
    """Signatures of what to evict so that `excess` bytes are free, in order; all that takes room, if it is not enough.

    The one result that is quickest to have again, where one of that size is enough; else who saves least per byte. What
    its author insists on goes last.

    >>> large, small, dear = Held("large", 900, 9.0), Held("small", 200, 1.0), Held("dear", 300, 60.0)
    >>> overflow([large, small, dear], 100), overflow([large, small, dear], 1000), overflow([large], 0)
    (('small',), ('small', 'large'), ())
    """
    if excess <= 0:
        return ()
    enough = [one for one in held if one.bytes >= excess and not one.insisted]
    if enough:
        return (min(enough, key=lambda one: (one.recompute_seconds, one.bytes, one.signature)).signature,)
    gone, freed = list[str](), 0
    for one in sorted(held, key=_rank):
        if one.bytes and freed < excess:
            gone.append(one.signature)
            freed += one.bytes
    return tuple(gone)


def _rank(one: Held) -> tuple[bool, float, str]:
    return (one.insisted, one.recompute_seconds / max(1, one.bytes), one.signature)
