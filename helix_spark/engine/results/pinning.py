"""Pinning: a table's rows are kept in memory, and what is made of it starts from them.

A DataFrame that was persisted still carries the plan of all that it was made from. Spark analyses, compares and
optimises that plan again for each column that is added to it, so that an edit costs what the whole workflow's plan
costs. What stands over the rows alone has a plan of one relation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helix_spark.engine.results.marking import marked
from helix_spark.engine.spark.transport import transport_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def persist(frame: DataFrame) -> DataFrame:
    """The same rows, in memory once they were computed, and equal to no other plan."""
    from pyspark import StorageLevel

    transport_of(frame.sparkSession).settle(frame)
    return marked(frame).persist(StorageLevel.MEMORY_AND_DISK)


def over_rows(frame: DataFrame) -> DataFrame:
    """A persisted DataFrame's rows by a plan that is nothing but these rows in memory, where that can be had."""
    return transport_of(frame.sparkSession).over_rows(frame)
