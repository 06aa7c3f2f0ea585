"""Notes of how far a run is: those who watch see each node begin and end, and a run never fails for them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.history import Progress, RunningNode, read_progress
from helix_spark.catalog.places.catalog_folder import locate
from helix_spark.catalog.records import IterationRecord
from helix_spark.engine.execution.observer import Followed, NotebookBar, Silent
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import Certificate, State
from helix_spark.ui.iteration_page import running_rows
from helix_spark.views.progress_view import progress_of, progress_view, running_states


def node(name: str, *inputs: str, state: State = State.COMPUTE) -> PlannedNode:
    return PlannedNode(name, "scanner", "table", inputs, None, "", "", state, "why", 1.0, 1.0, 1.0, 1.0, 1, "")


def plan(*nodes: PlannedNode) -> Plan:
    return Plan("w", 3, nodes, ("b",), (), Certificate("optimal", 1, 1, 0, "x", 0), "rule", None, 0)


def seen(root: Path) -> Progress | None:
    return read_progress(locate(root, create=False), "w", 3)


def times(progress: Progress, which: str) -> set[str]:
    return {one.name for one in progress.nodes if getattr(one, which) is not None}


def test_each_step_is_noted_and_the_end_forgets_it(tmp_path: Path) -> None:
    followed = Followed(Silent(), Catalog.open(tmp_path / "c", create=True))
    followed.planned(plan(node("a"), node("b", "a")))
    followed.node_started("a")
    followed.node_finished("a", 0.1)
    followed.node_started("b")
    until = time.monotonic() + 60
    known = Progress("", 0, ())
    while time.monotonic() < until and "b" not in times(known, "started"):
        time.sleep(0.05)
        known = seen(tmp_path / "c") or known
    assert times(known, "started") == {"a", "b"}
    assert times(known, "ended") == {"a"}
    assert running_states(known) == {"a": "compute", "b": "running"}
    followed.answered(1.0)
    assert (seen(tmp_path / "c") or known).answered is not None
    followed.close()
    assert seen(tmp_path / "c") is None


def test_a_note_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    catalog = Catalog.open(tmp_path / "c", create=True)
    followed = Followed(Silent(), catalog)
    followed.planned(plan(node("a")))
    (tmp_path / "c" / "records" / "running").rename(tmp_path / "moved")
    (tmp_path / "c" / "records" / "running").write_text("in the way")
    followed.answered(1.0)
    followed.close()


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    followed = Followed(Silent(), Catalog.open(tmp_path / "c", create=True))
    followed.planned(plan(node("a")))
    (file,) = (tmp_path / "c" / "records" / "running").iterdir()
    file.write_text('{"nodes": [1]}')
    assert seen(tmp_path / "c") is None


def test_what_is_fused_into_a_step_is_as_far_as_that_step() -> None:
    nodes = tuple(
        RunningNode(name, "scanner", inputs, state, "", 1.0, False)
        for name, inputs, state in (
            ("gone", (), "prune"), ("lazy", (), "load"), ("later", (), "compute"), ("a", ("lazy",), "compute"),
            ("b", ("a", "later"), "compute"),
        )
    )
    begun = Progress("w", 1, nodes).with_times("a", started=0.0)
    assert running_states(begun) == {
        "gone": "prune", "lazy": "running", "later": "waiting", "a": "running", "b": "waiting",
    }
    assert running_states(begun.with_times("a", ended=1.0))["lazy"] == "load"
    assert set(running_states(Progress("w", 1, nodes, answered=2.0)).values()) == {"prune", "load", "compute"}


def test_what_was_running_when_an_iteration_died_shows_so() -> None:
    nodes = tuple(
        RunningNode(name, "scanner", inputs, "compute", "", 1.0, False)
        for name, inputs in (("lazy", ()), ("a", ("lazy",)), ("b", ("a",)), ("c", ("b",)))
    )
    progress = Progress("w", 1, nodes).with_times("a", started=0.0, ended=1.0).with_times("b", started=1.0)
    running = IterationRecord("0" * 32, "w", 1, "running", 0.0)
    states = {row.name: row.state for row in running_rows(running, progress)}
    assert states == {"lazy": "compute", "a": "compute", "b": "running", "c": "waiting"}
    died = {row.name: row.state for row in running_rows(replace(running, status="died"), progress)}
    assert died == {"lazy": "compute", "a": "compute", "b": "died", "c": "waiting"}


class Place:
    """Stands for the place below a notebook's cell."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, obj: object, **given: Any) -> None:
        self.update(obj)

    def update(self, obj: object, **given: Any) -> None:
        assert isinstance(obj, dict)
        self.shown.append(obj["text/plain"])


def test_a_notebook_shows_what_runs_and_what_is_left_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()
    monkeypatch.setattr("IPython.display.DisplayHandle", lambda: place)
    bar = NotebookBar()
    monkeypatch.setattr(time, "time", lambda: 7.0)
    planned = progress_of(plan(node("a", state=State.LOAD), node("b", "a")), 7.0)
    begun = planned.with_times("a", started=0.0)
    going_on = begun.with_times("a", ended=0.0).with_times("b", started=0.0)
    for progress in (planned, replace(planned, starting=True), begun, going_on, replace(going_on, answered=1.0)):
        bar.shows(progress)
    told = list(dict.fromkeys(place.shown))
    assert told[:3] == ["planning, about 2.0 s left", "starting Spark, about 2.0 s left", "loading a, about 2.0 s left"]
    assert told[-2:] == ["b, about 1.0 s left", ""]


def test_what_is_left_is_not_less_than_what_has_not_begun() -> None:
    nodes = tuple(RunningNode(name, "scanner", (), "compute", "", 1.0, False) for name in "abc")
    begun = Progress("w", 1, nodes).with_times("a", started=0.0, ended=1.0).with_times("b", started=1.0)
    view = progress_view(begun, now=9.0)
    assert (view.seconds_left, view.waiting, round(view.share, 2)) == (1.0, 1.0, 0.67)
    starting = Progress("w", 1, nodes, session_seconds=4.0, starting=True)
    assert progress_view(starting, 3.0).activity == "starting Spark"
    assert progress_view(starting, 3.0).seconds_left == 4.0
