"""Which output iterations are compared by, and whether more of it is better. Pure; told from names, so it can be wrong:
nothing but a mark on a page and a small part of a forecast rests on it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_LESS_IS_BETTER = frozenset({
    "loss", "logloss", "error", "err", "errors", "rmse", "mse", "mae", "mape", "wssse", "perplexity", "deviance",
    "distance", "cost", "seconds", "time", "latency", "misses", "impurity", "inertia", "rmsle", "regret", "wer", "cer",
    "fpr", "fnr",
})


def less_is_better(name: str) -> bool:
    """Whether a metric of this name is better when it is smaller.

    >>> [less_is_better(name) for name in ("accuracy", "val_rmse", "logLoss", "error_analysis_f1")]
    [False, True, True, False]
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    return bool(words) and (words[-1] in _LESS_IS_BETTER or "".join(words[-2:]) in _LESS_IS_BETTER)


def number(value: Any) -> float | None:
    """The value as a finite number; None if it is none, or one that is too large for a float.

    >>> number(1), number(True), number("1"), number(float("nan")), number(10**400)
    (1.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def merit(outputs: Mapping[str, Any], metric: str) -> float | None:
    """How good an iteration is by one of its outputs: greater is better; None where it has no such number.

    >>> merit({"rmse": 2.0}, "rmse"), merit({"auc": 0.9}, "auc"), merit({}, "auc")
    (-2.0, 0.9, None)
    """
    value = number(outputs.get(metric))
    return None if value is None else -value if less_is_better(metric) else value


def main_metric(outputs: Mapping[str, Any]) -> str:
    """The first output that is a number: what the author declared first is what they look at first. Empty for none.

    >>> main_metric({"table": {"rows": 3}, "accuracy": 0.8, "auc": 0.9})
    'accuracy'
    """
    return next((name for name, value in outputs.items() if number(value) is not None), "")
