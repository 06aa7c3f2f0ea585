"""What a job keeps in another file."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ADULT = 17


def is_adult(age: Column) -> Column:
    """Whether somebody is of age."""
    return age > ADULT


def adults(rows: DataFrame) -> DataFrame:
    return rows.filter(F.col("id") > 17).withColumn("half", F.col("v") / 2)
