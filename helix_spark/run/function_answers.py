"""What Spark answered the functions of a workflow's nodes: on record, and in this run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helix_spark.answers.capture_nodes import as_built
from helix_spark.answers.function_calls import FunctionCall, begin, capture
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import AnswerRecord
from helix_spark.dag.node import Node
from helix_spark.engine.spark.function_inputs import Serves
from helix_spark.errors import SignatureError
from helix_spark.hermetic.action import Action
from helix_spark.identity.node_description import declared_by_plan, surroundings
from helix_spark.identity.parts import digest
from helix_spark.plans.captured_function import AskingFunction, CallInputs
from helix_spark.run.recorded_answers import RecordedAnswers


@dataclass
class FunctionAnswers:
    """See `engine.execution.node_work.RecordsCalls`. Several threads may ask.

    Attributes:
        settings: Spark settings that change results.
        built: by the declared signature of a function that asks, the one by what it builds; empty where that is not
            known. It is found out once a run, however often that is planned again: it takes a call of the function.
    """

    catalog: Catalog
    workflow: str
    settings: Mapping[str, str]
    built: dict[str, str] = field(default_factory=dict)
    _calls: list[tuple[str, FunctionCall]] = field(default_factory=list)

    @cached_property
    def _record(self) -> RecordedAnswers:
        return RecordedAnswers(self.catalog, self.workflow)

    @cached_property
    def _around(self) -> str:
        return digest(*(one.digest for one in surroundings(self.settings)))

    def begin(self, node: Node, given: CallInputs, serves: Serves) -> FunctionCall:
        """A call of a node's function, answered from the record and put on record."""
        given = replace(given, settings=given.settings or self.settings)
        call = begin(given, self._record, serves, self._around)
        self._calls.append((node.name, call))
        return call

    def declared(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """The declared signature of a node by what its function builds; None where there is none."""
        try:
            return declared_by_plan(node, self.settings, inputs)
        except SignatureError:
            return None

    def by_plan(self, node: Node, inputs: Mapping[str, str]) -> str | None:
        """The same of a function that asks Spark something, if all that it asks is on record. Calls the function.

        Args:
            inputs: signatures of the node's inputs, by name.
        """
        operator = node.operator
        assert isinstance(operator, AskingFunction)
        given = replace(operator.given, signatures={place: inputs[name] for place, name in enumerate(node.inputs)})
        found = capture(operator.call, given, Action(node.name, watched=False), self._record, self._around)
        made = as_built(node, found)
        return None if made is node else self.declared(made, inputs)

    def records(self, iteration: int, void: Collection[str], uncertain: Collection[str]) -> list[AnswerRecord]:
        """Return what this run was answered, for the record.

        Args:
            void: names of the nodes whose data changed meanwhile.
            uncertain: names of those whose rows, and so answers, may be others the next time.
        """
        now = time.time()
        return [
            AnswerRecord(one.question.identity, self.workflow, iteration, now, one.seconds, one.answer)
            for name, call in self._calls if name not in void and name not in uncertain
            for one in call.answerer.asked if one.answer
        ]
