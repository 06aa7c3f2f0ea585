"""What Spark answered the functions of a workflow's nodes, by the identity of what they asked: on record, and in this
run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from helix_spark.capture.answer_fields import StrangeAnswerError
from helix_spark.capture.answer_gate import AnswerForm
from helix_spark.capture.answer_texts import answer_of_text, text_of_answer
from helix_spark.capture.capture_nodes import as_built
from helix_spark.capture.captured_function import AskingFunction, BuiltFunction, CapturedFunction, capture
from helix_spark.capture.plan_messages import messages
from helix_spark.capture.plan_order import order_in
from helix_spark.capture.recorded_call import Asks
from helix_spark.catalog.answer_ledger import AnswersRead
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import AnswerRecord
from helix_spark.dag.node import Node
from helix_spark.errors import SignatureError
from helix_spark.hermetic.action import Action
from helix_spark.signature.node_description import declared_by_plan
from helix_spark.signature.parts import digest
from helix_spark.workflow.operators import Form, Function, Result

_FORMS: Mapping[Asks, AnswerForm] = {
    "rows": AnswerForm("execute", "arrow_batch"), "schema": AnswerForm("analyze", "schema"),
}
READ_AHEAD = 1_000
"""Answers of a workflow that are read when it first asks something. Others are looked for one by one."""


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What this run found out."""

    node: str
    text: str
    seconds: float


@dataclass(slots=True)
class AnsweredBefore:
    """See `engine.execution.asked_on_record.AnswersOnRecord`. Several threads may ask.

    Attributes:
        settings: Spark settings that change results.
        built: by the declared signature of a function that asks, the one by what it builds; empty where that is not
            known. It is found out once a run, however often that is planned again: it takes a call of the function.
    """

    catalog: Catalog
    workflow: str
    settings: Mapping[str, str]
    built: dict[str, str] = field(default_factory=dict)
    _read: AnswersRead = field(init=False)
    _fresh: dict[str, _Fresh] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read = self.catalog.answers.read(self.workflow, READ_AHEAD)

    def refuse(self, identity: str, why: str) -> None:
        """Note that a recorded answer does not fit, so that it is none from now on."""
        self._read.refuse(identity, why)

    def question(
        self, node: Node, asks: Asks, asked: CapturedFunction, inputs: Mapping[str, str]
    ) -> FunctionQuestion | None:
        """What a node's function asks; None where the answer may be another one each time, or rests on the order of
        rows: what the function builds of it may rest on that, too, as it is then."""
        if any(order_in(messages(asked.plan))):
            return None
        declared = self.declared(_of_table(node, asked), inputs)
        return None if declared is None else FunctionQuestion(self, digest("asks", asks, declared), node.name, asks)

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

        def answers(asks: Asks, asked: CapturedFunction) -> Sequence[Any] | None:
            question = self.question(node, asks, asked, inputs)
            return None if question is None else question.answer()

        made = as_built(node, capture(operator.call, operator.given, Action(node.name, watched=False), answers))
        return None if made is node else self.declared(made, inputs)

    def answer_text(self, identity: str) -> str:
        """Return the text of an answer; empty if there is none."""
        if (fresh := self._fresh.get(identity)) is not None:
            return fresh.text
        found = self._read.of(identity)
        return "" if found is None else found.answer

    def note(self, identity: str, node: str, text: str, seconds: float) -> None:
        """Spark gave an answer for a node."""
        self._fresh[identity] = _Fresh(node, text, seconds)

    def records(self, iteration: int, void: Collection[str], uncertain: Collection[str]) -> list[AnswerRecord]:
        """Return what this run found out, for the record.

        Args:
            void: names of the nodes whose data changed meanwhile.
            uncertain: names of those whose rows, and so answers, may be others the next time.
        """
        now = time.time()
        return [
            AnswerRecord(identity, self.workflow, iteration, now, one.seconds, one.text)
            for identity, one in self._fresh.items()
            if one.text and one.node not in void and one.node not in uncertain
        ]


def _of_table(node: Node, asked: CapturedFunction) -> Node:
    """A node that gives the table that a function of another one asks about."""
    operator = node.operator
    assert isinstance(operator, Function)
    built = BuiltFunction(operator.call, operator.arguments, operator.forms, Form.SPARK, built=asked)
    return replace(node, operator=built, result=Result.TABLE)


@dataclass(frozen=True, slots=True)
class FunctionQuestion:
    """Something that a node's function asks about a table.

    Attributes:
        identity: hex SHA-256; two questions with one identity have one answer.
    """

    before: AnsweredBefore
    identity: str
    node: str
    asks: Asks

    def answer(self) -> Sequence[Any] | None:
        """Return what is on record, as a server's messages; None if nothing is."""
        text = self.before.answer_text(self.identity)
        try:
            return answer_of_text(_FORMS[self.asks], text) if text else None
        except StrangeAnswerError as error:
            self.before.refuse(self.identity, str(error))
            return None

    def note(self, told: Sequence[Any], seconds: float) -> None:
        """Spark answered it, which took so long."""
        try:
            text = text_of_answer(_FORMS[self.asks], told)
        except StrangeAnswerError:  # Spark answers it again in the next run
            text = ""
        self.before.note(self.identity, self.node, text, seconds)
