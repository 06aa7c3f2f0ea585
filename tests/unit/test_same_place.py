"""A catalog whose link is turned, that is moved, or replaced, while it is in use: nothing is written elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.history import Progress
from helix_spark.catalog.places.place import text_in
from helix_spark.catalog.records import LAYOUT, ArtifactRecord, IterationRecord, ResultRecord
from helix_spark.catalog.segments.folding import AT_ONCE
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from helix_spark.workflow.declaration import Wishes
from tests.fakes.observer import Warned

A, B, C = (digest(letter) for letter in "abc")
RUN = digest("run")[:32]


def record(catalog: Catalog, signature: str) -> ArtifactRecord:
    attempt = catalog.begin_attempt(signature, "model")
    assert isinstance(attempt.path, Path)
    attempt.path.mkdir(parents=True)
    (attempt.path / "data").write_bytes(b"x" * 7)
    return ArtifactRecord(signature, attempt.attempt, "model", "published", "census", "n", 1, 0.0, bytes=7)


def filled(root: Path) -> Catalog:
    catalog = Catalog.open(root, create=True)
    catalog.start_iteration(IterationRecord(RUN, "census", 0, "running", 0.0))
    catalog.publish(record(catalog, A))
    catalog.publish(record(catalog, B))
    return catalog


def content(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


def remove(path: Path) -> None:
    """At once, as it is seen by what still writes there, such as notes of how far a run is."""
    aside = path.parent.parent / f"{path.name} removed"
    path.rename(aside)
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()


def turned(folder: Path) -> Path:
    """The link is turned to a copy: its marker has the same id, and its records name the same attempts."""
    shutil.copytree(folder / "first", folder / "second")
    (folder / "catalog").unlink()
    (folder / "catalog").symlink_to(folder / "second")
    return folder / "second"


def replaced_by_another(folder: Path) -> Path:
    (folder / "first").rename(folder / "away")
    filled(folder / "first")
    return folder / "first"


def emptied_and_filled_in_place(folder: Path) -> Path:
    filled(folder / "other")
    for path in (folder / "first").iterdir():
        remove(path)
    shutil.copytree(folder / "other", folder / "first", dirs_exist_ok=True)
    return folder / "first"


def deleted_and_made_anew(folder: Path) -> Path:
    remove(folder / "first")
    (folder / "first").mkdir()
    return folder / "first"


CHANGES = [turned, replaced_by_another, emptied_and_filled_in_place, deleted_and_made_anew]

STEPS: dict[str, Callable[[Catalog, ArtifactRecord], object]] = {
    "make": lambda catalog, _: catalog.make(),
    "start": lambda catalog, _: catalog.start_iteration(IterationRecord(RUN, "census", 0, "running", 0.0)),
    "append": lambda catalog, _: catalog.append_iteration(IterationRecord(RUN, "census", 1, "done", 0.0)),
    "results": lambda catalog, _: catalog.append_results([ResultRecord(A, A, "census", "n", "model", 1)]),
    "attempt": lambda catalog, _: catalog.begin_attempt(C, "model"),
    "publish": lambda catalog, written: catalog.publish(written),
    "abandon": lambda catalog, written: catalog.abandon(Attempt(C, written.attempt, "model", None)),
    "evict": lambda catalog, _: catalog.evict_all({A: "no room", B: "no room"}),
    "quarantine": lambda catalog, _: catalog.quarantine(A, "damaged"),
    "wishes": lambda catalog, _: catalog.note_wishes("yours", {A: Wishes(keep="always"), B: Wishes(keep="always")}),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "first").mkdir()
    (tmp_path / "catalog").symlink_to(tmp_path / "first")
    return tmp_path


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_no_step_writes_to_another_place(folder: Path, change: Callable[[Path], Path]) -> None:
    catalog = filled(folder / "catalog")
    written = record(catalog, C)
    elsewhere = change(folder)
    before = content(elsewhere)
    for name, step in STEPS.items():
        if change is deleted_and_made_anew and name in ("evict", "quarantine", "wishes"):
            continue  # there is nothing that they could be about
        with pytest.raises(CatalogError, match=r"is not what it was|leads elsewhere"):
            step(catalog, written)
        copied = elsewhere / "models" / C
        if copied.exists():
            shutil.rmtree(copied)  # of the attempt that was being written when it was copied
        assert {name: held for name, held in content(elsewhere).items() if C not in name} == {
            name: held for name, held in before.items() if C not in name
        }, name
    catalog.note_progress(Progress("census", 1, ()))
    catalog.forget_progress("census", 1)
    assert not (elsewhere / "records" / "running").exists()


@pytest.mark.parametrize("change", CHANGES[:-1], ids=lambda change: change.__name__)
def test_upkeep_and_gc_do_nothing_elsewhere(folder: Path, change: Callable[[Path], Path]) -> None:
    catalog = filled(folder / "catalog")
    for number in range(AT_ONCE):
        catalog.append_iteration(IterationRecord(RUN, "census", 1, "done", float(number)))
    elsewhere = change(folder)
    before = content(elsewhere)
    for step in (catalog.maintain, lambda: catalog.gc(dry_run=False, grace_seconds=0)):
        with pytest.raises(CatalogError, match="is not what it was"):
            step()
    assert content(elsewhere) == before


def test_damage_of_another_catalog_in_its_place_is_not_repaired(folder: Path) -> None:
    catalog = filled(folder / "catalog")
    elsewhere = replaced_by_another(folder)
    max((elsewhere / "records").glob("*.segment")).write_text("")
    before = content(elsewhere)
    with pytest.raises(CatalogError, match="is not what it was"):
        catalog.repair()
    assert content(elsewhere) == before


@pytest.mark.parametrize("change", CHANGES[:-1], ids=lambda change: change.__name__)
def test_records_of_what_was_there_are_not_those_of_what_is(folder: Path, change: Callable[[Path], Path]) -> None:
    """The index in the user's cache has those that it read first."""
    catalog = filled(folder / "catalog")
    catalog.append_iteration(IterationRecord(digest("more")[:32], "census", 2, "done", 0.0))
    had = {one.attempt for one in catalog.live()}
    elsewhere = change(folder)
    there = {attempt.name for attempt in (elsewhere / "models").glob("*/*")}
    opened = Catalog.open(folder / "catalog", create=False)
    assert {one.attempt for one in opened.live()} == there
    assert [one.number for one in opened.iterations()] == ([2, 1] if change is turned else [1])
    assert (there == had) == (change is turned)


