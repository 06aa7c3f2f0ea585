"""Iterations of a workflow as their author gets them: of this process, or from the catalog."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import QUESTION_KINDS, IterationRecord, NodeRecord
from helix_spark.engine.execution.outcome import lasting
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.engine.spark.driver_client import in_author_session
from helix_spark.errors import EndedError, HelixError, Location, NotStoredError, WorkflowError, nearest
from helix_spark.forks import Birthplace
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import Metrics, metrics_of
from helix_spark.history.value_text import result_text
from helix_spark.plans.current_program import session_restored
from helix_spark.plots import Plot, is_plot
from helix_spark.run.run_outputs import measured
from helix_spark.sizes import seconds_text
from helix_spark.waits import result_of
from helix_spark.workflow.operators import Result

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

    from helix_spark.run.run import Run
    from helix_spark.views.iteration_view import IterationView

_LISTED = 8
"""The most names of stored results that an error lists."""

_KINDS: Mapping[type, Result] = {TableResult: Result.TABLE, ModelResult: Result.MODEL, ValueResult: Result.VALUE}


class NamedResults(ABC):
    """Tables, models and values by the names of their nodes.

    Attributes:
        workflow, number: the workflow's name and the iteration's number in it, from 1.
        outputs: values as they are; tables and models as a short description.
    """

    def __init__(
        self, workflow: str, number: int, outputs: Mapping[str, Any], results: Mapping[str, NodeResult]
    ) -> None:
        self.workflow, self.number, self.outputs, self._results = workflow, number, outputs, dict(results)
        self._home = Birthplace()

    def __getitem__(self, name: str) -> Any:
        """Return an output's value; for tables and models a short description.

        Raises:
            WorkflowError: no output has this name.
        """
        if name not in self.outputs:
            raise WorkflowError(f"no output is named {name!r}", remedy=nearest(name, self.outputs))
        value = deepcopy(self.outputs[name])
        return Plot(value) if is_plot(value) else value

    def table(self, name: str) -> DataFrame:
        """Return a node's table as a Spark DataFrame; start Spark if no session runs.

        Raises:
            WorkflowError: no node has this name.
            HelixError: its result is no table, or this is a forked child.
            NotStoredError: the table is neither in memory nor stored.
            CatalogError: the stored table is damaged.
            EndedError: the session that had the table was stopped, and it is not stored.
        """
        with session_restored():
            frame: DataFrame = in_author_session(self._table(name, lambda table: not table.lost).frame())
            return frame

    def pandas(self, name: str) -> pd.DataFrame:
        """Return a node's table as a pandas DataFrame. Raises what `table` raises."""
        with session_restored():
            return self._rows(name).pandas()

    def arrow(self, name: str) -> pa.Table:
        """Return a node's table as a pyarrow Table. Raises what `table` raises."""
        with session_restored():
            return self._rows(name).arrow()

    def model(self, name: str) -> Any:
        """Return a learner's fitted Spark ML model. Raises what `table` raises."""
        with session_restored():
            model: ModelResult = self._result(name, Result.MODEL)
            return in_author_session(model.copy())

    def value(self, name: str) -> Any:
        """Return a node's value, output or not: numbers, texts, lists, dicts. Raises what `table` raises."""
        with session_restored():
            value: ValueResult = self._result(name, Result.VALUE)
            return value.copy()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self._view()._repr_mimebundle_()

    @abstractmethod
    def _view(self) -> IterationView: ...

    @abstractmethod
    def _find(self, name: str) -> NodeResult:
        """Return the result of a node. Raises what `table` raises."""

    def _result(self, name: str, kind: Result) -> Any:
        """Return a result of a kind. Raises HelixError in a forked child, whose copy has lost its session."""
        self._home.check(f"the result of {name!r} in iteration {self.number} of {self.workflow}")
        if name not in self._results:
            self._results[name] = self._find(name)
        actual = _KINDS[type(self._results[name])]
        if actual is not kind:
            remedy = f"get it by .{actual}({name!r})"
            raise HelixError(f"{name!r} is a {actual}, not a {kind}", where=self._where(name), remedy=remedy)
        return self._results[name]

    def _where(self, name: str) -> Location | None:
        return None

    def _table(self, name: str, is_readable: Callable[[TableResult], bool]) -> TableResult:
        """Return a table; load the stored one if its session has ended."""
        table: TableResult = self._result(name, Result.TABLE)
        if not is_readable(table):
            self._results = {node: result for node, result in self._results.items() if result is not table}
            table = self._result(name, Result.TABLE)
        if not is_readable(table):
            raise EndedError(
                f"the Spark session that had {name!r} was stopped", where=self._where(name),
                remedy="run the workflow again, which computes it; stored results outlive a session (keep=\"always\")",
            )
        return table

    def _rows(self, name: str) -> TableResult:
        return self._table(name, lambda table: table.collected or not table.lost)


