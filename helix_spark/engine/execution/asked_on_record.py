"""What execution asks of a record of answers, so that Spark is not asked twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.capture.recorded_call import Asks
from helix_spark.dag.node import Node


class QuestionOnRecord(Protocol):
    """Something that a node's function asks about a table, with an identity."""

    def answer(self) -> Sequence[Any] | None:
        """What is on record, as a server's messages; None if nothing is."""

    def note(self, told: Sequence[Any], seconds: float) -> None:
        """Spark answered it, which took so long."""


class AnswersOnRecord(Protocol):
    """A record of answers."""

    def question(
        self, node: Node, asks: Asks, asked: CapturedFunction, inputs: Mapping[str, str]
    ) -> QuestionOnRecord | None:
        """What a node's function asks; None where the answer may be another one each time.

        Args:
            asked: the table that it asks about.
            inputs: signatures of the node's inputs, by name.
        """
