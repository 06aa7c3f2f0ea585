"""A damaged catalog is repaired: what can be saved is, what is lost is said, nothing is deleted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake
from doubled import workflow
from test_loading import Gladly
from warned import Warned

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.journal.journal import Journal, sync
from helix_spark.catalog.journal.salvage import Remains, remains_of, salvage
from helix_spark.catalog.journal.upkeep import maintain
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.places.side_checksums import beside
from helix_spark.catalog.repair import LEASE
from helix_spark.catalog.tables.attempts import MANIFEST
from helix_spark.cli.main import helix as command
from helix_spark.errors import CatalogError, DamagedRecordsError
from helix_spark.planner.problem import State


@dataclass(frozen=True, slots=True)
class Seen:
    name: str
    number: int = 0
    inputs: tuple[str, ...] = ()


class Rows:
    """A journal of named rows, two a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "seen" / "_delta_log"

    def journal(self) -> Journal[Seen]:
        return Journal(self.folder / "seen", Seen, pruned_by=("number",))

    def append(self, *numbers: int, synced: bool = True) -> list[str]:
        for number in numbers:
            self.journal().append([Seen(f"{number}"), Seen(f"{number} again", number, ("a", "b"))])
        if synced:
            sync([self.journal()])
        return [name for number in numbers for name in (f"{number}", f"{number} again")]

    def names(self) -> list[str]:
        return [row.name for row in self.journal().query("SELECT * FROM journal ORDER BY sequence, place")]

    def entry(self, version: int) -> Path:
        return self.log / f"{version:020}.json"

    def file_of(self, version: int) -> Path:
        (added,) = [json.loads(line)["add"] for line in self.entry(version).read_text().splitlines() if '"add"' in line]
        return self.folder / "seen" / str(added["path"])

    def repaired(self) -> Remains:
        done = salvage(self.journal(), self.folder / "damaged")
        assert not salvage(self.journal(), self.folder / "damaged").damage, "a repaired journal is sound"
        return done


def pipe_for(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def turned(file: Path, before: str, after: str) -> None:
    """Writes something else into a file, once."""
    text, times = re.subn(before, after, file.read_text(), count=1)
    assert times == 1
    file.write_text(text)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path)


