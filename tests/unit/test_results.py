"""What is known of results: merged by the query itself, by the rules, however many records there are."""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_spark.catalog.known_results import KnownResults, ResultReader
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import KINDS, ResultRecord
from helix_spark.catalog.segments import folding
from helix_spark.catalog.segments.folding import fold
from helix_spark.catalog.segments.record_index import RecordKind
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.shared_catalogs import SharedCatalogs
from helix_spark.identity.parts import digest

A, B, C = SIGNATURES = tuple(digest(letter) for letter in "abc")


def log_in(folder: LocalPath) -> RecordLog:
    """The records in a folder, as a process reads them that knows nothing of them yet."""
    return RecordLog(folder, KINDS, lambda: None)


def record(declared: str, signature: str, **told: Any) -> ResultRecord:
    return ResultRecord(declared, signature, "w", "rows", "scanner", 1, **told)


def reader_of(log: RecordLog) -> ResultReader:
    reader = ResultReader()
    reader._records, reader.shared = log, SharedCatalogs((), lambda name: None)
    return reader


@pytest.fixture
def ledger(tmp_path: LocalPath) -> ResultReader:
    return reader_of(log_in(tmp_path / "records"))


def merged(records: Sequence[ResultRecord]) -> ResultRecord:
    """One record from those of one signature, oldest first."""
    newest = records[-1]
    for name in ("compute_seconds", "load_seconds", "read_seconds", "bytes", "rows", "content", "verified"):
        told = [value for one in records if (value := getattr(one, name)) is not None]
        newest = dataclasses.replace(newest, **{name: told[-1] if told else None})
    for name in ("random", "observed", "trained"):
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
    effective = in_turn((one.declared, one.signature) for one in records if one.declared in declared)
    asked = {*signatures, *declared, *(one for found in effective.values() for one in found)}
    of_each = {one: [each for each in records if each.signature == one] for one in asked}
    return KnownResults(
        {one.declared: one.signature for one in records if one.declared in declared}, effective,
        {signature: merged(found) for signature, found in of_each.items() if found},
    )


SECONDS = st.none() | st.floats(0, 100)
COUNTS = st.none() | st.integers(0, 9)
TEXTS = st.sampled_from(["", "", "one", "other"])
RECORDS = st.builds(
    ResultRecord, declared=st.sampled_from(SIGNATURES), signature=st.sampled_from(SIGNATURES), workflow=st.just("w"),
    node=st.sampled_from(["rows", "age"]), kind=st.just("scanner"), iteration=st.integers(1, 3),
    compute_seconds=SECONDS, load_seconds=SECONDS, bytes=COUNTS, rows=COUNTS,
    random=TEXTS, read_seconds=SECONDS, content=st.none() | st.sampled_from(SIGNATURES),
    verified=st.none() | st.booleans(), trained=st.sampled_from(["", *SIGNATURES]),
)


@given(
    st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=1, max_size=7), st.integers(0, 7),
    st.sets(st.sampled_from(SIGNATURES)), st.sets(st.sampled_from(SIGNATURES)),
)
@pytest.mark.long
def test_the_query_merges_records_by_the_rules(
    appended: list[list[ResultRecord]], folded_after: int, declared: set[str], signatures: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(folding, "AT_ONCE", 1)
        patched.setattr(folding, "KEPT_SEGMENTS", 0)
        log = log_in(folder := LocalPath(name))
        ledger = reader_of(log)
        for number, together in enumerate(appended, 1):
            ledger._records.append(together)
            if number == folded_after:
                assert fold(log) == number
        looks = [one.results(declared, signatures) for one in (ledger, reader_of(log_in(folder)))]
    expected = by_the_rules([one for together in appended for one in together], declared, signatures)
    for known in looks:
        assert dict(known.newest) == expected.newest
        assert dict(known.effective) == expected.effective
        assert dict(known.measured) == expected.measured


def test_what_a_plan_is_handed_does_not_grow_with_the_runs(
    ledger: ResultReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = (record(A, A, load_seconds=float(n)) for n in range(50))
    ledger._records.append([record(A, A, compute_seconds=2.0), *loaded])
    handed: list[int] = []
    select = RecordLog.select

    def counted(self: RecordLog, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        found = select(self, sql, *values)
        handed.append(len(found))
        return found

    monkeypatch.setattr(RecordLog, "select", counted)
    monkeypatch.setattr(RecordLog, "rows", lambda *_: pytest.fail("whole records were read"))
    found = ledger.results([A], [B]).measured[A]
    assert (found.compute_seconds, found.load_seconds) == (2.0, 49.0)
    assert handed == [1, 1], "the pair of what was declared and what it stands for, and one merged record"


def test_all_that_a_declared_signature_stood_for_is_told_the_oldest_first(ledger: ResultReader) -> None:
    for signature in (B, C, B):
        ledger._records.append([record(A, signature)])
    known = ledger.results([A], ())
    assert known.effective == {A: (B, C)}
    assert known.newest == {A: B}
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


def test_records_of_an_older_version_are_read_before_and_after_others_are_written(tmp_path: LocalPath) -> None:
    older = RecordLog(tmp_path / "records", [RecordKind("results", Older, ())], lambda: None)
    older.append([Older(A, A, "w", "rows", "scanner", 1, compute_seconds=2.0, lowered="x", random="calls rand")])
    ledger = reader_of(log_in(tmp_path / "records"))
    assert ledger.results([A], ()).measured[A] == record(A, A, compute_seconds=2.0, random="calls rand")
    ledger._records.append([record(A, A, read_seconds=0.5)])
    expected = record(A, A, compute_seconds=2.0, random="calls rand", read_seconds=0.5)
    assert ledger.results([A], ()).measured[A] == expected
    older.append([Older(A, A, "w", "rows", "scanner", 1, load_seconds=0.1)])
    assert ledger.results([A], ()).measured[A] == dataclasses.replace(expected, load_seconds=0.1)


def test_a_long_history_of_loads_costs_a_lookup_nothing(tmp_path: LocalPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that fill a column are found by an index, however many fill none: counted in steps of SQLite."""
    steps, connect = [0], sqlite3.connect

    def count() -> None:
        steps[0] += 1

    def connect_counting(*args: Any, **named: Any) -> sqlite3.Connection:
        database = connect(*args, **named)
        database.set_progress_handler(count, 10)
        return database

    monkeypatch.setattr(sqlite3, "connect", connect_counting)

    def steps_after(loads: int) -> int:
        log = log_in(tmp_path / str(loads))
        log.append([record(A, A, compute_seconds=2.0), *(record(A, A, load_seconds=0.1) for _ in range(loads))])
        reader = reader_of(log)
        reader.results([], [A])
        steps[0] = 0
        assert reader.results([], [A]).measured[A].compute_seconds == 2.0
        assert reader.measured("w", ["rows"])["rows"].compute_seconds == 2.0
        return steps[0]

    assert steps_after(3000) < 1.5 * steps_after(3) + 20
