"""The two sides of a split: which rows of a table are training rows and which are test rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helix_spark.dag.node import Node
from helix_spark.engine.results.node_results import TableResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import ColumnSplit, HashSplit, Kind, OwnSplit, Rows, Split, TimeSplit

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_STEPS = 1_000_000
"""Resolution of a split's share."""

_TEST, _TRAIN = ("test", "true", "1", "1.0"), ("train", "false", "0", "0.0")
"""Values of a column that is a split, as text in lower case."""

_MEANINGS = 'test rows have "test", true or 1 there, training rows "train", false or 0'


def side_of(split: Split, columns: Sequence[str]) -> Column:
    """Return "train" or "test" for each row, whatever the order in which rows are read.

    Args:
        columns: of the table that is divided, without columns that were added to it.
    """
    from pyspark.sql import functions as F

    if isinstance(split, HashSplit):
        hashed = F.xxhash64(*(F.col(quoted(name)) for name in split.key or columns), F.lit(split.seed))
        share = F.pmod(hashed, F.lit(_STEPS))
        return F.when(share < round(split.test * _STEPS), "test").otherwise("train")
    value = F.coalesce(F.col(quoted(split.column)).cast("string"), F.lit("null"))
    sentence = F.concat(F.lit(f"the split `{split.column}` says neither train nor test, but "), value)
    return F.coalesce(_side_or_null(split), F.raise_error(sentence))


def _side_or_null(split: ColumnSplit | TimeSplit) -> Column:
    """Return "train" or "test"; null where the column says neither."""
    from pyspark.sql import functions as F

    column = F.col(quoted(split.column))
    if isinstance(split, TimeSplit):
        is_time = isinstance(split.before, str)
        moment, limit = (column.try_cast("timestamp"), F.lit(split.before).cast("timestamp")) if is_time else (
            column, F.lit(split.before)
        )
        return F.when(moment < limit, "train").when(moment >= limit, "test")
    value = F.lower(F.trim(column.cast("string")))
    return F.when(value.isin(*_TEST), "test").when(value.isin(*_TRAIN), "train")


def training_rows(frame: DataFrame, split: Split | None, columns: Sequence[str]) -> DataFrame:
    """Return the training rows of a table that no synthesizer has divided yet: the rows that a synthesizer of this
    table with this split calls so. All rows without a split. Arguments as for `side_of`."""
    return frame if split is None else frame.where(side_of(split, columns) == "train")


def own_split(table: TableResult) -> OwnSplit | None:
    """Return the column `split` of a table, if it has one that can say "train" and "test"."""
    found = [
        name for name, kind in table.frame().dtypes
        if name.lower() == "split" and kind in ("string", "boolean", "tinyint", "smallint", "int", "bigint", "double")
    ]
    if len(found) != 1:  # of two columns of one name Spark finds neither
        return None
    return OwnSplit(found[0])


def rows_taken(node: Node, rows: Rows | None, name: str, table: TableResult) -> DataFrame:
    """Return the rows of a table that a learner fits on or a prediction scores.

    Args:
        rows: None takes the side that the table's column `split` says, if it has that column with rows of both sides.
        name: the table's node.

    Raises:
        OperatorError: the column `split` has other values.
    """
    frame = table.frame()
    if rows is not None:
        return frame if rows == "all" else frame.where(frame["split"] == rows)
    split = own_split(table)
    if split is None or not check_split(node, split, name, frame):
        return frame
    return frame.where(_side_or_null(split) == ("train" if node.kind is Kind.LEARNER else "test"))


def check_split(node: Node, split: Split, name: str, frame: DataFrame) -> bool:
    """Return whether a split of a table has rows of both sides.

    Args:
        name: the table's node.

    Raises:
        OperatorError: a value says neither side, or a split that the author names leaves one side empty.
    """
    from pyspark.sql import functions as F

    if isinstance(split, HashSplit):
        return True
    column, side = F.col(quoted(split.column)), _side_or_null(split)
    found = frame.agg(
        F.min(side), F.max(side), F.count_if(side.isNull()), F.max(F.when(side.isNull(), column.cast("string"))),
        F.min(column).cast("string"), F.max(column).cast("string"),
    ).first()
    assert found is not None, "an aggregate of all rows is one row"
    first, last, strange, example, low, high = found
    named = f"column {split.column!r} of {name!r}"
    if strange:
        value = "null" if example is None else repr(example)
        raise OperatorError(
            f"{node.kind} {node.name!r}: {named} divides its rows, and {strange:,} of them say neither train nor test, "
            f"such as {value}", where=node.where, remedy=_remedy(split),
        )
    if first == last and not isinstance(split, OwnSplit):
        missing = "test" if first == "train" else "training"
        raise OperatorError(
            f"{node.kind} {node.name!r}: {named} divides its rows, and none of them is a {missing} row",
            where=node.where, remedy=_remedy(split),
            exists="the table has no rows" if first is None else f"its values go from {low} to {high}",
        )
    return bool(first != last)


def _remedy(split: Split) -> str:
    if isinstance(split, TimeSplit):
        return f"training rows are before {split.before}, test rows from then on; filter rows without a time"
    if isinstance(split, OwnSplit):
        return f'{_MEANINGS}; if the column is no split, rename it, or say rows="all" of the learner and the prediction'
    return f"{_MEANINGS}; filter or map the other rows in a scanner"
