"""Journals: nothing is lost between processes, damage is noticed, reading stays quick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from helix_spark.catalog import failpoints
from helix_spark.catalog.answer_ledger import AnswersRead
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.journal import journal as journal_module
from helix_spark.catalog.journal import open_table, upkeep
from helix_spark.catalog.journal.journal import Journal, OutrunError, sync
from helix_spark.catalog.journal.open_table import OpenTable
from helix_spark.catalog.journal.upkeep import maintain
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.places.side_checksums import ChecksumError
from helix_spark.catalog.records import AnswerRecord, IterationRecord
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest


@dataclass(frozen=True, slots=True)
class Seen:
    name: str
    number: int = 0
    seconds: float | None = None
    inputs: tuple[str, ...] = ()
    stored: bool = False


@dataclass(frozen=True, slots=True)
class SeenWithWhy:
    """`Seen` as a later version may have it."""

    name: str
    number: int = 0
    seconds: float | None = None
    inputs: tuple[str, ...] = ()
    stored: bool = False
    why: str = "unknown"


def of(folder: Path) -> Journal[Seen]:
    return Journal(folder / "seen", Seen, pruned_by=("number",))


def names(journal: Journal[Seen]) -> list[str]:
    return [row.name for row in journal.query("SELECT * FROM journal ORDER BY sequence, place")]


def entry(folder: Path, version: int) -> Path:
    return folder / "seen" / "_delta_log" / f"{version:020}.json"


class TestRows:
    def test_rows_come_back_as_they_were(self, tmp_path: Path) -> None:
        rows = [Seen("it's \"é\" \\ \n", -(2**63), float("inf"), ("a", ""), True), Seen(""), Seen("b", inputs=("x",))]
        of(tmp_path).append(rows)
        assert of(tmp_path).query("SELECT * FROM journal ORDER BY place") == rows

    def test_a_file_keeps_the_least_and_largest_only_of_columns_that_skip_files(self, tmp_path: Path) -> None:
        journal = of(tmp_path)
        for number in range(2 * upkeep.FILES_PER_TIER):
            journal.append([Seen("a long text" * 1_000, number)])
        maintain(journal)
        for file in (tmp_path / "seen").glob("*.parquet"):
            group = parquet.ParquetFile(file).metadata.row_group(0)
            columns = [group.column(place) for place in range(group.num_columns)]
            assert {one.path_in_schema for one in columns if one.is_stats_set} == {"sequence", "number"}
        assert '\\"maxValues\\":{' in entry(tmp_path, 1).read_text()

    def test_text_that_is_no_text_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match="not Unicode"):
            of(tmp_path).append([Seen("\ud800")])

    def test_older_and_newer_versions_share_a_table(self, tmp_path: Path) -> None:
        of(tmp_path).append([Seen("old")])
        newer = Journal(tmp_path / "seen", SeenWithWhy, pruned_by=("number",))
        newer.append([SeenWithWhy("new", why="new")])
        of(tmp_path).append([Seen("old again")])
        assert names(of(tmp_path)) == ["old", "new", "old again"]
        found = newer.query("SELECT * FROM journal ORDER BY sequence")
        assert [row.why for row in found] == ["unknown", "new", "unknown"]


class TestCommits:
    def test_a_conditional_append_fails_when_outrun(self, tmp_path: Path) -> None:
        one, other = of(tmp_path), of(tmp_path)
        seen = one.version()
        assert seen == -1
        other.append([Seen("other")])
        with pytest.raises(OutrunError):
            one.append([Seen("one")], seen=seen)
        one.append([Seen("one")], seen=one.version())
        assert names(other) == ["other", "one"]

    def test_gives_up_when_others_never_stop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import deltalake
        from deltalake.exceptions import CommitFailedError

        def outrun(*_: object, **__: object) -> None:
            raise CommitFailedError("version exists")

        monkeypatch.setattr(deltalake, "write_deltalake", outrun)
        monkeypatch.setattr(journal_module, "LONGEST_PAUSE", 0.0)
        with pytest.raises(CatalogError, match="gave up"):
            of(tmp_path).append([Seen("one")])

    @pytest.mark.parametrize("error", ["conflict", "no answer", "disk"])
    def test_an_append_whose_answer_is_lost_is_made_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
    ) -> None:
        import deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        written, other = deltalake.write_deltalake, of(tmp_path)
        raised = {"conflict": CommitFailedError("exists"), "no answer": DeltaError("timeout"), "disk": OSError(5, "")}

        def lost(*arguments: object, **named: object) -> None:
            written(*arguments, **named)  # type: ignore[call-overload]
            monkeypatch.setattr(deltalake, "write_deltalake", written)
            other.append([Seen("other")])
            raise raised[error]

        journal = of(tmp_path)
        journal.append([Seen("first")])
        monkeypatch.setattr(deltalake, "write_deltalake", lost)
        assert journal.append([Seen("one"), Seen("two")]) == 2
        assert journal.append([Seen("last")]) == 4
        assert names(journal) == ["first", "one", "two", "other", "last"]

    def test_an_append_that_was_outrun_and_not_made_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import deltalake

        written, other, journal = deltalake.write_deltalake, of(tmp_path), of(tmp_path)

        def outrun(*arguments: object, **named: object) -> None:
            monkeypatch.setattr(deltalake, "write_deltalake", written)
            other.append([Seen("other")])
            written(*arguments, **named)  # type: ignore[call-overload]

        other.append([Seen("first")])
        assert names(journal) == ["first"]
        monkeypatch.setattr(deltalake, "write_deltalake", outrun)
        assert journal.append([Seen("one")]) == 3
        assert names(journal) == ["first", "other", "one"]

    def test_an_append_that_was_not_made_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import deltalake
        from deltalake.exceptions import DeltaError

        def fails(*_: object, **__: object) -> None:
            raise DeltaError("no answer")

        monkeypatch.setattr(deltalake, "write_deltalake", fails)
        with pytest.raises(CatalogError, match="cannot be written: no answer"):
            of(tmp_path).append([Seen("one")])

    def test_what_is_decided_on_what_was_read_is_decided_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(failpoints, "_armed", lambda: {"journal.committed": (0, "raise")})
        journal = of(tmp_path)
        for _ in range(2):
            journal.decide_and_append(lambda: [Seen(f"number {len(journal.query('SELECT * FROM journal'))}")])
        assert names(journal) == ["number 0", "number 1"]

    @pytest.mark.long
    def test_four_processes_lose_nothing(self, tmp_path: Path) -> None:
        script = """
