"""Runs what a captured function built: its plan, with the results of its inputs in the places of their stand-ins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.dag.node import Node
from helix_spark.engine.lowering.calls import registering, remedy_for
from helix_spark.engine.lowering.columns import add_expressions, column_name
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult, quoted
from helix_spark.engine.spark.transport import NotAsBuiltError, PlanReader, column, transport_of
from helix_spark.errors import ColumnNotFoundError, Location

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


_NO_SUCH_COLUMN = re.compile(r"(?:dataframe column|with name) [\"`](.+?)[\"`]")
"""How Spark says which column it does not find."""


def built_table(node: Node, built: CapturedFunction, frames: Mapping[int, DataFrame], spark: SparkSession) -> DataFrame:
    """The table that a function built.

    Args:
        frames: the tables in the places of its inputs.

    Raises:
        NotAsBuiltError: what it built is not what it would build of them, or of this session.
    """
    reader = transport_of(spark).reader()
    with reader.known(frames) as names:
        _check_columns(built, reader, names)
        with _authors_columns(node, built, frames.values()):
            return reader.frame(built.written(names, {}))


def leave_in_session(built: CapturedFunction, frames: Mapping[int, DataFrame], spark: SparkSession) -> None:
    """Registers the views and the Python functions that a function registers: the author's code elsewhere may ask for
    them by their names.

    Args:
        frames: as for `built_table`.
    """
    if not built.registered and not built.functions:
        return
    reader = transport_of(spark).reader()
    with reader.known(frames) as names:
        for name, plan in built.views(names):
            with registering():
                reader.frame(plan).createOrReplaceTempView(name)
    for name, function in built.named_functions():
        with registering():
            reader.register(name, function)


def built_column(built: CapturedFunction, base: DataFrame, columns: Mapping[int, str]) -> Column:
    """The column that an extractor built; one for all the tables that it is added to.

    Args:
        base: its table.
        columns: the names of the columns in the places of its inputs.

    Raises:
        NotAsBuiltError: what it built is not what it would build of them, or of this session.
    """
    reader = transport_of(base.sparkSession).reader()
    with reader.known({0: base}) as names:
        _check_columns(built, reader, names)
    return column(base.sparkSession, built.written({}, {place: quoted(name) for place, name in columns.items()}))


def column_result(node: Node, built: CapturedFunction, results: Sequence[NodeResult]) -> ColumnResult:
    """The result of a captured extractor. Raises NotAsBuiltError as above."""
    base = results[0]
    assert isinstance(base, TableResult)
    needs = {place: one for place, one in enumerate(results) if isinstance(one, ColumnResult)}
    made = built_column(built, base.frame(), {place: one.column for place, one in needs.items()})
    leave_in_session(built, {}, base.frame().sparkSession)
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


def _check_columns(built: CapturedFunction, reader: PlanReader, names: Mapping[int, str]) -> None:
    for plan, told in built.asked(names):
        found = tuple(reader.frame(plan).columns)
        if found != told:
            raise NotAsBuiltError(f"its table has the columns {', '.join(found)}, not {', '.join(told)}")
