"""The interface of experiment trackers, which receive each iteration that has ended."""

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
    """An iteration that has ended, with or without success.

    Attributes:
        plan: the decisions of the planner; None for a plain program.
        models: the fitted Spark ML models of its learners, if it computed or loaded them.
        stored: physical bytes of the results that it stored, by node name.
        live: signatures of its nodes whose results are stored at its end.
        tables: previews of its output tables.
    """

    record: IterationRecord
    nodes: tuple[NodeRecord, ...]
    plan: Plan | None
    models: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, int] = field(default_factory=dict)
    live: frozenset[str] = frozenset()
    tables: Mapping[str, TablePreview] = field(default_factory=dict)


def finished_on_record(catalog: CatalogReader, iteration: IterationRecord) -> Finished:
    """Return an iteration from its records in the catalog."""
    nodes = catalog.nodes(iteration)
    live = catalog.live_among({node.signature for node in nodes})
    stored = {node.name: live[node.signature].bytes for node in nodes if node.signature in live}
    return Finished(iteration, tuple(nodes), None, stored=stored, live=frozenset(live))


class Tracker(Protocol):
    """A receiver of iterations, after their answers."""

    def track(self, finished: Finished, warning: Callable[[str], None]) -> None:
        """Accept an iteration to send later; storing waits for this. `warning` reports errors, from any thread."""

    def close(self) -> None:
        """End the work soon: a program that ends waits for it."""


def tell(tracker: Tracker, finished: Finished, warning: Callable[[str], None]) -> None:
    """Notify a tracker; turn its errors into warnings."""
    try:
        tracker.track(finished, warning)
    except Exception as error:  # noqa: BLE001 - a tracker may be the author's, and the iteration is valid without it
        number = finished.record.number
        warning(f"iteration {number} could not be tracked: {type(error).__name__}: {error}")
