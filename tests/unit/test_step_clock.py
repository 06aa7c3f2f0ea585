"""Steps are timed, told, and know how much of them the JVM spent compiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from helix_spark.engine.execution.node_work import NodeWork
from helix_spark.engine.execution.observer import Silent
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.lowering.watcher import Notes, Watcher
from helix_spark.planner.problem import State
from helix_spark.plans.current_program import CLIENT
from helix_spark.workflow.operators import Result


class Client:
    """Of a JVM that has compiled for a second more each time it is asked."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def compiler_seconds(self) -> float:
        self._seconds += 1.0
        return self._seconds


class TaggedSession:
    """A session whose jobs are tagged."""

    def clearTags(self) -> None:  # noqa: N802 - as pyspark calls it
        """Nothing: no job runs."""

    def addTag(self, tag: str) -> None:  # noqa: N802 - as above
        """Nothing, as above."""


@dataclass(frozen=True)
class LoadedNode:
    """A table that is loaded, as far as the clock of its step asks."""

    state: State = State.LOAD
    result: Result = Result.TABLE


class Sessions:
    """A session in a JVM of this process, or of a server elsewhere."""

    def __init__(self, client: Client | None, *, started: bool = True) -> None:
        self._spark, self.started = TaggedSession(), started
        setattr(self._spark, CLIENT, client)

    def get(self) -> Any:
        assert self.started, "nothing may start Spark only to look at the clock"
        return self._spark


def work_of(sessions: Sessions, observer: Silent) -> NodeWork:
    """Steps of nodes that take no session."""
    nodes: Any = dict.fromkeys("ab", LoadedNode())
    nothing: Any = None
    provider: Any = sessions
    watcher = Watcher(provider, nothing, Notes(), nothing)
    return NodeWork(nothing, nothing, nodes, nodes, {}, Outcome(), watcher, observer, "run")


class Told(Silent):
    """Remembers what began and what ended."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def node_started(self, name: str) -> None:
        self.events.append(f"{name} began")

    def node_finished(self, name: str, seconds: float) -> None:
        self.events.append(f"{name} ended")


def test_a_step_is_told_and_timed() -> None:
    told = Told()
    work = work_of(Sessions(Client()), told)
    work.timed(("a", "b"), lambda: told.events.append("work"))
    [step] = work.outcome.steps
    assert told.events == ["a began", "b began", "work", "a ended", "b ended"]
    assert step.names == ("a", "b")
    assert step.end >= step.start
    assert step.compiling == 1.0


def test_what_fails_has_no_step_and_does_not_end() -> None:
    told = Told()

    def fails() -> None:
        raise ValueError("no")

    work = work_of(Sessions(Client()), told)
    with pytest.raises(ValueError, match="no"):
        work.timed(("a",), fails)
    assert (told.events, work.outcome.steps) == (["a began"], [])


@pytest.mark.parametrize("sessions", [Sessions(None), Sessions(Client(), started=False)], ids=["elsewhere", "no JVM"])
def test_where_nothing_is_compiled_a_step_is_taken_as_it_is(sessions: Sessions) -> None:
    work = work_of(sessions, Silent())
    work.timed(("a",), lambda: None)
    [step] = work.outcome.steps
    assert (step.compiling, step.warm_share) == (0.0, 1.0)
