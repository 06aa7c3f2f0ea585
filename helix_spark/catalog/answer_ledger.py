"""Recorded answers by the identity of what was asked; of several the newest counts.

An answer counts only with the digest of all that its record says. What does not fit is no answer: it is left out, said
once, and asked again; the fresh answer then takes its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.queries import text_literal
from helix_spark.catalog.journal.rows import SEQUENCE, Misfit, from_columns
from helix_spark.catalog.places.catalog_folder import checked_signature
from helix_spark.catalog.records import AnswerRecord

COMMIT_BYTES = 8 << 20
"""Bytes of texts that one file of answers has at most when it is appended: a reader decodes a whole file."""

AHEAD_BYTES = 16 << 20
"""Bytes of texts that a run reads ahead, and that it keeps of those which it reads one by one."""


class AnswerLedger:
    """The journal of answers."""

    def __init__(self, journal: Journal[AnswerRecord]) -> None:
        self._journal = journal

    def append(self, records: Sequence[AnswerRecord]) -> None:
        for record in records:
            checked_signature(record.question)
        for commit in _commits([replace(one, digest=one.content_digest()) for one in records]):
            self._journal.append(commit)

    def read(self, workflow: str, ahead: int) -> AnswersRead:
        """The answers as one run of a workflow reads them.

        Args:
            ahead: how many of the workflow's are looked up at first.
        """
        return AnswersRead(self, workflow, ahead)

    def newest_of(self, workflow: str, limit: int) -> dict[str, Entry]:
        """The newest entries of a workflow, by question, without their texts."""
        where = f"workflow = {text_literal(workflow)}"
        return {one.record.question: one for one in reversed(self._entries(where, f" LIMIT {limit:d}"))}

    def newest(self, question: str) -> Entry | None:
        """The newest entry of a question, whichever workflow asked it."""
        return next(iter(self._entries(f"question = {text_literal(checked_signature(question))}", " LIMIT 1")), None)

    def questions(self, most: int) -> frozenset[str]:
        """The newest questions that have records, whichever workflow asked them."""
        columns = self._journal.columns(
            f"SELECT question FROM journal ORDER BY {SEQUENCE} DESC LIMIT {most:d}"
        )
        return frozenset(columns.get("question", ()))

    def texts(self, workflow: str, since: int) -> dict[str, AnswerRecord]:
        """The records of a workflow with their texts, by question.

        Args:
            since: the `SEQUENCE` of the oldest.
        """
        where = f"workflow = {text_literal(workflow)} AND {SEQUENCE} >= {since:d}"
        return {row.question: row for row in self._rows(where)}

    def record(self, entry: Entry) -> AnswerRecord | None:
        """The record of an entry, with its text."""
        where = f"question = {text_literal(entry.record.question)} AND {SEQUENCE} = {entry.sequence:d}"
        return next(iter(self._rows(where, "DESC", " LIMIT 1")), None)

    def records(self) -> Iterator[AnswerRecord]:
        """The newest record of each question, with their texts, a few at a time."""
        entries = self._entries("true")
        newest = {one.record.question: one.sequence for one in reversed(entries)}
        letters = Counter[int]()
        for one in entries:
            letters[one.sequence] += one.letters
        for sequence, size in letters.items():
            rows: Iterable[AnswerRecord] = self._rows(f"{SEQUENCE} = {sequence:d}") if size <= AHEAD_BYTES else (
                row for one in entries if one.sequence == sequence and (row := self.record(one)) is not None
            )
            yield from (row for row in rows if newest.get(row.question) == sequence)

    def sound(self, record: AnswerRecord) -> AnswerRecord | None:
        """A whole record, if it is as it was written; else None, and it is left out."""
        if record.digest == record.content_digest():
            return record
        self.reject(record.question, "its digest is another one" if record.digest else "it has no digest")
        return None

    def reject(self, question: str, why: str) -> None:
        """Remember that an answer was left out because it does not fit."""
        self._journal.reject(f"the answer to {question[:12]}: {why}")

    @property
    def rejections(self) -> Sequence[str]:
        """Why answers were left out, in words."""
        return tuple(self._journal.rejections)

    def _entries(self, where: str, limit: str = "") -> list[Entry]:
        """Entries, the newest first."""
        columns = self._journal.columns(
            f'SELECT * EXCLUDE (answer), coalesce(octet_length(answer), 0) AS letters FROM journal '
            f"WHERE {where} ORDER BY {SEQUENCE} DESC, place DESC{limit}"
        )
        rows = from_columns({**columns, "answer": [None] * len(columns.get(SEQUENCE, ()))}, AnswerRecord)
        return [
            Entry(row, sequence, letters)
            for row, sequence, letters in zip(rows, columns[SEQUENCE], columns["letters"], strict=True)
            if not isinstance(row, Misfit)
        ] if rows else []

    def _rows(self, where: str, order: str = "", limit: str = "") -> list[AnswerRecord]:
        order = f"ORDER BY {SEQUENCE} {order}, place {order}"
        return self._journal.query(f"SELECT * FROM journal WHERE {where} {order}{limit}")


def _commits(records: Sequence[AnswerRecord]) -> Iterator[list[AnswerRecord]]:
    """Records in groups of bounded size."""
    group: list[AnswerRecord] = []
    size = 0
    for record in records:
        if group and size + len(record.answer) > COMMIT_BYTES:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.answer)
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded answer without its text.

    Attributes:
        record: of which `answer` is empty.
        sequence: see `SEQUENCE`.
        letters: bytes of the text.
    """

    record: AnswerRecord
    sequence: int
    letters: int


