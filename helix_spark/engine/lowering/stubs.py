"""Tells which columns captured functions read, by reading their plans with stubs in the places of their inputs.

No code of the author's is called: what a function builds was captured before. A stub fails when it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.capture.captured_function import BuiltFunction
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.lowering.built import built_column, built_table
from helix_spark.engine.lowering.column_reads import MarkedStub, columns_read
from helix_spark.engine.lowering.sources import read_source
from helix_spark.engine.results.results import nullable_schema
from helix_spark.engine.spark.spark_errors import spark_errors
from helix_spark.engine.spark.transport import NotAsBuiltError
from helix_spark.workflow.operators import Read, Result, Select
from helix_spark.workflow.sources import FileSource, MemorySource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


class Stubs:
    """Stubs of the tables of one graph, within one session.

    Args:
        known: schemas by signature, of results that are held or stored.
    """

    def __init__(
        self, spark: SparkSession, dag: Dag, signatures: Mapping[str, str], known: Mapping[str, StructType]
    ) -> None:
        self._spark, self._dag, self._signatures, self._known = spark, dag, signatures, known
        self._schemas: dict[str, StructType | None] = {}
        self._marked: dict[str, MarkedStub] = {}

    def reads(self, node: Node) -> dict[str, frozenset[str]] | None:
        """By input table's name, the columns that a function's plan reads of it; None where its plan does not tell.

        What passes rows on reads whatever it passes on, whoever reads that.
        """
        made = self._made(node)
        if made is None:
            return None
        tables = [name for name in node.inputs if self._dag[name].result is Result.TABLE]
        return columns_read(made, {name: self._marked[name] for name in tables})

    def schema(self, name: str) -> StructType | None:
        """The schema of a table, if it can be told without running anything."""
        if name not in self._schemas:
            found = self._schema(self._dag[name])
            self._schemas[name] = None if found is None else nullable_schema(found)
        return self._schemas[name]

    def _schema(self, node: Node) -> StructType | None:
        known = self._known.get(self._signatures[node.name])
        if known is not None:
            return known
        match node.operator:
            case Read(source=FileSource(schema=None, format="csv" | "json")) | Read(source=MemorySource()):
                return None  # to infer a schema takes a job
            case Read(source=source):
                return read_source(source, self._spark).schema
            case Select(columns=columns) if node.result is Result.TABLE:
                base = self._stub(node.inputs[0])
                return None if base is None else base.select(*columns).schema
            case BuiltFunction() if node.result is Result.TABLE:
                made = self._made(node)
                return None if made is None else made.schema
        return None

    def _made(self, node: Node) -> DataFrame | None:
        """What a captured function makes of stubs of its inputs; None where their schemas are not known, or where its
        plan is wrong: the run itself will say what is."""
        if not isinstance(node.operator, BuiltFunction):
            return None
        frames: dict[int, DataFrame] = {}
        for place, source in enumerate(node.inputs):
            stub = self._stub(source) if self._dag[source].result is Result.TABLE else None
            if stub is None:  # of a column that it takes nothing is known, either
                return None
            frames[place] = stub
        built = node.operator.built
        wrong: tuple[type[Exception], ...] = (NotAsBuiltError, *spark_errors())
        try:
            if not built.is_column:
                return built_table(node, built, frames, self._spark)
            return frames[0].select(built_column(built, frames[0], {}).alias("column"))
        except wrong:
            return None

    def _stub(self, name: str) -> DataFrame | None:
        if name not in self._marked:
            schema = self.schema(name)
            if schema is None:
                return None
            self._marked[name] = MarkedStub(self._spark, schema)
        return self._marked[name].frame


def schema_from_json(text: str) -> Any:
    """A Spark schema from its JSON."""
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(text))
