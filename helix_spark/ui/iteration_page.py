"""Parts of the page of one iteration: the filter of its graph, its timeline, and its progress while it runs.

The filter selects nodes: ``+model`` and all its inputs, ``model+`` and all its readers, ``1+model+2``. A node's name
may contain plus signs, so the filter is matched against the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from helix_spark.catalog.history import Progress
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.history.comparison import node_differences
from helix_spark.views.node_row import NodeRow
from helix_spark.views.progress_view import ProgressView, progress_view, running_states


def select(inputs: Mapping[str, Sequence[str]], node_filter: str) -> tuple[str, ...]:
    """Return the nodes that a filter selects, in the graph's order: all if it is empty, none if it names no node.

    A ``+`` before the name adds the node's inputs, a ``+`` after the name adds its readers; a number limits the steps.

    >>> graph = {"data": [], "rows": ["data"], "model": ["rows"], "auc": ["model"]}
    >>> select(graph, "1+model+"), select(graph, "mode")
    (('rows', 'model', 'auc'), ())
    >>> select({"marital status": [], "c++": ["marital status"]}, "+c+++")
    ('marital status', 'c++')
    """
    if not node_filter.strip():
        return tuple(inputs)
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, sources in inputs.items():
        for source in sources:
            readers.setdefault(source, []).append(name)
    # The longest name wins, so a plus is an operator only if no name contains it.
    for name in sorted(inputs, key=len, reverse=True):
        term = re.fullmatch(rf"(?:(\d*)\+)?{re.escape(name)}(?:\+(\d*))?", node_filter.strip())
        if term is not None:
            selected = {name} | _reach(inputs, name, term[1]) | _reach(readers, name, term[2])
            return tuple(node for node in inputs if node in selected)
    return ()


def _reach(edges: Mapping[str, Sequence[str]], start: str, steps: str | None) -> set[str]:
    """Return the nodes within a number of steps: all if it is empty, none if it is None."""
    remaining = 0 if steps is None else int(steps[:6]) if steps else len(edges)
    reached, frontier = set[str](), {start}
    while frontier and remaining > 0:
        frontier = {to for name in frontier for to in edges.get(name, ()) if to in edges} - reached - {start}
        reached |= frontier
        remaining -= 1
    return reached


def select_longest(rows: Sequence[NodeRow], count: int) -> tuple[NodeRow, ...]:
    """Return the nodes that ran longest, by their start; those without a recorded start come last, inputs first."""
    longest = {row.name for row in sorted(rows, key=lambda row: -(row.seconds or 0.0))[:count]}
    by_start = sorted(rows, key=lambda row: row.started if row.started is not None else float("inf"))
    return tuple(row for row in by_start if row.name in longest)


def edits_since(before: Sequence[NodeRecord], nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Return the nodes changed or added since the previous iteration, with that word; empty for the first iteration."""
    differences = node_differences(before, nodes) if before else {}
    return {name: node.state for name, node in differences.items() if node.state in ("changed", "added")}


# Running and dead iterations


def running_rows(iteration: IterationRecord, progress: Progress) -> tuple[NodeRow, ...]:
    """Return the nodes of an iteration that runs or has died, from its progress notes."""
    died = {"running": "died"} if iteration.status == "died" else {}
    states = running_states(progress)
    return tuple(
        NodeRow(
            node.name, node.name, node.kind, node.inputs, node.output, died.get(states[node.name], states[node.name]),
            node.reason, None if node.started is None or node.ended is None else node.ended - node.started,
            None if node.state == "prune" else node.predicted_seconds, started=node.started,
        )
        for node in progress.nodes
    )


def view_progress(iteration: IterationRecord, progress: Progress | None, now: float) -> ProgressView | None:
    """Return the progress of an iteration that runs and has not answered yet, else None.

    `now` is by this machine's clock, which may differ from that of the machine that runs the iteration.
    """
    if progress is None or iteration.status != "running" or progress.answered is not None:
        return None
    latest = max((at for node in progress.nodes for at in (node.started, node.ended) if at is not None), default=0.0)
    return progress_view(progress, max(latest, now - progress.began) if progress.began else latest)


def state_text(iteration: IterationRecord, progress: Progress | None) -> str:
    """Return the progress of an iteration as JSON, by which an open page detects that it is out of date."""
    state: dict[str, Any] = {"status": iteration.status, "nodes": {}}
    if progress is not None:
        state |= {
            "nodes": running_states(progress), "answered": progress.answered, "stored": list(progress.stored),
        } | ({"starting": True} if progress.starting else {})
    return json.dumps(state)
