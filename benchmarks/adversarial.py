"""Edits and changes of the world that try to fool the reuse of results, or to have it recompute for nothing.

    python -m benchmarks.adversarial [--only WORDS] [--json]

Each case of `adversarial_cases` is a small project and one change. The project runs (`helix run`, a process of its own)
with a fresh catalog, is changed, runs again with that catalog, and runs from scratch with another one:

- right: what had to be computed was computed, and nothing else;
- false: the second run reused something, and its answer is not the one from scratch;
- needless: the change means nothing, yet a node was computed again;
- refused: a run failed that Python alone would have finished;
- unfair: the case is wrong: the answer from scratch differs where the case says `same`, or is the same where it says
  `changed`.

Cases that need Spark run one after the other beside one server, in one folder. The exit code is 1 if a verdict is not
right.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.adversarial_cases import CASES, Case

ROOT = Path(__file__).parents[1]
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on a case.

    Attributes:
        expected: changed or same.
        computed: nodes of the first run that the second one computed, with their reasons.
        answers: of the three runs.
        error: the end of the standard error of a run that failed.
    """

    name: str
    expected: str
    verdict: str
    computed: dict[str, str] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


class FailedRunError(Exception):
    """A command that ended with an error."""


def sections(text: str) -> list[tuple[str, str]]:
    """Split a text at its lines `--- NAME` into names and bodies."""
    parts = ("\n" + text.strip("\n")).split("\n--- ")[1:]
    return [(name.strip(), body.strip("\n") + "\n") for name, _, body in (part.partition("\n") for part in parts)]


class Project:
    """A folder with the files of a case, the environment of its runs and what they run."""

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
        """Write the files of a text, or do what its other sections say."""
        for name, body in sections(text):
            verb, _, rest = name.partition(" ")
            if verb == "python":
                subprocess.run([sys.executable, "-c", body], cwd=self.folder, check=True)
            elif verb == "env":
                lines = body.replace("{folder}", str(self.folder)).split()
                self.environment |= dict(line.split("=", 1) for line in lines)
            elif verb == "run":
                self.target = body.split()
            elif verb == "edit":
                path = self.folder / rest
                content = path.read_text()
                for line in body.splitlines():
                    old, new = (part.replace("\\n", "\n") for part in line.split(" ==> "))
                    if old not in content:
                        raise ValueError(f"{self.case.name}: {rest} has no {old!r}")
                    content = content.replace(old, new)
                path.write_text(content)
            else:
                self.write(name, body)

    def write(self, name: str, body: str) -> None:
        """Write a file; a job gets its imports and, where it has none, a workflow of its functions."""
        if Path(name).name == "job.py":
            body = HEAD + body + ("" if "hx.Workflow" in body else TAIL.format(nodes=", ".join(self.case.nodes)))
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)

    def run(self, catalog: str) -> tuple[str, dict[str, Any]]:
        """Run the project; return its answer and what the command printed."""
        place, file, *arguments = self.target
        process = subprocess.run(
            [sys.executable, "-m", "helix_spark", "run", file, "--catalog", str(self.catalogs / catalog), "--json",
             *arguments],
            cwd=self.folder / place, env=self.environment, capture_output=True, text=True, check=False,
        )
        if process.returncode:
            raise FailedRunError(process.stderr[-1500:])
        printed = [line for line in process.stderr.splitlines() if line.startswith("ANSWER")]
        start = process.stdout.find("{")
        report = json.loads(process.stdout[start:]) if start >= 0 else {"nodes": [], "outputs": {}, "warnings": []}
        return "\n".join(printed) or json.dumps(report["outputs"], sort_keys=True), report


def computed_nodes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, str]:
    """Return the nodes of the first run, other than sources, that the second run signed and computed anew, with the
    reasons."""
    names = {node["name"] for node in first["nodes"]}
    return {
        node["name"]: node["reason"] for node in second["nodes"]
        if node["name"] in names and node["state"] == "compute" and node["kind"] != "source"
        and not node["reason"].startswith("unchanged")
    }


def judge(case: Case, folder: Path) -> Outcome:
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
        return Outcome(case.name, case.expected, "refused", error=str(error))
    computed = computed_nodes(first, second)
    verdict = "right"
    if (before == scratch) is (case.expected == "changed"):
        verdict = "unfair"
    elif after != scratch and not (case.clock and computed):
        verdict = "false"
    elif case.expected == "same" and (computed or not second["nodes"]):
        verdict = "needless"
    answers = (before, after, scratch)
    return Outcome(case.name, case.expected, verdict, computed, answers, tuple(second["warnings"]))


def judge_all(cases: list[Case], root: Path) -> list[Outcome]:
    """Judge cases, two at a time: those with Spark one after the other."""
    plain = deque(case for case in cases if not case.spark)
    spark = deque(case for case in cases if case.spark)
    outcomes: list[Outcome] = []

    def work(queues: list[deque[Case]], folder: Path) -> None:
        folder.mkdir()
        for queue in queues:
            while queue:
                outcomes.append(judge(queue.popleft(), folder))
                print(f"{outcomes[-1].verdict}: {outcomes[-1].name}", file=sys.stderr, flush=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        stop = [sys.executable, "-m", "helix_spark", "server", "stop"]
        subprocess.run(stop, cwd=folder, env=environment, capture_output=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        for worker in [pool.submit(work, [spark, plain], root / "spark"), pool.submit(work, [plain], root / "plain")]:
            worker.result()
    return outcomes


def main() -> None:
    """Print one line for each case that is not right, and the number of cases by verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds these words; several divided by commas")
    parser.add_argument("--json", action="store_true", help="print each case")
    arguments = parser.parse_args()
    words = arguments.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        outcomes = judge_all([case for case in CASES if any(word in case.name for word in words)], Path(folder))
    wrong = [outcome for outcome in outcomes if outcome.verdict != "right"]
    if arguments.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        for outcome in wrong:
            reasons = "; ".join(f"{node}: {reason}" for node, reason in outcome.computed.items())
            print(f"{outcome.verdict}: {outcome.name}: {reasons or outcome.error or outcome.answers}")
        verdicts = sorted(outcome.verdict for outcome in outcomes)
        counts = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in dict.fromkeys(verdicts))
        print(f"{len(outcomes)} cases: {counts}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
