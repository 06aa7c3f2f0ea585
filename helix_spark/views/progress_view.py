"""The progress of a run, for terminals, notebooks and pages: its running nodes and the expected seconds left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helix_spark.catalog.history import Progress, RunningNode
from helix_spark.planner.plan import Plan
from helix_spark.sizes import format_seconds

_LEAST = 0.01
"""Lower bound of a node's expected seconds, since many short nodes add up."""
_LEAST_SHOWN = 0.05


@dataclass(frozen=True, slots=True)
class ProgressView:
    """The progress of a run.

    Attributes:
        activity: its current work, in words.
        total: its expected seconds.
        seconds_left: expected seconds left, at least those `waiting`.
        waiting: expected seconds of nodes that have not started.
        has_estimate: True if the seconds of its current work can be estimated.
    """

    activity: str
    total: float
    seconds_left: float
    waiting: float
    has_estimate: bool = True

    @property
    def left_text(self) -> str:
        if self.seconds_left >= _LEAST_SHOWN:
            return f"about {format_seconds(self.seconds_left)} s left"
        return "ending" if self.has_estimate else "time unknown"

    @property
    def share(self) -> float:
        return 1.0 if self.total <= 0 else min(1.0, max(0.0, 1.0 - self.seconds_left / self.total))


def progress_of(plan: Plan, began: float) -> Progress:
    """Return the progress of a plan whose run began at a Unix time."""
    nodes = tuple(
        RunningNode(n.name, n.kind, n.inputs, n.state, n.reason, n.predicted_seconds, n.output) for n in plan.nodes
    )
    return Progress(plan.workflow, plan.iteration, nodes, began=began, session_seconds=plan.session_seconds)


def progress_view(progress: Progress, now: float) -> ProgressView:
    """Return the progress of a run, `now` seconds after it began.

    >>> nodes = (RunningNode("rows", "scanner", (), "load", "", 2.0, False, started=0.0),
    ...          RunningNode("model", "scanner", (), "compute", "", 6.0, False))
    >>> view = progress_view(Progress("w", 1, nodes), 1.5)
    >>> view.activity, view.left_text, view.total
    ('loading rows', 'about 6.5 s left', 8.0)
    """
    states = running_states(progress)
    expected = {node.name: max(node.predicted_seconds, _LEAST) for node in progress.nodes if node.state != "prune"}
    running = [node for node in progress.nodes if states[node.name] == "running"]
    waiting = sum(expected[name] for name, state in states.items() if state == "waiting")
    total = sum(expected.values()) + progress.session_seconds
    # Spark's start and the first work of its session come before the end of the first node.
    start = 0.0 if progress.has_ended else progress.session_seconds
    has_estimate = all(node.predicted_seconds for node in running) if running else bool(progress.has_ended or start)
    elapsed = sum(now - node.started for node in running if node.started is not None)
    if start:
        elapsed = max(elapsed, now)
    current = sum(expected[node.name] for node in running) + start
    steps = [node for node in running if node.started is not None]
    activity = ", ".join(f"loading {node.name}" if node.state == "load" else node.name for node in steps)
    if not activity and progress.has_ended:
        activity = "continuing" if waiting else "finishing"
    elif not activity:
        activity = "starting Spark" if progress.starting else "planning"
    return ProgressView(activity, total, waiting + max(0.0, current - elapsed), waiting, has_estimate)


def running_states(progress: Progress) -> dict[str, str]:
    """Return the state of each node: its planned state once it is done, else running or waiting.

    A node without its own step runs within its readers' steps. It has the state of the reader that is furthest along.
    """
    readers: dict[str, list[str]] = {}
    for node in progress.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node.name)
    done: Mapping[str, str] = {node.name: node.state for node in progress.nodes}
    states: dict[str, str] = {}
    for node in reversed(progress.nodes):
        if node.state == "prune":
            states[node.name] = "prune"
        elif node.ended is not None or progress.answered is not None:
            states[node.name] = node.state
        elif node.started is not None:
            states[node.name] = "running"
        else:
            reading = {name: states[name] for name in readers.get(node.name, ()) if name in states}
            if any(state == done[name] != "prune" for name, state in reading.items()):
                states[node.name] = node.state
            else:
                states[node.name] = "running" if "running" in reading.values() else "waiting"
    return states
