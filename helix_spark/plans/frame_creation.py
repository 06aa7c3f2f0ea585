"""Analysis of tables when the author's code creates them, as in a classic session, and division of plans into steps.
The private parts of pyspark that this needs are used here alone."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.plans.current_program import is_connect, replaces, script, settle
from helix_spark.plans.written_plan import StepWriter, holes


def settle_frames() -> None:
    """Make pyspark's methods settle each table that they return to other code than pyspark's."""
    import pyspark
    from pyspark.ml.base import Transformer
    from pyspark.sql.connect import dataframe, group, readwriter, session, tvf, udtf

    inner = (str(Path(pyspark.__file__).parent), str(Path(__file__).parents[1]))

    def settle_results_of(kind: Any, name: str) -> None:
        @replaces(kind, name)
        def create(original: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if not is_connect() or sys._getframe(2).f_code.co_filename.startswith(inner):  # the method is wrapped once
                return result
            for frame in result if isinstance(result, list) else (result,):
                if type(frame).__module__ == "pyspark.sql.connect.dataframe" and hasattr(frame, "_plan"):
                    settle(frame)
            return result

    for kind in (
        dataframe.DataFrame, dataframe.DataFrameNaFunctions, dataframe.DataFrameStatFunctions, group.GroupedData,
        group.PandasCogroupedOps, readwriter.DataFrameReader, session.SparkSession, tvf.TableValuedFunction,
    ):
        for name, call in list(vars(kind).items()):
            returns_none = name in ("stop", "show", "collect", "explain", "printSchema")
            if isinstance(call, FunctionType) and not name.startswith("_") and not returns_none:
                settle_results_of(kind, name)
    settle_results_of(Transformer, "transform")
    settle_results_of(udtf.UserDefinedTableFunction, "__call__")

    @replaces(dataframe.DataFrame, "__getitem__")
    def get_item(original: Any, self: Any, key: Any) -> Any:
        """Refuse ``rows["a"]`` for a missing column, as a classic session does."""
        program = script() if isinstance(key, str) and key != "*" else None
        if program is not None and not sys._getframe(2).f_code.co_filename.startswith(inner):
            columns = program.columns(self)
            if columns is not None and key not in columns:
                program.settle(self.select(key))  # Spark accepts other texts for columns, too
        return original(self, key)


def steps_of(frame: Any, known: Container[int]) -> Iterator[tuple[Any, pb.Relation]]:
    """Yield the steps of a table's plan, inputs first: pyspark's plan and its relation, whose inputs are holes. Steps
    with known ids are skipped, with all their inputs."""
    writer = StepWriter(frame._session.client, frame._plan)
    waiting, done = [frame._plan._plan_id], set[int]()
    while waiting:
        number = waiting[-1]
        inputs = (hole.common.plan_id for hole in holes(writer.written(number)))
        below = [plan_id for plan_id in inputs if plan_id not in known and plan_id not in done]
        if below:
            waiting.extend(below)
            continue
        waiting.pop()
        if number not in known and number not in done:
            done.add(number)
            yield writer.plans[number], writer.written(number)


def schema_request(frame: Any) -> Any:
    client = frame._session.client
    request = client._analyze_plan_request_with_metadata()
    request.schema.plan.root.CopyFrom(frame._plan.plan(client))
    return request


def note_schema(frame: Any, schema: Any) -> None:
    """Set the schema (`spark.connect.DataType`) of a table, so that no request is sent for it."""
    from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type

    frame._cached_schema, frame._cached_schema_serialized = proto_schema_to_pyspark_data_type(schema), None
