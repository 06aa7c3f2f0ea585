"""Slots: which places of an assembled vector belong to which of the columns it was made of.

Their sizes are known when the vector is assembled, from the columns' ML attributes. They stay with the vector, in its
column's metadata, so that a fit on examples that were loaded knows them too. No Spark job is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SIZES = "helix_sizes"
"""Key in the metadata of examples' `features`: how many slots each feature has, in the order of the features."""


def with_sizes(frame: DataFrame, vector: str, columns: Sequence[str]) -> dict[str, Any]:
    """The metadata of a vector that was assembled of these columns, with their sizes where they can be told."""
    metadata = dict(frame.schema[vector].metadata)
    sizes = _sizes(frame, metadata, columns)
    return metadata if sizes is None else {**metadata, SIZES: sizes}


def sizes_of(frame: DataFrame, vector: str) -> tuple[int, ...] | None:
    """The sizes of what a vector was assembled of; None where they are not known."""
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
    """How many slots a vector's ML attributes speak of."""
    described = metadata.get("ml_attr", {})
    groups = described.get("attrs")
    count = described.get("num_attrs", sum(map(len, groups.values())) if groups else None)
    return None if count is None else int(count)


def _counted(metadata: Mapping[str, Any], columns: Sequence[str]) -> Counter[str]:
    """Slots of vectors without attributes: the assembler has looked at the first row, and named them COLUMN_INDEX."""
    wanted = set(columns)
    groups = metadata.get("ml_attr", {}).get("attrs", {}) if wanted else {}
    names = (str(slot.get("name", "")).rpartition("_") for slots in groups.values() for slot in slots)
    return Counter(column for column, _, index in names if column in wanted and index.isdecimal())
