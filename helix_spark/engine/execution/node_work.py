"""How the results of an execution's nodes are had: loaded, computed, filled, compared with earlier ones, counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace

from helix_spark.answers.capture_nodes import as_built, as_declared
from helix_spark.answers.function_calls import FunctionCall, begin
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.filling import Filling
from helix_spark.engine.execution.job_tags import JobTags
from helix_spark.engine.execution.outcome import Outcome, table_outputs
from helix_spark.engine.execution.timing import Step
from helix_spark.engine.execution.units import Unit, collects
from helix_spark.engine.execution.workbench import Workbench
from helix_spark.engine.lowering.calls import authors_errors
from helix_spark.engine.lowering.fits import fit_batch
from helix_spark.engine.lowering.lowering import check_columns, lower
from helix_spark.engine.results.contents import content_here
from helix_spark.engine.results.loading import load
from helix_spark.engine.results.model_contents import content_of_model
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult
from helix_spark.engine.spark.asked_of_spark import LeftSettings, watch_pyspark
from helix_spark.engine.spark.function_inputs import NotAsBuiltError, Serves
from helix_spark.errors import CatalogError, SourceError
from helix_spark.hermetic.action import Action, in_action, waiting
from helix_spark.hermetic.mentions import files_named
from helix_spark.hermetic.task import written_for
from helix_spark.hermetic.watch import Watch, seen_in
from helix_spark.identity.data_version import DataIdentity, identify
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.plans.captured_function import (
    AskingFunction,
    BuiltFunction,
    CallInputs,
    CapturedFunction,
    Input,
)
from helix_spark.plans.recorded_call import NeedsClassicError
from helix_spark.workflow.operators import Function, Read, Result
from helix_spark.workflow.sources import Source

BeginCall = Callable[[Node, CallInputs, Serves], FunctionCall]
"""Begins a call of a node's function."""


def begin_anew(_node: Node, given: CallInputs, serves: Serves) -> FunctionCall:
    """Begin a call whose questions are all asked of Spark."""
    return begin(given, serves=serves)


