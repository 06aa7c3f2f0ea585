"""What the comparison of systems makes of what it measured, and the small things that jobs do in plain Python."""

from __future__ import annotations

import doctest
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from benchmarks import harness
from benchmarks.iterating import dvc_peer, experiment, processes
from benchmarks.iterating import report as reporting
from benchmarks.iterating.dvc_peer import Repro
from benchmarks.iterating.experiment import Experiment
from benchmarks.iterating.hamilton_peer import answer, write_module
from benchmarks.iterating.measured import Begin, PeakMemory, bytes_below, peak_memory
from benchmarks.iterating.oracle import steps
from benchmarks.iterating.processes import FIRST_RECORDS, Submitted
from benchmarks.iterating.report import disagreements, draw, summary
from benchmarks.iterating.session import WarmDrivers
from benchmarks.iterating.steps import steps_of
from benchmarks.iterating.systems import write_texts
from benchmarks.iterations import measure
from benchmarks.reuse import cases
from benchmarks.scripts import NAMES, Version, original_texts, versions, workload_named
from helix_spark.planner.problem import State
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem
from tests.simulation.oracle import Version as PlannedVersion


def report() -> dict[str, Any]:
    def system(*seconds: float) -> dict[str, Any]:
        return {
            "answer_seconds": list(seconds), "busy_seconds": [2 * one for one in seconds],
            "stored_bytes": [0, 5_000_000], "peak_rss_bytes": 10**9, "outputs": [{"auc": 0.9}, {"auc": 0.91}],
        }

    return {
        "workload": "census", "script": 0, "mode": "session", "kinds": ["first", "learning"],
        "edits": ["as it is", "reg"], "settings": {"share": "20"},
        "systems": {"helix": system(2.0, 1.0), "plain": system(3.0, 3.0)}, "disagreements": [],
    }


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(tmp_path / "all.svg", [report(), {**report(), "budget": 0.3}])
    text = (tmp_path / "all.svg").read_text()
    assert "cumulative seconds" in text
    assert "budget 0.3" in text


def cells(text: str, row: str, table: int = 0) -> dict[str, str]:
    """Return the cells of a row by the title of their column; `table` counts the tables that have such a row."""
    lines = text.splitlines()
    number = [number for number, line in enumerate(lines) if line.startswith(f"| {row} |")][table]
    start = max(number for number, line in enumerate(lines[:number]) if line.startswith("|---")) - 1
    titles, values = ([cell.strip() for cell in lines[at].split("|")[1:-1]] for at in (start, number))
    return dict(zip(titles, values, strict=True))


def test_the_summary_compares_with_and_without_the_first_run_and_names_what_differs() -> None:
    text = summary([report(), {**report(), "budget": 0.3, "script": 1, "disagreements": ["stale"]}])
    assert "## session mode\n" in text
    assert "## session mode, budget 0.3 of one version's bytes" in text
    census = cells(text, "census")
    assert (census["plain / helix, all"], census["plain / helix, edits"]) == ("2.00", "3.00")
    assert (census["plain / helix, learning"], census["plain / helix, preparation"]) == ("3.00", "")
    assert census["worst of any peer / helix, edits"] == "3.00 (plain, script 0)"
    assert census["busy above plain's from the third on"] == "0 of 0"
    assert census["oracle / helix, edits"] == ""
    assert "- census 1 session: stale" in text
    plain = cells(text, "plain")
    assert [plain[name] for name in ("to the answers, edits", "to the answers, all")] == ["3.00", "2.00"]
    assert [plain[name] for name in ("until stored, edits", "until stored, all")] == ["3.00", "2.00"]
    assert "census share=20." in text
    assert text.endswith("2 of 2 edits show in an answer.")


def test_the_summary_has_seconds_memory_and_bytes_of_each_script() -> None:
    text = summary([report(), {**report(), "other_settings": {"times": "10"}}])
    assert "## session mode, times=10\n" in text, "never in one mean with what has other data"
    rows = [cells(text, "census, 0", table) for table in range(4)]
    assert rows[0] == {"workload, script": "census, 0", "helix": "2.0 + 1.0", "plain": "3.0 + 3.0"}, "to the answers"
    assert rows[1] == {"workload, script": "census, 0", "helix": "4.0 + 2.0", "plain": "6.0 + 6.0"}, "until stored"
    assert rows[2] == {"workload, script": "census, 0", "helix": "1.00", "plain": "1.00"}, "memory"
    assert rows[3] == {"workload, script": "census, 0", "helix": "5.0", "plain": "5.0"}, "stored"


def test_the_summary_names_edits_that_show_in_no_answer() -> None:
    silent = report()
    silent["systems"]["helix"]["outputs"][1] = {"auc": 0.9}
    assert summary([silent]).endswith("0 of 1 edits show in an answer. Those that do not: census, reg.")
    assert "All systems gave the same answers." in summary([silent])


