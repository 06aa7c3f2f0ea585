"""Calls of the functions of a workflow's nodes, with Spark's answers from the record and of this run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from helix_spark.answers.capture_nodes import as_built, capture_nodes
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import AnswerRecord
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.server.session import Sessions
from helix_spark.errors import SignatureError
from helix_spark.hermetic.action import Action
from helix_spark.identity.environment import surroundings
from helix_spark.identity.parts import digest
from helix_spark.identity.signing import declared_by_plan
from helix_spark.plans.captured_function import CallInputs, CapturedFunction, SparkFunction
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import FileSource

if TYPE_CHECKING:  # not loaded if nothing is computed
    from helix_spark.answers.function_calls import FunctionCall
    from helix_spark.answers.script_terms import ScriptOrigin, ScriptTerms
    from helix_spark.answers.served_session import Server
    from helix_spark.run.recorded_answers import RecordedAnswers


@dataclass
class FunctionAnswers:
    """Begins calls (`engine.lowering.watcher.BeginCall`), in any thread.

    Attributes:
        built: declared signatures by the functions' plans, by declared signature by code; empty if unknown.
        builds: texts of the functions' plans for the record, by key.
        recalled: the key of an earlier run's record of the plans, if they were read from it; else empty.
    """

    catalog: Catalog
    workflow: str
    settings: Mapping[str, str]
    sessions: Sessions
    dag: Dag
    built: dict[str, str] = field(default_factory=dict)
    builds: dict[str, str] = field(default_factory=dict)
    recalled: str = ""
    _calls: list[tuple[str, FunctionCall]] = field(default_factory=list)
    _origins: dict[str, ScriptOrigin] = field(default_factory=dict)

    @cached_property
    def _record(self) -> RecordedAnswers:
        from helix_spark.run.recorded_answers import RecordedAnswers

        return RecordedAnswers(self.catalog, self.workflow)

    @cached_property
    def _environment(self) -> str:
        return digest(*(part.digest for part in surroundings(self.settings)))

    @cached_property
    def _script_environment(self) -> str:
        from helix_spark.run.recorded_answers import script_environment

        master, author_settings = self.sessions.master_and_given()
        return script_environment({**self.settings, "spark.master": master}, author_settings)

    def begin(self, node: Node, inputs: CallInputs, server: Server) -> FunctionCall:
        """Begin a call of a node's function."""
        from helix_spark.answers.function_calls import begin

        inputs = replace(inputs, settings=inputs.settings or self.settings)
        if inputs.is_known:  # then it requests only columns
            return begin(inputs, server=server)
        call = begin(inputs, self._terms(node), server, self._environment)
        self._calls.append((node.name, call))
        return call

    def declared(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """Return the declared signature of a node by the plan that its function builds; None if there is none."""
        try:
            return declared_by_plan(node, self.settings, inputs)
        except SignatureError:
            return None

    def by_plan(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """Call a function that sends requests; return its `declared` signature, if all its answers are recorded."""
        from helix_spark.answers.function_calls import capture

        operator = node.operator
        assert isinstance(operator, SparkFunction)
        signatures = {place: inputs[name] for place, name in enumerate(node.inputs)}
        captured = capture(
            operator.call, replace(operator.call_inputs, signatures=signatures), Action(node.name, watched=False),
            self._terms(node), self._environment,
        )
        built = as_built(node, captured)
        if isinstance(captured, CapturedFunction) and captured.origin is not None:
            self._origins[node.name] = captured.origin
        return None if built is node else self.declared(built, inputs)

    def fit_of(self, name: str) -> str:
        """Return the identity of a script's fit with the same model as a node; empty if there is none."""
        return next((call.fit for node, call in reversed(self._calls) if node == name), "")

    def _terms(self, node: Node) -> ScriptTerms:
        from helix_spark.answers.script_terms import ScriptTerms

        origins: dict[int, ScriptOrigin] = {}  # only of inputs that a script could compute
        for place, name in enumerate(node.inputs):
            if (origin := self._origins.get(name) or self._origin(self.dag[name])) is not None:
                origins[place] = self._origins[name] = origin
        return ScriptTerms(self._record, self._script_environment if origins else "", origins)

    def _origin(self, node: Node) -> ScriptOrigin | None:
        """Return the origin of a node's result in the terms of a script; None if no script can compute it."""
        if node.wishes.fixed or node.wishes.fresh:  # a script would compute another result now
            return None
        from helix_spark.answers.script_terms import origin_of_source

        match self._called[node.name].operator:
            case Read(source=FileSource() as source):
                return origin_of_source(source)
            case SparkFunction(built=CapturedFunction() as built) if not built.is_column:
                return None if built.registers else self._terms(node).origin(built.plan)
        return next((call.origin for name, call in reversed(self._calls) if name == node.name), None)

    @cached_property
    def _called(self) -> Dag:
        """The graph, with the plans that its functions build."""
        return capture_nodes(self.dag, self.settings).dag if self.recalled else self.dag

    def record(self, iteration: int, uncertain: Collection[str]) -> None:
        """Record the plans of this run's functions, and its answers without those for `uncertain` nodes."""
        now = time.time()
        self.catalog.answers.append([
            AnswerRecord(key, self.workflow, iteration, now, builds=text) for key, text in self.builds.items()
        ])
        self._record.append(iteration, (
            (identity, answered)
            for name, call in self._calls if name not in uncertain
            for answered in call.answerer.answers if answered.answer
            for identity in self._record.identities(answered.question.identity)
        ))
