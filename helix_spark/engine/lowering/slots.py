"""Slots: which places of an assembled vector belong to which of the columns it was made of.

Their sizes are known when the vector is assembled, from the columns' ML attributes. They stay with the vector, in its
column's metadata, so that a fit on examples that were loaded knows them too. No Spark job is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.fitted_cards import note_slots

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from helix_spark.engine.results.node_results import ColumnResult

SIZES = "helix_sizes"
"""Key in the metadata of examples' `features`: how many slots each feature has, in the order of the features."""


def with_sizes(
    frame: DataFrame, vector: str, columns: Sequence[str], words: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The metadata of a vector that was assembled of these columns, with their sizes where they can be told.

    Args:
        words: by column, what its slots stand for, such as the words of a vocabulary.
    """
    metadata = dict(frame.schema[vector].metadata)
    sizes = _sizes(frame, metadata, columns)
    if words:
        metadata["ml_attr"] = _named_slots(metadata.get("ml_attr", {}), words)
    return metadata if sizes is None else {**metadata, SIZES: sizes}


def slot_words(columns: Iterable[ColumnResult]) -> dict[str, list[str]]:
    """What the slots of columns stand for, by column, as far as the stages that make them tell."""
    slots, labels = dict[str, list[str]](), dict[str, list[str]]()
    for column in _in_order(columns):
        stage = column.make() if column.sort == "stage" else None
        if hasattr(stage, "hasParam"):
            note_slots(stage, slots, labels)
    return {column: words for column, words in slots.items() if words and words != [column]}


def _in_order(columns: Iterable[ColumnResult]) -> Iterator[ColumnResult]:
    """Columns, each after those that it needs."""
    for column in columns:
        yield from _in_order(column.needs)
        yield column


def _named_slots(described: Mapping[str, Any], words: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A vector's ML attributes, with words in the place of the indexes that the assembler gave to slots without names.

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
