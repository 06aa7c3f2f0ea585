"""From what was executed to the answer, and to what goes on behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

from helix_spark.engine.execution.outcome import found_random, lasting, times_by_node
from helix_spark.engine.execution.timing import NodeTime
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import nearest
from helix_spark.history.metrics import Metrics
from helix_spark.run.iteration import Iteration
from helix_spark.run.recorded_outputs import outputs_on_record, tables_here
from helix_spark.run.run import NodeRun, Run
from helix_spark.run.workflow_results import WorkflowResults


def measure(run: Run) -> Run:
    """Note what the run took, what nondeterminism it found, and what it answers."""
    seconds = time.perf_counter() - run.begun + run.waited
    dag, plan, outcome = run.dag, run.plan, run.outcome
    run = replace(
        run, seconds=seconds, start_seconds=run.tools.sessions.start_seconds_since(run.begun),
        nodes=collect_node_runs(run),
        chance=found_random(dag, plan, outcome, run.described),
    )
    run = replace(run, results=WorkflowResults(run))
    if outcome.failure is not None:
        return run
    return replace(run, outputs=_described_outputs(run))


def collect_node_runs(run: Run) -> tuple[NodeRun, ...]:
    """Return a row for each node, inputs first, once all is executed."""
    times = times_by_node(run.dag, run.plan, run.outcome)
    return tuple(
        NodeRun(one, run.plan[one.name], run.outcome.results.get(one.name), times.get(one.name, NodeTime()))
        for one in run.situation.nodes
    )


def hold_results(run: Run) -> Run:
    """Put into memory what later runs may find there."""
    hold_in_memory(run, run.results.not_to_be_held)
    return run


def hold_in_memory(run: Run, spoiled: Collection[str] = ()) -> None:
    """Put the results of a run into the memory tier; nondeterministic ones are kept apart."""
    plan, outcome, memory = run.plan, run.outcome, run.tools.memory
    for name, result in lasting(outcome).items():
        if not plan[name].random and name not in spoiled:
            memory.put(plan[name].signature, result, persisted=name in outcome.pinned)
        elif name in outcome.pinned and isinstance(result, TableResult):
            memory.keep_apart(result)


def announce(run: Run) -> Run:
    """Tell people that the answer is there."""
    if run.outcome.failure is None:
        run.tools.observer.answered(run.seconds)
        for warning in _unmeasured(run):
            run.tools.observer.warning(warning)
    return run


def look_at_tables(run: Run) -> Run:
    """Preview the output tables whose rows are in this process."""
    return replace(run, tables=tables_here(run)) if run.outcome.failure is None else run


def _unmeasured(run: Run) -> Iterator[str]:
    """Yield warnings of declared metrics that the outputs do not have."""
    found = Metrics(run.outputs).values
    for node in run.whole.nodes:
        names = [name for name in found if name == node.name or name.startswith(f"{node.name}.")]
        for one in node.wishes.metrics:
            if node.name in run.outputs and one.name not in found:
                exists = nearest(one.name, names) if names else "it has no numbers"
                yield f"`{node.name}` returned no number `{one.name}`, of which metrics= says something: {exists}"


def _described_outputs(run: Run) -> dict[str, Any]:
    """Return outputs by the author's names: values as they are, tables and models as a short description."""
    told = dict(outputs_on_record(run))
    return {
        name: told[name] if name in told else _described(name, run) for name in run.whole.outputs
        if name in told or run.plan[name].name in run.outcome.results
    }


def _described(name: str, run: Run) -> Any:
    canonical = run.plan[name].name
    match run.outcome.results[canonical]:
        case ValueResult() as value:
            return value.copy()
        case TableResult() as table:
            rows = len(table.arrow()) if table.collected else run.outcome.rows.get(canonical)
            return {"table": name, "rows": rows}
        case ModelResult(model=model):
            return {"model": type(model).__name__}
    return None


def iteration_of(run: Run, compute: Callable[[str, str], NodeResult]) -> Iteration:
    """Return the run as its author gets it back. Raises its failure.

    Args:
        compute: computes an output that was answered from the record, by name and signature.
    """
    if run.outcome.failure is not None:
        raise run.outcome.failure
    return Iteration(run, run.tools.find_result, compute)