@dataclass(frozen=True, slots=True)
class NodeWork:
    """Has results, each in the step of whoever asks; several threads may.

    Attributes:
        artifacts: live artifacts by signature.
        registering, compared, begin_call: as of `Executor.execute`.
        lazy: names of the nodes that are computed by extending a plan.
        looked_up: of those that are compared, names for which that is done.
    """

    bench: Workbench
    dag: Dag
    plan: Plan
    artifacts: Mapping[str, ArtifactRecord]
    outcome: Outcome
    filling: Filling
    tags: JobTags
    registering: frozenset[str] = frozenset()
    lazy: frozenset[str] = frozenset()
    compared: Collection[str] = ()
    begin_call: BeginCall = begin_anew
    looked_up: set[str] = field(default_factory=set)

    def step(self, unit: Unit) -> list[Step]:
        """Run a unit, after the kept tables that it reads. Return what each took."""
        computes = unit.state is State.COMPUTE
        steps = self.fill(unit.names) if computes else []
        if computes and self._is_overtaken(unit.names):
            return steps
        with waiting() as waited:
            step = self.bench.clock.step(unit.names, lambda: self.have(unit))
        steps.append(replace(step, start=step.start + waited()))
        for name in unit.names:
            self._compare(name)
        return steps

    def have(self, unit: Unit) -> None:
        """Load or compute a unit's results."""
        self.bench.sessions.activate()
        if unit.forced:
            self.tags.tag(unit.names)
        loads = unit.state is State.LOAD
        made: Sequence[NodeResult] = [self._load(unit.names[0])] if loads else self._computed(unit)
        for name, result in zip(unit.names, made, strict=True):
            if unit.state is State.COMPUTE:
                of = [self.outcome.results[source] for source in self.dag[name].inputs]
                self.outcome.suspicion.begin(self.dag[name], result, of)
            if name in self.outcome.pinned and isinstance(result, TableResult):
                with authors_errors(self.dag[name]):  # persisting optimises the plan, which may fold constants and fail
                    result.pin()
            if name in self.registering and isinstance(self.dag[name].operator, Read):
                assert isinstance(result, TableResult)
                result.frame()  # else the source would be read in the step of its first reader
            self.outcome.results[name] = result

    def _computed(self, unit: Unit) -> Sequence[NodeResult]:
        nodes = [self.dag[name] for name in unit.names]
        inputs = [[self.outcome.results[source] for source in node.inputs] for node in nodes]
        if len(nodes) > 1:
            for one, of in zip(nodes, inputs, strict=True):
                check_columns(one, of)
            with authors_errors(nodes[0]):
                return fit_batch(nodes, inputs)
        return [self._lowered(nodes[0], inputs[0])]

    def _lowered(self, node: Node, inputs: Sequence[NodeResult]) -> NodeResult:
        built = node.operator.built if isinstance(node.operator, BuiltFunction) else None
        if built is not None:
            self._note_built(node, built)
        with nullcontext() if built is None else self._written_for(node):
            try:
                return lower(node, inputs, self.bench.sessions, self)
            except (NotAsBuiltError, NeedsClassicError) as error:
                declared = as_declared(node)
                if declared is node:
                    raise
                if built is not None:  # one that asks is signed by its code as well
                    self.outcome.suspicion.note(node, f"is called on what it reads, for {error}")
                return lower(declared, inputs, self.bench.sessions, self)

    def _note_built(self, node: Node, built: CapturedFunction) -> None:
        """Note the files that a function names."""
        watch = Watch()
        for function in built.code:
            watch.named(files_named(function))
        self.outcome.note(node, seen_in(watch.events))

    def begin(self, node: Node, inputs: Mapping[str, Input], serves: Serves) -> FunctionCall:
        """Begin a call of a node's function, answered from the record."""
        given = node.operator.given if isinstance(node.operator, AskingFunction) else CallInputs(inputs, {})
        given = replace(given, signatures={at: self.plan[name].signature for at, name in enumerate(node.inputs)})
        with self._written_for(node):
            return self.begin_call(node, given, serves)

    def captured(self, node: Node, found: CapturedFunction) -> None:
        """Note what a function built that asks Spark something: it is known by that next time."""
        self._note_built(node, found)
        if isinstance(node.operator, AskingFunction) and not found.unsigned:
            self.outcome.built[node.name] = as_built(node, found)

    @contextmanager
    def acting(self, node: Node) -> Iterator[None]:
        """Make what a function of the author's draws meanwhile follow from its node, and watch it."""
        seed = node.name if isinstance(node.operator, AskingFunction) else self.plan[node.name].signature
        action = Action(seed, reads_declared=isinstance(node.operator, Read))
        started = self.bench.sessions.started
        if started:
            watch_pyspark()
        settings = LeftSettings()
        try:
            with self._written_for(node) if started else nullcontext(), in_action(action), settings.noted():
                yield
        finally:
            if left := settings.told():
                self.outcome.left[node.name] = left
        if action.watch is not None and isinstance(node.operator, Function):
            action.watch.named(files_named(node.operator.call))
        self.outcome.note(node, action.seen())

    def differs(self, node: Node, why: str) -> None:
        """Note what may be another result each time."""
        self.outcome.suspicion.note(node, why)

    def _written_for(self, node: Node) -> AbstractContextManager[None]:
        """Make functions that are written for workers meanwhile be a node's."""
        purpose = self.bench.purpose(self.plan[node.name].signature)
        self.outcome.purposes[purpose.key] = node.name
        return written_for(purpose)

    def opened(self, name: str, source: Source) -> None:
        """Note which files a source has."""
        self.outcome.opened[name] = DataIdentity("")
        with suppress(SourceError, OSError):  # it is gone again
            self.outcome.opened[name] = identify(source, contents=False)

    def _load(self, name: str) -> NodeResult:
        signature = self.plan[name].signature
        held = self.bench.memory.get(signature)
        if held is not None:
            return held
        return load(self.artifacts[signature], self.bench.catalog, self.bench.sessions)

    def fill(self, names: Collection[str]) -> list[Step]:
        """Compute the tables that are kept for several readers, of which these nodes are one; inputs first. Whatever
        pins the jobs of these nodes read, none of them is filled on the way."""
        extended = {
            source for name in self.dag.upstream_within(names, self.lazy) for source in self.dag[name].inputs
        }
        given = [(name, source) for name in names for source in self.dag[name].inputs]
        collected = {
            source for name, source in given
            if self.dag[source].result is Result.TABLE and collects(self.dag[name], source)
        }
        read = extended.union(source for _, source in given if source not in collected)
        steps = []
        for name in (node.name for node in self.dag.nodes if node.name in collected or node.name in read):
            if self._is_overtaken((name,)):
                break
            if name in collected:
                steps.append(self._filled(name, self.filling.collect))
            if name in read and name in self.outcome.pinned:
                steps.append(self._filled(name, self.filling.fill))
        return [step for step in steps if step is not None]

    def _filled(self, name: str, fill: Callable[[str, TableResult], Step | None]) -> Step | None:
        result = self.outcome.results[name]
        assert isinstance(result, TableResult)
        self.tags.tag((name,))
        with authors_errors(self.dag[name]):
            step = fill(name, result)
        self._compare(name)
        return step

    def uncounted(self) -> list[str]:
        """Return the output tables whose rows are to be counted; those of a stored one are on record."""
        found = []
        for name in table_outputs(self.plan, self.outcome):
            own = self.plan[name]
            record = self.artifacts.get(own.signature) if own.state is State.LOAD and not own.held else None
            if record is None or record.rows is None:
                found.append(name)
            else:
                self.bench.check(record)
                self.outcome.rows[name] = record.rows
        return found

    def count(self, name: str) -> list[Step]:
        """Compute an output table, and count its rows."""
        self.bench.sessions.activate()
        result = self.outcome.results[name]
        assert isinstance(result, TableResult)
        steps = self.fill((name,)) if self.plan[name].state is State.COMPUTE else []
        if name in self.outcome.pinned and (filled := self._filled(name, self.filling.fill)) is not None:
            steps.append(filled)
        if name in self.filling.rows:
            self.outcome.rows[name] = self.filling.rows[name]
            return steps

        def counted() -> None:
            self.outcome.rows[name] = result.frame().count()

        self.tags.tag((name,))
        with authors_errors(self.dag[name]):
            return [*steps, self.bench.clock.step((name,), counted)]

    def _compare(self, name: str) -> None:
        """Look up, once, whether an earlier result holds what was computed; what may be chance is not compared."""
        if name not in self.compared or name in self.looked_up or self.outcome.contents is None:
            return
        if self._is_doubtful(name):
            return
        result = self.outcome.results[name]
        content = self.outcome.contents.get(name) or content_here(result)
        if isinstance(result, ModelResult):
            self.tags.tag((name,))
            content = content_of_model(result.model, self.plan[name].signature, self.bench.catalog)
        if content is None:
            return
        self.looked_up.add(name)
        self.outcome.contents[name] = content
        try:
            equal = self.bench.catalog.with_content(self.plan.workflow, name, content)
        except CatalogError as error:  # the run can do without
            self.bench.observer.warning(f"whether an earlier result equals {name!r} is not known: {error.what}")
            return
        if equal is not None and equal != self.plan[name].signature:
            self.outcome.equal[name] = equal

    def _is_doubtful(self, name: str) -> bool:
        """Return whether a plan that Spark has tells of chance in a result, or in what it was made of in this run. Each
        was looked at before anything that reads it began, so nobody waits here for a thread."""
        made = [one for one in (name, *self.dag.ancestors(name)) if self.plan[one].state is State.COMPUTE]
        had = [(self.dag[one], self.outcome.results[one]) for one in made if one in self.outcome.results]
        self.bench.take_reports(self.dag, self.plan, self.outcome)
        return any(self.outcome.suspicion.of(node, result) is not None for node, result in had)

    def _is_overtaken(self, names: Collection[str]) -> bool:
        """Return whether something that nodes are made of equals an earlier result: they are planned anew first."""
        equal = self.outcome.equal.keys()
        return bool(equal) and any(not equal.isdisjoint(self.dag.ancestors(name)) for name in names)

    def let_go_of_empty_pins(self) -> None:
        """Release pins that are empty once all is over. Of one that was never filled the next run would compute the
        rows where it thinks to read them, and of files that may have changed since."""
        full = self.filling.full
        for name in self.outcome.pinned - full:
            if isinstance(result := self.outcome.results.get(name), TableResult):
                result.unpin()
        self.outcome.pinned = full
