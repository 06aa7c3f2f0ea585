"""What a program or a notebook hears that named no observer."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import helix_spark as hx
from helix_spark.cli.workflow_runs import run_and_print
from helix_spark.engine.execution.observer import Lines, Quiet
from helix_spark.errors import ParameterError
from tests.fakes.doubled import workflow


def test_who_asks_for_nothing_hears_of_what_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        helix.run(workflow())
        helix.wait()
        assert capsys.readouterr().err == "", "nothing is wrong"
    for stored in (tmp_path / "catalog" / "tables").iterdir():
        shutil.rmtree(stored)
    with hx.Helix(tmp_path / "catalog", policy="always") as helix:
        assert helix.run(workflow(3))["total"] == 36
    said = capsys.readouterr()
    assert said.err == (
        "warning: the stored result of 'rows' cannot be loaded: its folder is gone; it is computed again when needed\n"
    )
    assert said.out == ""


def test_warnings_and_waits_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    heard = Quiet()
    heard.warning("MLflow has no run of it")
    heard.waiting("rows", "pid 3")
    heard.node_finished("rows", 1.0)
    heard.session_starting()
    said = capsys.readouterr()
    assert said.err == "warning: MLflow has no run of it\n`rows` is being computed by pid 3; waiting\n"
    assert said.out == ""


def test_the_silent_hear_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        helix.observer.warning("damaged")
    with hx.Helix(tmp_path / "catalog") as helix:
        helix.observer.warning("damaged")
    assert capsys.readouterr().err == "warning: damaged\n"


def test_progress_is_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always", progress=True) as helix:
        helix.run(workflow())
    said = capsys.readouterr()
    assert "shared, iteration 1: 3 to compute, 0 to load, 0 not needed; expected " in said.err
    assert "\n  rows " in said.err
    assert "\n  stored rows, " in said.err
    assert said.out == ""


def test_an_answer_took_what_was_waited_for_it(tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        helix.waiting_since = time.perf_counter() - 50
        first, second = helix.run(workflow()), helix.run(workflow())
        helix.wait()
        assert [record.seconds > 50 for record in helix.catalog.iterations()] == [False, True]
    assert " s to answer (50." in first._repr_mimebundle_()["text/plain"]
    assert "until the run began" not in second._repr_mimebundle_()["text/plain"]


def test_an_answer_is_told_beside_the_one_just_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hx.Helix(tmp_path / "catalog", observer=hx.Silent()) as helix:
        for factor in (1, 2, 3):
            run_and_print(helix, workflow(factor), "", print_answer=True)
    said = re.findall(r"(?m)^  total +(\d+.*)", capsys.readouterr().out)
    assert said == ["12", "24  (was 12, measured by other code)", "36  (was 24, measured by other code)"]


def test_a_process_knows_when_it_began() -> None:
    script = "import time; from helix_spark.cli.process_state import process_start as s; print(time.perf_counter()-s())"
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < time.monotonic() - before + 0.1


def test_progress_is_for_who_has_no_observer(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="observer and progress cannot be combined"):
        hx.Helix(tmp_path, observer=hx.Silent(), progress=True)


def test_that_nobody_reads_it_ends_no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "closed").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    Lines().warning("unheard")