class Iteration(NamedResults):
    """The outputs of one run, with its plan and times. ``it["accuracy"]`` is an output.

    Tables, models and values that the run did not need are loaded at the first request, from memory or the catalog.

    Attributes:
        workflow, number: the workflow's name and the iteration's number in it, from 1.
        plan: the decisions of the planner, with reasons.
        seconds: seconds to the answer; with ``helix run`` from the start of Python, with ``helix watch`` from the save.
        waited: the part of `seconds` before the run.
        node_seconds: seconds of each node, measured or attributed, by name.
        session_seconds: seconds that Spark took to start in this run; 0 if it ran already, or was not needed.
        outputs: values as they are; tables and models as a short description.
        metrics: the numbers among the outputs, with their declarations.
        tables: previews of the output tables whose rows were in this process or recorded.
        before: the metrics of the previous iteration, if it is recorded as done.
    """

    def __init__(self, run: Run, compute: Callable[[str, str], NodeResult]) -> None:
        super().__init__(run.plan.workflow, run.record.number, run.outputs, lasting(run.outcome))
        self.plan, self.seconds, self.waited = run.numbered, run.seconds, run.waited
        self.node_seconds: Mapping[str, float] = {
            name: time.seconds for name, time in run.times.items() if time.seconds is not None
        }
        self.session_seconds, self.tables = run.start_seconds, run.tables
        self._dag, self._storing, self._compute = run.dag, run.storing, compute
        self._find_stored = run.tools.find_result
        self.metrics = replace(metrics_of(run.record), outputs=run.outputs, **measured(run))
        last = run.view.last
        self.before = metrics_of(last) if last is not None and last.status == "done" else None

    def pipeline(self, name: str) -> PipelineModel:
        """Return a learner's model with the stages of its features, as a ``pyspark.ml.PipelineModel`` to save, log or
        serve. It takes rows of the table that the synthesizer extends, and adds prediction and intermediate columns.

        Raises:
            OperatorError: a function computes a feature, or fits the model; the error names it.
            WorkflowError, HelixError, NotStoredError, CatalogError: as `table`, for the model and fitted extractors.
        """
        from helix_spark.engine.lowering.columns import pipeline

        return pipeline(self._dag[name], self._dag, lambda node: self._result(node, self._dag[node].result))

    @property
    def parameters(self) -> dict[str, Any]:
        """The workflow's parameters in this run, by name."""
        return dict(self.plan.parameters)

    def wait(self) -> Mapping[str, int]:
        """Wait until all is stored; return physical bytes by node. Raises HelixError in a forked child."""
        self._home.check(f"the storing of iteration {self.number} of {self.workflow}")
        return result_of(self._storing)

    @property
    def stored(self) -> bool:
        """True once storing has ended."""
        return self._storing.done()

    def __repr__(self) -> str:
        seconds = seconds_text(self.seconds)
        return f"<iteration {self.number} of {self.plan.workflow}: {dict(self.outputs)} in {seconds}>"

    def _view(self) -> IterationView:
        return view_of_run(self, self.before, tuple(self.wait()) if self.stored else ())

    def _where(self, name: str) -> Location | None:
        return self._dag[name].where

    def _find(self, name: str) -> NodeResult:
        node, planned = self._dag[name], self.plan[name]
        if node.result is Result.COLUMN:
            tables = ", ".join(self._dag.readers(node.name))
            raise HelixError(
                f"{name!r} is a column, not a table, a model or a value", where=node.where,
                remedy=f"get a table that contains the column: {tables}",
            )
        if node.name in self._results:
            return self._results[node.name]
        result = self._find_stored(planned.signature)
        if result is None and planned.output:
            result = self._compute(node.name, planned.signature)
        if result is None:
            raise NotStoredError(
                f"iteration {self.number} did not need {name!r}, and its result is not stored", where=node.where,
                exists=planned.reason,
                remedy='declare it with output=True to compute it in every run; with keep="always" it is stored by '
                "the next run that computes it",
            )
        return result


