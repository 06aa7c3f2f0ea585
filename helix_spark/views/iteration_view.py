"""The view of a planned, finished or recorded iteration: outputs and their changes, nodes, reasons, costs."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord
from helix_spark.drawing.graph import PROOFS, DrawnGraph
from helix_spark.drawing.notebook import Displayed
from helix_spark.history.comparison import differ, unrecorded
from helix_spark.history.edit_message import edit_of
from helix_spark.history.metrics import Metrics, metric_text, metrics_of, number
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import proofs_of, saved_seconds
from helix_spark.history.table_preview import TablePreview, tables_of
from helix_spark.history.value_text import rounded, value_text
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds, format_size
from helix_spark.views.node_row import NodeRow, counts_text, graph_of, names_text, planned_row, recorded_rows
from helix_spark.visible_text import cut

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.history.feature_weights import FeatureWeight

_LEAST_WAIT, _LEAST_SAVED = 0.1, 0.01
"""Smallest seconds that are shown."""

_LONGEST_VALUE = 120
"""Characters of a value in a line."""


@dataclass(frozen=True, slots=True)
class OutputLine:
    """An output, or a value in one by a dotted name, in a line and in full; if changed, with text before and change."""

    name: str
    text: str
    full_text: str
    before: str = ""
    change: str = ""

    @property
    def was(self) -> str:
        """The text before and the change, in a line; empty if it did not change."""
        return f"was {', '.join(filter(None, (self.before, self.change)))}" if self.before else ""


@dataclass(frozen=True)
class IterationView(Displayed):
    """One iteration: planned, just run, or recorded.

    Attributes:
        rows: its nodes, inputs first.
        when: its start by this machine's clock, and the user.
        duration: the seconds to answer, and those that reuse saved.
        edit: the edit since the iteration before.
        file: the file, with the short commit; a plus if the repository had further changes.
        error: why it failed; for an iteration that is done, changes meanwhile.
        unrecorded: why its nodes are not recorded.
        outputs: its outputs, the primary metric first.
        dropped: nodes that no output needs.
        totals: lines on the plan's costs, reuse and storage.
    """

    workflow: str
    number: int
    status: str
    parameters: tuple[tuple[str, str], ...]
    rows: tuple[NodeRow, ...]
    when: str = ""
    duration: str = ""
    message: str = ""
    edit: str = ""
    file: str = ""
    error: str = ""
    unrecorded: str = ""
    outputs: tuple[OutputLine, ...] = ()
    tables: Mapping[str, TablePreview] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    pinned: bool = False

    @property
    def title(self) -> str:
        return f"{self.workflow}, iteration {self.number}"

    @property
    def pin_command(self) -> str:
        """The command that pins or unpins it."""
        return shlex.join(["helix", "pin", str(self.number), self.workflow, *["--remove"] * self.pinned])

    @property
    def graph(self) -> DrawnGraph:
        return graph_of(self.title, self.rows)

    @property
    def needed(self) -> tuple[NodeRow, ...]:
        return tuple(row for row in self.rows if row.is_needed)

    @property
    def unused(self) -> tuple[str, ...]:
        """Sentences on nodes that it does not need."""
        unneeded = names_text("not needed", [row.name for row in self.rows if not row.is_needed])
        return tuple(filter(None, (unneeded, self._dropped)))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences to show below the rows of all nodes."""
        return tuple(filter(None, (self._dropped, *(f"warning: {text}" for text in self.warnings))))

    @property
    def _dropped(self) -> str:
        return names_text("not used by any output", self.dropped)

    @property
    def loaded(self) -> str:
        return names_text("loaded", [row.name for row in self.rows if row.state == "load"])

    @property
    def unproven(self) -> str:
        """A sentence on the unproven results that it reused; empty without any."""
        titles = [row.title for row in self.rows if row.state == "load" and row.proof == "unproven"]
        return names_text("unproven", titles)

    @property
    def outcome(self) -> str:
        """Why it ended without an answer; see `ending_text`."""
        return ending_text(self.status, self.error)

    @property
    def ending(self) -> tuple[str, ...]:
        """Sentences on its end."""
        notes = tuple(filter(None, (self.message, self.edit)))
        if self.unrecorded or self.status != "done":
            return (*notes, self.unrecorded or self.outcome)
        summary = "; ".join(filter(None, (counts_text(self.rows), self.duration)))
        warnings = (f"warning: {text}" for text in self.warnings)
        return (*notes, *warnings, summary, *filter(None, (self.unproven,)), *self.error.splitlines())


