"""Marks: what keeps Spark from answering out of a cached table that only looks the same.

Spark knows a plan by its text: paths, options, the bytes of a UDF. A plan over files that have changed since, or a UDF
that imports other code by now, is equal to the earlier one, and a table that is cached from before answers for it.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def marked(frame: DataFrame) -> DataFrame:
    """The same rows by a plan that is equal to no other: under a condition that is true, and that the optimiser
    removes."""
    from pyspark.sql import functions as F

    mark = uuid.uuid4().hex
    return frame.where(F.lit(mark) == F.lit(mark))
