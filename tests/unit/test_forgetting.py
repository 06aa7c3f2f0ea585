"""What a catalog forgets is gone for good, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.catalog import failpoints
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.forgetting import Selection
from helix_spark.catalog.records import KINDS, NodeRecord
from helix_spark.catalog.segments import folding
from helix_spark.cli.main import helix as command
from helix_spark.errors import CatalogError
from tests.fakes.observer import Warned
from tests.unit.catalog_bytes import holds

SECRET, OTHER, FIRST = ("Of whom?"[::-1], "Somebody else"[::-1], "once more"[::-1].replace(" ", "_"))
"""Two people and a workflow whose names are in no file, not this one either, which is recorded as well."""


def workflow(name: str = FIRST, *, secret: str = SECRET, times: int = 1) -> hx.Workflow:
    wf = hx.Workflow(name)
    wf.source("people", hx.table(pd.DataFrame({"who": [f"{secret}, for long", "Grace"], "n": [1, 2]})))

    @wf.scanner
    def loud(people: pd.DataFrame) -> pd.DataFrame:
        return people.assign(who=people.who.str.upper())

    @wf.reducer(output=True)
    def longest(loud: pd.DataFrame) -> str:
        return max(loud.who, key=len) * times

    @wf.reducer(output=True)
    def count(people: pd.DataFrame) -> int:
        return len(people)

    return wf


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with three iterations; not to be changed."""
    root = tmp_path_factory.mktemp("ran")
    run_all(root)
    return root


