"""Queries of results, stored or not: effective signatures, costs, nondeterminism; and of recorded answers.

If there are several records:

- The *newest* record of a declared signature has its effective signature. All earlier ones are returned as well, the
  *oldest* first: if a result is nondeterministic, the planner picks an available one.
- Each cost and size of a signature is from the newest record that has it.
- A signature is random, or an instance, if *any* record says so: a doubt stays.
- Model cards of fits, columns that a function reads and observed inputs of code are from the newest record.
- The newest answer to a question counts if its digest fits; else it is rejected, which is reported once.

Newest is by the order of appends, never by a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.catalog.records import AnswerRecord, ResultRecord
from helix_spark.catalog.segments.record_index import RecordColumn, columns_of, is_filled, record_from_cells
from helix_spark.catalog.segments.record_log import RecordLog, listed
from helix_spark.catalog.segments.segment import grouped
from helix_spark.catalog.shared_catalogs import RecordReader, SharedCatalogs

_OPTIONAL = tuple(name for name, column in columns_of(ResultRecord).items() if column.is_optional)


@dataclass(frozen=True, slots=True)
class KnownResults:
    """Records of some signatures, merged.

    Attributes:
        newest: declared signature to its effective signature.
        effective: declared signature to all of its effective signatures ever, the oldest first.
        measured: signature to a record with its costs, sizes and nondeterminism, merged from all of its records.
        observed: declared signature to the observed inputs of its code (JSON of `ObservedInputs`), by effective
            signature, the newest last; without code that read nothing.
    """

    newest: Mapping[str, str]
    effective: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, ResultRecord]
    observed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def over(self, below: KnownResults) -> KnownResults:
        """Return these, completed by the results of a catalog below, without its load times."""
        measured = dict(self.measured)
        for signature, record in below.measured.items():
            addition = replace(record, load_seconds=None, read_seconds=None)
            measured[signature] = completed(measured[signature], addition) if signature in measured else addition
        effective = {
            name: tuple(dict.fromkeys((*self.effective.get(name, ()), *below.effective.get(name, ()))))
            for name in {**below.effective, **self.effective}
        }
        observed = {
            name: {**below.observed.get(name, {}), **self.observed.get(name, {})}
            for name in {**below.observed, **self.observed}
        }
        return KnownResults({**below.newest, **self.newest}, effective, measured, observed)


def completed(record: ResultRecord, other: ResultRecord) -> ResultRecord:
    """Return a record of a signature with missing columns filled from another one.

    >>> record = ResultRecord("d", "s", "w", "n", "scanner", 1, bytes=7)
    >>> merged = completed(record, ResultRecord("d", "s", "x", "m", "scanner", 2, bytes=8, rows=3, random="it draws"))
    >>> merged.workflow, merged.bytes, merged.rows, merged.random
    ('w', 7, 3, 'it draws')
    """
    missing = [name for name in _OPTIONAL if getattr(record, name) in (None, "")]
    return replace(record, **{name: getattr(other, name) for name in missing})


class ResultReader(RecordReader):
    """Queries of results in a catalog and the shared ones below it."""

    shared: SharedCatalogs[ResultReader]

    def results(self, declared: Collection[str], signatures: Collection[str] = ()) -> KnownResults:
        """Return the effective signatures of declared ones, and the costs of signatures; see `KnownResults`."""
        newest, effective = dict[str, str](), dict[str, tuple[str, ...]]()
        observed = dict[str, dict[str, str]]()
        # Each pair of declared and effective signatures, the turns of their oldest and newest records, and the observed
        # inputs of the code.
        pairs = self._records.select("""
            SELECT min(turn), declared, signature, max(turn), (
                SELECT observed FROM results WHERE declared = one.declared AND signature = one.signature
                AND observed <> '' ORDER BY turn DESC LIMIT 1)
            FROM results AS one WHERE declared IN (SELECT value FROM json_each(?)) GROUP BY declared, signature
        """, listed(declared)) if declared else []
        for _, name, signature, _, _ in sorted(pairs):
            effective[name] = (*effective.get(name, ()), signature)
        for _, name, signature, _, text in sorted(pairs, key=lambda pair: pair[3]):
            newest[name] = signature
            if text:
                observed.setdefault(name, {})[signature] = text
        lookup = {*signatures, *declared, *(pair[2] for pair in pairs)}
        rows = self._records.select(_MERGED, listed(lookup)) if lookup else []
        measured = {row[1]: record_from_cells(ResultRecord, row) for row in rows}
        results = KnownResults(newest, effective, measured, observed)
        lookup = {*signatures, *measured}
        for _, below in self.shared.query(lambda catalog: catalog.results(declared, lookup)):
            results = results.over(below)
        return results

    def declared_for(self, signatures: Collection[str]) -> set[str]:
        """Return the declared signatures that have or had one of these as their effective signature."""
        sql = "SELECT DISTINCT declared FROM results WHERE signature IN (SELECT value FROM json_each(?))"
        own = {declared for (declared,) in self._records.select(sql, listed(signatures))}
        return own.union(*(below for _, below in self.shared.query(lambda catalog: catalog.declared_for(signatures))))

    def with_content(self, workflow: str, node: str, content: str) -> str | None:
        """Return the signature of a node's newest earlier result with this content, and with no other content ever."""
        own = self._records.select("""
            SELECT signature FROM results WHERE signature IN (
                SELECT signature FROM results WHERE content = ? AND workflow = ? AND node = ?)
            GROUP BY signature HAVING count(DISTINCT content) = 1 AND max(random) = ''
            ORDER BY max(turn) DESC LIMIT 1""", content, workflow, node)
        return own[0][0] if own else self.shared.first(lambda catalog: catalog.with_content(workflow, node, content))

    def audit_seconds(self, workflow: str, since: int) -> float:
        """Return the total seconds of a workflow's audits since an iteration."""
        sql = "SELECT total(audit_seconds) FROM results WHERE workflow = ? AND iteration >= ?"
        return float(self._records.select(sql, workflow, since)[0][0])

    def measured(self, workflow: str, names: Collection[str]) -> dict[str, ResultRecord]:
        """Return the newest record with measured compute seconds of each node of a workflow, by name."""
        clause = """WHERE turn IN (
            SELECT max(turn) FROM results WHERE workflow = ? AND node IN (SELECT value FROM json_each(?))
            AND compute_seconds >= 0 GROUP BY node)"""
        return {row.node: row for row in self._records.rows(ResultRecord, clause, workflow, listed(names))}


