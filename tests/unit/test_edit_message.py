"""An iteration says by itself what differs from the one before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.cli.main import helix
from helix_spark.history.edit_message import edit_message

JOB = """
import pandas as pd
import helix_spark as hx
from helping import clean

LIMIT = 3

def most(rows: pd.DataFrame) -> int:
    return 1

def study(rate: float = 0.5) -> hx.Workflow:
    wf = hx.Workflow("study")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return clean(data)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> float:
        return float(rows.a.sum()) * rate + LIMIT

    return wf
"""
HELPER = "def clean(data):\n    return data[data.a > 1]\n"

@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the job after an edit of a file, and returns what the iteration says of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(JOB)
    (tmp_path / "helping.py").write_text(HELPER)

    def run(file: str = "study.py", old: str = "", new: str = "", *options: str) -> str:
        path = tmp_path / file
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        monkeypatch.delitem(__import__("sys").modules, "helping", raising=False)
        done = CliRunner().invoke(helix, ["run", "study.py", "-q", *options])
        assert done.exit_code == 0, done.stderr
        told: str = json.loads(CliRunner().invoke(helix, ["log", "--json"]).stdout)[0]["edit"]
        return told

    return run


def test_what_an_edit_was_is_told_in_a_line(edited: Callable[..., str]) -> None:
    assert edited() == ""
    assert edited() == ""
    assert edited("study.py", "", "", "--set", "rate=0.25") == "parameter `rate` 0.5 -> 0.25"
    assert edited() == "parameter `rate` 0.25 -> 0.5"
    assert edited("helping.py", "> 1", "> 2") == "code of `helping.clean`"
    assert edited("study.py", "[1, 2, 3]", "[1, 2, 9]") == "data of `data`"
    assert edited("study.py", "float(rows.a.sum())", "float(rows.a.max())") == "code of `total`"
    assert edited("study.py", "LIMIT = 3", "LIMIT = 4") == "value `LIMIT` 3 -> 4"
    assert edited("study.py", "    return wf\n", "    wf.output('rows')\n    return wf\n") == ""
    added = "    wf.reducer(output=True)(most)\n    return wf\n"
    assert edited("study.py", "    return wf\n", added) == "`most` added"
    assert "`most` added" in CliRunner().invoke(helix, ["show", "10"]).stdout


def test_many_changes_are_counted() -> None:
    def node(name: str) -> NodeRecord:
        return NodeRecord("0" * 32, "w", 1, name, "reducer", (), "compute", "", "0" * 64, "0" * 64, "[]")

    before = IterationRecord("0" * 32, "w", 1, "done", 0.0, parameters=json.dumps({f"p{n}": 0 for n in range(9)}))
    told = edit_message(before, [node("a")], {f"p{n}": 1 for n in range(9)}, [node("a")])
    assert told == "; ".join([*(f"parameter `p{n}` 0 -> 1" for n in range(4)), "5 more"])
    names = [node(name) for name in "abcdef"]
    assert edit_message(before, [node("z")], {}, names) == "`a`, `b`, `c` and 3 more added; `z` removed"
