"""One metric over the iterations: its values, the best, and where it is not to be compared with what was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from helix_spark.history import metrics
from helix_spark.ui.listing import Row

_RECENT = 60
"""Values in a sparkline."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric over the iterations.

    Attributes:
        values: by iteration.
        direction: which way is better; `guessed` where only its name tells.
        primary: whether its author compares iterations by it.
        best: the iteration with the best value of those that may be compared with the newest one; None where no way is
            better.
        breaks: iterations from which on other code measured it, or the same code on other test rows.
    """

    name: str
    values: Mapping[int, float]
    direction: metrics.Direction
    guessed: bool
    primary: bool
    best: int | None
    breaks: frozenset[int]

    @property
    def recent(self) -> list[float]:
        """The newest values, oldest first."""
        return [self.values[number] for number in self._newest]

    @property
    def recent_breaks(self) -> list[int]:
        """The places of those that are not to be compared with the one before."""
        return [place for place, number in enumerate(self._newest) if number in self.breaks]

    @property
    def _newest(self) -> list[int]:
        return sorted(self.values)[-_RECENT:]

    @property
    def latest(self) -> int:
        """The newest iteration that has it."""
        return max(self.values)


def trend_of(rows: Sequence[Row], name: str) -> Trend:
    """A metric that one of the rows has at least.

    Args:
        rows: newest first.
    """
    having = [row for row in rows if name in row.metrics.values]
    newest = having[0].metrics
    alike = {row.number: row.metrics.values[name] for row in having if row.metrics.measured_alike(name, newest)}
    breaks = {
        after.number for after, before in pairwise(having)
        if not after.metrics.measured_alike(name, before.metrics)
    }
    direction = newest.direction(name)
    return Trend(
        name, {row.number: row.metrics.values[name] for row in having}, direction, newest.is_guessed(name),
        newest.primary == name, metrics.best(alike, direction), frozenset(breaks),
    )
