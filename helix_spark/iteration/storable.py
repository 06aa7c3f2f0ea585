"""Which results of a run may be stored: what is of known data, is what the run answered with, and is there to write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from helix_spark.engine.execution.outcome import lasting
from helix_spark.engine.results.node_results import TableResult
from helix_spark.errors import CatalogError
from helix_spark.iteration.data_read import DataRead
from helix_spark.iteration.run import Run
from helix_spark.iteration.storage_decision import names_at_hand
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State
from helix_spark.workflow.operators import Read


@dataclass(frozen=True)
class Storable:
    """What may be stored of what a run has come to."""

    run: Run

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Names of the results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.run.chance.found) | self.run.dag.descendants(self.run.chance.found)

    @cached_property
    def drawn_once(self) -> frozenset[str]:
        """Names of the fixed tables whose rows Spark has not kept: whoever writes them, or reads them later on, would
        have them drawn once more."""
        drawn = {
            node.name: self.run.outcome.results.get(node.name) for node in self.run.dag.nodes
            if node.wishes.fixed and self.run.plan[node.name].state is State.COMPUTE
        }
        return frozenset(
            name for name, result in drawn.items()
            if isinstance(result, TableResult) and result.through_frame and name not in self.run.outcome.pinned
        )

    @property
    def not_to_be_held(self) -> frozenset[str]:
        """Names of the results that no later run may find in memory, as far as is known at the answer."""
        return self.spoiled | self.drawn_once | self.void_by_now

    @property
    def void_by_now(self) -> frozenset[str]:
        """As `void`, as far as it can be told without reading anything again: before the answer."""
        return self._void(contents=False)

    @cached_property
    def void(self) -> frozenset[str]:
        """Names of the results that are made of what changed while the iteration ran, and of what reads it: nobody
        knows which data they are of, or under which settings. They stand for no signature, whatever is there by now."""
        return self._void(contents=True)

    @property
    def changes(self) -> tuple[str, ...]:
        """What changed while the iteration ran, in sentences, as far as is known."""
        return tuple(self._sentences.values())

    def _void(self, *, contents: bool) -> frozenset[str]:
        for name in self._data.names:
            how = self._data.change(name, contents=contents)
            if how is not None and name not in self._sentences:
                is_source = isinstance(self.run.dag[name].operator, Read)
                what = f"source `{name}`" if is_source else f"what `{name}` depends on"
                self._say(name, f"{what} changed while the iteration ran ({how}): nothing made of it is kept")
        return self._data.void | self._under_other_settings()

    def _under_other_settings(self) -> frozenset[str]:
        """What may have been computed under other settings than it is signed for: all of the run, in whatever order."""
        left = self.run.outcome.left
        for name, what in left.items():
            if (key := f"settings of {name}") not in self._sentences:
                remedy = "set it back before it returns, or have the session start with it"
                self._say(key, f"`{name}` leaves the setting {what}: nothing that this run computed is kept ({remedy})")
        return frozenset(node.name for node in self.run.plan.nodes if left and node.state is State.COMPUTE)

    def _say(self, key: str, sentence: str) -> None:
        self._sentences[key] = sentence
        self.run.tools.observer.warning(sentence)

    @cached_property
    def _sentences(self) -> dict[str, str]:
        return {}

    @cached_property
    def _data(self) -> DataRead:
        return DataRead(self.run)

    def wanted(self, plan: Plan) -> list[PlannedNode]:
        """What is to be written. After a failure nothing that would first have to be computed for it: the plans of lazy
        tables are there long before their rows, and nobody waits for rows that a run did not get to."""
        had = {
            name for name, result in lasting(self.run.outcome).items()
            if not (isinstance(result, TableResult) and result.only_in_its_files)
        } - self.spoiled - self.drawn_once - self.void
        if self.run.outcome.failure is not None:
            had = {name for name in had if self._is_in_memory(name)}
        return [node for node in plan.nodes if node.keep and not node.stored and node.name in had]

    def _is_in_memory(self, name: str) -> bool:
        result = self.run.outcome.results[name]
        return not isinstance(result, TableResult) or result.in_memory

    @cached_property
    def at_hand(self) -> frozenset[str]:
        """Names of the results that are written from memory; the others' inputs may be read once more."""
        return names_at_hand(self.run.outcome)

    def read_by_writes(self, plan: Plan) -> frozenset[str]:
        """Signatures of the stored tables that what is to be written is made from once more: a run had them, but not in
        memory. If one of these is to go, it goes when all is written."""
        elsewhere = self.run.outcome.results.keys() - self.at_hand
        written = [node.name for node in self.wanted(plan) if node.name in elsewhere]
        read = self.run.dag.upstream_within(written, elsewhere)
        return frozenset(plan[name].signature for name in read if plan[name].state is State.LOAD)

    def check_unmoved(self, name: str) -> None:
        """A table that was not in memory was read from its files once more while it was written.

        Raises:
            CatalogError: they have changed since.
        """
        result = self.run.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for reader in self._data.below(name):
            if (how := self._data.change(reader, contents=False)) is not None:
                raise CatalogError(f"what `{reader}` reads changed while it was written ({how})")
