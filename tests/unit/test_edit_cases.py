"""The edits of `python -m benchmarks.reuse` are about texts that are there: jobs change, and their edits too."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reuse.adversarial import Project
from benchmarks.reuse.cases import Case, changed_files, read_cases, sections
from benchmarks.reuse.edits import cases, edited, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("edited") / "project")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_text_that_an_edit_is_about_is_there_and_is_there_again_afterwards(case: Case, project: Path) -> None:
    files = [project / file for file in sorted(changed_files(case))]
    before = [file.read_bytes() for file in files]
    with edited(project, case):
        assert [file.read_bytes() for file in files] != before
    assert [file.read_bytes() for file in files] == before


def test_the_change_of_an_adversarial_project_is_one_of_its_files(tmp_path: Path) -> None:
    for number, case in enumerate(read_cases("adversarial")):
        (folder := tmp_path / str(number)).mkdir()
        project = Project(case, folder)
        project.apply(case.before)
        project.apply(case.after)


def test_edits_say_what_must_run() -> None:
    edits = {case.name: case for case in read_cases("edits")}
    assert edits["comment"].runs == frozenset()
    assert edits["reg"].runs == {"model", "predictions", "accuracy", "auc"}
    assert "capital" not in edits["extractor removed"].runs
    assert "age" in edits["extractor removed"].runs


@pytest.mark.parametrize(
    ("name", "count"),
    [("edits", 55), ("adversarial", 188), ("undeclared", 161), ("programs", 43), ("cut-off", 15), ("verification", 7)],
)
def test_no_case_is_lost(name: str, count: int) -> None:
    found = read_cases(name)
    assert len({(case.job, case.name) for case in found}) == len(found) == count


def test_a_project_is_split_into_its_files_and_its_change() -> None:
    [case] = [case for case in read_cases("adversarial") if case.name == "second name of a section that a node changes"]
    assert [name for name, _ in sections(case.before)] == ["settings.py", "job.py"]
    assert sections(case.after) == [("edit settings.py", 'MODEL = CFG["model"] ==> MODEL = dict(CFG["model"])\n')]
