"""Tables that were stored without some of their columns, as DataFrames of their whole schema.

A function may look at the names and types of the columns it is given; what it declares must not depend on which of them
are stored. So each column that is not is there, as an expression that fails when it is evaluated and that Spark prunes
where nothing reads it: read by mistake, it ends the job, and is never a null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.catalog.cells import parsed_schema
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.engine.results.node_results import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField

LEFT_OUT = "HELIX_COLUMN_LEFT_OUT"
"""How a job's error tells that a column was read which is not stored; the attempt stands behind it."""


def with_left_out(stored: DataFrame, record: ArtifactRecord) -> DataFrame:
    """The columns that are stored and, in their places, those that are not."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    assert record.schema is not None, "a table without columns was stored with its schema"
    whole = StructType.fromJson(dict(parsed_schema(record.schema)))
    return stored.select(*(
        failing(field, _message(record, field.name)) if field.name in record.left_out else F.col(quoted(field.name))
        for field in whole.fields
    ))


def failing(field: StructField, message: str) -> Column:
    """A column of this name and type that fails with a message when it is evaluated. Its plan is a deterministic one
    that nothing folds, so it stays wherever its value would be needed, and only there."""
    from pyspark.sql import functions as F

    return F.raise_error(F.lit(message)).cast(field.dataType).alias(field.name, metadata=field.metadata or {})


def _message(record: ArtifactRecord, column: str) -> str:
    return (
        f"{LEFT_OUT} {record.attempt}: `{column}` of `{record.node}` was not stored, as nothing read it; "
        f"make `{record.node}` an output to have all of it"
    )