def test_a_missing_output_is_a_disagreement() -> None:
    found = disagreements({"a": [{"x": 1.0}], "b": [{"x": 1.0, "y": 2}]}, ["first"])
    assert found == ["after 'first', b has y = 2 where a has None"]


def test_memory_and_bytes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"123")
    assert bytes_below(tmp_path) == 3
    assert bytes_below(tmp_path / "none") == 0
    with peak_memory() as memory:
        memory.watch(os.getpid())
        time.sleep(0.5)
    assert memory.bytes > 10**7


def test_a_plain_job_gets_the_settings_of_the_job(tmp_path: Path) -> None:
    version = Version("", "first", "", "SHARE = 100\nREG = 0.01\n", {}, {"share": "20"})
    _, plain = write_texts("extraction", version, tmp_path)
    assert plain.read_text() == "SHARE = 20\nREG = 0.01\n"


def modules() -> list[ModuleType]:
    import jobs.extraction
    import jobs.genomics

    return [harness, cases, experiment, reporting, jobs.extraction, jobs.genomics]


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.__name__))
def test_examples_in_docstrings(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


PLAIN_TEXT = '''
from jobs.census import SCHEMA
REG, BINS = 0.1, 2
TIMES = 3

def rows(spark):
    return spark.read(SCHEMA, TIMES)

def fitted(table):
    return table.fit(REG)

def answer(spark, keep):
    def assembled():
        folder = "there"
        first = keep("first", lambda: rows(spark, folder))
        return first.more()

    last = keep("last", lambda: fitted(keep("middle", assembled)))
    return {"a": last.count()}
'''


def test_a_plain_job_is_cut_into_steps_with_all_that_they_reach() -> None:
    first, middle, last, rest = steps_of(PLAIN_TEXT)
    assert [(one.name, one.inputs) for one in (first, middle, last, rest)] == [
        ("first", ()), ("middle", ("first",)), ("last", ("middle",)), ("answer", ("last",)),
    ]
    assert "import SCHEMA" in first.body
    assert "TIMES = 3" in first.body
    assert first.body.endswith("folder = 'there'\nreturn rows(spark, folder)")
    assert "REG" not in first.body
    assert middle.body == "folder = 'there'\nreturn first_kept.more()"
    assert "REG, BINS" in last.body
    assert "TIMES" not in last.body
    assert rest.body == "return {'a': last_kept.count()}"


@pytest.mark.parametrize("workload", NAMES)
def test_an_edit_of_the_plain_job_touches_the_steps_that_a_careful_person_would_name(workload: str) -> None:
    """Those that say so are checked by their text; what follows a step runs again by what it reads."""
    known = workload_named(workload)
    before = {step.name: step for step in steps_of(original_texts(workload)["plain"])}
    for edit in known.pool:
        alone = replace(known, pool=(edit,), main=(edit.name,))
        after = {step.name: step for step in steps_of(list(versions(alone, 0))[1].plain)}
        touched = {name for name in after if after[name].body != before[name].body}
        for name, step in after.items():  # inputs come first
            touched |= {name} if touched & set(step.inputs) else set()
        assert touched - {"answer"} == set(edit.stale), edit.name


def test_a_system_is_refused_in_a_mode_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="session mode has no dvc"):
        Experiment("census", 0, "session", ("helix", "dvc"))


def node(name: str, signature: str, *inputs: str, seconds: float, size: int = 10) -> NodeCosts:
    return NodeCosts(name, "scanner", signature, inputs, seconds, 0.1, 0.1, size)


def test_the_oracle_keeps_what_a_later_version_has_and_nothing_else() -> None:
    rows, first, second = (node("rows", "r", seconds=9.0), node("fit", "f1", "rows", seconds=5.0),
                           node("fit", "f2", "rows", seconds=5.0))
    planned = [PlannedVersion((rows, fit), frozenset({"fit"})) for fit in (first, second, first)]
    one, two, three = steps(planned, None)
    made = one.decide(PlanningProblem((rows, first), frozenset({"fit"})))
    assert made.keep == {"r", "f1"}
    assert made.evict == set()
    stored = PlanningProblem(
        (replace(rows, stored=True), second), frozenset({"fit"}), others=(OtherArtifact("f1", "w", "fit", 10, 1, 1, 1),)
    )
    made = two.decide(stored)
    assert made.solution.state("rows") is State.LOAD
    assert made.keep == set(), "nothing has the rows or the second fit any more"
    assert made.evict == {"r"}
    assert three.keep == set()


def test_in_processes_records_come_on_top_of_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = Submitted(Begin("helix", tmp_path, 1000, ()), "census", PeakMemory())
    assert submitted.allowed() == 1000 + FIRST_RECORDS
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "helix.json").touch()
    records = iter([700, 950, 900])
    monkeypatch.setattr(processes, "other_bytes", lambda catalog, workflow: next(records))
    assert [submitted.allowed() for _ in range(3)] == [1000 + 700 + 700, 1000 + 950 + 250, 1000 + 900]
    assert Submitted(Begin("helix", tmp_path, None, ()), "census", PeakMemory()).allowed() is None


