"""From what was executed to the answer, and to what goes on behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from helix_spark.engine.execution.outcome import (
    load_seconds_by_node,
    seconds_by_node,
    starts_by_node,
    warm_seconds_by_node,
)
from helix_spark.engine.lowering.chance_in_plans import found_random
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.errors import OvertakenError
from helix_spark.iteration.iteration import Iteration
from helix_spark.iteration.node_run import NodeRun
from helix_spark.iteration.output_tables import tables_here
from helix_spark.iteration.recording import described_outputs, not_reached, unmeasured
from helix_spark.iteration.results_in_memory import find_result, hold_in_memory
from helix_spark.iteration.retention import Retention
from helix_spark.iteration.run import Run


def measure(run: Run) -> Run:
    """Note what the run took, what nondeterminism it found, and what it answers."""
    seconds = time.perf_counter() - run.begun + run.waited
    dag, plan, outcome = run.dag, run.plan, run.outcome
    run = replace(
        run, seconds=seconds, start_seconds=run.tools.sessions.start_seconds_since(run.begun),
        nodes=collect_node_runs(run),
        chance=found_random(dag, plan, outcome.results, outcome.suspicion, run.described),
    )
    run = replace(run, retention=Retention(run))
    if outcome.failure is not None:
        return run
    return replace(run, outputs=described_outputs(run))


def collect_node_runs(run: Run) -> tuple[NodeRun, ...]:
    """Return a row for each node, inputs first, once all is executed."""
    executed = run.dag, run.plan, run.outcome
    seconds, warm = seconds_by_node(*executed), warm_seconds_by_node(*executed)
    loads, starts = load_seconds_by_node(*executed), starts_by_node(*executed)
    return tuple(
        NodeRun(
            one, run.plan[one.name], run.outcome.results.get(one.name), seconds.get(one.name), warm.get(one.name),
            loads.get(one.name), starts.get(one.name),
        )
        for one in run.situation.nodes
    )


def hold_results(run: Run) -> Run:
    """Put into memory what later runs may find there."""
    hold_in_memory(run, run.retention.storable.not_to_be_held)
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
    return Iteration(run, partial(find_result, run.tools), compute)
