"""What a plan warns of is said by every way to run it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.cli.main import helix
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned

SAID = "`total` calls what cannot be followed; use depends_on="
JOB = """
from tests.fakes.doubled import workflow as shared
import helix_spark as hx

def prices(weight: int = 1) -> hx.Workflow:
    return shared(weight)
"""


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan warns of something, whatever signing finds."""
    monkeypatch.setattr("helix_spark.planner.planning.warnings_of", lambda dag: (SAID,))


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
def test_each_run_of_a_session_says_it_and_an_iteration_shows_it(tmp_path: Path) -> None:
    heard = Warned()
    with hx.Helix(tmp_path / "catalog", observer=heard) as session:
        first = session.run(workflow())
        second = session.run(workflow(2))
    assert heard.warnings == [SAID, SAID]
    for made in (first, second):
        shown = made._repr_mimebundle_()
        assert f"warning: {SAID}" in shown["text/plain"]
        assert f"warning: {SAID}" in shown["text/html"]
