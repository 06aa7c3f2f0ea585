"""What an output table looks like: told from its columns, drawn as inline SVG or as shades. Texts are escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.drawing.svg import shortened, text
from helix_spark.history.model_card import ModelCard
from helix_spark.history.table_preview import TablePreview, cell_text, is_number

SHADES = 9
"""Steps of a matrix' shade, from none to full."""

_MOST_CLASSES, _MOST_BARS, _MOST_SLOTS = 30, 40, 20
_CURVES = (
    ({"fpr", "false_positive_rate", "falsepositiverate"}, {"tpr", "true_positive_rate", "truepositiverate", "recall"}),
    ({"recall"}, {"precision"}),
)
"""Names of what stands across and up of the curves that people draw: ROC, precision over recall."""

_WEIGHTS = frozenset({
    "weight", "coefficient", "coef", "importance", "gain", "influence", "effect", "contribution",
})
_SIZE, _LEFT, _TOP, _BOTTOM = 320, 48, 26, 40
_ROW, _NAMES, _BARS = 22, 260, 380


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts by what is and what was said.

    Attributes:
        across: the name of what stands in the columns, if it has one; `down` of what stands in the rows.
        labels: of both, in order.
        counts: row by row; with a shade of `SHADES`, by the share of its row.
    """

    down: str
    across: str
    labels: tuple[str, ...]
    counts: tuple[tuple[tuple[str, int], ...], ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table is drawn: at most one of these.

    Attributes:
        svg: markup; empty where there is none.
        told: what is drawn, in words.
    """

    matrix: Matrix | None = None
    svg: str = ""
    told: str = ""


def shape_of(table: TablePreview) -> Shape:
    """How a table is drawn; one that looks like nothing known is a table."""
    if not table.rows:
        return Shape()
    matrix = _matrix(table)
    if matrix is not None:
        return Shape(matrix, told="rows by what is, columns by what was said; shaded by the share of the row")
    curve = _curve(table)
    if curve is not None:
        return Shape(svg=_drawn_curve(table, *curve), told=f"{curve[1]} over {curve[0]}")
    bars = _bars(table)
    if bars is not None:
        return Shape(svg=_drawn_bars(table, *bars), told=f"{bars[1]} by {bars[0]}, largest first")
    return Shape()


def _matrix(table: TablePreview) -> Matrix | None:
    """A square of counts whose columns are named as its rows are; or what is, what was said, and how often."""
    square = _square(table)
    if square is None:
        return None
    down, across, labels, counts = square
    return Matrix(down, across, labels, tuple(
        tuple((f"{count:,}", _shade(count, sum(row))) for count in row) for row in counts
    ))


def _square(table: TablePreview) -> tuple[str, str, tuple[str, ...], list[list[int]]] | None:
    names, first = table.names, [cell_text(row[0]) for row in table.rows]
    if is_number(table.column(names[0])):
        names = (names[0], *(name.removesuffix(".0") for name in names[1:]))
    if 1 < len(first) <= _MOST_CLASSES and len(set(first)) == len(first) and sorted(names[1:]) == sorted(first):
        places = [names.index(label, 1) for label in first]
        counts = [[row[place] for place in places] for row in table.rows]
        return (names[0], table.across, tuple(first), counts) if _are_counts(counts) else None
    if len(names) != 3 or not is_number(table.column(names[2])):
        return None
    pairs = {(cell_text(row[0]), cell_text(row[1])): row[2] for row in table.rows}
    labels = tuple(sorted({label for pair in pairs for label in pair}, key=_as_number_or_text))
    is_square = {one for one, _ in pairs} == {other for _, other in pairs} and len(pairs) == len(table.rows)
    counts = [[pairs.get((row, column), 0) for column in labels] for row in labels]
    fits = is_square and 1 < len(labels) <= _MOST_CLASSES and len(pairs) * 2 >= len(labels) ** 2 and _are_counts(counts)
    return (names[0], names[1], labels, counts) if fits else None


def _as_number_or_text(label: str) -> tuple[float, str]:
    try:
        found = float(label)
    except ValueError:
        return math.inf, label
    return (found if math.isfinite(found) else math.inf), label


def _are_counts(rows: Sequence[Sequence[Any]]) -> bool:
    values = [value for row in rows for value in row]
    return all(type(value) in (int, float) and value >= 0 and float(value).is_integer() for value in values)


def _shade(count: float, total: float) -> int:
    return min(SHADES, math.ceil(SHADES * count / total)) if total else 0


