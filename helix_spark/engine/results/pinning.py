"""Pinning: a table's rows are kept in memory, and what is made of it starts from them.

A DataFrame that was persisted still carries the plan of all that it was made from. Spark analyses, compares and
optimises that plan again for each column that is added to it, so that an edit costs what the whole workflow's plan
costs. What stands over the rows alone has a plan of one relation.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from helix_spark.engine.spark.driver_client import driver_client, settle

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def persist(frame: DataFrame) -> DataFrame:
    """Return the same rows, in memory once they were computed, and equal to no other plan."""
    from pyspark import StorageLevel

    settle(frame)
    return marked(frame).persist(StorageLevel.MEMORY_AND_DISK)


def over_rows(frame: DataFrame) -> DataFrame:
    """Return a persisted DataFrame's rows by a plan that is nothing but these rows in memory, where that can be had: a
    server elsewhere finds them by the whole plan."""
    client = driver_client(frame.sparkSession)
    found: DataFrame = frame if client is None else client.over_rows(frame)
    return found


def marked(frame: DataFrame) -> DataFrame:
    """Return the same rows by a plan that is equal to no other: under a condition that is true, and that the optimiser
    removes.

    Spark knows a plan by its text: paths, options, the bytes of a UDF. A plan over files that have changed since, or a
    UDF that imports other code by now, is equal to the earlier one, and a table that is cached from before would answer
    for it.
    """
    from pyspark.sql import functions as F

    mark = uuid.uuid4().hex
    return frame.where(F.lit(mark) == F.lit(mark))
