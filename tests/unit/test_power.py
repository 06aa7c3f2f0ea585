"""What survives a loss of power: what must be synced is, before it is named and before anybody is told."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments import folding
from helix_spark.catalog.segments.folding import AT_ONCE, fold
from helix_spark.catalog.segments.record_index import RecordKind, RecordType
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.engine.execution.observer import Silent
from helix_spark.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Seen:
    name: str


class Disk:
    """Remembers what files and folders held when they were last synced."""

    def __init__(self) -> None:
        self.synced: dict[int, object] = {}
        self.paths: set[Path] = set()
        self._fsync = os.fsync

    def fsync(self, handle: int) -> None:
        self._fsync(handle)
        path = of_handle(handle)
        self.paths.add(path)
        self.synced[path.stat().st_ino] = _held(path)

    def lost(self, root: Path) -> list[str]:
        """Files and folders of which something would not survive."""
        paths = [path for path in (root, *root.rglob("*")) if not _goes_with_the_power(path.relative_to(root))]
        return [
            str(path.relative_to(root)) for path in paths if self.synced.get(path.stat().st_ino) != _held(path)
        ]


    def survives(self, file: Path) -> bool:
        """Whether a file would be there, and whole."""
        names = self.synced.get(file.parent.stat().st_ino)
        inode = file.stat().st_ino
        return isinstance(names, dict) and names.get(file.name) == inode and self.synced.get(inode) == _held(file)


def of_handle(handle: int) -> Path:
    """The file or folder that is open."""
    return Path(f"/proc/self/fd/{handle}").readlink()


def _held(path: Path) -> object:
    """The names in a folder, and what each leads to; the bytes of a file."""
    if not path.is_dir():
        return path.read_bytes()
    return {name.name: name.stat().st_ino for name in path.iterdir() if name.name not in {"leases", "running"}}


def _goes_with_the_power(path: Path) -> bool:
    """Leases and notes of progress say what goes on now."""
    return path.parts[:1] == ("leases",) or path.parts[:2] == ("records", "running")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here tells which file a handle is of")
    made = Disk()
    monkeypatch.setattr(os, "fsync", made.fsync)
    return made


def workflow(factor: int = 1) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def scaled(data: pd.DataFrame) -> pd.DataFrame:
        return data * factor

    @wf.reducer(output=True)
    def total(scaled: pd.DataFrame) -> int:
        return int(scaled.a.sum())

    return wf


class TestRuns:
    def test_all_is_synced_when_a_run_has_ended(self, tmp_path: Path, disk: Disk) -> None:
        with hx.Helix(tmp_path / "new" / "catalog", policy="always", observer=Silent()) as helix:
            for factor in (1, 2):
                helix.run(workflow(factor)).wait()
                assert disk.lost(tmp_path / "new" / "catalog") == []
        assert {tmp_path, tmp_path / "new"} <= disk.paths

    def test_a_result_is_synced_before_it_is_named_and_told_once_its_record_is(
        self, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, seen = tmp_path / "catalog", list[str]()
        append = RecordLog.decide_and_append

        def looked(self: RecordLog, decide: Callable[[], Sequence[RecordType]]) -> Sequence[RecordType]:
            def decided() -> Sequence[RecordType]:
                records = decide()
                if any(isinstance(one, ArtifactRecord) for one in records):
                    seen.append("named")
                    assert [name for name in disk.lost(root) if name.startswith(("tables/", "models/"))] == []
                return records

            return append(self, decided)

        class Listens(Silent):
            def stored(self, name: str, size: int) -> None:
                seen.append("told")
                assert disk.lost(root) == []

        monkeypatch.setattr(RecordLog, "decide_and_append", looked)
        with hx.Helix(root, policy="always", observer=Listens()) as helix:
            helix.run(workflow()).wait()
        assert seen == ["named", "named", "told", "told"]

    def test_nothing_is_synced_before_an_answer(self, tmp_path: Path, disk: Disk) -> None:
        answered = threading.Event()

        class Listens(Silent):
            def answered(self, seconds: float) -> None:
                assert not disk.synced
                answered.set()

        with hx.Helix(tmp_path / "catalog", policy="always", observer=Silent()) as helix:
            helix.run(workflow()).wait()  # a new catalog's marker is synced, once in its life
        disk.synced.clear()
        with hx.Helix(tmp_path / "catalog", policy="always", observer=Listens()) as helix:
            helix.run(workflow(2)).wait()
        assert answered.is_set()
        assert disk.synced

    def test_what_cannot_be_synced_is_said_and_not_told_to_be_stored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told, warned = list[str](), list[str]()

        class Listens(Silent):
            def stored(self, name: str, size: int) -> None:
                told.append(name)

            def warning(self, text: str) -> None:
                warned.append(text)

        def fails(handle: int) -> None:
            raise OSError(5, "Input/output error")

        with hx.Helix(tmp_path / "catalog", policy="always", observer=Listens()) as helix:
            helix.run(workflow()).wait()
            told.clear()
            monkeypatch.setattr(os, "fsync", fails)
            iteration = helix.run(workflow(2))
            assert iteration.outputs == {"total": 12}
            assert iteration.wait() == {}
        assert told == []
        assert any("cannot be synced: " in text for text in warned)


class TestRemoving:
    def test_an_end_is_synced_before_the_data_goes(
        self, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = tmp_path / "catalog"
        with hx.Helix(root, policy="always", observer=Silent()) as helix:
            helix.run(workflow()).wait()
        assert disk.lost(root) == []
        catalog = Catalog.open(root, create=False)
        (table,) = [record for record in catalog.live() if record.node == "scaled"]
        folder = catalog.path_of(table)
        assert isinstance(folder, Path)
        deleted, delete = list[Path](), type(folder).delete_tree

        def looked(self: object) -> None:
            assert disk.lost(root) == []
            deleted.append(folder)
            delete(self)  # type: ignore[arg-type]

        monkeypatch.setattr(type(folder), "delete_tree", looked)
        catalog.evict_all({table.signature: "to make room"})
        assert deleted
        assert not folder.exists()


class TestRecords:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> LocalPath:
        return LocalPath(tmp_path / "catalog" / "records")

    def log_of(self, folder: LocalPath) -> RecordLog:
        """A log as another process of the same user opens it."""
        return RecordLog(folder, [RecordKind("seen", Seen, ())], lambda: Path(folder.parent.parent, "index"))

    def test_one_sync_serves_many_appends_also_those_of_others(self, folder: LocalPath, disk: Disk) -> None:
        one, other = self.log_of(folder), self.log_of(folder)
        for log in (one, other, one):
            log.append([Seen("row")])
        assert len(disk.lost(folder)) == 4, "three segments, and the names of these"
        one.sync()
        assert disk.lost(folder.parent) == []
        before = dict(disk.synced)
        disk.paths.clear()
        other.sync()
        assert (disk.synced, disk.paths) == (before, set())

    def test_what_is_appended_after_a_sync_is_synced_by_the_next_and_nothing_else(
        self, folder: LocalPath, disk: Disk
    ) -> None:
        log = self.log_of(folder)
        log.append([Seen("row")])
        log.sync()
        log.append([Seen("another")])
        assert disk.lost(folder) == [".", "0000000002.segment"]
        disk.paths.clear()
        log.sync()
        assert disk.lost(folder) == []
        assert disk.paths == {folder / "0000000002.segment", folder}

    def test_what_a_dead_writer_appended_is_synced_by_the_next(self, folder: LocalPath, disk: Disk) -> None:
        self.log_of(folder).append([Seen("of the dead")])
        self.log_of(folder).sync()
        assert disk.lost(folder.parent) == []

    def test_another_machine_takes_nobody_s_word_for_what_was_synced(self, folder: LocalPath, disk: Disk) -> None:
        self.log_of(folder).append([Seen("row")])
        self.log_of(folder).sync()
        disk.synced.clear()
        RecordLog(folder, [RecordKind("seen", Seen, ())], lambda: None).sync()
        assert disk.lost(folder) == []

    def test_an_older_copy_that_was_put_in_place_is_synced_anew(self, folder: LocalPath, disk: Disk) -> None:
        for name in ("row", "another"):
            self.log_of(folder).append([Seen(name)])
        self.log_of(folder).sync()
        shutil.move(folder, folder.with_name("newer"))
        shutil.copytree(folder.with_name("newer"), folder)
        (folder / "0000000002.segment").unlink()
        self.log_of(folder).append([Seen("after it")])
        self.log_of(folder).sync()
        assert disk.lost(folder) == []

    def test_what_is_folded_meanwhile_is_not_missed(
        self, folder: LocalPath, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, other, syncs = self.log_of(folder), self.log_of(folder), LocalPath.sync
        for _ in range(AT_ONCE):
            log.append([Seen("row")])
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)

        def folded(self: LocalPath, files: Collection[LocalPath]) -> None:
            if fold(other):
                other.append([Seen("later")])
            syncs(self, files)

        monkeypatch.setattr(LocalPath, "sync", folded)
        log.sync()
        assert len(list(folder.iterdir())) == 2
        assert disk.lost(folder) == []
        assert len(self.log_of(folder).rows(Seen)) == AT_ONCE + 1

    def test_what_a_fold_replaces_is_not_deleted_before_the_fold_is_synced(
        self, folder: LocalPath, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, deleted, unlink = self.log_of(folder), list[str](), LocalPath.unlink
        for _ in range(AT_ONCE):
            log.append([Seen("row")])
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)

        def looked(self: LocalPath, missing_ok: bool = False) -> None:
            if self.suffix == ".segment":
                deleted.append(self.name)
                (made,) = folder.glob("*.fold")
                assert disk.survives(made)
            unlink(self, missing_ok=missing_ok)

        monkeypatch.setattr(LocalPath, "unlink", looked)
        assert fold(log) == AT_ONCE
        assert len(deleted) == AT_ONCE

    def test_what_cannot_be_synced_is_an_error_and_tried_again(
        self, folder: LocalPath, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = self.log_of(folder)
        log.append([Seen("row")])

        def fails(handle: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", fails)
            with pytest.raises(CatalogError, match=r"cannot be synced: .*Input/output error"):
                log.sync()
        assert "0000000001.segment" in disk.lost(folder)
        self.log_of(folder).sync()
        assert disk.lost(folder) == []

    def test_a_segment_that_is_gone_before_it_is_synced_is_an_error(self, folder: LocalPath) -> None:
        log = self.log_of(folder)
        for name in ("row", "another"):
            log.append([Seen(name)])
        assert len(log.rows(Seen)) == 2
        (folder / "0000000002.segment").unlink()
        with pytest.raises(CatalogError, match="cannot be synced: segment 2 is gone"):
            log.sync()

    def test_a_segment_that_is_listed_and_never_there_is_an_error(self, folder: LocalPath) -> None:
        log = self.log_of(folder)
        log.append([Seen("row")])
        (folder / "0000000002.segment").symlink_to("nowhere")
        with pytest.raises(CatalogError, match="cannot be synced: they change all the time"):
            log.sync()

    def test_a_file_system_that_syncs_no_folders_will_do(
        self, folder: LocalPath, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fsync = os.fsync

        def picky(handle: int) -> None:
            if of_handle(handle).is_dir():
                raise OSError(22, "Invalid argument")
            fsync(handle)

        monkeypatch.setattr(os, "fsync", picky)
        log = self.log_of(folder)
        log.append([Seen("row")])
        log.sync()
        assert disk.lost(folder) == ["."]
        disk.paths.clear()
        self.log_of(folder).sync()
        assert disk.paths == set(), "it is not tried again"
