"""Changes of code and of the environment that try to provoke false reuse or needless computation.

Each case is a small project and one change. The project runs (`helix run`, in its own process) with a new catalog, is
changed, runs again with that catalog, and runs from scratch with another one:

- right: the second run computed what it had to, and nothing else;
- false reuse: the second run reused something, and its answer is not the one from scratch;
- needless: the change means nothing, but a node was computed again;
- refused: a run failed that Python alone would have finished;
- unfair: the case is wrong: the answer from scratch differs where the case says `same`, or is the same where it says
  `changed`.

Cases that need Spark run one after the other next to one server, in one folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.harness import HELIX, ROOT, Row, run
from benchmarks.reuse.cases import Case, change, sections

HEAD = """import helix_spark as hx
import pandas as pd
from pyspark.sql import DataFrame, functions as F
"""
TAIL = """

def job() -> hx.Workflow:
    wf = hx.Workflow("job")
    wf.source("data", hx.table(pd.DataFrame({{"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", "z"]}})))
    for node in ({nodes},):
        wf.reducer(output=True)(node)
    return wf
"""
"""Declares the functions of a job without a workflow."""


class FailedRunError(Exception):
    """A command that ended with an error."""


class Project:
    """A folder with the files of a case, and the environment and arguments of its runs."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.folder = folder
        self.catalogs = folder.with_name(f"{folder.name}-catalogs")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HELIX_", "PYTHON"))}
        self.environment = {
            **inherited, "PYTHONPATH": f"{folder / 'site-packages'}:{ROOT}", "HELIX_CDS": "off",
            "HELIX_SERVER": "on" if case.spark else "off", "TZ": "UTC",
        }
        self.target = [".", "script.py" if "--- script.py" in case.before else "job.py"]

    def apply(self, text: str) -> None:
        """Write the files of a text and apply its other sections."""
        for name, body in sections(text):
            if change(self.folder, name, body):
                continue
            if name == "env":
                lines = body.replace("{folder}", str(self.folder)).split()
                self.environment |= dict(line.split("=", 1) for line in lines)
            elif name == "run":
                self.target = body.split()
            else:
                self.write(name, body)

    def write(self, name: str, body: str) -> None:
        """Write a file; a job gets imports, and a workflow of its functions if it has none."""
        if Path(name).name == "job.py":
            body = HEAD + body + ("" if "hx.Workflow" in body else TAIL.format(nodes=", ".join(self.case.nodes)))
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)

    def run(self, catalog: str) -> tuple[str, dict[str, Any]]:
        """Run the project; return its answer and the report of the command."""
        place, file, *arguments = self.target
        process = subprocess.run(
            [*HELIX, "run", file, "--catalog", str(self.catalogs / catalog), "--json", *arguments],
            cwd=self.folder / place, env=self.environment, capture_output=True, text=True, check=False,
        )
        if process.returncode:
            raise FailedRunError(process.stderr[-1500:])
        printed = [line for line in process.stderr.splitlines() if line.startswith("ANSWER")]
        start = process.stdout.find("{")
        report = json.loads(process.stdout[start:]) if start >= 0 else {"nodes": [], "outputs": {}}
        return "\n".join(printed) or json.dumps(report["outputs"], sort_keys=True), report


def judge_projects(cases: Sequence[Case], root: Path) -> Iterator[Row]:
    """Judge cases, one with Spark and one without at a time."""
    folders = {is_spark: root / name for is_spark, name in ((True, "spark"), (False, "plain"))}
    for folder in folders.values():
        folder.mkdir()
    with ThreadPoolExecutor(1) as spark, ThreadPoolExecutor(1) as plain:
        pools = {True: spark, False: plain}
        for future in as_completed(pools[case.spark].submit(judge, case, folders[case.spark]) for case in cases):
            yield future.result()
    run([*HELIX, "server", "stop"], folders[True])


def judge(case: Case, folder: Path) -> Row:
    """Run a case in a folder that is emptied first."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    project = Project(case, folder)
    shutil.rmtree(project.catalogs, ignore_errors=True)
    project.apply(case.before)
    try:
        before, first = project.run("catalog")
        time.sleep(1.1)  # a file that is written now gets another second in its time
        project.apply(case.after)
        after, second = project.run("catalog")
        scratch, _ = project.run("scratch")
    except FailedRunError as error:
        return Row(case.name, {"verdict": "refused", "why": str(error)})
    computed = computed_nodes(first, second)
    verdict = "right"
    if (before == scratch) is (case.expected == "changed"):
        verdict = "unfair"
    elif after != scratch and not (case.clock and computed):
        verdict = "false reuse"
    elif case.expected == "same" and (computed or not second["nodes"]):
        verdict = "needless"
    answers = [before, after, scratch]
    return Row(case.name, {"verdict": verdict, "why": "" if verdict == "right" else computed or answers},
               {"expected": case.expected, "computed": computed, "answers": answers})


def computed_nodes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, str]:
    """Return the nodes of the first run, without sources, that the second run signed differently and computed, with
    the reasons."""
    names = {node["name"] for node in first["nodes"]}
    return {
        node["name"]: node["reason"] for node in second["nodes"]
        if node["name"] in names and node["state"] == "compute" and node["kind"] != "source"
        and not node["reason"].startswith("unchanged")
    }
