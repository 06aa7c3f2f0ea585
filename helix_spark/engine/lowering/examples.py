"""Examples: features in a vector, the label as a number, the side of the split; and the rows of each side.

The assembler names the slots of the vector by its features' columns, in the metadata of its column, so that a fit on
loaded examples knows the features of the slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.columns import (
    assembler,
    base_of,
    closure,
    columns_among,
    name_of,
    own_stages,
    with_columns,
    with_new,
)
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.fitted_cards import note_slots
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import Assemble, ColumnSplit, HashSplit, KeptColumn, Kind, Rows, Split, TimeSplit

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MOST = 100
"""Most classes of a label that is text; a text with more is rather a key."""


def assemble(node: Node, operator: Assemble, results: Sequence[NodeResult], watcher: Watcher) -> DataFrame:
    """Return the examples. Raises OperatorError where the label or the split does not fit."""
    from pyspark.sql import functions as F

    table = base_of(results)
    base, split = table.frame(), operator.split
    if split is not None:
        check_split(node, split, node.inputs[0], base)
    frame = with_columns(base, columns_among(results))
    features = columns_among(results[feature.index] for feature in operator.features)
    label = operator.label
    extra: dict[str, Column] = {}
    classes: tuple[str, ...] = ()
    if label is not None:
        column = F.expr(label) if isinstance(label, str) else frame[name_of(label, results)]
        if isinstance(label, str) and "(" in label:
            watcher.look_at(node, column)
        extra["label"], classes = _numbered(node, frame, column)
    if split is not None:
        extra["split"] = side_of(split, base.columns)
    extra |= {kept.name: frame[name_of(kept.column, results)] for kept in operator.keep if isinstance(kept, KeptColumn)}
    own = own_split(table) if split is None else None  # it is kept unchanged
    passed = [name for name in (own, *operator.keep) if isinstance(name, str)]
    columns = dict.fromkeys(["features", *extra, *passed])
    frame = with_new(frame, {f"helix_new_{name}": column for name, column in extra.items()})
    assembled = assembler([feature.column for feature in features], "helix_new_features").transform(frame)
    metadata: dict[str, Any] = {}
    if words := _slot_words(features):
        described = assembled.schema["helix_new_features"].metadata
        metadata["features"] = {**described, "ml_attr": _named_slots(described.get("ml_attr", {}), words)}
    if classes:  # the names of the label's numbers, for Spark ML and the record of a model
        metadata["label"] = {"ml_attr": {"type": "nominal", "name": "label", "vals": list(classes)}}
    selected = [
        F.col(f"helix_new_{name}").alias(name, metadata=metadata.get(name)) if name in ("features", *extra)
        else F.col(quoted(name))
        for name in columns
    ]
    examples: DataFrame = assembled.select(*selected)
    return examples


def _numbered(node: Node, frame: DataFrame, label: Column) -> tuple[Column, tuple[str, ...]]:
    """Return a label as numbers, for Spark ML, and the classes of a text that is no number. They are in alphabetical
    order, so that the number of a class does not depend on its frequency."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import BooleanType, NullType, NumericType, StringType

    kind = frame.select(label).schema[0].dataType
    if isinstance(kind, NumericType | BooleanType | NullType):
        return label.cast("double"), ()
    if not isinstance(kind, StringType):
        raise OperatorError(
            f"{node.kind} {node.name!r}: its label is of type {kind.simpleString()}, which no learner takes",
            where=node.where, remedy="a label is a number, a truth value or a text",
        )
    rows = frame.select(label.alias("label")).where(F.col("label").isNotNull()).distinct().limit(_MOST + 1).collect()
    classes = tuple(sorted(row["label"] for row in rows))
    with suppress(ValueError):
        for text in classes:
            float(text)
        return label.cast("double"), ()
    if len(classes) > _MOST:
        raise OperatorError(
            f"{node.kind} {node.name!r}: its label is a text with more than {_MOST} values, such as {classes[0]!r}",
            where=node.where, remedy="a label is a number, a truth value or a text with few values",
        )
    return (F.array_position(F.array(*map(F.lit, classes)), label) - 1).cast("double"), classes


def _slot_words(columns: Iterable[ColumnResult]) -> dict[str, list[str]]:
    """Return the names of slots by column, as far as the stages that build the columns report them."""
    slots, labels = dict[str, list[str]](), dict[str, list[str]]()
    for column in closure(columns):
        stage = column.make() if column.stages is own_stages else None
        if hasattr(stage, "hasParam"):
            note_slots(stage, slots, labels)
    return {column: words for column, words in slots.items() if words and words != [column]}


