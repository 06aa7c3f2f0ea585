"""Edits to the text of two jobs, run in a warm session and from scratch.

The jobs are `jobs/census.py`, and one with what it lacks (helpers in another module, closures, classes, UDFs, a
package), in a copy of a project. Each edited job is run in one warm session against one catalog, its modules loaded
afresh as `helix watch` does, and in another process from scratch. Then the text is put back and run again, which may
compute nothing. Results are always stored and loaded where they can be, so that this shows what may be reused, not what
it is worth.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import ROOT, Row, Worker, same
from benchmarks.reuse.cases import Case, change, changed_files, read_cases, sections
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import HelixError
from helix_spark.planner.joint import ALWAYS
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem
from jobs.datasets import adult

if TYPE_CHECKING:
    from helix_spark.helix import Helix

SAMPLE = {"adult.data": 1600, "adult.test": 400}
"""Lines of each file: few, for what is told apart here does not depend on how much data there is."""

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
"""Relative tolerance: of sums whose order is Spark's, and of what an iterative solver has learnt."""
FROM_DATA = frozenset({"profile"})
"""Outputs that no model has a part in."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run did.

    Attributes:
        computed: nodes, with the reasons in words; merged nodes by the first one's name.
        answers: of the outputs.
        seconds: to the answer.
        error: what ended the run, if it failed.
    """

    computed: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


def cases() -> list[Case]:
    """Return all edits in the order in which they are made; the last ones are made for the second time."""
    first = sorted(read_cases("edits"), key=lambda case: case.restart)
    again = [
        replace(case, name=f"back to an earlier text: {case.name}", runs=frozenset(), expected="changed")
        for case in first if case.again
    ]
    return [*first, *again]


def make_project(folder: Path) -> Path:
    """Write the project into a folder that is not there yet.

    Raises:
        SourceError: the census data is not to be had.
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
    """Make the change of a case; put each file's text back afterwards.

    Raises:
        EditError: an old text is not there.
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
        EditError: the text that an edit is about is not there.
        RuntimeError: a job fails before it is edited.
    """
    project = make_project(folder.resolve() / "project")
    for case in chosen:
        with edited(project, case):
            pass  # before anything is run: is there the text that each edit is about?
    warm, scratch = Runner(project, folder.resolve() / "catalog"), Runner(project, None)
    try:
        base = dict[str, Observed]()
        for job in dict.fromkeys(case.job for case in chosen):
            for runner in (warm, scratch):
                base[job] = runner.run(job)
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


def _restart(case: Case, *runners: Runner) -> None:
    for runner in runners if case.restart else ():
        runner.close()
        runner.start()


def judge(case: Case, base: Observed, after: Observed, back: Observed, scratch: Observed) -> Row:
    """Judge one edit.

    Args:
        base: the text before the edit, from scratch.
        after, scratch: the text after the edit, with reuse and from scratch.
        back: the text before the edit once more, with reuse.
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
    """Return the names of the outputs that differ, or that only one of the two has.

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
    """Stores every result and loads whatever is stored: whether reuse pays is not asked here, only whether it is right.

    On a sample, computing is often cheaper than loading; so here computing costs a second, loading next to nothing.
    """

    name: str = "reuse all"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        return ALWAYS.decide(replace(problem, nodes=tuple(map(_cheap_to_load, problem.nodes))))


def _cheap_to_load(node: NodeCosts) -> NodeCosts:
    return replace(node, compute_seconds=1.0, load_seconds=1e-4)


class Runner:
    """Runs jobs of a project in a process of its own.

    What starts from scratch has another process, for a session of Spark remembers, too: the plans it has cached, and
    the modules that its Python workers have imported.

    Args:
        project: its folder, which is the process's working folder.
        catalog: where results are stored and reused; None to compute all from scratch in each run.
    """

    def __init__(self, project: Path, catalog: Path | None) -> None:
        self._project, self._catalog = project, catalog
        self.start()

    def start(self) -> None:
        """Start the process, with the same catalog as the last one."""
        self._worker = Worker(_serve, self._project, self._catalog)

    def run(self, job: str) -> Observed:
        """Load the job's file afresh and run it."""
        observed: Observed = self._worker.run(job)
        return observed

    def close(self) -> None:
        """End the process."""
        self._worker.close()


def _serve(receive: Callable[[], Any], project: Path, catalog: Path | None) -> Iterator[Observed]:
    os.chdir(project)
    installed = str(project / "site-packages")
    sys.path.append(installed)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), installed]))
    jobs = iter(receive, None)
    return _serve_from_scratch(jobs, project) if catalog is None else _serve_warm(jobs, project, catalog)


def _serve_warm(jobs: Iterator[str], project: Path, catalog: Path) -> Iterator[Observed]:
    from helix_spark.helix import Helix

    # What is asked here is what signatures tell; the edits of `cut-off` are about results that come out equal.
    with Helix(catalog, policy=ReuseAll(), settings=SETTINGS, observer=Silent(), cut_off=False) as engine:
        for job in jobs:
            yield _observe(engine, project / f"{job}.py", project)


def _serve_from_scratch(jobs: Iterator[str], project: Path) -> Iterator[Observed]:
    from helix_spark.engine.server.session import Sessions
    from helix_spark.helix import Helix

    with Sessions(settings={**SETTINGS, "spark.python.worker.reuse": "false"}) as sessions:
        for job in jobs:
            spark = sessions.get()
            with (
                tempfile.TemporaryDirectory() as folder,
                Helix(Path(folder) / "catalog", policy="never", spark=spark, observer=Silent()) as engine,
            ):
                observed = _observe(engine, project / f"{job}.py", project)
            spark.catalog.clearCache()
            yield observed


def _observe(engine: Helix, path: Path, project: Path) -> Observed:
    """Run a file as the command line loads it."""
    from helix_spark.cli.author_file import build, find_factory, load_file

    forget_jobs()
    try:
        engine.sessions.get()
        workflow = build(find_factory(load_file(path), path, None), path, [f"path={project / 'data'}"])
        iteration = engine.run(workflow)
        answers = {name: iteration[name] for name in iteration.outputs}
        iteration.wait()
    except HelixError as error:
        return Observed(error=str(error))
    plan = iteration.plan
    reasons = {name: plan[name].reason for name in plan.in_state(State.COMPUTE)}
    return Observed(reasons, answers, iteration.seconds)


def forget_jobs() -> None:
    """Have the next import of a job's modules read their texts. The benchmarks, of the same checkout, stay loaded."""
    from helix_spark.cli.watching import forget_project

    forget_project({name for name in sys.modules if name.partition(".")[0] == "benchmarks"})
