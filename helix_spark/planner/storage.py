"""The planning problem, which covers states and storage, and a policy's decision. Costs are in seconds and bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from helix_spark.costs.forecast import Prospect
from helix_spark.planner.problem import Certificate, Derivation, ExecutionProblem, Solution, State


@dataclass(frozen=True, slots=True)
class NodeCosts:
    """One node as the planner sees it.

    Attributes:
        signature: the result's signature; results are stored, shared and compared by it.
        compute_seconds: c, seconds to compute the result from its inputs.
        load_seconds: l, seconds to load it from the catalog, even if it is not stored yet.
        write_seconds: w, seconds to store it.
        bytes: physical bytes when stored.
        storable: False for columns and nondeterministic results, which are never stored.
        differs: True if the result is nondeterministic.
        held: True if the session has the result in memory.
        served: True if a warm server has the result in memory for sessions.
        recompute: True if the author wants the node computed in every run.
        fixed: True if the result is an instance: computing it again would change it, and everything downstream.
        compute_needs_spark, load_needs_spark: True if that takes a session. Only Spark computes what it has to load.
        kept_for: a sentence that names another workflow or a pin that keeps the stored result; `keep` is then "always".
        pinned: True if a pinned iteration has the stored result, which is then kept whatever the budget is.
        shown: True for outputs, models and values, which people look at.
    """

    name: str
    kind: str
    signature: str
    inputs: tuple[str, ...]
    compute_seconds: float
    load_seconds: float
    write_seconds: float
    bytes: int
    stored: bool = False
    storable: bool = True
    held: bool = False
    served: bool = False
    keep: Literal["auto", "always", "never"] = "auto"
    recompute: bool = False
    compute_needs_spark: bool = False
    load_needs_spark: bool = False
    fixed: bool = False
    kept_for: str = ""
    differs: bool = False
    pinned: bool = False
    shown: bool = False

    @property
    def in_memory(self) -> bool:
        """True if the session or a warm server has the result in memory."""
        return self.held or self.served


@dataclass(frozen=True, slots=True)
class OtherArtifact:
    """A stored result of an earlier iteration or another workflow, which no node of the current version has.

    Attributes:
        age: iterations since it was last used, at least 1. It is 1 for another workflow's newest result of a node,
            since that workflow's next run is unknown.
        seconds_again: seconds to compute it again from the other stored results, as far as its lineage is known.
        kept_for: a sentence that names the workflow or pin that keeps it; else empty.
        fixed: True if its author fixed it: computing it again would change it.
        pinned: True if a pinned iteration has it, so it is kept whatever the budget is.
        shown: a sentence that names the newest or best iteration that showed it to people; else empty.
    """

    signature: str
    workflow: str
    node: str
    bytes: int
    load_seconds: float
    seconds_again: float
    age: int
    kept_for: str = ""
    fixed: bool = False
    pinned: bool = False
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Scenario(Prospect):
    """A possible next iteration. `version` and `outputs` replace the current nodes and outputs if it runs another
    version (of an earlier iteration or another workflow)."""

    version: tuple[NodeCosts, ...] = ()
    outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlanningProblem:
    """The input of a policy.

    Attributes:
        nodes: nodes of the current version, inputs first.
        budget: bytes that all stored results may take; None for no limit.
        overhead: bytes of the budget that records and orphaned files take.
        others: stored results that the current version does not have.
        scenarios: possible next iterations.
        horizon: H, the number of further iterations to plan for.
        session_seconds: cost of using Spark in this iteration: its start unless it runs, and the delay of the session's
            first work unless it has done any.
        start_price: cost of using Spark in an iteration that runs in a new process.
        fresh_process: probability that the next iteration runs in a new process.
        done: the states, if the iteration has run and only storage is to be decided.
    """

    nodes: tuple[NodeCosts, ...]
    outputs: frozenset[str]
    budget: int | None = None
    overhead: int = 0
    others: tuple[OtherArtifact, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    horizon: float = 1.0
    done: Solution | None = None
    session_seconds: float = 0.0
    start_price: float = 0.0
    fresh_process: float = 0.0

    @property
    def stored(self) -> frozenset[str]:
        """Signatures of all stored results."""
        current = (node.signature for node in self.nodes if node.stored)
        return frozenset((*current, *(other.signature for other in self.others)))

    @property
    def later_session_seconds(self) -> float:
        """Expected cost of a session in the next iteration, if it needs one."""
        return self.start_price * self.fresh_process


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's decision.

    Attributes:
        solution: each node's derivation in this iteration.
        keep: signatures of the current version that are stored after the iteration.
        evict: signatures of stored results to evict.
        certificate: the certificate of the program that decided storage.
        reasons: sentences by signature that say why a result is kept, not kept or evicted.
    """

    solution: Solution
    keep: frozenset[str]
    evict: frozenset[str]
    certificate: Certificate
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def evictions(self) -> dict[str, str]:
        """Reasons of evictions, by signature."""
        return {signature: self.reasons.get(signature, "evicted") for signature in sorted(self.evict)}


