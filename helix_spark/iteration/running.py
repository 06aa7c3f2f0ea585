"""One run from plan to answer; what follows the answer is in `after_answer.py`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from functools import partial

from helix_spark.dag.node import Node
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome, lasting, seconds_by_node, warm_seconds_by_node
from helix_spark.engine.lowering.randomness import found_random
from helix_spark.engine.lowering.stages import check_stages
from helix_spark.engine.results.loading import DamagedResultError, load, looked_into
from helix_spark.engine.results.results import NodeResult
from helix_spark.errors import CatalogError, OvertakenError
from helix_spark.iteration import recording
from helix_spark.iteration.after_answer import AfterAnswer, hold, release
from helix_spark.iteration.cut_off import LookUpAgain, cut_off, worth_comparing
from helix_spark.iteration.data_read import DataRead
from helix_spark.iteration.iteration import Iteration
from helix_spark.iteration.leasing import after_others
from helix_spark.iteration.preparation import Prepared
from helix_spark.iteration.provenance import Provenance
from helix_spark.iteration.tools import Tools
from helix_spark.past.metrics import metrics_of
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import make_plan
from helix_spark.planner.problem import State


def run_prepared(
    prepared: Prepared, plan: Plan, again: LookUpAgain, tools: Tools, message: str, begun: float,
    provenance: Provenance,
) -> Iteration:
    """Runs a plan and returns at its answer, or raises its failure; the rest follows either in the background.

    Args:
        again: looks the workflow up once more: when others stored something, when a stored result turned out to be
            damaged, when a computed one turned out to be an earlier one.
        begun: `time.perf_counter()` at the start of the run.
        provenance: where the workflow comes from.

    Raises:
        OperatorError: a stage that is to be computed cannot be had; nothing was run.
        NodeError: the author's code or a Spark job failed; what was computed before is kept.
    """
    least = time.perf_counter() - begun if tools.cut_off is None else tools.cut_off

    def plan_again() -> tuple[Prepared, Plan]:
        found = again(prepared, ())
        return found, make_plan(found.situation, tools.policy)

    check_stages(node for node in prepared.dag.nodes if plan[node.name].state is State.COMPUTE)
    tools.catalog.make()
    _end_missing(prepared, tools)
    leased: list[str] = []
    try:
        prepared, plan = after_others(
            prepared, plan, plan_again, tools.catalog, tools.observer, leased, tools.check_open
        )
        tools.catalog.leases.take(prepared.run)
        leased.append(prepared.run)
        after = _executed(prepared, plan, again, least, tools, message, begun, tuple(leased), provenance)
        outputs = after.outputs()
        hold(after.plan, after.outcome, tools.memory, after.retention.storable.not_to_be_held)
        if after.outcome.failure is None:
            tools.observer.answered(after.seconds)
            for warning in recording.unmeasured(after.prepared, outputs):
                tools.observer.warning(warning)
        behind = tools.behind.submit(after.finish, tools.recording.submit(after.recorded, deepcopy(outputs)))
    except BaseException:  # also an interrupt, wherever it comes: what follows the answer gives them back otherwise
        release(leased, tools)
        raise
    behind.add_done_callback(partial(_tell_defect, tools.observer))
    if after.outcome.failure is not None:
        is_overtaken = isinstance(after.outcome.failure, OvertakenError)
        if not is_overtaken and (said := recording.not_reached(after.plan, after.outcome)):
            tools.observer.warning(said)
        raise after.outcome.failure
    return Iteration(
        after.record.number, replace(after.plan, iteration=after.record.number), after.prepared.dag,
        lasting(after.outcome), outputs, after.seconds, after.node_seconds,
        after.start_seconds, behind, partial(held_or_stored, tools),
        replace(metrics_of(after.record), outputs=outputs), after.tables_here,
        metrics_of(last) if (last := prepared.view.last) is not None and last.status == "done" else None,
    )


def _executed(
    prepared: Prepared, plan: Plan, again: LookUpAgain, least: float, tools: Tools, message: str, begun: float,
    leased: tuple[str, ...], provenance: Provenance,
) -> AfterAnswer:
    """The run up to its answer, or its failure.

    Args:
        least: see `worth_comparing`.
    """
    tools.memory.next_version(node.signature for node in plan.nodes)
    record = tools.catalog.start_iteration(recording.begun(plan, prepared, message))
    tools.observer.planned(replace(plan, iteration=record.number))
    tools.standing.tell(plan, tools.observer.warning)
    _end_missing(prepared, tools)
    prepared, plan, outcome = _execute(prepared, plan, again, least, tools, record.number)
    seen: set[str] = set()
    while isinstance(outcome.failure, DamagedResultError) and outcome.failure.record.attempt not in seen:
        seen.add(outcome.failure.record.attempt)  # each is put aside once, so this comes to an end
        hold(plan, outcome, tools.memory, _uncertain(outcome.failure, prepared, plan, outcome))
        # It may be held, too: its rows were read before its files went, and its DataFrame is asked for now.
        tools.memory.drop(outcome.failure.record.signature)
        if (sound := _quarantined(outcome.failure, tools)) is not None:
            outcome.failure = sound
            break
        prepared = again(prepared, ())
        plan = make_plan(prepared.situation, tools.policy)
        tools.observer.planned(replace(plan, iteration=record.number))
        prepared, plan, outcome = _execute(prepared, plan, again, least, tools, record.number)
    seconds = time.perf_counter() - begun
    node_seconds = seconds_by_node(prepared.dag, plan, outcome)
    warm_seconds = warm_seconds_by_node(prepared.dag, plan, outcome)
    chance = found_random(prepared.dag, plan, outcome.results, outcome.suspicion, prepared.described)
    return AfterAnswer(
        prepared, plan, outcome, record, begun, seconds, tools.sessions.start_seconds_since(begun), node_seconds,
        warm_seconds, tools, chance, leased, provenance,
    )


def _execute(
    prepared: Prepared, plan: Plan, again: LookUpAgain, least: float, tools: Tools, number: int
) -> tuple[Prepared, Plan, Outcome]:
    """Runs a plan, and what becomes of it where results turn out to be earlier ones. Returns what was run in the end.

    Args:
        number: of the iteration; `least` as for `worth_comparing`.
    """
    outcome: Outcome | None = None
    while outcome is None or (outcome.equal and outcome.failure is None):
        if outcome is not None:
            prepared, plan = cut_off(
                prepared, plan, outcome, again, lambda found: make_plan(found.situation, tools.policy)
            )
            tools.observer.planned(replace(plan, iteration=number))
        compared = worth_comparing(prepared, plan, least)
        outcome = tools.executor.execute(
            prepared.dag, plan, prepared.view.artifacts, prepared.run, registering(prepared), compared, outcome
        )
    return prepared, plan, outcome


def registering(prepared: Prepared) -> list[str]:
    """Names of the nodes whose code registers views or functions with the session."""
    return [node.name for node in prepared.dag.nodes if _registers(node, prepared)]


def _registers(node: Node, prepared: Prepared) -> bool:
    """Whether a node's code registers views or functions with the session."""
    said = prepared.described[node.name].said
    return bool(said.views or said.registers)


