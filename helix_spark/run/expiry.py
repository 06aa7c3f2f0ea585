"""Expiry of iterations by age or number: their results are deleted, and their records."""

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
"""Share of a workflow's iterations that may be overdue before any is deleted: a deletion writes all records again."""

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule for the iterations of each workflow to keep. The newest, the best and pinned ones are always kept.

    The others are deleted, with their results, once there are a tenth more than the rule keeps.

    Attributes:
        iterations: number of the newest iterations to keep; None for all.
        days: days from its start for which an iteration is kept; None for all.

    Raises:
        ParameterError: a number is less than one.
    """

    iterations: int | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("iterations", self.iterations), ("days", self.days)):
            if value is not None and not value >= 1:
                raise ParameterError(f"retention of {value:g} {name}", remedy="keep at least one, or leave it out")

    def expire(self, catalog: Catalog) -> str:
        """Delete the iterations that are due; return a sentence on them, empty for none. Raises CatalogError."""
        earliest = 0.0 if self.days is None else time.time() - self.days * (1 + SLACK) * DAY
        most = math.inf if self.iterations is None else max(self.iterations * (1 + SLACK), self.iterations + 1)
        if self == Expiry() or not any(
            count > most or oldest < earliest for count, oldest in map(catalog.extent, catalog.workflows())
        ):
            return ""
        expired = catalog.expire(lambda: list(self._due(catalog)))
        if expired is None or not expired.runs:
            return ""
        return f"{len(expired.runs):,} iterations and {len(expired.signatures):,} results of them have expired"

    def _due(self, catalog: CatalogReader) -> Iterator[str]:
        """Yield the runs to delete."""
        pinned, since = catalog.pinned(), 0.0 if self.days is None else time.time() - self.days * DAY
        for workflow in catalog.workflows():
            iterations = catalog.iterations(workflow)
            done = [record for record in iterations if record.status == "done"]
            shown = {record.run for record in (*done[:1], best_of(done[::-1])) if record is not None}
            for place, record in enumerate(iterations):
                is_old = record.started < since or (self.iterations is not None and place >= self.iterations)
                is_kept = record.run in shown or record.status == "running" or (workflow, record.number) in pinned
                if is_old and not is_kept:
                    yield record.run
