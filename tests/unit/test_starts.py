"""What a start of Spark took counts in the run that waited for it, once; a session remembers whether it has worked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.dag.compilation import compile_workflow
from helix_spark.engine.execution.node_work import ran_in_spark
from helix_spark.engine.server import session
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import EndedError, ServerEndedError, SetupError
from helix_spark.planner.problem import State
from tests.fakes.plan import Planned


@dataclass
class Alive:
    """A session that lives until a test ends it."""

    alive: bool = True


@dataclass
class Server:
    """A server of Spark Connect that starts at once, and remembers whether it was to keep its classes."""

    spark: Any
    start_seconds: float = 1.0
    open: Callable[[], None] = lambda: None
    kept_classes: list[bool] = field(default_factory=list)

    def stop(self, *, keep_classes: bool) -> None:
        self.kept_classes.append(keep_classes)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """One whose sessions start at once, say to have taken 5, 4, 3 ... seconds, and are alive until they are stopped."""
    left = iter((5.0, 4.0, 3.0))

    def start(*given: object, **named: object) -> Server:
        return Server(Alive(), next(left))

    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", start)
    monkeypatch.setattr(session, "import_pyspark", threading.RLock)
    monkeypatch.setattr(session, "is_alive", lambda spark: spark.alive)
    monkeypatch.setattr(session, "is_stopping", lambda spark: not spark.alive)
    monkeypatch.setattr(session, "running_session", lambda: None)
    monkeypatch.setattr(session.gateway, "forget_ended", lambda: None)
    return Sessions()


def kill(provider: Sessions) -> None:
    provider.get().alive = False  # type: ignore[attr-defined]  # of the session above


def test_a_start_before_the_plan_is_made_counts_in_its_run(provider: Sessions) -> None:
    begun = time.perf_counter()
    provider.get()  # a second chance looks at plans
    assert provider.start_seconds_since(begun) == 5.0


def test_a_start_counts_in_the_first_run_that_has_the_session_and_in_no_other(provider: Sessions) -> None:
    provider.warm()
    first = time.perf_counter()
    assert provider.start_seconds_since(first) == 0.0
    provider.get()
    assert provider.start_seconds_since(first) == 5.0
    second = time.perf_counter()
    provider.get()
    assert provider.start_seconds_since(second) == 0.0


def test_a_start_after_a_session_ended_counts_as_a_whole(provider: Sessions) -> None:
    kill(provider)
    assert provider.release_ended()
    assert provider.start_seconds == 0.0
    begun = time.perf_counter()
    provider.get()
    assert provider.start_seconds_since(begun) == 4.0


def test_a_session_has_its_first_work_before_it_until_something_ran(provider: Sessions) -> None:
    provider.get()
    assert not provider.worked
    provider.note_work()
    assert provider.worked
    kill(provider)
    provider.release_ended()
    provider.get()
    assert not provider.worked, "this one is new"


def test_a_shared_server_that_ends_as_a_session_is_opened_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fail() -> None:
        raise ServerEndedError("this folder's server was killed by signal 9")

    servers = iter((Server("dying", open=fail), Server("whole")))
    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", lambda *given: next(servers))
    monkeypatch.setattr(session, "running_session", lambda: None)
    provider = Sessions(say=said.append)
    assert provider.get() == "whole"  # type: ignore[comparison-overlap]  # of the server above
    assert said == ["this folder's server was killed by signal 9: another one is started"]


def test_another_error_as_a_session_is_opened_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SetupError("Java is not there")

    dying = Server("dying", open=fail)
    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", lambda *given: dying)
    monkeypatch.setattr(session, "running_session", lambda: None)
    with pytest.raises(SetupError, match="Java is not there"):
        Sessions().get()


@pytest.mark.parametrize("works", [True, False])
def test_an_archive_of_classes_is_built_for_who_runs_something_and_not_for_who_plans(
    monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    own = Server(Alive())
    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", lambda *given: own)
    monkeypatch.setattr(session, "running_session", lambda: None)
    provider = Sessions()
    provider.get()  # as for a file that builds Spark objects while it is loaded
    if works:
        provider.note_work()
    provider.close()
    assert own.kept_classes == [works]


class Start:
    """Starts of Spark that last until a test ends each of them."""

    def __init__(self) -> None:
        self.servers, self.opened = list[Server](), list[Server]()
        self.begun, self.ends, self.stopped = (threading.Semaphore(0) for _ in range(3))

    def __call__(self, *given: object) -> Server:
        server = Slow(Alive(), open=lambda: self.opened.append(server), stopped=self.stopped)
        self.servers.append(server)
        self.begun.release()
        assert self.ends.acquire(timeout=20)
        return server


@dataclass
class Slow(Server):
    stopped: threading.Semaphore = field(default_factory=threading.Semaphore)

    def stop(self, *, keep_classes: bool) -> None:
        super().stop(keep_classes=keep_classes)
        self.stopped.release()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    start = Start()
    monkeypatch.setattr("helix_spark.engine.server.starting.start_server", start)
    monkeypatch.setattr(session, "running_session", lambda: None)
    return start


def test_closing_does_not_wait_for_a_start_and_ends_who_waits_for_it(start: Start) -> None:
    provider = Sessions()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(provider.get)
        assert start.begun.acquire(timeout=20)
        provider.close()  # the start goes on
        with pytest.raises(EndedError, match="was stopped when it was closed"):
            waiting.result(20)
    start.ends.release()
    assert start.stopped.acquire(timeout=20)
    assert start.servers[0].kept_classes == [False]
    assert start.opened == [], "pyspark stays the user's"


def test_a_start_waits_until_one_that_was_abandoned_is_stopped(start: Start) -> None:
    first, second = Sessions(), Sessions()
    first.warm()
    assert start.begun.acquire(timeout=20)
    first.close()
    second.warm()
    assert not start.begun.acquire(timeout=0.2)
    start.ends.release()
    assert start.begun.acquire(timeout=20)
    assert start.servers[0].kept_classes == [False]
    start.ends.release()
    assert second.get() is start.servers[1].spark
    assert start.opened == start.servers[1:]
    second.close()


def test_a_session_of_the_users_is_taken_to_have_worked(provider: Sessions) -> None:
    assert not provider.worked
    assert Sessions(Alive()).worked  # type: ignore[arg-type]  # stands for a session


def test_what_spark_had_no_part_in_is_no_work_of_the_session() -> None:
    wf = hx.Workflow("w")
    data = wf.source("data", hx.csv("a.csv"))
    wf.source("prices", hx.table(pd.DataFrame({"price": [1.0]})))
    features = [wf.extractor("a", hx.Fields("a"), on=data), wf.extractor("c_is", hx.OneHot("c"), on=data)]
    examples = wf.synthesizer("examples", data, features=features, label="b")
    wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, output=True)

    @wf.reducer(output=True)
    def count(examples: pd.DataFrame, prices: pd.DataFrame) -> int:
        return len(examples) + len(prices)

    dag = compile_workflow(wf)

    def worked(name: str, state: State, held: bool = False) -> bool:
        return ran_in_spark(name, dag, {name: Planned(state, held=held)})  # type: ignore[arg-type]  # a plan

    for name in ("data", "c_is.fit", "examples", "model"):
        assert worked(name, State.COMPUTE), name
    assert worked("model", State.LOAD)
    assert not worked("model", State.LOAD, held=True)
    assert not worked("count", State.COMPUTE)
    assert not worked("prices", State.COMPUTE), "it is in memory"
    assert not worked("examples", State.LOAD), "its rows were read without Spark, or are not read at all"