import sys
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord, IterationRecord
from helix_spark.identity.parts import digest
root, me = sys.argv[1:]
catalog = Catalog.open(root, create=True)
for i in range(20):
    run = digest(me, str(i))[:32]
    catalog.start_iteration(IterationRecord(run, "census", 0, "running", 0.0))
    if i % 10 == 0:
        mine = catalog.begin_attempt(digest(str(i)), "value")
        catalog.publish(ArtifactRecord(mine.signature, mine.attempt, "value", "published", me, "n", 1, 0.0, value="1"))
    if i % 10 == 9:
        catalog.maintain()
"""
        root = tmp_path / "catalog"
        command = [sys.executable, "-c", script, str(root)]
        workers = [subprocess.Popen([*command, str(i)]) for i in range(4)]
        assert [worker.wait() for worker in workers] == [0] * 4
        catalog = Catalog.open(root, create=False)
        found = catalog.iterations("census")
        assert sorted(one.number for one in found) == list(range(1, 81))
        assert {one.run for one in found} == {digest(str(i), str(j))[:32] for i in range(4) for j in range(20)}
        published = Journal(root / "records" / "artifacts", IterationRecord, pruned_by=()).columns(
            "SELECT signature FROM journal"
        )["signature"]
        assert sorted(published) == sorted(digest(str(i)) for i in (0, 10))

    def test_a_log_that_did_not_move_is_not_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import deltalake

        asked: list[int] = []
        monkeypatch.setattr(deltalake.DeltaTable, "update_incremental", lambda self: asked.append(self.version()))
        one, other = of(tmp_path), of(tmp_path)
        one.append([Seen("one")])
        assert names(one) == names(one) == ["one"]
        assert not asked
        monkeypatch.undo()
        other.append([Seen("other")])
        assert names(one) == ["one", "other"]

    def test_a_look_at_a_log_that_did_not_move_reads_two_small_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = of(tmp_path)
        journal.append([Seen("one")])
        sync([journal])
        assert names(journal) == ["one"]
        asked: list[str] = []
        read = LocalPath.read_at_most

        def noted(self: LocalPath, most: int) -> bytes:
            asked.append(self.name)
            return read(self, most)

        monkeypatch.setattr(LocalPath, "read_at_most", noted)
        assert names(journal) == ["one"]
        assert sorted(asked) == ["_last_checkpoint", "seen.head"]

    def test_a_checkpoint_beyond_a_gap_in_the_log_is_noticed(self, tmp_path: Path) -> None:
        one, other = of(tmp_path), of(tmp_path)
        one.append([Seen("one")])
        for index in range(2):
            other.append([Seen(f"other {index}")])
        deltalake_table = other._open.newest()
        assert deltalake_table is not None
        deltalake_table.create_checkpoint()
        entry(tmp_path, 2).unlink()
        (tmp_path / "seen.head").write_text("1\n")
        assert names(one) == ["one", "other 0", "other 1"]


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for i in range(4):
            of(tmp_path).append([Seen(str(i))])
        sync([of(tmp_path)])
        return tmp_path

    @pytest.mark.parametrize("damage", [
        lambda folder: entry(folder, 4).unlink(),
        lambda folder: entry(folder, 4).write_text(""),
        lambda folder: entry(folder, 3).write_text(""),
        lambda folder: entry(folder, 4).write_text(entry(folder, 4).read_text()[:50]),
        lambda folder: entry(folder, 4).write_text("garbage\n"),
        lambda folder: entry(folder, 2).unlink(),
        lambda folder: [path.unlink() for path in (folder / "seen" / "_delta_log").iterdir()],
        lambda folder: [path.unlink() for path in (folder / "seen").glob("*.parquet")],
        lambda folder: (folder / "seen").rename(folder / "away"),
    ], ids=["last entry gone", "last empty", "earlier empty", "last cut", "last garbage", "middle gone", "log emptied",
            "files gone", "folder gone"])
    def test_damage_is_an_error_in_words(self, folder: Path, damage: Callable[[Path], object]) -> None:
        damage(folder)
        with pytest.raises(CatalogError) as caught:
            names(of(folder))
        assert str(folder / "seen") in caught.value.what
        assert "\n" not in caught.value.what

    @pytest.mark.parametrize("head", ["x", "", None])
    def test_a_head_that_names_no_version_is_written_anew(self, folder: Path, head: str | None) -> None:
        (folder / "seen.head").unlink()
        if head is not None:
            (folder / "seen.head").write_text(head)
        of(folder).append([Seen("more")])
        sync([of(folder)])
        assert names(of(folder)) == ["0", "1", "2", "3", "more"]
        assert (folder / "seen.head").read_text() == "5\n"

    def test_a_checksum_file_of_garbage_is_none(self, folder: Path) -> None:
        for seal in (folder / "seen").glob(".*.crc"):
            seal.write_bytes(seal.read_bytes()[:9])
        assert names(of(folder)) == ["0", "1", "2", "3"]

    def test_nothing_is_appended_to_a_log_that_lost_its_end(self, folder: Path) -> None:
        entry(folder, 4).unlink()
        with pytest.raises(CatalogError, match="ends at version 3, but version 4"):
            of(folder).append([Seen("new")])

    def test_a_cut_file_is_an_error(self, folder: Path) -> None:
        file = next((folder / "seen").glob("*.parquet"))
        file.write_bytes(file.read_bytes()[:100])
        with pytest.raises(CatalogError):
            names(of(folder))


class TestUpkeep:
    def test_reading_stays_flat_and_rows_stay(self, tmp_path: Path) -> None:
        journal = of(tmp_path)
        for i in range(40):
            journal.append([Seen(str(i))])
            maintain(journal)
            files = len(files_of(tmp_path))
            assert files <= 2 * upkeep.FILES_PER_TIER + 1
        assert names(of(tmp_path)) == names(journal) == [str(i) for i in range(40)]

    @pytest.mark.long
    def test_full_files_are_left_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "TIERS", (6_000, 24_000))
        journal = of(tmp_path)
        rewritten = 0
        for i in range(72):
            journal.append([Seen(digest(str(i), str(j))) for j in range(10)])
            rewritten += maintain(journal)
        assert len(journal.query("SELECT * FROM journal")) == 720
        # A row is merged a few times, not once for each later append; and files do not pile up.
        assert rewritten < 3 * 72
        assert len(files_of(tmp_path)) < 20

    def test_replaced_files_go_after_the_grace_and_a_reader_follows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = of(tmp_path)
        assert names(reader) == []
        counts = []
        for turn in range(4):
            for i in range(6):
                of(tmp_path).append([Seen(str(i))])
            if turn == 0:
                assert len(names(reader)) == 6
            maintain(of(tmp_path))
            counts.append(len(list((tmp_path / "seen").glob("*.parquet"))))
            pass_days(tmp_path, 4)
        # What is replaced goes with the log entry that says so, once a checkpoint is days old.
        assert counts == [7, 14, 15, 15]
        assert len(list((tmp_path / "seen" / "_delta_log").iterdir())) < 30
        # The reader's version is long gone, with its files and its part of the log.
        assert len(names(reader)) == 24

    def test_eleven_minutes_are_no_grace(self, tmp_path: Path) -> None:
        for _ in range(4):
            for i in range(6):
                of(tmp_path).append([Seen(str(i))])
            maintain(of(tmp_path))
            pass_days(tmp_path, 11 / (24 * 60))
        assert len(list((tmp_path / "seen").glob("*.parquet"))) == 28

    def test_what_waits_is_bounded(self, tmp_path: Path) -> None:
        for _ in range(9):
            for i in range(6):
                of(tmp_path).append([Seen(str(i))])
            maintain(of(tmp_path))
            pass_days(tmp_path, 2 / 24)
        # Two merges' worth more, as only what is older than a checkpoint of an hour goes.
        assert len(list((tmp_path / "seen").glob("*.parquet"))) < 40
        assert len(list((tmp_path / "seen" / "_delta_log").glob("*.json"))) < 40
        assert len(names(of(tmp_path))) == 54

    def test_a_file_that_no_commit_came_to_name_goes_after_a_month(self, tmp_path: Path) -> None:
        for i in range(6):
            of(tmp_path).append([Seen(str(i))])
        left = tmp_path / "seen" / "part-00000-of-nobody-c000.zstd.parquet"
        left.write_bytes(b"x")
        gone = []
        for days in (0, 4, 28):
            pass_days(tmp_path, days)
            for i in range(6):
                of(tmp_path).append([Seen(str(i))])
            maintain(of(tmp_path))
            gone.append(not left.exists())
        assert gone == [False, False, True]
        assert len(names(of(tmp_path))) == 24

    @pytest.mark.parametrize("committed", [False, True], ids=["before it committed", "in its commit"])
    def test_who_was_stopped_until_its_part_of_the_log_is_gone_appends_at_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool
    ) -> None:
        stopped, seen = of(tmp_path), of(tmp_path)
        stopped.append([Seen("first")])
        version = seen.version()
        newest, commit, then = OpenTable.newest, Journal._commit, stopped._open.newest()
        for _ in range(3):
            for i in range(6):
                of(tmp_path).append([Seen(str(i))])
            maintain(of(tmp_path))
            pass_days(tmp_path, 4)
        assert not entry(tmp_path, 2).exists()

        def committed_below(self: Journal[Seen], table: Any, rows: list[Seen], name: str) -> None:
            if table.version() != 1 or not committed:
                return commit(self, table, rows, name)
            entry(tmp_path, 2).write_text(f'{{"commitInfo": {{"helixCommit": "{name}"}}}}\n')  # the number is free
            return None

        looks = iter([then])
        monkeypatch.setattr(OpenTable, "newest", lambda self: next(looks, None) or newest(self))
        monkeypatch.setattr(Journal, "_commit", committed_below)
        assert stopped.append([Seen("last")]) > 18
        assert names(of(tmp_path))[-2:] == ["5", "last"]
        with pytest.raises(OutrunError):
            seen.append([Seen("on a condition")], seen=version)

    def test_an_end_lost_after_upkeep_is_noticed(self, tmp_path: Path) -> None:
        journal = of(tmp_path)
        for i in range(6):
            journal.append([Seen(str(i))])
        maintain(journal)
        last = of(tmp_path).append([Seen("last")])
        sync([of(tmp_path)])
        entry(tmp_path, last).unlink()
        with pytest.raises(CatalogError, match="was committed"):
            names(of(tmp_path))


def pass_days(root: Path, days: float) -> None:
    """All that lies there was written so much earlier."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        then = path.stat().st_mtime - days * 24 * 3600
        os.utime(path, (then, then))


