"""What the page of one iteration has besides its view: which nodes are drawn, when they ran, and how far it is while it
runs.

Which nodes are drawn is told by a filter: ``+model`` with all it reads, ``model+`` with all that reads it,
``1+model+2``. A node may be called anything: which plus belongs to a name is told by the names there are.
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


def select(inputs: Mapping[str, Sequence[str]], wanted: str) -> tuple[str, ...]:
    """Return the nodes that a filter names, in the graph's order: all for an empty one, none where it names no node. A
    ``+`` before a node's name adds all that it reads, one after it all that reads it; a number at the ``+`` counts
    steps.

    >>> graph = {"data": [], "rows": ["data"], "model": ["rows"], "auc": ["model"]}
    >>> select(graph, "1+model+"), select(graph, "mode")
    (('rows', 'model', 'auc'), ())
    >>> select({"marital status": [], "c++": ["marital status"]}, "+c+++")
    ('marital status', 'c++')
    """
    if not wanted.strip():
        return tuple(inputs)
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    for name, sources in inputs.items():
        for source in sources:
            readers.setdefault(source, []).append(name)
    # The longest name that fits is meant: a plus is a sign only where no name has it.
    for name in sorted(inputs, key=len, reverse=True):
        term = re.fullmatch(rf"(?:(\d*)\+)?{re.escape(name)}(?:\+(\d*))?", wanted.strip())
        if term is not None:
            found = {name} | _reach(inputs, name, term[1]) | _reach(readers, name, term[2])
            return tuple(one for one in inputs if one in found)
    return ()


def _reach(edges: Mapping[str, Sequence[str]], start: str, steps: str | None) -> set[str]:
    """Return what so many steps lead to; all where the number is left out, nothing for None."""
    most = 0 if steps is None else int(steps[:6]) if steps else len(edges)
    found, edge = set[str](), {start}
    while edge and most > 0:
        edge = {to for name in edge for to in edges.get(name, ()) if to in edges} - found - {start}
        found |= edge
        most -= 1
    return found


def longest(ran: Sequence[NodeRow], most: int) -> tuple[NodeRow, ...]:
    """Return the nodes that ran longest in the order in which they began; where that was not recorded, inputs first."""
    kept = {row.name for row in sorted(ran, key=lambda row: -(row.seconds or 0.0))[:most]}
    began = sorted(ran, key=lambda row: row.started if row.started is not None else float("inf"))
    return tuple(row for row in began if row.name in kept)


def edited(before: Sequence[NodeRecord], nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Return which nodes were edited since the iteration before, and how: changed or added. None of the first one."""
    found = node_differences(before, nodes) if before else {}
    return {name: one.state for name, one in found.items() if one.state in ("changed", "added")}


# An iteration that runs, or died


def running_rows(iteration: IterationRecord, progress: Progress) -> tuple[NodeRow, ...]:
    """Return the nodes of an iteration that runs or died, as far as its notes tell; in the latter, what was running is
    what died with it."""
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


def underway(iteration: IterationRecord, progress: Progress | None, now: float) -> ProgressView | None:
    """Return how far an iteration is that runs and has not answered yet; None of any other. `now` is by this machine's
    clock, which need not be the one of who runs it."""
    if progress is None or iteration.status != "running" or progress.answered is not None:
        return None
    noted = max((at for node in progress.nodes for at in (node.started, node.ended) if at is not None), default=0.0)
    return progress_view(progress, max(noted, now - progress.began) if progress.began else noted)


def state_text(iteration: IterationRecord, progress: Progress | None) -> str:
    """Return how far an iteration is, as JSON; differs whenever a page that shows it is out of date."""
    state: dict[str, Any] = {"status": iteration.status, "nodes": {}}
    if progress is not None:
        state |= {
            "nodes": running_states(progress), "answered": progress.answered, "stored": list(progress.stored),
        } | ({"starting": True} if progress.starting else {})
    return json.dumps(state)
