"""What is known of signatures, stored or not: which stand for which, what they cost, which vary.

Which record counts, where there are several:

- a declared signature stands for what its *newest* record says;
- of a signature's costs and sizes, each is that of the newest record which has it;
- a signature is random if *any* record says so: a doubt once raised stays;
- what a fit gave its features is in the record of the fit; it is that of the newest, and so are the columns that a
  function reads;
- for a lowered plan, all signatures that were ever computed with it, the *oldest* (the original) first.

Newest is by `SEQUENCE`, never by a clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from helix_spark.catalog.journal import Journal, text_literal
from helix_spark.catalog.layout import checked_signature, listed_signatures
from helix_spark.catalog.places import Place
from helix_spark.catalog.records import ResultRecord
from helix_spark.catalog.upkeep import Upkept, maintain


@dataclass(frozen=True, slots=True)
class KnownResults:
    """What the records say of some signatures and plans.

    Attributes:
        standing: declared signature to the signature it stands for.
        lowered: digest of a lowered plan to the signatures computed with it, the original first.
        measured: signature to one record with its costs, sizes and randomness, merged from all of its records.
    """

    standing: Mapping[str, str]
    lowered: Mapping[str, tuple[str, ...]]
    measured: Mapping[str, ResultRecord]


def merged(records: Sequence[ResultRecord]) -> ResultRecord:
    """One record from those of one signature, oldest first.

    >>> a = ResultRecord("d", "s", "w", "n", "value", 1, compute_seconds=2.0, random="calls rand")
    >>> b = ResultRecord("d", "s", "w", "n", "value", 2, load_seconds=0.1)
    >>> both = merged([a, b])
    >>> both.compute_seconds, both.load_seconds, both.random, both.iteration
    (2.0, 0.1, 'calls rand', 2)
    """
    known: dict[str, Any] = {
        name: next((value for record in reversed(records) if (value := getattr(record, name)) is not None), None)
        for name in ("compute_seconds", "load_seconds", "read_seconds", "bytes", "rows", "lowered")
    }
    said: dict[str, Any] = {
        name: next((text for record in reversed(records) if (text := getattr(record, name))), "")
        for name in ("random", "influence", "reads")
    }
    return dataclasses.replace(records[-1], **known, **said)


def resolve(
    records: Iterable[ResultRecord], *, declared: Collection[str], lowered: Collection[str]
) -> KnownResults:
    """Read records, oldest first, by the rules above. Only what was asked for is in `standing` and `lowered`."""
    standing: dict[str, str] = {}
    plans: dict[str, dict[str, None]] = {}
    of_signature: dict[str, list[ResultRecord]] = {}
    for record in records:
        if record.declared in declared:
            standing[record.declared] = record.signature
        if record.lowered is not None and record.lowered in lowered:
            plans.setdefault(record.lowered, {})[record.signature] = None
        of_signature.setdefault(record.signature, []).append(record)
    return KnownResults(
        MappingProxyType(standing),
        MappingProxyType({digest: tuple(signatures) for digest, signatures in plans.items()}),
        MappingProxyType({signature: merged(found) for signature, found in of_signature.items()}),
    )


class ResultLedger:
    """The journal of results.

    Args:
        folder: of the Delta table.
    """

    def __init__(self, folder: Place) -> None:
        self._journal = Journal(folder, ResultRecord, pruned_by=("workflow", "iteration"))

    def append(self, records: Sequence[ResultRecord]) -> None:
        for record in records:
            checked_signature(record.declared)
            checked_signature(record.signature)
        if records:
            self._journal.append(records)

    def known(
        self, declared: Collection[str], lowered: Collection[str], signatures: Collection[str]
    ) -> KnownResults:
        """What is known of these; see `KnownResults`. What a declared signature stands for is measured as well."""
        whole = {*signatures, *declared}
        rows = self._where({"declared": declared, "lowered": lowered, "signature": whole})
        # Seldom needed: what stands for a declared signature mostly is declared by another node, or asked for.
        if others := {row.signature for row in rows} - whole:
            rows = self._where({"declared": declared, "lowered": lowered, "signature": whole | others})
        return resolve(rows, declared=frozenset(declared), lowered=frozenset(lowered))

    def _where(self, wanted: Mapping[str, Collection[str]]) -> list[ResultRecord]:
        # Plain lists, no joins: they are pushed into the scan, which then reads other columns of the hits only.
        tests = [f"{column} IN ({listed_signatures(digests)})" for column, digests in wanted.items() if digests]
        if not tests:
            return []
        return self._journal.query(
            f"SELECT * FROM journal WHERE {' OR '.join(tests)} ORDER BY sequence, place, signature, declared"
        )

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

    def maintain(self) -> Upkept:
        return maintain(self._journal)
