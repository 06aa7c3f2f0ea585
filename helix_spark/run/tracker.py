"""Who is told of each iteration once it is over, to show it elsewhere: an experiment tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.history.table_preview import TablePreview
from helix_spark.planner.plan import Plan


@dataclass(frozen=True, slots=True)
class Finished:
    """An iteration that is over, well or not.

    Attributes:
        plan: what was decided; None of a plain program, of which nothing is before it asks.
        models: the fitted Spark ML models of its learners, as far as this iteration had them.
        stored: physical bytes of what it stored, by node name.
        live: signatures of its nodes whose results are stored by its end.
        tables: among its outputs, their first rows.
    """

    record: IterationRecord
    nodes: tuple[NodeRecord, ...]
    plan: Plan | None
    models: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, int] = field(default_factory=dict)
    live: frozenset[str] = frozenset()
    tables: Mapping[str, TablePreview] = field(default_factory=dict)


def finished_on_record(catalog: CatalogReader, iteration: IterationRecord) -> Finished:
    """Return an iteration of a plain program, as the catalog has it."""
    nodes = catalog.nodes(iteration)
    live = catalog.live_among({node.signature for node in nodes})
    stored = {node.name: live[node.signature].bytes for node in nodes if node.signature in live}
    return Finished(iteration, tuple(nodes), None, stored=stored, live=frozenset(live))


class Tracker(Protocol):
    """Is told of each iteration, behind its answer."""

    def track(self, finished: Finished, warning: Callable[[str], None]) -> None:
        """Take note of an iteration. It should return soon, for storing waits for it; sending is for later.

        Args:
            warning: is told what went wrong, then or later, from any thread.
        """

    def close(self) -> None:
        """End the work, within bounds: a program that ends waits for it."""


def tell(tracker: Tracker, finished: Finished, warning: Callable[[str], None]) -> None:
    """Tell a tracker, whatever it does."""
    try:
        tracker.track(finished, warning)
    except Exception as error:  # noqa: BLE001 - a tracker may be anybody's, and the iteration stands without it
        number = finished.record.number
        warning(f"iteration {number} could not be tracked: {type(error).__name__}: {error}")
