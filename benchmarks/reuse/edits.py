"""Edits to the text of two jobs, run in a warm session and from scratch.

The jobs are `jobs/census.py`, and one with helpers in another module, closures, classes, UDFs and a package, in a copy
of a project. Each edited job runs in one warm session against one catalog, its modules reloaded as by `helix watch`,
and in another process from scratch. Then the original text runs again, which may compute nothing. Results are stored
and loaded wherever possible, so that this tests what may be reused, not what is worth it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, Row, Worker, load_workflow, new_folder, same
from benchmarks.reuse.cases import Case, change, changed_files, read_cases, sections
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import HelixError
from helix_spark.planner.joint import ALWAYS
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, PlanningProblem
from jobs.datasets import adult

if TYPE_CHECKING:
    from helix_spark.helix import Helix

SAMPLE = {"adult.data": 1600, "adult.test": 400}
"""Lines of each file: few, since the amount of data does not matter here."""

PACKAGE = {
    "bands/__init__.py": 'def spread(values):\n    return float(max(values) - min(values))\n',
    "bands-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: bands\nVersion: 1.0\n",
    "bands-1.0.dist-info/top_level.txt": "bands\n",
}
SETTINGS = {
    "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
}
EXACT, LEARNED = 1e-9, 1e-6
"""Relative tolerances: of sums whose order is Spark's, and of results of an iterative solver."""
FROM_DATA = frozenset({"profile"})
"""Outputs that depend on no model."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The outcome of one run.

    Attributes:
        computed: nodes, with the reasons in words; merged nodes by the first one's name.
        answers: values of the outputs.
        seconds: to the answer.
        error: the message of a run that failed.
    """

    computed: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


def cases() -> list[Case]:
    """Return all edits in the order in which they are made; the last ones repeat earlier ones."""
    first = sorted(read_cases("edits"), key=lambda case: case.restart)
    again = [
        replace(case, name=f"back to an earlier text: {case.name}", runs=frozenset(), expected="changed")
        for case in first if case.again
    ]
    return [*first, *again]


