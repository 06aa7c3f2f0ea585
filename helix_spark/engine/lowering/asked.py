"""Answers what functions ask Spark about tables that they build, while they are called on stand-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.capture.answer_texts import rows_answered, schema_answered
from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.capture.recorded_call import Asks, unrecorded
from helix_spark.engine.spark.transport import transport_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


def answered_by_spark(
    asks: Asks, asked: CapturedFunction, frames: Mapping[int, DataFrame], spark: SparkSession
) -> Sequence[Any]:
    """What Spark says of a table, as a server's messages. Raises what Spark raises of it.

    Args:
        asked: the table that is asked about.
        frames: the tables in the places of the function's inputs.
    """
    with unrecorded():
        reader = transport_of(spark).reader()
        with reader.known(frames) as names:
            frame = reader.frame(asked.written(names, {}))
        return schema_answered(frame.schema) if asks == "schema" else rows_answered(frame.schema, _rows(frame))


def _rows(frame: DataFrame) -> pa.Table:
    """A table's rows. That there are rows without columns, as where it is asked whether there are any, Arrow tables of
    pyspark's do not tell."""
    import pyarrow as pa

    if frame.columns:
        return frame.toArrow()
    rows = pa.array([{}] * frame.count(), pa.struct([]))
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(rows)])
