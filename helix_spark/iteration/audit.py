"""Audit: stored results are computed once more from their sources, with nothing reused, and compared with what is
stored. One that comes out the same is verified. One that does not is chance, or rests on something that no signature
covers: neither it nor what is made of it is ever reused again."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from helix_spark.catalog.records import ResultRecord
from helix_spark.dag.node import Dag
from helix_spark.dag.slicing import slice_to_outputs
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.agreement import NotComparedError, difference
from helix_spark.engine.results.loading import load
from helix_spark.engine.results.node_results import ModelResult, TableResult
from helix_spark.iteration.auditable_results import auditable_nodes
from helix_spark.iteration.executing import registering
from helix_spark.iteration.run import Run
from helix_spark.planner.planning import make_plan
from helix_spark.planner.policies import Never

Verdict = Literal["verified", "different", "not compared"]


@dataclass(frozen=True, slots=True)
class Audited:
    """What became of one stored result.

    Attributes:
        verdict: the same when computed again, not the same, or of a kind of which that cannot be told.
        why: in words; empty for a verified one.
        exact: whether it came out equal to the last bit.
        to_blame: whether it differs although nothing that it is made of does.
        heirs: names of the nodes whose stored results are made of a different one, and went with it.
    """

    node: str
    signature: str
    verdict: Verdict
    why: str = ""
    exact: bool = False
    to_blame: bool = False
    heirs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        results: that were computed again, inputs first.
        verified: names of the nodes whose stored results were verified before, and not looked at again.
        left: names of those that the time did not suffice for.
        seconds: that it took.
    """

    results: tuple[Audited, ...]
    verified: tuple[str, ...]
    left: tuple[str, ...]
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether nothing came out different."""
        return all(one.verdict != "different" for one in self.results)


def audit(
    run: Run, *, everything: bool, seconds: float | None, wanted: Collection[str] | None = None
) -> Audit:
    """Compute stored results of a workflow again, and put on record how they came out.

    Args:
        everything: also what is verified.
        seconds: that it is expected to take at most.
        wanted: signatures of results; these alone are looked at. None: all that are stored.

    Raises:
        NodeError: the author's code or a Spark job failed; nothing is on record then.
        CatalogError: a stored result is damaged, or cannot be reached.
    """
    begun = time.perf_counter()
    stored = [name for name in auditable_nodes(run) if wanted is None or run.situation[name].signature in wanted]
    verified = [] if everything else [name for name in stored if _is_verified(name, run)]
    asked = _dearest_first([name for name in stored if name not in verified], run)
    chosen = _with_their_inputs(_within(asked, run, seconds), run)
    found: list[Audited] = []
    if chosen:
        outcome = _from_scratch(run, chosen)
        try:
            for node in run.dag.nodes:
                if node.name in chosen:
                    found.append(_excused(_compared(node.name, run, outcome), found, run, outcome))
        finally:
            _unpin(outcome)
        found = _noted(found, run)
    left = tuple(name for name in asked if name not in chosen)
    before = tuple(name for name in verified if name not in chosen)
    return Audit(tuple(found), before, left, time.perf_counter() - begun)


def _is_verified(name: str, run: Run) -> bool:
    return run.situation[name].verified


def _dearest_first(names: Sequence[str], run: Run) -> list[str]:
    """By the seconds of all that would be wrong with them, for each second that it takes to look."""
    costs = {one.name: one.costs.compute.amount for one in run.situation.nodes}

    def harm(name: str) -> float:
        below = sum(costs[one] for one in run.dag.descendants([name]))
        above = sum(costs[one] for one in run.dag.ancestors(name))
        return (costs[name] + below) / max(costs[name] + above, 1e-3)

    return sorted(names, key=harm, reverse=True)


def _within(names: Sequence[str], run: Run, seconds: float | None) -> list[str]:
    """As many of these as are expected to be computed in time, with what they are made of."""
    chosen: list[str] = []
    needed: set[str] = set()
    for name in names:
        more = needed | {name} | run.dag.ancestors(name)
        if seconds is None or sum(run.situation[one].costs.compute.amount for one in more) <= seconds:
            chosen.append(name)
            needed = more
    return chosen


def _with_their_inputs(names: Collection[str], run: Run) -> frozenset[str]:
    """With the stored results that they are made of, which are computed on the way: else what is made of a different
    one would take the blame."""
    above = frozenset[str]().union(*map(run.dag.ancestors, names))
    return above.intersection(auditable_nodes(run)).union(names)


def _from_scratch(run: Run, chosen: Collection[str]) -> Outcome:
    """Compute nodes, and load nothing but draws that stand."""
    dag = _asked_for(run.dag, chosen)
    fixed = {run.situation[node.name].signature for node in dag.nodes if node.wishes.fixed}
    drawn = {signature: record for signature, record in run.view.artifacts.items() if signature in fixed}
    asked = run.situation.on(dag)
    nodes = tuple(
        replace(one, artifact=drawn.get(one.signature), held=False, influence=None) for one in asked.nodes
    )
    situation = replace(asked, nodes=nodes, others=(), scenarios=(), budget=None)
    plan = make_plan(situation, Never())
    outcome = run.tools.executor.execute(dag, plan, drawn, run.id, registering(replace(run, dag=dag)))
    if outcome.failure is not None:
        _unpin(outcome)
        raise outcome.failure
    return outcome


def _asked_for(dag: Dag, names: Collection[str]) -> Dag:
    return slice_to_outputs(replace(dag, outputs=tuple(names)))


def _unpin(outcome: Outcome) -> None:
    for name in outcome.pinned:
        if isinstance(result := outcome.results.get(name), TableResult):
            result.unpin()


def _compared(name: str, run: Run, outcome: Outcome) -> Audited:
    signature = run.situation[name].signature
    before = load(run.view.artifacts[signature], run.tools.catalog, run.tools.sessions)
    try:
        how = difference(before, outcome.results[name])
        exact = how is None and difference(before, outcome.results[name], exact=True) is None
    except NotComparedError as error:
        return Audited(name, signature, "not compared", str(error))
    return Audited(name, signature, "verified" if how is None else "different", how or "", exact)


def _excused(one: Audited, before: Sequence[Audited], run: Run, outcome: Outcome) -> Audited:
    """What came out different, unless a model may be the reason that it is made of: one that was fitted to rows in
    another order is a little different, and a little may turn a prediction.

    Args:
        before: what it may be made of, as far as that was compared.
    """
    known = {other.node: other for other in before}
    above = run.dag.ancestors(one.node)
    if one.verdict != "different" or any(known[name].verdict == "different" for name in above & known.keys()):
        return one
    reason = next((name for name in above if (
        not known[name].exact if name in known else isinstance(outcome.results.get(name), ModelResult)
    )), None)
    if reason is None:
        return one
    why = f"it is made of `{reason}`, which was not compared, or not equal to the last bit; {one.why}"
    return replace(one, verdict="not compared", why=why)


def _noted(found: Sequence[Audited], run: Run) -> list[Audited]:
    """Put on record what was found. Of what came out different those alone are to blame whose inputs did not; what is
    made of it goes with it."""
    different = {one.node for one in found if one.verdict == "different"}
    to_blame = {name for name in different if different.isdisjoint(run.dag.ancestors(name))}
    heirs = {name: tuple(_heirs(name, run)) for name in to_blame}
    told = [replace(one, to_blame=one.node in to_blame, heirs=heirs.get(one.node, ())) for one in found]
    why = {
        one.node: f"an audit computed `{one.node}` again and it came out different: {one.why}" for one in told
        if one.node in to_blame
    }
    run.tools.catalog.append_results([
        record for one in told if one.verdict == "verified" or one.node in to_blame
        for record in (_record(one, why.get(one.node, ""), run),)
    ])
    _put_aside(why, heirs, run)
    return told


def _heirs(name: str, run: Run) -> Iterator[str]:
    """Names of the nodes whose stored results are made of a node's."""
    below = run.dag.descendants([name])
    return (
        node.name for node in run.dag.nodes
        if node.name in below and run.situation[node.name].signature in run.view.artifacts
    )


def _record(one: Audited, why: str, run: Run) -> ResultRecord:
    return ResultRecord(
        declared=run.situation[one.node].signed.declared, signature=one.signature, workflow=run.dag.workflow,
        node=one.node, kind=run.dag[one.node].kind, iteration=run.situation.iteration, random=why,
        verified=True if one.verdict == "verified" else None,
    )


def _put_aside(
    why: Mapping[str, str], heirs: Mapping[str, Sequence[str]], run: Run
) -> None:
    """Quarantine what came out different, with its heirs. The record says already that nobody may reuse it."""
    reasons: dict[str, str] = {}
    for name, text in why.items():
        reasons |= dict.fromkeys(heirs[name], f"it is made of `{name}`: {text}")
    for name, text in {**reasons, **why}.items():
        signature = run.situation[name].signature
        run.tools.catalog.quarantine(signature, text, attempt=run.view.artifacts[signature].attempt)
        run.tools.memory.drop(signature)
