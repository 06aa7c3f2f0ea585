"""Metrics: numbers among an iteration's outputs, their better direction, the primary one, the code behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.history.value_text import result_text

_LESS_IS_BETTER = frozenset({
    "loss", "logloss", "error", "err", "errors", "rmse", "mse", "mae", "mape", "wssse", "perplexity", "deviance",
    "distance", "cost", "seconds", "time", "latency", "misses", "impurity", "inertia", "rmsle", "regret", "wer", "cer",
    "fpr", "fnr", "falsepositiverate",
})

_MORE_IS_BETTER = frozenset({
    "accuracy", "acc", "auc", "auroc", "auprc", "aucpr", "roc", "pr", "ap", "f", "f1", "precision", "recall",
    "sensitivity", "specificity", "tpr", "tnr", "r2", "silhouette", "ndcg", "map", "mrr", "score", "kappa", "mcc",
    "jaccard", "iou", "dice", "bleu", "rouge", "likelihood", "truepositiverate",
})

_QUALIFIERS = frozenset({
    "by", "label", "at", "k", "measure", "score", "train", "test", "val", "mean", "avg", "macro", "micro",
})
"""Words that follow a metric's own: ``recallByLabel``, ``ndcgAtK``, ``auc_test``."""

_LARGEST_WITH_ALL_DIGITS = 1e15
"""Larger numbers are shown with an exponent."""


Direction = Literal["higher", "lower", ""]
"""The direction in which a number is better; empty if unknown."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of one iteration.

    Attributes:
        declared_directions: directions that the author declared, by metric.
        declared_primary: metric that the author declared as primary; empty without one.
        measured_by: digest of the code that measured each output, or a number in it; older records have none.
        tested: known facts about the test rows, by output: digests of data and split, and their count.
        doubts: reasons why numbers do not tell how good a model is, as phrases by output.
    """

    outputs: Mapping[str, Any]
    declared_directions: Mapping[str, Direction] = field(default_factory=dict)
    declared_primary: str = ""
    measured_by: Mapping[str, str] = field(default_factory=dict, repr=False)
    tested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    doubts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def values(self) -> Mapping[str, float]:
        """The numbers by name, dotted for those inside objects; the declared primary one first.

        >>> Metrics({"auc": 0.9, "by": {"sex": {"f": 1}}, "scored": {"table": "scored", "rows": 3}, "ok": True}).values
        {'auc': 0.9, 'by.sex.f': 1.0}
        """
        numbers = {name: number(value) for name, value in self.leaves.items()}
        return {name: value for name, value in numbers.items() if value is not None}

    @cached_property
    def leaves(self) -> Mapping[str, Any]:
        """All outputs by name, dotted for those inside objects; the declared primary metric first."""
        values, primary = flatten(self.outputs), self.declared_primary
        return {primary: values[primary], **values} if primary in values else values

    @property
    def primary(self) -> str:
        """The metric by which iterations are compared: the declared one, else the first output that is a number
        itself. Empty without either: nothing tells which number of an object is the important one."""
        scalars = (name for name, value in self.outputs.items() if number(value) is not None)
        return self.declared_primary if self.declared_primary in self.values else next(scalars, "")

    def direction(self, name: str) -> Direction:
        """Return the direction in which a metric is better: as declared, else as its name implies.

        >>> counted = Metrics({"n": 3, "pairs": 0.5, "errors": 3, "auc": 0.9})
        >>> [counted.direction(name) for name in counted.values]
        ['', '', 'lower', 'higher']
        """
        if name in self.declared_directions:
            return self.declared_directions[name]
        if _is_named(name, _LESS_IS_BETTER):
            return "lower"
        return "higher" if _is_named(name, _MORE_IS_BETTER) else ""

    def merit(self, name: str) -> float | None:
        """Return a metric's value, negated if lower is better; None without a value or a direction.

        >>> Metrics({"rmse": 2.0}).merit("rmse"), Metrics({"by": {"auc": 0.9}}).merit("by.auc"), Metrics({}).merit("a")
        (-2.0, 0.9, None)
        """
        value, direction = self.values.get(name), self.direction(name)
        return None if value is None or not direction else -value if direction == "lower" else value

    def incomparable(self, name: str, other: Metrics) -> str:
        """Return why a metric of two iterations cannot be compared, as a phrase; empty if no reason is known."""
        if not self.has_same_code(name, other):
            return "measured by other code"
        mine, theirs = (metrics.tested.get(output_of(name, metrics.tested), {}) for metrics in (self, other))
        differs = any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())
        return "on other test rows" if differs else ""

    def has_same_code(self, name: str, other: Metrics) -> bool:
        """Return False if other code is known to have measured this metric of the other iteration."""
        mine, theirs = (metrics.measured_by.get(output_of(name, metrics.measured_by)) for metrics in (self, other))
        return mine is None or theirs is None or mine == theirs

    def doubt(self, name: str) -> str:
        """Return why a number does not tell how good a model is, as a phrase."""
        return self.doubts.get(output_of(name, self.doubts), "")

    def change_text(self, name: str, before: Metrics) -> str:
        """Return the change of a metric since another iteration, or why there is none; empty without two numbers.

        >>> Metrics({"auc": 0.91}).change_text("auc", Metrics({"auc": 0.9}))
        '+0.01'
        """
        if why := self.incomparable(name, before):
            return why
        if name not in self.values or name not in before.values:
            return ""
        return metric_text(self.values[name] - before.values[name], "+")


