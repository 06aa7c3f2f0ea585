"""What a plan warns of is said by every way to run it: in full where it is news, in a line where it still holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from doubled import workflow
from warned import Warned

import helix_spark as hx
from helix_spark.cli.main import helix
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import Certificate
from helix_spark.run.run import StandingWarnings

SAID = "`total` calls what cannot be followed; use depends_on="
JOB = """
from doubled import workflow as shared
import helix_spark as hx

def prices(weight: int = 1) -> hx.Workflow:
    return shared(weight)
"""


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan warns of something, whatever signing finds."""
    monkeypatch.setattr("helix_spark.planner.planning._warnings", lambda situation: (SAID,))


def plan(*warnings: str, of: str = "w") -> Plan:
    made = Plan(of, 1, (), (), (), Certificate("optimal", 1, 1, 0, "x", 0), "rule", None, 0)
    return replace(made, warnings=warnings)


def test_what_still_holds_is_a_line_and_what_is_new_is_said_in_full() -> None:
    standing, said = StandingWarnings(), list[str]()
    standing.tell(plan("a", "b"), said.append)
    assert said == ["a", "b"]
    standing.tell(plan("b", "c", "a"), said.append)
    assert said[2:] == ["c", "2 warnings of the run before still hold; `plan` says what"]
    standing.tell(plan("a"), said.append)
    assert said[4:] == ["1 warning of the run before still holds; `plan` says what"]
    standing.tell(plan(), said.append)
    standing.tell(plan("a"), said.append)
    assert said[5:] == ["a"], "it was gone, and is back"
    standing.tell(plan("a", of="another"), said.append)
    assert said[6:] == ["a"]


@pytest.mark.usefixtures("warned")
@pytest.mark.parametrize("quiet", [["-q"], []])
def test_a_run_says_what_its_plan_warns_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices_job.py").write_text(JOB)
    planned = CliRunner().invoke(helix, ["plan", "prices_job.py"])
    assert f"warning: {SAID}" in planned.stdout
    done = CliRunner().invoke(helix, ["run", "prices_job.py", *quiet])
    assert done.exit_code == 0
    assert f"warning: {SAID}" in done.stderr
    assert SAID not in done.stdout


@pytest.mark.usefixtures("warned")
def test_a_session_of_many_runs_says_it_once_and_an_iteration_shows_it(tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path / "catalog", observer=heard) as session:
        first = session.run(workflow())
        second = session.run(workflow(2))
    assert heard.warnings == [SAID, "1 warning of the run before still holds; `plan` says what"]
    for made in (first, second):
        shown = made._repr_mimebundle_()
        assert f"warning: {SAID}" in shown["text/plain"]
        assert f"warning: {SAID}" in shown["text/html"]
