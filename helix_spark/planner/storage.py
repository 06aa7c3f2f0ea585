"""The whole planning problem, states and storage together, and a policy's answer. Frozen data; seconds and bytes."""

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
        signature: of its result; results are stored, shared and compared by it.
        compute_seconds: c, given its inputs.
        load_seconds: l, from the catalog, whether or not it is stored there yet.
        write_seconds: w, to store it.
        bytes: physical bytes when stored.
        storable: whether it may be stored at all (columns, and results that differ each time, may not).
        differs: whether its result may differ each time.
        held: whether the session still holds it in memory, to be had at once.
        served: whether a server that stays has it in memory, to be had by a session at once.
        recompute: the author wants it computed whatever is stored.
        fixed: the result is an instance: computing it again would give another, and what is made of it with that.
        compute_needs_spark, load_needs_spark: whether that takes a session. What Spark has to load, Spark has made.
        kept_for: who else wants the stored result kept, as a sentence: another workflow's author, say; `keep` is
            "always" then.
        pinned: whether a pinned iteration has the stored result: it is kept whatever the budget is.
        shown: whether people are shown it: an output, a model or a value.
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
        """True if the session, or a server that stays, has it in memory."""
        return self.held or self.served


@dataclass(frozen=True, slots=True)
class OtherArtifact:
    """A stored result that no node of the current version has: of an earlier iteration, or of another workflow.

    Attributes:
        age: iterations since it was last had, at least 1; of another workflow's newest result of a node 1, as nobody
            says here when that workflow will run again.
        seconds_again: to have it again once it is lost, from what else is stored as far as its lineage is known.
        kept_for: who wants it kept, as a sentence: the author of the workflow whose newest version has it, say.
        fixed: it was fixed by its author: computing it again would give another, whichever version has it.
        pinned: whether a pinned iteration has it: it is kept whatever the budget is.
        shown: of which newest or best iteration people were shown it, as a sentence; empty if of none.
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
    """A possible next iteration; where another version comes (an earlier iteration's, another workflow's), with its
    nodes and outputs in place of the current ones."""

    version: tuple[NodeCosts, ...] = ()
    outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlanningProblem:
    """Everything a policy may look at.

    Attributes:
        nodes: of the current version, inputs first.
        budget: bytes that may be stored in all; None for no limit.
        overhead: bytes of the budget that are taken whatever the policy decides (records, leftovers).
        others: stored results that the current version does not have.
        scenarios: what may come next; empty where the policy needs no forecast.
        horizon: H, how many further iterations to plan for.
        session_seconds: what needing Spark costs in this iteration: its start, if that is still to come, and what the
            first work of a session takes longer, if this one has done none.
        start_price: what an iteration in a process of its own pays if it needs Spark.
        fresh_process: probability that the next iteration runs in a process of its own.
        done: the states, when the iteration has run and only storage is left to decide.
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
        mine = (node.signature for node in self.nodes if node.stored)
        return frozenset((*mine, *(other.signature for other in self.others)))

    @property
    def later_session_seconds(self) -> float:
        """What the next iteration is expected to pay for a session if it needs one."""
        return self.start_price * self.fresh_process


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's answer.

    Attributes:
        solution: each node's derivation in this iteration.
        keep: signatures of the current version that are stored, or are to be stored, after it.
        reasons: signature -> why it is kept, not kept or evicted, in words.
        certificate: of the program that decided storage.
    """

    solution: Solution
    keep: frozenset[str]
    evict: frozenset[str]
    certificate: Certificate
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def evictions(self) -> dict[str, str]:
        """Why stored results are to go, by signature."""
        return {signature: self.reasons.get(signature, "evicted") for signature in sorted(self.evict)}


class Policy(Protocol):
    """A rule that decides states and storage. Any object with these two will do; equal problems get equal answers."""

    @property
    def name(self) -> str:
        """The policy's name, as plans show it."""

    def decide(self, problem: PlanningProblem) -> Decision:
        """Return the plan of one iteration, or only of its storage where `problem.done` gives the states.

        Raises:
            HelixError: an output cannot be had.
        """


