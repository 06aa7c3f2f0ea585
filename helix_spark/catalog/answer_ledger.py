"""Recorded answers by the identity of what was asked; of several the newest counts.

An answer counts only with the digest of all that its record says. What does not fit is no answer: it is left out, said
once, and asked again; the fresh answer then takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.open_table import text_literal
from helix_spark.catalog.journal.rows import SEQUENCE
from helix_spark.catalog.places.catalog_folder import checked_signature
from helix_spark.catalog.records import AnswerRecord

COMMIT_BYTES = 8 << 20
"""Bytes of texts that one file of answers has at most when it is appended: a reader decodes a whole file."""

AHEAD_BYTES = 16 << 20
"""Bytes of texts that a run reads ahead, and that it keeps of those which it reads one by one."""

_NEWEST_FIRST = f"{SEQUENCE} DESC, place DESC"


class AnswerLedger:
    """The journal of answers."""

    def __init__(self, journal: Journal[AnswerRecord]) -> None:
        self._journal = journal

    def append(self, records: Sequence[AnswerRecord]) -> None:
        for record in records:
            checked_signature(record.question)
        for commit in _commits([replace(one, digest=one.content_digest()) for one in records]):
            self._journal.append(commit)

    def newest_of(self, workflow: str, limit: int) -> dict[str, AnswerRecord]:
        """The newest records of a workflow, by question: as many as have `AHEAD_BYTES` of texts together."""
        own = f"FROM journal WHERE workflow = {text_literal(workflow)}"
        found = self._journal.columns(  # their sizes first: a query holds the texts of all that it sorts
            f"SELECT {SEQUENCE}, place, octet_length(answer) AS letters {own} ORDER BY {_NEWEST_FIRST} LIMIT {limit:d}"
        )
        letters = accumulate(size or 0 for size in found.get("letters", ()))
        places = zip(found.get(SEQUENCE, ()), found.get("place", ()), letters, strict=True)
        ahead = [(sequence, place) for sequence, place, so_far in places if so_far <= AHEAD_BYTES]
        if not ahead:
            return {}
        sequence, place = ahead[-1]
        since = f"({SEQUENCE} > {sequence:d} OR ({SEQUENCE} = {sequence:d} AND place >= {place:d}))"
        rows = self._journal.query(f"SELECT * {own} AND {since} ORDER BY {SEQUENCE}, place")
        return {row.question: row for row in rows}

    def newest(self, question: str) -> AnswerRecord | None:
        """The newest record of a question, whichever workflow asked it, if it is as it was written."""
        where = f"question = '{checked_signature(question)}'"
        rows = self._journal.query(f"SELECT * FROM journal WHERE {where} ORDER BY {_NEWEST_FIRST} LIMIT 1")
        return self.sound(rows[0]) if rows else None

    def questions(self, most: int) -> frozenset[str]:
        """The newest questions that have records, whichever workflow asked them."""
        columns = self._journal.columns(f"SELECT question FROM journal ORDER BY {SEQUENCE} DESC LIMIT {most:d}")
        return frozenset(columns.get("question", ()))

    def records(self) -> Iterator[AnswerRecord]:
        """The newest record of each question, with their texts, a commit at a time."""
        columns = self._journal.columns(f"SELECT question, max({SEQUENCE}) AS newest FROM journal GROUP BY question")
        newest = dict(zip(columns.get("question", ()), columns.get("newest", ()), strict=True))
        for sequence in sorted(set(newest.values())):
            rows = self._journal.query(f"SELECT * FROM journal WHERE {SEQUENCE} = {sequence:d} ORDER BY place")
            last = {row.question: row for row in rows}
            yield from (row for question, row in last.items() if newest.get(question) == sequence)

    def sound(self, record: AnswerRecord) -> AnswerRecord | None:
        """A whole record, if it is as it was written; else None, and it is left out."""
        if record.digest == record.content_digest():
            return record
        self.reject(record.question, "its digest is another one" if record.digest else "it has no digest")
        return None

    def reject(self, question: str, why: str) -> None:
        self._journal.reject(f"the answer to {question[:12]}: {why}")

    @property
    def rejections(self) -> Sequence[str]:
        return tuple(self._journal.rejections)


def _commits(records: Sequence[AnswerRecord]) -> Iterator[list[AnswerRecord]]:
    """Yield records in groups of at most `COMMIT_BYTES`, or of one."""
    group, size = list[AnswerRecord](), 0
    for record in records:
        size += len(record.answer)
        if group and size > COMMIT_BYTES:
            yield group
            group, size = [], len(record.answer)
        group.append(record)
    if group:
        yield group


_MOST_KNOWN = 100_000
"""Questions on record of which a run knows that there are answers, the newest: to look one up takes 10 ms. Older ones
of other workflows are asked again."""


class AnswersRead:
    """Answers as one run reads them: the newest of its workflow, so many `ahead`, at the first question, others one by
    one. A workflow without any, such as a copy of a script, takes those of the workflow that asked one of its first
    questions. Of the texts of either no more than `AHEAD_BYTES` are held."""

    def __init__(self, ledger: AnswerLedger, workflow: str, ahead: int) -> None:
        self._ledger, self._workflow, self._ahead = ledger, workflow, ahead
        self._kept = dict[str, AnswerRecord | None]()
        self._bytes = 0

    @cached_property
    def _newest(self) -> dict[str, AnswerRecord]:
        return self._ledger.newest_of(self._workflow, self._ahead)

    @cached_property
    def _known(self) -> frozenset[str]:
        return self._ledger.questions(_MOST_KNOWN)

    def of(self, question: str) -> AnswerRecord | None:
        """The record of a question, whichever workflow asked it; None if there is none, or it does not fit."""
        if question in self._kept:
            return self._kept[question]
        record = self._newest.get(question)
        record = self._look_up(question) if record is None else self._ledger.sound(record)
        size = 0 if record is None or question in self._newest else len(record.answer)
        if self._bytes + size <= AHEAD_BYTES:
            self._bytes += size
            self._kept[question] = record
        return record

    def seconds(self, question: str) -> float:
        """The seconds that the answer took Spark; 0.0 if that is not known."""
        record = self.of(question)
        return 0.0 if record is None else record.seconds

    def _look_up(self, question: str) -> AnswerRecord | None:
        record = self._ledger.newest(question) if question in self._known else None
        if record is not None and not self._newest:
            self._newest.update(self._ledger.newest_of(record.workflow, self._ahead))
        return record
