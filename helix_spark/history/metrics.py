"""The numbers among an iteration's outputs: a name each, which way is better, by which one iterations are compared, and
what measured them. The same wherever they are shown.
"""

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
"""Words behind a metric's own: ``recallByLabel``, ``ndcgAtK``, ``auc_test``."""

_LARGEST_WHOLE = 1e15
"""Larger numbers are shown by their power of ten."""


Direction = Literal["higher", "lower", ""]
"""Which way a number is better; empty for no way."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of one iteration.

    Attributes:
        better: "higher" or "lower", of those of which the author said so.
        said: the one by which the author compares iterations; empty where nobody said so.
        measured_by: what measured each output, or a number in it, as a digest; nothing of those of older records.
        tested: by output, what its test rows are, as digests of data and split and as their count, as far as known.
        doubts: by output, why its numbers do not tell how good a model is, as a phrase.
    """

    outputs: Mapping[str, Any]
    better: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    measured_by: Mapping[str, str] = field(default_factory=dict, repr=False)
    tested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    doubts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def values(self) -> Mapping[str, float]:
        """The numbers, those inside objects by a dotted name; the author's most important one first.

        >>> Metrics({"auc": 0.9, "by": {"sex": {"f": 1}}, "scored": {"table": "scored", "rows": 3}, "ok": True}).values
        {'auc': 0.9, 'by.sex.f': 1.0}
        """
        found = {name: number(value) for name, value in self.leaves.items()}
        return {name: value for name, value in found.items() if value is not None}

    @cached_property
    def leaves(self) -> Mapping[str, Any]:
        """All outputs, those inside objects by a dotted name; the most important number first."""
        found = leaves(self.outputs)
        return {self.said: found[self.said], **found} if self.said in found else found

    @property
    def primary(self) -> str:
        """The one by which iterations are compared: that which its author said, else the first output that is a number
        by itself. Empty for none: of an object's numbers nobody knows which one counts."""
        scalar = (name for name, value in self.outputs.items() if number(value) is not None)
        return self.said if self.said in self.values else next(scalar, "")

    def direction(self, name: str) -> Direction:
        """Return which way a metric is better: as its author said, else as its name surely tells.

        >>> counted = Metrics({"n": 3, "pairs": 0.5, "errors": 3, "auc": 0.9})
        >>> [counted.direction(name) for name in counted.values]
        ['', '', 'lower', 'higher']
        """
        said = self.better.get(name)
        if said is not None:
            return "lower" if said == "lower" else "higher"
        if _is_named(name, _LESS_IS_BETTER):
            return "lower"
        return "higher" if _is_named(name, _MORE_IS_BETTER) else ""

    def merit(self, name: str) -> float | None:
        """Return how good the iteration is by a metric: greater is better; None where it has no such number.

        >>> Metrics({"rmse": 2.0}).merit("rmse"), Metrics({"by": {"auc": 0.9}}).merit("by.auc"), Metrics({}).merit("a")
        (-2.0, 0.9, None)
        """
        value, direction = self.values.get(name), self.direction(name)
        return None if value is None or not direction else -value if direction == "lower" else value

    def incomparable(self, name: str, other: Metrics) -> str:
        """Return why another iteration's number of that name is not to be compared with this one, as a phrase; empty
        where it is, as far as is known."""
        if not self.same_code(name, other):
            return "measured otherwise"
        mine, theirs = (one.tested.get(output_of(name, one.tested), {}) for one in (self, other))
        differs = any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())
        return "on other test rows" if differs else ""

    def same_code(self, name: str, other: Metrics) -> bool:
        """Return whether the same code measured another iteration's number of that name, as far as is known."""
        mine, theirs = (one.measured_by.get(output_of(name, one.measured_by)) for one in (self, other))
        return mine is None or theirs is None or mine == theirs

    def doubt(self, name: str) -> str:
        """Return why a number does not tell how good a model is, as a phrase."""
        return self.doubts.get(output_of(name, self.doubts), "")

    def change_text(self, name: str, before: Metrics) -> str:
        """Return how a leaf of the outputs went since another iteration, in words; empty if no line can say it.

        >>> Metrics({"auc": 0.91}).change_text("auc", Metrics({"auc": 0.9}))
        '+0.01'
        """
        if why := self.incomparable(name, before):
            return why
        if name not in self.values or name not in before.values:
            return ""
        return metric_text(self.values[name] - before.values[name], "+")


def metrics_of(record: IterationRecord) -> Metrics:
    """Return the metrics of an iteration on record. Damaged texts read as none."""
    plan = mapping(record.plan)
    said = plan.get("metrics", ())
    return Metrics(
        mapping(record.outputs), {one["name"]: one["better"] for one in said if one["better"] in ("higher", "lower")},
        next((one["name"] for one in said if one["primary"]), ""), plan.get("measured_by", {}),
        plan.get("tested", {}), plan.get("doubts", {}),
    )


def output_of(name: str, outputs: Iterable[str]) -> str:
    """Return the output that a metric is, or is in.

    >>> output_of("scores.by.f1", ["scores", "auc"]), output_of("auc", ["scores", "auc"])
    ('scores', 'auc')
    """
    return max((one for one in outputs if name == one or name.startswith(f"{one}.")), key=len, default="")


def _is_named(name: str, known: Collection[str]) -> bool:
    """Return whether a name ends with one of the known words, apart from qualifiers.

    >>> [_is_named(name, _MORE_IS_BETTER) for name in ("recallByLabel", "microF1Measure", "scored_rows")]
    [True, True, False]
    >>> [_is_named(name, _LESS_IS_BETTER) for name in ("accuracy", "val_rmse", "logLoss", "error_analysis_f1")]
    [False, True, True, False]
    """
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    while words:
        if any("".join(words[-count:]) in known for count in (1, 2, 3)):
            return True
        if words[-1] not in _QUALIFIERS and not words[-1].isdigit():
            return False
        words.pop()
    return False


def number(value: Any) -> float | None:
    """Return the value as a finite number; None if it is none, or one that is too large for a float.

    >>> number(1), number(True), number("1"), number(float("nan")), number(10**400)
    (1.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def leaves(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is no object by itself, by name; what is inside objects by a dotted one.

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
    """Return a number as shown: whole ones with all digits, others with six; a difference with the sign "+".

    >>> metric_text(48842.0), metric_text(0.123456789), metric_text(1e99), metric_text(2.0, "+")
    ('48,842', '0.123457', '1e+99', '+2')
    """
    whole = float(value).is_integer() and abs(value) < _LARGEST_WHOLE
    return f"{value + 0.0:{sign},.0f}" if whole else f"{value:{sign}.6g}"


def names(iterations: Iterable[Metrics]) -> tuple[str, ...]:
    """Return all metrics of iterations that are given newest first, in the order of the newest that has them."""
    return tuple(dict.fromkeys(name for found in iterations for name in found.values))
