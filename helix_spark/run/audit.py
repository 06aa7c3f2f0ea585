"""Audits: compute recorded results again and compare. An equal result is verified. A different result is
nondeterministic, or depends on something that no signature covers: neither it nor its descendants are reused again.

A requested audit reuses nothing. A background audit computes each result from its stored inputs: node by node, that
proves the same in less time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ResultRecord
from helix_spark.dag.node import ancestors_of
from helix_spark.engine.execution.outcome import Outcome
from helix_spark.engine.results.agreement import NotComparedError, difference
from helix_spark.engine.results.node_results import ModelResult
from helix_spark.engine.results.stored_results import load
from helix_spark.errors import HelixError
from helix_spark.run.auditor import circumstances
from helix_spark.run.executing import compute_alone, plan_alone, release_results
from helix_spark.run.run import Run

Verdict = Literal["verified", "different", "not compared"]


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of one result.

    Attributes:
        why: the reason of the verdict in words; empty for a verified result.
        exact: True if the result is equal to the last bit.
        to_blame: True if the result differs although no ancestor does.
        heirs: names of the descendants whose stored results were quarantined with it.
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
    """The findings of an audit.

    Attributes:
        results: audits of the results that were computed again, inputs first.
        verified: names of the nodes whose results were verified before, and not computed again.
        left: names of the nodes that the time did not suffice for.
        ended: why the audit stopped early; empty if it did not.
    """

    results: tuple[Audited, ...]
    verified: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    seconds: float = 0.0
    ended: str = ""

    @property
    def sound(self) -> bool:
        return all(result.verdict != "different" for result in self.results)


Compare = Callable[[str, Mapping[str, Audited]], Audited | None]
"""Compares a node's result with the recorded one, given the audits of its ancestors; None if it was not computed
again."""


def judge(
    records: Mapping[str, ResultRecord], above: Mapping[str, Collection[str]], compare: Compare, catalog: Catalog, *,
    stored: Collection[str] = (), hidden: Collection[str] = (), circumstances: str, since: float,
) -> tuple[tuple[Audited, ...], dict[str, str]]:
    """Compare results with the recorded ones, and record the verdicts. Different results without a different ancestor
    are to blame. Return the audits, and by name why results must not be reused any more.

    Args:
        records: the record of each node, by name, inputs first.
        above: the names of each node's ancestors.
        stored: names of the results to quarantine with an ancestor.
        hidden: names of nodes that cannot be compared: they are verified if a descendant is.
        circumstances: see `run.auditor.circumstances`.
        since: the start of the audit, by `time.perf_counter`.
    """
    compared: dict[str, Audited] = {}
    for name in records:
        audited = compare(name, {source: compared[source] for source in compared.keys() & above[name]})
        if audited is not None:
            compared[name] = audited
    different = {name for name, audited in compared.items() if audited.verdict == "different"}
    verified = {name for name, audited in compared.items() if audited.verdict == "verified"}
    why = dict[str, str]()
    for name in compared:
        if name in different and different.isdisjoint(above[name]):
            heirs = tuple(descendant for descendant in records if descendant in stored and name in above[descendant])
            compared[name] = replace(compared[name], to_blame=True, heirs=heirs)
            why[name] = f"an audit computed `{name}` again and it came out different: {compared[name].why}"[:_LONGEST]
    above_verified, above_different = (
        frozenset[str]().union(*(above[name] for name in names)) for names in (verified, different)
    )
    verified |= above_verified.intersection(hidden) - above_different
    audited_names = [name for name in records if name in compared or name in verified]
    now, seconds = time.time(), (time.perf_counter() - since) / max(len(audited_names), 1)
    catalog.append_results([
        replace(records[name], audit_seconds=seconds, verified=True, verified_at=now, verified_in=circumstances)
        if name in verified else replace(records[name], audit_seconds=seconds, random=why.get(name, ""))
        for name in audited_names
    ])
    heirs_why = {heir: f"it is made of `{name}`: {why[name]}" for name in why for heir in compared[name].heirs}
    return tuple(compared.values()), heirs_why | why


_LONGEST = 1_000


def audit(
    run: Run, *, everything: bool, seconds: float | None, wanted: Collection[str] | None = None,
    since: float | None = None,
) -> Audit:
    """Compute stored results of a workflow again, and record the verdicts; see `Helix.audit`.

    Args:
        wanted: signatures of the results to compute from their stored inputs; None for all stored ones, from scratch.
        since: the start of a process for this audit alone, by `time.perf_counter`.
    """
    start = time.perf_counter()
    lost = [node.name for node in run.situation.nodes if node.signed.instance and node.artifact is None]
    below_lost = run.dag.descendants(lost)
    auditable = [  # expected to be the same
        node.name for node in run.situation.nodes
        if node.signature in run.view.artifacts and not node.signed.random and not node.signed.instance
        and node.name not in below_lost
    ]
    stored = [name for name in auditable if wanted is None or run.situation[name].signature in wanted]
    verified = [] if everything else [name for name in stored if run.situation[name].proof == "verified"]
    unverified = [name for name in stored if name not in verified]
    # From scratch with their stored ancestors: else descendants of a different result would be to blame.
    chosen = _affordable(unverified, run, seconds, from_scratch=wanted is None).intersection(auditable)
    results: tuple[Audited, ...] = ()
    if chosen:
        results = _compute_and_judge(run, chosen, None if wanted is None else chosen, start if since is None else since)
    return Audit(
        results, tuple(name for name in verified if name not in chosen),
        tuple(name for name in unverified if name not in chosen), time.perf_counter() - start,
    )


def _compute_and_judge(
    run: Run, chosen: frozenset[str], again: Collection[str] | None, since: float
) -> tuple[Audited, ...]:
    """Compute results again, judge them, and quarantine those that must not be reused; see `compute_alone`, `judge`."""
    nodes, catalog = run.situation.nodes, run.tools.catalog
    records = {
        node.name: ResultRecord(
            node.signed.declared, node.signature, run.dag.workflow, node.name, node.node.kind, run.situation.iteration,
        )
        for node in nodes
    }
    try:
        outcome = compute_alone(run, tuple(chosen), again=again).outcome
    except HelixError:  # its seconds count, or it would be tried again and again
        first = next(record for name, record in records.items() if name in chosen)
        catalog.append_results([replace(first, audit_seconds=time.perf_counter() - since)])
        raise
    try:
        results, unusable = judge(
            records, ancestors_of(run.dag.nodes), partial(_compare, run, outcome, chosen), catalog,
            stored=[node.name for node in nodes if node.signature in run.view.artifacts],
            circumstances=circumstances(run.described[node.name].digest for node in nodes), since=since,
        )
    finally:
        release_results(outcome)
    for name, why in unusable.items():
        signature = run.situation[name].signature
        catalog.quarantine(signature, why, attempt=run.view.artifacts[signature].attempt)
        run.tools.memory.drop(signature)
    return results


def _affordable(names: Sequence[str], run: Run, seconds: float | None, *, from_scratch: bool) -> frozenset[str]:
    """Return the nodes to compute in time, chosen by seconds of work at risk per second of audit. From scratch they are
    computed with all their ancestors, else alone, from their stored inputs."""
    costs = {node.name: node.costs.compute_seconds for node in run.situation.nodes}

    def total(names: Collection[str]) -> float:
        return sum(costs[name] for name in names)

    def needed(name: str) -> frozenset[str]:
        return run.dag.ancestors[name] | {name} if from_scratch else frozenset({name})

    def expected(names: frozenset[str]) -> float:
        return total(names) if from_scratch else plan_alone(run, names, again=names).plan.predicted_seconds

    def risk(name: str) -> float:
        return total(run.dag.descendants([name]) | {name}) / max(total(needed(name)), 1e-3)

    chosen = frozenset[str]()
    for name in sorted(names, key=risk, reverse=True):
        extended = chosen | needed(name)
        if seconds is None or expected(extended) <= seconds:
            chosen = extended
    return chosen


def _compare(
    run: Run, outcome: Outcome, chosen: Collection[str], name: str, above: Mapping[str, Audited]
) -> Audited | None:
    if name not in chosen:
        return None
    signature, after = run.situation[name].signature, outcome.results[name]
    before = load(run.view.artifacts[signature], run.tools.catalog, run.tools.sessions)
    try:
        change = difference(before, after)
        exact = change is None and difference(before, after, exact=True) is None
    except NotComparedError as error:
        return Audited(name, signature, "not compared", str(error))
    if change is None:
        return Audited(name, signature, "verified", exact=exact)
    model = _inexact_model(run.dag.ancestors[name], outcome, above)
    if model is None:
        return Audited(name, signature, "different", change)
    why = f"it depends on `{model}`, which was not compared, or not equal to the last bit; {change}"
    return Audited(name, signature, "not compared", why)


def _inexact_model(ancestors: Collection[str], outcome: Outcome, above: Mapping[str, Audited]) -> str | None:
    """Return a model that may explain a difference; None without one, or if another result is to blame. A model fitted
    to rows in another order differs a little, which may change a prediction."""
    if any(audited.verdict == "different" for audited in above.values()):
        return None
    return next((name for name in ancestors if (
        not above[name].exact if name in above else isinstance(outcome.results.get(name), ModelResult)
    )), None)
