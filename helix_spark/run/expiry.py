"""Which iterations are forgotten for their age, or because many are newer: what they stored goes, and their records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.errors import ParameterError
from helix_spark.run.foresight import best_of

SLACK = 0.1
"""Of a workflow's iterations, how many more than asked may be due before they go: all records are written anew then."""

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule for the iterations of each workflow that stay. The newest, the best and pinned ones stay in any case.

    Others are forgotten, with their results, once a tenth more than these are there.

    Attributes:
        iterations: how many of the newest; None for all.
        days: those that began in the last so many days; None for all.

    Raises:
        ParameterError: a number is less than one.
    """

    iterations: int | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("iterations", self.iterations), ("days", self.days)):
            if value is not None and not value >= 1:
                raise ParameterError(f"retention of {value:g} {name}", remedy="keep at least one, or say nothing of it")

    def expire(self, catalog: Catalog) -> str:
        """Forget the iterations that are due; return a sentence on them, empty for none. Raises CatalogError."""
        first = 0.0 if self.days is None else time.time() - self.days * (1 + SLACK) * DAY
        most = math.inf if self.iterations is None else max(self.iterations * (1 + SLACK), self.iterations + 1)
        if self == Expiry() or not any(
            count > most or oldest < first for count, oldest in map(catalog.extent, catalog.workflows())
        ):
            return ""
        found = catalog.expire(lambda: list(self._due(catalog)))
        if found is None or not found.runs:
            return ""
        return f"{len(found.runs):,} iterations and {len(found.signatures):,} results of them have expired"

    def _due(self, catalog: CatalogReader) -> Iterator[str]:
        """Yield the runs that go."""
        pinned, since = catalog.pinned(), 0.0 if self.days is None else time.time() - self.days * DAY
        for workflow in catalog.workflows():
            iterations = catalog.iterations(workflow)
            done = [one for one in iterations if one.status == "done"]
            spared = {one.run for one in (*done[:1], best_of(done[::-1])) if one is not None}
            for place, one in enumerate(iterations):
                is_old = one.started < since or (self.iterations is not None and place >= self.iterations)
                is_spared = one.run in spared or one.status == "running" or (workflow, one.number) in pinned
                if is_old and not is_spared:
                    yield one.run
