"""In how many partitions a learner reads its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SUMMING = frozenset({
    "AFTSurvivalRegression", "GeneralizedLinearRegression", "LinearRegression", "LinearSVC", "LogisticRegression",
})
"""Learners of Spark ML that read their rows only to add up gradients, some dozen times. How rows are divided changes
the last digits of these sums and nothing else; a learner that draws by partition (forests, KMeans) is left alone."""

PARTITION_BYTES = 16 * 2**20
"""Rows of fewer bytes are added up sooner by one task than divided: each of a fit's jobs takes some 10 ms a stage, and
needs a second stage to add up what several tasks found (`benchmarks/partitions.py`)."""


def in_few_partitions(frame: DataFrame, stage: Any) -> DataFrame:
    """The training rows in as many partitions as their size is worth, where the learner only sums over them.

    The rows have to be persisted and filled already, else one task would compute them, too.
    """
    if type(stage).__name__ not in SUMMING or not type(stage).__module__.startswith("pyspark.ml."):
        return frame
    return frame.coalesce(worthwhile(_bytes(frame)))


def worthwhile(size: int) -> int:
    """Partitions for this many bytes.

    >>> worthwhile(0), worthwhile(5_000_000), worthwhile(100_000_000)
    (1, 1, 6)
    """
    return max(1, -(-size // PARTITION_BYTES))


def _bytes(frame: DataFrame) -> int:
    """As Spark's optimiser has them: of a filled pin what it takes in memory."""
    return int(str(frame._jdf.queryExecution().optimizedPlan().stats().sizeInBytes()))