_MOST_KNOWN = 100_000
"""Questions on record of which a run knows that there are answers, the newest: to look one up takes 10 ms. Older ones
of other workflows are asked again."""


class AnswersRead:
    """Answers as one run reads them: the newest of its workflow at the first question, others one by one. A workflow
    without any, such as a copy of a script, takes those of the workflow that asked one of its first questions. Of their
    texts no more than `AHEAD_BYTES` are held.

    Args:
        ahead: how many are looked up at first.
    """

    def __init__(self, ledger: AnswerLedger, workflow: str, ahead: int) -> None:
        self._ledger, self._workflow, self._ahead = ledger, workflow, ahead
        self._others = dict[str, Entry | None]()
        self._kept = dict[str, AnswerRecord | None]()
        self._bytes = 0

    @cached_property
    def _newest(self) -> dict[str, Entry]:
        return self._ledger.newest_of(self._workflow, self._ahead)

    @cached_property
    def _known(self) -> frozenset[str]:
        return self._ledger.questions(_MOST_KNOWN)

    @cached_property
    def _texts(self) -> Mapping[str, AnswerRecord]:
        """The records that are read ahead."""
        letters = Counter[int]()
        for one in self._newest.values():
            letters[one.sequence] += one.letters
        since, size = None, 0
        for sequence in sorted(letters, reverse=True):
            size += letters[sequence]
            if size > AHEAD_BYTES:
                break
            since = sequence
        return {} if since is None else self._ledger.texts(self._workflow, since)

    def of(self, question: str) -> AnswerRecord | None:
        """The record of a question, whichever workflow asked it, with its text; None if there is none, or it does not
        fit."""
        if question in self._kept:
            return self._kept[question]
        entry = self._entry(question)
        if entry is None:
            return None
        record = self._texts.get(question) or self._ledger.record(entry)
        record = None if record is None else self._ledger.sound(record)
        if record is None or self._bytes + len(record.answer) <= AHEAD_BYTES:
            self._bytes += 0 if record is None else len(record.answer)
            self._kept[question] = record
        return record

    def seconds(self, question: str) -> float:
        """The seconds that the answer took Spark; 0.0 if that is not known."""
        entry = self._entry(question)
        return 0.0 if entry is None else entry.record.seconds

    def refuse(self, question: str, why: str) -> None:
        """Leave an answer out: its text does not fit."""
        self._ledger.reject(question, why)
        self._kept[question] = None

    def _entry(self, question: str) -> Entry | None:
        if question in self._newest:
            return self._newest[question]
        if question not in self._others:
            found = self._ledger.newest(question) if question in self._known else None
            if found is not None and not self._newest:
                self._workflow = found.record.workflow
                self._newest.update(self._ledger.newest_of(self._workflow, self._ahead))
                self.__dict__.pop("_texts", None)
            self._others[question] = found
        return self._others[question]