@pytest.fixture
def root(ran: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with indexes of its own."""
    monkeypatch.setenv("HELIX_INDEX", str(tmp_path_factory.mktemp("indexes")))
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_all(root: Path) -> None:
    for made in (workflow(), workflow(times=2), workflow("second", secret=OTHER)):
        with hx.Helix(root, policy="always", observer=Warned()) as helix:
            helix.run(made)


def numbers(root: Path) -> list[tuple[str, int]]:
    return sorted((one.workflow, one.number) for one in Catalog.open(root, create=False).iterations())


def test_a_workflow_is_forgotten_to_the_last_byte(root: Path) -> None:
    catalog = Catalog.open(root, create=False)
    catalog.maintain()
    assert holds(root, SECRET.upper())
    assert holds(root, FIRST)
    index = catalog._records._index_file()
    assert index is not None
    assert catalog.forget(Selection(FIRST), dry_run=False).whole
    assert not holds(root, SECRET.upper())
    assert not holds(root, SECRET)
    assert not holds(root, FIRST)
    assert holds(root, OTHER.upper())
    assert numbers(root) == [("second", 1)]
    indexes = [path.read_bytes() for path in index.parent.glob(f"{index.name}*")]
    assert indexes
    assert not any(SECRET.upper().encode() in one or SECRET.encode() in one for one in indexes)
    assert catalog.gc(dry_run=True) == ()
    assert catalog.rejections == ()


def test_what_another_iteration_has_stays(root: Path) -> None:
    catalog = Catalog.open(root, create=False)
    before = {one.signature: one.node for one in catalog.live()}
    found = catalog.forget(Selection(FIRST, 2), dry_run=False)
    assert {before[one] for one in found.signatures & before.keys()} == {"longest"}
    assert {before[one] for one in found.shared & before.keys()} == {"people", "loud", "count"} & set(before.values())
    assert numbers(root) == [(FIRST, 1), ("second", 1)]
    with hx.Helix(root, observer=Warned()) as helix:
        plan = helix.plan(workflow())
        assert plan["longest"].stored
        assert helix.run(workflow(times=2))["longest"] == f"{SECRET}, for long".upper() * 2


def test_a_node_is_forgotten_with_what_was_made_of_it(root: Path) -> None:
    catalog = Catalog.open(root, create=False)
    catalog.forget(Selection(FIRST, node="loud", downstream=True), dry_run=False)
    assert not holds(root, SECRET.upper())
    assert numbers(root) == [(FIRST, 1), (FIRST, 2), ("second", 1)]
    assert [json.loads(one.outputs) for one in catalog.iterations(FIRST)] == [{"count": 2}, {"count": 2}]
    (node,) = [one for one in catalog.nodes(catalog.iterations(FIRST)[0]) if one.name == "loud"]
    assert node.code == ""


def test_a_dry_run_says_it_and_changes_nothing(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    said = CliRunner().invoke(command, ["forget", f"{FIRST}@2", "--dry-run", "--catalog", str(root)])
    assert said.output.startswith(f"would forget {FIRST} 2: 1 results; ")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_old_iterations_are_forgotten_by_the_command(root: Path) -> None:
    place = ["--catalog", str(root), "--json"]
    none = json.loads(CliRunner().invoke(command, ["forget", "--older-than", "1d", *place]).output)
    assert none["iterations"] == []
    done = json.loads(CliRunner().invoke(command, ["forget", "--older-than", "0", *place]).output)
    assert len(done["iterations"]) == 3
    assert numbers(root) == []
    assert Catalog.open(root, create=False).live() == ()


@pytest.mark.parametrize("arguments", [
    [], ["third"], [f"{FIRST}@9"], [f"{FIRST}@x"], [FIRST, "--downstream"], [FIRST, "--older-than", "soon"],
], ids=" ".join)
def test_what_makes_no_sense_is_refused(root: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(command, ["forget", *arguments, "--catalog", str(root)])
    assert done.exit_code == 2
    assert len(numbers(root)) == 3


def test_nothing_is_forgotten_while_others_work(root: Path) -> None:
    (root / "leases").mkdir(exist_ok=True)
    other = {"host": "elsewhere", "machine": "elsewhere", "pid": 1, "started": "1"}
    (root / "leases" / ("a" * 32)).write_text(json.dumps(other))
    with pytest.raises(CatalogError, match="works on the catalog"):
        Catalog.open(root, create=False).forget(Selection(FIRST), dry_run=False)
    assert len(numbers(root)) == 3


@pytest.mark.parametrize("stopped_at", [1, 3])
def test_who_is_stopped_in_between_forgets_it_the_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    reached = list[str]()

    def reach(name: str) -> None:
        reached.append(name)
        if len(reached) == stopped_at:
            raise OSError("stopped")

    monkeypatch.setattr(folding, "reach", reach)
    with pytest.raises(CatalogError):
        Catalog.open(root, create=False).forget(Selection(FIRST), dry_run=False)
    monkeypatch.setattr(folding, "reach", failpoints.reach)
    Catalog.open(root, create=False).forget(Selection(FIRST), dry_run=False)
    assert not holds(root, SECRET.upper())
    assert numbers(root) == [("second", 1)]


def test_an_index_of_another_machine_follows(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    own = os.environ["HELIX_INDEX"]
    try:
        os.environ["HELIX_INDEX"] = str(other)
        reader = Catalog.open(root, create=False)
        assert len(reader.iterations()) == 3
        os.environ["HELIX_INDEX"] = own
        Catalog.open(root, create=False).forget(Selection(FIRST), dry_run=False)
        os.environ["HELIX_INDEX"] = str(other)
        assert [one.workflow for one in reader.iterations()] == ["second"]
        assert not reader._records.rows(NodeRecord, "WHERE workflow = ?", FIRST)
    finally:
        os.environ["HELIX_INDEX"] = own


def test_all_kinds_of_records_are_looked_at(root: Path) -> None:
    Catalog.open(root, create=False).forget(Selection(FIRST), dry_run=False)
    catalog = Catalog.open(root, create=False)
    for kind in KINDS:
        named = "workflow" in kind.record_type.__dataclass_fields__
        assert not named or not catalog._records.select(f"SELECT 1 FROM {kind.name} WHERE workflow = ?", FIRST)


def test_a_long_log_is_written_anew_in_several_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FULL", 1)
    monkeypatch.setattr(folding, "AT_ONCE", 1_000)
    run_all(tmp_path)
    catalog = Catalog.open(tmp_path, create=False)
    before = catalog._records.select("SELECT * FROM nodes WHERE workflow = 'second'")
    for _ in range(2):  # the second time each fold but the last has the name of one that is there
        catalog.forget(Selection(FIRST), dry_run=False)
        assert len(list((tmp_path / "records").glob("*.fold"))) > 5
        assert catalog._records.select("SELECT * FROM nodes WHERE workflow = 'second'") == before
        catalog.forget(Selection("second", node="nothing"), dry_run=False)
    assert catalog.rejections == ()
    assert numbers(tmp_path) == [("second", 1)]
