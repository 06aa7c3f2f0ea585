"""Pinning: a table's rows are kept in memory, and what is made of it starts from them.

A DataFrame that was persisted still carries the plan of all that it was made from. Spark analyses, compares and
optimises that plan again for each column that is added to it, so that an edit costs what the whole workflow's plan
costs. What stands over the rows alone has a plan of one relation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.marking import marked

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def persist(frame: DataFrame) -> DataFrame:
    """The same rows, in memory once they were computed, and equal to no other plan."""
    from pyspark import StorageLevel

    return marked(frame).persist(StorageLevel.MEMORY_AND_DISK)


def over_rows(frame: DataFrame) -> DataFrame:
    """A persisted DataFrame's rows by a plan that is nothing but these rows in memory.

    Spark's own substitution of a cached plan (`QueryExecution.withCachedData`) is made once, here, instead of in each
    plan above it. Rows that were lost are computed again all the same: the relation knows how.
    """
    from pyspark.sql import DataFrame

    spark = frame.sparkSession
    relation: Any = frame._jdf.queryExecution().withCachedData()
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    datasets: Any = getattr(gateway.jvm.org.apache.spark.sql.classic, "Dataset$").__getattr__("MODULE$")
    return DataFrame(datasets.ofRows(spark._jsparkSession, relation), spark)
