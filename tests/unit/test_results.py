"""What is known of results: merged by the query itself, by the rules, however many records there are."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.catalog_reader import journals_in
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.upkeep import maintain
from helix_spark.catalog.known_results import KnownResults, ResultLedger
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ResultRecord
from helix_spark.identity.parts import digest

A, B, C = SIGNATURES = tuple(digest(letter) for letter in "abc")
PLANS = tuple(digest(f"plan {number}") for number in range(2))


def record(declared: str, signature: str, **told: Any) -> ResultRecord:
    return ResultRecord(declared, signature, "w", "rows", "scanner", 1, **told)


@pytest.fixture
def ledger(tmp_path: Path) -> ResultLedger:
    return ResultLedger(journals_in(tmp_path).results)


def merged(records: Sequence[ResultRecord]) -> ResultRecord:
    """One record from those of one signature, oldest first."""
    newest = records[-1]
    for name in ("compute_seconds", "load_seconds", "read_seconds", "bytes", "rows"):
        told = [value for one in records if (value := getattr(one, name)) is not None]
        newest = dataclasses.replace(newest, **{name: told[-1] if told else None})
    for name in ("random", "observed"):
        texts = [text for one in records if (text := getattr(one, name))]
        newest = dataclasses.replace(newest, **{name: texts[-1] if texts else ""})
    return newest


def in_turn(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """By the first of each pair, the second ones, in the order in which they first come."""
    found: dict[str, dict[str, None]] = {}
    for first, second in pairs:
        found.setdefault(first, {})[second] = None
    return {first: tuple(seconds) for first, seconds in found.items()}


def by_the_rules(
    records: Sequence[ResultRecord], declared: Collection[str], signatures: Collection[str]
) -> KnownResults:
    """What is known, told from all records, oldest first."""
    stood_for = in_turn((one.declared, one.signature) for one in records if one.declared in declared)
    asked = {*signatures, *declared, *(one for found in stood_for.values() for one in found)}
    of_each = {one: [each for each in records if each.signature == one] for one in asked}
    return KnownResults(
        {one.declared: one.signature for one in records if one.declared in declared}, stood_for,
        {signature: merged(found) for signature, found in of_each.items() if found},
    )


SECONDS = st.none() | st.floats(0, 100)
COUNTS = st.none() | st.integers(0, 9)
TEXTS = st.sampled_from(["", "", "one", "other"])
RECORDS = st.builds(
    ResultRecord, declared=st.sampled_from(SIGNATURES), signature=st.sampled_from(SIGNATURES), workflow=st.just("w"),
    node=st.sampled_from(["rows", "age"]), kind=st.just("scanner"), iteration=st.integers(1, 3),
    compute_seconds=SECONDS, load_seconds=SECONDS, bytes=COUNTS, rows=COUNTS,
    random=TEXTS, read_seconds=SECONDS,
)


@given(
    st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=1, max_size=7), st.booleans(),
    st.sets(st.sampled_from(SIGNATURES)), st.sets(st.sampled_from(SIGNATURES)),
)
@pytest.mark.long
def test_the_query_merges_records_by_the_rules(
    appended: list[list[ResultRecord]], tidied: bool, declared: set[str], signatures: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = journals_in(LocalPath(folder)).results
        ledger = ResultLedger(journal)
        for together in appended:
            ledger.append(together)
        if tidied:
            maintain(journal)
        known = ledger.look_up(declared, signatures)
    expected = by_the_rules([one for together in appended for one in together], declared, signatures)
    assert dict(known.standing) == expected.standing
    assert dict(known.stood_for) == expected.stood_for
    assert dict(known.measured) == expected.measured


def test_what_a_plan_is_handed_does_not_grow_with_the_runs(
    ledger: ResultLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append([record(A, A, compute_seconds=2.0), *(record(A, A, load_seconds=float(n)) for n in range(50))])
    handed: list[int] = []
    columns = Journal.columns

    def counted(self: Journal[ResultRecord], sql: str) -> dict[str, list[Any]]:
        found = columns(self, sql)
        handed.append(len(found["signature"]))
        return found

    monkeypatch.setattr(Journal, "columns", counted)
    found = ledger.look_up([A], [B]).measured[A]
    assert (found.compute_seconds, found.load_seconds) == (2.0, 49.0)
    assert sum(handed) == 1, "the pair of what was declared and what it stands for"


def test_all_that_a_declared_signature_stood_for_is_told_the_oldest_first(ledger: ResultLedger) -> None:
    for signature in (B, C, B):
        ledger.append([record(A, signature)])
    known = ledger.look_up([A], ())
    assert known.stood_for == {A: (B, C)}
    assert known.standing == {A: B}
    assert set(known.measured) == {B, C}


@dataclass(frozen=True, slots=True)
class Older:
    """A record as versions wrote it that knew nothing of reading by itself, and of what functions read."""

    declared: str
    signature: str
    workflow: str
    node: str
    kind: str
    iteration: int
    compute_seconds: float | None = None
    load_seconds: float | None = None
    bytes: int | None = None
    rows: int | None = None
    lowered: str | None = None
    random: str = ""


def test_a_journal_of_an_older_version_is_read_before_and_after_it_is_written(tmp_path: Path) -> None:
    older = Journal(tmp_path / "results", Older, pruned_by=("workflow", "iteration"))
    older.append([Older(A, A, "w", "rows", "scanner", 1, compute_seconds=2.0, random="calls rand")])
    ledger = ResultLedger(journals_in(tmp_path).results)
    assert ledger.look_up([A], ()).measured[A] == record(A, A, compute_seconds=2.0, random="calls rand")
    ledger.append([record(A, A, read_seconds=0.5)])
    expected = record(A, A, compute_seconds=2.0, random="calls rand", read_seconds=0.5)
    assert ledger.look_up([A], ()).measured[A] == expected
    older.append([Older(A, A, "w", "rows", "scanner", 1, load_seconds=0.1)])
    assert ledger.look_up([A], ()).measured[A] == dataclasses.replace(expected, load_seconds=0.1)
