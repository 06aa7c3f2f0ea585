"""A catalog in an S3 store, without a JVM: what is stored, reused, shared and lost, and how failing stores are told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake

import helix_spark as hx
from helix_spark import store_access
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.object_store import ObjectPath, object_path
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.segments import folding
from helix_spark.catalog.tables.table_reading import DamagedArtifactError
from helix_spark.catalog.tables.table_writing import write_arrow
from helix_spark.catalog.verification import verify
from helix_spark.cli.main import helix
from helix_spark.engine.results.stored_results import DamagedResultError, unread_by_spark
from helix_spark.engine.spark.settings import file_system_of
from helix_spark.errors import CatalogError
from helix_spark.identity.data_version import identify
from helix_spark.identity.parts import digest
from helix_spark.store_access import azure_access, delta_options, is_plain, parse_address, s3_access
from tests.fakes.armed_failpoints import armed
from tests.fakes.observer import Warned
from tests.fakes.written_tables import written

Objects = Callable[[], dict[str, int]]
TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
JOB = """
import time
import pandas as pd
import helix_spark as hx

def prices(factor: float = 1.0) -> hx.Workflow:
    wf = hx.Workflow("prices")
    wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0, 3.0]})))

    @wf.scanner
    def scaled(data: pd.DataFrame) -> pd.DataFrame:
        time.sleep(0.5)
        return data * 2

    @wf.reducer(output=True)
    def total(scaled: pd.DataFrame) -> float:
        return float(scaled.a.sum()) * factor

    return wf
"""


@pytest.fixture
def catalog(bucket: str) -> Catalog:
    return Catalog.open(f"s3a://{bucket}/catalog", create=True)


def stored(catalog: Catalog, name: str = "node", table: pa.Table = TABLE) -> ArtifactRecord:
    attempt = catalog.begin_attempt(digest(name), "table")
    return catalog.publish(ArtifactRecord(
        signature=attempt.signature, attempt=attempt.attempt, kind="table", event="published", workflow="w", node=name,
        iteration=1, at=time.time(), recompute_seconds=1.0, **written(attempt, table),
    ))


def running(number: int) -> IterationRecord:
    return IterationRecord(
        run=f"{number:032x}", workflow="w", number=0, status="running", started=time.time(), message="", seconds=0.0,
        writer="{}",
    )


def try_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a store that does not answer asked once; how long it takes as people have it, another test sees."""
    for module in (store_access,):
        monkeypatch.setattr(module, "TRIES", 1)


