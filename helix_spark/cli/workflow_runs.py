"""The commands on workflows: load a file's workflow, open the engine, run, print."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helix_spark.cli import options
from helix_spark.cli.options import CommandSettings, print_result, say, tracker_of
from helix_spark.errors import ParameterError
from helix_spark.hermetic.generators import AUTHOR_SEEDS

if TYPE_CHECKING:
    from helix_spark.helix import Helix
    from helix_spark.run.audit import Audit
    from helix_spark.run.iteration import Iteration
    from helix_spark.workflow.workflow import Workflow


def open_helix(settings: CommandSettings, *, quiet: bool, one_run: bool = True) -> Helix:
    """Return an engine with a command's settings."""
    # Without garbage collection: imports leave no garbage, and it takes a tenth of a run that computes nothing.
    was_on = gc.isenabled()
    gc.disable()
    try:
        from helix_spark.cli.progress import observer_for
        from helix_spark.helix import Helix
        from helix_spark.planner.joint import policy_named
        from helix_spark.run.expiry import Expiry
    finally:
        if was_on:
            gc.enable()
            gc.freeze()  # modules stay to the end

    return Helix(
        settings.catalog, budget=settings.room, policy=policy_named(settings.policy, settings.small),
        settings=settings.spark, observer=observer_for(quiet=quiet), tracker=tracker_of(settings), one_run=one_run,
        cut_off=settings.cut_off, audit=settings.audit, audit_seconds=settings.audit_seconds,
        expiry=Expiry(settings.iterations, settings.days), shared=settings.shared,
    )


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """The workflow of a file, as a command names it.

    Attributes:
        build: function that loads the file and returns the workflow.
        runs_itself: True for the argument of `hx.main` in a file that runs already.
    """

    path: Path
    build: Callable[[], Workflow]
    runs_itself: bool = False

    def load(self, engine: Helix) -> Workflow:
        """Load the file and return its workflow.

        A file that builds Spark objects while it is loaded is loaded again, with a client that needs no session. If
        that sends a request to Spark, Spark is started with a warning.
        """
        from helix_spark.cli.author_file import NeedsSessionError

        def load() -> Workflow:
            if self.runs_itself:
                return self.build()
            AUTHOR_SEEDS.begin_loading(WorkflowFile)
            workflow = self.build()
            AUTHOR_SEEDS.hold(WorkflowFile)  # random numbers from now on are not the author's
            return workflow

        try:
            return load()
        except NeedsSessionError as error:
            from helix_spark.answers.function_calls import declare_without_spark

            if not engine.sessions.started and (workflow := declare_without_spark(load)) is not None:
                return workflow
            engine.observer.warning(f"{error.what} (at {error.where}), so Spark is started first")
            engine.sessions.get()
            return load()

    def run(
        self, settings: CommandSettings, message: str, *, quiet: bool, as_json: bool, rerun_effects: bool = False
    ) -> None:
        """Run the workflow, and print its answer or the JSON of the run."""
        from helix_spark.cli.schema import run_json, to_text

        if rerun_effects:
            raise ParameterError(
                "--rerun-effects is for scripts, and this file declares a workflow",
                remedy="leave it out: a workflow's functions have their effects whenever they are computed",
            )
        engine = open_helix(settings, quiet=quiet or as_json)
        try:
            with options.report_errors():  # before the engine is closed, which waits until all is stored
                engine.waiting_since = options.waiting_since()
                iteration = run_and_print(engine, self.load(engine), message, print_answer=not as_json)
                options.prepare_next_command()
                if as_json:
                    iteration.wait()
                    say(to_text(run_json(iteration, message, engine.catalog)))
        finally:
            is_ended = isinstance(sys.exc_info()[1], KeyboardInterrupt)
            with nullcontext() if is_ended else options.asking_twice("the results of this run are being stored"):
                engine.close()

    def plan(self, settings: CommandSettings, *, as_json: bool) -> None:
        from helix_spark.cli.printing import print_plan
        from helix_spark.cli.schema import plan_json

        with open_helix(settings, quiet=True) as engine:
            result = engine.plan(self.load(engine))
            print_result(as_json, lambda: plan_json(result), lambda: print_plan(result))

    def explain(self, name: str, settings: CommandSettings, *, as_json: bool) -> None:
        from helix_spark.cli.printing import print_lines
        from helix_spark.cli.schema import plan_json
        from helix_spark.dag.compilation import compile_workflow
        from helix_spark.history.feature_weights import feature_weights
        from helix_spark.views.iteration_view import planned_node_lines

        with open_helix(settings, quiet=True) as engine:
            workflow = self.load(engine)
            plan = engine.plan(workflow)
            weights = list(feature_weights(compile_workflow(workflow), plan, engine.catalog))
        planned = plan[name].name
        influence = [
            asdict(weight) | {"without_influence": weight.without_influence}
            for weight in weights if planned in (weight.learner, weight.feature)
        ]
        print_result(
            as_json, lambda: next(
                {**entry, "influence": influence} for entry in plan_json(plan)["nodes"] if entry["name"] == planned
            ),
            lambda: print_lines(planned_node_lines(plan, name, weights)),
        )

    def audit(self, settings: CommandSettings, *, everything: bool, seconds: float | None) -> Audit:
        with open_helix(settings, quiet=True) as engine:
            return engine.audit(self.load(engine), everything=everything, seconds=seconds)


def run_and_print(engine: Helix, workflow: Workflow, message: str, *, print_answer: bool) -> Iteration:
    """Run a workflow and print its answer next to that of the last run that finished."""
    from helix_spark.cli.printing import print_answer as print_view
    from helix_spark.history.metrics import metrics_of
    from helix_spark.run.iteration import view_of_run

    iteration = engine.run(workflow, message)
    if print_answer:
        before = iteration.before
        if before is None and iteration.number > 1:
            newest = engine.catalog.iterations(workflow.name, 5)
            finished = (record for record in newest if record.number < iteration.number and record.status == "done")
            before = next(map(metrics_of, finished), None)
        print_view(view_of_run(iteration, before))
    return iteration
