"""The answer of a run, in words: outputs beside the previous ones, what ran, what was reused, what that saved."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from helix_spark.iteration.iteration import Iteration, took_text
from helix_spark.past.comparison import differ
from helix_spark.past.metrics import Metrics
from helix_spark.past.shown import short
from helix_spark.planner.influence import left_out_lines
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds

_WIDTH = 80
_WIDEST_NAME = 40
_MOST_NAMES = 12
"""Of nodes that are listed in a sentence."""


def answer_text(iteration: Iteration, before: Metrics) -> str:
    """One screen.

    Args:
        before: the previous iteration's outputs.
    """
    plan = iteration.plan
    lines = [f"{plan.workflow}, iteration {iteration.number}", ""]
    lines += outputs_text(iteration.metrics, before)
    lines += ["", *_ran(iteration), *_reused(plan), "", took_text(iteration)]
    return "\n".join(lines)


def outputs_text(found: Metrics, before: Metrics) -> list[str]:
    """A line an output, or a value inside one, with the value before where it differs; the one by which iterations are
    compared comes first.

    >>> outputs_text(Metrics({"auc": 0.91, "by": {"f": 1}}), Metrics({"auc": 0.9, "by": {"f": 1}}))
    ['  auc   0.91  (was 0.9, +0.01)', '  by.f  1']
    """
    shown, old = found.leaves, before.leaves
    width = min(_WIDEST_NAME, max(map(len, shown), default=0))
    lines = []
    for name, value in shown.items():
        line = f"  {name:{width}}  {short(value)}"
        if name in old and differ(old[name], value):
            line += f"  (was {', '.join(filter(None, (short(old[name]), found.change_text(name, before))))})"
        lines.append(line)
    return lines


def _ran(iteration: Iteration) -> list[str]:
    plan = iteration.plan
    computed = plan.in_state(State.COMPUTE)
    if not computed:
        return ["nothing had to be computed"]
    width = min(24, max(map(len, computed)))
    lines = ["computed:"]
    for name in computed:
        start = f"  {format_seconds(iteration.node_seconds.get(name)):>5}  {name:{width}}  "
        lines += textwrap.wrap(
            plan[name].reason, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
        ) or [start.rstrip()]
    return lines


def _reused(plan: Plan) -> list[str]:
    lines = []
    for title, state in (("loaded", State.LOAD), ("not needed", State.PRUNE)):
        lines += listed(title, plan.in_state(state))
    return lines + listed("not used by any output", plan.dropped) + left_out_lines(plan)


def listed(title: str, names: Sequence[str], width: int = _WIDTH) -> list[str]:
    """Names in a line or two, and how many more there are; nothing where there are none.

    >>> listed("loaded", ["rows", "model"]), listed("loaded", [])
    (['loaded: rows, model'], [])
    """
    if not names:
        return []
    more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES + 1 else []
    shown = [*(names[:_MOST_NAMES] if more else names), *more]
    return textwrap.wrap(f"{title}: {', '.join(shown)}", width, subsequent_indent="  ")