def metrics_of(record: IterationRecord) -> Metrics:
    """Return a recorded iteration's metrics. Damaged texts count as empty."""
    plan = mapping(record.plan)
    declared = plan.get("metrics", ())
    return Metrics(
        mapping(record.outputs),
        {metric["name"]: metric["better"] for metric in declared if metric["better"] in ("higher", "lower")},
        next((metric["name"] for metric in declared if metric["primary"]), ""),
        plan.get("measured_by", {}), plan.get("tested", {}), plan.get("doubts", {}),
    )


def output_of(name: str, outputs: Iterable[str]) -> str:
    """Return the output that is or contains a metric.

    >>> output_of("scores.by.f1", ["scores", "auc"]), output_of("auc", ["scores", "auc"])
    ('scores', 'auc')
    """
    return max((output for output in outputs if f"{name}.".startswith(f"{output}.")), key=len, default="")


def _is_named(name: str, metrics: Collection[str]) -> bool:
    """Return whether a name ends with one of these words, apart from qualifiers.

    >>> [_is_named(name, _MORE_IS_BETTER) for name in ("recallByLabel", "microF1Measure", "scored_rows")]
    [True, True, False]
    >>> [_is_named(name, _LESS_IS_BETTER) for name in ("accuracy", "val_rmse", "logLoss", "error_analysis_f1")]
    [False, True, True, False]
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    while words:
        if any("".join(words[-count:]) in metrics for count in (1, 2, 3)):
            return True
        if words[-1] not in _QUALIFIERS and not words[-1].isdigit():
            return False
        words.pop()
    return False


def number(value: Any) -> float | None:
    """Return a value as a finite number; None for anything else, and for an int that is too large for a float.

    >>> number(1), number(True), number("1"), number(float("nan")), number(10**400)
    (1.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def flatten(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs with the entries of nested objects by dotted names.

    >>> flatten({"by": {"sex": {"f": 1}, "note": "x"}, "predictions": {"table": "predictions", "rows": 3}})
    {'by.sex.f': 1, 'by.note': 'x', 'predictions': {'table': 'predictions', 'rows': 3}}
    """
    leaves: dict[str, Any] = {}
    for name, value in outputs.items():
        if isinstance(value, dict) and value and not result_text(value):
            leaves |= {f"{name}.{key}": leaf for key, leaf in flatten(value).items()}
        else:
            leaves[name] = value
    return leaves


def metric_text(value: float, sign: str = "") -> str:
    """Return a number as text: integers with all digits, others with six; `sign` "+" is for differences.

    >>> metric_text(48842.0), metric_text(0.123456789), metric_text(1e99), metric_text(2.0, "+")
    ('48,842', '0.123457', '1e+99', '+2')
    """
    has_all_digits = float(value).is_integer() and abs(value) < _LARGEST_WITH_ALL_DIGITS
    return f"{value + 0.0:{sign},.0f}" if has_all_digits else f"{value:{sign}.6g}"


def names(iterations: Iterable[Metrics]) -> tuple[str, ...]:
    """Return the names of all metrics of iterations, newest first."""
    return tuple(dict.fromkeys(name for metrics in iterations for name in metrics.values))