SESSION = "(Spark session)"
"""Stands in an execution problem for the session where needing one costs something: whoever needs Spark needs it."""


def execution_problem(problem: PlanningProblem) -> ExecutionProblem:
    """Return the derivations that the current version's nodes have now.

    A session is paid for once, by whichever derivations need it, or saved by a plan that none of them is in.
    """
    start = (SESSION,) if problem.session_seconds > 0 else ()
    derivations = [Derivation(name, State.COMPUTE, (), problem.session_seconds) for name in start]
    derivations += [way for node in problem.nodes for way in _ways(node, start)]
    names = (*start, *(node.name for node in problem.nodes))
    return ExecutionProblem(names, tuple(derivations), problem.outputs)


def _ways(node: NodeCosts, start: tuple[str, ...]) -> list[Derivation]:
    computing = node.inputs + (start if node.compute_needs_spark else ())
    ways = [Derivation(node.name, State.COMPUTE, computing, node.compute_seconds)]
    if node.recompute:
        return ways
    if node.fixed and (node.in_memory or node.stored):
        ways.clear()
    if node.held:
        ways.insert(0, Derivation(node.name, State.LOAD, (), 0.0))
    elif node.stored:
        loading = start if node.load_needs_spark else ()
        ways.insert(0, Derivation(node.name, State.LOAD, loading, node.load_seconds))
    elif node.served:
        ways.insert(0, Derivation(node.name, State.LOAD, start, 0.02))  # measured, whatever the number of rows
    return ways


def scenarios(
    prospects: Iterable[Prospect], versions: Mapping[int, tuple[tuple[NodeCosts, ...], frozenset[str]]]
) -> tuple[Scenario, ...]:
    """Return one scenario a prospect, given the earlier iterations that prospects go back to: by number, the nodes
    (inputs first) and outputs of each."""
    return tuple(
        Scenario(
            one.probability, one.hit, one.label, one.back_to, *(() if one.back_to is None else versions[one.back_to])
        )
        for one in prospects
    )


# What results are made from, whichever versions had them


@dataclass(frozen=True, slots=True)
class ResultCosts:
    """A result as other iterations see it: seconds to compute it from its inputs, and to load it if it is stored.

    Attributes:
        inputs: signatures.
        loadable: whether keeping it can ever help.
        load_inputs: of the inputs, those that loading takes as well: the session, for what only Spark can load.
    """

    inputs: tuple[str, ...]
    compute_seconds: float
    load_seconds: float
    loadable: bool = True
    load_inputs: tuple[str, ...] = ()


Lineage = Mapping[str, ResultCosts]
"""By signature."""


def lineage_of(nodes: Iterable[NodeCosts]) -> dict[str, ResultCosts]:
    """Return the lineage of one version's results; inputs come first."""
    signatures: dict[str, str] = {}
    found: dict[str, ResultCosts] = {}
    for node in nodes:
        signatures[node.name] = node.signature
        inputs = tuple(signatures[name] for name in node.inputs)
        found[node.signature] = ResultCosts(inputs, node.compute_seconds, node.load_seconds)
    return found


def seconds_again(lineage: Lineage, signature: str, stored: Collection[str]) -> float | None:
    """Return the marginal cost of a stored result: seconds to have it again without it, back to what else is stored.

    None where it is not known what something on the way is made from.

    >>> made = {"rows": ResultCosts((), 40.0, 2.0), "parse": ResultCosts(("rows",), 600.0, 5.0)}
    >>> made["sums"] = ResultCosts(("parse",), 3.0, 0.1)
    >>> seconds_again(made, "sums", {"sums", "parse"}), seconds_again(made, "sums", {"sums"})
    (8.0, 643.0)
    >>> seconds_again({"sums": made["sums"]}, "sums", {"sums", "parse"})  # what loading the parse takes is not known
    3.0
    """
    seconds = 0.0
    seen: set[str] = set()
    waiting = [signature]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name != signature and name in stored:
            seconds += lineage[name].load_seconds if name in lineage else 0.0
        elif name not in lineage:
            return None
        else:
            seconds += lineage[name].compute_seconds
            waiting.extend(lineage[name].inputs)
    return seconds
