"""Counts by class are drawn as a matrix on a page; any other output table is a table."""

from __future__ import annotations

from typing import Any

import pytest

from helix_spark.history.table_preview import TablePreview
from helix_spark.ui.outputs import matrix_of, output_table


def table(rows: list[tuple[Any, ...]], *names: str, total: int | None = None) -> TablePreview:
    return TablePreview(tuple((name, "any") for name in names), tuple(rows), len(rows) if total is None else total)


@pytest.mark.parametrize("found", [
    table([("a", 8, 2), ("b", 0, 4)], "gold", "a", "b"), table([("b", 4, 0), ("a", 2, 8)], "gold", "b", "a"),
    table([("a", "a", 8), ("a", "b", 2), ("b", "a", 0), ("b", "b", 4)], "gold", "said", "n"),
])
def test_counts_by_what_is_and_what_was_said_are_a_matrix(found: TablePreview) -> None:
    matrix = matrix_of(found)
    assert matrix is not None
    by_name = {
        (one, other): matrix.counts[row][column]
        for row, one in enumerate(matrix.labels) for column, other in enumerate(matrix.labels)
    }
    assert {pair: count for pair, (count, _) in by_name.items()} == {
        ("a", "a"): "8", ("a", "b"): "2", ("b", "a"): "0", ("b", "b"): "4",
    }
    assert by_name["b", "b"][1] == 9
    assert by_name["b", "a"][1] == 0


def test_classes_that_are_numbers_stand_in_their_order() -> None:
    rows = [(down, across, 1) for down in (10, 2, 1) for across in (1, 2, 10)]
    matrix = matrix_of(table(rows, "gold", "said", "n"))
    assert matrix is not None
    assert matrix.labels == ("1", "2", "10")


@pytest.mark.parametrize("found", [
    table([], "a", "b"), table([("a", 1, 0.5), ("b", 2, 0.7)], "word", "n", "score"),
    table([(1, 2), (3, 4)], "a", "b"), table([("a", 1.0)], "word", "n", total=900),
    table([("a", 0.5), ("a", 1.0)], "a", "w"),
    table([("a", 8, -1), ("b", 0, 4)], "gold", "a", "b"), table([(2.0, 3.0)] * 3, "recall", "precision"),
])
def test_what_looks_like_nothing_known_is_a_table(found: TablePreview) -> None:
    assert matrix_of(found) is None
    shown = output_table("x", found)
    assert len(shown.rows) == len(found.rows)
