"""An iteration that runs, or died, as if it were recorded: its nodes in the states that its notes tell of."""

from __future__ import annotations

import json
from typing import Any

from helix_spark.catalog.progress import Progress
from helix_spark.catalog.records import IterationRecord, NodeRecord


def running_states(progress: Progress) -> dict[str, str]:
    """What each node shows: its planned state once it is done, else running or waiting.

    A node without a step of its own runs inside the steps that read it: it is as far as the furthest of them.
    """
    readers: dict[str, list[str]] = {}
    for node in progress.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node.name)
    states: dict[str, str] = {}
    done = {node.name: node.state for node in progress.nodes}
    for node in reversed(progress.nodes):
        if node.state == "prune":
            states[node.name] = "prune"
        elif node.name in progress.ended or progress.answered is not None:
            states[node.name] = node.state
        elif node.name in progress.started:
            states[node.name] = "running"
        else:
            further = [states[name] for name in readers.get(node.name, ()) if name in states]
            if any(states[name] == done[name] != "prune" for name in readers.get(node.name, ()) if name in states):
                states[node.name] = node.state
            else:
                states[node.name] = "running" if "running" in further else "waiting"
    return states


def noted_states(iteration: IterationRecord, progress: Progress) -> dict[str, str]:
    """What each node shows of an iteration that runs or died; in the latter, what was running is what died with it."""
    died = {"running": "died"} if iteration.status == "died" else {}
    return {name: died.get(state, state) for name, state in running_states(progress).items()}


def records_of(iteration: IterationRecord, progress: Progress) -> tuple[NodeRecord, ...]:
    """Node records, as far as the notes tell."""
    found = []
    for node in progress.nodes:
        started, ended = progress.started.get(node.name), progress.ended.get(node.name)
        seconds = ended - started if started is not None and ended is not None else None
        found.append(NodeRecord(
            iteration.run, iteration.workflow, iteration.number, node.name, node.kind, node.inputs, node.state,
            node.reason, "", "", "[]", seconds=seconds, predicted_seconds=node.predicted_seconds, output=node.output,
            started=started,
        ))
    return tuple(found)


def state_text(iteration: IterationRecord, progress: Progress | None) -> str:
    """How far an iteration is, as JSON; differs whenever a page that shows it is out of date."""
    state: dict[str, Any] = {"status": iteration.status, "nodes": {}}
    if progress is not None:
        state |= {
            "nodes": running_states(progress), "answered": progress.answered, "stored": list(progress.stored),
        }
    return json.dumps(state)
