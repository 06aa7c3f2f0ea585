"""One run of a workflow, as its author gets it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.results.results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import HelixError, UnknownNodeError, nearest
from helix_spark.planner.plan import Plan
from helix_spark.sizes import seconds_text
from helix_spark.workflow.operators import Result

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame


class Iteration:
    """The outputs of one run, and how they came about.

    Its tables, models and values are those that the run had. What it did not need is loaded when somebody asks for it,
    if it is held in memory or stored.

    Args:
        elsewhere: finds the result of a signature that the run did not need; None where there is none.

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
        elsewhere: Callable[[str], NodeResult | None],
    ) -> None:
        self.number, self.plan, self.outputs, self.seconds = number, plan, outputs, seconds
        self.node_seconds, self.session_seconds = node_seconds, session_seconds
        self._dag, self._results, self._behind, self._elsewhere = dag, dict(results), behind, elsewhere

    def __getitem__(self, name: str) -> Any:
        """An output's value; tables and models as a short description.

        Raises:
            UnknownNodeError: no output is named so.
        """
        if name not in self.outputs:
            raise UnknownNodeError(f"no output is named {name!r}", remedy=nearest(name, self.outputs))
        return deepcopy(self.outputs[name])

    def table(self, name: str) -> DataFrame:
        """A table, as a Spark DataFrame.

        Raises, as all that follow:
            UnknownNodeError: no node is named so.
            HelixError: it is no table; or this run did not need it, and it is neither held nor stored.
            CatalogError: what is stored is damaged.
        """
        table: TableResult = self._result(name, Result.TABLE)
        return table.frame()

    def pandas(self, name: str) -> pd.DataFrame:
        """A table, as a pandas DataFrame."""
        return self._rows(name).pandas()

    def arrow(self, name: str) -> pa.Table:
        """A table, as a pyarrow Table."""
        return self._rows(name).arrow()

    def model(self, name: str) -> Any:
        """A fitted Spark ML model."""
        model: ModelResult = self._result(name, Result.MODEL)
        return model.copy()

    def value(self, name: str) -> Any:
        """A value, output or not."""
        value: ValueResult = self._result(name, Result.VALUE)
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
        took = seconds_text(self.seconds)
        return f"<iteration {self.number} of {self.plan.workflow}: {dict(self.outputs)} in {took}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows."""
        from helix_spark.drawing.notebook import bundle
        from helix_spark.iteration.picture import iteration_html, iteration_text

        return bundle(iteration_text(self), iteration_html(self))

    def _rows(self, name: str) -> TableResult:
        """A table of which all columns are wanted."""
        table: TableResult = self._result(name, Result.TABLE)
        if table.left_out and not table.collected:
            node = self._dag[name]
            del self._results[node.name]  # a later run may store all of it
            raise HelixError(
                f"{name!r} is stored without {', '.join(table.left_out)}, which nothing reads", where=node.where,
                remedy=f"it.table({name!r}).select(...) reads the columns that are there; output=True keeps all",
            )
        return table

    def _result(self, name: str, wanted: Result) -> Any:
        if name not in self._dag.by_name:
            raise UnknownNodeError(f"no node is named {name!r}", remedy=nearest(name, self._dag.by_name))
        node = self._dag[name]
        if node.result is not wanted:
            raise HelixError(
                f"{name!r} is a {node.result}, not a {wanted}", where=node.where, remedy=self._way_to(node)
            )
        if node.name not in self._results:
            found = self._elsewhere(self.plan[name].signature)
            if found is None:
                raise HelixError(
                    f"iteration {self.number} did not need {name!r}, and its result is not stored", where=node.where,
                    exists=self.plan[name].reason,
                    remedy='declare it with output=True to have it in every run; with keep="always" it is stored by '
                    "the next run that computes it",
                )
            self._results[node.name] = found
        return self._results[node.name]

    def _way_to(self, node: Node) -> str:
        if node.result is Result.COLUMN:
            return f"a column is part of the tables that are made with it: {', '.join(self._dag.readers(node.name))}"
        return f"ask for it by .{node.result}({node.name!r})"