def files_of(folder: Path) -> list[str]:
    from deltalake import DeltaTable

    return DeltaTable(str(folder / "seen")).file_uris()


def test_importing_and_opening_pulls_in_nothing_heavy(tmp_path: Path) -> None:
    script = """
import sys
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
assert "deltalake" not in sys.modules
catalog = Catalog.open(sys.argv[1], create=True)
catalog.append_iteration(IterationRecord("0" * 32, "census", 1, "done", 0.0))
catalog.snapshot("census")
print([name for name in ("pyspark", "pandas", "pulp", "mlflow", "pyarrow", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestSeals:
    def test_a_flipped_bit_is_an_error_in_words(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "seen", Seen, pruned_by=())
        journal.append([Seen("a")])
        sync([journal])
        file = next((tmp_path / "seen").glob("*.parquet"))
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        with pytest.raises(CatalogError, match="does not match its checksums"):
            Journal(tmp_path / "seen", Seen, pruned_by=()).query("SELECT * FROM journal")

    def test_so_is_one_that_is_met_once_files_were_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = of(tmp_path)
        journal.append([Seen("one")])
        met = iter([FileNotFoundError("replaced"), ChecksumError("it does not match")])

        def check(folder: Path, table: object, checked: set[str]) -> None:
            raise next(met)

        monkeypatch.setattr(open_table, "check_files", check)
        with pytest.raises(CatalogError, match="are damaged: it does not match"):
            names(journal)

    def test_a_copy_without_seals_is_read(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "seen", Seen, pruned_by=())
        journal.append([Seen("a")])
        sync([journal])
        for seal in (tmp_path / "seen").glob(".*.crc"):
            seal.unlink()
        assert Journal(tmp_path / "seen", Seen, pruned_by=()).query("SELECT * FROM journal") == [Seen("a")]


class OneWorkflow:
    """A ledger that has the answers of one workflow, and counts its queries."""

    def __init__(self, rows: dict[str, AnswerRecord]) -> None:
        self.rows, self.queries = rows, 0

    def newest_of(self, workflow: str, limit: int) -> dict[str, AnswerRecord]:
        self.queries += 1
        return {question: row for question, row in self.rows.items() if row.workflow == workflow}

    def newest(self, question: str) -> AnswerRecord | None:
        self.queries += 1
        return self.rows.get(question)

    def questions(self, most: int) -> frozenset[str]:
        self.queries += 1
        return frozenset(self.rows)

    def sound(self, record: AnswerRecord) -> AnswerRecord:
        return record


def test_a_copy_of_a_script_reads_the_answers_of_the_script_at_once() -> None:
    asked = [digest(str(number)) for number in range(50)]
    ledger: Any = OneWorkflow({one: AnswerRecord(one, "script", 1, 0.0, answer="a") for one in asked})
    copy = AnswersRead(ledger, "copy", 100)
    assert [copy.of(digest("new")), *map(copy.of, asked)] == [None, *ledger.rows.values()]
    assert ledger.queries == 4


def test_a_new_script_looks_few_questions_up() -> None:
    ledger: Any = OneWorkflow({})
    new = AnswersRead(ledger, "new", 100)
    assert {new.of(digest(str(number))) for number in range(50)} == {None}
    assert ledger.queries < 6
