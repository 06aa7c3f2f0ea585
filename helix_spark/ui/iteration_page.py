"""The page of one iteration: what is told of it anywhere, its graph, when its nodes ran, and what stands beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.catalog.run_progress import Progress
from helix_spark.drawing import Picture, picture_of
from helix_spark.history.comparison import node_differences, unrecorded
from helix_spark.history.value_text import whole_text
from helix_spark.plots import plots_among
from helix_spark.ui.selection import Selection, select
from helix_spark.views.iteration_view import IterationView, OutputLine, saved_seconds
from helix_spark.views.node_row import NodeRow, graph_of, ranked
from helix_spark.views.progress_view import ProgressView, progress_view, running_states

MOST_ROWS = 40
"""Nodes, and bars, that are in sight."""


@dataclass(frozen=True, slots=True)
class IterationPage:
    """All of one iteration.

    Attributes:
        versions: of what it ran with.
        drawn: names of the outputs that are shown as tables and plots.
        bars: what ran, in the order in which it began; where that was not recorded, inputs first.
        saved: seconds of computing that reuse saved.
        previous, following: numbers of the iterations before and after.
        compared: the newest iteration before that it can be compared with.
    """

    record: IterationRecord
    shown: IterationView
    picture: Picture
    selection: Selection
    versions: Mapping[str, str]
    drawn: frozenset[str]
    bars: tuple[NodeRow, ...]
    saved: float | None
    previous: int | None
    following: int | None
    compared: int | None

    @property
    def values(self) -> tuple[OutputLine, ...]:
        """The outputs that are no table and no plot; these have their own sections."""
        return tuple(one for one in self.shown.outputs if one.name not in self.drawn)

    @property
    def first(self) -> tuple[NodeRow, ...]:
        """The nodes that are in sight: what failed, ran or was loaded first."""
        rows = ranked(self.shown.rows)
        return rows if len(rows) <= MOST_ROWS else rows[:MOST_ROWS]

    @property
    def rest(self) -> tuple[NodeRow, ...]:
        """The nodes that are folded away."""
        return ranked(self.shown.rows)[len(self.first):]

    @property
    def longest(self) -> tuple[NodeRow, ...]:
        """The bars that are drawn."""
        least = sorted((row.seconds or 0.0 for row in self.bars), reverse=True)[:MOST_ROWS]
        return tuple(row for row in self.bars if (row.seconds or 0.0) >= least[-1])[:MOST_ROWS] if least else ()

    @property
    def spent(self) -> float:
        """Seconds of all nodes together."""
        return sum(row.seconds or 0.0 for row in self.shown.rows)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many nodes show which state."""
        return Counter(row.state for row in self.shown.rows)


def iteration_page(
    record: IterationRecord, shown: IterationView, iterations: Sequence[IterationRecord], href: Callable[[str], str], *,
    wanted: str = "", whole: bool = False, edits: Mapping[str, str],
) -> IterationPage:
    """Return all of one iteration.

    Args:
        iterations: all of the workflow.
        href: where a node leads.
        wanted: which nodes to draw; see `selection`.
        whole: draw each node by itself, however large it is.
        edits: see `edited`.
    """
    selection = select({row.name: row.inputs for row in shown.rows}, wanted)
    names = frozenset(selection.names)
    title = f"graph of iteration {record.number} of {record.workflow}"
    graph = graph_of(title, [row for row in shown.rows if row.name in names], href, edits)
    numbers = [each.number for each in iterations]
    ran = [row for row in shown.rows if row.seconds is not None]
    return IterationPage(
        record, shown, picture_of(graph, whole=whole), selection,
        {name: whole_text(value) for name, value in mapping(record.versions).items() if value},
        frozenset((*shown.tables, *plots_among(mapping(record.outputs)))),
        tuple(sorted(ran, key=lambda row: row.started if row.started is not None else float("inf"))),
        saved_seconds(record), max((each for each in numbers if each < record.number), default=None),
        min((each for each in numbers if each > record.number), default=None),
        None if unrecorded(record) else newest_recorded(iterations, record.number),
    )


def edited(before: Sequence[NodeRecord], nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Return which nodes were edited since the iteration before, and how: changed or added. None of the first one."""
    found = node_differences(before, nodes) if before else {}
    return {name: one.sort for name, one in found.items() if one.sort in ("changed", "added")}


def newest_recorded(iterations: Sequence[IterationRecord], before: int) -> int | None:
    """Return the number of the newest iteration before another whose nodes are on record; None if there is none."""
    earlier = (record.number for record in iterations if record.number < before and not unrecorded(record))
    return max(earlier, default=None)


# An iteration that runs, or died


def noted_states(iteration: IterationRecord, progress: Progress) -> dict[str, str]:
    """Return what each node shows of an iteration that runs or died; in the latter, what was running is what died with
    it."""
    died = {"running": "died"} if iteration.status == "died" else {}
    return {name: died.get(state, state) for name, state in running_states(progress).items()}


def records_of(iteration: IterationRecord, progress: Progress) -> tuple[NodeRecord, ...]:
    """Node records, as far as the notes tell."""
    found = []
    for node in progress.nodes:
        seconds = node.ended - node.started if node.started is not None and node.ended is not None else None
        found.append(NodeRecord(
            iteration.run, iteration.workflow, iteration.number, node.name, node.kind, node.inputs, node.state,
            node.reason, "", "", "[]", seconds=seconds, predicted_seconds=node.predicted_seconds, output=node.output,
            started=node.started,
        ))
    return tuple(found)


def underway(iteration: IterationRecord, progress: Progress | None, now: float) -> ProgressView | None:
    """Return how far an iteration is that runs and has not answered yet; None of any other.

    Args:
        now: Unix seconds by this machine's clock, which need not be the one of who runs it.
    """
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
