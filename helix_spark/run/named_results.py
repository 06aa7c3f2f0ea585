"""What an iteration gives by the names of its nodes, whether it has just run or is on record alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.engine.spark.moved_results import given
from helix_spark.errors import EndedError, Location, UnknownNodeError, nearest
from helix_spark.forks import Birthplace
from helix_spark.plans.recorded_call import as_before
from helix_spark.plots import Plot, is_plot
from helix_spark.workflow.operators import Result

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame


class NamedResults(ABC):
    """Tables, models and values by the names of their nodes.

    Args:
        results: those at hand, by node name; further ones are added as they are asked for.

    Attributes:
        workflow, number: which iteration; numbers count from 1 within a workflow.
        outputs: values as they are; tables and models as a short description.
    """

    def __init__(
        self, workflow: str, number: int, outputs: Mapping[str, Any], results: Mapping[str, NodeResult]
    ) -> None:
        self.workflow, self.number, self.outputs, self._results = workflow, number, outputs, dict(results)
        self._home = Birthplace()

    def __getitem__(self, name: str) -> Any:
        """An output's value; tables and models as a short description.

        Raises:
            UnknownNodeError: no output is named so.
        """
        if name not in self.outputs:
            raise UnknownNodeError(f"no output is named {name!r}", remedy=nearest(name, self.outputs))
        value = deepcopy(self.outputs[name])
        return Plot(value) if is_plot(value) else value

    def table(self, name: str) -> DataFrame:
        """A table, as a Spark DataFrame.

        Raises, as all that follow:
            UnknownNodeError: no node is named so.
            HelixError: it is no table.
            NotStoredError: it is neither at hand, nor held in memory, nor stored.
            CatalogError: what is stored is damaged.
            EndedError: the session that had it was stopped, and it is not stored.
        """
        with as_before():
            found: DataFrame = given(self._table(name, lambda table: not table.lost).frame())
            return found

    def pandas(self, name: str) -> pd.DataFrame:
        """A table, as a pandas DataFrame."""
        with as_before():
            return self._rows(name).pandas()

    def arrow(self, name: str) -> pa.Table:
        """A table, as a pyarrow Table."""
        with as_before():
            return self._rows(name).arrow()

    def model(self, name: str) -> Any:
        """A fitted Spark ML model."""
        with as_before():
            model: ModelResult = self._result_here(name, Result.MODEL)
            return given(model.copy())

    def value(self, name: str) -> Any:
        """A value, output or not."""
        with as_before():
            value: ValueResult = self._result_here(name, Result.VALUE)
            return value.copy()

    @abstractmethod
    def _result(self, name: str, wanted: Result) -> Any:
        """The result of a node. It raises what `table` says."""

    def _where(self, name: str) -> Location | None:
        """Where a node is declared, if that is known."""
        return None

    def _result_here(self, name: str, wanted: Result) -> Any:
        """As `_result`, in the process that has it: what lies in a forked child's memory has lost what it is made of.
        """
        self._home.check(f"what iteration {self.number} of {self.workflow} has of {name!r}")
        return self._result(name, wanted)

    def _table(self, name: str, can_be_had: Callable[[TableResult], bool]) -> TableResult:
        """A table; where a session has ended with it, as it is stored."""
        table: TableResult = self._result_here(name, Result.TABLE)
        if not can_be_had(table):
            self._results = {node: result for node, result in self._results.items() if result is not table}
            table = self._result_here(name, Result.TABLE)
        if not can_be_had(table):
            raise EndedError(
                f"the Spark session that had {name!r} was stopped", where=self._where(name),
                remedy="run the workflow again, which computes it; what is stored outlives a session (keep=\"always\")",
            )
        return table

    def _rows(self, name: str) -> TableResult:
        """A table of which all columns are wanted."""
        return self._table(name, lambda table: table.collected or not table.lost)
