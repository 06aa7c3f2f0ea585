"""One run of a workflow, as its author gets it back."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag
from helix_spark.engine.results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import HelixError, UnknownNodeError, nearest
from helix_spark.planner.plan import Plan

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame


class Iteration:
    """The outputs of one run, and how they came about.

    Attributes:
        number: counts from 1 within the workflow.
        plan: what was decided, and why.
        seconds: time to answer.
        node_seconds: measured or attributed, by name.
        session_seconds: what starting Spark took in this run; 0 if it ran already, or was not needed.
        outputs: values as they are; tables and models as a short description.
    """

    def __init__(
        self, number: int, plan: Plan, dag: Dag, results: Mapping[str, NodeResult], outputs: Mapping[str, Any],
        seconds: float, node_seconds: Mapping[str, float], session_seconds: float, behind: Future[Mapping[str, int]],
    ) -> None:
        self.number, self.plan, self.outputs, self.seconds = number, plan, outputs, seconds
        self.node_seconds, self.session_seconds = node_seconds, session_seconds
        self._dag, self._results, self._behind = dag, results, behind

    def __getitem__(self, name: str) -> Any:
        """An output's value; tables and models as a short description.

        Raises:
            UnknownNodeError: no output is named so.
        """
        if name not in self.outputs:
            raise UnknownNodeError(f"no output is named {name!r}", remedy=nearest(name, self.outputs))
        return deepcopy(self.outputs[name])

    def table(self, name: str) -> DataFrame:
        """A table that this run had, as a Spark DataFrame."""
        table: TableResult = self._had(name, TableResult, "table")
        return table.frame()

    def pandas(self, name: str) -> pd.DataFrame:
        """A table that this run had, as a pandas DataFrame."""
        table: TableResult = self._had(name, TableResult, "table")
        return table.pandas()

    def arrow(self, name: str) -> pa.Table:
        """A table that this run had, as a pyarrow Table."""
        return self._had(name, TableResult, "table").arrow()

    def model(self, name: str) -> Any:
        """A fitted Spark ML model that this run had."""
        model: ModelResult = self._had(name, ModelResult, "model")
        return model.copy()

    def value(self, name: str) -> Any:
        """A value that this run had, output or not."""
        value: ValueResult = self._had(name, ValueResult, "value")
        return value.copy()

    @property
    def left_out(self) -> Mapping[str, tuple[str, ...]]:
        """By synthesizer, the features that it went without because a fit gave them no weight; see `plan.left_out`."""
        names = dict.fromkeys(one.synthesizer for one in self.plan.left_out)
        return {name: tuple(one.feature for one in self.plan.left_out if one.synthesizer == name) for name in names}

    def wait(self) -> Mapping[str, int]:
        """Waits until everything that was to be stored is; returns physical bytes by node."""
        return self._behind.result()

    @property
    def stored(self) -> bool:
        """Whether storing has ended."""
        return self._behind.done()

    def __repr__(self) -> str:
        return f"<iteration {self.number} of {self.plan.workflow}: {dict(self.outputs)} in {self.seconds:.1f} s>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows."""
        from helix_spark.drawing.notebook import bundle
        from helix_spark.engine.picture import iteration_html, iteration_text

        return bundle(iteration_text(self), iteration_html(self))

    def _had(self, name: str, kind: type[Any], noun: str) -> Any:
        if name not in self._dag.by_name:
            raise UnknownNodeError(f"no node is named {name!r}", remedy=nearest(name, self._dag.by_name))
        result = self._results.get(self._dag[name].name)
        if result is None:
            raise HelixError(
                f"iteration {self.number} did not have {name!r}: {self.plan[name].reason}",
                remedy="make it an output to have it in every run",
            )
        if not isinstance(result, kind):
            raise HelixError(f"{name!r} is a {self._dag[name].result}, not a {noun}")
        return result