def view_of_plan(plan: Plan) -> IterationView:
    """Return the view of a plan."""
    return IterationView(
        plan.workflow, plan.iteration, "planned",
        _texts(plan.parameters), tuple(planned_row(node, plan) for node in plan.nodes), dropped=plan.dropped,
        warnings=plan.warnings, totals=tuple(_totals(plan)),
    )


def recorded_view(record: IterationRecord, records: CatalogReader) -> IterationView:
    """Return the view of a recorded iteration, with the results that are stored now."""
    nodes = source_rows(records.nodes(record))
    live = records.live_among([node.signature for node in nodes])
    return view_of_record(record, recorded_rows(record, nodes, live, proofs_of(nodes, records)), records)


def view_of_record(record: IterationRecord, rows: tuple[NodeRow, ...], records: CatalogReader) -> IterationView:
    """Return the view of a recorded iteration with these rows."""
    plan = mapping(record.plan)
    committed = f" at commit {commit_text(record)}" if record.file and record.commit else ""
    return IterationView(
        record.workflow, record.number, record.status, _texts(mapping(record.parameters)), rows,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(record.started)) + (f" by {record.user}" if record.user else ""),
        seconds_line(record.seconds, saved_by(rows, saved_seconds(record))), record.message, edit_of(record),
        f"{record.file}{committed}", record.error, unrecorded(record), output_lines(metrics_of(record), None),
        tables_of(record, records), totals=plan_lines(plan) if plan.get("status") else (),
        pinned=(record.workflow, record.number) in records.pinned(),
    )


def ending_text(status: str, error: str) -> str:
    """Describe why an iteration ended without an answer; empty for others.

    >>> ending_text("failed", "no column 'x'"), ending_text("interrupted", "by Ctrl-C"), ending_text("done", "")
    ("failed: no column 'x'", 'interrupted by Ctrl-C; results computed before are kept', '')
    """
    if status in ("done", "running"):
        return ""
    if status == "interrupted":
        return f"interrupted{' ' if error.startswith('by ') else ': '}{error}; results computed before are kept"
    return f"{status}: {error}" if error else status


def commit_text(record: IterationRecord) -> str:
    """Return the short commit, with a plus if the repository had further changes.

    >>> from dataclasses import replace
    >>> record = IterationRecord("0" * 32, "w", 1, "done", 0.0, commit="0123456789abcdef", dirty=True)
    >>> commit_text(record), commit_text(replace(record, dirty=False)), commit_text(replace(record, commit=""))
    ('0123456+', '0123456', '')
    """
    return record.commit[:7] + ("+" if record.commit and record.dirty else "")


def output_lines(metrics: Metrics, before: Metrics | None) -> tuple[OutputLine, ...]:
    """Return a line for each output, with the value before if it differs.

    >>> [line.was for line in output_lines(Metrics({"auc": 0.91, "f": 1}), Metrics({"auc": 0.9, "f": 1}))]
    ['was 0.9, +0.01', '']
    """
    old = before.leaves if before is not None else {}
    lines = []
    for name, value in metrics.leaves.items():
        doubt = f" ({metrics.doubt(name)})" if number(value) is not None and metrics.doubt(name) else ""
        line = OutputLine(name, output_line(value) + doubt, output_text(value) + doubt)
        if before is not None and name in old and differ(old[name], value):
            line = replace(line, before=output_line(old[name]), change=metrics.change_text(name, before))
        lines.append(line)
    return tuple(lines)


def output_text(value: Any) -> str:
    """Return an output's full text; numbers are formatted like metrics.

    >>> output_text(48842), output_text(0.123456789), output_text({"table": "t", "rows": 3})
    ('48,842', '0.123457', 'table of 3 rows')
    """
    if type(value) is int:
        return f"{value:,}"
    metric = number(value)
    return value_text(value) if metric is None else metric_text(metric)


def output_line(value: Any) -> str:
    """Return an output's text in a line, cut to a readable length."""
    return cut(output_text(rounded(value)), _LONGEST_VALUE)


def _texts(parameters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, cut(value_text(rounded(value)), _LONGEST_VALUE)) for name, value in parameters.items())


def saved_by(rows: Sequence[NodeRow], seconds: float | None) -> float:
    """Return the seconds that reuse saved; 0 if no row was reused."""
    return seconds or 0.0 if any(row.state in ("load", "prune") for row in rows) else 0.0


