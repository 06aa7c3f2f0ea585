"""Catalogs in real servers of S3, Azure's store and Google's: drivers at once, killed ones, lost answers, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.object_store import ObjectPath, object_path
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.verification import verify
from helix_spark.cli.main import helix
from helix_spark.errors import CatalogError
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.kills import killed_at_failpoints, killed_at_random, two_drivers
from tests.faults.lossy_front import HOW, lossy_front
from tests.faults.lost_answers import run_with_losses
from tests.faults.row import Tally
from tests.stores.servers import SERVERS

pytestmark = [pytest.mark.stores, pytest.mark.slow]
ROUNDS = int(os.environ.get("HELIX_STORE_ROUNDS", "3"))
VARIABLE = {"s3": "AWS_ENDPOINT_URL", "azure": "AZURE_STORAGE_ENDPOINT", "google": "STORAGE_EMULATOR_HOST"}


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(kind: str, real_root: Callable[[str], str]) -> ObjectPath:
    return object_path(real_root(kind))


def all_right(tally: Tally) -> None:
    print(f"{tally.right} of {tally.injected}; {tally.note}")
    assert tally.injected > 0
    assert not tally.wrong


def test_what_a_run_stores_a_later_one_loads(root: ObjectPath) -> None:
    heard = Heard()
    assert run(str(root), workflow(1), heard) == answers(1)
    assert {"rows", "doubled"} <= set(heard.names)
    assert run(str(root), workflow(1), Heard()) == answers(1)
    catalog = Catalog.open(str(root), create=False)
    assert [one.number for one in catalog.iterations("job")] == [2, 1]
    assert verify(catalog, deep=True).sound
    catalog.evict_all({record.signature: "room is needed" for record in catalog.live()})
    assert catalog.snapshot("job").artifacts == {}
    assert not any((root / "tables").second_names())


def test_two_drivers_at_once_lose_nothing(root: ObjectPath, tmp_path: LocalPath) -> None:
    tally = Tally()
    two_drivers(tmp_path, ROUNDS, tally, str(root))
    all_right(tally)


def test_a_driver_that_is_killed_leaves_a_usable_catalog(root: ObjectPath) -> None:
    tally = Tally()
    killed_at_failpoints(root, 4 * ROUNDS, tally)
    killed_at_random(root.parent / "random", ROUNDS, tally)
    all_right(tally)


@pytest.mark.parametrize("how", HOW)
def test_what_was_written_is_known_though_the_answer_is_lost(root: ObjectPath, kind: str, how: str) -> None:
    tally, lost = Tally(), 0
    for index, names in enumerate((".", "records", "leases|tables")[:ROUNDS]):
        what, count = run_with_losses(str(root.parent / f"{how}{index}"), VARIABLE[kind], how, names, 2 + index)
        tally.expect(not what, f"{names}: {what}")
        lost += count
    tally.note = f"{lost} answers lost"
    all_right(tally)
    assert lost


def test_a_run_answers_though_its_credentials_expire(
    root: ObjectPath, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(str(root), workflow(1), Heard())
    heard = Heard()
    store = os.environ[VARIABLE[kind]]
    with lossy_front(store, "expired", "tables|records", 2) as (front, _):
        monkeypatch.setenv(VARIABLE[kind], front)
        assert run(str(root), workflow(2), heard) == answers(2)
    monkeypatch.setenv(VARIABLE[kind], store)
    assert any("ExpiredToken" in text for text in heard.warnings), heard.warnings
    assert run(str(root), workflow(2), Heard()) == answers(2)
    assert verify(Catalog.open(str(root), create=False), deep=True).sound


def test_what_hadoop_marks_as_folders_is_no_file_and_goes(root: ObjectPath) -> None:
    place = root / "place"
    for name in ("a/b", "a/c"):
        if (marks := root.access.marks()) is None:
            (place / name).write_new(b"")
        else:
            marks.create_dir(f"{place.path}/{name}")
    assert (place.is_own_folder(), place.is_dir(), place.total_bytes()) == (False, True, 0)
    assert list(place.second_names()) == []
    for name in ("_SUCCESS", "part"):
        (place / "a" / "b" / name).write_new(name[8:].encode())
    assert {path.name for path in (place / "a" / "b").files()} == {"_SUCCESS", "part"}
    place.delete_tree()
    assert not place.is_dir()


def test_wrong_credentials_are_refused_in_a_sentence(
    root: ObjectPath, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "google":
        pytest.skip("an emulator wants no credentials")
    variable = {"s3": "AWS_SECRET_ACCESS_KEY", "azure": "AZURE_STORAGE_ACCOUNT_KEY"}[kind]
    monkeypatch.setenv(variable, "d3Jvbmcgc2VjcmV0")
    with pytest.raises(CatalogError, match="refuses these credentials") as caught:
        Catalog.open(str(root), create=True)
    assert variable in (caught.value.remedy or "")


def test_a_bucket_that_is_not_there_is_said(root: ObjectPath) -> None:
    gone = f"{root.access.address('no-such-bucket/catalog')}"
    with pytest.raises(CatalogError, match=r"no bucket 'no-such-bucket'"):
        Catalog.open(gone, create=True)


def test_doctor_tries_the_store(root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> dict[str, Any]:
        done = CliRunner().invoke(helix, ["doctor", "--catalog", str(root), "--json"])
        return next(one for one in json.loads(done.stdout) if one["name"] == "catalog")

    assert found()["ok"], found()
    assert "creates only what is absent" in found()["found"]
    assert list(root.entries()) == []
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    assert not found()["ok"]
    assert "3,6" in found()["found"]
    assert "clock" in found()["found"]


JOB = Path(__file__).parents[1] / "end_to_end" / "people_job.py"


@pytest.mark.parametrize("kind", ["s3", "azure"], indirect=True)
def test_what_spark_stored_is_loaded_by_a_later_run(root: ObjectPath, tmp_path: Path) -> None:
    (tmp_path / "people_job.py").write_text(JOB.read_text())
    lines = (f"{20 + n % 50},{'fm'[n % 2]},{int(n % 7 > 3)}" for n in range(200))
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")

    def states(*arguments: str) -> dict[str, str]:
        command = [sys.executable, "-m", "helix_spark", "run", "people_job.py", "--catalog", str(root), "--policy",
                   "always", "--json", *arguments]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "SPARK_LOCAL_IP": "127.0.0.1",
                   "PYSPARK_PYTHON": sys.executable}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {node["name"]: node["state"] for node in json.loads(done.stdout)["nodes"]}

    assert set(states().values()) == {"compute"}
    kinds = {str(file).removeprefix(f"{root}/").split("/")[0] for file in root.files()}
    assert {"tables", "models"} <= kinds
    assert "compute" not in states().values()
    catalog = Catalog.open(str(root), create=False)
    catalog.evict_all({
        record.signature: "to be computed again" for record in catalog.live()
        if record.node in ("predictions", "rich", "tested", "age", "sex")
    })
    again = states("--set", "threshold=0.2")
    assert [again[name] for name in ("model", "examples", "predictions")] == ["load", "load", "compute"]
    assert verify(Catalog.open(str(root), create=False), deep=True).sound
    assert catalog.gc(dry_run=True, grace_seconds=0.0) == ()
