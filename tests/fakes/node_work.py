"""Work on nodes without a session, and tables that count how often they are computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from helix_spark.engine.execution.node_work import NodeWork
from helix_spark.engine.execution.observer import Silent
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.lowering.watcher import Notes, Watcher
from helix_spark.engine.results.node_results import TableResult
from helix_spark.engine.server.session import Sessions


class Frame:
    """Counts how often it is computed, and takes a moment for it."""

    def __init__(self) -> None:
        self.computed = 0

    def count(self) -> int:
        threading.Event().wait(0.02)
        self.computed += 1
        return 1


def table(frame: Any) -> TableResult:
    return TableResult(lambda: frame)


def lazy() -> TableResult:
    """Return a table that only Spark could compute."""
    return table(Frame())


class UntaggedWork(NodeWork):
    """Tells of jobs that are to be cancelled; there are none to name."""

    told: Callable[[], None] = staticmethod(lambda: None)

    def tag(self, names: Iterable[str]) -> None:
        pass

    def cancel(self, *, late: bool = False) -> None:
        if not late:
            self.told()


def node_work(
    pinned: Collection[str] = (), dag: Any = None, plan: Any = None, lazy: Collection[str] = (),
    cancel: Callable[[], None] = lambda: None,
) -> NodeWork:
    """Work on nodes, without what it takes to compute them."""
    nothing: Any = None
    watcher = Watcher(Sessions(), plan, Notes(), nothing)
    made = UntaggedWork(
        nothing, nothing, dag, plan, {}, Outcome(pinned=frozenset(pinned)), watcher, Silent(), "run",
        lazy=frozenset(lazy),
    )
    made.told = cancel
    return made
