"""What an output table is drawn as on a page is told from its columns; what is in it is escaped."""

from __future__ import annotations

import re
from typing import Any

import pytest

from helix_spark.history.table_preview import TablePreview
from helix_spark.ui.output_table import output_table
from helix_spark.ui.shapes import shape_of


def table(rows: list[tuple[Any, ...]], *names: str, total: int | None = None) -> TablePreview:
    return TablePreview(tuple((name, "any") for name in names), tuple(rows), len(rows) if total is None else total)


@pytest.mark.parametrize("found", [
    table([("a", 8, 2), ("b", 0, 4)], "gold", "a", "b"), table([("b", 4, 0), ("a", 2, 8)], "gold", "b", "a"),
    table([("a", "a", 8), ("a", "b", 2), ("b", "a", 0), ("b", "b", 4)], "gold", "said", "n"),
])
def test_counts_by_what_is_and_what_was_said_are_a_matrix(found: TablePreview) -> None:
    matrix = shape_of(found).matrix
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
    matrix = shape_of(table(rows, "gold", "said", "n")).matrix
    assert matrix is not None
    assert matrix.labels == ("1", "2", "10")


@pytest.mark.parametrize(("names", "told"), [
    (("fpr", "tpr"), "tpr over fpr"), (("Recall", "Precision", "threshold"), "Precision over Recall"),
])
def test_points_of_a_curve_are_a_line(names: tuple[str, ...], told: str) -> None:
    rows = [(1.0, 0.5, 0.1), (0.0, 1.0, 0.9), (0.5, 0.75, 0.5), (None, 0.5, 0.0)]
    found = shape_of(table([row[: len(names)] for row in rows], *names))
    assert found.told == told
    (points,) = re.findall(r'class="line" points="([^"]*)"', found.svg)
    assert len(points.split()) == 3
    assert points.split() == sorted(points.split(), key=lambda point: float(point.split(",")[0]))


def test_weights_by_name_are_bars_and_names_are_escaped() -> None:
    found = shape_of(table([("<b>age</b>", 0.5, 1), ("sex", -1.5, 2)], "feature", "weight", "rank"))
    assert found.told == "weight by feature, largest first"
    assert "<b>" not in found.svg
    assert found.svg.index("sex") < found.svg.index("age")
    assert found.svg.count("bar-less") == 1


@pytest.mark.parametrize("found", [
    table([], "a", "b"), table([("a", 1, 0.5), ("b", 2, 0.7)], "word", "n", "score"),
    table([(1, 2), (3, 4)], "a", "b"), table([("a", 1.0)], "word", "n", total=900),
    table([("a", 0.5), ("a", 1.0)], "a", "w"),
    table([("a", 8, -1), ("b", 0, 4)], "gold", "a", "b"), table([(2.0, 3.0)] * 3, "recall", "precision"),
])
def test_what_looks_like_nothing_known_is_a_table(found: TablePreview) -> None:
    assert (shape_of(found).matrix, shape_of(found).svg) == (None, "")
    shown = output_table("x", found)
    assert len(shown.rows) == len(found.rows)
