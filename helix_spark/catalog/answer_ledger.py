"""Recorded answers by the identity of what was asked; of several the newest counts.

An answer counts only with the digest of all that its record says. What does not fit is no answer: it is left out, said
once, and asked again; the fresh answer then takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from helix_spark.catalog.records import AnswerRecord
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import grouped

SEGMENT_BYTES = 8 << 20
"""Bytes of texts that one segment of answers has at most: it is read as a whole."""


class AnswerLedger:
    """The records of answers.

    Args:
        below: looks up a question in shared catalogs; returns the name of the one that has an answer, with that.

    Attributes:
        origins: the shared catalogs of the answers that came from there, by question.
    """

    def __init__(self, records: RecordLog, below: Callable[[str], tuple[str, AnswerRecord] | None]) -> None:
        self._records, self._below = records, below
        self.origins: dict[str, str] = {}

    def append(self, records: Sequence[AnswerRecord]) -> None:
        whole = [replace(one, digest=one.content_digest()) for one in records]
        for group in grouped(whole, lambda one: (len(one.answer),), (SEGMENT_BYTES,)):
            self._records.append(group)

    def newest(self, question: str, *, is_fresh: bool = True) -> AnswerRecord | None:
        """The newest record of a question, whichever workflow asked it, if it is as it was written; else that of the
        first shared catalog that has one. A doubt of either counts.

        Args:
            is_fresh: read what was recorded since the last look.
        """
        rest = "WHERE question = ? ORDER BY turn DESC LIMIT 1"
        rows = self._records.rows(AnswerRecord, rest, question, is_fresh=is_fresh)
        own = self.sound(rows[0]) if rows else None
        below = None if own is not None and own.doubt else self._below(question)
        if below is None or (own is not None and not below[1].doubt):
            return own
        self.origins[question] = below[0]
        return below[1]

    def questions_of(self, workflow: str, until: int) -> set[str]:
        """Return the questions with answers that a workflow recorded, up to an iteration."""
        sql = "SELECT DISTINCT question FROM answers WHERE workflow = ? AND iteration <= ?"
        return {question for (question,) in self._records.select(sql, workflow, until)}

    def records(self) -> Iterator[AnswerRecord]:
        """The newest record of each question, with their texts, one by one."""
        newest = self._records.select("SELECT max(turn) AS turn FROM answers GROUP BY question ORDER BY turn")
        for (turn,) in newest:
            yield from self._records.rows(AnswerRecord, "WHERE turn = ?", turn)

    def sound(self, record: AnswerRecord) -> AnswerRecord | None:
        """A whole record, if it is as it was written; else None, and it is left out."""
        if record.digest == record.content_digest():
            return record
        self.reject(record.question, "its digest is another one" if record.digest else "it has no digest")
        return None

    def reject(self, question: str, why: str) -> None:
        self._records.remarks[f"answers: the answer to {question[:12]}: {why}"] = None

    @property
    def rejections(self) -> Sequence[str]:
        return tuple(why for why in self._records.rejections if why.startswith("answers: "))
