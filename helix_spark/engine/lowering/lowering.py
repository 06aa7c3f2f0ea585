"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value.

Fits over one table that Spark can do in one pass run together, with separate results: eight one-hot columns are one
scan, and an edit to one refits one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.places.place import LocalPath
from helix_spark.dag.node import Node
from helix_spark.engine.lowering.authors_errors import authors_errors, remedy_for
from helix_spark.engine.lowering.columns import base_of, columns_among, name_of, ready_made_column, with_columns
from helix_spark.engine.lowering.examples import assemble, rows_taken, training_rows
from helix_spark.engine.lowering.node_functions import call, described, table_in_memory, table_of
from helix_spark.engine.lowering.stages import build_stage, is_sparks_own
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import (
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    marked,
    nullable,
    quoted,
)
from helix_spark.errors import ColumnNotFoundError, ResultTypeError
from helix_spark.plans.connect_session import optimised
from helix_spark.workflow.operators import (
    LEFT_BY_PREDICT,
    Assemble,
    FitCategories,
    FitQuantiles,
    FitStage,
    Function,
    Predict,
    Read,
    Result,
    Select,
    named_columns,
    split_of_fit,
)
from helix_spark.workflow.sources import DeltaSource, FileSource, MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PATTERN = re.compile(r"[\[\]{}*?\\]")
"""Characters that make a path a pattern for Spark's reader."""


def lower(node: Node, results: Sequence[NodeResult], watcher: Watcher) -> NodeResult:
    """Return a node's result from its inputs' results. Tables and columns stay lazy; fits and values are forced. Raises
    NodeError where the author's code or the Spark job failed; ColumnNotFoundError, ResultTypeError or OperatorError
    where the operator does not fit its inputs."""
    with authors_errors(node):
        check_columns(node, results)
        match node.operator:
            case Read(source=MemorySource(data=data)):
                import pyarrow as pa

                # A copy: Arrow may share a DataFrame's memory, which its owner may change.
                rows = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data.copy(), preserve_index=False)
                return table_in_memory(rows, watcher)
            case Read(source=source):
                return TableResult(lambda: _read(node, source, watcher))
            case Function() as operator:
                return call(node, operator, results, watcher)
            case FitCategories() | FitQuantiles():
                return fit_batch([node], [results])[0]
            case FitStage() as operator:
                return fit_stage(node, operator, results, watcher)
            case Assemble() as operator:
                return table_of(assemble(node, operator, results, watcher))
            case Predict(rows=rows, keep=keep):
                model, examples = results
                assert isinstance(model, ModelResult)
                assert isinstance(examples, TableResult)
                with watcher.acting(node, gets_frames=True) as requests:  # a model may be user-defined
                    predicted = model.model.transform(rows_taken(node, rows, node.inputs[1], examples))
                    predicted = predicted.drop(*(name for name in LEFT_BY_PREDICT if name not in keep))
                    requests.note_made(predicted)
                    return table_of(predicted)
            case Select(columns=columns) if node.result is Result.TABLE:
                return table_of(base_of(results).frame().select(*map(quoted, columns)))
        return ready_made_column(node, results, watcher)


def check_columns(node: Node, results: Sequence[NodeResult]) -> None:
    """Check that the base table has the columns that an operator names; raise ColumnNotFoundError if not."""
    names = named_columns(node.operator)
    columns = set(base_of(results).frame().columns) if names else ()
    for name in names:
        if name not in columns:
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {name!r}, which {node.inputs[0]!r} does not have",
                where=node.where, remedy=remedy_for(name, columns),
            )


def _read(node: Node, source: Source, watcher: Watcher) -> DataFrame:
    """Read a source, when its first reader needs the table; errors are reported as the source's."""
    spark, is_user_defined = watcher.sessions.get(), isinstance(source, ReaderSource)
    with authors_errors(node), watcher.acting(node) if is_user_defined else nullcontext() as requests:
        table = read_source(source, spark)
        if type(table).__name__ != "DataFrame":
            raise ResultTypeError(
                f"source {node.name!r}: the reader must return a Spark DataFrame; it returned {described(table)}"
            )
        if requests is not None:
            requests.note_made(table)
        frame = nullable(marked(table))  # the files may have changed
    watcher.opened(node.name, source)
    return frame


def read_source(source: Source, spark: SparkSession) -> Any:
    """Return a source's table, or any object that the author's reader returns. Runs a job only to infer a schema."""
    match source:
        case FileSource(format=format, schema=schema):
            from pyspark.sql.types import StructType

            paths, options = list(source.paths), dict(source.options)
            if source.version is None:
                paths = [_literal(_on_this_disk(path)) for path in paths]
                # `basePath` is a path, too, and Spark expects the others below it.
                options |= {name: _on_this_disk(options[name]) for name in options if name.lower() == "basepath"}
            else:  # the files were not signed, so Spark's settings give paths without a scheme their meaning
                paths = [path if "://" in path else str(LocalPath(path).expanduser().absolute()) for path in paths]
            reader = spark.read.format(format).options(**options)
            if schema is not None:
                is_json = schema.lstrip().startswith("{")
                reader = reader.schema(StructType.fromJson(json.loads(schema)) if is_json else schema)
            return reader.load(paths)
        case DeltaSource(path=path, version=version, commit=commit):
            delta = spark.read.format("delta")
            if version is not None:
                delta = delta.option("versionAsOf", version)
            if commit:  # Delta caches logs by path and such options: else it would miss another table at this path
                delta = delta.option("fs.helix.commit", commit)
            return delta.load(_on_this_disk(path))
        case ReaderSource(read=read):
            return read(spark)


