"""An iteration that is on record alone: its outputs, and those of its results that are still stored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import HelixError, NotStoredError, UnknownNodeError, nearest
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import Metrics, metrics_of
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import proofs_of
from helix_spark.history.table_preview import tables_of
from helix_spark.history.value_text import result_text
from helix_spark.plots import is_plot
from helix_spark.run.iteration import NamedResults
from helix_spark.workflow.operators import Result

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 8
"""Names that an error lists of what is still stored."""


class RecordedIteration(NamedResults):
    """An iteration of the catalog. Values are read from its record; tables and models as far as they are stored.

    Args:
        elsewhere: finds the result of a signature; None where it is neither held in memory nor stored.

    Attributes:
        workflow, number: which iteration.
        record: of the iteration, as it is in the catalog.
        nodes: what happened to each of its nodes, inputs first; none before it has ended.
        outputs: values as they are; tables, models and huge values as a short description.
    """

    def __init__(
        self, record: IterationRecord, catalog: CatalogReader, elsewhere: Callable[[str], NodeResult | None]
    ) -> None:
        super().__init__(record.workflow, record.number, json.loads(record.outputs), {})
        self.record, self.nodes = record, catalog.nodes(record)
        self._catalog, self._elsewhere = catalog, elsewhere

    @property
    def metrics(self) -> Metrics:
        """The numbers among its outputs, and what is said of these."""
        return metrics_of(self.record)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that it ran with, by name."""
        return mapping(self.record.parameters)

    def __repr__(self) -> str:
        return f"<iteration {self.number} of {self.workflow}, {self.record.status}: {dict(self.outputs)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from helix_spark.drawing.notebook import bundle
        from helix_spark.views.iteration_view import view_of_record
        from helix_spark.views.notebook_views import iteration_html, iteration_text

        rows, tables = source_rows(self.nodes), tables_of(self.record, self._catalog)
        live = self._catalog.live_among({node.signature for node in rows})
        view = view_of_record(self.record, rows, live, proofs_of(rows, self._catalog), tables)
        return bundle(iteration_text(view), iteration_html(view))

    def _result(self, name: str, wanted: Result) -> Any:
        if name not in self._results:
            self._results[name] = value_on_record(self.record, name) or self._held_or_stored(name)
        found = self._results[name]
        is_a = _SORTS.get(type(found))
        if is_a is not wanted:
            raise HelixError(f"{name!r} is a {is_a}, not a {wanted}", remedy=f"ask for it by .{is_a}({name!r})")
        return found

    def _held_or_stored(self, name: str) -> NodeResult:
        node = node_named(self.record, self.nodes, name)
        found = self._elsewhere(node.signature)
        if found is None:
            raise not_stored(self._catalog, self.record, self.nodes, node)
        return found


class RecordedIterations(tuple[IterationRecord, ...]):
    """Iterations of the catalog, newest first."""

    __slots__ = ()

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each iteration: how it went, then its parameters and its metrics, a column each."""
        import pandas as pd

        return pd.DataFrame([
            {
                "workflow": one.workflow, "iteration": one.number, "status": one.status,
                "started": pd.Timestamp(one.started, unit="s", tz="UTC"), "seconds": one.seconds,
                "message": one.message, "edit": edit_of(one),
                **{f"parameters.{name}": value for name, value in mapping(one.parameters).items()},
                **{f"metrics.{name}": value for name, value in metrics_of(one).values.items()},
            }
            for one in self
        ])


_SORTS: Mapping[type, Result] = {TableResult: Result.TABLE, ModelResult: Result.MODEL, ValueResult: Result.VALUE}


def value_on_record(record: IterationRecord, name: str) -> ValueResult | None:
    """Return an output's value, which stays recorded whatever is evicted; None for what is no value or no output."""
    outputs = json.loads(record.outputs)
    if name not in outputs or (result_text(outputs[name]) and not is_plot(outputs[name])):
        return None
    return ValueResult(outputs[name])


def stored_result(
    catalog: CatalogReader, record: IterationRecord, nodes: Sequence[NodeRecord], name: str
) -> ArtifactRecord:
    """Return what is stored of a node's result.

    Raises:
        UnknownNodeError: the iteration has no such node.
        NotStoredError: nothing is.
    """
    node = node_named(record, nodes, name)
    found = catalog.artifact(node.signature)
    if found is None:
        raise not_stored(catalog, record, nodes, node)
    return found


def node_named(record: IterationRecord, nodes: Sequence[NodeRecord], name: str) -> NodeRecord:
    """Return the record of a node, or of the one that it was merged into.

    Raises:
        UnknownNodeError: there is none.
    """
    merged: Mapping[str, str] = json.loads(record.plan).get("merged", {})  # older records do not say
    found = next((node for node in nodes if node.name == merged.get(name, name)), None)
    if found is None:
        raise UnknownNodeError(
            f"iteration {record.number} of {record.workflow!r} has no node {name!r}",
            exists=None if nodes else f"it has none on record, for it is {record.status}",
            remedy=nearest(name, [*(node.name for node in nodes), *merged]) if nodes else None,
        )
    return found


def not_stored(
    catalog: CatalogReader, record: IterationRecord, nodes: Sequence[NodeRecord], node: NodeRecord
) -> NotStoredError:
    """Return the error of a result that is not stored any more: why, what is, and how to have it again."""
    last = catalog.last_event(node.signature)
    if last is None:
        why = "it never was"
        if node.kind == "extractor":
            why += "; a column is part of the tables that were made with it"
    else:
        why = f"it was {last.event} on {time.strftime('%Y-%m-%d %H:%M', time.localtime(last.at))}: {last.why}"
    live = catalog.live_among({one.signature for one in nodes})
    there = [one.name for one in nodes if one.signature in live]
    listed = ", ".join(there[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
    again = f"`helix checkout {record.number}` writes that version's file: run it" if record.file_digest else \
        "run that version"
    return NotStoredError(
        f"the result of {node.name!r} of iteration {record.number} of {record.workflow!r} is not stored",
        exists=f"{why}; still stored of it: {listed or 'nothing'}",
        remedy=f'{again} again to have it; keep="always" on the node stores it'
        + ("" if node.output else ", output=True has it in every run"),
    )