@pytest.fixture(scope="module")
def kept_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A journal that was kept up and then appended to, and the names in it; tests take copies of it."""
    rows = Rows(LocalPath(tmp_path_factory.mktemp("rows")))
    written = rows.append(*range(1, 7))
    assert maintain(rows.journal()) == 6
    return rows.folder, written + rows.append(8, 9)


@pytest.fixture
def written(rows: Rows, kept_up: tuple[Path, list[str]]) -> list[str]:
    """What is in the rows, which are a copy of that journal."""
    shutil.copytree(kept_up[0], rows.folder, dirs_exist_ok=True)
    return list(kept_up[1])


class TestJournals:
    @pytest.mark.parametrize("damage", [
        lambda rows: rows.entry(9).unlink(),
        lambda rows: rows.entry(9).write_text(""),
        lambda rows: rows.entry(8).write_bytes(b"\xff garbage"),
        lambda rows: rows.entry(8).write_text(rows.entry(8).read_text()[:50]),
        lambda rows: rows.entry(7).write_text('{"add": {"path": "../other/part-0.parquet", "size": 1}}'),
        lambda rows: turned(rows.entry(8), r'\\"numRecords\\":', r'\\"numRecords\\"8'),
        lambda rows: [rows.entry(version).write_text("") for version in (7, 9)],
        lambda rows: next(rows.log.glob("*.checkpoint.parquet")).write_bytes(b"PAR1 garbage PAR1"),
        lambda rows: [path.unlink() for path in rows.log.glob("*.checkpoint.parquet")],
        lambda rows: (rows.log / "_last_checkpoint").write_text("{garbage"),
        lambda rows: (rows.log / "_last_checkpoint").write_text('{"version": 99, "size": 1}'),
        lambda rows: (rows.log / f"{10**19}.json").write_text("{}"),
        lambda rows: shutil.rmtree(rows.log),
        lambda rows: (shutil.rmtree(rows.log), rows.log.write_text("a file")),
        lambda rows: (rows.folder / "seen.head").write_text("many"),
        lambda rows: (rows.folder / "seen.head").write_text(str(10**18)),
        lambda rows: pipe_for(rows.folder / "seen.head"),
        lambda rows: next((rows.folder / "seen").glob(".*.crc")).write_bytes(b""),
        lambda rows: pipe_for(next((rows.folder / "seen").glob(".*.crc"))),
        lambda rows: pipe_for(beside(rows.file_of(9))),
        lambda rows: (rows.folder / "seen" / "notes").symlink_to(rows.folder),
    ], ids=["newest gone", "newest empty", "garbage", "cut", "leads elsewhere", "garbage in statistics",
            "two empty", "checkpoint",
            "no checkpoint", "pointer", "wrong pointer", "far number", "no log", "file for log", "head",
            "head far ahead", "a pipe for head", "checksums", "a pipe for checksums", "a pipe for the newest checksums",
            "a link"])
    def test_nothing_is_lost_of_a_damaged_log(
        self, rows: Rows, written: list[str], damage: Callable[[Rows], object]
    ) -> None:
        assert rows.entry(9).exists()
        damage(rows)
        done = rows.repaired()
        assert (rows.names(), done.lost) == (written, ())
        written += rows.append(10)
        assert rows.names() == written, "it goes on"

    @pytest.mark.parametrize(("before", "after"), [
        (r'(\\"maxValues\\":\{.*?\\"number\\":)\d', r'\g<1>0'),
        (r'(\\"minValues\\":\{.*?\\"number\\":)\d', r'\g<1>9'),
        (r'(\\"nullCount\\":\{.*?\\"number\\":)\d', r'\g<1>2'),
        (r'\\"name\\":\\"number\\"', r'\\"name\\":\\"numbes\\"'),
    ], ids=["greatest", "least", "nulls", "name of a column"])
    def test_a_log_that_tells_of_other_rows_is_damaged(self, rows: Rows, before: str, after: str) -> None:
        written = rows.append(1, 2, 3)
        turned(rows.entry(0 if "name" in before else 3), before, after)
        assert remains_of(rows.journal()).damage
        assert (rows.repaired().lost, rows.names()) == ((), written)
        assert [row.number for row in rows.journal().query("SELECT * FROM journal WHERE number = 3")] == [3]

    def test_what_is_put_aside_is_as_it_was(self, rows: Rows) -> None:
        rows.append(1, 2, 3)
        rows.entry(2).write_text("garbage")
        rows.repaired()
        assert (rows.folder / "damaged" / "seen" / rows.entry(2).name).read_text() == "garbage"

    def test_a_log_that_leads_elsewhere_is_as_good_as_gone(self, rows: Rows, tmp_path: Path) -> None:
        written = rows.append(1, 2, 3)
        shutil.move(rows.log, tmp_path / "elsewhere")
        rows.log.symlink_to(tmp_path / "elsewhere")
        before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "elsewhere").iterdir())
        assert not rows.repaired().lost
        assert rows.names() == written
        assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "elsewhere").iterdir()) == before

    def test_what_has_holes_is_put_aside_with_them(self, rows: Rows) -> None:
        rows.append(1, 2, 3)
        os.truncate(rows.entry(2), 64 << 30)
        rows.repaired()
        kept = (rows.folder / "damaged" / "seen" / rows.entry(2).name).stat()
        assert (kept.st_size, kept.st_blocks * 512 < 1 << 20) == (64 << 30, True)

    @pytest.mark.parametrize(("file_of", "lost"), [
        (lambda rows: rows.file_of(9), ("2 records of seen",)), (lambda rows: rows.entry(9), ()),
        (lambda rows: max(rows.log.glob("*.checkpoint.parquet")), ()),
    ], ids=["rows", "entry", "checkpoint"])
    def test_a_flipped_bit_is_noticed_and_costs_the_file_that_it_is_in(
        self, rows: Rows, written: list[str], file_of: Callable[[Rows], Path], lost: tuple[str, ...]
    ) -> None:
        file = file_of(rows)
        content = bytearray(file.read_bytes())
        content[content.index(b"number")] ^= 4  # so that all of it can be read, and says something else
        file.write_bytes(content)
        with pytest.raises(DamagedRecordsError, match=r"does not match its checksums|cannot be read"):
            rows.names()
        assert rows.repaired().lost == lost
        assert rows.names() == (written[:-2] if lost else written)
        assert (rows.folder / "damaged" / "seen" / file.name).read_bytes() == content

    def test_rows_that_are_nowhere_are_lost_and_said_to_be(self, rows: Rows) -> None:
        rows.append(1, 2, 3)
        rows.file_of(2).write_bytes(b"")
        assert rows.repaired().lost == ("2 records of seen",)
        assert rows.names() == ["1", "1 again", "3", "3 again"]

    def test_an_entry_that_is_lost_with_its_rows_is_counted(self, rows: Rows) -> None:
        rows.append(1, 2, 3)
        rows.file_of(2).unlink()
        rows.entry(2).write_text("")
        done = rows.repaired()
        assert done.lost == ("1 entry of seen (2)",)
        assert "is empty" in done.damage

    def test_the_end_that_nobody_was_told_of_is_cut_and_is_no_loss(self, rows: Rows) -> None:
        rows.append(1, 2)
        rows.append(3, synced=False)
        rows.file_of(3).write_bytes(b"")
        rows.entry(3).write_text("")
        assert rows.repaired().lost == ()
        assert rows.names() == ["1", "1 again", "2", "2 again"]

    def test_rows_of_a_commit_that_failed_are_not_taken_up(self, rows: Rows) -> None:
        written = rows.append(1, 2)
        outrun = rows.file_of(2)
        copy = outrun.with_name("part-00000-outrun.parquet")
        copy.write_bytes(outrun.read_bytes())
        rows.append(3)
        rows.entry(3).write_text("")
        assert rows.repaired().lost == ()
        assert rows.names() == [*written, "3", "3 again"]

    def test_what_upkeep_had_merged_is_read_once(self, rows: Rows) -> None:
        written = rows.append(*range(1, 7))
        maintain(rows.journal())
        for path in rows.log.glob("*checkpoint*"):
            path.unlink()
        rows.entry(7).write_text("")
        assert not rows.repaired().lost
        assert rows.names() == written

    @pytest.mark.parametrize(("numbers", "kept", "lost"), [
        (["1", "2"], ["a", "b"], ()), (["1", "two"], [], ("2 records of seen",)),
    ])
    def test_columns_of_another_type_are_given_their_own(
        self, rows: Rows, numbers: list[str], kept: list[str], lost: tuple[str, ...]
    ) -> None:
        table = pa.table({"sequence": [0, 0], "place": [0, 1], "name": ["a", "b"], "number": numbers})
        write_deltalake(str(rows.folder / "seen"), table)
        with pytest.raises(DamagedRecordsError, match=r"(?s)number.*helix repair"):
            rows.append(1)
        assert rows.repaired().lost == lost
        rows.append(3)
        assert rows.names() == [*kept, "3", "3 again"]

    def test_columns_of_a_later_version_are_kept(self, rows: Rows) -> None:
        table = pa.table({"sequence": [0], "place": [0], "name": ["a"], "number": [1], "later": ["told"]})
        write_deltalake(str(rows.folder / "seen"), table)
        rows.append(2)
        rows.entry(0).write_text("garbage")
        rows.repaired()
        assert rows.journal().columns("SELECT later FROM journal ORDER BY sequence")["later"] == ["told", None, None]

    def test_who_had_read_the_log_before_it_was_damaged_reads_on(self, rows: Rows) -> None:
        written = rows.append(1, 2, 3)
        reader = rows.journal()
        assert len(reader.query("SELECT * FROM journal")) == 6
        rows.file_of(2).unlink()
        rows.repaired()
        kept = [*written[:2], *written[4:], *rows.append(4)]
        assert [row.name for row in reader.query("SELECT * FROM journal ORDER BY sequence, place")] == kept


def has_run(catalog: Path, *weights: int, heard: Warned | None = None) -> None:
    for weight in weights:
        with hx.Helix(catalog, policy="always", observer=heard or Warned()) as helix:
            helix.run(workflow(weight))


def numbers(catalog: Path) -> list[int]:
    return sorted(one.number for one in Catalog.open(catalog, create=False).iterations())


def newest(catalog: Path, journal: str) -> Path:
    return max((catalog / "records" / journal / "_delta_log").glob("*.json"))


def rows_of(catalog: Path, journal: str) -> list[Path]:
    return sorted((catalog / "records" / journal).glob("*.parquet"))


class TestRuns:
    def test_a_run_repairs_by_itself_what_loses_nothing_and_says_so(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        for journal in ("iterations", "nodes", "artifacts", "results"):
            newest(tmp_path, journal).write_text("")
        heard = Warned()
        has_run(tmp_path, 3, heard=heard)
        assert numbers(tmp_path) == [1, 2, 3]
        (told,) = heard.warnings
        assert "nothing is lost" in told
        assert "damaged" in told

    def test_a_run_goes_by_the_repair_that_another_process_began_just_before_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_run(tmp_path, 1, 2)
        newest(tmp_path, "iterations").write_text("")
        alone, others = Leases.alone, list[str]()

        @contextmanager
        def taken_first(self: Leases, name: str) -> Iterator[Callable[[], bool] | None]:
            if name != LEASE or others:
                with alone(self, name) as own:
                    yield own
                return
            others.append(name)
            assert Catalog.open(tmp_path, create=False).repair().damage
            yield None

        monkeypatch.setattr(Leases, "alone", taken_first)
        heard = Warned()
        has_run(tmp_path, 3, heard=heard)
        assert others
        assert numbers(tmp_path) == [1, 2, 3]
        assert heard.warnings == []

    def test_nothing_is_repaired_by_who_only_looks(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1)
        newest(tmp_path, "iterations").write_text("")
        with hx.Helix(tmp_path, observer=Warned()) as helix, pytest.raises(CatalogError, match="helix repair"):
            helix.plan(workflow(1))
        assert newest(tmp_path, "iterations").read_text() == ""

    def test_where_what_ran_would_be_lost_a_person_is_asked(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        for file in rows_of(tmp_path, "iterations"):
            file.write_bytes(b"")
        with pytest.raises(DamagedRecordsError, match=r"lost would be .* of iterations") as caught:
            has_run(tmp_path, 3)
        assert "`helix repair`" in str(caught.value)
        done = Catalog.open(tmp_path, create=False).repair()
        assert done.lost_history
        has_run(tmp_path, 3)
        assert numbers(tmp_path) == [2, 3], "no run gets a number that was given"

    def test_lost_records_of_results_are_made_again_from_what_the_results_say(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1)
        stored = {one.attempt: one for one in Catalog.open(tmp_path, create=False).live() if one.kind == "table"}
        for file in rows_of(tmp_path, "artifacts"):
            file.write_bytes(b"garbage")
        heard = Warned()
        has_run(tmp_path, 2, heard=heard)
        found = {one.attempt: one for one in Catalog.open(tmp_path, create=False).live() if one.attempt in stored}
        assert stored
        # What syncing took is not known yet when a result says what it is.
        assert {key: replace(one, write_seconds=0.0) for key, one in found.items()} == {
            key: replace(one, write_seconds=0.0) for key, one in stored.items()
        }
        assert "lost: " in heard.warnings[0]

    def test_an_answer_is_recorded_where_damage_is_met_behind_it(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1)
        for file in rows_of(tmp_path, "files"):
            file.write_bytes(b"")
        has_run(tmp_path, 2)
        assert [one.status for one in Catalog.open(tmp_path, create=False).iterations()] == ["done", "done"]


class TestResultsTakenUpAgain:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        """A stored table whose record is lost with all others."""
        has_run(tmp_path, 1)
        shutil.rmtree(tmp_path / "records")
        return next((tmp_path / "tables").glob("*/*"))

    def test_all_records_gone_is_noticed_and_repaired(self, table: Path, tmp_path: Path) -> None:
        with pytest.raises(DamagedRecordsError, match="are gone, and results are stored"):
            has_run(tmp_path, 2)
        assert not Catalog.open(tmp_path, create=False).gc(dry_run=True, grace_seconds=0.0)
        done = Catalog.open(tmp_path, create=False).repair()
        assert done.lost_history
        with hx.Helix(tmp_path, policy=Gladly(), observer=Warned()) as helix:
            plan = helix.plan(workflow(2))
            assert plan["rows"].state is State.LOAD
            assert helix.run(workflow(2))["total"] == 24
        assert numbers(tmp_path) == [1, 2]

    @pytest.mark.parametrize("damage", [
        lambda table: next(table.glob("part-*")).write_bytes(b"x"),
        lambda table: (table / MANIFEST).write_text("{"),
        lambda table: (table / MANIFEST).write_text('{"layout": 1, "record": {"signature": 7}}'),
        lambda table: (table / MANIFEST).write_text((table / MANIFEST).read_text().replace(table.name, "0" * 32)),
        lambda table: (table / MANIFEST).write_text((table / MANIFEST).read_text().replace('"table"', '"model"')),
    ], ids=["data", "garbage", "another form", "another attempt", "another kind"])
    def test_what_is_not_what_it_says_is_not_taken_up(
        self, table: Path, tmp_path: Path, damage: Callable[[Path], object]
    ) -> None:
        damage(table)
        done = Catalog.open(tmp_path, create=False).repair()
        assert any(table.name[:8] in text for text in done.lost)
        assert table.name not in {one.attempt for one in Catalog.open(tmp_path, create=False).live()}

    def test_what_somebody_writes_is_left_alone(self, table: Path, tmp_path: Path) -> None:
        other = """
