"""A record of earlier answers, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from helix_spark.answers.answering import Answerer
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.plans.answer_gate import with_identity


@dataclass
class FakeRecord:
    """What earlier runs were answered, in memory.

    Attributes:
        answers, effects: by identity.
        models, tables: by identity, class and folder, or where the rows are.
        refused: by identity, why an answer did not fit.
    """

    answers: dict[str, str] = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)
    models: dict[str, tuple[str, str]] = field(default_factory=dict)
    tables: dict[str, CheckedTable] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def equate(self, identity: str, other: str) -> None:
        if other in self.answers:
            self.answers[identity] = with_identity(self.answers[other], other, identity)

    def answer(self, identity: str) -> str | None:
        return None if self.doubt(identity) else self.answers.get(identity)

    def reads(self, code: str) -> str:
        """Nothing: no function was watched before."""
        return ""

    def doubt(self, identity: str) -> str:
        """Nothing: no audit was made."""
        return ""

    def refuse(self, identity: str, why: str) -> None:
        self.refused[identity] = why
        del self.answers[identity]

    def left(self, identity: str) -> str | None:
        return self.effects.get(identity)

    def model(self, identity: str) -> tuple[str, str] | None:
        return self.models.get(identity)

    def table(self, identity: str) -> CheckedTable | None:
        return self.tables.get(identity)

    def rows_key(self, identity: str) -> str:
        return identity

    def remember(self, answerer: Answerer) -> None:
        """Takes over what a run was answered, as the catalog does at its end."""
        self.answers |= {one.question.identity: one.answer for one in answerer.answers if one.answer}
        self.answers |= {one.question.identity: one.answer or "" for one in answerer.analyses.take()}
        self.effects |= {one.question.identity: one.left for one in answerer.answers if one.left}
