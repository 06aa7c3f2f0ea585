"""Cleans the census. A module of the project's own, beside the job."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

COUPLES = ("Husband", "Wife")


def tidy(data: DataFrame, ending: str = ".") -> DataFrame:
    """Labels without the full stop that the test file has, and no rows without an occupation."""
    return data.withColumn("income", F.rtrim(F.col("income"), F.lit(ending))).where(known(F.col("occupation")))


def known(column: Column) -> Column:
    """Whether a text is there."""
    return column.isNotNull()


def household(relationship: str | None) -> float:
    """A guess at how many people live on one income."""
    return 2.0 if relationship in COUPLES else 1.0


def leisure(hours: float) -> float:
    """Hours of a week that are neither work nor sleep."""
    return 112.0 - hours
