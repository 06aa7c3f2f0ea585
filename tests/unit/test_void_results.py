"""What a run made of data that changed under it stands for nothing: not in memory, not stored, not on record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.cli.main import helix as cli
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import NotStoredError


def workflow(words: Path) -> hx.Workflow:
    wf = hx.Workflow("words")
    wf.source("data", hx.table(pd.DataFrame({"n": [1, 2]})))

    @wf.scanner
    def plain(data: pd.DataFrame) -> pd.DataFrame:
        return data * 2

    @wf.scanner(depends_on=[words])
    def told(plain: pd.DataFrame) -> pd.DataFrame:
        return plain.assign(word=words.read_text())

    @wf.reducer(output=True)
    def longest(told: pd.DataFrame) -> int:
        return int(told.word.str.len().max())

    return wf


class Editor(Silent):
    """Has the words say something else while a node reads them, and what they said before once it has."""

    def __init__(self, words: Path) -> None:
        self.words, self.edits, self.warnings = words, True, list[str]()

    def node_started(self, name: str) -> None:
        if name == "told" and self.edits:
            self.words.write_text("three")

    def node_finished(self, name: str, seconds: float) -> None:
        if name == "told" and self.edits:
            self.words.write_text("one")

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = Path(tmp_path, "words.txt")
    file.write_text("one")
    return file


CHANGED = (
    "the data that `told` depends on changed while the iteration ran (words.txt was written to, or touched): "
    "nothing made of it is kept"
)


def test_it_is_said_behind_the_answer_and_on_record(words: Path, tmp_path: Path) -> None:
    editor = Editor(words)
    with hx.Helix(tmp_path / "catalog", policy="always", observer=editor) as helix:
        first = helix.run(workflow(words))
        assert first["longest"] == 5, "what the function read is what the run answers"
        first.wait()
        assert [one.error for one in helix.iterations()] == [CHANGED]
        assert [one.status for one in helix.iterations()] == ["done"]
    assert editor.warnings == [CHANGED]
    for command in (["log", "-v"], ["show", "1"]):
        said = CliRunner().invoke(cli, [*command, "--catalog", str(tmp_path / "catalog")])
        assert "changed while the iteration ran" in " ".join(said.output.split())


def test_the_next_run_finds_what_is_of_other_data_alone(words: Path, tmp_path: Path) -> None:
    editor = Editor(words)
    with hx.Helix(tmp_path / "catalog", policy="always", observer=editor) as helix:
        helix.run(workflow(words)).wait()
        editor.edits = False
        again = helix.run(workflow(words))
        assert again["longest"] == 3
        assert again.plan.in_state("compute") == ("told", "longest")
        again.wait()
        assert set(helix.run(workflow(words)).plan.in_state("compute")) == set()


def test_the_iteration_that_was_void_is_not_given_what_a_later_one_stored(words: Path, tmp_path: Path) -> None:
    editor = Editor(words)
    with hx.Helix(tmp_path / "catalog", policy="always", observer=editor) as helix:
        helix.run(workflow(words)).wait()
        editor.edits = False
        helix.run(workflow(words)).wait()
        assert list(helix.iteration(2).pandas("told").word) == ["one", "one"]
        assert helix.iteration(1)["longest"] == 5
        assert list(helix.iteration(1).pandas("plain").n) == [2, 4], "it is of nothing that changed"
        with pytest.raises(NotStoredError):
            helix.iteration(1).pandas("told")


def test_nothing_that_was_learnt_of_them_is_on_record(words: Path, tmp_path: Path) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always", observer=Editor(words)) as helix:
        first = helix.run(workflow(words))
        first.wait()
        signatures = [first.plan[name].signature for name in ("plain", "told", "longest")]
        measured = helix.catalog.results(signatures).measured
        assert set(measured) == {first.plan["plain"].signature}
