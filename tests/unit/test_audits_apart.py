"""Audits that are made by themselves, in a process of their own, behind answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from subprocess import Popen

import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.engine.results.agreement import NotComparedError
from helix_spark.errors import NodeError, ParameterError
from helix_spark.history.states import DAY
from helix_spark.planner.plan import Plan
from helix_spark.run import audit, auditor
from helix_spark.run.auditor import SHARE, Auditor, Job, begin_audit, seconds_left
from tests.fakes.observer import Warned
from tests.fakes.study import HIDDEN, PROGRAM
from tests.unit.project import Project


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
def test_what_is_not_known_to_be_pure_is_verified_behind_the_answer(
    study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor, "IDLE_SECONDS", 0.0)
    with hx.Helix(tmp_path / "catalog", observer=Warned(), audit="all") as helix:
        helix.run(study())
        wait_until(lambda: helix.plan(study())["noisy"].proof == "verified")
        assert helix.plan(study())["total"].proof == "pure"
        assert not helix.observer.warnings  # type: ignore[attr-defined]  # it is `Warned`


@pytest.mark.long
def test_a_command_that_has_ended_leaves_its_audit_behind(
    study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIX_SERVER", "auto")
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    with hx.Helix(tmp_path / "catalog", audit="all", one_run=True) as helix:
        helix.run(study())
    with hx.Helix(tmp_path / "catalog", audit="off") as other:
        wait_until(lambda: other.plan(study())["noisy"].proof == "verified")


def test_the_next_run_ends_what_was_left_behind(
    study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    with hx.Helix(tmp_path / "catalog", audit="off") as helix:
        helix.run(study())
        begin_audit(Job(b"no workflow", (), {}, "", {}, (), 60.0, stays=True), helix.catalog)
        [lock] = (tmp_path / "cache" / "audits").iterdir()
        number, folder = lock.read_text().split()
        assert Path(f"/proc/{number}").exists()
        helix.run(study())
        wait_until(lambda: not Path(f"/proc/{number}").exists() or "Z" in Path(f"/proc/{number}/stat").read_text())
        assert not Path(folder).exists()


def test_audits_take_a_small_share_of_what_reuse_saved(
    study: Callable[[], hx.Workflow], tmp_path: Path
) -> None:
    with hx.Helix(tmp_path / "catalog", audit="off") as helix:
        helix.run(study())
        helix.wait()
        [one] = helix.catalog.iterations("study")
        figures = {"run_all_seconds": 1000.0, "predicted_seconds": 0.0}
        helix.catalog.append_iteration(replace(one, plan=json.dumps({**json.loads(one.plan), **figures})), (), (), ())
        assert seconds_left(helix.catalog, "study") == pytest.approx(1000.0 * SHARE)
        helix.audit(study())
        assert 0.0 < seconds_left(helix.catalog, "study") < 1000.0 * SHARE


@pytest.mark.parametrize("ends", ["not compared", "failed"])
def test_an_audit_that_proves_nothing_takes_of_the_share_too(
    ends: str, study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotComparedError("it says nothing of itself")

    def fail(*_: object, **__: object) -> None:
        raise NodeError("noisy", "it failed")

    with hx.Helix(tmp_path / "catalog", audit="off") as helix:
        helix.run(study())
        monkeypatch.setattr(audit, *(("difference", refuse) if ends == "not compared" else ("compute_alone", fail)))
        with suppress(NodeError):
            helix.audit(study())
        assert helix.catalog.audit_seconds("study", 1) > 0.0
        assert helix.plan(study())["noisy"].proof == "unproven"


@pytest.mark.parametrize("change", ["a variable", "a day", "an edit"])
def test_what_was_verified_has_aged_after(
    change: str, study: Callable[[], hx.Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    with hx.Helix(tmp_path / "catalog", audit="off") as helix:
        helix.run(study())
        helix.audit(study())
        assert helix.plan(study())["noisy"].proof == "verified"
        match change:
            case "a variable":
                monkeypatch.setenv("SOMETHING", "else")
            case "a day":
                tomorrow = time.time() + DAY + 1.0
                monkeypatch.setattr(time, "time", lambda: tomorrow)
            case "an edit":
                study = project.write(study=PROGRAM.replace("total + 1", "total + 2")).load("study").study
        assert helix.plan(study())["noisy"].proof == "aged"
        assert helix.audit(study()).results
        assert helix.plan(study())["noisy"].proof == "verified"


@pytest.fixture
def plan(study: Callable[[], hx.Workflow], tmp_path: Path) -> Plan:
    with hx.Helix(tmp_path / "catalog") as helix:
        return helix.run(study()).plan


@pytest.fixture
def catalog(tmp_path: Path) -> CatalogReader:
    return Catalog.open(tmp_path / "catalog", create=True)


def test_an_audit_ends_at_once_when_the_next_run_begins(
    plan: Plan, catalog: CatalogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(auditor, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(auditor, "PROGRAM", "tests.fakes.long_audit")
    begun: list[Popen[bytes]] = []

    def begin(job: Job, catalog: CatalogReader) -> Popen[bytes] | None:
        if (process := begin_audit(job, catalog)) is not None:
            begun.append(process)
        return process

    monkeypatch.setattr(auditor, "begin_audit", begin)
    job = Job(b"", (), {}, "", {}, (), 60.0)
    idle = Auditor("all", 60.0, pytest.fail, catalog)
    turn = idle.stop()
    idle.answered(turn, plan, lambda *_: job)
    wait_until(lambda: bool(begun))
    asked = time.monotonic()
    idle.stop()
    wait_until(lambda: begun[0].poll() is not None, 0.5)
    assert time.monotonic() - asked < 0.5
    idle.answered(turn, plan, lambda *_: job)  # the run before was stored late, when this one had begun
    time.sleep(0.1)
    assert len(begun) == 1


def test_an_audit_ends_with_the_process_that_waits_for_it(
    catalog: CatalogReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(auditor, "PROGRAM", "tests.fakes.long_audit")
    process = begin_audit(Job(b"", (), {}, "", {}, (), 60.0), catalog)
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    [lock] = (tmp_path / "cache" / "audits").iterdir()
    folder = Path(lock.read_text().split()[1])
    assert begin_audit(Job(b"", (), {}, "", {}, (), 60.0), catalog) is None, "one at a time"
    assert process.stdout.readline() == b"{}\n"
    process.stdin.close()
    assert process.wait(10) == -SIGKILL
    process.stdout.close()
    assert not folder.exists()


def test_nothing_is_audited_by_itself_where_that_is_off(plan: Plan, catalog: CatalogReader) -> None:
    quiet = Auditor("off", 60.0, pytest.fail, catalog)
    quiet.answered(quiet.stop(), plan, lambda *_: pytest.fail("begun"))


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no audit 'always'"):
        hx.Helix(tmp_path / "catalog", audit="always")  # type: ignore[arg-type]  # that is what is refused
