"""Metrics: the numbers among the outputs, which way each is better, and the best iteration by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.shown import result_text
from helix_spark.costs.metrics import number
from helix_spark.ui.reading import mapping

_LARGEST_WHOLE = 1e15
"""Larger numbers are shown by their power of ten."""


def metrics_of(record: IterationRecord) -> dict[str, float]:
    """The numbers among an iteration's outputs; those inside objects by a dotted name."""
    return flattened(mapping(record.outputs))


def flattened(outputs: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name.

    >>> flattened({"auc": 0.9, "by": {"sex": {"f": 1}}, "predictions": {"table": "predictions", "rows": 3}, "ok": True})
    {'auc': 0.9, 'by.sex.f': 1.0}
    """
    numbers = {name: number(value) for name, value in leaves(outputs).items()}
    return {name: value for name, value in numbers.items() if value is not None}


def leaves(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What is no object by itself, by name; what is inside objects by a dotted one.

    >>> leaves({"by": {"sex": {"f": 1}, "note": "x"}, "predictions": {"table": "predictions", "rows": 3}})
    {'by.sex.f': 1, 'by.note': 'x', 'predictions': {'table': 'predictions', 'rows': 3}}
    """
    found: dict[str, Any] = {}
    for name, value in outputs.items():
        if isinstance(value, dict) and value and not result_text(value):
            found |= {f"{name}.{key}": each for key, each in leaves(value).items()}
        else:
            found[name] = value
    return found


def metric_text(value: float, sign: str = "") -> str:
    """A number as metrics are shown: whole ones with all their digits, others with six.

    Args:
        sign: "+" for a difference.

    >>> metric_text(48842.0), metric_text(0.123456789), metric_text(1e99), metric_text(2.0, "+")
    ('48,842', '0.123457', '1e+99', '+2')
    """
    whole = float(value).is_integer() and abs(value) < _LARGEST_WHOLE
    return f"{value + 0.0:{sign},.0f}" if whole else f"{value:{sign}.6g}"


def names(iterations: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    """All metrics of iterations that are given newest first, in the order of the newest that has them."""
    return tuple(dict.fromkeys(name for found in iterations for name in found))


def best(values: Mapping[int, float], less: bool) -> int | None:
    """The iteration with the best value; of equal ones the first.

    >>> best({1: 0.8, 2: 0.9, 3: 0.9}, less=False), best({}, less=True)
    (2, None)
    """
    if not values:
        return None
    wanted = min(values.values()) if less else max(values.values())
    return min(iteration for iteration, value in values.items() if value == wanted)
