"""Retention of a run's results: store, evict, and keep the catalog within its budget once all is recorded."""

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
from helix_spark.planner.candidates import capacity, claims, grant_room, storable_now
from helix_spark.planner.joint import LARGE_GAP, Joint
from helix_spark.planner.planning import as_stored
from helix_spark.planner.problem import Derivation, Solution, State
from helix_spark.planner.storage import Decision, NodeCosts, OtherArtifact, PlanningProblem, Policy
from helix_spark.run.foresight import RecordsRead, others_among
from helix_spark.sizes import format_size
from helix_spark.visible_text import named
from helix_spark.workflow.declaration import Wishes

OVERFLOW_ROUNDS = 6
"""Attempts to evict: records of evictions take room, and others store meanwhile, so that one may not suffice."""

OVERFLOWED = "results or records of the run took more room than the budget has"

_NO_WISHES = Wishes()


@dataclass(eq=False)
class Retention(ABC):
    """Retention of the results of an answered run; subclasses have the results of a workflow or a program. `records`
    are the catalog's as of planning; `wishes` are the author's current wishes, by signature of a result."""

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
        """The run as a planning problem, with measured costs, and stored results as of planning."""

    @property
    @abstractmethod
    def states(self) -> Mapping[str, State]:
        """The state of each node in the run, by name."""

    def problem(self, *, to_write: bool = True) -> PlanningProblem:
        """Return the storage decision of the run as a planning problem, with the room that records and other drivers
        have taken since. Without `to_write` it is only about stored results."""
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
        """Names of the nodes whose results can be stored, and were not stored before the run."""

    @abstractmethod
    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        """Store results, in this order; yield None for a result that cannot be stored, and report it."""

    def drop(self, signature: str) -> None:  # noqa: B027 - programs keep no results in memory
        """Drop a fixed result from memory: another driver stored another draw of it first."""

    def keep(self) -> dict[str, int]:
        """Decide with measured costs what to keep, evict and store; return the bytes of the stored results, by name.
        Results larger than expected may be evicted in the end, see `evict_overflow`."""
        problem = self.problem()
        decision, states = self.policy.decide(problem), self.states
        self._warn_of_lost(problem, decision)
        # Writing may compute a result again from results that the run loaded, so these are evicted last.
        loaded = {node.signature for node in problem.nodes if states[node.name] is State.LOAD}
        self._evict({signature: why for signature, why in decision.evictions.items() if signature not in loaded})
        stored = self._store(problem, decision.keep)
        self._evict({signature: why for signature, why in decision.evictions.items() if signature in loaded})
        proof = decision.certificate
        if proof.status == "fallback" or proof.gap > LARGE_GAP:
            self.warning(f"the decision on what to keep, with measured costs: {proof.notice}")
        return stored

    def _warn_of_lost(self, problem: PlanningProblem, decision: Decision) -> None:
        """Warn of results that are evicted or not kept only because the budget is too small."""
        now = storable_now(problem, problem.done) if problem.done is not None else frozenset[str]()
        claimed = {result.signature: result for result, _ in claims(problem)}
        signatures = (decision.evict | now - decision.keep) - grant_room(problem, claimed, capacity(problem)).keys()
        lost = [result for signature, result in claimed.items() if signature in signatures]
        if lost and problem.budget is not None:
            names = named([result.node if isinstance(result, OtherArtifact) else result.name for result in lost], 3)
            size = format_size(sum(result.bytes for result in lost))
            self.warning(
                f"the budget of {format_size(problem.budget)} has no room for {names} ({size}), which would be kept "
                "otherwise: a larger budget keeps it"
            )

    def keep_planned(self, keep: Collection[str]) -> dict[str, int]:
        """Store the results that a plan keeps, by signature, after a failure."""
        return self._store(self.problem(), keep)

    def tidy(self) -> set[str]:
        """Maintain the records, delete leftovers, and evict what is beyond the budget; return evicted signatures."""
        try:
            self.catalog.maintain()
        except (CatalogError, OSError) as error:  # the budget holds for a catalog with damaged records, too
            self.warning(f"the records could not be maintained: {first_line(error)}")
        try:
            self.catalog.gc(dry_run=False)
            return self.evict_overflow()
        except (CatalogError, OSError) as error:
            self.warning(f"the catalog could not be tidied: {first_line(error)}")
            return set()

    def evict_overflow(self) -> set[str]:
        """Keep the catalog within its budget once all is recorded; return the evicted signatures."""
        evicted = set[str]()
        # A user-defined policy may keep too much; then the joint policy decides.
        for policy in (self.policy, *[Joint()] * OVERFLOW_ROUNDS):
            version = self.catalog.stored_version()  # if others store or evict from now on, the next round decides
            if self.base.budget is None or self.catalog.bytes_used() <= self.base.budget:
                break
            problem = self.problem(to_write=False)
            decision = policy.decide(problem)
            self._warn_of_lost(problem, decision)
            evicted |= self._evict(dict.fromkeys(decision.evictions, OVERFLOWED), version)
        return evicted

    def acknowledge(self, evicted: Collection[str]) -> list[ArtifactRecord]:
        """Sync all records, to survive a loss of power; return those of stored results that were not evicted."""
        self.catalog.sync()
        return [record for record in self._written if record.signature not in evicted]

    def _store(self, problem: PlanningProblem, keep: Collection[str]) -> dict[str, int]:
        """Store results, by signature; return the bytes of those that are live then, by name."""
        nodes = [node for node in problem.nodes if node.signature in keep and node.name in self.writable]
        # Another run may have stored the same since this run planned.
        live = dict(self.catalog.live_among([node.signature for node in nodes]))
        to_write = [node for node in nodes if node.signature not in live]
        for node, record in zip(to_write, self.write(self._origins(to_write, problem)), strict=True):
            if record is not None:
                live[node.signature] = record
                self._written.append(record)
        workflow = self.records.view.workflow
        for signature, record in live.items():
            is_own = (record.workflow, record.iteration, record.shared) == (workflow, self.number, "")
            if self._wishes(signature).fixed and not is_own:  # another driver stored another draw first
                self.drop(signature)
        # Evictions depend on recorded wishes. Of several drivers' records the first counts, with its driver's wishes.
        # Results without a node in this version of the workflow lose their wishes.
        changed_wishes = {
            signature: wishes for signature, record in {**self.records.view.artifacts, **live}.items()
            if not record.shared and wished(record, workflow, wishes := self._wishes(signature)) != record
        }
        if changed_wishes:
            with self._warned():
                self.catalog.note_wishes(workflow, changed_wishes)
        return {node.name: live[node.signature].bytes for node in nodes if node.signature in live}

    def _origins(self, nodes: Collection[NodeCosts], problem: PlanningProblem) -> list[Origin]:
        above = ancestors_of(problem.nodes)
        seconds = {node.name: node.compute_seconds for node in problem.nodes}
        return [
            Origin(
                node.signature, self.records.view.workflow, node.name, self.number,
                sum(seconds[name] for name in {node.name} | above[node.name]),
                insisted=self._wishes(node.signature).insisted, fixed=self._wishes(node.signature).fixed,
            )
            for node in nodes
        ]

    def _wishes(self, signature: str) -> Wishes:
        return self.wishes.get(signature, _NO_WISHES)

    def _evict(self, reasons: Mapping[str, str], version: int | None = None) -> set[str]:
        """Evict results, by signature; return the evicted signatures. Results stored since the decision stay; with
        `version`, all stay if anything was stored or evicted since that version."""
        if not reasons:
            return set()
        attempts = {self._attempts[signature] for signature in reasons if signature in self._attempts}
        with self._warned():
            return {record.signature for record in self.catalog.evict_all(reasons, attempts=attempts, seen=version)}
        return set()

    @contextlib.contextmanager
    def _warned(self) -> Iterator[None]:
        """Warn of a failed eviction or record: the run has answered."""
        try:
            yield
        except CatalogError as error:
            self.warning(error.what)
