"""Which file and which commit an iteration comes from, and getting the file back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from deltalake import write_deltalake

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import writer
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import LAYOUT, ArtifactRecord, FileRecord, IterationRecord
from helix_spark.catalog.segments.record_index import RecordKind
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.cli.main import helix
from helix_spark.errors import Location
from helix_spark.run import recording
from helix_spark.run.recording import Provenance
from helix_spark.workflow.declaration import Wishes

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
JOB = """import helix_spark as hx


def one(size: int = 1) -> hx.Workflow:
    wf = hx.Workflow("one")

    @wf.reducer(output=True)
    def answer() -> int:
        return size

    return wf
"""


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *named, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "one_job.py"
    path.write_text(JOB)
    return path


@pytest.fixture
def run(job: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(job.parent)

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(helix, [*arguments, "--catalog", str(job.parent / "catalog")])

    return command


def stamp(job: Path) -> IterationRecord:
    record = IterationRecord("0" * 32, "one", 1, "done", 0.0)
    return Provenance.read(Location(str(job), 5)).stamped(record)


def test_a_commit_and_whether_there_was_more_than_that(job: Path) -> None:
    git(job.parent, "init", "-q")
    assert (stamp(job).commit, stamp(job).dirty) == ("", None)
    (job.parent / "other.py").write_text("")
    git(job.parent, "add", "other.py")
    git(job.parent, "commit", "-qm", "first")
    head = git(job.parent, "rev-parse", "HEAD")
    assert (stamp(job).commit, stamp(job).dirty) == (head, True), "the commit does not have the file"
    git(job.parent, "add", job.name)
    git(job.parent, "commit", "-qm", "second")
    assert stamp(job).dirty is False
    (job.parent / "catalog").mkdir()
    (job.parent / "catalog" / "helix.json").write_text("{}")
    assert stamp(job).dirty is False, "what git does not track, such as a catalog, is no change"
    job.write_text(JOB + "# more\n")
    assert stamp(job).dirty is True


def test_no_repository_and_no_git_are_fine_and_said_nowhere(
    job: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (stamp(job).commit, stamp(job).dirty, stamp(job).file) == ("", None, str(job))
    (job.parent / ".git").mkdir()
    assert stamp(job).commit == ""
    monkeypatch.setenv("PATH", "")
    assert stamp(job).commit == ""
    assert capfd.readouterr() == ("", "")


def test_a_git_that_takes_long_is_done_without(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job.parent / ".git").mkdir()
    slow = job.parent / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 60\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    monkeypatch.setattr(recording, "GIT_SECONDS", 1.0)
    assert (stamp(job).commit, stamp(job).dirty) == ("", None)
    with pytest.raises(ProcessLookupError):
        os.kill(int(slow.with_name("git.pid").read_text()), 0)


def test_a_notebook_has_no_file() -> None:
    found = Provenance.read(Location("<ipython-input-1>", 1))
    assert found.file_record() is None
    assert found.stamped(IterationRecord("0" * 32, "w", 1, "done", 0.0)).file == ""


def test_a_long_file_is_known_by_its_digest_alone(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LONGEST_FILE", 10)
    found = Provenance.read(Location(str(job), 1))
    assert found.file_record() is None
    assert len(found.digest) == 64


def test_checkout_writes_beside_and_never_over(job: Path, run: Callable[..., Result]) -> None:
    assert run("run", job.name, "-q").exit_code == 0
    job.write_text(JOB.replace("size: int = 1", "size: int = 2"))
    assert run("run", job.name, "-q").exit_code == 0
    old = job.with_name("one_job.iteration-1.py")
    done = run("checkout", "1")
    assert (done.exit_code, done.stdout) == (0, f"wrote {old}\n")
    assert old.read_text() == JOB
    assert "int = 2" in job.read_text()
    assert run("checkout", "1").stdout == f"already there: {old}\n"
    old.write_text("mine")
    again = run("checkout", "1")
    assert again.exit_code == 2
    assert "exists with another text" in again.stderr
    assert old.read_text() == "mine"
    elsewhere = job.parent / "there"
    elsewhere.mkdir()
    assert run("checkout", "1", str(elsewhere / "now.py")).exit_code == 0
    assert (elsewhere / "now.iteration-1.py").read_text() == JOB
    assert "int = 2" in run("diff", "1", "2").stdout


def test_a_text_is_kept_once(job: Path, run: Callable[..., Result]) -> None:
    for _ in range(2):
        run("run", job.name, "-q")
    catalog = Catalog.open(job.parent / "catalog", create=False)
    assert len(catalog.iterations()) == 2
    assert [record.text for record in catalog._records.rows(FileRecord)] == [JOB]


def test_an_iteration_without_a_recorded_file_says_so(job: Path, run: Callable[..., Result]) -> None:
    catalog = Catalog.open(job.parent / "catalog", create=True)
    begun = catalog.start_iteration(IterationRecord("1" * 32, "old", 1, "running", 0.0))
    catalog.append_iteration(dataclasses.replace(begun, status="done"))
    done = run("checkout", "1")
    assert done.exit_code == 2
    assert "is not recorded" in done.stderr


def test_the_newest_iteration_is_shown_and_compared_if_none_is_named(job: Path, run: Callable[..., Result]) -> None:
    run("run", job.name, "--set", "size=1", "-q")
    assert "there is no iteration before 1" in run("diff").stderr
    for size in (2, 3):
        run("run", job.name, "--set", f"size={size}", "-q")
    assert run("show").stdout == run("show", "3").stdout
    assert run("diff").stdout == run("diff", "2", "3").stdout
    assert run("diff", "1").stdout == run("diff", "1", "3").stdout


# Who ran it


def test_an_iteration_says_who_ran_it_and_from_which_commit(
    job: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    for user, size in (("ada", 1), ("grace", 2), ("ada", 3)):
        monkeypatch.setenv("LOGNAME", user)
        assert run("run", job.name, "--set", f"size={size}", "-q", "--policy", "always").exit_code == 0
    found = json.loads(run("log", "--user", "ada", "--json").stdout)
    assert [(one["iteration"], one["user"], one["commit"]) for one in found] == [(3, "ada", ""), (1, "ada", "")]
    assert [one["iteration"] for one in json.loads(run("log", "--user", "ada", "-n", "1", "--json").stdout)] == [3]
    unknown = run("log", "--user", "nobody")
    assert (unknown.exit_code, unknown.stderr) == (
        2, "error: no iteration was run by 'nobody'\n  users: ada, grace\n"
    )
    assert "by grace" in run("log", "-v").stdout
    assert " by grace, " in run("show", "2").stdout
    by_user = json.loads(run("storage", "--by", "user", "--json").stdout)["by"]
    assert {one["name"]: one["results"] for one in by_user} == {"ada": 2, "grace": 1}
    assert json.loads(run("storage", "--by", "workflow", "--json").stdout)["by"][0]["results"] == 3
    assert "grace" in run("storage", "--by", "user").stdout


def test_a_system_without_a_name_for_its_user_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    record = IterationRecord("0" * 32, "w", 1, "done", 0.0, writer=writer())
    assert record.user == ""
    assert dataclasses.replace(record, writer='{"user": 3}').user == ""


# Catalogs of older versions


@dataclasses.dataclass(frozen=True, slots=True)
class OldIteration:
    """An iteration's record before it named a file and a commit."""

    run: str
    workflow: str
    number: int
    status: str
    started: float
    seconds: float | None = None
    message: str = ""
    parameters: str = "{}"
    outputs: str = "{}"
    plan: str = "{}"
    versions: str = "{}"
    writer: str = "{}"
    error: str = ""


