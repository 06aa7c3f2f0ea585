"""What is known of signatures, stored or not: which stand for which, what they cost, which vary.

Which record counts, where there are several:

- a declared signature stands for what its *newest* record says; where results differ each time, whoever plans picks one
  that can be had, so all that it ever stood for are told, the *oldest* first;
- of a signature's costs and sizes, each is that of the newest record which has it;
- a signature is random if *any* record says so: a doubt once raised stays;
- what a fit gave its features is in the record of the fit; it is that of the newest, and so are the columns that a
  function reads, and what code was seen to do;

Newest is by `SEQUENCE`, never by a clock.

The query itself merges records by these rules. Each run adds some to signatures that stay as they are, so a plan that
was handed all of them would take the longer, the more runs there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.queries import text_literal
from helix_spark.catalog.journal.rows import Misfit, columns_of, from_columns
from helix_spark.catalog.places.catalog_folder import checked_signature, listed_signatures
from helix_spark.catalog.records import ResultRecord

_FIGURES = ("compute_seconds", "load_seconds", "read_seconds", "bytes", "rows", "content", "verified")
"""Columns that are null where a record does not tell them; `_TEXTS` are empty there, and null in older records."""

_TEXTS = ("random", "influence", "observed", "trained")

_IN_ORDER = "sequence, place, declared"
"""Oldest first. Rows written at the same time may share a sequence."""

_ENDS = ("oldest", "oldest_place", "newest", "newest_place")


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


@dataclass(frozen=True, slots=True)
class _Merged:
    """One record, merged from several.

    Attributes:
        oldest, newest: where in the journal the first and the last of them are: sequence and place.
    """

    record: ResultRecord
    oldest: tuple[int, int]
    newest: tuple[int, int]


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

    def known(self, declared: Collection[str], signatures: Collection[str]) -> KnownResults:
        """What is known of these; see `KnownResults`. What a declared signature stands for is measured as well."""
        asked = set(declared)
        whole = {*signatures, *asked}
        found = self._merged({"declared": asked, "signature": whole}, by=("signature", "declared"))
        measured = {one.record.signature: one.record for one in found}
        # Seldom any: what was not asked for, of which the query saw a part, and what several declared ones stand for.
        times = Counter(one.record.signature for one in found)
        apart = {signature for signature in times if signature not in whole or times[signature] > 1}
        measured |= {one.record.signature: one.record for one in self._merged({"signature": apart}, by=("signature",))}
        standing, stood_for = _standing([one for one in found if one.record.declared in asked])
        observed: dict[str, dict[str, str]] = {}
        for one in sorted(found, key=lambda one: one.newest):
            if one.record.declared in asked and one.record.observed:
                observed.setdefault(one.record.declared, {})[one.record.signature] = one.record.observed
        return KnownResults(
            MappingProxyType(standing), MappingProxyType(stood_for), MappingProxyType(measured),
            MappingProxyType(observed),
        )

    def _merged(self, wanted: Mapping[str, Collection[str]], by: Sequence[str]) -> list[_Merged]:
        """The records that are wanted, by column, merged into one for each value of `by`."""
        # Plain lists, no joins: they are pushed into the scan, which then reads other columns of the hits only.
        tests = [f"{column} IN ({listed_signatures(digests)})" for column, digests in wanted.items() if digests]
        there = self._columns_there() if tests else frozenset[str]()
        if not there:
            return []
        columns = self._journal.columns(
            f"SELECT {', '.join(_merging(by, there))} FROM journal WHERE {' OR '.join(tests)} GROUP BY {', '.join(by)}"
        )
        ends = zip(*(columns.get(name, []) for name in _ENDS), strict=True)
        merged = zip(from_columns(columns, ResultRecord), ends, strict=True)
        return [
            _Merged(record, (end[0], end[1]), (end[2], end[3])) for record, end in merged
            if not isinstance(record, Misfit)
        ]

    def _columns_there(self) -> frozenset[str]:
        """The columns that the journal has, none before the first append. One that an older version wrote may lack
        some, which a query cannot name then; once it has them all, it is not asked again."""
        if not columns_of(ResultRecord).keys() <= self._columns:
            self._columns = frozenset(self._journal.columns("SELECT * FROM journal LIMIT 0"))
        return self._columns

    def with_content(self, workflow: str, node: str, content: str) -> str | None:
        """The signature of an earlier result of a node that holds this, of several the newest; None where there is
        none. What differs each time, or was seen to hold something else as well, is nothing to go by."""
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
            f"""SELECT signature FROM journal WHERE signature IN ({listed_signatures(hits["signature"])})
                GROUP BY signature
                HAVING count(DISTINCT content) = 1 AND max(coalesce(random, '')) = ''
                ORDER BY max(sequence) DESC, signature LIMIT 1"""
        )
        return next(iter(found.get("signature", ())), None)

    def last_measured(self, workflow: str, names: Collection[str]) -> dict[str, ResultRecord]:
        """The newest record with measured compute seconds of each node of a workflow, by name."""
        if not names:
            return {}
        listed = ", ".join(text_literal(name) for name in sorted(names))
        rows = self._journal.query(
            f"""SELECT * FROM (
                  SELECT *, row_number() OVER (PARTITION BY node ORDER BY sequence DESC, place DESC) AS age
                  FROM journal
                  WHERE workflow = {text_literal(workflow)} AND node IN ({listed}) AND compute_seconds IS NOT NULL
                ) WHERE age = 1"""
        )
        return {row.node: row for row in rows}


def _merging(by: Sequence[str], there: Collection[str]) -> Iterator[str]:
    """The columns of a query that merges records.

    Args:
        by: columns of which each value gets one record.
        there: columns that the journal has.
    """
    told = {name: f'"{name}" IS NOT NULL' for name in _FIGURES}
    # A filter must not be null anywhere: DataFusion 55 may take null for true in `first_value` and `last_value`.
    told |= {name: f"""coalesce("{name}", '') <> ''""" for name in _TEXTS}
    for name in columns_of(ResultRecord):
        if name in by:
            yield name
        elif name in there:
            where = f" FILTER (WHERE {told[name]})" if name in told else ""
            yield f'last_value("{name}" ORDER BY {_IN_ORDER}){where} AS "{name}"'
    yield "min(sequence) AS oldest"
    yield f"first_value(place ORDER BY {_IN_ORDER}) AS oldest_place"
    yield "max(sequence) AS newest"
    yield f"last_value(place ORDER BY {_IN_ORDER}) AS newest_place"


def _standing(found: Iterable[_Merged]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What declared signatures stand for, and all that each ever stood for, the oldest first.

    Args:
        found: one for each pair of signatures.
    """
    oldest_first = sorted(found, key=lambda one: (one.oldest, one.record.signature))
    stood_for: dict[str, tuple[str, ...]] = {}
    for one in oldest_first:
        stood_for[one.record.declared] = (*stood_for.get(one.record.declared, ()), one.record.signature)
    newest_last = sorted(oldest_first, key=lambda one: (one.newest, one.record.signature))
    return {one.record.declared: one.record.signature for one in newest_last}, stood_for
