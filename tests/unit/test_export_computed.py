"""`helix export --compute`: what was not kept is computed of what the iteration had, or it is said what differs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.csv as pa_csv
import pytest
from click.testing import CliRunner, Result

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.cli.main import helix
from helix_spark.identity.parts import digest
from tests.unit.project import Project

JOB = """
import time
from pathlib import Path
import pandas as pd
import helix_spark as hx
from shouting import shout

def other() -> hx.Workflow:
    return hx.Workflow("other")

def job(path: Path = Path("people.csv"), times: int = 1) -> hx.Workflow:
    wf = hx.Workflow("people")

    @wf.scanner
    def rows() -> pd.DataFrame:
        return pd.read_csv(path)

    @wf.scanner
    def loud(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(who=rows.who.map(shout) * times)

    @wf.reducer
    def drawn(rows: pd.DataFrame) -> float:
        return time.time()

    @wf.reducer(output=True)
    def longest(loud: pd.DataFrame, drawn: float) -> str:
        return max(loud.who, key=len)

    return wf
"""


@pytest.fixture
def ran(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose first iteration kept nothing, and whose file was edited since."""
    monkeypatch.chdir(project.folder)
    project.write(job=JOB, shouting="def shout(text):\n    return text.upper()\n")
    (project.folder / "people.csv").write_text("who,n\nAda,1\nGrace,2\n")
    assert command("run", "job.py", "-q", "--policy", "never", "--set", "times=2").exit_code == 0
    project.write(job=JOB.replace("import time", "import time\n").replace("people.csv", "nothing.csv"))
    project.forget()
    return project


def command(*words: str) -> Result:
    return CliRunner().invoke(helix, [*words, "--catalog", "catalog"])


def export(node: str, file: str, *words: str) -> Result:
    return command("export", "1", node, file, *words)


def stored() -> set[str]:
    return {one.node for one in Catalog.open("catalog", create=False).live()}


def test_it_is_computed_of_the_recorded_text_and_parameters_and_kept(ran: Project) -> None:
    before = (ran.folder / "job.py").read_text()
    refused = export("loud", "loud.csv")
    assert refused.exit_code == 2
    assert "`helix export 1 loud FILE --compute` runs the code that it had" in refused.stderr
    assert "shouting" not in sys.modules, "code of a catalog ran unasked"
    done = export("loud", "loud.csv", "--compute")
    assert (done.exit_code, done.stdout) == (0, "wrote loud.csv\n"), done.stderr
    assert done.stderr.startswith("helix: 'loud' is not stored; computing it takes about ")
    assert pa_csv.read_csv("loud.csv").to_pydict() == {"who": ["ADAADA", "GRACEGRACE"], "n": [1, 2]}
    assert stored() == {"loud"}
    assert (ran.folder / "job.py").read_text() == before
    assert export("loud", "again.csv").exit_code == 0
    assert export("loud", "loud.csv", "--compute").exit_code == 2, "nothing is written over"


def test_what_is_large_goes_again(ran: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_KEEP_SMALL", "0")
    assert export("loud", "loud.csv", "--compute").exit_code == 0
    assert (stored(), Path("loud.csv").exists()) == (set(), True)


@pytest.mark.parametrize(("edit", "differs"), [
    ("code", "`loud`: code of `shouting.shout` changed"), ("data", "people.csv` "), ("no data", " -> absent"),
])
def test_what_differs_is_said_and_nothing_runs(ran: Project, edit: str, differs: str) -> None:
    data = ran.folder / "people.csv"
    if edit == "code":
        ran.write(shouting="def shout(text):\n    return text.lower()\n")
    elif edit == "data":
        data.write_text(data.read_text() + "Linus,3\n")
    else:
        data.unlink()
    done = export("loud", "loud.csv", "--compute")
    assert done.exit_code == 2
    assert "cannot be computed as it was" in done.stderr
    assert differs in done.stderr
    assert "restore that as it was" in done.stderr
    assert not Path("loud.csv").exists()
    assert stored() == set()


def test_another_draw_is_refused(ran: Project) -> None:
    done = export("drawn", "drawn.json", "--compute")
    assert done.exit_code == 2
    assert "is nondeterministic\n  `drawn` asks the clock, time.time (job.py:" in done.stderr


def test_a_script_and_a_file_that_is_not_recorded_are_said(ran: Project) -> None:
    catalog = Catalog.open("catalog", create=False)
    known = catalog.iterations()[0].file_digest
    for workflow, file_digest in (("script", known), ("cell", "")):
        run = digest(workflow)[:32]
        node = NodeRecord(run, workflow, 1, "fit", "learner", (), "compute", "", digest("a"), digest("a"), "[]")
        catalog.append_iteration(
            IterationRecord(run, workflow, 1, "done", 0.0, file="a.py", file_digest=file_digest), [node]
        )
    for workflow, why in (("script", "'script' is a script"), ("cell", "is not recorded")):
        done = export("fit", "fit", "--compute", "--workflow", workflow)
        assert (done.exit_code, why in done.stderr) == (2, True), done.stderr
    parameters = json.loads(catalog.iterations("people")[0].parameters)
    assert parameters == {"path": "people.csv", "times": 2}