def _newest(name: str, column: RecordColumn) -> str:
    """Return the query of the newest value of a column among the rows of a signature that fill it."""
    rows = f"FROM results WHERE signature = one.signature AND {is_filled(name, column)}"
    newest = f"""(SELECT "{name}" {rows} ORDER BY turn DESC LIMIT 1)"""
    return f"coalesce({newest}, '')" if column.default == "" else newest


_MERGED = f"""
    SELECT {", ".join(_newest(name, column) for name, column in columns_of(ResultRecord).items())}
    FROM (SELECT DISTINCT value AS signature FROM json_each(?)) AS one
    WHERE EXISTS (SELECT 1 FROM results WHERE signature = one.signature)"""
"""One row for each signature: each column is from the newest record that fills it."""


SEGMENT_BYTES = 8 << 20
"""Bytes of texts in one segment of answers at most: it is read as a whole."""


class AnswerLedger:
    """The records of answers.

    Args:
        below: looks up a question in shared catalogs; returns the catalog's name and the answer.

    Attributes:
        origins: names of the shared catalogs that answers came from, by question.
    """

    def __init__(self, records: RecordLog, below: Callable[[str], tuple[str, AnswerRecord] | None]) -> None:
        self._records, self._below = records, below
        self.origins: dict[str, str] = {}

    def append(self, records: Sequence[AnswerRecord]) -> None:
        digested = [replace(record, digest=record.content_digest()) for record in records]
        for group in grouped(digested, lambda record: (len(record.answer),), (SEGMENT_BYTES,)):
            self._records.append(group)

    def newest(self, question: str, *, is_fresh: bool = True) -> AnswerRecord | None:
        """Return the newest record of a question, from any workflow, if its digest fits; else that of the first shared
        catalog that has one. A doubt of either counts. For `is_fresh` see `RecordLog.rows`."""
        clause = "WHERE question = ? ORDER BY turn DESC LIMIT 1"
        rows = self._records.rows(AnswerRecord, clause, question, is_fresh=is_fresh)
        own = self.sound(rows[0]) if rows else None
        below = None if own is not None and own.doubt else self._below(question)
        if below is None or (own is not None and not below[1].doubt):
            return own
        self.origins[question] = below[0]
        return below[1]

    def questions_of(self, workflow: str, until: int) -> set[str]:
        """Return the questions that a workflow recorded answers to, up to an iteration."""
        sql = "SELECT DISTINCT question FROM answers WHERE workflow = ? AND iteration <= ?"
        return {question for (question,) in self._records.select(sql, workflow, until)}

    def records(self) -> Iterator[AnswerRecord]:
        """Yield the newest record of each question, with its texts."""
        newest = self._records.select("SELECT max(turn) AS turn FROM answers GROUP BY question ORDER BY turn")
        for (turn,) in newest:
            yield from self._records.rows(AnswerRecord, "WHERE turn = ?", turn)

    def sound(self, record: AnswerRecord) -> AnswerRecord | None:
        """Return a record if its digest fits; else reject it and return None."""
        if record.digest == record.content_digest():
            return record
        self.reject(record.question, "its digest differs" if record.digest else "it has no digest")
        return None

    def reject(self, question: str, why: str) -> None:
        self._records.remarks[f"answers: the answer to {question[:12]}: {why}"] = None

    @property
    def rejections(self) -> Sequence[str]:
        return tuple(why for why in self._records.rejections if why.startswith("answers: "))