def _on_this_disk(path: str) -> str:
    """Return a path with the scheme of this disk, from which it was signed: `fs.defaultFS` may be another store."""
    if "://" in path and not path.startswith("file://"):
        return path
    return LocalPath(path.removeprefix("file://")).expanduser().absolute().spark_uri


def _literal(uri: str) -> str:
    """Return a path, escaped if a file on this disk has that very name: then it was signed as a file, not a pattern."""
    is_name = _PATTERN.search(uri) and LocalPath(uri.removeprefix("file://")).exists()
    return _PATTERN.sub(r"\\\g<0>", uri) if is_name else uri


def fit_batch(nodes: Sequence[Node], results: Sequence[Sequence[NodeResult]]) -> list[ValueResult]:
    """Fit the nodes of one unit in one pass: labels of columns, most frequent first, ties in alphabetical order; or
    inner boundaries of bins, ascending and distinct, with the smallest error that a node requests."""
    from pyspark.ml.feature import StringIndexer
    from pyspark.sql import functions as F

    operators: list[Any] = [node.operator for node in nodes]
    base = base_of(results[0]).frame()
    rows = with_columns(base, (column for row in results for column in columns_among(row)))
    frame = training_rows(rows, split_of_fit(nodes[0].operator), base.columns)
    names = [name_of(operator.column, row) for operator, row in zip(operators, results, strict=True)]
    # Names without dots: Spark ML would read a field of a column.
    plain = {name: f"helix_input_{place}" for place, name in enumerate(sorted(set(names)))}
    frame = frame.select(*(F.col(quoted(name)).alias(alias) for name, alias in plain.items()))
    inputs = list(plain.values())
    if isinstance(operators[0], FitCategories):
        outputs = [f"helix_index_{place}" for place in range(len(plain))]
        indexer = StringIndexer(inputCols=inputs, outputCols=outputs, handleInvalid="keep")
        labels = dict(zip(plain, indexer.fit(frame).labelsArray, strict=True))
        return [ValueResult(list(labels[name])) for name in names]
    shares_of = [{i / operator.bins for i in range(1, operator.bins)} for operator in operators]
    shares = sorted(set[float]().union(*shares_of))
    error = min(operator.relative_error for operator in operators)
    quantiles = dict(zip(plain, frame.approxQuantile(inputs, shares, error), strict=True))
    return [
        ValueResult(sorted({value for share, value in zip(shares, quantiles[name], strict=False) if share in own}))
        for name, own in zip(names, shares_of, strict=True)
    ]


def fit_stage(node: Node, operator: FitStage, results: Sequence[NodeResult], watcher: Watcher) -> ModelResult:
    base = base_of(results)
    frame = with_columns(base.frame(), columns_among(results))
    if (split := split_of_fit(operator)) is not None:
        frame = training_rows(frame, split, base.frame().columns)
    elif operator.rows != "all":
        frame = rows_taken(node, operator.rows, node.inputs[0], base)
    if frame is base.frame():
        frame = base.persisted()
    with watcher.acting(node):  # its class may be user-defined
        stage = build_stage(node, operator.stage)
    wired = {stage.getParam(name): name_of(column, results) for name, column in operator.columns}
    if not hasattr(stage, "fit"):
        return ModelResult(stage)
    few = in_few_partitions(frame, stage)
    with nullcontext() if is_sparks_own(stage) else watcher.acting(node, gets_frames=True):
        return ModelResult(stage.fit(few, wired or None))


_SUMMING = frozenset({
    "AFTSurvivalRegression", "GeneralizedLinearRegression", "LinearRegression", "LinearSVC", "LogisticRegression",
})
"""Learners of Spark ML that only add up gradients over their rows, some dozen times: partitions change only the last
digits of these sums."""

PARTITION_BYTES = 16 * 2**20
"""One task adds up fewer bytes faster than several: each of a fit's jobs takes some 10 ms a stage, and needs a second
stage to add up the sums of several tasks. On two cores an iteration over 40,000 rows takes 28 ms in one partition and
46 in two, over 640,000 rows 160 and 112."""


def in_few_partitions(frame: DataFrame, stage: Any) -> DataFrame:
    """Return the training rows in as many partitions as their size is worth, if the learner only sums over them.

    Rows of a single partition are sorted by their hashes, so that the model is the same to the last digit whether they
    were computed or loaded, in whatever partitions; columns that cannot be hashed do not count. The rows must be
    persisted and filled, else one task would compute them, too.
    """
    from pyspark.sql import functions as F

    if type(stage).__name__ not in _SUMMING or not type(stage).__module__.startswith("pyspark.ml."):
        return frame
    partitions = worthwhile(_optimised_bytes(frame))
    fewer = frame.coalesce(partitions)
    if partitions > 1:
        return fewer
    hashed = [name for name, kind in frame.dtypes if not re.search("map<|variant|void", kind)]
    return fewer.sortWithinPartitions(F.xxhash64(*(F.col(quoted(name)) for name in hashed))) if hashed else fewer


def worthwhile(size: int) -> int:
    """Return the number of partitions for this many bytes.

    >>> worthwhile(0), worthwhile(5_000_000), worthwhile(100_000_000)
    (1, 1, 6)
    """
    return min(max(1, -(-size // PARTITION_BYTES)), 10_000)  # Spark's default for an unknown size is 2**63 bytes


def _optimised_bytes(frame: DataFrame) -> int:
    """Return the bytes that Spark's optimiser estimates, rounded; for a filled pin its bytes in memory."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    size = re.search(rf"sizeInBytes=([0-9.]+(?:E[+-]?\d+)?) ({'|'.join(units)})", optimised(frame))
    return round(float(size[1]) * 1024 ** units.index(size[2])) if size else 2**63