def _named_slots(described: Mapping[str, Any], words: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a vector's ML attributes, with words instead of the indexes in the assembler's names of slots.

    >>> _named_slots({"attrs": {"numeric": [{"idx": 0, "name": "counts_1"}, {"idx": 1, "name": "age"}]}},
    ...              {"counts": ["wife", "husband"]})["attrs"]["numeric"]
    [{'idx': 0, 'name': 'counts_husband'}, {'idx': 1, 'name': 'age'}]
    """
    def rename(slot: Mapping[str, Any]) -> Mapping[str, Any]:
        column, _, index = str(slot.get("name", "")).rpartition("_")
        names = words.get(column, ())
        if not index.isdecimal() or int(index) >= len(names):
            return slot
        return {**slot, "name": f"{column}_{names[int(index)]}"}

    attributes = described.get("attrs", {})
    return {**described, "attrs": {kind: list(map(rename, slots)) for kind, slots in attributes.items()}}


_MEANINGS = 'test rows have "test", true or 1 there, training rows "train", false or 0'


def side_of(split: Split, columns: Sequence[str]) -> Column:
    """Return "train" or "test" for each row, in any order of rows. `columns` are the table's, without added ones."""
    from pyspark.sql import functions as F

    if isinstance(split, HashSplit):
        hashed = F.xxhash64(*(F.col(quoted(name)) for name in split.key or columns), F.lit(split.seed))
        steps = 1_000_000
        return F.when(F.pmod(hashed, F.lit(steps)) < round(split.test * steps), "test").otherwise("train")
    value = F.coalesce(F.col(quoted(split.column)).cast("string"), F.lit("null"))
    sentence = F.concat(F.lit(f"the split `{split.column}` says neither train nor test, but "), value)
    return F.coalesce(_side_or_null(split), F.raise_error(sentence))


def _side_or_null(split: ColumnSplit | TimeSplit) -> Column:
    from pyspark.sql import functions as F

    column = F.col(quoted(split.column))
    if isinstance(split, TimeSplit):
        moment, limit = column, F.lit(split.before)
        if isinstance(split.before, str):
            moment, limit = moment.try_cast("timestamp"), limit.cast("timestamp")
        return F.when(moment < limit, "train").when(moment >= limit, "test")
    value = F.lower(F.trim(column.cast("string")))
    is_test, is_training = value.isin("test", "true", "1", "1.0"), value.isin("train", "false", "0", "0.0")
    return F.when(is_test, "test").when(is_training, "train")


def training_rows(frame: DataFrame, split: Split | None, columns: Sequence[str]) -> DataFrame:
    """Return the training rows of a table by a split; all rows without one. Arguments as for `side_of`."""
    return frame if split is None else frame.where(side_of(split, columns) == "train")


def own_split(table: TableResult) -> str | None:
    """Return the name of a table's column `split`, if its type has values for "train" and "test"."""
    columns = [
        name for name, kind in table.frame().dtypes
        if name.lower() == "split" and kind in ("string", "boolean", "tinyint", "smallint", "int", "bigint", "double")
    ]
    return columns[0] if len(columns) == 1 else None  # Spark resolves neither of two columns of one name


def rows_taken(node: Node, rows: Rows | None, name: str, table: TableResult) -> DataFrame:
    """Return the rows of the table of node `name` that a learner fits on or a prediction scores. If `rows` is None, its
    column `split` decides, if that has both sides; raises OperatorError if that has other values."""
    frame = table.frame()
    if rows is not None:
        return frame if rows == "all" else frame.where(_side_or_null(ColumnSplit("split")) == rows)
    if (column := own_split(table)) is None or not check_split(node, ColumnSplit(column), name, frame, is_named=False):
        return frame
    return frame.where(_side_or_null(ColumnSplit(column)) == ("train" if node.kind is Kind.LEARNER else "test"))


def check_split(node: Node, split: Split, name: str, frame: DataFrame, *, is_named: bool = True) -> bool:
    """Return whether a split of a table has rows of both sides. Raises OperatorError where a value is of neither side,
    or a split that the author names has an empty side."""
    from pyspark.sql import functions as F

    if isinstance(split, HashSplit):
        return True
    column, side = F.col(quoted(split.column)), _side_or_null(split)
    row = frame.agg(
        F.min(side), F.max(side), F.count_if(side.isNull()), F.max(F.when(side.isNull(), column.cast("string"))),
        F.min(column).cast("string"), F.max(column).cast("string"),
    ).first()
    assert row is not None, "an aggregate of all rows is one row"
    first, last, strange, example, low, high = row
    problem = f"{node.kind} {node.name!r}: column {split.column!r} of {name!r} divides its rows, and"
    remedy = f"{_MEANINGS}; filter or map the other rows in a scanner"
    if isinstance(split, TimeSplit):
        remedy = f"training rows are before {split.before}, test rows from then on; filter rows without a time"
    elif not is_named:
        remedy = f'{_MEANINGS}; if it is no split, rename it, or pass rows="all" to the learner and the prediction'
    if strange:
        value = "null" if example is None else repr(example)
        raise OperatorError(
            f"{problem} {strange:,} of them say neither train nor test, such as {value}", where=node.where,
            remedy=remedy,
        )
    if first == last and is_named:
        missing = "test" if first == "train" else "training"
        raise OperatorError(
            f"{problem} none of them is a {missing} row", where=node.where, remedy=remedy,
            exists="the table has no rows" if first is None else f"its values go from {low} to {high}",
        )
    return bool(first != last)
