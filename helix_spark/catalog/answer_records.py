"""The journal of what Spark answered plain programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from helix_spark.catalog.journal.journal import Journal, text_literal
from helix_spark.catalog.places.layout import checked_signature, listed_signatures
from helix_spark.catalog.records import AnswerRecord


class AnswerLedger:
    """Answers by the identity of what was asked; of several the newest counts."""

    def __init__(self, journal: Journal[AnswerRecord]) -> None:
        self._journal = journal

    def append(self, records: Sequence[AnswerRecord]) -> None:
        for record in records:
            checked_signature(record.question)
        if records:
            self._journal.append(records)

    def newest_of(self, workflow: str, limit: int) -> dict[str, AnswerRecord]:
        """The newest answers of a workflow, by question."""
        rows = self._journal.query(
            f"SELECT * FROM journal WHERE workflow = {text_literal(workflow)} ORDER BY sequence DESC LIMIT {limit:d}"
        )
        return {row.question: row for row in reversed(rows)}

    def among(self, questions: Collection[str]) -> dict[str, AnswerRecord]:
        """The answers to some questions, whichever workflow asked them."""
        if not questions:
            return {}
        rows = self._journal.query(
            f"SELECT * FROM journal WHERE question IN ({listed_signatures(questions)}) ORDER BY sequence"
        )
        return {row.question: row for row in rows}