def seconds_line(seconds: float | None, saved: float, session: float = 0.0, waited: float = 0.0) -> str:
    """Return the seconds to answer, those of Spark's start and before the run began, and those that reuse saved.

    >>> seconds_line(9.0, 20.0, session=3.0)
    "9.0 s to answer (Spark's start 3.0 s); about 20.0 s of computing saved"
    """
    parts = [f"{format_seconds(waited)} s until the run began"] if waited >= _LEAST_WAIT else []
    parts += [f"Spark's start {format_seconds(session)} s"] if session else []
    text = f"{format_seconds(seconds) or '?'} s to answer" + (f" ({', '.join(parts)})" if parts else "")
    return "; ".join(filter(None, (text, saved_text(saved))))


def saved_text(seconds: float) -> str:
    """Return the seconds that reuse saved; empty for none."""
    return f"about {format_seconds(seconds)} s of computing saved" if seconds >= _LEAST_SAVED else ""


# A plan


def planned_node_lines(plan: Plan, name: str, weights: Sequence[FeatureWeight] = ()) -> list[str]:
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
        *([f"  identified by its code, not by its plan: it {node.by_code}"] if node.by_code else []),
        f"  signature {node.signature}",
        *([f"  read by {', '.join(readers)}"] if readers else []),
        *influence_lines(weights, node.name),
    ]


def _totals(plan: Plan) -> Iterator[str]:
    """Yield lines on a plan's costs, reuse and storage."""
    session = "first work" if plan.session_runs else "start and first work"
    costs, *spark, stored = plan_lines({**plan.figures, "budget": plan.budget, "used": plan.used}, plan.guess, session)
    counts: Counter[str] = Counter(node.proof for node in plan.nodes if node.state is State.LOAD)
    proofs = ", ".join(f"{counts[proof]} {proof}" for proof in PROOFS if counts[proof])
    kept = sum(node.keep and not node.stored for node in plan.nodes)
    yield from (costs, *spark, *([f"reused: {proofs}"] if proofs else []))
    yield f"{stored}; {kept or 'nothing'} to store, {len(plan.evict)} to evict"


def plan_lines(figures: Mapping[str, Any], guess: str = "", session: str = "start and first work") -> tuple[str, ...]:
    """Return lines on a plan's recorded figures: expected seconds with optimality and the `guess` of their guessed
    share, seconds of Spark's `session`, and storage.

    >>> figures = {"status": "optimal", "solver": "HiGHS", "policy": "joint", "predicted_seconds": 4.0}
    >>> plan_lines(figures | {"run_all_seconds": 9.0})
    ('expected 4.0 s; saves 5.0 s of 9.0 s (optimal, HiGHS, 0 ms)', 'stored 0 B of no limit (policy joint)')
    """
    expected, everything, spark, solving, used = (
        number(figures.get(name)) or 0.0
        for name in ("predicted_seconds", "run_all_seconds", "session_seconds", "solver_seconds", "used")
    )
    budget, status = number(figures.get("budget")), figures.get("status")
    solver, notice, policy = figures.get("solver", "no solver"), figures.get("notice"), figures.get("policy")
    saved = f"; saves {format_seconds(max(0.0, everything - expected))} s of {format_seconds(everything)} s"
    quality = f"{status}, {solver}, {1000 * solving:.0f} ms"
    return (
        f"expected {format_seconds(expected)} s{guess}{saved if everything else ''} "
        f"({quality}{f'; {notice}' if notice else ''})",
        *([f"Spark's {session}: ~{format_seconds(spark)} s of these"] if spark else []),
        f"stored {format_size(used)} of {'no limit' if budget is None else format_size(budget)} "
        f"(policy {policy or 'unknown'})",
    )


def influence_lines(weights: Sequence[FeatureWeight], name: str) -> list[str]:
    """Return indented lines on the weights of a learner's features, or of an extractor as a feature."""
    features = sorted((weight for weight in weights if weight.learner == name), key=lambda weight: -weight.share)
    lines = list[str]()
    shares = [f"{weight.feature} {weight.share:.1%}" for weight in features if not weight.without_influence]
    if shares:
        lines.append(f"  weight by feature in iteration {features[0].iteration}: {', '.join(shares)}")
    useless = [weight for weight in features if weight.without_influence]
    if useless:
        names = ", ".join(f"{weight.feature} ({format_seconds(weight.seconds)} s)" for weight in useless)
        lines.append(f"  without influence in iteration {useless[0].iteration}: {names}")
    for weight in (weight for weight in weights if weight.feature == name):
        if weight.without_influence:
            lines.append(
                f"  `{weight.learner}` gave it no weight in iteration {weight.iteration}; it takes "
                f"{format_seconds(weight.seconds)} s, with nodes that only it needs"
            )
        else:
            share = f"{weight.share:.1%} of the weight"
            lines.append(f"  `{weight.learner}` gave it {share} in iteration {weight.iteration}")
    return lines
