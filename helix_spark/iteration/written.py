"""What a run wrote, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kept:
    """Physical bytes by node, of what a run wrote.

    Attributes:
        stored: of what is there.
        gone: of what is not: it turned out to be larger than the room that was left, or made room for something else.
    """

    stored: Mapping[str, int] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """All that was learnt of sizes."""
        return {**self.gone, **self.stored}

    def then(self, more: Kept, evicted: Collection[str]) -> Kept:
        """After more was written.

        Args:
            evicted: names of what was stored and is not any more.

        >>> Kept({"a": 1, "b": 2}).then(Kept({"c": 3}, {"d": 4}), ["b"])
        Kept(stored={'a': 1, 'c': 3}, gone={'b': 2, 'd': 4})
        """
        stays = {name: size for name, size in self.stored.items() if name not in evicted}
        gone = {name: size for name, size in self.sizes.items() if name not in stays}
        return Kept({**stays, **more.stored}, {**gone, **more.gone})
