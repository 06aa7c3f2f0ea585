"""A team's catalog below one's own: what it has is loaded, nothing is written there, and iterations are published."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import helix_spark as hx
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.publishing import Publication, publish_iteration
from helix_spark.catalog.records import AnswerRecord, ResultRecord
from helix_spark.catalog.verification import verify
from helix_spark.cli.main import helix as command
from helix_spark.cli.options import read_settings
from helix_spark.costs.model import LOAD
from helix_spark.errors import CatalogError, NotACatalogError, ParameterError
from helix_spark.planner.plan import Plan
from helix_spark.planner.problem import State
from helix_spark.run.iteration import Iteration
from tests.fakes.armed_failpoints import armed
from tests.fakes.command import start
from tests.fakes.observer import Warned

SCRIPT = """
from pyspark.sql import SparkSession
print("counted", SparkSession.builder.getOrCreate().range(10).count())
"""


def workflow(times: int = 1) -> hx.Workflow:
    wf = hx.Workflow("shout")
    wf.source("people", hx.table(pd.DataFrame({"who": ["ada", "grace"], "n": [1, 2]})))

    @wf.scanner
    def loud(people: pd.DataFrame) -> pd.DataFrame:
        return people.assign(who=people.who.str.upper())

    @wf.reducer(output=True)
    def longest(loud: pd.DataFrame) -> str:
        return max(loud.who, key=len) * times

    return wf


def run(catalog: Path, made: hx.Workflow, *shared: object, heard: Warned | None = None) -> Iteration:
    with hx.Helix(catalog, policy="always", observer=heard or Warned(), shared=list(map(str, shared))) as helix:
        return helix.run(made)


def planned(catalog: Path, made: hx.Workflow, *shared: object) -> Plan:
    with hx.Helix(catalog, policy="always", observer=Warned(), shared=list(map(str, shared))) as helix:
        return helix.plan(made)


def make_dear(catalog: Path, *names: str, seconds: float = 60.0) -> None:
    """Record that computing some nodes takes long."""
    opened = Catalog.open(catalog, create=False)
    opened.append_results([
        ResultRecord(node.declared, node.signature, "shout", node.name, node.kind, 1, compute_seconds=seconds)
        for node in opened.nodes(opened.iterations()[0]) if node.name in names
    ])


def publish(source: Path, target: object, number: int = 1) -> Publication:
    opened = Catalog.open(source, create=False)
    (iteration,) = (one for one in opened.iterations() if one.number == number)
    return publish_iteration(opened, Catalog.open(str(target), create=True), iteration)


def content(root: Path) -> str:
    """A digest of all files of a catalog, with their names and times."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        found.update(f"{path} {path.lstat().st_mtime_ns} ".encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def computed(plan: Plan) -> Collection[str]:
    return plan.in_state(State.COMPUTE)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog `ci`, in which `loud` is dear to compute, and its one iteration published to `team`."""
    folder = tmp_path_factory.mktemp("published")
    run(folder / "ci", workflow())
    make_dear(folder / "ci", "loud")
    publish(folder / "ci", folder / "team")
    return folder


@pytest.fixture
def team(published: Path, tmp_path: Path) -> Path:
    """A copy of the shared catalog, next to one of the catalog that it was published from."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path / "team"


def test_what_was_published_is_loaded_and_nothing_is_written_there(team: Path, tmp_path: Path) -> None:
    before = content(team)
    first = run(tmp_path / "mine", workflow(), team)
    assert (first["longest"], computed(first.plan)) == ("GRACE", ())
    assert first.plan["longest"].reason == f"stored by iteration 1 in the shared catalog {team}"
    assert first.plan["longest"].storage_reason == f"it is stored in the shared catalog {team}"
    edited = run(tmp_path / "mine", workflow(2), team)
    assert (edited["longest"], computed(edited.plan)) == ("GRACEGRACE", ("longest",))
    assert content(team) == before
    mine = Catalog.open(tmp_path / "mine", create=False)
    assert [record.node for record in mine.live()] == ["longest"]
    assert [one.number for one in mine.iterations()] == [2, 1]
    assert planned(tmp_path / "mine", workflow(3))["loud"].state is State.COMPUTE


