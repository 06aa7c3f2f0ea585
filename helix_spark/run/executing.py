"""Plans are executed, until all is had or nothing helps."""

from __future__ import annotations

from dataclasses import replace

from helix_spark.dag.slicing import slice_to_outputs
from helix_spark.engine.lowering.chance_in_plans import found_random
from helix_spark.engine.results.loading import DamagedResultError, looked_into
from helix_spark.engine.results.node_results import NodeResult
from helix_spark.errors import CatalogError, NotStoredError
from helix_spark.planner.planning import make_plan
from helix_spark.planner.policies import Never
from helix_spark.run.answer_steps import hold_in_memory
from helix_spark.run.cut_off import worth_comparing
from helix_spark.run.data_read import DataRead
from helix_spark.run.deciding import plan_again
from helix_spark.run.run import Run


def execute(run: Run) -> Run:
    """Do what the plan says, until all is had, something fails, or a result turns out to be an earlier one."""
    outcome = run.tools.executor.execute(
        run.dag, run.plan, run.view.artifacts, run.id, registering(run), worth_comparing(run), run.goes_on_from,
        run.answered.begin,
    )
    return replace(run, outcome=outcome, goes_on_from=None, unfinished=False)


def set_damage_aside(run: Run) -> Run:
    """Where a stored result turned out to be damaged: it is put aside, and all is planned again without it. Each is put
    aside once, so this comes to an end."""
    damage, tools = run.outcome.failure, run.tools
    if not isinstance(damage, DamagedResultError) or damage.record.attempt in run.set_aside:
        return run
    hold_in_memory(run, _uncertain(damage, run))
    # It may be held, too: its rows were read before its files went, and its DataFrame is asked for now.
    tools.memory.drop(damage.record.signature)
    if (sound := _quarantined(damage, run)) is not None:
        run.outcome.failure = sound
        return run
    run = plan_again(replace(run, had=frozenset(), set_aside=run.set_aside | {damage.record.attempt}))
    tools.observer.planned(run.numbered)
    return replace(run, unfinished=True)


def compute_output(run: Run, name: str, signature: str) -> NodeResult:
    """Compute an output that was told from the record alone, from what is stored.

    Args:
        run: looked up now.
        signature: the one that the output had then.

    Raises:
        NotStoredError: it would be another result now.
        NodeError: the author's code or a Spark job failed.
    """
    node = run.dag[name]
    if run.situation[name].signature != signature:
        raise NotStoredError(
            f"the result of {name!r} was not kept, and what it is made of has changed since", where=node.where,
            remedy="run the workflow again",
        )
    run.tools.observer.warning(f"`{name}` was not kept: it is computed now, as its result is asked for")
    dag = slice_to_outputs(replace(run.dag, outputs=(node.name,)))
    situation = replace(run.situation.on(dag), recorded={}, others=(), scenarios=(), budget=None)
    plan = make_plan(situation, Never())
    artifacts = run.view.artifacts
    run = replace(run, dag=dag, situation=situation, plan=plan)
    outcome = run.tools.executor.execute(dag, plan, artifacts, run.id, registering(run), begin_call=run.answered.begin)
    if outcome.failure is not None:
        raise outcome.failure
    hold_in_memory(replace(run, outcome=outcome))
    return outcome.results[node.name]


def registering(run: Run) -> frozenset[str]:
    """Return the names of nodes whose code registers views or functions with the session."""
    return frozenset(node.name for node in run.dag.nodes if run.described[node.name].in_turns)


def _uncertain(damage: DamagedResultError, run: Run) -> frozenset[str]:
    """Names of the nodes whose results the next try must not find in memory: those made of a damaged one, as persisted
    or not, their plans may have to read it; and those that differ each time or are of data that changed meanwhile,
    as who finds them held asks neither."""
    names = {node.name for node in run.plan.nodes if node.signature == damage.record.signature}
    outcome = run.outcome
    chance = found_random(run.dag, run.plan, outcome.results, outcome.suspicion, run.described)
    names.update(chance.found, chance.drawn)
    data = DataRead(run)
    names.update(name for name in data.names if data.change(name, contents=False) is not None)
    return run.dag.descendants(names).union(names)


def _quarantined(damage: DamagedResultError, run: Run) -> CatalogError | None:
    """Put a damaged result aside. One that is sound, or cannot be reached, stays: then what failed is returned."""
    try:
        found = looked_into(damage, run.tools.catalog)
    except CatalogError as error:
        return error
    if found is not damage:
        return found
    ended = run.tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt)
    if ended is not None:  # else it was evicted since this run planned, and its files are gone for that reason
        run.tools.observer.warning(f"{damage.what}; it is computed again")
    return None