class RecordedIteration(NamedResults):
    """An iteration of the catalog. Values are read from its record, tables and models from the store.

    Attributes:
        workflow, number: the workflow's name and the iteration's number in it.
        record: its row in the catalog: ``message``, ``status``, ``started`` (Unix seconds), ``seconds``, ...
        nodes: records of its nodes, inputs first; empty until it has ended.
        outputs: values as they are; tables, models and huge values as a short description.
    """

    def __init__(
        self, record: IterationRecord, catalog: CatalogReader, find_stored: Callable[[str], NodeResult | None]
    ) -> None:
        super().__init__(record.workflow, record.number, json.loads(record.outputs), {})
        self.record, self.nodes = record, catalog.nodes(record)
        self._catalog, self._find_stored = catalog, find_stored

    @property
    def metrics(self) -> Metrics:
        """The numbers among its outputs, with their declarations."""
        return metrics_of(self.record)

    @property
    def parameters(self) -> dict[str, Any]:
        """The workflow's parameters in this iteration, by name."""
        return mapping(self.record.parameters)

    def __repr__(self) -> str:
        return f"<iteration {self.number} of {self.workflow}, {self.record.status}: {dict(self.outputs)}>"

    def _view(self) -> IterationView:
        from helix_spark.views.iteration_view import recorded_view

        return recorded_view(self.record, self._catalog)

    def _find(self, name: str) -> NodeResult:
        if (value := value_on_record(self.record, name)) is not None:
            return value
        node = node_named(self.record, self.nodes, name)
        if (result := self._find_stored(node.signature)) is None:
            raise not_stored(self._catalog, self.record, self.nodes, node)
        return result


class RecordedIterations(tuple[IterationRecord, ...]):
    """Iterations of the catalog, newest first."""

    __slots__ = ()

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each iteration, with columns for parameters and metrics."""
        import pandas as pd

        return pd.DataFrame([
            {
                "workflow": record.workflow, "iteration": record.number, "status": record.status,
                "started": pd.Timestamp(record.started, unit="s", tz="UTC"), "seconds": record.seconds,
                "message": record.message, "edit": edit_of(record),
                **{f"parameters.{name}": value for name, value in mapping(record.parameters).items()},
                **{f"metrics.{name}": value for name, value in metrics_of(record).values.items()},
            }
            for record in self
        ])


def view_of_run(run: Iteration, before: Metrics | None, stored: Sequence[str] = ()) -> IterationView:
    """Return the view of a run, its outputs compared to those `before`; `stored` are nodes stored since then."""
    from helix_spark.views.iteration_view import output_lines, saved_by, seconds_line, view_of_plan
    from helix_spark.views.node_row import planned_row

    rows = tuple(planned_row(node, run.plan, run.node_seconds, stored) for node in run.plan.nodes)
    saved = saved_by(rows, run.plan.saved_seconds)
    return replace(
        view_of_plan(run.plan), status="done", rows=rows, outputs=output_lines(run.metrics, before), tables=run.tables,
        duration=seconds_line(run.seconds, saved, run.session_seconds, run.waited),
    )


def value_on_record(record: IterationRecord, name: str) -> ValueResult | None:
    """Return an output's value from the record, which no eviction deletes; None for tables, models and other nodes."""
    outputs = json.loads(record.outputs)
    if name not in outputs or (result_text(outputs[name]) and not is_plot(outputs[name])):
        return None
    return ValueResult(outputs[name])


def node_named(record: IterationRecord, nodes: Sequence[NodeRecord], name: str) -> NodeRecord:
    """Return the record of a node, or of the node that it was merged into. Raises WorkflowError."""
    merged: Mapping[str, str] = json.loads(record.plan).get("merged", {})  # older records lack it
    node = next((node for node in nodes if node.name == merged.get(name, name)), None)
    if node is None:
        raise WorkflowError(
            f"iteration {record.number} of {record.workflow!r} has no node {name!r}",
            exists=None if nodes else f"it has no recorded nodes, as it is {record.status}",
            remedy=nearest(name, [*(node.name for node in nodes), *merged]) if nodes else None,
        )
    return node


def not_stored(
    catalog: CatalogReader, record: IterationRecord, nodes: Sequence[NodeRecord], node: NodeRecord
) -> NotStoredError:
    """Return the error of a result that is not stored: why, the stored results of its iteration, how to get it."""
    last = catalog.last_event(node.signature)
    if last is None:
        why = "it never was"
        if node.kind == "extractor":
            why += "; a column is part of the tables that were made with it"
    else:
        why = f"it was {last.event} on {time.strftime('%Y-%m-%d %H:%M', time.localtime(last.at))}: {last.why}"
    live = catalog.live_among({sibling.signature for sibling in nodes})
    stored = [sibling.name for sibling in nodes if sibling.signature in live]
    listed = ", ".join(stored[:_LISTED]) + (", ..." if len(stored) > _LISTED else "")
    if not record.file_digest:
        remedy = "run that version again to get it"
    elif QUESTION_KINDS.issuperset(sibling.kind for sibling in nodes):
        remedy = f"`helix checkout {record.number}` writes that version's file: run it again to get the result"
    else:
        remedy = f"`helix export {record.number} {node.name} FILE --compute` runs the code that it had"
    return NotStoredError(
        f"the result of {node.name!r} of iteration {record.number} of {record.workflow!r} is not stored",
        exists=f"{why}; still stored of it: {listed or 'nothing'}",
        remedy=f'{remedy}; keep="always" on the node stores it'
        + ("" if node.output else ", output=True computes it in every run"),
    )
