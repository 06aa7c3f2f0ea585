"""The answer of a run, in words: outputs beside the previous ones, what ran, what was reused, what that saved."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from helix_spark.catalog.comparison import differ
from helix_spark.catalog.shown import short
from helix_spark.iteration.iteration import Iteration, took_text
from helix_spark.planner.influence import left_out_lines
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds

_WIDTH = 80


def answer_text(iteration: Iteration, before: Mapping[str, Any]) -> str:
    """One screen.

    Args:
        before: the previous iteration's outputs.
    """
    plan = iteration.plan
    lines = [f"{plan.workflow}, iteration {iteration.number}", ""]
    lines += outputs_text(iteration.outputs, before)
    lines += ["", *_ran(iteration), *_reused(plan), "", took_text(iteration)]
    return "\n".join(lines)


def outputs_text(outputs: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """A line an output, with the value before where it differs.

    >>> outputs_text({"auc": 0.91}, {"auc": 0.9})
    ['  auc  0.91  (was 0.9)']
    """
    width = max(map(len, outputs), default=0)
    lines = []
    for name, value in outputs.items():
        line = f"  {name:{width}}  {short(value)}"
        if name in before and differ(before[name], value):
            line += f"  (was {short(before[name])})"
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
        lines += _listed(title, plan.in_state(state))
    return lines + _listed("not used by any output", plan.dropped) + left_out_lines(plan)


def _listed(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return textwrap.wrap(f"{title}: {', '.join(names)}", _WIDTH, subsequent_indent="  ")
