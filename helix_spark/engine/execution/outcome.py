"""What a run did, complete or not: results and times, and which results may differ each time or rest on what no
signature covers, as plans say and as code was seen to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from helix_spark.dag.node import Dag
from helix_spark.engine.execution.timing import NodeTime, Step, node_times
from helix_spark.engine.execution.units import is_lazy
from helix_spark.engine.lowering.watcher import Notes
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult
from helix_spark.engine.spark.gateway import spark_errors
from helix_spark.identity.code import Description
from helix_spark.identity.parts import Group
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.plans.sql_texts import spark_functions


@dataclass(slots=True)
class Outcome(Notes):
    """What a run did, complete or not.

    Attributes:
        results: of every node that was had.
        steps: the forced steps.
        rows: of the tables whose rows were counted.
        pinned: names of the persisted tables; once all is over, of those whose rows are all in memory.
        filled: names of the tables whose rows are all in memory by now.
        failure: what ended the run early.
        contents: digests of what results hold, by name, as far as they were taken (see `agreement`); None if nobody
            asks for them.
        equal: by name, the signature of an earlier result that a computed one is equal to, where that was noticed
            before all was done: what is left is to be planned anew.
    """

    results: dict[str, NodeResult] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    filled: set[str] = field(default_factory=set)
    failure: BaseException | None = None
    contents: dict[str, str] | None = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)


def times_by_node(dag: Dag, plan: Plan, outcome: Outcome) -> dict[str, NodeTime]:
    """Return what each node that ran took."""
    forced = {name for step in outcome.steps for name in step.names}
    return node_times(
        dag, outcome.steps, {node.name: node.predicted_seconds for node in plan.nodes},
        lazy=[name for name in outcome.results if name not in forced and not plan[name].held], pinned=outcome.pinned,
        loaded={node.name for node in plan.nodes if node.state is State.LOAD},
    )


def lasting(outcome: Outcome) -> dict[str, NodeResult]:
    """Return the results that mean something apart from this run's plans: all but columns."""
    return {name: result for name, result in outcome.results.items() if not isinstance(result, ColumnResult)}


@dataclass(frozen=True, slots=True)
class Chance:
    """What a run found of chance in what it computed, with why, by node name.

    Attributes:
        found: nodes whose own result may differ each time; those that only inherit it are left out. The reason is empty
            where Spark draws the rows of a fixed draw again for them, as it has not kept them.
        drawn: the same of nodes that their author fixed: their results stand, as draws.
    """

    found: Mapping[str, str]
    drawn: Mapping[str, str]


def found_random(dag: Dag, plan: Plan, outcome: Outcome, described: Mapping[str, Description]) -> Chance:
    """Return which results of a run are nondeterministic, and why."""
    registered = cache(partial(_registered, outcome.results))
    found, drawn = dict[str, str](), dict[str, str]()
    inheriting, redrawn = set[str](), set[str]()
    for node in dag.nodes:
        name = node.name
        if not inheriting.isdisjoint(node.inputs):
            inheriting.add(name)
        result = outcome.results.get(name)
        if result is None or plan[name].state is not State.COMPUTE or plan[name].random:
            continue
        why = outcome.differs.get(name)
        if why is None and not node.wishes.depends_on:
            calls = set(outcome.called.get(name, ()))
            if _sees_spark(described[name]) and described[name].calls:  # no plan tells of what was called for a value
                calls.update(word for word in described[name].calls if word.lower() in registered())
            why = _unseen_call(calls, name, dag, described)
        draws_again = not redrawn.isdisjoint(node.inputs)
        if name not in inheriting and (why is not None or (draws_again and is_lazy(node))):
            (drawn if node.wishes.fixed else found)[name] = f"`{name}` {why}" if why else ""
            inheriting.update(() if node.wishes.fixed else (name,))
        if (name in drawn or draws_again) and not _is_settled(result):
            redrawn.add(name)
    return Chance(found, drawn)


def _is_settled(result: NodeResult) -> bool:
    """Return whether reading a result draws nothing again."""
    return result.in_memory if isinstance(result, TableResult) else not isinstance(result, ColumnResult)


def _unseen_call(
    calls: Iterable[str], node: str, dag: Dag, described: Mapping[str, Description]
) -> str | None:
    """Return what is wrong with calls of functions that the session knows, in words; None if signatures cover them."""
    if not calls:
        return None
    # Signatures cover the functions that nodes reach, and those that they register themselves.
    own = [described[one] for one in (node, *dag.ancestors(node))]
    covered = {word for one in own for word in (*one.registers, *(part.label for part in one.parts))}
    known = {word.rpartition(".")[2].lower() for word in covered}  # as SQL has it
    unseen = next((name for name in sorted(calls) if name.lower() not in known), None)
    return f"calls {unseen}, registered with the session (name its function in depends_on=)" if unseen else None


def _sees_spark(described: Description) -> bool:
    """Return whether code that could ask a session for something is part of a node: else "score (mean)" is no call."""
    return any(part.group is Group.PACKAGE and part.label == "pyspark" for part in described.parts)


def _registered(results: Mapping[str, NodeResult]) -> frozenset[str]:
    """Return functions that only the session knows, in lower case; a run that made no table of Spark's called none."""
    frame = next((one.frame() for one in results.values() if isinstance(one, TableResult) and one.framed), None)
    if frame is None:
        return frozenset()
    try:
        registered = {one.name.lower() for one in frame.sparkSession.catalog.listFunctions() if one.isTemporary}
    except spark_errors():  # its JVM has ended, and the run with it
        return frozenset()
    return frozenset(registered - spark_functions())
