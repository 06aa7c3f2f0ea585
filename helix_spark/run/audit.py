"""Audit: recorded results are computed again and compared with what is recorded. One that comes out the same is
verified. One that does not is random, or rests on something that no signature covers: neither it nor what is made of it
is reused again. Workflows and scripts differ in how results are computed again, and set aside.

An audit that somebody asks for reuses nothing. One in the background computes a result from what is stored of its
inputs: node by node that proves the same, for as much time as nobody misses.
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
        verdict: the same when computed again, not the same, or of a kind that cannot be compared.
        why: in words; empty for a verified one.
        exact: True if it is equal to the last bit.
        to_blame: True if it differs although nothing that it is made of does.
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
    """The findings of an audit.

    Attributes:
        results: that were computed again, inputs first.
        verified: names of the nodes whose results were verified before, and not computed again.
        left: names of those that the time did not suffice for.
        ended: why it stopped before all was computed again; empty if it did not.
    """

    results: tuple[Audited, ...]
    verified: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    seconds: float = 0.0
    ended: str = ""

    @property
    def sound(self) -> bool:
        return all(one.verdict != "different" for one in self.results)


Compare = Callable[[str, Mapping[str, Audited]], Audited | None]
"""Compares a node's result with what is recorded, given the nodes compared so far that it is made of; None if it was
not computed again."""


def judge(
    records: Mapping[str, ResultRecord], above: Mapping[str, Collection[str]], compare: Compare, catalog: Catalog, *,
    stored: Collection[str] = (), hidden: Collection[str] = (), circumstances: str, since: float,
) -> tuple[tuple[Audited, ...], dict[str, str]]:
    """Compare results with those that are recorded, name those to blame (whose inputs do not differ), and record what
    was found. Return it, and why results are not to be reused any more, by name.

    Args:
        records: of each node, by name, inputs first; `above` has the names of all that it is made of.
        stored: names of those whose results go with one that they are made of.
        hidden: names of those that cannot be compared: they are verified where what was made of them is.
        circumstances: see `run.auditor.circumstances`.
        since: when the audit began, by `time.perf_counter`.
    """
    compared: dict[str, Audited] = {}
    for name in records:
        one = compare(name, {source: compared[source] for source in compared.keys() & above[name]})
        if one is not None:
            compared[name] = one
    different = {name for name, one in compared.items() if one.verdict == "different"}
    verified = {name for name, one in compared.items() if one.verdict == "verified"}
    why = dict[str, str]()
    for name, one in compared.items():
        if name in different and different.isdisjoint(above[name]):
            heirs = tuple(heir for heir in records if heir in stored and name in above[heir])
            compared[name] = replace(one, to_blame=True, heirs=heirs)
            why[name] = f"an audit computed `{name}` again and it came out different: {one.why}"[:_LONGEST]
    above_verified, above_different = (
        frozenset[str]().union(*(above[name] for name in names)) for names in (verified, different)
    )
    verified |= above_verified.intersection(hidden) - above_different
    found = [name for name in records if name in compared or name in verified]
    now, seconds = time.time(), (time.perf_counter() - since) / max(len(found), 1)
    catalog.append_results([
        replace(records[name], audit_seconds=seconds, verified=True, verified_at=now, verified_in=circumstances)
        if name in verified else replace(records[name], audit_seconds=seconds, random=why.get(name, ""))
        for name in found
    ])
    of_heirs = {heir: f"it is made of `{name}`: {why[name]}" for name in why for heir in compared[name].heirs}
    return tuple(compared.values()), of_heirs | why


_LONGEST = 1_000


def audit(
    run: Run, *, everything: bool, seconds: float | None, wanted: Collection[str] | None = None,
    since: float | None = None,
) -> Audit:
    """Compute stored results of a workflow again, and record how they came out; see `Helix.audit`.

    Args:
        wanted: signatures; these are computed from what is stored of their inputs. None: all that are stored, from
            scratch.
        since: when the process began that is there for this audit alone, by `time.perf_counter`.
    """
    begun = time.perf_counter()
    lost = [one.name for one in run.situation.nodes if one.signed.instance and one.artifact is None]
    made_of_lost = run.dag.descendants(lost)
    auditable = [  # would come out the same, as far as is known
        one.name for one in run.situation.nodes
        if one.signature in run.view.artifacts and not one.signed.random and not one.signed.instance
        and one.name not in made_of_lost
    ]
    stored = [name for name in auditable if wanted is None or run.situation[name].signature in wanted]
    verified = [] if everything else [name for name in stored if run.situation[name].proof == "verified"]
    asked = [name for name in stored if name not in verified]
    # From scratch with the stored results that they are made of: else what is made of a different one takes the blame.
    chosen = _affordable(asked, run, seconds, from_scratch=wanted is None).intersection(auditable)
    results: tuple[Audited, ...] = ()
    if chosen:
        since, catalog = begun if since is None else since, run.tools.catalog
        records = {
            one.name: ResultRecord(
                one.signed.declared, one.signature, run.dag.workflow, one.name, one.node.kind, run.situation.iteration,
            )
            for one in run.situation.nodes
        }
        try:
            outcome = compute_alone(run, tuple(chosen), again=None if wanted is None else chosen).outcome
        except HelixError:  # what it took counts, or it would be tried for ever
            first = next(record for name, record in records.items() if name in chosen)
            catalog.append_results([replace(first, audit_seconds=time.perf_counter() - since)])
            raise
        try:
            here = circumstances(run.described[one.name].digest for one in run.situation.nodes)
            results, unusable = judge(
                records, ancestors_of(run.dag.nodes), partial(_compare, run, outcome, chosen), catalog,
                stored=[one.name for one in run.situation.nodes if one.signature in run.view.artifacts],
                circumstances=here, since=since,
            )
        finally:
            release_results(outcome)
        for name, why in unusable.items():
            signature = run.situation[name].signature
            catalog.quarantine(signature, why, attempt=run.view.artifacts[signature].attempt)
            run.tools.memory.drop(signature)
    left = tuple(name for name in asked if name not in chosen)
    return Audit(
        results, tuple(name for name in verified if name not in chosen), left, time.perf_counter() - begun
    )


def _affordable(names: Sequence[str], run: Run, seconds: float | None, *, from_scratch: bool) -> frozenset[str]:
    """Return as many of these as are expected to be computed in time: from scratch with all that they are made of, else
    alone, from what is stored of their inputs. First come those with the most seconds of work at risk per second."""
    costs = {one.name: one.costs.compute_seconds for one in run.situation.nodes}

    def took(names: Collection[str]) -> float:
        return sum(costs[one] for one in names)

    def needed(name: str) -> frozenset[str]:
        return run.dag.ancestors(name) | {name} if from_scratch else frozenset({name})

    def expected(names: frozenset[str]) -> float:
        return took(names) if from_scratch else plan_alone(run, names, again=names).plan.predicted_seconds

    def harm(name: str) -> float:
        return took(run.dag.descendants([name]) | {name}) / max(took(needed(name)), 1e-3)

    chosen = frozenset[str]()
    for name in sorted(names, key=harm, reverse=True):
        more = chosen | needed(name)
        if seconds is None or expected(more) <= seconds:
            chosen = more
    return chosen


def _compare(
    run: Run, outcome: Outcome, chosen: Collection[str], name: str, above: Mapping[str, Audited]
) -> Audited | None:
    if name not in chosen:
        return None
    signature, after = run.situation[name].signature, outcome.results[name]
    before = load(run.view.artifacts[signature], run.tools.catalog, run.tools.sessions)
    try:
        how = difference(before, after)
        exact = how is None and difference(before, after, exact=True) is None
    except NotComparedError as error:
        return Audited(name, signature, "not compared", str(error))
    if how is None:
        return Audited(name, signature, "verified", exact=exact)
    model = _inexact_model(run.dag.ancestors(name), outcome, above)
    if model is None:
        return Audited(name, signature, "different", how)
    why = f"it is made of `{model}`, which was not compared, or not equal to the last bit; {how}"
    return Audited(name, signature, "not compared", why)


def _inexact_model(ancestors: Collection[str], outcome: Outcome, above: Mapping[str, Audited]) -> str | None:
    """Return a model that may be why a result differs; None if there is none, or another result is to blame.

    A model fitted to rows in another order is a little different, and a little may turn a prediction.
    """
    if any(one.verdict == "different" for one in above.values()):
        return None
    return next((one for one in ancestors if (
        not above[one].exact if one in above else isinstance(outcome.results.get(one), ModelResult)
    )), None)
