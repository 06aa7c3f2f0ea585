"""Runs what a captured function built: its plan, with the results of its inputs in the places of their placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.calls import registering, remedy_for
from helix_spark.engine.lowering.columns import add_expressions, column_name
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult, quoted
from helix_spark.engine.spark.function_inputs import ServingSession, given_inputs
from helix_spark.engine.spark.transport import NotAsBuiltError
from helix_spark.errors import ColumnNotFoundError, Location
from helix_spark.plans.captured_function import CapturedFunction
from helix_spark.plans.connect_client import name_by_itself
from helix_spark.plans.connect_session import column_of
from helix_spark.plans.plan_columns import INPUT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


_NO_SUCH_COLUMN = re.compile(r"(?:dataframe column|with name) [\"`](.+?)[\"`]")
"""How Spark says which column it does not find."""


def built_table(node: Node, built: CapturedFunction, frames: Mapping[int, DataFrame], spark: Any) -> DataFrame:
    """The table that a function built. The views and Python functions that it registers are in the session then.

    Args:
        frames: the tables in the places of its inputs.

    Raises:
        NotAsBuiltError: what it built is not what it would build of them, or of this session.
    """
    with given_inputs(spark, frames) as serves, registering() if built.call.registers else nullcontext():
        try:
            return table_of(node, built, serves(built.call.values), frames)
        finally:
            built.call.end()


def table_of(
    node: Node, built: CapturedFunction, server: ServingSession, frames: Mapping[int, DataFrame]
) -> DataFrame:
    """The same, by a server that knows the tables. Raises NotAsBuiltError."""
    _check_columns(built, server)
    with _authors_columns(node, built, frames.values()):
        return server.table(built.call, built.plan)


def built_column(built: CapturedFunction, base: DataFrame, columns: Mapping[int, str]) -> Column:
    """The column that an extractor built; one for all the tables that it is added to.

    Args:
        base: its table.
        columns: the names of the columns in the places of its inputs.

    Raises:
        NotAsBuiltError: what it built is not what it would build of them, or of this session.
    """
    with given_inputs(base.sparkSession, {0: base}) as serves:
        server = serves(built.call.values)
        _check_columns(built, server)
        expression = type(built.plan)()
        expression.CopyFrom(built.plan)
        name_by_itself(expression)
        server.fill(expression, {f"`{INPUT}{place}`": quoted(name) for place, name in columns.items()})
    found: Any = column_of(expression)
    return found  # type: ignore[no-any-return]  # pyspark's two sorts of columns have no type in common


def column_result(node: Node, built: CapturedFunction, results: Sequence[NodeResult]) -> ColumnResult:
    """The result of a captured extractor. Raises NotAsBuiltError as above."""
    base = results[0]
    assert isinstance(base, TableResult)
    needs = {place: one for place, one in enumerate(results) if isinstance(one, ColumnResult)}
    made = built_column(built, base.frame(), {place: one.column for place, one in needs.items()})
    if not needs:
        with _authors_columns(node, built, [base.frame()]):
            base.frame().select(made)  # analyses it now: a wrong column is found before anything runs
    return ColumnResult(
        column_name(node.name), base, tuple(needs.values()), add_expressions, "expression", lambda frame: made
    )


@contextmanager
def _authors_columns(node: Node, built: CapturedFunction, frames: Iterable[DataFrame]) -> Iterator[None]:
    """Says where the author names a column that no table has."""
    from pyspark.errors import AnalysisException

    try:
        yield
    except AnalysisException as error:
        found = _NO_SUCH_COLUMN.search(str(error))
        if found is None or not (error.getCondition() or "").startswith(_CONDITIONS):
            raise
        known = dict.fromkeys(name for frame in frames for name in frame.columns)
        file, _, line = built.place_of(found[1]).rpartition(":")
        raise ColumnNotFoundError(
            f"{node.kind} {node.name!r} reads a column {found[1]!r} that its table does not have",
            where=Location(file, int(line)) if file else None, remedy=remedy_for(found[1], known),
        ) from error


_CONDITIONS = ("UNRESOLVED_COLUMN", "CANNOT_RESOLVE_DATAFRAME_COLUMN")


def tables_of(results: Sequence[NodeResult]) -> dict[int, DataFrame]:
    """The tables among results, by position."""
    return {place: one.frame() for place, one in enumerate(results) if isinstance(one, TableResult)}


def _check_columns(built: CapturedFunction, server: ServingSession) -> None:
    """Raise NotAsBuiltError if a table has other columns than the function was told."""
    for relation, told in built.call.told:
        found = tuple(server.table(built.call, relation).columns)
        if found != told:
            raise NotAsBuiltError(f"its table has the columns {', '.join(found)}, not {', '.join(told)}")
