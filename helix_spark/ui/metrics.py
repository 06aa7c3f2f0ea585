"""Metrics: the numbers among the outputs, which way each is better, and the best iteration by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from helix_spark.catalog.records import IterationRecord
from helix_spark.costs.metrics import number
from helix_spark.ui.reading import mapping


def metrics_of(record: IterationRecord) -> dict[str, float]:
    """The numbers among an iteration's outputs; those inside objects by a dotted name."""
    return flattened(mapping(record.outputs))


def flattened(outputs: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name.

    >>> flattened({"auc": 0.9, "by": {"sex": {"f": 1}}, "predictions": {"table": "predictions", "rows": 3}, "ok": True})
    {'auc': 0.9, 'by.sex.f': 1.0}
    """
    found: dict[str, float] = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            if set(value) != {"table", "rows"}:
                found |= {f"{name}.{key}": each for key, each in flattened(value).items()}
        elif (each := number(value)) is not None:
            found[name] = each
    return found


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