def _curve(table: TablePreview) -> tuple[str, str] | None:
    numbers = {name.lower().replace(" ", "_"): name for name in table.names if is_number(table.column(name))}
    for across, up in _CURVES:
        x, y = (next((numbers[one] for one in numbers if one in wanted), None) for wanted in (across, up))
        if x is not None and y is not None and len(table.rows) > 2:
            values = [value for name in (x, y) for value in table.column(name) if value is not None]
            if all(0 <= value <= 1 for value in values):
                return x, y
    return None


def _drawn_curve(table: TablePreview, x: str, y: str) -> str:
    points = sorted(
        (across, up) for across, up in zip(table.column(x), table.column(y), strict=True)
        if across is not None and up is not None
    )
    high = _SIZE - _BOTTOM

    def at(across: float, up: float) -> str:
        return f"{_LEFT + (_SIZE - _LEFT - 12) * across:.1f},{_TOP + (high - _TOP) * (1 - up):.1f}"

    parts = [f'<svg class="curve" role="img" aria-label="{text(y)} over {text(x)}" viewBox="0 0 {_SIZE} {_SIZE}">']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        (left, level), (right, _) = (at(side, tick).split(",") for side in (0, 1))
        parts.append(
            f'<line class="rule" x1="{left}" x2="{right}" y1="{level}" y2="{level}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{float(level) + 4:.1f}" text-anchor="end">{tick:g}</text>'
            f'<text class="tick" x="{at(tick, 0).split(",")[0]}" y="{high + 16}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(f'<polyline class="line" points="{" ".join(at(*point) for point in points)}"/>')
    parts.append(
        f'<text class="tick" x="{(_LEFT + _SIZE) / 2:.0f}" y="{_SIZE - 6}" text-anchor="middle">{text(x)}</text>'
        f'<text class="tick" x="{_LEFT}" y="10">{text(y)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _bars(table: TablePreview) -> tuple[str, str] | None:
    """A text and a number a row, where the number is called as weights are, or is the only one."""
    names = [name for name in table.names if not is_number(table.column(name))]
    numbers = [name for name in table.names if name not in names]
    weight = next((name for name in numbers if not _WEIGHTS.isdisjoint(name.lower().split("_"))), None)
    if weight is None and len(table.names) == 2 and len(numbers) == 1 and len(table.rows) <= _MOST_BARS:
        weight = numbers[0]
    if not names or weight is None or not table.whole or len(set(table.column(names[0]))) < len(table.rows):
        return None
    return names[0], weight


def drawn_weights(card: ModelCard) -> str:
    """What a fit gave the heaviest slots; of several classes the widest of each."""
    pairs = [(name, max(values, key=abs)) for name, values in card.weights[:_MOST_SLOTS]]
    return _bars_of(pairs, "slot", card.columns[0] if len(card.columns) == 1 else "widest")


def _drawn_bars(table: TablePreview, name: str, weight: str) -> str:
    pairs = [
        (cell_text(label), float(value)) for label, value in zip(table.column(name), table.column(weight), strict=True)
        if value is not None
    ]
    return _bars_of(pairs, name, weight)


def _bars_of(pairs: Sequence[tuple[str, float]], name: str, weight: str) -> str:
    """The largest of pairs of a name and a number.

    Args:
        name, weight: what the two are called.
    """
    pairs = sorted(pairs, key=lambda pair: -abs(pair[1]))[:_MOST_BARS]
    largest = max(abs(value) for _, value in pairs) or 1.0
    signed = any(value < 0 for _, value in pairs)
    zero, room = (_NAMES + _BARS / 2, _BARS / 2) if signed else (_NAMES, _BARS)
    height = len(pairs) * _ROW + 8
    parts = [
        f'<svg class="bars" role="img" aria-label="{text(weight)} by {text(name)}" '
        f'viewBox="0 0 {_NAMES + _BARS + 80} {height}">'
    ]
    for row, (label, value) in enumerate(pairs):
        length = max(1.0, room * abs(value) / largest)
        x = zero - length if value < 0 else zero
        end = _NAMES + _BARS + 6
        parts.append(
            f"<g><title>{text(label)}: {value:.6g}</title>"
            f'<text x="{_NAMES - 8}" y="{row * _ROW + 18}" text-anchor="end">{text(shortened(label, 34))}</text>'
            f'<rect class="bar {"bar-less" if value < 0 else "bar-more"}" x="{x:.1f}" y="{row * _ROW + 6}" '
            f'width="{length:.1f}" height="14" rx="2"/>'
            f'<text class="tick" x="{end}" y="{row * _ROW + 18}">{value:.4g}</text></g>'
        )
    if signed:
        parts.append(f'<line class="rule" x1="{zero}" x2="{zero}" y1="0" y2="{height}"/>')
    return "".join([*parts, "</svg>"])