def held_or_stored(tools: Tools, signature: str) -> NodeResult | None:
    """A result that a run did not need, or that an earlier one had, for who asks for it afterwards: checked as whatever
    a run loads. None where it is neither held in memory nor stored."""
    held = tools.memory.get(signature)
    if held is not None:
        return held
    record = tools.catalog.artifact(signature)
    return None if record is None else load(record, tools.catalog, tools.sessions)


def _tell_defect(observer: Observer, behind: Future[Mapping[str, int]]) -> None:
    """Says what nobody foresaw to fail behind an answer: who does not wait for the end would never hear of it."""
    if not behind.cancelled() and (error := behind.exception()) is not None:
        observer.warning(
            f"what follows the answer ended early, by a defect of Helix: {type(error).__name__}: {error}; what was "
            "stored before is kept"
        )


def _uncertain(
    damage: DamagedResultError, prepared: Prepared, plan: Plan, outcome: Outcome
) -> frozenset[str]:
    """Names of the nodes whose results the next try must not find in memory: those made of a damaged one, as persisted
    or not, their plans may have to read it; and those that differ each time or are of data that changed meanwhile,
    as who finds them held asks neither."""
    names = {node.name for node in plan.nodes if node.signature == damage.record.signature}
    chance = found_random(prepared.dag, plan, outcome.results, outcome.suspicion, prepared.described)
    names.update(chance.found, chance.drawn)
    data = DataRead(prepared.dag, plan, prepared.described, outcome)
    names.update(name for name in data.names if data.change(name, contents=False) is not None)
    return prepared.dag.descendants(names).union(names)


def _quarantined(damage: DamagedResultError, tools: Tools) -> CatalogError | None:
    """Puts a damaged result aside. One that is sound, or cannot be reached, stays: then what failed is returned."""
    try:
        found = looked_into(damage, tools.catalog)
    except CatalogError as error:
        return error
    if found is not damage:
        return found
    ended = tools.catalog.quarantine(damage.record.signature, damage.what, attempt=damage.record.attempt)
    if ended is not None:  # else it was evicted since this run planned, and its files are gone for that reason
        tools.observer.warning(f"{damage.what}; it is computed again")
    return None


def _end_missing(prepared: Prepared, tools: Tools) -> None:
    """Ends stored results whose folder is gone: a live record without data would keep new data from being published."""
    for record in tools.catalog.quarantine_missing(prepared.view.missing):
        tools.observer.warning(f"the stored result of {record.node!r} is gone; it is computed again when needed")
