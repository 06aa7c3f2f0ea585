"""The notebook, run as its reader runs it. About a minute, for it starts Spark."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "jobs" / "census.ipynb"
EARLIER = '[helix.iteration("ages", each.number)["largest"] for each in helix.iterations("ages", limit=2)]'


def test_it_is_committed_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]


def test_it_runs_and_shows_what_it_says_and_does_so_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_CDS", "off")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])))
    shown = executed(tmp_path)
    plain, html = shown["workflow"]
    assert "census: " in plain
    assert "<svg" in html
    assert re.search(r"^\d+ computed; ", shown["first"][0], flags=re.MULTILINE)
    assert re.search(r"compute +\S+ +model +parameter `regParam` 0\.1 -> 0\.01", shown["helix.plan(edited)"][0])
    assert "\n4 computed, " in shown["second"][0]
    assert "parameter reg: 0.1 -> 0.01" in shown["helix.compare(first, second)"][0]
    assert _computed_none(shown['helix.run(workflow, "back")'][0])
    assert "\n4 computed; " in shown["third"][0]
    assert re.search(r"compute +\S+ +largest +code of `largest` changed", shown["helix.plan(ages())"][0])
    assert "\n1 computed, 1 loaded, 2 not needed" in shown["fourth"][0]
    assert shown[EARLIER][0] == "[30, 270]"
    again = executed(tmp_path)  # over the catalog that is there by now
    assert _computed_none(again["second"][0])
    assert _computed_none(again["fourth"][0])
    assert again[EARLIER][0] == "[30, 270]"
    assert "<table" in again['second.pandas("predictions").head()'][1]
    for command in re.findall(r"`helix ((?:log|show|diff)[^`]*)`", NOTEBOOK.read_text()):
        words = [sys.executable, "-m", "helix_spark", *shlex.split(command), "--catalog", str(tmp_path / "catalog")]
        told = subprocess.run(words, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr


def _computed_none(text: str) -> bool:
    """True if an iteration's counts begin with what it loaded."""
    return re.search(r"^\d+ loaded", text, flags=re.MULTILINE) is not None and not re.search(r"\d computed", text)


def executed(folder: Path) -> dict[str, tuple[str, str]]:
    """What each code cell shows, by its last line."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # The notebook finds the project from where it is; its sample and its catalog belong elsewhere in a test.
    notebook.cells[1].source = notebook.cells[1].source.replace("Path.cwd(), *", f"Path({str(ROOT)!r}), *")
    nbclient.NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.source.splitlines()[-1]: outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}


def outputs(cell: Any) -> tuple[str, str]:
    """Plain text and HTML of what a cell shows."""
    data = [output.data for output in cell.outputs if "data" in output]
    return "".join(one.get("text/plain", "") for one in data), "".join(one.get("text/html", "") for one in data)
