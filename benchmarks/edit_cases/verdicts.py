"""Judges edits: what ran against what had to, answers against answers from scratch. And the figures of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.edit_cases.case import Case
from benchmarks.edit_cases.processes import Observed

EXACT, LEARNED = 1e-9, 1e-6
"""Relative tolerance: of sums whose order is Spark's, and of what an iterative solver has learnt."""
FROM_DATA = frozenset({"profile"})
"""Outputs that no model has a part in."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One edit, judged.

    Attributes:
        ran: names of the nodes that were computed.
        missed: nodes that had to run and did not.
        needless: node -> the reason given, of those that ran and did not have to.
        wrong: outputs that differ from those computed from scratch, after the edit or after going back.
        back: nodes that were computed when the earlier text was run again; there must be none.
        suspicious: the edit did not do to the answer from scratch what it should have done.
        error: what a run failed with.
        seconds, scratch_seconds: to the answer, with reuse and without.
        warnings: of the run with reuse.
    """

    case: Case
    ran: frozenset[str] = frozenset()
    missed: frozenset[str] = frozenset()
    needless: Mapping[str, str] | None = None
    wrong: tuple[str, ...] = ()
    back: Mapping[str, str] | None = None
    suspicious: str = ""
    error: str = ""
    seconds: float = 0.0
    scratch_seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def false_reuse(self) -> bool:
        """Whether something was reused that should not have been: the worst that can happen."""
        return bool(self.missed or self.wrong)

    @property
    def needless_recomputation(self) -> bool:
        """Whether a node ran for nothing. Refactorings that only query plans can see as such are counted apart."""
        return bool((self.needless and not self.case.second_chance) or self.back)

    @property
    def second_chance(self) -> str:
        """Whether an equal computation in other words was recognised; empty where the code alone tells."""
        if not self.case.second_chance:
            return ""
        return "seen" if not self.needless and not self.error else "not seen"

    @property
    def good(self) -> bool:
        """Whether the edit led to what it had to."""
        return not (self.false_reuse or self.needless_recomputation or self.suspicious or self.error)


def judge(case: Case, base: Observed, edited: Observed, back: Observed, scratch: Observed) -> Verdict:
    """Judges one edit.

    Args:
        base: the text before the edit, from scratch.
        edited, scratch: the text after the edit, with reuse and from scratch.
        back: the text before the edit once more, with reuse.
    """
    error = edited.error or back.error or scratch.error
    if error:
        return Verdict(case, error=error)
    wrong = different(edited.answers, scratch.answers)
    wrong_back = tuple(f"{name}, going back" for name in different(back.answers, base.answers))
    return Verdict(
        case, edited.computed, case.must_run - edited.computed,
        {name: edited.reasons[name] for name in edited.computed - case.must_run},
        wrong + wrong_back, {name: back.reasons[name] for name in back.computed}, _suspicious(case, base, scratch),
        seconds=edited.seconds, scratch_seconds=scratch.seconds, warnings=edited.warnings,
    )


def _suspicious(case: Case, base: Observed, scratch: Observed) -> str:
    changed = different(base.answers, scratch.answers)
    if case.answer == "new" and not changed:
        return "the edit shows in no answer"
    if case.answer == "same" and changed:
        return f"the edit changed {', '.join(changed)}"
    return ""


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the outputs that differ, or that only one of the two has.

    >>> different({"a": 1.0, "b": [1, 2]}, {"a": 1.0 + 1e-12, "b": [1, 3], "c": 0})
    ('b', 'c')
    """
    return tuple(sorted(
        name for name in {*one, *other}
        if name not in one or name not in other
        or not equal(one[name], other[name], EXACT if name in FROM_DATA else LEARNED)
    ))


def equal(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two values are the same, numbers but for a relative tolerance.

    >>> equal({"x": [1.0]}, {"x": [1.0 + 1e-10]}, 1e-9), equal(0.5, "0.5", 1e-9)
    (True, False)
    """
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(equal(one[key], other[key], tolerance) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(equal, one, other, [tolerance] * len(one)))
        case float() | int(), float() | int():
            # Weights near zero are zero: against the others, of the order of one, they do not count.
            return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        case _:
            return bool(one == other)


def summary(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many edits had which fault.

    >>> summary([])["edits"]
    0
    """
    found = list(verdicts)
    return {
        "edits": len(found),
        "false_reuse": sum(verdict.false_reuse for verdict in found),
        "needless_recomputation": sum(verdict.needless_recomputation for verdict in found),
        "second_chances": sum(verdict.case.second_chance for verdict in found),
        "second_chances_seen": sum(verdict.second_chance == "seen" for verdict in found),
        "failed": sum(bool(verdict.error) for verdict in found),
        "suspicious": sum(bool(verdict.suspicious) for verdict in found),
    }