def test_what_is_shared_takes_no_room_and_is_never_evicted(team: Path, tmp_path: Path) -> None:
    for policy in ("joint", "always", "never"):
        with hx.Helix(tmp_path / policy, policy=policy, observer=Warned(), shared=[team], budget=0) as helix:
            assert helix.run(workflow(2))["longest"] == "GRACEGRACE"
            helix.wait()
            before, plan, after = helix.catalog.bytes_used(), helix.plan(workflow(2)), helix.catalog.bytes_used()
            assert (plan["loud"].stored, plan["loud"].keep, dict(plan.evict)) == (True, True, {})
            assert min(before, after) <= plan.used <= max(before, after), "leases are written to meanwhile"
            assert {one.node for one in helix.catalog.live()} <= {"longest"}, "a value takes no room"


def test_the_own_catalog_comes_first_and_then_the_first_shared_one(team: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    publish(tmp_path / "ci", other)
    assert str(other) in planned(tmp_path / "mine", workflow(), other, team)["longest"].reason
    assert str(team) in planned(tmp_path / "mine", workflow(), team, other)["longest"].reason
    assert planned(tmp_path / "ci", workflow(), team)["longest"].reason == "stored by iteration 1"
    own = Catalog.open(team, create=False, shared=[str(team)])
    assert own.shared.open_all() == (), "a catalog is not below itself"


def test_publishing_twice_adds_nothing(team: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in team.rglob("*") if path.is_file()}
    found = publish(tmp_path / "ci", team)
    assert (found.copied, found.there, found.missing) == ((), ("loud", "longest"), ("people",))
    assert {path: path.read_bytes() for path in team.rglob("*") if path.is_file()} == before
    assert verify(Catalog.open(team, create=False), deep=True).sound


def test_iterations_of_several_people_get_numbers_of_their_own(team: Path, tmp_path: Path) -> None:
    run(tmp_path / "hers", workflow(2))
    assert publish(tmp_path / "hers", team).number == 2
    assert publish(tmp_path / "hers", team).number == 2
    shared = Catalog.open(team, create=False)
    assert [(one.number, json.loads(one.outputs)["longest"]) for one in shared.iterations("shout")] == [
        (2, "GRACEGRACE"), (1, "GRACE"),
    ]
    assert [node.name for node in shared.nodes(shared.iterations()[0])] == ["people", "loud", "longest"]


def test_a_publication_that_is_killed_leaves_a_usable_catalog(tmp_path: Path) -> None:
    run(tmp_path / "ci", workflow())
    words = ["publish", "1", "--to", str(tmp_path / "team"), "--catalog", str(tmp_path / "ci")]
    for point in ("log.appended", "store.written", "publish.recorded"):
        killed = subprocess.run(
            [sys.executable, "-m", "helix_spark", *words], env=armed(f"{point}:kill"), check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        assert verify(Catalog.open(tmp_path / "team", create=False), deep=True).sound
        assert run(tmp_path / point, workflow(), tmp_path / "team")["longest"] == "GRACE"
    assert CliRunner().invoke(command, words).exit_code == 0
    assert computed(planned(tmp_path / "mine", workflow(), tmp_path / "team")) == ()
    shared = Catalog.open(tmp_path / "team", create=False)
    assert len(shared.iterations()) == 1
    shared.gc(dry_run=False)
    assert len(list((tmp_path / "team" / "tables").glob("*/*"))) == 1


def spoil(catalog: Path) -> None:
    """Change a byte in the pages of each stored table."""
    for file in catalog.glob("tables/*/*/*.parquet"):
        found = bytearray(file.read_bytes())
        found[6] ^= 0xFF
        file.write_bytes(found)


def test_a_damaged_result_is_not_published(tmp_path: Path) -> None:
    run(tmp_path / "ci", workflow())
    spoil(tmp_path / "ci")
    words = ["publish", "1", "--to", str(tmp_path / "team"), "--catalog", str(tmp_path / "ci")]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 3
    assert "1 results copied, 0 already there" in done.output
    assert "not copied: loud is damaged: " in done.output
    shared = Catalog.open(tmp_path / "team", create=False)
    assert [record.node for record in shared.live()] == ["longest"]
    assert shared.gc(dry_run=True) == ()
    assert not list((tmp_path / "team").glob("tables/*/*"))


def test_what_is_damaged_there_is_said_and_computed_and_stored_here(team: Path, tmp_path: Path) -> None:
    spoil(team)
    before, heard = content(team), Warned()
    with hx.Helix(tmp_path / "mine", policy="always", observer=heard, shared=[team]) as helix:
        assert helix.run(workflow(2))["longest"] == "GRACEGRACE"
        assert helix.run(workflow(3))["longest"] == "GRACE" * 3
    (warning,) = heard.warnings
    assert warning.startswith(f"the stored result of 'loud' in the shared catalog {team} cannot be read: ")
    assert warning.endswith("; it is computed again")
    assert content(team) == before
    assert {record.node for record in Catalog.open(tmp_path / "mine", create=False).live()} == {"loud", "longest"}


def test_results_that_are_gone_there_are_computed(team: Path, tmp_path: Path) -> None:
    shutil.rmtree(team / "tables")
    assert run(tmp_path / "mine", workflow(2), team)["longest"] == "GRACEGRACE"


class Removing(Warned):
    """Removes a folder once a plan was made that loads from there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def planned(self, plan: Plan) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def test_a_shared_catalog_that_goes_while_a_run_loads_from_it_costs_no_answer(team: Path, tmp_path: Path) -> None:
    heard = Removing(team)
    made = run(tmp_path / "mine", workflow(2), team, heard=heard)
    assert (made["longest"], {*computed(made.plan)}) == ("GRACEGRACE", {"people", "loud", "longest"})
    (warning,) = heard.warnings
    assert warning.startswith(f"the stored result of 'loud' in the shared catalog {team} cannot be read: ")


@pytest.mark.parametrize("why", ["gone", "newer", "records"])
def test_a_run_goes_on_without_a_shared_catalog_that_cannot_be_used(why: str, team: Path, tmp_path: Path) -> None:
    if why == "gone":
        shutil.rmtree(team)
    elif why == "newer":
        (team / "helix.json").write_text('{"layout": 99, "id": "x"}')
    else:
        shutil.rmtree(team / "records")
    heard = Warned()
    made = run(tmp_path / "mine", workflow(), team, tmp_path / "ci", heard=heard)
    (warning,) = heard.warnings
    assert warning.startswith(f"the shared catalog {team} cannot be used and is skipped: ")
    assert computed(made.plan) == (), "the next one has it"


@pytest.mark.parametrize("place", ["folder", "file", "s4://team/catalog"])
def test_what_is_no_catalog_is_refused_before_anything_runs(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    (tmp_path / "file").touch()
    named = place if "://" in place else str(tmp_path / place)
    with pytest.raises(NotACatalogError):
        hx.Helix(tmp_path / "mine", shared=[named])
    (tmp_path / "train.py").write_text(SCRIPT)
    words = ["run", str(tmp_path / "train.py"), "--catalog", str(tmp_path / "mine"), "--shared", named]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 3
    assert "counted" not in done.output
    assert not (tmp_path / "mine").exists()


def test_a_slow_shared_store_is_not_priced_as_the_own_disk(team: Path, tmp_path: Path) -> None:
    usual = LOAD["table"].seconds(stored_bytes(team))
    # What others measured where they are says nothing of here.
    record_load(team, 30.0)
    assert planned(tmp_path / "mine", workflow(2), team)["loud"].load_seconds == pytest.approx(usual)
    run(tmp_path / "mine", workflow(2), team)
    record_load(tmp_path / "mine", 30.0)
    assert planned(tmp_path / "mine", workflow(3), team)["loud"].load_seconds > 3 * usual
    assert planned(tmp_path / "ci", workflow(3), team)["loud"].load_seconds < 2 * usual


def record_load(catalog: Path, seconds: float) -> None:
    """Record how long loading `loud` took."""
    opened = Catalog.open(catalog, create=False)
    opened.append_results([
        ResultRecord(node.declared, node.signature, "shout", "loud", node.kind, 1, read_seconds=seconds,
                     load_seconds=seconds)
        for node in opened.nodes(opened.iterations()[0]) if node.name == "loud"
    ])


def stored_bytes(catalog: Path) -> int:
    (record,) = (one for one in Catalog.open(catalog, create=False).live() if one.node == "loud")
    path = Catalog.open(catalog, create=False).path_of(record)
    assert path is not None
    assert path.total_bytes() == record.bytes
    return record.bytes


def drawing() -> hx.Workflow:
    wf = hx.Workflow("draws")
    wf.source("people", hx.table(pd.DataFrame({"n": [1, 2]})))

    @wf.scanner(fixed=True)
    def drawn(people: pd.DataFrame) -> pd.DataFrame:
        import time

        return people.assign(at=float(time.time_ns()))

    @wf.reducer(output=True)
    def first(drawn: pd.DataFrame) -> float:
        return float(drawn["at"].iloc[0])

    return wf


def test_a_draw_that_somebody_fixed_is_the_same_for_the_team(tmp_path: Path) -> None:
    first = run(tmp_path / "ci", drawing())["first"]
    publish(tmp_path / "ci", tmp_path / "team")
    assert run(tmp_path / "mine", drawing(), tmp_path / "team")["first"] == first
    assert run(tmp_path / "alone", drawing())["first"] != first


@pytest.mark.parametrize("who", ["team", "mine"])
def test_a_doubt_of_either_side_stops_reuse(who: str, team: Path, tmp_path: Path) -> None:
    run(tmp_path / "mine", workflow(2), team)
    opened = Catalog.open(tmp_path / who, create=False)
    (node,) = (node for node in Catalog.open(team, create=False).nodes(
        Catalog.open(team, create=False).iterations()[0]) if node.name == "loud")
    opened.append_results([ResultRecord(
        node.declared, node.signature, "shout", "loud", node.kind, 1, random="an audit computed it again"
    )])
    plan = planned(tmp_path / "mine", workflow(2), team)
    assert plan["loud"].state is State.COMPUTE
    assert plan["loud"].random


def test_an_audit_of_what_is_shared_is_recorded_here_and_ends_its_reuse(team: Path, tmp_path: Path) -> None:
    shared = Catalog.open(team, create=False)
    (right,) = (record for record in shared.live() if record.node == "longest")
    shared.evict_all({right.signature: "it was another"})
    shared.publish(replace(right, attempt="f" * 32, value='"WRONG"'))
    before = content(team)
    assert run(tmp_path / "mine", workflow(), team)["longest"] == "WRONG"
    with hx.Helix(tmp_path / "mine", observer=Warned(), shared=[team]) as helix:
        assert [(one.node, one.verdict) for one in helix.audit(workflow()).results if one.verdict == "different"] == [
            ("longest", "different"),
        ]
        assert helix.run(workflow())["longest"] == "GRACE"
    assert run(tmp_path / "mine", workflow(), team)["longest"] == "GRACE"
    assert content(team) == before


def test_answers_are_the_own_ones_first_unless_somebody_doubts_them(tmp_path: Path) -> None:
    for name, answer in (("team", "theirs"), ("mine", "own")):
        opened = Catalog.open(tmp_path / name, create=True)
        opened.make()
        opened.answers.append([AnswerRecord("a" * 64, "w", 1, 1.0, answer=answer)])
    shared, mine = opened_with(tmp_path, "new"), opened_with(tmp_path, "mine")
    assert [one.answers.newest("a" * 64).answer for one in (shared, mine)] == ["theirs", "own"]  # type: ignore[union-attr]
    Catalog.open(tmp_path / "team", create=True).answers.append([AnswerRecord("a" * 64, "w", 2, 1.0, doubt="differs")])
    for one in (opened_with(tmp_path, "new"), opened_with(tmp_path, "mine")):
        assert one.answers.newest("a" * 64).doubt == "differs"  # type: ignore[union-attr]


def opened_with(folder: Path, name: str) -> Catalog:
    return Catalog.open(folder / name, create=True, shared=[str(folder / "team")])


def test_the_text_of_a_published_workflow_is_there(team: Path, tmp_path: Path) -> None:
    shared = Catalog.open(team, create=False)
    assert shared.file_text(shared.iterations()[0].file_digest) == Path(__file__).read_text()
    mine = Catalog.open(tmp_path / "mine", create=True, shared=[str(team)])
    assert mine.file_text(shared.iterations()[0].file_digest) == Path(__file__).read_text()


def test_a_script_is_answered_from_the_shared_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)

    def run_script() -> tuple[str, str]:
        output, errors = start(tmp_path, "run", "train.py", "--json", stderr=subprocess.PIPE).communicate(timeout=60)
        assert "counted 3" in errors
        (node,) = json.loads(output)["nodes"]
        return node["state"], node["reason"]

    assert run_script()[0] == "compute"
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["publish", "1", "train", "--to", "team", "--catalog", "catalog", "--json"])
    assert json.loads(done.output)["answers"] > 0
    assert json.loads(done.output)["missing"] == []
    before = content(tmp_path / "team")
    shutil.rmtree(tmp_path / "catalog")
    monkeypatch.setenv("HELIX_SHARED", "team")
    assert run_script() == ("load", "its answer is on record in the shared catalog team")
    assert content(tmp_path / "team") == before


def test_an_iteration_is_published_to_a_store_and_read_from_there(bucket: str, tmp_path: Path) -> None:
    run(tmp_path / "ci", workflow())
    make_dear(tmp_path / "ci", "loud")
    there = f"s3a://{bucket}/team"
    assert publish(tmp_path / "ci", there).copied == ("loud", "longest")
    assert verify(Catalog.open(there, create=False), deep=True).sound
    made = run(tmp_path / "mine", workflow(2), there)
    assert (made["longest"], computed(made.plan)) == ("GRACEGRACE", ("longest",))
    assert made.plan["loud"].reason.endswith(f"in the shared catalog {there}")
    heard = Warned()
    assert run(tmp_path / "new", workflow(), f"s3a://{bucket}-not/team", heard=heard)["longest"] == "GRACE"
    assert "there is no bucket" in heard.warnings[0]


def test_what_cannot_be_published_is_said(team: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="own catalog"):
        publish(team, team)
    opened = Catalog.open(tmp_path / "ci", create=False)
    running = replace(opened.iterations()[0], status="running")
    with pytest.raises(CatalogError, match="iteration 1 of 'shout' is running"):
        publish_iteration(opened, Catalog.open(team, create=True), running)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HELIX_SHARED", raising=False)
    (tmp_path / "pyproject.toml").write_text('[tool.helix_spark]\nshared = ["team", "s3://team/catalog"]\n')
    return tmp_path


def test_shared_catalogs_are_a_setting(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(project).shared == (str(project / "team"), "s3://team/catalog")
    monkeypatch.setenv("HELIX_SHARED", "a, b")
    assert read_settings(project).shared == ("a", "b")
    given = read_settings(project, shared="c")
    assert (given.shared, given.options) == (("c",), ["--shared", "c"])
    assert read_settings(project, shared="").shared == ()
    (project / "pyproject.toml").write_text('[tool.helix_spark]\nshared = "team"\n')
    monkeypatch.delenv("HELIX_SHARED")
    assert read_settings(project).shared == (str(project / "team"),)
    (project / "pyproject.toml").write_text("[tool.helix_spark]\nshared = [1]\n")
    with pytest.raises(ParameterError, match="the setting 'shared'"):
        read_settings(project)


def test_what_a_team_adds_is_seen_from_the_next_snapshot_on(team: Path, tmp_path: Path) -> None:
    """A plan reads all catalogs as of one moment each, whatever others append while it plans."""
    mine = Catalog.open(tmp_path / "mine", create=True, shared=[str(team)])
    mine.snapshot("shout")
    added = ResultRecord("a" * 64, "a" * 64, "shout", "loud", "scanner", 2, compute_seconds=7.0)
    Catalog.open(team, create=False).append_results([added])
    assert not mine.results([], [added.signature]).measured
    mine.snapshot("shout")
    assert mine.results([], [added.signature]).measured[added.signature].compute_seconds == 7.0
