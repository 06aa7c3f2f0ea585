"""A table that a script persists is stored by its server: with the place of each row, and the number of partitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark.sql.connect.proto as pb

from helix_spark.answers.stored_tables import PLACE, partitions_of
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.results.stored_results import Origin
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.program.served_results import store_served
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Runs, rows


class Writing(FakeServer):
    """Writes one row where it is told to write a table, as one of several partitions."""

    partitions = 3

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        answer = super().AnalyzePlan(request, metadata)
        if request.HasField("schema") and any(type_of(one) == "WithColumns" for one in messages(request)):
            answer.schema.schema.struct.fields.add(name=PLACE, data_type=pb.DataType(long=pb.DataType.Long()))
        return answer

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        (answer,) = super().ExecutePlan(request, metadata)
        writing = request.plan.command.write_operation
        if request.plan.command.HasField("write_operation"):
            folder = Path(writing.path.removeprefix("file://"))
            folder.mkdir(parents=True)
            written = pa.table({"answers": pa.array([1]), PLACE: pa.array([0])})
            pq.write_table(written, folder / "part-00000-x.parquet", write_page_checksum=True)
            counted = pb.Expression.Literal(long=1)
            name = writing.input.collect_metrics.name
            answer.observed_metrics.add(name=name, keys=["rows"], values=[counted])
            if self.partitions:
                answer.execution_progress.stages.add(stage_id=1, num_tasks=self.partitions)
        return iter([answer])


@dataclass(frozen=True)
class Keeper:
    """What keeps the results of a program, as far as its server's tables ask it."""

    catalog: Catalog
    tell: Callable[[str], None]
    answerer: Any
    refused: set[str] = field(default_factory=set)


def stored(runs: Runs, catalog: Catalog, server: FakeServer, said: list[str]) -> ArtifactRecord | None:
    """The record of the table that a program persists, once its server has stored it."""
    def program(spark: Any) -> ArtifactRecord | None:
        rows(spark).cache().count()
        served = spark.client._internal_stub.service.served
        (table,) = served.tables
        origin = Origin(table.question.identity, "train", "kept", 1)
        keeper: Any = Keeper(catalog, said.append, spark.client._internal_stub.service)
        (record,) = store_served([(origin, table.question)], keeper)
        return record

    runs.run(program, server=server)
    record: ArtifactRecord | None = runs.returned
    return record


def test_a_table_is_stored_with_the_places_of_its_rows(runs: Runs, catalog: Catalog) -> None:
    said: list[str] = []
    record = stored(runs, catalog, Writing(), said)
    assert said == []
    assert record is not None
    assert (record.rows, partitions_of(catalog.check_table(record))) == (1, 3)


def test_a_table_whose_partitions_are_not_known_is_not_stored(runs: Runs, catalog: Catalog) -> None:
    server, said = Writing(), list[str]()
    server.partitions = 0
    assert stored(runs, catalog, server, said) is None
    assert said == ["'kept' was not stored: Spark did not tell how many partitions it has"]
    assert list(catalog.root.glob("tables/*/*")) == []
