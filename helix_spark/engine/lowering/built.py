"""Runs what a captured function built: its plan, with the results of its inputs in the places of their stand-ins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.dag.node import Node
from helix_spark.engine.lowering.columns import add_expressions, add_functions, column_name
from helix_spark.engine.results.results import ColumnResult, NodeResult, TableResult, quoted
from helix_spark.engine.spark.plan_reader import PlanReader

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from helix_spark.engine.spark.session import Sessions


def built_table(built: CapturedFunction, results: Sequence[NodeResult], sessions: Sessions) -> DataFrame:
    """The table that a function built."""
    frames = {place: one.frame() for place, one in enumerate(results) if isinstance(one, TableResult)}
    return table_of(built, frames, sessions.get())


def table_of(built: CapturedFunction, frames: dict[int, DataFrame], spark: SparkSession) -> DataFrame:
    """The table that a function built, of these inputs by position."""
    reader = PlanReader(spark)
    with reader.known(frames) as names:
        return reader.frame(built.written(names, {}))


def column_of(built: CapturedFunction, columns: dict[int, str], spark: SparkSession) -> Column:
    """The column that a function built; input columns by position, as they are called."""
    return PlanReader(spark).column(built.written({}, {place: quoted(name) for place, name in columns.items()}))


def built_column(
    node: Node, built: CapturedFunction, results: Sequence[NodeResult], sessions: Sessions
) -> ColumnResult:
    """The column that an extractor built; one for all the tables that it is added to."""
    base = results[0]
    assert isinstance(base, TableResult)
    needs = tuple(one for one in results if isinstance(one, ColumnResult))
    columns = {place: one.column for place, one in enumerate(results) if isinstance(one, ColumnResult)}
    made = column_of(built, columns, sessions.get())
    name = column_name(node.name)
    if not needs:
        base.frame().select(made)  # analyses it now: a wrong column is found before anything runs
    return ColumnResult(name, base, needs, add_expressions, "expression", lambda frame: made)
