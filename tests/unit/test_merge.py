"""Two copies of a catalog that went apart become one: nothing is taken twice, nothing of the other one is believed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from test_loading import Gladly
from warned import Warned

import helix_spark as hx
from helix_spark.catalog import failpoints
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import IterationRecord
from helix_spark.catalog.tables.attempts import MANIFEST
from helix_spark.catalog.verification import verify
from helix_spark.cli.main import helix as command
from helix_spark.errors import CatalogError
from helix_spark.planner.problem import State


def workflow(weight: int) -> hx.Workflow:
    """Each of its versions has a table of its own."""
    wf = hx.Workflow("shared")
    wf.source("data", hx.table(pd.DataFrame({"a": [1, 2, 3]})))

    @wf.scanner
    def rows(data: pd.DataFrame) -> pd.DataFrame:
        return data * weight

    @wf.reducer(output=True)
    def total(rows: pd.DataFrame) -> int:
        return 2 * int(rows.a.sum())

    return wf


def has_run(catalog: Path, *weights: int) -> None:
    with hx.Helix(catalog, policy="always", observer=Warned()) as helix:
        for weight in weights:
            helix.run(workflow(weight))


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose copy went its own way: iterations 1 and 2 are in both, 3 is another in each."""
    folder = tmp_path_factory.mktemp("apart")
    has_run(folder / "here", 1, 2)
    shutil.copytree(folder / "here", folder / "there")
    has_run(folder / "here", 3)
    has_run(folder / "there", 4, 5)
    return folder


@pytest.fixture
def here(apart: Path, tmp_path: Path) -> Path:
    shutil.copytree(apart, tmp_path, dirs_exist_ok=True)
    return tmp_path / "here"


@pytest.fixture
def there(here: Path) -> Path:
    return here.with_name("there")


def opened(root: Path) -> Catalog:
    return Catalog.open(root, create=False)


def told(root: Path) -> dict[int, dict[str, int]]:
    """What each iteration answered, by number."""
    return {one.number: json.loads(one.outputs) for one in opened(root).iterations()}


def stored(root: Path) -> set[str]:
    return {one.attempt for one in opened(root).live()}


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


MERGED = {1: {"total": 12}, 2: {"total": 24}, 3: {"total": 36}, 4: {"total": 48}, 5: {"total": 60}}


def test_what_the_other_copy_has_is_taken_over_under_free_numbers(here: Path, there: Path) -> None:
    before, both = content(there), stored(here) | stored(there)
    found = opened(here).merge(there)
    assert found.iterations == {"shared": (4, 5)}
    assert list(found.renumbered) == [f"iteration {n} of shared there is iteration {n + 1} here" for n in (3, 4)]
    assert told(here) == MERGED
    assert stored(here) == both
    assert all(len(opened(here).nodes(one)) == 3 for one in opened(here).iterations())
    assert verify(opened(here), deep=True).sound
    assert not opened(here).repair(dry_run=True).is_needed
    assert content(there) == before, "nothing is written to the other copy"
    with hx.Helix(here, policy=Gladly(), observer=Warned()) as helix:
        assert helix.plan(workflow(5))["total"].state is not State.COMPUTE
        assert helix.run(workflow(6)).number == 6


def test_numbers_that_are_free_stay(tmp_path: Path) -> None:
    has_run(tmp_path / "here", 1)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    has_run(tmp_path / "there", 2)
    found = opened(tmp_path / "here").merge(tmp_path / "there")
    assert (found.iterations, found.renumbered) == ({"shared": (2,)}, ())


def test_a_look_says_the_same_and_changes_nothing(here: Path, there: Path) -> None:
    before = content(here)
    looked = opened(here).merge(there, dry_run=True)
    assert content(here) == before
    done = opened(here).merge(there)
    assert (looked.iterations, looked.renumbered, looked.bytes) == (done.iterations, done.renumbered, done.bytes)
    assert (looked.done, done.done) == (False, True)


def test_merging_again_takes_nothing(here: Path, there: Path) -> None:
    opened(here).merge(there)
    before = opened(here).nodes_recorded()
    again = opened(here).merge(there)
    assert (again.iterations, again.results, again.bytes) == ({}, (), 0)
    assert opened(here).nodes_recorded() == before
    back = opened(there).merge(here)
    assert len(told(there)) == 5
    assert back.iterations == {"shared": (5,)}


@pytest.mark.parametrize("failpoint", ["merge.copied@2", "iteration.nodes@1"])
def test_a_merge_that_was_killed_is_done_again(here: Path, there: Path, failpoint: str) -> None:
    script = "import sys; from helix_spark.catalog.catalog import Catalog\n" \
             "Catalog.open(sys.argv[1], create=False).merge(sys.argv[2])"
    both = stored(here) | stored(there)
    armed = {**os.environ, "HELIX_FAILPOINT": f"{failpoint}:kill"}
    killed = subprocess.run([sys.executable, "-c", script, str(here), str(there)], env=armed)
    assert killed.returncode == -9
    opened(here).merge(there)
    assert told(here) == MERGED
    assert stored(here) == both
    assert opened(here).nodes_recorded() == 5 * 3
    assert verify(opened(here), deep=True).sound


def test_a_catalog_that_is_moved_during_a_merge_is_not_made_anew(here: Path, there: Path) -> None:
    def moved(point: str) -> None:
        if point == "merge.copied" and here.exists():
            here.rename(here.with_name("away"))

    with failpoints.watched(moved), pytest.raises(CatalogError, match="is not what it was"):
        opened(here).merge(there)
    assert not here.exists()


