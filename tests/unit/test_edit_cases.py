"""The edits that `benchmarks/edits.py` makes are about texts that are there: jobs change, and their edits with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.edit_cases.case import Case
from benchmarks.edit_cases.project_copy import edited, make_project
from benchmarks.edits import cases


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("edited") / "project", full=False)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_text_that_an_edit_is_about_is_there_and_is_there_again_afterwards(case: Case, project: Path) -> None:
    files = sorted({project / change.file for change in case.changes})
    before = [file.read_bytes() for file in files]
    with edited(project, case.changes):
        assert [file.read_bytes() for file in files] != before
    assert [file.read_bytes() for file in files] == before