def test_old_and_new_records_live_in_one_catalog(tmp_path: LocalPath) -> None:
    catalog = Catalog.open(tmp_path / "catalog", create=True)
    catalog.make()
    old = RecordLog(tmp_path / "catalog" / "records", [RecordKind("iterations", OldIteration, ())], lambda: None)
    old.append([OldIteration("1" * 32, "w", 1, "done", 0.0)])
    assert [(one.commit, one.dirty, one.file_digest) for one in catalog.iterations("w")] == [("", None, "")]
    assert catalog.file_text("") is None
    begun = catalog.start_iteration(IterationRecord("2" * 32, "w", 0, "running", 0.0))
    catalog.append_iteration(dataclasses.replace(begun, status="done", commit="c" * 40, dirty=True))
    assert [one.commit for one in catalog.iterations("w")] == ["c" * 40, ""]
    # An older version goes on reading and writing beside the newer one.
    assert len(old.rows(OldIteration, "WHERE status = 'done'")) == 2
    old.append([OldIteration("3" * 32, "w", 3, "done", 0.0)])
    assert [one.number for one in catalog.iterations("w")] == [3, 2, 1]


def in_delta(records: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    """Writes records, oldest first, as catalogs of layout 1 had them, in which a row may lie before an older one."""
    cells: list[dict[str, Any]] = [
        {"sequence": number, "place": 0, **row} for number, row in enumerate(rows, 1)
    ]
    write_deltalake(str(records / kind), pa.Table.from_pylist(cells[::-1]))
    (records / f"{kind}.head").write_text("0\n")


def test_a_catalog_of_tables_is_read_as_it_is_and_taken_over_by_the_first_that_writes(tmp_path: Path) -> None:
    root, text = tmp_path / "catalog", FileRecord(hashlib.sha256(JOB.encode()).hexdigest(), "one_job.py", JOB)
    in_delta(root / "records", "iterations", [
        dataclasses.asdict(OldIteration("1" * 32, "w", 1, status, 0.0, seconds))
        for status, seconds in (("running", None), ("done", 1.0), ("done", 1.5))
    ])
    in_delta(root / "records", "files", [dataclasses.asdict(text)])
    (root / "helix.json").write_text(json.dumps({"layout": 1, "id": "mine"}))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    catalog = Catalog.open(root, create=True)
    expected = IterationRecord("1" * 32, "w", 1, "done", 0.0, seconds=1.5)
    assert (catalog.iterations("w"), catalog.file_text(text.digest)) == ((expected,), JOB)
    assert catalog.snapshot("w").next_iteration == 2
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    begun = catalog.start_iteration(IterationRecord("2" * 32, "w", 0, "running", 0.0))
    assert begun.number == 2
    for one in (catalog, Catalog.open(root, create=False)):
        assert [each.number for each in one.iterations("w")] == [2, 1]
        assert (one.nodes(expected), one.file_text(text.digest), one.rejections) == ((), JOB, ())
    assert {path.suffix for path in (root / "records").iterdir()} == {".fold", ".segment"}
    assert json.loads((root / "helix.json").read_text()) == {"layout": LAYOUT, "id": "mine"}


@pytest.mark.parametrize("change", [
    lambda catalog: catalog.evict_all({"a" * 64: "no room"}), lambda catalog: catalog.quarantine("a" * 64, "damaged"),
    lambda catalog: catalog.gc(dry_run=False, grace_seconds=0.0), lambda catalog: catalog.repair(),
    lambda catalog: catalog.note_wishes("w", {"a" * 64: Wishes(keep="always")}), lambda catalog: catalog.maintain(),
], ids=["evict", "quarantine", "gc", "repair", "wishes", "upkeep"])
def test_whatever_changes_a_catalog_of_tables_takes_it_over_first(
    tmp_path: Path, change: Callable[[Catalog], object]
) -> None:
    root, value = tmp_path / "catalog", ArtifactRecord("a" * 64, "b" * 32, "value", "published", "w", "n", 1, 0.0)
    in_delta(root / "records", "artifacts", [{
        "signature": value.signature, "attempt": value.attempt, "kind": value.kind, "event": value.event,
        "workflow": value.workflow, "node": value.node, "iteration": 1, "at": 0.0,
    }])
    (root / "helix.json").write_text(json.dumps({"layout": 1, "id": "mine"}))
    catalog = Catalog.open(root, create=False)
    assert catalog.live() == (value,)
    change(catalog)
    assert json.loads((root / "helix.json").read_text())["layout"] == LAYOUT
    assert catalog.live() == Catalog.open(root, create=False).live()
    assert catalog.rejections == ()