def test_bare_folders_that_were_made_where_a_catalog_was_hinder_no_new_one(tmp_path: Path) -> None:
    (tmp_path / "first" / "tables").mkdir(parents=True)
    assert filled(tmp_path / "first").live()
    (tmp_path / "other" / "tables").mkdir(parents=True)
    (tmp_path / "other" / "tables" / "notes.txt").write_text("mine")
    with pytest.raises(CatalogError, match="it holds: tables"):
        Catalog.open(tmp_path / "other", create=True)


def test_what_leads_to_it_by_another_name_or_was_restored_in_place_is_the_same(folder: Path) -> None:
    catalog = filled(folder / "catalog")
    (folder / "catalog").unlink()
    (folder / "catalog").symlink_to("first")
    marker = folder / "first" / "helix.json"
    marker.write_text(marker.read_text())  # from a backup of the same catalog
    assert catalog.publish(record(catalog, C)).signature == C


def test_two_who_make_it_at_once_make_one(tmp_path: Path) -> None:
    first, second = (Catalog.open(tmp_path / "catalog", create=True) for _ in range(2))
    first.make()
    second.make()
    first.check()
    second.check()


def workflow(key: int, during: Callable[[], object] = lambda: None) -> hx.Workflow:
    wf = hx.Workflow("w")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    def rows(data: pd.DataFrame) -> pd.DataFrame:
        during()
        return data.assign(a=data.a + key)

    wf.scanner(rows)

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return int(rows.a.sum())

    return wf


@pytest.fixture
def observer() -> Warned:
    return Warned()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_run_ends_with_a_sentence_and_the_next_one_goes_by_what_is_there(
    folder: Path, observer: Warned, change: Callable[[Path], Path]
) -> None:
    before: dict[str, bytes | None] = {}

    def during() -> None:
        if not before:
            before.update(content(change(folder)))

    with hx.Helix(folder / "catalog", policy="always", observer=observer) as helix:
        helix.run(workflow(0)).wait()
        iteration = helix.run(workflow(1, during))
        iteration.wait()
        assert iteration.outputs == {"total": 9}
        elsewhere = folder / "second" if change is turned else folder / "first"
        # A lease that was copied is the copy's.
        assert {name: held for name, held in content(elsewhere).items() if "running" not in name} == {
            name: held for name, held in before.items() if "running" not in name
        }
        assert any("is not what it was" in text for text in observer.warnings)
        observer.warnings.clear()
        again = helix.run(workflow(1))
        again.wait()
        assert again.outputs == {"total": 9}
        assert sum("this run uses the catalog that is there now" in text for text in observer.warnings) == 1
        observer.warnings.clear()
        helix.run(workflow(1)).wait()
        assert observer.warnings == []
    assert Catalog.open(folder / "catalog", create=False).iterations("w")[0].status == "done"


def test_a_session_outlives_its_catalog(tmp_path: Path, observer: Warned) -> None:
    with hx.Helix(tmp_path / "catalog", policy="always", observer=observer) as helix:
        first = helix.run(workflow(1))
        first.wait()
        remove(tmp_path / "catalog")
        again = helix.run(workflow(1))
        again.wait()
        assert (again.number, again.outputs) == (1, first.outputs)
    assert Catalog.open(tmp_path / "catalog", create=False).live()


def test_a_store_in_which_another_catalog_was_put(bucket: str) -> None:
    root = f"s3a://{bucket}/catalog"
    catalog = Catalog.open(root, create=True)
    started = catalog.start_iteration(IterationRecord(RUN, "census", 0, "running", 0.0))
    marker = catalog.root / "helix.json"
    marker.replace_text(text_in(marker))
    catalog.append_iteration(replace(started, status="failed"))
    marker.replace_text(f'{{"layout": {LAYOUT}, "id": "another"}}')
    with pytest.raises(CatalogError, match="another catalog was put in its place"):
        catalog.append_iteration(replace(started, status="done"))
    marker.unlink()
    with pytest.raises(CatalogError, match="moved, deleted or emptied"):
        catalog.append_iteration(replace(started, status="done"))
    assert catalog.iterations()[0].status == "failed"