import sys
from helix_spark.catalog.leases.leases import Leases
from helix_spark.catalog.places.place import LocalPath
Leases(LocalPath(sys.argv[1])).take(sys.argv[2])
print("taken", flush=True)
sys.stdin.read()
"""
        with subprocess.Popen([sys.executable, "-c", other, str(tmp_path / "leases"), table.name],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            catalog = Catalog.open(tmp_path, create=False)
            assert not [text for text in catalog.repair(dry_run=True).saved if "'rows'" in text]
            with pytest.raises(CatalogError, match=f"process {writer.pid} .* works on the catalog"):
                catalog.repair()
            writer.communicate()
        assert [text for text in catalog.repair().saved if "'rows'" in text]


class TestCatalogs:
    @pytest.mark.parametrize("made", [
        Path.touch, lambda marker: marker.write_bytes(b"\xff{"), lambda marker: marker.write_text('["layout"]'),
        lambda marker: None, Path.mkdir, os.mkfifo,
    ], ids=["empty", "garbage", "of another kind", "gone", "a folder", "a pipe"])
    def test_a_marker_that_says_nothing_is_written_anew(self, tmp_path: Path, made: Callable[[Path], object]) -> None:
        has_run(tmp_path, 1)
        (tmp_path / "helix.json").unlink()
        made(tmp_path / "helix.json")
        has_run(tmp_path, 2)
        assert json.loads((tmp_path / "helix.json").read_text())["layout"] == 1
        assert numbers(tmp_path) == [1, 2]

    def test_a_sound_catalog_is_left_as_it_is(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        done = Catalog.open(tmp_path, create=False).repair()
        assert not done.is_needed
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before

    def test_two_do_not_repair_at_once(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1)
        (tmp_path / "leases").mkdir(exist_ok=True)
        other = {"host": "elsewhere", "machine": "elsewhere", "pid": 1, "started": "1"}
        (tmp_path / "leases" / "repair").write_text(json.dumps(other))
        with pytest.raises(CatalogError, match="process 1 on elsewhere repairs the catalog"):
            Catalog.open(tmp_path, create=False).repair()


def test_the_command_says_what_it_would_do_and_does_it(tmp_path: Path) -> None:
    has_run(tmp_path, 1)
    newest(tmp_path, "nodes").write_text("garbage")
    runner, place = CliRunner(), ["--catalog", str(tmp_path)]
    looked = runner.invoke(command, ["repair", "--dry-run", *place])
    assert looked.exit_code == 0
    assert "/nodes are damaged: " in looked.output
    assert "nothing was changed" in looked.output
    done = json.loads(runner.invoke(command, ["repair", "--json", *place]).output)
    assert (done["needed"], done["repaired"], done["lost"], done["lost_history"]) == (True, True, [], False)
    assert Path(done["aside"]).is_dir()
    assert "nothing to repair" in runner.invoke(command, ["repair", *place]).output
    assert runner.invoke(command, ["log", *place]).exit_code == 0


def test_the_number_of_a_lost_iteration_is_not_given_again(tmp_path: Path) -> None:
    has_run(tmp_path, 1, 2)
    for journal in ("iterations", "nodes", "results"):
        shutil.rmtree(tmp_path / "records" / journal)
    Catalog.open(tmp_path, create=False).repair()
    (found,) = Catalog.open(tmp_path, create=False).iterations()
    assert (found.number, found.status) == (2, "failed")
    assert "lost" in found.error
    has_run(tmp_path, 3)
    assert numbers(tmp_path) == [2, 3]
