"""Labels of examples as the numbers that Spark ML learns: numbers as they are, texts by their place among classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.errors import OperatorError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MOST = 100
"""Classes of a label that is text; one with more is rather a key."""


def numbered_label(node: Node, frame: DataFrame, label: Column) -> tuple[Column, tuple[str, ...]]:
    """Return a label as numbers, and the names of its classes by these numbers where it is text.

    Texts that are numbers are read as such. Classes are in alphabetical order: the number of a class does not depend on
    how often it comes.

    Raises:
        OperatorError: the label is neither a number, a truth value nor a text, or a text with too many values.
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


def label_metadata(classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the metadata that tells Spark ML, and the record of a model, what the numbers of a label stand for."""
    return {"ml_attr": {"type": "nominal", "name": "label", "vals": list(classes)}}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
