"""Catalogs of layout 1, whose records were Delta tables: read as they are, and taken over by the first write."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import helix_spark as hx
from helix_spark.catalog import catalog_reader, failpoints
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.older_layout import older_segments
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.segments.segment import Segment
from helix_spark.errors import CatalogError
from tests.fakes.armed_failpoints import hook
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned

MADE = Path(__file__).parent / "older_catalogs" / "layout_1.tar.xz"
"""Made by the version before the log came, from two runs of `doubled` with the policy `always`."""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(MADE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outputs(catalog: Catalog) -> list[tuple[int, str, str]]:
    return sorted((one.number, one.status, one.outputs) for one in catalog.iterations())


RAN = [(1, "done", '{"total": 12}'), (2, "done", '{"total": 24}')]


def test_one_is_read_as_it_is_and_nothing_is_written(older: Path) -> None:
    before = files_below(older)
    catalog = Catalog.open(older, create=False)
    assert outputs(catalog) == RAN
    (table,) = [one for one in catalog.live() if one.kind == "table"]
    assert catalog.read_arrow(table).column("a").to_pylist() == [2, 4, 6]
    assert [node.name for node in catalog.nodes(catalog.iterations()[0])] == ["data", "rows", "total"]
    assert catalog.rejections == ()
    assert files_below(older) == before


def test_the_first_write_takes_it_over(older: Path) -> None:
    stored = {one.attempt for one in Catalog.open(older, create=False).live()}
    with hx.Helix(older, policy="always", observer=Warned()) as helix:
        assert helix.run(workflow(3))["total"] == 36
    assert json.loads((older / "helix.json").read_text())["layout"] == 2
    assert not [path for path in (older / "records").iterdir() if path.suffix not in (".segment", ".fold", "")]
    assert not list((older / "records").rglob("_delta_log"))
    catalog = Catalog.open(older, create=False)
    assert outputs(catalog) == [*RAN, (3, "done", '{"total": 36}')]
    assert stored <= {one.attempt for one in catalog.live()}


@pytest.mark.parametrize("damage", [Path.unlink, lambda marker: marker.write_text("{")], ids=["gone", "damaged"])
def test_one_without_a_marker_is_known_by_its_records(older: Path, damage: Callable[[Path], object]) -> None:
    damage(older / "helix.json")
    assert outputs(Catalog.open(older, create=False)) == RAN
    Catalog.open(older, create=False).make()
    assert json.loads((older / "helix.json").read_text())["layout"] == 2
    assert outputs(Catalog.open(older, create=False)) == RAN


def test_who_has_it_open_meanwhile_goes_on(older: Path) -> None:
    reader, writer = Catalog.open(older, create=False), Catalog.open(older, create=False)
    assert outputs(reader) == RAN
    writer.append_iteration(IterationRecord("0" * 32, "shared", 3, "done", 1.7e9, outputs="{}"))
    reader.append_iteration(IterationRecord("1" * 32, "shared", 4, "done", 1.7e9, outputs="{}"))
    assert [one.number for one in reader.iterations()] == [4, 3, 2, 1]
    assert [one.number for one in Catalog.open(older, create=False).iterations()] == [4, 3, 2, 1]


@pytest.mark.parametrize("has_looked", [False, True])
def test_a_reader_follows_a_takeover(older: Path, *, has_looked: bool) -> None:
    reader = Catalog.open(older, create=False)
    assert not has_looked or outputs(reader) == RAN
    Catalog.open(older, create=False).append_iteration(IterationRecord("0" * 32, "shared", 3, "done", 1.7e9))
    assert outputs(reader) == [*RAN, (3, "done", "{}")]


def test_one_that_reads_while_it_is_taken_over_reads_the_log(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_over_first(layout: Layout) -> Iterator[Segment]:
        found = older_segments(layout)
        yield next(found)
        Catalog.open(older, create=False).make()
        yield from found

    monkeypatch.setattr(catalog_reader, "older_segments", taken_over_first)
    assert outputs(Catalog.open(older, create=False)) == RAN


def test_one_on_which_others_work_is_left_to_them(older: Path) -> None:
    (older / "leases").mkdir()
    other = {"host": "elsewhere", "machine": "elsewhere", "pid": 1, "started": "1"}
    (older / "leases" / ("a" * 32)).write_text(json.dumps(other))
    before = files_below(older / "records")
    with pytest.raises(CatalogError, match="process 1 on elsewhere works on the catalog"):
        Catalog.open(older, create=False).make()
    assert files_below(older / "records") == before


@pytest.mark.parametrize("done", [
    lambda older: (older / "records" / "0000000001-0000000002.fold").write_bytes(b"of one that was stopped"),
    lambda older: (older / "records" / "iterations.head").unlink(),
    lambda older: (older / "records" / "notes").mkdir(),
], ids=["a fold that was begun", "no head", "a folder of somebody's"])
def test_what_lies_there_besides_is_no_hindrance(older: Path, done: Callable[[Path], object]) -> None:
    done(older)
    Catalog.open(older, create=False).make()
    assert outputs(Catalog.open(older, create=False)) == RAN


@pytest.mark.parametrize("damage", [
    lambda log: max(log.glob("*.json")).unlink(), lambda log: max(log.glob("*.json")).write_text(""),
    lambda log: max(log.glob("*.json")).write_text("{" * 5_000), lambda log: (log / "pipe").symlink_to("/dev/zero"),
    lambda log: os.mkfifo(log / "pipe"), lambda log: next(log.parent.glob("*.parquet")).write_bytes(b"PAR1"),
    lambda log: [path.unlink() for path in log.iterdir()],
], ids=["end lost", "end empty", "deep", "a link", "a pipe", "rows", "log lost"])
def test_one_that_is_damaged_is_refused_and_stays_as_it_is(older: Path, damage: Callable[[Path], object]) -> None:
    damage(older / "records" / "iterations" / "_delta_log")
    with pytest.raises(CatalogError, match=r"iterations of the catalog .* cannot be read: (?s:.*)repair it with that"):
        Catalog.open(older, create=False).iterations()
    with pytest.raises(CatalogError, match="cannot be read"):
        Catalog.open(older, create=False).make()
    assert json.loads((older / "helix.json").read_text())["layout"] == 1


def test_who_is_stopped_before_the_tables_are_deleted_has_taken_it_over(older: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be taken over"), failpoints.watched(hook("takeover.recorded:raise")):
        Catalog.open(older, create=False).make()
    assert (older / "records" / "iterations").exists()
    assert outputs(Catalog.open(older, create=False)) == RAN
