"""Metrics over iterations, nodes over time and weights as inline SVG: points that lead somewhere, texts escaped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import ceil, floor, log10

from helix_spark.drawing.svg import shortened, text
from helix_spark.history.metrics import metric_text
from helix_spark.history.model_card import ModelCard
from helix_spark.sizes import format_size, seconds_text
from helix_spark.ui.listing import Trend
from helix_spark.views.node_row import NodeRow

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 600, 220, 64, 16, 16, 30
_DIGIT = 7
"""Pixels of a digit of a mark, on the wide side of what system fonts have."""
_ROW, _NAMES, _TIMES = 24, 190, 620
_BAR_ROW, _SLOTS, _BARS, _MOST_SLOTS = 22, 260, 380, 20
_WORTH_A_BAR = 0.1
"""Seconds."""
_GREATEST = 1e300
_MOST_POINTS = 400
"""More than one dot to two pixels shows nothing more; the line still goes through all."""


def trend(metric: Trend, href: Callable[[int], str], details: Mapping[int, str]) -> str:
    """Return a metric over iteration numbers; each point leads to its iteration. The line is broken where other code
    began to measure it.

    Args:
        details: what pointing at an iteration tells besides its value.
    """
    name, best = metric.name, metric.best
    numbers, values = sorted(metric.values), {number: _within(value) for number, value in metric.values.items()}
    low, high = min(values.values()), max(values.values())
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)
    marks = _tick_texts(ticks)
    left = max(_LEFT, 16 + _DIGIT * max(map(len, marks)))

    def at(number: int) -> tuple[float, float]:
        x = left + (_WIDTH - left - _RIGHT) * (number - first) / (last - first)
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (values[number] - low) / ((high - low) or 1)
        return x, y

    parts = [
        f'<svg class="trend" role="group" aria-label="{text(name)} over iterations" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    ]
    for tick, mark in zip(ticks, marks, strict=True):
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (tick - low) / ((high - low) or 1)
        parts.append(
            f'<line class="rule" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>'
        )
    parts.append(f'<text class="tick" x="{left}" y="{_HEIGHT - 8}">iteration {numbers[0]}</text>')
    for number in dict.fromkeys((numbers[len(numbers) // 2], numbers[-1])):
        if number != numbers[0]:
            parts.append(
                f'<text class="tick" x="{at(number)[0]:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{number}</text>'
            )
    for stretch in _stretches(numbers, metric.breaks):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, stretch))
        parts.append(f'<polyline class="line" points="{line}"/>')
    step = -(-len(numbers) // _MOST_POINTS)
    for number in dict.fromkeys([*numbers[::step], numbers[-1], *([best] if best is not None else [])]):
        parts.append(_point(number, *at(number), values[number], number == best, href(number), details.get(number, "")))
    return "".join([*parts, "</svg>"])


def _stretches(numbers: Sequence[int], breaks: Collection[int]) -> list[list[int]]:
    """Return numbers in order, divided before those that begin anew.

    >>> _stretches([1, 2, 4, 5], {4})
    [[1, 2], [4, 5]]
    """
    found: list[list[int]] = []
    for number in numbers:
        if not found or number in breaks:
            found.append([])
        found[-1].append(number)
    return found


def _point(number: int, x: float, y: float, value: float, best: bool, href: str, more: str) -> str:
    title = f"<title>iteration {number}: {metric_text(value)}{', the best' if best else ''}{text(more)}</title>"
    if best:
        shape = f'<path class="dot best" d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"/>'
    else:
        shape = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    inside = f'{title}<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="12"/>{shape}'
    if not href:
        return f"<g>{inside}</g>"
    return f'<a href="{text(href)}" aria-label="iteration {number}: {metric_text(value)}">{inside}</a>'


def _within(value: float) -> float:
    """Return a value so that the difference of two is a number, too."""
    return min(max(value, -_GREATEST), _GREATEST)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers around a range.

    >>> _ticks(0.81, 0.89)
    [0.8, 0.82, 0.84, 0.86, 0.88, 0.9]
    >>> _ticks(3, 3)
    [3]
    """
    span = high - low
    if span <= abs(high) * 1e-9:
        return [low]
    rough = span / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.8)
    return [float(f"{step * n:.14g}") for n in range(floor(low / step), ceil(high / step) + 1)]


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks in words, with as many digits as their step has.

    >>> _tick_texts([123456, 123457, 123458]), _tick_texts([0.8, 0.825, 0.85]), _tick_texts([48842.0])
    (['123,456', '123,457', '123,458'], ['0.8', '0.825', '0.85'], ['48,842'])
    """
    if len(ticks) < 2:
        return [metric_text(tick) for tick in ticks]
    step, largest = ticks[1] - ticks[0], max(map(abs, ticks))
    # One more than the step's first digit, for steps of 2.5.
    digits = max(6, floor(log10(largest)) - floor(log10(step)) + 2)
    return [f"{tick:,.{digits}g}" for tick in ticks]


def sparkline(values: Sequence[float]) -> str:
    """Return a small line without axes, for a sentence."""
    values = [_within(value) for value in values]
    low, high = min(values), max(values)
    line = " ".join(
        f"{2 + 116 * place / (len(values) - 1):.1f},{22 - 18 * (value - low) / ((high - low) or 1):.1f}"
        for place, value in enumerate(values)
    )
    return (
        '<svg class="spark" aria-hidden="true" viewBox="0 0 120 26" width="120" height="26">'
        f'<polyline class="line" points="{line}"/></svg>'
    )


def timeline(bars: Sequence[NodeRow], total: float) -> str:
    """Draw when each node ran, and how long it took until the first began. Bars begin at nought where their start is
    not on record."""
    if not bars:
        return ""
    drawn = [*_before(bars), *bars]
    spans = [(bar.started or 0.0, bar.seconds or 0.0) for bar in drawn]
    end = max([total, 1e-9, *map(sum, spans)])
    height = len(drawn) * _ROW + 26
    width = _NAMES + _TIMES + 70
    parts = [f'<svg class="timeline" role="group" aria-label="when each node ran" viewBox="0 0 {width} {height}">']
    for tick in _ticks(0, end):
        if tick <= end:
            x = _NAMES + _TIMES * tick / end
            parts.append(
                f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}"/>'
                f'<text class="tick" x="{x:.1f}" y="{height - 4}" text-anchor="middle">{tick:g} s</text>'
            )
    for row, (bar, (start, seconds)) in enumerate(zip(drawn, spans, strict=True)):
        x, length, y = _NAMES + _TIMES * start / end, max(2.0, _TIMES * seconds / end), row * _ROW
        state = bar.state if bar.state in ("load", "compute") else "other"
        size = f", {format_size(bar.bytes)}" if bar.bytes else ""
        parts.append(
            f"<g><title>{text(f'{bar.name}: {bar.did if bar.state else bar.why}{size}')}</title>"
            f'<text x="{_NAMES - 8}" y="{y + 16}" text-anchor="end">{text(shortened(bar.name, 22))}</text>'
            f'<rect class="bar bar-{state}" x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="16" rx="3"/>'
            f'<text class="tick" x="{x + length + 6:.1f}" y="{y + 16}">{seconds_text(seconds)}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _before(bars: Sequence[NodeRow]) -> list[NodeRow]:
    """Return what was before the first node, where that is worth a bar."""
    starts = [bar.started for bar in bars if bar.started is not None]
    first = min(starts) if len(starts) == len(bars) else 0.0
    if first < _WORTH_A_BAR:
        return []
    name, why = "(until they began)", f"{seconds_text(first)}: starting Python and Spark, planning"
    return [NodeRow(name, name, "", (), False, "", why, first, None, started=0.0)]


def weights(card: ModelCard) -> str:
    """Return what a fit gave the heaviest slots; of several classes the widest of each."""
    pairs = sorted(
        ((name, max(values, key=abs)) for name, values in card.weights[:_MOST_SLOTS]), key=lambda pair: -abs(pair[1])
    )
    what = card.columns[0] if len(card.columns) == 1 else "widest"
    largest = max(abs(value) for _, value in pairs) or 1.0
    signed = any(value < 0 for _, value in pairs)
    zero, room = (_SLOTS + _BARS / 2, _BARS / 2) if signed else (_SLOTS, _BARS)
    height = len(pairs) * _BAR_ROW + 8
    parts = [
        f'<svg class="bars" role="img" aria-label="{text(what)} by slot" '
        f'viewBox="0 0 {_SLOTS + _BARS + 80} {height}">'
    ]
    for row, (label, value) in enumerate(pairs):
        length = max(1.0, room * abs(value) / largest)
        x = zero - length if value < 0 else zero
        end = _SLOTS + _BARS + 6
        parts.append(
            f"<g><title>{text(label)}: {value:.6g}</title>"
            f'<text x="{_SLOTS - 8}" y="{row * _BAR_ROW + 18}" text-anchor="end">{text(shortened(label, 34))}</text>'
            f'<rect class="bar {"bar-less" if value < 0 else "bar-more"}" x="{x:.1f}" y="{row * _BAR_ROW + 6}" '
            f'width="{length:.1f}" height="14" rx="2"/>'
            f'<text class="tick" x="{end}" y="{row * _BAR_ROW + 18}">{value:.4g}</text></g>'
        )
    if signed:
        parts.append(f'<line class="rule" x1="{zero}" x2="{zero}" y1="0" y2="{height}"/>')
    return "".join([*parts, "</svg>"])
