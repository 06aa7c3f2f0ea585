"""Processes that run the project's jobs: one that reuses, as `helix watch` does, and one that starts from scratch.

They are two because a session of Spark remembers, too: the plans it has cached, and the modules its Python workers have
imported. What starts from scratch must not find any of that.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import HelixError
from helix_spark.planner.joint import ALWAYS
from helix_spark.planner.problem import State
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem

if TYPE_CHECKING:
    from typing_extensions import Self

    from helix_spark.helix import Helix
    from helix_spark.workflow.workflow import Workflow

SETTINGS = {
    "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
}
FROM_SCRATCH = {**SETTINGS, "spark.python.worker.reuse": "false"}


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run did.

    Attributes:
        computed, loaded: names of nodes; merged nodes by the first one's name.
        reasons: of the computed ones, in words.
        answers: of the outputs.
        seconds: to the answer.
        warnings: that people got to see.
        error: what ended the run, if it failed.
    """

    computed: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str = ""


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


class Warnings(Silent):
    """Keeps what a run warns of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        """See `Observer.warning`."""
        self.texts.append(text)


class Runner:
    """Runs jobs of a project in a process of its own.

    Args:
        project: its folder, which is the process's working folder.
        catalog: where results are stored and reused; None to compute all from scratch in each run.
    """

    def __init__(self, project: Path, catalog: Path | None) -> None:
        self._project, self._catalog = project, catalog
        self._start()

    def run(self, job: str) -> Observed:
        """Loads the job's file afresh and runs it."""
        self._connection.send(job)
        observed: Observed = self._connection.recv()
        return observed

    def restart(self) -> None:
        """Goes on in a new process, with the same catalog."""
        self.close()
        self._start()

    def close(self) -> None:
        """Ends the process."""
        self._connection.send(None)
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._project, self._catalog))
        self._process.start()
        theirs.close()  # so that the end of the process is noticed here


def _serve(connection: Connection, project: Path, catalog: Path | None) -> None:
    os.chdir(project)
    installed = str(project / "site-packages")
    sys.path.append(installed)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), installed]))
    serve = _serve_warm if catalog is not None else _serve_from_scratch
    serve(connection, project, catalog)


def _serve_warm(connection: Connection, project: Path, catalog: Path | None) -> None:
    from helix_spark.helix import Helix

    assert catalog is not None
    warnings = Warnings()
    # What is asked here is what signatures tell; `benchmarks.cutoff` is about results that come out equal.
    with Helix(catalog, policy=ReuseAll(), settings=SETTINGS, observer=warnings, cut_off=False) as engine:
        while (job := connection.recv()) is not None:
            connection.send(_observe(engine, project / f"{job}.py", project, warnings))


def _serve_from_scratch(connection: Connection, project: Path, _: Path | None) -> None:
    from helix_spark.engine.server.session import Sessions
    from helix_spark.helix import Helix

    with Sessions(settings=FROM_SCRATCH) as sessions:
        while (job := connection.recv()) is not None:
            spark = sessions.get()
            warnings = Warnings()
            with (
                tempfile.TemporaryDirectory() as folder,
                Helix(Path(folder) / "catalog", policy="never", spark=spark, observer=warnings) as engine,
            ):
                observed = _observe(engine, project / f"{job}.py", project, warnings)
            spark.catalog.clearCache()
            connection.send(observed)


def _observe(engine: Helix, path: Path, project: Path, warnings: Warnings) -> Observed:
    from benchmarks.forgetting import forget_jobs

    forget_jobs()
    warnings.texts.clear()
    try:
        iteration = engine.run(_workflow(engine, path, project))
        answers = {name: iteration[name] for name in iteration.outputs}
        iteration.wait()
    except HelixError as error:
        return Observed(error=str(error), warnings=tuple(warnings.texts))
    plan = iteration.plan
    computed, loaded = plan.in_state(State.COMPUTE), plan.in_state(State.LOAD)
    return Observed(
        frozenset(computed), frozenset(loaded), {name: plan[name].reason for name in computed}, answers,
        iteration.seconds, (*plan.warnings, *warnings.texts),
    )


def _workflow(engine: Helix, path: Path, project: Path) -> Workflow:
    """As the command line loads it."""
    from helix_spark.cli.author_file import build, find_factory, load_file

    engine.sessions.get()
    return build(find_factory(load_file(path), path, None), path, [f"path={project / 'data'}"])
