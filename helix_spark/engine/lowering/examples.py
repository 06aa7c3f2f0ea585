"""Examples: features assembled into a vector, with the label as a number and the side of the split.

Which slots of the vector belong to which feature is known when it is assembled, from the features' ML attributes. That
stays with the vector, in its column's metadata, so that a fit on examples that were loaded knows it too. No Spark job
is run for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.columns import (
    add_stage,
    assembler,
    base_of,
    closure,
    columns_among,
    name_of,
    with_columns,
    with_new,
)
from helix_spark.engine.lowering.sides import check_split, own_split, side_of
from helix_spark.engine.results.fitted_cards import note_slots
from helix_spark.engine.results.node_results import NodeResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import Assemble, Kept, OwnSplit

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from helix_spark.engine.results.node_results import ColumnResult

_MOST = 100
"""Classes of a label that is text; one with more is rather a key."""

SIZES = "helix_sizes"
"""Key in the metadata of examples' `features`: how many slots each feature has, in the order of the features."""


def assemble(node: Node, operator: Assemble, results: Sequence[NodeResult]) -> DataFrame:
    """Return the examples. Raises OperatorError where the label or the split does not fit."""
    from pyspark.sql import functions as F

    table = base_of(results)
    base, split = table.frame(), own_split(table) if isinstance(operator.split, OwnSplit) else operator.split
    if split is not None:
        check_split(node, split, node.inputs[0], base)
    frame = with_columns(base, columns_among(results))
    features = columns_among(results[feature.index] for feature in operator.features)
    label = operator.label
    extra: dict[str, Column] = {}
    classes: tuple[str, ...] = ()
    if label is not None:
        column = F.expr(label) if isinstance(label, str) else frame[name_of(label, results)]
        extra["label"], classes = _numbered(node, frame, column)
    if split is not None:
        extra["split"] = side_of(split, base.columns)
    extra |= {kept.name: frame[name_of(kept.column, results)] for kept in operator.keep if isinstance(kept, Kept)}
    wanted = list(dict.fromkeys(["features", *extra, *(name for name in operator.keep if isinstance(name, str))]))
    frame = with_new(frame, {f"helix_new_{name}": made for name, made in extra.items()})
    names = [feature.column for feature in features]
    assembled = assembler(names, "helix_new_features").transform(frame)
    metadata = {"features": _with_sizes(assembled, "helix_new_features", names, _slot_words(features))}
    if classes:  # what the numbers of a label stand for, for Spark ML and the record of a model
        metadata["label"] = {"ml_attr": {"type": "nominal", "name": "label", "vals": list(classes)}}
    chosen = [
        F.col(f"helix_new_{name}").alias(name, metadata=metadata[name]) if name in metadata
        else F.col(f"helix_new_{name}").alias(name) if name in extra else F.col(quoted(name))
        for name in wanted
    ]
    examples: DataFrame = assembled.select(*chosen)
    return examples


def _numbered(node: Node, frame: DataFrame, label: Column) -> tuple[Column, tuple[str, ...]]:
    """Return a label as numbers, as Spark ML learns it, and the names of its classes by these numbers where it is text.

    Texts that are numbers are read as such. Classes are in alphabetical order: the number of a class does not depend on
    how often it comes.
    """
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
    found = frame.select(label.alias("label")).where(F.col("label").isNotNull()).distinct().limit(_MOST + 1).collect()
    classes = tuple(sorted(row["label"] for row in found))
    if all(map(_is_number, classes)):
        return label.cast("double"), ()
    if len(classes) > _MOST:
        raise OperatorError(
            f"{node.kind} {node.name!r}: its label is a text with more than {_MOST} values, such as {classes[0]!r}",
            where=node.where, remedy="a label is a number, a truth value or a text with few values",
        )
    place = F.array_position(F.array(*map(F.lit, classes)), label)
    return (place - 1).cast("double"), classes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _with_sizes(
    frame: DataFrame, vector: str, columns: Sequence[str], words: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the metadata of a vector that was assembled of these columns, with their sizes where they are known.

    Args:
        words: by column, what its slots stand for, such as the words of a vocabulary.
    """
    metadata = dict(frame.schema[vector].metadata)
    sizes = _sizes(frame, metadata, columns)
    if words:
        metadata["ml_attr"] = _named_slots(metadata.get("ml_attr", {}), words)
    return metadata if sizes is None else {**metadata, SIZES: sizes}


def _slot_words(columns: Iterable[ColumnResult]) -> dict[str, list[str]]:
    """Return what the slots of columns stand for, by column, as far as the stages that make them tell."""
    slots, labels = dict[str, list[str]](), dict[str, list[str]]()
    for column in closure(columns):
        stage = column.make() if column.add is add_stage else None
        if hasattr(stage, "hasParam"):
            note_slots(stage, slots, labels)
    return {column: words for column, words in slots.items() if words and words != [column]}


def _named_slots(described: Mapping[str, Any], words: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a vector's ML attributes, with words in place of the indexes by which the assembler named slots.

    >>> _named_slots({"attrs": {"numeric": [{"idx": 0, "name": "counts_1"}, {"idx": 1, "name": "age"}]}},
    ...              {"counts": ["wife", "husband"]})["attrs"]["numeric"]
    [{'idx': 0, 'name': 'counts_husband'}, {'idx': 1, 'name': 'age'}]
    """
    def named(slot: Mapping[str, Any]) -> Mapping[str, Any]:
        column, _, index = str(slot.get("name", "")).rpartition("_")
        known = words.get(column, ())
        if not index.isdecimal() or int(index) >= len(known):
            return slot
        return {**slot, "name": f"{column}_{known[int(index)]}"}

    return {**described, "attrs": {sort: list(map(named, slots)) for sort, slots in described.get("attrs", {}).items()}}


def sizes_of(frame: DataFrame, vector: str) -> tuple[int, ...] | None:
    """Return the sizes of what a vector was assembled of; None where they are not known."""
    sizes = frame.schema[vector].metadata.get(SIZES)
    return None if sizes is None else tuple(int(size) for size in sizes)


def _sizes(frame: DataFrame, metadata: Mapping[str, Any], columns: Sequence[str]) -> list[int] | None:
    from pyspark.ml.linalg import VectorUDT

    schema = frame.schema
    unsized = [
        column for column in columns
        if isinstance(schema[column].dataType, VectorUDT) and _attributes(schema[column].metadata) is None
    ]
    counted = _counted(metadata, unsized)
    sizes = []
    for column in columns:
        if not isinstance(schema[column].dataType, VectorUDT):
            sizes.append(1)
        elif column in unsized:
            sizes.append(counted[column])
        else:
            sizes.append(_attributes(schema[column].metadata) or 0)
    # Names may mislead (`a` with ten slots beside `a_1`); then they do not add up.
    return sizes if sum(sizes) == _attributes(metadata) else None


def _attributes(metadata: Mapping[str, Any]) -> int | None:
    """Return how many slots a vector's ML attributes describe."""
    described = metadata.get("ml_attr", {})
    groups = described.get("attrs")
    count = described.get("num_attrs", sum(map(len, groups.values())) if groups else None)
    return None if count is None else int(count)


def _counted(metadata: Mapping[str, Any], columns: Sequence[str]) -> Counter[str]:
    """Count slots of vectors without attributes: the assembler has looked at a row, and named them COLUMN_INDEX."""
    wanted = set(columns)
    groups = metadata.get("ml_attr", {}).get("attrs", {}) if wanted else {}
    names = (str(slot.get("name", "")).rpartition("_") for slots in groups.values() for slot in slots)
    return Counter(column for column, _, index in names if column in wanted and index.isdecimal())