def test_a_damaged_copy_gives_what_can_be_had_of_it(here: Path, there: Path) -> None:
    newest = max((there / "records" / "iterations" / "_delta_log").glob("*.json"))
    newest.write_text("")
    (there / "helix.json").write_text("")
    opened(here).merge(there)
    assert told(here) == MERGED
    assert newest.read_text() == ""


def test_lost_history_comes_back_from_a_copy(here: Path, there: Path) -> None:
    for file in (here / "records" / "iterations").glob("*.parquet"):
        file.write_bytes(b"")
    assert opened(here).repair().lost_history
    opened(here).merge(there)
    assert {4: {"total": 48}, 5: {"total": 60}}.items() <= told(here).items()
    assert told(here).keys() == {1, 2, 3, 4, 5}


def test_what_ended_here_stays_ended(here: Path, there: Path) -> None:
    rows = next(one for one in opened(here).live() if one.node == "rows" and one.attempt in stored(there))
    opened(here).evict(rows.signature, "to make room")
    found = opened(here).merge(there)
    assert any("'rows'" in text and "evicted here" in text for text in found.left)
    assert opened(here).artifact(rows.signature) is None


@pytest.fixture
def table(there: Path) -> Path:
    """The folder of a stored table that the other copy alone has."""
    here = {path.name for path in there.with_name("here").glob("tables/*/*")}
    return next(path for path in sorted(there.glob("tables/*/*")) if path.name not in here)


def _link(path: Path, to: Path) -> None:
    path.unlink()
    path.symlink_to(to)


@pytest.mark.parametrize("damage", [
    lambda table: next(table.glob("part-*")).write_bytes(b"x" * 10),
    lambda table: _link(table / "_delta_log" / f"{0:020}.json", Path("/etc/passwd")),
    lambda table: (table.rename(table.with_name("moved")), table.symlink_to(table.with_name("moved"))),
    lambda table: (table / "much").write_bytes(bytes(4 << 20)),
], ids=["garbage", "link for a log", "link for a folder", "far too large"])
def test_a_result_that_is_not_what_its_record_says_is_left(
    here: Path, there: Path, table: Path, damage: Callable[[Path], object]
) -> None:
    damage(table)
    found = opened(here).merge(there)
    assert ["'rows'" in text for text in found.left] == [True]
    assert table.name not in stored(here)
    assert not list((here / "tables").glob(f"*/{table.name}"))
    assert told(here) == MERGED
    assert not opened(here).gc(dry_run=True)


def test_a_result_that_is_sound_is_taken_with_nothing_else(here: Path, there: Path, table: Path) -> None:
    (table / "also.py").write_text("print('not ours')")
    (table / MANIFEST).write_text("{}")
    opened(here).merge(there)
    (copied,) = (here / "tables").glob(f"*/{table.name}")
    assert copied.name in stored(here)
    assert not (copied / "also.py").exists()
    assert json.loads((copied / MANIFEST).read_text())["record"]["attempt"] == table.name


class TestRefused:
    def test_the_same_catalog(self, here: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(here)
        for other in (here, tmp_path / "link"):
            with pytest.raises(CatalogError, match="is the same catalog"):
                opened(here).merge(other)

    def test_one_that_was_never_a_copy(self, here: Path, tmp_path: Path) -> None:
        has_run(tmp_path / "another", 1)
        with pytest.raises(CatalogError, match="is no copy of the catalog"):
            opened(here).merge(tmp_path / "another")

    def test_what_is_no_catalog(self, here: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "thesis.tex").write_text("")
        for other in (tmp_path / "thesis", tmp_path / "nowhere"):
            with pytest.raises(CatalogError):
                opened(here).merge(other)

    def test_one_of_a_newer_layout(self, here: Path, there: Path) -> None:
        (there / "helix.json").write_text('{"layout": 99}')
        with pytest.raises(CatalogError, match="has layout 99"):
            opened(here).merge(there)

    @pytest.mark.parametrize("place", ["records/nodes", "records/nodes/_delta_log"])
    def test_one_whose_records_lead_elsewhere(self, here: Path, there: Path, place: str) -> None:
        (there / place).rename(there.with_name("elsewhere"))
        (there / place).symlink_to(there.with_name("elsewhere"))
        with pytest.raises(CatalogError, match="is a link"):
            opened(here).merge(there)

    def test_while_somebody_runs(self, here: Path, there: Path) -> None:
        (here / "leases").mkdir(exist_ok=True)
        other = {"host": "elsewhere", "machine": "elsewhere", "pid": 1, "started": "1"}
        (here / "leases" / ("0" * 32)).write_text(json.dumps(other))
        with pytest.raises(CatalogError, match="process 1 on elsewhere works on the catalog"):
            opened(here).merge(there)
        assert opened(here).merge(there, dry_run=True).iterations


def test_a_run_that_goes_on_there_is_left(here: Path, there: Path) -> None:
    opened(there).start_iteration(IterationRecord("1" * 32, "shared", 0, "running", 0.0))
    found = opened(here).merge(there)
    assert "iteration 5 of shared: it has not ended there" in found.left
    assert len(told(here)) == 5


def test_the_command_repairs_and_merges(here: Path, there: Path) -> None:
    runner, options = CliRunner(), ["--catalog", str(here), "--merge", str(there)]
    looked = runner.invoke(command, ["repair", "--dry-run", *options])
    assert looked.exit_code == 0, looked.output
    assert "iterations of shared would be taken over: 4, 5" in looked.output
    done = json.loads(runner.invoke(command, ["repair", "--json", *options]).output)
    assert done["merge"]["iterations"] == {"shared": [4, 5]}
    assert "nothing that this one lacks" in runner.invoke(command, ["repair", *options]).output
    refused = runner.invoke(command, ["repair", "--catalog", str(here), "--merge", str(here)])
    assert refused.exit_code == 3
