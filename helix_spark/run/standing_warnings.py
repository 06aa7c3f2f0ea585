"""What plans warn of, as it is said at each run: in full where it is news, in one line where the last run said it."""

from __future__ import annotations

from collections.abc import Callable

from helix_spark.planner.plan import Plan


class StandingWarnings:
    """Remembers what the latest plan of each workflow warned of. A session of many runs, as a watch has, would repeat
    what holds at each of them; but who sees its latest answer alone must not take the workflow to be without."""

    def __init__(self) -> None:
        self._said: dict[str, frozenset[str]] = {}

    def tell(self, plan: Plan, warning: Callable[[str], None]) -> None:
        """Say what a plan that is about to run warns of."""
        before = self._said.get(plan.workflow, frozenset())
        self._said[plan.workflow] = frozenset(plan.warnings)
        for text in plan.warnings:
            if text not in before:
                warning(text)
        if still := sum(text in before for text in plan.warnings):
            holds = "1 warning of the run before still holds" if still == 1 else \
                f"{still} warnings of the run before still hold"
            warning(f"{holds}; `plan` says what")
