"""In how many partitions, and in which order, a learner reads its rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.node_results import quoted
from helix_spark.plans.connect_session import optimised

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SUMMING = frozenset({
    "AFTSurvivalRegression", "GeneralizedLinearRegression", "LinearRegression", "LinearSVC", "LogisticRegression",
})
"""Learners of Spark ML that read their rows only to add up gradients, some dozen times. How rows are divided changes
the last digits of these sums and nothing else; a learner that draws by partition (forests, KMeans) is left alone, and
so is what reads its rows but once or twice."""

PARTITION_BYTES = 16 * 2**20
"""Rows of fewer bytes are added up sooner by one task than divided: each of a fit's jobs takes some 10 ms a stage, and
needs a second stage to add up what several tasks found (`benchmarks/partitions.py`)."""


def in_few_partitions(frame: DataFrame, stage: Any) -> DataFrame:
    """Return the training rows in as many partitions as their size is worth, where the learner only sums over them.

    Rows of one partition are brought into an order that is theirs alone, so that the model is the same to the last
    digit whether they were computed or loaded, and however they were divided before. The rows have to be persisted and
    filled already, else one task would compute them, too.
    """
    if type(stage).__name__ not in SUMMING or not type(stage).__module__.startswith("pyspark.ml."):
        return frame
    partitions = worthwhile(size_of(frame))
    fewer = frame.coalesce(partitions)
    return in_order(fewer) if partitions == 1 else fewer


def in_order(frame: DataFrame) -> DataFrame:
    """Return the rows of each partition by a hash of what is in them; columns that cannot be hashed do not count."""
    from pyspark.sql import functions as F

    hashed = [field.name for field in frame.schema.fields if can_be_hashed(field.dataType.simpleString())]
    return frame.sortWithinPartitions(F.xxhash64(*(F.col(quoted(name)) for name in hashed))) if hashed else frame


def can_be_hashed(schema: str) -> bool:
    """Return whether `xxhash64` takes a type, or every column of a table, as Spark writes them.

    >>> can_be_hashed("array<struct<a:int>>"), can_be_hashed("struct<a:map<string,int>>")
    (True, False)
    """
    return not any(kind in schema for kind in ("map<", "variant", "void"))


def worthwhile(size: int) -> int:
    """Return the number of partitions for this many bytes.

    >>> worthwhile(0), worthwhile(5_000_000), worthwhile(100_000_000)
    (1, 1, 6)
    """
    return min(max(1, -(-size // PARTITION_BYTES)), 10_000)  # Spark takes what it knows no size of for 2**63 bytes


def size_of(frame: DataFrame) -> int:
    """Return the bytes as Spark's optimiser has them: of a filled pin what it takes in memory."""
    return told_bytes(optimised(frame))


_SIZE = re.compile(r"sizeInBytes=([0-9.]+(?:E[+-]?\d+)?) (B|KiB|MiB|GiB|TiB|PiB|EiB)")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def told_bytes(text: str) -> int:
    """Return the bytes of a plan by the rounded numbers of Spark's `explain`; more than any where it has none.

    >>> told_bytes("Project [a#1], Statistics(sizeInBytes=1.5 KiB)\\n+- Range (0, 9), Statistics(sizeInBytes=72.0 B)")
    1536
    """
    found = _SIZE.search(text)
    return round(float(found[1]) * 1024 ** _UNITS.index(found[2])) if found else 2**63
