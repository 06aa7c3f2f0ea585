"""The documentation site is built without a warning, and what it shows runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from helix_spark.cli.main import helix

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted((PROJECT / "docs").glob("*.md"))


@pytest.mark.slow
@pytest.mark.long
def test_the_site_is_built_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=PROJECT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "reference" / "index.html").read_text()
    assert 'id="helix_spark.workflow.workflow.Workflow.reducer"' in reference
    fetched = [
        file for file in (tmp_path / "site").glob("**/index.html")
        if re.search(r'<(script|link|img)[^>]+(src|href)="https?://', file.read_text())
    ]
    assert fetched == []


def test_the_shortest_workflow_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r'```python title="first.py"\n(.*?)```', (PROJECT / "docs/index.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("first.py").write_text(code)
    done = CliRunner().invoke(helix, ["run", "first.py", "-q", "--set", "threshold=35"])
    assert done.exit_code == 0, done.output
    assert re.search(r"scores\.accuracy +0\.75", done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"(?:^|`)helix ([a-z]+)", text, re.MULTILINE))
    assert named <= helix.commands.keys()
