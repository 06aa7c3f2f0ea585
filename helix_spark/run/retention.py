"""What of a run is kept, whichever front runs it: stored, in place of what is evicted, and within the budget once all
is recorded."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.catalog.artifacts import wished
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import ancestors_of
from helix_spark.engine.results.stored_results import Origin
from helix_spark.engine.spark.gateway import first_line
from helix_spark.errors import CatalogError
from helix_spark.planner.candidates import capacity, claims, grant_room, had_now
from helix_spark.planner.joint import LARGE_GAP, Joint
from helix_spark.planner.planning import as_stored
from helix_spark.planner.problem import Derivation, Solution, State
from helix_spark.planner.storage import Decision, NodeCosts, OtherArtifact, PlanningProblem, Policy
from helix_spark.run.foresight import RecordsRead, others_among
from helix_spark.sizes import format_size
from helix_spark.visible_text import named
from helix_spark.workflow.declaration import Wishes

OVERFLOW_ROUNDS = 6
"""An eviction is recorded as well, in some kilobytes, and may so ask for another one; so may what others store."""

OVERFLOWED = "results or records of the run took more room than the budget has"

_NO_WISHES = Wishes()


@dataclass(eq=False)
class Retention(ABC):
    """What a run that has its answers keeps in the catalog. Its front has the results. `records` are the catalog's, as
    the run was planned; `wishes` the author's of today, by signature of a result."""

    number: int
    records: RecordsRead
    catalog: Catalog
    warning: Callable[[str], None]
    policy: Policy
    wishes: Mapping[str, Wishes] = field(default_factory=dict)
    _written: list[ArtifactRecord] = field(init=False, default_factory=list)
    _attempts: dict[str, str] = field(init=False, default_factory=dict)

    @property
    @abstractmethod
    def base(self) -> PlanningProblem:
        """The run as a planning problem, with what it measured; of what is stored as when it was planned."""

    @property
    @abstractmethod
    def states(self) -> Mapping[str, State]:
        """How the run had each of its nodes, by name."""

    def problem(self, *, to_write: bool = True) -> PlanningProblem:
        """Return the run as a planning problem, of which only storage is left to decide: by what is known now, with the
        room that records and other drivers have taken since. Without `to_write` it is decided only what stays of what
        is stored."""
        live, overhead = self.catalog.live(), 0
        self._attempts = {record.signature: record.attempt for record in live}
        if self.base.budget is not None:
            overhead = self.catalog.bytes_used() - sum(record.bytes for record in live)
        stored = self.records.view.below | {record.signature: record for record in live}
        nodes = tuple(self.as_stored(node, stored.get(node.signature)) for node in self.base.nodes)
        problem = replace(self.base, nodes=nodes, overhead=overhead)
        states = self.states if to_write else {}
        done = {
            node.name: Derivation(node.name, state, node.inputs, node.compute_seconds) if state is State.COMPUTE
            else Derivation(node.name, state, (), node.load_seconds)
            for node in nodes if (state := states.get(node.name, State.PRUNE)) is not State.PRUNE
        }
        solution = Solution.optimal(done, "none needed")
        return replace(problem, others=others_among(live, problem, self.records), done=solution)

    def as_stored(self, node: NodeCosts, record: ArtifactRecord | None) -> NodeCosts:
        pin = self.records.view.pinned.get(node.signature, "")
        return as_stored(node, record, self._wishes(node.signature), self.records.view.workflow, pin)

    @property
    @abstractmethod
    def writable(self) -> Collection[str]:
        """Names of the nodes whose results were not stored before the run, and can be."""

    @abstractmethod
    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        """Store results, in this order; None for one that cannot be stored, which the front reports."""

    def drop(self, signature: str) -> None:  # noqa: B027 - a front without memory has none to forget
        """Forget a fixed result in memory: another driver stored another draw of it first."""

    def keep(self) -> dict[str, int]:
        """Decide what to keep by what is known now, evict and store; return the bytes of what is stored, by name.

        What turns out larger than it was expected to be goes in the end, see `evict_overflow`.
        """
        problem = self.problem()
        decision, states = self.policy.decide(problem), self.states
        self._tell_forgone(problem, decision)
        # What is written may be made once more from what the run loaded.
        loaded = {node.signature for node in problem.nodes if states[node.name] is State.LOAD}
        self._evict({signature: why for signature, why in decision.evictions.items() if signature not in loaded})
        stored = self._store(problem, decision.keep)
        self._evict({signature: why for signature, why in decision.evictions.items() if signature in loaded})
        proof = decision.certificate
        if proof.status == "fallback" or proof.gap > LARGE_GAP:
            self.warning(f"what to keep, by what the run has measured: {proof.notice}")
        return stored

    def _tell_forgone(self, problem: PlanningProblem, decision: Decision) -> None:
        """Say which results go, or are not kept, that would be if the budget had room for them."""
        now = had_now(problem, problem.done) if problem.done is not None else frozenset[str]()
        claimed = {one.signature: one for one, _ in claims(problem)}
        lost = (decision.evict | now - decision.keep) - grant_room(problem, claimed, capacity(problem)).keys()
        gone = {signature: one for signature, one in claimed.items() if signature in lost}
        if gone and problem.budget is not None:
            names = named([one.node if isinstance(one, OtherArtifact) else one.name for one in gone.values()], 3)
            size = format_size(sum(one.bytes for one in gone.values()))
            self.warning(
                f"the budget of {format_size(problem.budget)} has no room for {names} ({size}), which would be kept "
                "otherwise: a larger budget keeps it"
            )

    def keep_planned(self, keep: Collection[str]) -> dict[str, int]:
        """Store results that a plan keeps, by signature, after a failure."""
        return self._store(self.problem(), keep)

    def tidy(self) -> set[str]:
        """Maintain the records, delete leftovers, and evict what is beyond the budget; return evicted signatures."""
        try:
            self.catalog.maintain()
        except (CatalogError, OSError) as error:  # as where some are damaged: the budget is kept all the same
            self.warning(f"the records could not be maintained: {first_line(error)}")
        try:
            self.catalog.gc(dry_run=False)
            return self.evict_overflow()
        except (CatalogError, OSError) as error:
            self.warning(f"the catalog could not be tidied: {first_line(error)}")
            return set()

    def evict_overflow(self) -> set[str]:
        """Keep the catalog within its budget once all is recorded; return the evicted signatures."""
        gone = set[str]()
        # Another policy may leave too much, which is weighed then.
        for policy in (self.policy, *[Joint()] * OVERFLOW_ROUNDS):
            seen = self.catalog.stored_version()  # what others store or evict from now on has it decided anew
            if self.base.budget is None or self.catalog.bytes_used() <= self.base.budget:
                break
            problem = self.problem(to_write=False)
            decision = policy.decide(problem)
            self._tell_forgone(problem, decision)
            gone |= self._evict(dict.fromkeys(decision.evictions, OVERFLOWED), seen)
        return gone

    def acknowledge(self, gone: Collection[str]) -> list[ArtifactRecord]:
        """Sync all records, so that they survive a loss of power; return those of what was stored but `gone`."""
        self.catalog.sync()
        return [record for record in self._written if record.signature not in gone]

    def _store(self, problem: PlanningProblem, keep: Collection[str]) -> dict[str, int]:
        """Store results, by signature; return the bytes of those that are there, by name."""
        wanted = [node for node in problem.nodes if node.signature in keep and node.name in self.writable]
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = dict(self.catalog.live_among([node.signature for node in wanted]))
        to_write = [node for node in wanted if node.signature not in there]
        for node, record in zip(to_write, self.write(self._origins(to_write, problem)), strict=True):
            if record is not None:
                there[node.signature] = record
                self._written.append(record)
        for signature, record in there.items():
            is_own = (record.workflow, record.iteration, record.shared) == (self.records.view.workflow, self.number, "")
            if self._wishes(signature).fixed and not is_own:  # another driver stored another draw first
                self.drop(signature)
        # Evictions go by recorded wishes. What this version of the workflow lacks is not wished any more. Of several
        # drivers' records the first counts, which says what its own wishes are.
        workflow = self.records.view.workflow
        news = {
            signature: wishes for signature, record in {**self.records.view.artifacts, **there}.items()
            if not record.shared and wished(record, workflow, wishes := self._wishes(signature)) != record
        }
        if news:
            with self._warned():
                self.catalog.note_wishes(workflow, news)
        return {node.name: there[node.signature].bytes for node in wanted if node.signature in there}

    def _origins(self, nodes: Collection[NodeCosts], problem: PlanningProblem) -> list[Origin]:
        above = ancestors_of(problem.nodes)
        seconds = {node.name: node.compute_seconds for node in problem.nodes}
        wishes = [self._wishes(node.signature) for node in nodes]
        return [
            Origin(
                node.signature, self.records.view.workflow, node.name, self.number,
                sum(seconds[name] for name in {node.name} | above[node.name]), insisted=own.insisted, fixed=own.fixed,
            )
            for node, own in zip(nodes, wishes, strict=True)
        ]

    def _wishes(self, signature: str) -> Wishes:
        return self.wishes.get(signature, _NO_WISHES)

    def _evict(self, why: Mapping[str, str], seen: int | None = None) -> set[str]:
        """Evict by signature, for these reasons; return the signatures of what went.

        What was stored since it was decided stays; with `seen` all does, if anything was stored or ended since then.
        """
        if not why:
            return set()
        attempts = {self._attempts[signature] for signature in why if signature in self._attempts}
        with self._warned():
            return {one.signature for one in self.catalog.evict_all(why, attempts=attempts, seen=seen)}
        return set()

    @contextlib.contextmanager
    def _warned(self) -> Iterator[None]:
        """Warn of what cannot be evicted, or recorded: the run has answered."""
        try:
            yield
        except CatalogError as error:
            self.warning(error.what)
