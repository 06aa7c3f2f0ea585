"""What all tests share: property tests have no deadline, for a machine that many share takes its time, and draw few
examples (`--hypothesis-profile=thorough` draws more); no sync waits for the disk; an S3 store."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import settings

from helix_spark.catalog.places.place import LocalPath
from helix_spark.cli.workflow_runs import WorkflowFile
from helix_spark.hermetic.generators import AUTHOR_SEEDS
from tests.fakes.local_store import local_store
from tests.stores.servers import SERVERS

settings.register_profile("helix", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("helix")

# No test's Spark stays for another one; those of servers that stay say so.
os.environ["HELIX_SERVER"] = "off"

# Nor is a test's result computed again behind its back.
os.environ["HELIX_AUDIT"] = "off"

# None of the many sessions that tests start has an archive of its classes built behind it.
os.environ.setdefault("HELIX_CDS", "off")

# Indexes of the catalogs that tests make go with them; each process of tests has a folder for them.
os.environ["HELIX_INDEX"] = mkdtemp(prefix="helix-index-")
atexit.register(shutil.rmtree, os.environ["HELIX_INDEX"], ignore_errors=True)

# Nobody cuts the power of these processes: what is synced need not wait for the disk. Of no open file it is an error.
os.fsync = os.fstat

# What is collected stays until the end: to look through it for what may go takes 3 of its 9 seconds.
gc.disable()

_NUMBERS = count()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on there is garbage again, and it is looked for among what the tests make, less often than usual."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First come the tests that share a session, which one process has to run by itself and which take it longest."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/spark/"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In several processes a module's tests stay together, and so do all that share the one session of Spark."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/spark" if nodeid.startswith("tests/spark/") else nodeid.split("::")[0]

    # Modules in their order, not by their number of tests: those that run commands come early, and take longest.
    config.option.loadscopereorder = False
    return ByModule(config, log)


@pytest.fixture(autouse=True)
def _generators_without_a_seed() -> Iterator[None]:
    """Put generators back that a test seeds: they would count as seeded by the author of another test's workflow."""
    AUTHOR_SEEDS.look()  # hypothesis seeds them, too
    yield
    AUTHOR_SEEDS.release(WorkflowFile)
    AUTHOR_SEEDS.look()
    AUTHOR_SEEDS.begin_loading(WorkflowFile)


@pytest.fixture(autouse=True, scope="module")
def _no_running_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """As in a process of its own: tests with Spark may have run in this one, and their session is still active."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.nodeid.startswith("tests/spark/"):
            patch.setattr("helix_spark.engine.server.session.running_session", lambda: None)
        yield


@pytest.fixture
def tmp_path(tmp_path: Path) -> LocalPath:
    """A folder of the test's own, as a place that a catalog can be in."""
    return LocalPath(tmp_path)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of an S3 store of this machine."""
    pytest.importorskip("moto.server")
    with local_store() as address:
        yield address


def s3_client(address: str) -> Any:
    """Amazon's own client: what it lists is there, whatever the libraries under test believe."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )


@pytest.fixture(scope="session")
def real_server() -> Iterator[Callable[[str], str]]:
    """Gives the address of a real server of a kind, started when it is asked for first."""
    with ExitStack() as running:
        yield cache(lambda kind: running.enter_context(SERVERS[kind].running()))


@pytest.fixture
def real_root(real_server: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Gives the address of a catalog in a new bucket of a real server of a kind; the variables lead to it."""

    def made(kind: str) -> str:
        server, address, name = SERVERS[kind], real_server(kind), f"bucket-{next(_NUMBERS)}"
        for variable, value in server.variables(address).items():
            monkeypatch.setenv(variable, value)
        server.make_bucket(address, name)
        return server.root.format(name)

    return made


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new, empty bucket; the AWS_ variables lead to its store."""
    for name, value in {
        "AWS_ENDPOINT_URL": object_store, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    made = f"bucket-{next(_NUMBERS)}"
    s3_client(object_store).create_bucket(Bucket=made)
    return made


@pytest.fixture
def put(object_store: str, bucket: str) -> Callable[[str, str], None]:
    """Writes a text into the bucket, by name."""
    client = s3_client(object_store)

    def written(name: str, text: str) -> None:
        client.put_object(Bucket=bucket, Key=name, Body=text.encode())

    return written


@pytest.fixture
def objects(object_store: str, bucket: str) -> Callable[[], dict[str, int]]:
    """Lists what is in the bucket: bytes by name."""
    client = s3_client(object_store)

    def listed() -> dict[str, int]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    return listed
