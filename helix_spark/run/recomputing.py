"""Recomputation of a recorded result that was not kept: only if code and data make certain that it is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.dag.node import ancestors_of
from helix_spark.engine.execution.outcome import found_random
from helix_spark.engine.results.stored_results import Origin, store
from helix_spark.errors import CatalogError, NotStoredError
from helix_spark.identity.difference import own_changes, parts_from_json
from helix_spark.planner.joint import FirstCome, Joint
from helix_spark.planner.plan import Plan
from helix_spark.run.executing import compute_alone
from helix_spark.run.run import Run
from helix_spark.workflow.operators import Result


def recompute(
    run: Run, record: IterationRecord, nodes: Sequence[NodeRecord], node: NodeRecord, announce: Callable[[Plan], None]
) -> ArtifactRecord:
    """Compute the result of a node of an iteration from stored results, and store it; see `Helix.recompute`. `run` is
    a looked-up run of its workflow; `nodes` are all nodes of the iteration."""
    _check_is_same(run, record, nodes, node)
    declared = run.dag[node.name]
    run = compute_alone(run, (declared.name,), announce=announce)

    def check_unchanged() -> None:
        for source in run.dag.nodes:
            for data in run.described[source.name].reads:
                if (change := data.changed()) is not None:
                    raise CatalogError(f"the data that `{source.name}` reads changed during the computation ({change})")

    if random := found_random(run.dag, run.plan, run.outcome, run.described).found:
        raise _nondeterministic(record, node, next(filter(None, random.values()), ""))
    return store(
        run.outcome.results[declared.name], Origin(
            node.signature, record.workflow, declared.name, record.number, run.plan.predicted_seconds,
            at_hand=False, insisted=declared.wishes.insisted, fixed=declared.wishes.fixed,
        ), run.tools.catalog, check_unchanged,
    )


def is_kept(run: Run, stored: ArtifactRecord) -> bool:
    """Return whether a recomputed result stays stored: if demanded, or by a policy for small or all, within budget."""
    match run.tools.policy:
        case FirstCome(stores_all=stores_all):
            by_policy = stores_all
        case Joint(small=small):
            by_policy = stored.bytes <= small
        case _:
            by_policy = False
    has_room = run.tools.budget is None or run.tools.catalog.bytes_used() <= run.tools.budget
    return stored.insisted or (by_policy and has_room)


def _check_is_same(run: Run, record: IterationRecord, nodes: Sequence[NodeRecord], node: NodeRecord) -> None:
    """Raise NotStoredError unless a node still has its signature of an iteration."""
    if node.name in run.dag.by_name and run.dag[node.name].result is Result.COLUMN:
        raise NotStoredError(
            f"{node.name!r} is a column, which has no result of its own",
            remedy=f"export a table that contains the column: {', '.join(run.dag.readers(run.dag[node.name].name))}",
        )
    signed = run.situation[node.name].signed if node.name in run.dag.by_name else None
    if signed is not None and signed.signature == node.signature:
        return
    if differences := list(_differences(run, nodes, node)):
        commit = f" (its commit was {record.commit[:7]})" if record.commit else ""
        raise NotStoredError(
            f"{_result_text(record, node)} was not kept, and cannot be computed as it was",
            exists="; ".join(differences[:_LISTED]),
            remedy=f"restore that as it was{commit}, or run the workflow for a result of today",
        )
    names = () if signed is None else (*run.dag.ancestors[run.dag[node.name].name], node.name)
    described = [run.situation[name].described for name in names]
    reasons = (why for description in described for why in (*description.random, *description.choices))
    raise _nondeterministic(record, node, next(reasons, ""))


_LISTED = 5
"""Nodes whose differences an error lists."""


def _differences(run: Run, nodes: Sequence[NodeRecord], node: NodeRecord) -> Iterator[str]:
    """Yield the differences of today's node and its ancestors from recorded ones, inputs first."""
    above = ancestors_of(nodes)[node.name] | {node.name}
    for before in nodes:
        if before.name not in above:
            continue
        if before.name not in run.dag.by_name:
            yield f"there is no node {before.name!r} any more"
        elif changes := own_changes(parts_from_json(before.parts), run.situation[before.name].signed.parts):
            yield f"`{before.name}`: {', '.join(map(str, changes))}"


def _nondeterministic(record: IterationRecord, node: NodeRecord, why: str) -> NotStoredError:
    return NotStoredError(
        f"{_result_text(record, node)} was not kept, and is nondeterministic",
        exists=why or None,
        remedy='give random generators a seed; or declare the node with fixed=True and keep="always", which stores the '
        "result of the next run",
    )


def _result_text(record: IterationRecord, node: NodeRecord) -> str:
    return f"the result of {node.name!r} of iteration {record.number} of {record.workflow!r}"
