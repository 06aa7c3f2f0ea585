"""Audits that are made by themselves, in a process of their own, behind answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from project import Project
from test_audit import HIDDEN, PROGRAM, STORED

import helix_spark as hx
from helix_spark.errors import ParameterError
from helix_spark.planner.plan import Plan
from helix_spark.run import auditor
from helix_spark.run.auditor import Auditor


class Told(hx.Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def study(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[], hx.Workflow]:
    monkeypatch.setenv(HIDDEN, "0")
    made: Callable[[], hx.Workflow] = project.write(study=PROGRAM).load("study").study
    return made


def wait_until(there: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.long
def test_what_was_stored_is_verified_behind_the_answer(
    study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor, "IDLE_SECONDS", 0.0)
    with hx.Helix(tmp_path / "catalog", observer=Told(), audit="idle") as helix:
        helix.run(study())
        wait_until(lambda: {n.name for n in helix.plan(study()).nodes if n.proof == "verified"} == STORED)
        assert not helix.observer.warnings  # type: ignore[attr-defined]  # it is `Told`


class Held:
    """An audit that goes on until it is stopped."""

    def __init__(self) -> None:
        self.stopped = Event()

    def parts(self) -> Iterator[dict[str, Any]]:
        self.stopped.wait(10)
        return iter(())

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture
def plan(study: Callable[[], hx.Workflow], tmp_path: Path) -> Plan:
    with hx.Helix(tmp_path / "catalog") as helix:
        return helix.run(study()).plan


def test_an_audit_ends_at_once_when_the_next_run_begins(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor, "IDLE_SECONDS", 0.0)
    begun: list[Held] = []

    def begin(*_: object) -> Held:
        begun.append(Held())
        return begun[-1]

    idle = Auditor("idle", 60.0, pytest.fail)
    turn = idle.stop()
    idle.answered(turn, plan, begin)  # type: ignore[arg-type]  # stands for a process
    wait_until(lambda: bool(begun))
    asked = time.monotonic()
    idle.stop()
    assert begun[0].stopped.wait(0.2)
    assert time.monotonic() - asked < 0.2
    idle.answered(turn, plan, begin)  # type: ignore[arg-type]  # the run before was stored late, when this one had begun
    time.sleep(0.1)
    assert len(begun) == 1


def test_nothing_is_audited_by_itself_unless_it_is_asked_for(plan: Plan) -> None:
    quiet = Auditor("off", 60.0, pytest.fail)
    quiet.answered(quiet.stop(), plan, lambda *_: pytest.fail("begun"))


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no audit 'always'"):
        hx.Helix(tmp_path / "catalog", audit="always")  # type: ignore[arg-type]  # that is what is refused
