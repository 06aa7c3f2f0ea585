"""What is known of signatures, stored or not: which stand for which, what they cost, which vary.

Which record counts, where there are several:

- a declared signature stands for what its *newest* record says; where results differ each time, whoever plans picks one
  that can be had, so all that it ever stood for are told, the *oldest* first;
- of a signature's costs and sizes, each is that of the newest record which has it;
- a signature is random if *any* record says so: a doubt once raised stays;
- what a fit gave its features is in the record of the fit; it is that of the newest, and so are the columns that a
  function reads, and what code was seen to do;

Newest is by `SEQUENCE`, never by a clock.

The query itself merges records by these rules: a plan takes no longer, the more runs there were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.open_table import text_literal
from helix_spark.catalog.journal.rows import columns_of
from helix_spark.catalog.places.catalog_folder import checked_signature, listed
from helix_spark.catalog.records import ResultRecord

_FIGURES = ("compute_seconds", "load_seconds", "read_seconds", "bytes", "rows", "content", "verified")
"""Columns that are null where a record does not tell them; `_TEXTS` are empty there, and null in older records."""

_TEXTS = ("random", "observed", "trained")

_IN_ORDER = "sequence, place"
"""Oldest first. Rows written at the same time may share a sequence."""


@dataclass(frozen=True, slots=True)
class KnownResults:
    """What the records say of some signatures and plans.

    Attributes:
        standing: declared signature to the signature it stands for.
        stood_for: declared signature to all that it ever stood for, the oldest first.
        measured: signature to one record with its costs, sizes and randomness, merged from all of its records.
        observed: declared signature to what its code was seen to do (JSON of `hermetic.seen.Seen`), by what it then
            stood for, the newest last; of what did nothing nothing is told.
    """

    standing: Mapping[str, str]
    stood_for: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, ResultRecord]
    observed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class ResultLedger:
    """The journal of results."""

    def __init__(self, journal: Journal[ResultRecord]) -> None:
        self._journal = journal
        self._columns = frozenset[str]()

    def append(self, records: Sequence[ResultRecord]) -> None:
        for record in records:
            checked_signature(record.declared)
            checked_signature(record.signature)
        if records:
            self._journal.append(records)

    def look_up(self, declared: Collection[str], signatures: Collection[str]) -> KnownResults:
        """Return what is recorded of these signatures, and of those that the declared ones stand for."""
        standing, stood_for = dict[str, str](), dict[str, tuple[str, ...]]()
        observed = dict[str, dict[str, str]]()
        pairs = self._pairs(declared)
        measured = self._merged({*signatures, *declared, *(pair[2] for pair in pairs)})
        pairs = [pair for pair in pairs if pair[2] in measured]  # not where a record does not fit
        for _, name, signature, _, _ in sorted(pairs, key=lambda pair: pair[0]):
            stood_for[name] = (*stood_for.get(name, ()), signature)
        for _, name, signature, _, text in sorted(pairs, key=lambda pair: pair[3]):
            standing[name] = signature
            if text:
                observed.setdefault(name, {})[signature] = text
        return KnownResults(standing, stood_for, measured, observed)

    def _pairs(self, declared: Collection[str]) -> list[tuple[int, str, str, int, str | None]]:
        """Each declared signature with each that it stood for: place of the oldest of their records, both signatures,
        place of the newest, and what code was seen to do."""
        wanted = listed(declared)
        there = self._columns_there() if wanted else ()
        if not there:
            return []
        observed = "observed" if "observed" in there else "'' AS observed"
        columns = self._journal.columns(
            f"""SELECT min(turn) AS oldest, declared, signature, max(turn) AS newest,
                  last_value(observed ORDER BY turn) FILTER (WHERE {_told("observed")}) AS observed
                FROM (
                  SELECT declared, signature, {observed}, row_number() OVER (ORDER BY {_IN_ORDER}) AS turn
                  FROM journal WHERE declared IN ({wanted})
                ) GROUP BY declared, signature"""
        )
        return list(zip(*columns.values(), strict=True))

    def _merged(self, signatures: Collection[str]) -> dict[str, ResultRecord]:
        wanted = listed(signatures)
        there = self._columns_there() if wanted else ()
        if not there:
            return {}
        # A plain list, no join: it is pushed into the scan, which then reads other columns of the hits only.
        rows = self._journal.query(
            f"SELECT {', '.join(_merging(there))} FROM journal WHERE signature IN ({wanted}) GROUP BY signature"
        )
        return {row.signature: row for row in rows}

    def _columns_there(self) -> frozenset[str]:
        """The columns that the journal has: one of an older version may lack some, which a query cannot name."""
        if not columns_of(ResultRecord).keys() <= self._columns:
            self._columns = frozenset(self._journal.columns("SELECT * FROM journal LIMIT 0"))
        return self._columns

    def with_content(self, workflow: str, node: str, content: str) -> str | None:
        """The signature of the newest earlier result of a node that holds this, and never held anything else."""
        if "content" not in self._columns_there():
            return None
        checked_signature(content)
        hits = self._journal.columns(
            f"""SELECT DISTINCT signature FROM journal WHERE content = {text_literal(content)}
                AND workflow = {text_literal(workflow)} AND node = {text_literal(node)}"""
        )
        if not hits.get("signature"):
            return None
        found = self._journal.columns(
            f"""SELECT signature FROM journal WHERE signature IN ({listed(hits["signature"])})
                GROUP BY signature
                HAVING count(DISTINCT content) = 1 AND max(coalesce(random, '')) = ''
                ORDER BY max(sequence) DESC, signature LIMIT 1"""
        )
        return next(iter(found.get("signature", ())), None)

    def last_measured(self, workflow: str, names: Collection[str]) -> dict[str, ResultRecord]:
        """The newest record with measured compute seconds of each node of a workflow, by name."""
        if not names:
            return {}
        wanted = ", ".join(text_literal(name) for name in sorted(names))
        rows = self._journal.query(
            f"""SELECT * FROM (
                  SELECT *, row_number() OVER (PARTITION BY node ORDER BY sequence DESC, place DESC) AS age
                  FROM journal
                  WHERE workflow = {text_literal(workflow)} AND node IN ({wanted}) AND compute_seconds IS NOT NULL
                ) WHERE age = 1"""
        )
        return {row.node: row for row in rows}


def _told(name: str) -> str:
    """Return the test whether a record tells something in a column; empty where any does."""
    if name in _FIGURES:
        return f'"{name}" IS NOT NULL'
    # A filter must not be null anywhere: DataFusion 55 may take null for true in `first_value` and `last_value`.
    return f"""coalesce("{name}", '') <> ''""" if name in _TEXTS else ""


def _merging(there: Collection[str]) -> Iterator[str]:
    """Yield the columns of a query that merges the records of each signature."""
    yield "signature"
    for name in columns_of(ResultRecord):
        if name in there and name != "signature":
            where = f" FILTER (WHERE {told})" if (told := _told(name)) else ""
            yield f'last_value("{name}" ORDER BY {_IN_ORDER}){where} AS "{name}"'
