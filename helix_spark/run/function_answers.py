"""What Spark answered the functions of a workflow's nodes: on record, and in this run."""

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

if TYPE_CHECKING:  # where nothing is computed no function is called, and nothing is looked up for it
    from helix_spark.answers.function_calls import FunctionCall
    from helix_spark.answers.script_terms import ScriptOrigin, ScriptTerms
    from helix_spark.answers.served_session import Server
    from helix_spark.run.recorded_answers import RecordedAnswers


@dataclass
class FunctionAnswers:
    """Begins calls (`engine.lowering.watcher.BeginCall`). Several threads may ask.

    Attributes:
        built: by the declared signature of a function that asks, the one by what it builds, found by one call of it a
            run; empty where that is not known.
        builds: what the graph's functions built, as it is to be recorded, by its key.
        recalled: the key under which an earlier run recorded that, so that none of them was called; else empty.
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
    def _around(self) -> str:
        return digest(*(one.digest for one in surroundings(self.settings)))

    @cached_property
    def _around_script(self) -> str:
        from helix_spark.run.recorded_answers import around_script

        master, given = self.sessions.master_and_given()
        return around_script({**self.settings, "spark.master": master}, given)

    def begin(self, node: Node, given: CallInputs, server: Server) -> FunctionCall:
        """Begin a call of a node's function."""
        from helix_spark.answers.function_calls import begin

        given = replace(given, settings=given.settings or self.settings)
        if given.is_known:  # then it asks nothing, unless for columns
            return begin(given, server=server)
        call = begin(given, self._terms(node), server, self._around)
        self._calls.append((node.name, call))
        return call

    def declared(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """Return the declared signature of a node by what its function builds; None where there is none."""
        try:
            return declared_by_plan(node, self.settings, inputs)
        except SignatureError:
            return None

    def by_plan(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """Call a function that asks Spark something; return the same of it, if all that it asks is on record."""
        from helix_spark.answers.function_calls import capture

        operator = node.operator
        assert isinstance(operator, SparkFunction)
        given = replace(operator.given, signatures={place: inputs[name] for place, name in enumerate(node.inputs)})
        found = capture(operator.call, given, Action(node.name, watched=False), self._terms(node), self._around)
        made = as_built(node, found)
        if isinstance(found, CapturedFunction) and found.origin is not None:
            self._origins[node.name] = found.origin
        return None if made is node else self.declared(made, inputs)

    def fit_of(self, name: str) -> str:
        """Return the identity of the fit of a script that a node's model is equal to; empty if there is none."""
        return next((call.fit for one, call in reversed(self._calls) if one == name), "")

    def _terms(self, node: Node) -> ScriptTerms:
        from helix_spark.answers.script_terms import ScriptTerms

        origins: dict[int, ScriptOrigin] = {}  # of inputs; what no script can say has none
        for place, name in enumerate(node.inputs):
            if (found := self._origins.get(name) or self._origin(self.dag[name])) is not None:
                origins[place] = self._origins[name] = found
        return ScriptTerms(self._record, self._around_script if origins else "", origins)

    def _origin(self, node: Node) -> ScriptOrigin | None:
        """Return what a node's result is made of, as a script would say it; None where no script can."""
        if node.wishes.fixed or node.wishes.fresh:  # what it has need not be what it would be made of now
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
        """The graph, with what its functions build."""
        return capture_nodes(self.dag, self.settings).dag if self.recalled else self.dag

    def record(self, iteration: int, unsure: Collection[str]) -> None:
        """Record what this run was answered, but of `unsure` nodes: their answers may be others the next time; and what
        its functions built."""
        now = time.time()
        self.catalog.answers.append([
            AnswerRecord(key, self.workflow, iteration, now, builds=text) for key, text in self.builds.items()
        ])
        self._record.append(iteration, (
            (identity, one)
            for name, call in self._calls if name not in unsure
            for one in call.answerer.asked if one.answer
            for identity in self._record.identities(one.question.identity)
        ))
