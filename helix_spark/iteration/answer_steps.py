"""From what was executed to the answer, and to what goes on behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from helix_spark.engine.lowering.chance_in_plans import found_random
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.errors import OvertakenError
from helix_spark.iteration.holding import held_or_stored, hold
from helix_spark.iteration.iteration import Iteration
from helix_spark.iteration.node_run import node_runs
from helix_spark.iteration.output_tables import tables_here
from helix_spark.iteration.recording import described_outputs, not_reached, unmeasured
from helix_spark.iteration.retention import Retention
from helix_spark.iteration.run import Run


def measure(run: Run) -> Run:
    """What the run took, what it found of chance, and what it answers."""
    seconds = time.perf_counter() - run.begun + run.waited
    dag, plan, outcome = run.dag, run.plan, run.outcome
    run = replace(
        run, seconds=seconds, start_seconds=run.tools.sessions.start_seconds_since(run.begun),
        nodes=node_runs(run),
        chance=found_random(dag, plan, outcome.results, outcome.suspicion, run.described),
    )
    run = replace(run, retention=Retention(run))
    if outcome.failure is not None:
        return run
    return replace(run, outputs=described_outputs(run))


def hold_results(run: Run) -> Run:
    """What later runs may find in memory is there."""
    hold(run, run.retention.storable.not_to_be_held)
    return run


def announce(run: Run) -> Run:
    """People are told that the answer is there."""
    if run.outcome.failure is None:
        run.tools.observer.answered(run.seconds)
        for warning in unmeasured(run):
            run.tools.observer.warning(warning)
    return run


def look_at_tables(run: Run) -> Run:
    """The first rows of the output tables that are in this process."""
    return replace(run, tables=tables_here(run)) if run.outcome.failure is None else run


def iteration_of(run: Run, compute: Callable[[str, str], NodeResult]) -> Iteration:
    """Return the run as its author gets it back. Raises its failure.

    Args:
        compute: computes an output that was told from the record alone, by its name and signature.
    """
    failure = run.outcome.failure
    if failure is not None:
        if not isinstance(failure, OvertakenError) and (said := not_reached(run)):
            run.tools.observer.warning(said)
        raise failure
    return Iteration(run, partial(held_or_stored, run.tools), compute)
