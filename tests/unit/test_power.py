"""What survives a loss of power: what must be synced is, before it is named and before anybody is told."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.journal.journal import Journal, sync
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
        append = Journal.append

        def looked(self: Journal, rows: list, **how: int) -> int:  # type: ignore[type-arg]
            if self.folder.name == "artifacts":
                seen.append("named")
                assert [name for name in disk.lost(root) if name.startswith(("tables/", "models/"))] == []
            return append(self, rows, **how)

        class Listens(Silent):
            def stored(self, name: str, size: int) -> None:
                seen.append("told")
                assert disk.lost(root) == []

        monkeypatch.setattr(Journal, "append", looked)
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
            helix.run(workflow()).wait()  # a new catalog's marker and head are synced, once in its life
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


class TestJournals:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal[Seen]:
        return Journal(tmp_path / "seen", Seen, pruned_by=())

    def heads(self, folder: Path) -> str:
        return (folder / "seen.head").read_text() if (folder / "seen.head").exists() else ""

    def test_one_sync_serves_many_appends_also_those_of_others(self, tmp_path: Path, disk: Disk) -> None:
        one, other = (Journal(tmp_path / "seen", Seen, pruned_by=()) for _ in range(2))
        for journal in (one, other, one):
            journal.append([Seen("row")])
        assert self.heads(tmp_path) == "-1\n"
        sync([one])
        assert disk.lost(tmp_path) == []
        assert self.heads(tmp_path) == "3\n"
        before = dict(disk.synced)
        sync([other])
        assert disk.synced == before

    def test_what_a_dead_writer_committed_is_synced_by_the_next(self, tmp_path: Path, disk: Disk) -> None:
        Journal(tmp_path / "seen", Seen, pruned_by=()).append([Seen("of the dead")])
        sync([Journal(tmp_path / "seen", Seen, pruned_by=())])
        assert disk.lost(tmp_path) == []

    def test_what_was_merged_away_meanwhile_is_not_missed(self, tmp_path: Path, journal: Journal[Seen]) -> None:
        from deltalake import DeltaTable

        for _ in range(3):
            journal.append([Seen("row")])
        table = DeltaTable(str(tmp_path / "seen"))
        table.optimize.compact()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        sync([journal])
        assert len(journal.query("SELECT * FROM journal")) == 3

    def test_a_file_that_is_missing_is_an_error_and_the_head_stays(
        self, tmp_path: Path, journal: Journal[Seen]
    ) -> None:
        journal.append([Seen("row")])
        next((tmp_path / "seen").glob("*.parquet")).unlink()
        with pytest.raises(CatalogError, match="cannot be synced"):
            sync([journal])
        assert self.heads(tmp_path) == "-1\n"

    def test_a_file_system_that_syncs_no_folders_will_do(
        self, tmp_path: Path, journal: Journal[Seen], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fsync = os.fsync

        def picky(handle: int) -> None:
            if of_handle(handle).is_dir():
                raise OSError(22, "Invalid argument")
            fsync(handle)

        monkeypatch.setattr(os, "fsync", picky)
        journal.append([Seen("row")])
        sync([journal])
        assert self.heads(tmp_path) == "1\n"
