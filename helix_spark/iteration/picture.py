"""An iteration as a notebook shows it: outputs first, then what ran and what was reused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from helix_spark.drawing import DrawnGraph, DrawnNode
from helix_spark.drawing.notebook import folded, heading, page, paragraph, picture, table
from helix_spark.iteration.iteration import Iteration, took_text
from helix_spark.iteration.named_results import NamedResults
from helix_spark.iteration.recorded import RecordedIteration
from helix_spark.past.comparison import differ, unrecorded
from helix_spark.past.edit_message import edit_of
from helix_spark.past.metrics import Metrics, metrics_of
from helix_spark.past.shown import short
from helix_spark.past.states import shown_states
from helix_spark.past.table_preview import TablePreview, cell_text, is_number
from helix_spark.planner.picture import plan_graph
from helix_spark.planner.problem import State
from helix_spark.sizes import format_seconds
from helix_spark.visible_text import visible

_ROWS, _COLUMNS = 10, 12
"""Of an output table that are shown."""


def iteration_text(iteration: Iteration) -> str:
    """Outputs, what the plan warns of, and counts of what ran."""
    lines = [_title(iteration), *_output_lines(iteration.metrics)]
    lines += [f"warning: {warning}" for warning in iteration.plan.warnings]
    return visible("\n".join([*lines, summary(iteration)]))


def iteration_html(iteration: Iteration) -> str:
    """Outputs beside those before, what the plan warns of, the graph of what happened, and a table of the nodes. The
    whole graph is in sight once; later iterations show what was computed, and have the whole folded away."""
    stored = frozenset(iteration.wait()) if iteration.stored else frozenset[str]()
    rows = [
        (node.name, node.state, format_seconds(iteration.node_seconds.get(node.name)),
         format_seconds(node.predicted_seconds) if node.state is not State.PRUNE else "", node.reason)
        for node in iteration.plan.nodes
    ]
    graph = plan_graph(iteration.plan, iteration.node_seconds, stored)
    return page(
        heading(_title(iteration)), _outputs(iteration.metrics, iteration.before), *_tables(iteration.tables),
        *(paragraph(f"warning: {warning}") for warning in iteration.plan.warnings),
        paragraph(summary(iteration)),
        *([picture(graph)] if iteration.before is None else [picture(_computed(graph)), _whole(graph)]),
        _what_ran(rows),
    )


def summary(iteration: Iteration) -> str:
    """How much ran, and how long it took, in a sentence."""
    return f"{_counts(node.state for node in iteration.plan.nodes)}; {took_text(iteration)}"


def recorded_text(iteration: RecordedIteration) -> str:
    """Outputs, and how it ended."""
    return visible("\n".join([_title(iteration), *_output_lines(metrics_of(iteration.record)), *_ending(iteration)]))


def recorded_html(
    iteration: RecordedIteration, live: Collection[str], tables: Mapping[str, TablePreview]
) -> str:
    """Outputs, how it ended, the graph of what happened, and a table of the nodes.

    Args:
        live: signatures of the results that are stored now.
        tables: among its outputs, as far as they are on record.
    """
    states = shown_states(iteration.record, iteration.nodes)
    rows = [
        (node.name, states[node.name], format_seconds(node.seconds),
         format_seconds(node.predicted_seconds) if node.state != State.PRUNE else "", node.reason)
        for node in iteration.nodes
    ]
    return page(
        heading(_title(iteration)), _outputs(metrics_of(iteration.record), None), *_tables(tables),
        *map(paragraph, _ending(iteration)),
        picture(_recorded_graph(iteration, states, live)), _what_ran(rows),
    )


def _recorded_graph(
    iteration: RecordedIteration, states: Mapping[str, str], live: Collection[str]
) -> DrawnGraph:
    return DrawnGraph(
        tuple(
            DrawnNode(
                node.name, node.inputs, kind=node.kind, state=states[node.name], seconds=node.seconds,
                stored="stored" if node.signature in live else "",
                title=f"{node.name}: {states[node.name]}: {node.reason}",
            )
            for node in iteration.nodes
        ),
        title=_title(iteration),
    )


def _title(iteration: NamedResults) -> str:
    return f"{iteration.workflow}, iteration {iteration.number}"


def _ending(iteration: RecordedIteration) -> list[str]:
    """How an iteration on record ended, in sentences."""
    record = iteration.record
    said = [*filter(None, (record.message, edit_of(record)))]
    if missing := unrecorded(record):
        return [*said, missing]
    if record.status != "done":
        return [*said, f"{record.status}: {record.error}"]
    counts = _counts(node.state for node in iteration.nodes)
    return [*said, f"{counts}; {format_seconds(record.seconds)} s to answer", *record.error.splitlines()]


def _computed(graph: DrawnGraph) -> DrawnGraph:
    """What was computed, with what that reads."""
    computed = {node.name for node in graph.nodes if node.state == State.COMPUTE}
    near = computed | {source for node in graph.nodes if node.name in computed for source in node.inputs}
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name in near))


def _whole(graph: DrawnGraph) -> str:
    return folded("the whole graph", picture(graph))


def _outputs(found: Metrics, before: Metrics | None) -> str:
    """Each output, and where the one before differs, that and the change."""
    if before is None:
        return table(["output", "value"], [(name, short(value)) for name, value in found.leaves.items()])
    rows = []
    for name, value in found.leaves.items():
        differs = name in before.leaves and differ(before.leaves[name], value)
        was = (short(before.leaves[name]), found.change_text(name, before)) if differs else ("", "")
        rows.append((name, short(value), *was))
    return table(["output", "value", "before", "change"], rows)


def _tables(tables: Mapping[str, TablePreview]) -> list[str]:
    """The first rows of each output table."""
    shown = []
    for name, one in tables.items():
        rows = [[*map(cell_text, row[:_COLUMNS])] for row in one.rows[:_ROWS]]
        total = len(one.rows) if one.total is None else one.total
        more = f"{total:,} rows" if total == len(rows) else f"the first {len(rows)} of {total:,} rows"
        numbers = [head for head in one.names[:_COLUMNS] if is_number(one.column(head))]
        shown += [paragraph(f"{name}: {more}"), table(one.names[:_COLUMNS], rows, numbers)]
    return shown


def _output_lines(found: Metrics) -> list[str]:
    width = max(map(len, found.leaves), default=0)
    return [f"  {name:{width}}  {short(value)}" for name, value in found.leaves.items()]


def _counts(states: Iterable[str]) -> str:
    found = list(states)
    words = {State.COMPUTE: "computed", State.LOAD: "loaded", State.PRUNE: "not needed"}
    return ", ".join(f"{found.count(state)} {word}" for state, word in words.items())


def _what_ran(rows: Iterable[tuple[str, ...]]) -> str:
    heads = ["node", "state", "seconds", "expected", "why"]
    return folded("what ran, and why", table(heads, rows, numbers=["seconds", "expected"]))
