"""What was asked for is carried out, and the answer is lost: by an object store, or by a disk behind a commit."""

from __future__ import annotations

import contextlib
import os
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import Leases, this_process
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.records import KINDS, IterationRecord
from helix_spark.errors import HelixError
from tests.fakes.local_store import is_here, local_store
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.kills import unsound
from tests.faults.lossy_front import HOW, lossy_front
from tests.faults.processes import ended, start_job
from tests.faults.row import NotHereError, Tally, fault
from tests.faults.usable import forget_indexes

ONCE = "all is recorded once, the run answers"


def twice(catalog: Catalog) -> str:
    """What is on record twice, or which number of an iteration is missing; empty if nothing is."""
    forget_indexes()
    for kind in KINDS:
        often = [row for row, times in Counter(map(str, catalog._records.rows(kind.record_type))).items() if times > 1]
        if often:
            return f"{len(often)} records of {kind.name} are there twice, such as {often[0][:200]}"
    numbers = sorted({row.number for row in catalog._records.rows(IterationRecord)})
    if numbers != list(range(1, len(numbers) + 1)):
        return f"iterations are numbered {numbers}"
    return "; ".join(catalog.rejections)


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """The address of an S3 store of this machine; the AWS_ variables give access to it."""
    if not is_here():
        raise NotHereError("moto, a store for tests, is not installed")
    before = dict(os.environ)
    with local_store() as address:
        try:
            os.environ |= {
                "AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true",
            }
            yield address
        finally:
            os.environ.clear()
            os.environ.update(before)


def _client(store: str) -> Any:
    import boto3  # type: ignore[import-untyped]  # its stubs are a package of their own

    return boto3.client("s3", endpoint_url=store, region_name="us-east-1")


@fault("a store's answer is lost after it wrote an object", ONCE, short=1, full=40)
def store_answers(folder: Path, count: int, tally: Tally) -> None:
    chosen, lost_answers = random.Random(24), 0
    with object_store() as store:
        client = _client(store)
        for index in tally.rounds(count):
            bucket = f"bucket-{index}"
            client.create_bucket(Bucket=bucket)
            how, every = HOW[index % len(HOW)], chosen.randrange(2, 6)
            names = chosen.choice((".", "records", "leases|tables"))
            what, lost = run_with_losses(f"s3a://{bucket}/catalog", "AWS_ENDPOINT_URL", how, names, every)
            lost_answers += lost
            tally.expect(not what, f"{how}, every {every}: {what}")
    tally.note = f"{lost_answers} answers lost"


def run_with_losses(catalog: str, variable: str, how: str, names: str, every: int) -> tuple[str, int]:
    """What is wrong after two runs whose answers are lost, and one whose are not; and how many were lost.

    Args:
        variable: the one that leads to the store.
        how, names, every: see `lossy_front`.
    """
    store = os.environ[variable]
    with lossy_front(store, how, names, every) as (front, lost):
        try:
            return _run_on_store(catalog, variable, store, front), len(lost)
        finally:
            os.environ[variable] = store


def _run_on_store(catalog: str, variable: str, store: str, front: str) -> str:
    try:
        os.environ[variable] = front
        for key in (1, 2):
            heard = Heard()
            if (outputs := run(catalog, workflow(key), heard)) != answers(key):
                return f"answered {outputs}"
            if heard.warnings or not {"rows", "doubled"} <= set(heard.names):
                return f"stored {heard.names}, warned {heard.warnings}"
        os.environ[variable] = store
        if (outputs := run(catalog, workflow(2), Heard())) != answers(2):
            return f"answered {outputs} when nothing was lost"
        return twice(Catalog.open(catalog, create=False))
    except HelixError as error:
        return f"refused: {error}"


@fault("a store's answer is lost after it wrote an object on a condition", "whoever wrote it knows", short=2, full=40)
def conditional_writes(folder: Path, count: int, tally: Tally) -> None:
    from helix_spark.catalog.places.object_store import object_path

    with object_store() as store:
        _client(store).create_bucket(Bucket="bucket")
        for how in HOW:
            with lossy_front(store, how, ".", 1) as (front, _):
                os.environ["AWS_ENDPOINT_URL"] = front
                leases = Leases(object_path(f"s3a://bucket/{how}"))
                for _ in range(count // len(HOW)):
                    name = uuid.uuid4().hex
                    other, found = leases.take(name), leases.find(name)
                    known = other is None and found is not None and found.holder == this_process()
                    tally.expect(known, f"{how}: taken by {other}, there is {found}")


@fault("an error of the disk behind a commit that was carried out", ONCE, short=1, full=24)
def disk_answers(folder: LocalPath, count: int, tally: Tally) -> None:
    catalog = folder / "catalog"
    for key in tally.rounds(count):
        nth = 1 + key % 7  # a run of the job appends some seven times
        printed = ended(start_job(catalog, key, failpoint=f"log.appended@{nth}:raise"))
        what = "" if printed[-1:] == ["done True"] else f"ended with {printed[-3:]}"
        warned = [line for line in printed if line.startswith("warning")]
        what = what or "; ".join(warned) or twice(Catalog.open(catalog, create=False)) or unsound(catalog, key, printed)
        tally.expect(not what, f"append {nth} of run {key}: {what}")
