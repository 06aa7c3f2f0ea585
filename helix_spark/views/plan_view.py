"""A plan as it is shown: what is to happen to each node and why, what it costs and saves, how good it is known to be.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass

from helix_spark.drawing import DrawnGraph
from helix_spark.drawing.style import PROOFS
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.feature_words import influence_lines, left_out_text
from helix_spark.views.node_row import NodeRow, graph_of, names_text, planned_row

_WIDTH, _WIDEST_NAME = 80, 24


@dataclass(frozen=True)
class PlanView:
    """A plan.

    Attributes:
        rows: inputs first.
        dropped: nodes that no output needs.
        left_out: what features were left out and why, a sentence each.
        totals: what it costs and saves, what is reused and stored, a line each.
    """

    workflow: str
    iteration: int
    rows: tuple[NodeRow, ...]
    dropped: tuple[str, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    totals: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.workflow}, iteration {self.iteration}"

    @property
    def needed(self) -> tuple[NodeRow, ...]:
        """What has a part in it, inputs first."""
        return tuple(row for row in self.rows if row.is_needed)

    @property
    def not_needed(self) -> str:
        """The nodes that have none, in a sentence; empty where all have."""
        return names_text("not needed", [row.name for row in self.rows if not row.is_needed])

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told below the rows, a sentence each."""
        dropped = names_text("not used by any output", self.dropped)
        warned = (f"warning: {one}" for one in self.warnings)
        return tuple(filter(None, (dropped, *self.left_out, *warned)))

    @property
    def graph(self) -> DrawnGraph:
        return graph_of(self.title, self.rows)

    def __str__(self) -> str:
        """Return what fits 80 columns, whatever prints it: a line or two a node, then totals."""
        width = min(_WIDEST_NAME, max([4, *(len(row.name) for row in self.rows)]))
        lines = [self.title, "", f"{'state':8}{'seconds':>8}  {'node':{width}}  why"]
        for row in self.rows:
            start = f"{row.state:8}{format_seconds(row.expected):>8}  {row.name:{width}}  "
            wrapped = textwrap.wrap(row.why_and_kept, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
            lines += wrapped or [start]
        notes = [part for note in self.notes for part in textwrap.wrap(note, _WIDTH, subsequent_indent="  ")]
        return "\n".join([*lines, *(["", *notes] if notes else []), "", *self.totals])


def plan_view(plan: Plan) -> PlanView:
    """A plan as it is shown."""
    return PlanView(
        plan.workflow, plan.iteration, tuple(planned_row(node, plan) for node in plan.nodes), plan.dropped,
        tuple(map(left_out_text, plan.left_out)), plan.warnings, (*_costs(plan), *_reused(plan), _stored(plan)),
    )


def planned_node_lines(plan: Plan, name: str) -> list[str]:
    """Everything that a plan knows of one node."""
    node = plan[name]
    readers = [other.name for other in plan.nodes if node.name in other.inputs]
    return [
        f"{node.name} ({node.kind}, makes a {node.result})" + (f" at {node.where}" if node.where else ""),
        f"  {node.state}: {node.reason}",
        f"  {node.proof}: {PROOFS[node.proof]}",
        f"  compute {format_seconds(node.compute_seconds)} s ({node.origin}), load "
        f"{format_seconds(node.load_seconds)} s, write {format_seconds(node.write_seconds)} s, "
        f"{format_size(node.bytes)}",
        *([f"  {node.storage_reason}"] if node.storage_reason else []),
        *([f"  reads {', '.join(node.inputs)}"] if node.inputs else []),
        *([f"  known by its code, not by what it builds: it {node.by_code}"] if node.by_code else []),
        f"  signature {node.signature}",
        *([f"  read by {', '.join(readers)}"] if readers else []),
        *influence_lines(plan, node.name),
    ]


def _costs(plan: Plan) -> list[str]:
    """Return what it takes and saves, and how good it is known to be."""
    everything, proof = plan.run_all_seconds, plan.certificate
    saved = f"; saves {format_seconds(plan.saved_seconds)} s of {format_seconds(everything)} s" if everything else ""
    quality = f"{proof.status}, {proof.solver}, {proof.solver_seconds * 1000:.0f} ms"
    quality += f"; {proof.notice}" if proof.notice else ""
    lines = [f"expected {format_seconds(plan.predicted_seconds)} s{plan.guess}{saved} ({quality})"]
    if plan.session_seconds:
        what = "first work" if plan.session_runs else "start and first work"
        lines.append(f"Spark's {what}: ~{format_seconds(plan.session_seconds)} s of these")
    return lines


def _reused(plan: Plan) -> list[str]:
    """How many of the results that it reuses are verified; no line where it reuses nothing."""
    counts: Counter[str] = Counter(node.proof for node in plan.nodes if node.state is State.LOAD)
    told = ", ".join(f"{counts[proof]} {proof}" for proof in PROOFS if counts[proof])
    return [f"reused: {told}"] if told else []


def _stored(plan: Plan) -> str:
    limit = format_size(plan.budget) if plan.budget is not None else "no limit"
    kept = [node for node in plan.nodes if node.keep and not node.stored]
    storing = f"{len(kept)} to store" if kept else "nothing to store"
    return f"stored {format_size(plan.used)} of {limit}; {storing}, {len(plan.evict)} to evict (policy {plan.policy})"
