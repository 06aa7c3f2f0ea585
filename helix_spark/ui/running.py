"""An iteration that runs, or died, as if it were recorded: its nodes in the states that its notes tell of."""

from __future__ import annotations

import json
from typing import Any

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.catalog.run_progress import Progress
from helix_spark.views.progress_view import ProgressView, progress_view, running_states


def noted_states(iteration: IterationRecord, progress: Progress) -> dict[str, str]:
    """What each node shows of an iteration that runs or died; in the latter, what was running is what died with it."""
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
    """How far an iteration is that runs and has not answered yet; None of any other.

    Args:
        now: Unix seconds by this machine's clock, which need not be the one of who runs it.
    """
    if progress is None or iteration.status != "running" or progress.answered is not None:
        return None
    noted = max((at for node in progress.nodes for at in (node.started, node.ended) if at is not None), default=0.0)
    return progress_view(progress, max(noted, now - progress.began) if progress.began else noted)


def state_text(iteration: IterationRecord, progress: Progress | None) -> str:
    """How far an iteration is, as JSON; differs whenever a page that shows it is out of date."""
    state: dict[str, Any] = {"status": iteration.status, "nodes": {}}
    if progress is not None:
        state |= {
            "nodes": running_states(progress), "answered": progress.answered, "stored": list(progress.stored),
        } | ({"starting": True} if progress.starting else {})
    return json.dumps(state)