class Policy(Protocol):
    """A rule that decides states and storage. Equal problems get equal decisions."""

    @property
    def name(self) -> str:
        """The policy's name, as plans show it."""

    def decide(self, problem: PlanningProblem) -> Decision:
        """Decide an iteration, or only its storage if `problem.done` has the states. Raises HelixError if an output can
        be neither loaded nor computed."""


SESSION = "(Spark session)"
"""Placeholder node for the session if it costs something: every derivation with Spark needs it."""


def execution_problem(problem: PlanningProblem) -> ExecutionProblem:
    """Return the current version's derivations. A plan pays once for a session if any derivation needs it."""
    start = (SESSION,) if problem.session_seconds > 0 else ()
    derivations = [Derivation(name, State.COMPUTE, (), problem.session_seconds) for name in start]
    derivations += [derivation for node in problem.nodes for derivation in _derivations(node, start)]
    names = (*start, *(node.name for node in problem.nodes))
    return ExecutionProblem(names, tuple(derivations), problem.outputs)


def _derivations(node: NodeCosts, start: tuple[str, ...]) -> list[Derivation]:
    needs = node.inputs + (start if node.compute_needs_spark else ())
    compute = Derivation(node.name, State.COMPUTE, needs, node.compute_seconds)
    if node.recompute or not (node.in_memory or node.stored):
        return [compute]
    if node.held:
        load = Derivation(node.name, State.LOAD, (), 0.0)
    elif node.stored:
        load = Derivation(node.name, State.LOAD, start if node.load_needs_spark else (), node.load_seconds)
    else:
        load = Derivation(node.name, State.LOAD, start, 0.02)  # served; measured, whatever the number of rows
    return [load] if node.fixed else [load, compute]


def scenarios(
    prospects: Iterable[Prospect], versions: Mapping[int, tuple[tuple[NodeCosts, ...], frozenset[str]]]
) -> tuple[Scenario, ...]:
    """Return a scenario for each prospect. `versions` has the nodes (inputs first) and outputs of the earlier
    iterations that prospects go back to, by number."""
    return tuple(
        Scenario(
            prospect.probability, prospect.hit, prospect.label, prospect.back_to,
            *(() if prospect.back_to is None else versions[prospect.back_to]),
        )
        for prospect in prospects
    )


# Lineage of results, across versions


@dataclass(frozen=True, slots=True)
class ResultCosts:
    """A result as other iterations see it: seconds to compute it from its inputs, and to load it if it is stored.

    Attributes:
        inputs: signatures of the inputs.
        loadable: False if keeping the result can never help.
        load_inputs: inputs that loading needs as well: the session, for results that only Spark can load.
    """

    inputs: tuple[str, ...]
    compute_seconds: float
    load_seconds: float
    loadable: bool = True
    load_inputs: tuple[str, ...] = ()


Lineage = Mapping[str, ResultCosts]
"""Results by signature."""


def lineage_of(nodes: Iterable[NodeCosts]) -> dict[str, ResultCosts]:
    """Return the lineage of one version's results; `nodes` has inputs first."""
    signatures: dict[str, str] = {}
    lineage: dict[str, ResultCosts] = {}
    for node in nodes:
        signatures[node.name] = node.signature
        inputs = tuple(signatures[name] for name in node.inputs)
        lineage[node.signature] = ResultCosts(inputs, node.compute_seconds, node.load_seconds)
    return lineage


def seconds_again(lineage: Lineage, signature: str, stored: Collection[str]) -> float | None:
    """Return the seconds to compute a stored result again from the others; None if its lineage is unknown.

    >>> lineage = {"rows": ResultCosts((), 40.0, 2.0), "parse": ResultCosts(("rows",), 600.0, 5.0)}
    >>> lineage["sums"] = ResultCosts(("parse",), 3.0, 0.1)
    >>> seconds_again(lineage, "sums", {"sums", "parse"}), seconds_again(lineage, "sums", {"sums"})
    (8.0, 643.0)
    >>> seconds_again({"sums": lineage["sums"]}, "sums", {"sums", "parse"})  # the load of the parse is not known
    3.0
    """
    seconds = 0.0
    visited: set[str] = set()
    stack = [signature]
    while stack:
        name = stack.pop()
        if name in visited:
            continue
        visited.add(name)
        if name != signature and name in stored:
            seconds += lineage[name].load_seconds if name in lineage else 0.0
        elif name not in lineage:
            return None
        else:
            seconds += lineage[name].compute_seconds
            stack.extend(lineage[name].inputs)
    return seconds