class TestStoring:
    def test_a_table_comes_back_and_everything_is_in_the_bucket(self, catalog: Catalog, objects: Objects) -> None:
        record = stored(catalog)
        again = Catalog.open(str(catalog.root).replace("s3a://", "s3://"), create=False)
        assert again.read_arrow(record).equals(TABLE)
        assert Catalog.open(str(catalog.root), create=False).first_rows(record, 2, 60).table.num_rows == 2
        assert again.snapshot("w").artifacts == {record.signature: dataclasses.replace(record, schema=None)}
        assert again.snapshot("w").bytes_used == again.root.total_bytes() - objects()["catalog/helix.json"]
        inside = sum(size for name, size in objects().items() if record.attempt in name)
        assert inside == record.bytes
        assert verify(again, deep=True).sound

    def test_the_first_record_of_a_signature_wins(self, catalog: Catalog, objects: Objects) -> None:
        first, second = stored(catalog), stored(catalog)
        assert second == first
        assert len({name.split("/")[3] for name, size in objects().items() if "/tables/" in name and size}) == 1

    @pytest.mark.long
    def test_no_row_of_two_writers_is_lost(self, catalog: Catalog) -> None:
        def start(number: int) -> int:
            return Catalog.open(str(catalog.root), create=True).start_iteration(running(number)).number

        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(start, range(1, 9))) == list(range(1, 9))

    def test_what_changed_behind_the_records_is_damaged(self, catalog: Catalog) -> None:
        record = stored(catalog)
        folder = catalog.path_of(record)
        assert folder is not None
        file = next(iter(folder.glob("*.parquet")))
        content = bytearray(file.read_at_most(1 << 20))
        content[20] ^= 1
        file.replace_text("short")
        with pytest.raises(DamagedArtifactError, match="bytes, not"):
            catalog.read_arrow(record)
        file._write(bytes(content))  # type: ignore[attr-defined]
        with pytest.raises(DamagedArtifactError):
            catalog.read_arrow(record)
        file.unlink()
        with pytest.raises(DamagedArtifactError, match="no such object"):
            catalog.check_table(record)
        assert not verify(catalog, deep=False).sound

    def test_records_that_are_lost_or_damaged_are_left_out_and_said(
        self, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *_, last = [stored(catalog, name) for name in "abcd"]
        catalog.sync()
        lost, damaged = (catalog.root / "records" / f"{number:010}.segment" for number in (2, 3))
        lost.unlink()
        damaged.replace_text("short")
        assert len(catalog.live()) == 4  # what an index has read is not missed
        monkeypatch.setenv("HELIX_INDEX", str(tmp_path / "of another machine"))
        other = Catalog.open(str(catalog.root), create=False)
        assert {record.signature for record in other.live()} == {first.signature, last.signature}
        assert any("0000000003.segment is damaged and skipped" in why for why in other.rejections)
        assert not verify(other, deep=False).sound
        damaged.unlink()
        monkeypatch.setenv("HELIX_INDEX", str(tmp_path / "of a third one"))
        third = Catalog.open(str(catalog.root), create=False)
        assert len(third.live()) == 2
        assert third.rejections == ("segments 2 to 3 of the records are gone",)

    @pytest.mark.long
    def test_damaged_records_are_moved_aside(self, catalog: Catalog, objects: Objects) -> None:
        _, kept = [stored(catalog, name) for name in "ab"]
        (catalog.root / "records" / f"{1:010}.segment").replace_text("short")
        done = Catalog.open(str(catalog.root), create=False).repair()
        assert done.lost == ("what was recorded by 1 appends (1 to 1)",)
        assert {name.rpartition("/")[2]: size for name, size in objects().items() if "/damaged/" in name and size} == {
            f"{1:010}.segment": 5
        }
        again = Catalog.open(str(catalog.root), create=False)
        assert [one.signature for one in again.live()] == [kept.signature]
        assert again.rejections == ()

    @pytest.mark.long
    def test_what_is_evicted_or_left_is_deleted(self, catalog: Catalog, objects: Objects) -> None:
        record = stored(catalog)
        catalog.evict_all({record.signature: "room is needed"})
        half = catalog.begin_attempt(digest("half"), "table")
        write_arrow(half, TABLE)
        assert catalog.gc(dry_run=True, grace_seconds=0.0) == ()
        catalog.leases.release(half.attempt)
        (left,) = catalog.gc(dry_run=True, grace_seconds=0.0)
        assert left.bytes > 0
        assert [one.attempt for one in catalog.gc(dry_run=False, grace_seconds=0.0)] == [left.attempt]
        assert not any(size for name, size in objects().items() if "/tables/" in name)
        assert catalog.gc(dry_run=True, grace_seconds=0.0) == ()

    @pytest.mark.long
    def test_a_folder_that_is_gone_is_missing(self, catalog: Catalog) -> None:
        record, kept = stored(catalog), stored(catalog, "kept")
        had = [
            NodeRecord("1" * 32, "w", 1, name, "scanner", (), "compute", "new", digest(name), digest(name), "[]")
            for name in ("node", "kept")
        ]
        catalog.append_iteration(dataclasses.replace(running(1), run="1" * 32, number=1, status="done"), had)
        folder = catalog.path_of(record)
        assert folder is not None
        folder.delete_tree()
        view = catalog.snapshot("w")
        assert (view.missing, dict(view.artifacts)) == ((record,), {kept.signature: kept})

    def test_a_snapshot_lists_what_is_stored_once(self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = stored(catalog)
        orphan = catalog.begin_attempt(digest("half"), "table")
        write_arrow(orphan, TABLE)
        had = NodeRecord("1" * 32, "w", 1, "node", "scanner", (), "compute", "", kept.signature, kept.signature, "[]")
        catalog.append_iteration(dataclasses.replace(running(1), run="1" * 32, number=1, status="done"), [had])
        listed = list[str]()

        def counted(listing: Callable[[ObjectPath], Any]) -> Callable[[ObjectPath], Any]:
            return lambda path: (listed.append(path.name), listing(path))[1]

        for listing in ("_below", "entries"):
            monkeypatch.setattr(ObjectPath, listing, counted(getattr(ObjectPath, listing)))
        view = catalog.snapshot("w")
        assert (dict(view.artifacts), view.missing) == ({kept.signature: kept}, ())
        assert orphan.path is not None
        once = dict.fromkeys(("tables", "models", orphan.path.name), 1)
        # For their bytes, and at each of four looks: at iterations, twice at nodes, and at what is live.
        assert Counter(listed) == {**once, "records": 2}
        assert view.bytes_used > kept.bytes

    @pytest.mark.long
    def test_upkeep_keeps_all_records(
        self, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folding, "KEPT_SEGMENTS", 0)
        for number in range(1, folding.AT_ONCE + 1):
            catalog.start_iteration(running(number))
        catalog.sync()
        catalog.maintain()
        assert [path.name for path in (catalog.root / "records").glob("*")] == [f"{1:010}-{folding.AT_ONCE:010}.fold"]
        monkeypatch.setenv("HELIX_INDEX", str(tmp_path / "of another machine"))
        for reader in (catalog, Catalog.open(str(catalog.root), create=False)):
            assert [each.number for each in reader.iterations("w")] == [*range(folding.AT_ONCE, 0, -1)]
        assert catalog.start_iteration(running(0)).number == folding.AT_ONCE + 1


class TestRunning:
    @pytest.fixture
    def job(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        monkeypatch.chdir(tmp_path)
        # As in a process of its own: other tests may have left a session in this one.
        monkeypatch.setattr("helix_spark.engine.server.session.running_session", lambda: None)
        for name in ("CATALOG", "BUDGET", "POLICY", "MLFLOW"):
            monkeypatch.delenv(f"HELIX_{name}", raising=False)
        paths = list(sys.path)
        (tmp_path / "prices_job.py").write_text(JOB)
        yield tmp_path / "prices_job.py"
        sys.path[:] = paths
        sys.modules.pop("prices_job", None)

    def helix(self, *arguments: str) -> Any:
        done = CliRunner().invoke(helix, [*arguments, "--json"])
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def test_later_runs_load_what_the_first_stored(self, job: Path, bucket: str, objects: Objects) -> None:
        (job.parent / "pyproject.toml").write_text(f'[tool.helix_spark]\ncatalog = "s3://{bucket}/catalog"\n')
        first = self.helix("run", str(job), "--policy", "always")  # in the catalog that the project names
        second = self.helix("run", str(job), "--catalog", f"s3a://{bucket}/catalog", "--policy", "always")
        assert {node["name"]: node["state"] for node in first["nodes"]} == dict.fromkeys(
            ("data", "scaled", "total"), "compute"
        )
        assert {node["name"]: node["state"] for node in second["nodes"]} == {
            "data": "prune", "scaled": "prune", "total": "load"
        }
        assert second["outputs"] == first["outputs"] == {"total": 12.0}
        kinds = {name.split("/")[1] for name, size in objects().items() if size}
        assert {"helix.json", "records", "tables"} <= kinds
        left = {path.name for path in job.parent.iterdir()} - {"prices_job.py", "pyproject.toml", "__pycache__"}
        assert left == set()

    @pytest.mark.long
    def test_reading_commands_read_it(self, job: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HELIX_CATALOG", f"s3a://{bucket}/catalog")
        self.helix("run", str(job), "--policy", "always")
        assert [each["iteration"] for each in self.helix("log")] == [1]
        assert self.helix("verify", "--deep")["sound"]
        assert self.helix("gc", "--grace", "0")["leftovers"] == []
        (found,) = (check for check in json.loads(CliRunner().invoke(helix, ["doctor", "--json"]).stdout)
                    if check["name"] == "catalog")
        assert found["ok"]
        assert f"s3a://{bucket}/catalog" in found["found"]
        done = CliRunner().invoke(helix, ["ui", "--export", "pages.html"])
        assert done.exit_code == 0, done.stderr

    @pytest.mark.slow
    @pytest.mark.long
    def test_a_writer_that_was_killed_leaves_what_gc_finds(self, job: Path, bucket: str, objects: Objects) -> None:
        place = ("--catalog", f"s3a://{bucket}/catalog", "--policy", "always")
        killed = subprocess.run(
            [sys.executable, "-m", "helix_spark", "run", str(job), *place], check=False, capture_output=True,
            env=armed("store.written:kill"),
        )
        assert killed.returncode == -signal.SIGKILL
        assert any("/tables/" in name for name in objects())
        (left,) = self.helix("gc", *place[:2])["leftovers"]
        assert "has ended" in left["why"]
        assert self.helix("gc", *place[:2])["leftovers"] == []
        again = self.helix("run", str(job), *place)
        assert {node["state"] for node in again["nodes"]} == {"compute"}
        assert self.helix("verify", "--deep", *place[:2])["sound"]


class TestFailing:
    @pytest.mark.parametrize(("variables", "text"), [
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set"),
        ({"AWS_ALLOW_HTTP": ""}, "not encrypted"), ({"AWS_ENDPOINT_URL": "localhost:9000"}, "is no URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"AWS_ENDPOINT_URL": "http://nowhere.invalid"}, "cannot be reached"),
    ])
    def test_wrong_settings_are_said_soon(
        self, bucket: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], text: str
    ) -> None:
        if "nowhere" in variables.get("AWS_ENDPOINT_URL", ""):
            try_once(monkeypatch)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        begun = time.monotonic()
        with pytest.raises(CatalogError, match=text) as caught:
            Catalog.open(f"s3a://{bucket}/catalog", create=True)
        assert time.monotonic() - begun < 30
        assert caught.value.remedy
        assert "secret" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "").lower()

    @pytest.mark.parametrize(("address", "text"), [
        ("s3a://no-such-bucket/x", "no bucket 'no-such-bucket'"), ("ftp://bucket/x", "neither a local folder"),
        ("s3a://", "neither a local folder"), ("s3a://bucket/../x", "neither a local folder"),
        ("abfss://container/x", "neither a local folder"), ("az://container/x", "names no storage account"),
        ("s3a://bucket/a b", "in its name"), ("s3a://bucket/a%20b", "in its name"),
        (Path("s3a://bucket/a"), "drops a slash"),
    ])
    def test_wrong_addresses_are_said(self, bucket: str, address: str | Path, text: str) -> None:
        with pytest.raises(CatalogError, match=text):
            Catalog.open(address, create=True)

    def test_reading_needs_a_catalog_and_writing_a_free_place(self, bucket: str) -> None:
        with pytest.raises(CatalogError, match="no catalog"):
            Catalog.open(f"s3a://{bucket}/none", create=False)
        object_path(f"s3a://{bucket}/else/file").replace_text("not ours")
        with pytest.raises(CatalogError, match="not a catalog"):
            Catalog.open(f"s3a://{bucket}/else", create=True)

    def test_a_store_that_overwrites_what_must_not_be_there_is_refused(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored(catalog)
        with front(s3_access().endpoint, ignoring="if-none-match") as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            with pytest.raises(CatalogError, match="ignores If-None-Match"):
                Catalog.open(str(catalog.root), create=True).check_writable()
            assert len(Catalog.open(str(catalog.root), create=False).live()) == 1

    def test_a_new_catalog_in_such_a_store_is_refused_before_anything_is_recorded(
        self, bucket: str, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with front(s3_access().endpoint, ignoring="if-none-match") as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            with pytest.raises(CatalogError, match="ignores If-None-Match"):
                Catalog.open(f"s3a://{bucket}/new", create=True).start_iteration(running(1))
        assert set(objects()) == {"new/helix.json"}

    def test_a_store_that_stops_answering_is_a_catalog_error(
        self, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try_once(monkeypatch)
        stored(catalog)
        with front(s3_access().endpoint) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            known = Catalog.open(str(catalog.root), create=True)
            (record,) = known.live()
        with pytest.raises(CatalogError, match="cannot be read now") as caught:
            known.read_arrow(record)
        assert not isinstance(caught.value, DamagedArtifactError)
        begun = time.monotonic()
        for ask in (lambda: known.snapshot("w"), lambda: known.start_iteration(running(1))):
            with pytest.raises(CatalogError):
                ask()
        assert time.monotonic() - begun < 30


class TestSilence:
    """A store that takes requests and never answers."""

    @pytest.fixture
    def silent(self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        monkeypatch.setattr(store_access, "SILENT_SECONDS", 1)
        monkeypatch.setattr(store_access, "REQUEST_SECONDS", 2)
        monkeypatch.setattr(store_access, "_SILENT_SINCE", {})
        with front(s3_access().endpoint, silent=tmp_path / "silent") as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            yield tmp_path / "silent"

    def test_a_run_answers_and_says_what_is_not_stored(self, bucket: str, silent: Path) -> None:
        wf, said = hx.Workflow("w"), Warned()
        wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

        @wf.scanner
        def doubled(data: pd.DataFrame) -> pd.DataFrame:
            return data * 2

        @wf.scanner
        def tripled(data: pd.DataFrame) -> pd.DataFrame:
            return data * 3

        @wf.reducer(output=True)
        def total(doubled: pd.DataFrame, tripled: pd.DataFrame) -> float:
            silent.touch()
            return float(doubled.a.sum() + tripled.a.sum())

        with hx.Helix(f"s3a://{bucket}/catalog", policy="always", observer=said) as helix:
            begun = time.monotonic()
            iteration = helix.run(wf)
            assert iteration.outputs == {"total": 15.0}
            with contextlib.suppress(CatalogError):
                iteration.wait()
        print(time.monotonic() - begun, said.warnings)
        assert time.monotonic() - begun < 30
        assert any("did not answer" in text for text in said.warnings), said.warnings


class TestVanishing:
    def test_a_run_answers_though_the_bucket_vanishes(self, bucket: str, object_store: str) -> None:
        wf, said = hx.Workflow("w"), Warned()
        wf.source("data", hx.table(pd.DataFrame({"a": [1.0, 2.0]})))

        @wf.scanner
        def doubled(data: pd.DataFrame) -> pd.DataFrame:
            return data * 2

        @wf.reducer(output=True)
        def total(doubled: pd.DataFrame) -> float:
            objects = boto3.resource("s3", endpoint_url=object_store).Bucket(bucket)
            while objects.creation_date is not None:
                objects.objects.all().delete()
                with contextlib.suppress(objects.meta.client.exceptions.ClientError):  # another object was stored
                    objects.delete()
            return float(doubled.a.sum())

        with hx.Helix(f"s3a://{bucket}/catalog", policy="always", observer=said) as helix:
            assert helix.run(wf).outputs == {"total": 6.0}
        assert any(f"no bucket '{bucket}'" in text for text in said.warnings), said.warnings


FRONT = """
import http.client, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def passed_on(self):
        while os.path.exists(sys.argv[3]):
            time.sleep(0.1)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        connection = http.client.HTTPConnection(sys.argv[1].removeprefix("http://"))
        headers = {name: value for name, value in self.headers.items() if name.lower() != sys.argv[2]}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        length = answer.getheader("content-length") if self.command == "HEAD" else None
        self.send_header("content-length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = passed_on

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def front(store: str, ignoring: str = "", silent: Path = Path("/nowhere")) -> Iterator[str]:
    """The address of a server before the store that passes requests on, without a header that it does not know, and
    takes requests without answering them as long as the file `silent` is there.

    A process of its own: libraries wait for answers without giving way to other threads.
    """
    command = [sys.executable, "-c", FRONT, store, ignoring, str(silent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def test_access_is_told_to_each_library_in_its_words() -> None:
    access = s3_access({
        "AWS_ENDPOINT_URL": "http://store:9000", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "token",
    })
    assert access.hadoop("b")["fs.s3a.bucket.b.endpoint"] == "http://store:9000"
    assert access.hadoop("b")["fs.s3a.bucket.b.connection.ssl.enabled"] == "false"
    assert "hidden" not in f"{access.hadoop('b')} {access}"
    assert (access.config()["aws_conditional_put"], access.config()["aws_secret_access_key"]) == ("etag", "hidden")
    assert delta_options(access)["allow_http"] == "true"
    aws = s3_access({})
    assert (aws.virtual_hosts, is_plain(aws)) == (True, False)
    assert aws.hadoop("b")["fs.s3a.bucket.b.path.style.access"] == "false"
    assert dataclasses.replace(aws, endpoint="https://x").where == "https://x"


def test_azure_is_reached_by_whichever_credentials_are_set() -> None:
    account, host = {"AZURE_STORAGE_ACCOUNT_NAME": "team"}, "team.dfs.core.windows.net"

    def hadoop(**variables: str) -> dict[str, str]:
        access = azure_access(environ={**account, **variables})
        assert "hidden" not in f"{access} {access.hadoop('study')}"
        assert ("hidden" in access.config().values()) == ("hidden" in variables.values())
        return access.hadoop("study")

    assert hadoop(AZURE_STORAGE_ACCOUNT_KEY="hidden")[f"fs.azure.account.key.{host}"] == (
        "${env.AZURE_STORAGE_ACCOUNT_KEY}"
    )
    assert hadoop(AZURE_STORAGE_SAS_TOKEN="hidden")[f"fs.azure.account.auth.type.{host}"] == "SAS"
    of_app = {"AZURE_STORAGE_CLIENT_ID": "app", "AZURE_STORAGE_TENANT_ID": "us"}
    oauth = hadoop(AZURE_STORAGE_CLIENT_SECRET="hidden", **of_app)
    assert oauth[f"fs.azure.account.oauth2.client.endpoint.{host}"].endswith("/us/oauth2/token")
    assert "MsiTokenProvider" in hadoop()[f"fs.azure.account.oauth.provider.type.{host}"]


def test_addresses_name_their_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "team")
    canonical = {
        "s3://bucket//a/": "s3a://bucket/a", "gs://bucket/a": "gs://bucket/a",
        "az://study/a/b": "abfss://study@team.dfs.core.windows.net/a/b",
        "abfss://study@other.dfs.core.windows.net/a": "abfss://study@other.dfs.core.windows.net/a",
    }
    for given, named in canonical.items():
        access, path = parse_address(given)
        assert access.address(path) == named
        assert parse_address(named) == (access, path)
    impl = {file_system_of(parse_address(one)[0].hadoop("b")).rpartition(".")[2] for one in canonical}
    assert impl == {"S3AFileSystem", "SecureAzureBlobFileSystem", "GoogleHadoopFileSystem"}
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    assert parse_address("gs://bucket/a")[0].hadoop("bucket") == {}, "Spark would look at Google's own"


def test_what_hadoop_marks_as_folders_is_no_file_and_goes(bucket: str, put: Callable[[str, str], None]) -> None:
    place = object_path(f"s3a://{bucket}/place")
    for name in ("place/", "place/a/", "place/a/b/", "place/a/c/"):
        put(name, "")
    assert (place.is_own_folder(), place.total_bytes(), list(place.second_names())) == (False, 0, [])
    for name in ("place/a/b/_SUCCESS", "place/a/b/part"):
        put(name, name[len("place/a/b/_SUCCES"):])
    assert {path.name for path in place.entries()} == {"a"}
    (place / "a" / "c").delete_tree()
    assert {path.name for path in place.files()} >= {"_SUCCESS", "part"}
    (place / "a").delete_tree()
    assert not (place / "a").is_dir()


def test_spark_failing_to_reach_the_store_puts_nothing_aside(catalog: Catalog) -> None:
    record = stored(catalog)
    at_path = f"[FAILED_READ_FILE.NO_HINT] Encountered error while reading file {catalog.path_of(record)}/part-0"
    gone = RuntimeError(f"{at_path} Caused by: java.io.FileNotFoundException: No such file or directory")
    silent = RuntimeError(f"{at_path} Caused by: org.apache.hadoop.fs.s3a.AWSClientIOException: open s3a://b/part-0")
    for error in (gone, silent):
        found = unread_by_spark(error, [record], catalog)
        assert found is not None
        assert not isinstance(found, DamagedResultError)


def test_a_catalog_in_a_folder_loads_nothing_of_it(tmp_path: Path) -> None:
    script = """
import sys
import pyarrow as pa
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.tables.table_writing import write_arrow
catalog = Catalog.open(sys.argv[1], create=True)
attempt = catalog.begin_attempt("0" * 64, "table")
write_arrow(attempt, pa.table({"a": [1]}))
catalog.snapshot("w")
print(*{"obstore", "boto3"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "catalog")], capture_output=True, text=True, check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.strip() == ""


def test_a_delta_table_in_a_store_is_known_by_its_commit(bucket: str) -> None:
    where = f"s3://{bucket}/table"
    write_deltalake(where, pa.table({"n": [1]}))
    source = hx.delta(where, version=0)
    before = identify(source)
    write_deltalake(where, pa.table({"n": [2]}), mode="append")
    assert before.change(identify(source)) is None
    write_deltalake(where, pa.table({"n": [3]}), mode="overwrite")
    assert identify(hx.delta(where)).digest not in {before.digest, identify(hx.delta(where, version=1)).digest}
