"""Fits: what feature extractors and learners learn from the data, and in how many partitions they read it. Fits over
one table that Spark can do in one pass run as one, and are kept apart afterwards: eight one-hot columns are one scan,
and an edit to one refits one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.columns import base_of, columns_among, name_of, with_columns
from helix_spark.engine.lowering.examples import rows_taken, training_rows
from helix_spark.engine.lowering.stages import build_stage, is_sparks_own
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import ModelResult, NodeResult, ValueResult, quoted
from helix_spark.plans.connect_session import optimised
from helix_spark.workflow.operators import FitCategories, FitQuantiles, FitStage, Split, split_of_fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCHED = (FitCategories, FitQuantiles)


def shared_pass(node: Node) -> tuple[str, type, Split | None]:
    """Return what fits of BATCHED operators that one pass can do have in common: table, operator, rows."""
    return node.inputs[0], type(node.operator), split_of_fit(node.operator)


def fit_batch(nodes: Sequence[Node], results: Sequence[Sequence[NodeResult]]) -> list[ValueResult]:
    """Fit several nodes that have a pass in common (see `shared_pass`): labels of columns, most frequent first, ties in
    alphabetical order (StringIndexer's frequencyDesc); or inner boundaries, ascending and distinct, of all columns at
    the smallest error asked for."""
    from pyspark.ml.feature import StringIndexer
    from pyspark.sql import functions as F

    operators: list[Any] = [node.operator for node in nodes]
    base = base_of(results[0]).frame()
    rows = with_columns(base, (column for row in results for column in columns_among(row)))
    frame = training_rows(rows, split_of_fit(nodes[0].operator), base.columns)
    names = [name_of(operator.column, row) for operator, row in zip(operators, results, strict=True)]
    # Names without dots: Spark ML would look for a part of a column.
    plain = {name: f"helix_input_{place}" for place, name in enumerate(sorted(set(names)))}
    frame, inputs = frame.select(*(F.col(quoted(one)).alias(plain[one]) for one in plain)), list(plain.values())
    if isinstance(operators[0], FitCategories):
        outputs = [f"helix_index_{place}" for place in range(len(plain))]
        indexer = StringIndexer(inputCols=inputs, outputCols=outputs, handleInvalid="keep")
        labels = dict(zip(plain, indexer.fit(frame).labelsArray, strict=True))
        return [ValueResult(list(labels[name])) for name in names]
    wanted = [{i / operator.bins for i in range(1, operator.bins)} for operator in operators]
    shares = sorted(set[float]().union(*wanted))
    error = min(operator.relative_error for operator in operators)
    found = dict(zip(plain, frame.approxQuantile(inputs, shares, error), strict=True))
    return [
        ValueResult(sorted({value for share, value in zip(shares, found[name], strict=False) if share in own}))
        for name, own in zip(names, wanted, strict=True)
    ]


def fit_stage(node: Node, operator: FitStage, results: Sequence[NodeResult], watcher: Watcher) -> ModelResult:
    """Fit an estimator to its table: to the rows the operator names, where examples are split, or to the training
    rows of an extractor's split."""
    base = base_of(results)
    frame = with_columns(base.frame(), columns_among(results))
    if (split := split_of_fit(operator)) is not None:
        frame = training_rows(frame, split, base.frame().columns)
    elif operator.rows != "all":
        frame = rows_taken(node, operator.rows, node.inputs[0], base)
    if frame is base.frame():
        frame = base.persisted()
    with watcher.acting(node):  # its class may be the author's own
        stage = build_stage(node, operator.stage)
    wired = {stage.getParam(name): name_of(column, results) for name, column in operator.columns}
    if not hasattr(stage, "fit"):
        return ModelResult(stage)
    few = in_few_partitions(frame, stage)
    with nullcontext() if is_sparks_own(stage) else watcher.acting(node):
        return ModelResult(stage.fit(few, wired or None))


_SUMMING = frozenset({
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
    digit whether they were computed or loaded, and however they were divided before; columns that cannot be hashed do
    not count for it. The rows have to be persisted and filled already, else one task would compute them, too.
    """
    from pyspark.sql import functions as F

    if type(stage).__name__ not in _SUMMING or not type(stage).__module__.startswith("pyspark.ml."):
        return frame
    partitions = worthwhile(size_of(frame))
    fewer = frame.coalesce(partitions)
    if partitions > 1:
        return fewer
    hashed = [one.name for one in frame.schema.fields if not _UNHASHED.search(one.dataType.simpleString())]
    if not hashed:
        return fewer
    return fewer.sortWithinPartitions(F.xxhash64(*(F.col(quoted(name)) for name in hashed)))


_UNHASHED = re.compile("map<|variant|void")


def worthwhile(size: int) -> int:
    """Return the number of partitions for this many bytes.

    >>> worthwhile(0), worthwhile(5_000_000), worthwhile(100_000_000)
    (1, 1, 6)
    """
    return min(max(1, -(-size // PARTITION_BYTES)), 10_000)  # Spark takes what it knows no size of for 2**63 bytes


def size_of(frame: DataFrame) -> int:
    """Return the bytes as Spark's optimiser has them, rounded: of a filled pin what it takes in memory."""
    found = _SIZE.search(optimised(frame))
    return round(float(found[1]) * 1024 ** _UNITS.index(found[2])) if found else 2**63


_SIZE = re.compile(r"sizeInBytes=([0-9.]+(?:E[+-]?\d+)?) (B|KiB|MiB|GiB|TiB|PiB|EiB)")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