def test_the_oracle_keeps_within_its_budget() -> None:
    rows, fit = node("rows", "r", seconds=9.0, size=10), node("fit", "f", "rows", seconds=5.0, size=1)
    later = PlannedVersion((rows, node("fit", "g", "rows", seconds=5.0)), frozenset({"fit"}))
    assert steps([PlannedVersion((rows, fit), frozenset({"fit"})), later], 9)[0].keep == set()
    assert steps([PlannedVersion((rows, fit), frozenset({"fit"})), later], 10)[0].keep == {"r"}


SMALL_TEXT = '''
from pathlib import Path
REG = 1

class Table:
    def __init__(self, rows):
        self.rows, self.write = rows, self

    def mode(self, how):
        return self

    def parquet(self, path):
        Path(path).mkdir(parents=True)
        (Path(path) / "part").write_text(self.rows)

def ran(name):
    with Path("ran.txt").open("a") as file:
        file.write(name + " ")

def first():
    ran("first")
    return Table("ab")

def last(table):
    ran("last")
    return Table(table + str(REG))

def answer(spark, keep):
    found = keep("last", lambda: last(keep("first", lambda: first())))
    ran("answer")
    return {"found": found}
'''
FAKE_SESSION = '''class SparkSession:
    def __init__(self):
        self.read = self

    def parquet(self, path):
        from pathlib import Path
        return (Path(path) / "part").read_text()

    def stop(self):
        pass
'''


def test_hamilton_runs_what_an_edit_touches_and_takes_an_old_result_when_the_edit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hamilton")
    monkeypatch.chdir(tmp_path)

    def ran(text: str) -> tuple[str, object]:
        (tmp_path / "ran.txt").write_text("")
        (tmp_path / "plain_small.py").write_text(text)
        module = write_module(tmp_path / "plain_small.py")
        code = module.read_text().replace("from pyspark.sql import SparkSession", FAKE_SESSION)
        module.write_text(code.replace("SparkSession.builder.getOrCreate()", "SparkSession()"))
        found = answer(module)["found"]
        return (tmp_path / "ran.txt").read_text().strip(), found

    assert ran(SMALL_TEXT) == ("first last answer", "ab1")
    assert ran(SMALL_TEXT) == ("", "ab1")
    assert ran(SMALL_TEXT.replace("REG = 1", "REG = 22")) == ("last answer", "ab22")
    assert ran(SMALL_TEXT) == ("", "ab1")


class Counting(Experiment):
    ran: ClassVar[list[str]] = []

    def run(self, drivers: WarmDrivers) -> dict[str, Any]:
        self.ran.append(self.name)
        if self.script == 1:
            raise RuntimeError("a system failed")
        return report()


def test_a_matrix_saves_what_is_done_goes_on_after_a_failure_and_runs_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [Counting("census", script, "session", ("helix", "plain", "never")) for script in (0, 1, 2)]
    assert not measure(asked, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{asked[n].name}.json" for n in (0, 2)]
    assert Counting.ran == [one.name for one in asked]
    assert not measure(asked, tmp_path)
    assert Counting.ran[3:] == [asked[1].name]
    said = capsys.readouterr().out
    assert "iterations-census-1-session: FAILED: a system failed" in said
    assert "iterations-census-0-session: helix 3.0 s, plain 6.0 s" in said
    assert "iterations-census-0-session: there already, but without ['never']" in said


def test_dvc_runs_what_an_edit_touches_and_takes_an_old_result_when_the_edit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dvc")
    monkeypatch.setattr(dvc_peer, "SUBMIT", [sys.executable])
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").write_text("")
    (tmp_path / "pyspark" / "sql.py").write_text(
        FAKE_SESSION + "\nclass Builder:\n    getOrCreate = SparkSession\n\nSparkSession.builder = Builder\n"
    )
    monkeypatch.setattr(dvc_peer, "SPARK", {"PYTHONPATH": str(tmp_path)})
    folder = tmp_path / "dvc"
    folder.mkdir()
    repro = Repro(Begin("dvc", folder, None, ()), "small", PeakMemory())

    def ran(text: str) -> tuple[str, object]:
        (folder / "ran.txt").write_text("")
        found = repro.run(Version("", "first", "", text, {}, {})).outputs["found"]
        return (folder / "ran.txt").read_text().strip(), found

    assert ran(SMALL_TEXT) == ("first last answer", "ab1")
    assert ran(SMALL_TEXT) == ("", "ab1")
    assert ran(SMALL_TEXT.replace("REG = 1", "REG = 22")) == ("last answer", "ab22")
    assert ran(SMALL_TEXT) == ("", "ab1")
