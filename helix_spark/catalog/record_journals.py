"""The journals of a catalog: which there are, and what their rows are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helix_spark.catalog.journal.journal import Journal, Mender, refuses
from helix_spark.catalog.journal.rows import Row
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.same_place import Check, unchecked
from helix_spark.catalog.records import (
    AnswerRecord,
    ArtifactRecord,
    FileRecord,
    IterationRecord,
    NodeRecord,
    ResultRecord,
)

FOLDERS: Mapping[type[Any], str] = {
    FileRecord: "files", AnswerRecord: "answers", ResultRecord: "results", NodeRecord: "nodes",
    ArtifactRecord: "artifacts", IterationRecord: "iterations",
}
"""By type of row, the journal's folder. That an iteration runs is on record before anything else of it: who reads them
one after the other reads iterations last."""

_PRUNED_BY: Mapping[type[Any], tuple[str, ...]] = {
    FileRecord: ("digest",), AnswerRecord: ("workflow", "iteration"),
    ResultRecord: ("workflow", "iteration"), NodeRecord: ("workflow", "iteration"),
    IterationRecord: ("workflow", "number"), ArtifactRecord: ("workflow", "iteration"),
}


def journal_of(
    row_type: type[Row], folder: Place, check: Check = unchecked, mender: Mender = refuses
) -> Journal[Row]:
    """The journal of a type of row.

    Args:
        folder: of its table.
        check, mender: see `Journal`.
    """
    return Journal(folder, row_type, pruned_by=_PRUNED_BY[row_type], check=check, mender=mender)