def make_project(folder: Path) -> Path:
    """Write the project into a new folder.

    Raises:
        SourceError: the census data is not available.
    """
    shutil.copytree(Path(__file__).with_name("project"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "jobs" / "census.py", folder)
    (folder / "data").mkdir()
    for file in map(Path, adult()):
        lines = file.read_text().strip().splitlines(keepends=True)[: SAMPLE[file.name]]
        (folder / "data" / file.name).write_text("".join(lines).rstrip("\n") + "\n")
    for name, text in PACKAGE.items():
        path = folder / "site-packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@contextmanager
def edited(project: Path, case: Case) -> Iterator[None]:
    """Make the change of a case; restore each file afterwards.

    Raises:
        EditError: an old text is missing.
    """
    before = {file: (project / file).read_bytes() for file in changed_files(case)}
    try:
        for name, body in sections(case.after):
            change(project, name, body)
        yield
    finally:
        for file, content in before.items():
            (project / file).write_bytes(content)


def judge_edits(chosen: Sequence[Case], folder: Path) -> Iterator[Row]:
    """Make the edits one after the other and judge each.

    Args:
        folder: an empty one, for the project and the catalog.

    Raises:
        EditError: the old text of an edit is missing.
        RuntimeError: a job fails before it is edited.
    """
    project = make_project(folder.resolve() / "project")
    for case in chosen:
        with edited(project, case):
            pass  # check that each edit fits before anything runs
    warm, scratch = Worker(_serve_warm, project, folder.resolve() / "catalog"), Worker(_serve_from_scratch, project)
    try:
        base = dict[str, Observed]()
        for job in dict.fromkeys(case.job for case in chosen):
            for worker in (warm, scratch):
                base[job] = worker.run(job)
                if base[job].error:
                    raise RuntimeError(f"{job} fails before it is edited: {base[job].error}")
        for case in chosen:
            with edited(project, case):
                _restart(case, warm, scratch)
                after, expected = warm.run(case.job), scratch.run(case.job)
            _restart(case, warm, scratch)
            yield judge(case, base[case.job], after, warm.run(case.job), expected)
    finally:
        warm.close()
        scratch.close()


def _restart(case: Case, *workers: Worker) -> None:
    for worker in workers if case.restart else ():
        worker.close()
        worker.start()


def judge(case: Case, base: Observed, after: Observed, back: Observed, scratch: Observed) -> Row:
    """Judge one edit.

    Args:
        base: the text before the edit, from scratch.
        after, scratch: the text after the edit, with reuse and from scratch.
        back: the text before the edit again, with reuse.
    """
    missed, needless = case.runs - after.computed.keys(), after.computed.keys() - case.runs
    wrong = [*different(after.answers, scratch.answers),
             *(f"{name}, going back" for name in different(back.answers, base.answers))]
    changed = different(base.answers, scratch.answers)
    verdict, why = "right", ""
    if error := after.error or back.error or scratch.error:
        verdict, why = "failed", error
    elif missed or wrong:
        verdict, why = "false reuse", f"not run: {sorted(missed)}; other than from scratch: {wrong}"
    elif back.computed:
        verdict, why = "needless", f"going back: {dict(back.computed)}"
    elif needless and not case.equal_plans:
        verdict, why = "needless", "; ".join(f"{name}: {after.computed[name]}" for name in sorted(needless))
    elif case.expected == "changed" and not changed:
        verdict, why = "unfair", "the edit shows in no answer"
    elif case.expected == "same" and changed:
        verdict, why = "unfair", f"the edit changed {', '.join(changed)}"
    elif case.equal_plans:
        why = "its plan is not seen to be equal" if needless else "its plan is seen to be equal"
    return Row(
        case.name,
        {"job": case.job, "verdict": verdict, "why": why, "ran": sorted(after.computed), "seconds": after.seconds,
         "from scratch": scratch.seconds},
        {"must run": sorted(case.runs)},
    )


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of outputs that differ or are missing on one side.

    >>> different({"a": 1.0, "b": [1, 2]}, {"a": 1.0 + 1e-12, "b": [1, 3], "c": 0})
    ['b', 'c']
    """
    return sorted(
        name for name in {*one, *other}
        if name not in one or name not in other
        or not same(one[name], other[name], EXACT if name in FROM_DATA else LEARNED)
    )


@dataclass(frozen=True, slots=True)
class ReuseAll:
    """Stores every result and loads every stored one: only correctness is tested here.

    On a sample, computing is often cheaper than loading; so here computing costs a second, loading next to nothing.
    """

    name: str = "reuse all"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        nodes = (replace(node, compute_seconds=1.0, load_seconds=1e-4) for node in problem.nodes)
        return ALWAYS.decide(replace(problem, nodes=tuple(nodes)))


def _serve_warm(project: Path, catalog: Path) -> Generator[Observed, str, None]:
    """Run the current text of each requested job in one session against one catalog."""
    from helix_spark.helix import Helix

    _enter(project)
    observed = Observed()
    # Only signatures are tested here; the edits of `cut-off` are about results that come out equal.
    with Helix(catalog, policy=ReuseAll(), settings=SETTINGS, observer=Silent(), cut_off=False) as engine:
        while True:
            job = yield observed
            observed = _observe(engine, project / f"{job}.py", project)


def _serve_from_scratch(project: Path) -> Generator[Observed, str, None]:
    """Run jobs with empty catalogs, in their own process: a session caches plans, its workers import modules."""
    from helix_spark.engine.server.session import Sessions
    from helix_spark.helix import Helix

    _enter(project)
    observed = Observed()
    with Sessions(settings={**SETTINGS, "spark.python.worker.reuse": "false"}) as sessions:
        while True:
            job, spark = (yield observed), sessions.get()
            with new_folder() as folder, Helix(folder, policy="never", spark=spark, observer=Silent()) as engine:
                observed = _observe(engine, project / f"{job}.py", project)
            spark.catalog.clearCache()


def _enter(project: Path) -> None:
    os.chdir(project)
    installed = str(project / "site-packages")
    sys.path.append(installed)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), installed]))


def _observe(engine: Helix, path: Path, project: Path) -> Observed:
    """Run a file as the command line loads it."""
    try:
        engine.sessions.get()
        iteration = engine.run(load_workflow(path, {"path": project / "data"}))
        answers = {name: iteration[name] for name in iteration.outputs}
        iteration.wait()
    except HelixError as error:
        return Observed(error=str(error))
    plan = iteration.plan
    reasons = {name: plan[name].reason for name in plan.in_state(State.COMPUTE)}
    return Observed(reasons, answers, iteration.seconds)
