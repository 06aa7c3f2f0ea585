"""A damaged catalog is repaired: what can be saved is, what is lost is said, nothing is deleted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.segments.segment import segments_in, unpack
from helix_spark.catalog.tables.attempts import MANIFEST
from helix_spark.cli.main import helix as command
from helix_spark.errors import CatalogError, DamagedRecordsError
from helix_spark.planner.problem import State
from tests.fakes.doubled import workflow
from tests.fakes.observer import Warned
from tests.fakes.policy import LoadsGladly


def has_run(catalog: Path, *weights: int, heard: Warned | None = None) -> None:
    for weight in weights:
        with hx.Helix(catalog, policy="always", observer=heard or Warned()) as helix:
            helix.run(workflow(weight))


def forget_indexes() -> None:
    """As on another machine: nothing is known of any catalog."""
    shutil.rmtree(os.environ["HELIX_INDEX"])


def numbers(catalog: Path) -> list[int]:
    return sorted(one.number for one in Catalog.open(catalog, create=False).iterations())


def segments(catalog: Path) -> list[Path]:
    return sorted((catalog / "records").glob("*.segment"))


def segment_of(catalog: Path, kind: str) -> Path:
    """The newest segment with a record of a kind."""
    return next(
        file for file in reversed(segments(catalog))
        if any(name == kind for one in segments_in(file.read_bytes()) for name, _ in one.rows)
    )


class TestRecords:
    def test_a_run_goes_on_without_what_is_damaged_and_says_so(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        forget_indexes()
        segments(tmp_path)[0].write_bytes(b"")
        heard = Warned()
        has_run(tmp_path, 3, heard=heard)
        assert numbers(tmp_path) == [1, 2, 3]
        assert any("0000000001.segment is damaged" in text for text in heard.warnings)

    def test_what_is_damaged_is_moved_aside_as_it_is_and_what_is_lost_is_said(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        damaged = segment_of(tmp_path, "nodes")
        damaged.write_bytes(b"garbage")
        looked = Catalog.open(tmp_path, create=False).repair(dry_run=True)
        assert damaged.read_bytes() == b"garbage"
        done = Catalog.open(tmp_path, create=False).repair()
        assert done.damage == looked.damage
        number = int(damaged.stem)
        assert done.lost == looked.lost == (f"what was recorded by 1 appends ({number} to {number})",)
        assert done.lost_history
        assert (Path(done.aside) / damaged.name).read_bytes() == b"garbage"
        assert Catalog.open(tmp_path, create=False).rejections == ()
        assert not Catalog.open(tmp_path, create=False).repair().is_needed

    def test_what_a_fold_has_as_well_is_not_lost(self, tmp_path: Path) -> None:
        has_run(tmp_path, *range(1, 6))
        catalog = Catalog.open(tmp_path, create=False)
        catalog.maintain()
        assert list((tmp_path / "records").glob("*.fold"))
        segments(tmp_path)[2].write_bytes(b"")
        done = catalog.repair()
        assert done.damage
        assert done.lost == ()
        forget_indexes()
        assert numbers(tmp_path) == [1, 2, 3, 4, 5]

    def test_lost_records_of_results_are_made_again_from_what_the_results_say(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1)
        stored = {one.attempt: one for one in Catalog.open(tmp_path, create=False).live() if one.kind == "table"}
        for file in segments(tmp_path):
            if b"published" in b"".join(unpack(file.read_bytes())):
                file.write_bytes(b"garbage")
        Catalog.open(tmp_path, create=False).repair()
        found = {one.attempt: one for one in Catalog.open(tmp_path, create=False).live() if one.attempt in stored}
        assert stored
        # What syncing took is not known yet when a result says what it is.
        assert {key: replace(one, write_seconds=0.0) for key, one in found.items()} == {
            key: replace(one, write_seconds=0.0) for key, one in stored.items()
        }

    def test_the_number_of_a_lost_iteration_is_not_given_again(self, tmp_path: Path) -> None:
        has_run(tmp_path, 1, 2)
        for file in segments(tmp_path):
            if b'"number":2' in b"".join(unpack(file.read_bytes())):
                file.unlink()
        forget_indexes()
        assert numbers(tmp_path) == [1]
        has_run(tmp_path, 3)
        assert numbers(tmp_path) == [1, 3]


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
        with hx.Helix(tmp_path, policy=LoadsGladly(), observer=Warned()) as helix:
            plan = helix.plan(workflow(2))
            assert plan["rows"].state is State.LOAD
            assert helix.run(workflow(2))["total"] == 24
        assert numbers(tmp_path) == [2], "no run gets a number that was given"

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
from helix_spark.catalog.leases import Leases
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
        assert json.loads((tmp_path / "helix.json").read_text())["layout"] == 2
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
    segment_of(tmp_path, "nodes").write_text("garbage")
    runner, place = CliRunner(), ["--catalog", str(tmp_path)]
    looked = runner.invoke(command, ["repair", "--dry-run", *place])
    assert looked.exit_code == 0
    assert ".segment is damaged: " in looked.output
    assert "nothing was changed" in looked.output
    done = json.loads(runner.invoke(command, ["repair", "--json", *place]).output)
    assert (done["needed"], done["repaired"], len(done["lost"]), done["lost_history"]) == (True, True, 1, True)
    assert Path(done["aside"]).is_dir()
    assert "nothing to repair" in runner.invoke(command, ["repair", *place]).output
    assert runner.invoke(command, ["log", *place]).exit_code == 0
