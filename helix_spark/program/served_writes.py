"""How a program's server writes the models and the tables that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from helix_spark.answers.persisted_tables import PersistedTable
from helix_spark.answers.questions import Question
from helix_spark.answers.served_session import ServedSession
from helix_spark.answers.stored_tables import MOST_PARTITIONS, PLACE, partitions_told, schema_with_place, write_of
from helix_spark.engine.spark.settings import WHILE_WE_WRITE
from helix_spark.errors import CatalogError
from helix_spark.plans.program_client import schema_told


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a program's server holds, as far as one of Spark ML's own is needed to store it."""

    served: ServedSession
    question: Question

    def write(self) -> ServedModel:
        return self

    def save(self, path: str) -> None:
        self.served.models.write(self.question, path)


@dataclass(frozen=True, slots=True)
class ServedTable:
    """A table that a program's server keeps in memory."""

    served: ServedSession
    table: PersistedTable

    def schema(self) -> str:
        """Its Spark schema, as JSON. Raises CatalogError where there is none."""
        import pyspark.sql.connect.proto as pb

        asking = self.table.ours(pb.AnalyzePlanRequest)
        asking.schema.plan.root.CopyFrom(self.table.relation)
        (told,) = self.served.ask_of_table(self.table, asking)
        return schema_told(told)

    def save(self, path: str, options: Mapping[str, str]) -> str:
        """Write its rows, each with its place, as parquet files into a new folder; return their schema as JSON.

        Raises:
            CatalogError: it cannot be written.
        """
        import pyspark.sql.connect.proto as pb

        schema = self.schema()
        if PLACE in schema:
            raise CatalogError(f"it has a column {PLACE} of its own")
        writing = self.table.ours(pb.ExecutePlanRequest)
        writing.plan.command.CopyFrom(write_of(self.table.relation, path, options))
        with self._settings():
            partitions = partitions_told(self.served.ask_of_table(self.table, writing))
        if partitions is None:
            raise CatalogError("Spark did not tell how many partitions it has")
        if partitions > MOST_PARTITIONS:
            raise CatalogError(f"it has {partitions:,} partitions, more than {MOST_PARTITIONS:,}")
        return schema_with_place(schema, partitions)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Values are written as they are, whatever the program set; and the progress of a short write is told, too."""
        before = self._set({**WHILE_WE_WRITE, "spark.connect.progress.reportInterval": "10ms"})
        try:
            yield
        finally:
            self._set(before)

    def _set(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Set some settings of the session; return what they were."""
        import pyspark.sql.connect.proto as pb

        asking: Any = self.table.ours(pb.ConfigRequest)
        asking.operation.get.keys.extend(wanted)
        (known,) = self.served.ask_of_table(self.table, asking)
        setting: Any = self.table.ours(pb.ConfigRequest)
        setting.operation.set.pairs.extend(pb.KeyValue(key=name, value=value) for name, value in wanted.items())
        self.served.ask_of_table(self.table, setting)
        return {pair.key: pair.value for pair in known.pairs}
