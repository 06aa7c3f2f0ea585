"""Settles tables when the author's code is given them, which is when a classic session analyses them; and takes plans
apart into their steps, each written once. All of pyspark that is private and needed for that is here."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import helix_spark.plans.connect_proto as pb
from helix_spark.plans.recorded_call import builds, replaces, script, settle
from helix_spark.plans.written_plan import StepWriter, holes


def settle_frames() -> None:
    """Settle each table that pyspark's methods return to other code than pyspark's."""
    import pyspark
    from pyspark.ml.base import Transformer
    from pyspark.sql.connect import dataframe, group, readwriter, session, tvf, udtf

    inner = (str(Path(pyspark.__file__).parent), str(Path(__file__).parents[1]))

    def settle_made_by(kind: Any, name: str) -> None:
        @replaces(kind, name)
        def make(call: Any, *given: Any, **named: Any) -> Any:
            made = call(*given, **named)
            if not builds() or sys._getframe(2).f_code.co_filename.startswith(inner):  # the method is wrapped once
                return made
            for one in made if isinstance(made, list) else (made,):
                if type(one).__module__ == "pyspark.sql.connect.dataframe" and hasattr(one, "_plan"):
                    settle(one)
            return made

    for kind in (
        dataframe.DataFrame, dataframe.DataFrameNaFunctions, dataframe.DataFrameStatFunctions, group.GroupedData,
        group.PandasCogroupedOps, readwriter.DataFrameReader, session.SparkSession, tvf.TableValuedFunction,
    ):
        for name, call in list(vars(kind).items()):
            gives_none = name in ("stop", "show", "collect", "explain", "printSchema")
            if isinstance(call, FunctionType) and not name.startswith("_") and not gives_none:
                settle_made_by(kind, name)
    settle_made_by(Transformer, "transform")
    settle_made_by(udtf.UserDefinedTableFunction, "__call__")

    @replaces(dataframe.DataFrame, "__getitem__")
    def get_item(item: Any, self: Any, key: Any) -> Any:
        """Refuse ``rows["a"]`` where there is no such column, as a classic session does."""
        program = script() if isinstance(key, str) and key != "*" else None
        if program is not None and not sys._getframe(2).f_code.co_filename.startswith(inner):
            columns = program.columns(self)
            if columns is not None and key not in columns:
                program.settle(self.select(key))  # Spark knows what else names a column
        return item(self, key)


def steps_of(frame: Any, known: Container[int]) -> Iterator[tuple[Any, pb.Relation]]:
    """Yield the steps of a table's plan, inputs first: each step of pyspark's, with its relation, in which those that
    it reads have nothing but their plan ids. Known ones are left out by their ids, with all that they read."""
    writer = StepWriter(frame._session.client, frame._plan)
    waiting, done = [frame._plan._plan_id], set[int]()
    while waiting:
        number = waiting[-1]
        read = (hole.common.plan_id for hole in holes(writer.written(number)))
        below = [one for one in read if one not in known and one not in done]
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
    """Give a table its schema (`spark.connect.DataType`), so that no server is asked for it."""
    from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type

    frame._cached_schema, frame._cached_schema_serialized = proto_schema_to_pyspark_data_type(schema), None
