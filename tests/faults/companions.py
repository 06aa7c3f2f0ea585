"""Others at work on one catalog: who seems to hold a lease, who holds it for ever, who collects what others read."""

from __future__ import annotations

import dataclasses
import itertools
import random
import subprocess
import threading
import time
from pathlib import Path
from unittest import mock

import pyarrow as pa

import helix_spark as hx
from helix_spark.catalog import leases
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.leases import this_process
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest
from helix_spark.run import executing
from tests.fakes.written_tables import written
from tests.faults.job import Heard, answers, run, workflow
from tests.faults.processes import printed_until, start_python
from tests.faults.row import Tally, fault
from tests.faults.usable import damaged


def _forged() -> dict[str, str]:
    own = this_process()
    return {
        "of a process that has ended": dataclasses.replace(own, pid=2**22 + 1).to_json(),
        "of an earlier process of a living one's number": dataclasses.replace(own, started="1").to_json(),
        "of before the machine started anew": dataclasses.replace(own, machine="an earlier boot").to_json(),
        "of another machine": dataclasses.replace(own, host="elsewhere", machine="elsewhere").to_json(),
        "of garbage": "\x00{", "empty": "", "of numbers": "[1, 2]",
        "that is a path": '{"host": "../../x", "machine": "/etc/passwd", "pid": 0, "started": "../"}',
    }


@fault("a lease that nobody holds: of the dead, of another machine, of garbage", "taken over; the answer is right",
       short=2, full=32)
def forged_leases(folder: Path, count: int, tally: Tally) -> None:
    catalog, longest, kinds = folder / "catalog", 0.0, list(_forged().items())
    with (
        mock.patch.object(executing, "WORTH_WAITING", 0.0), mock.patch.object(leases, "PATIENCE", 0.5),
    ):
        for key in range(1, count + 1):
            name, text = kinds[key % len(kinds)]
            with hx.Helix(catalog, policy="always") as helix:
                signatures = [node.signature for node in helix.plan(workflow(key)).nodes]
            (catalog / "leases").mkdir(parents=True, exist_ok=True)
            if key == 1:
                (catalog / "helix.json").write_text('{"layout": 1}')
            for signature in signatures:
                (catalog / "leases" / signature).write_text(text)
            begun, heard = time.perf_counter(), Heard()
            outputs = run(catalog, workflow(key), heard)
            longest = max(longest, time.perf_counter() - begun)
            left = sorted(set(Catalog.open(catalog, create=False).leases.names()) & set(signatures))
            right = outputs == answers(key) and "rows" in heard.names and longest < 30
            tally.expect(right, f"a lease {name}: {outputs}, stored {heard.names}, leases left {len(left)}")
    tally.note = f"longest run {longest:.1f} s, with a patience of 0.5 s a lease"


_HOLDS = """
import sys
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.place import LocalPath
for signature in sys.argv[2:]:
    Leases(LocalPath(sys.argv[1])).take(signature)
print("taken", flush=True)
sys.stdin.readline()
"""


@fault("the driver that holds a lease lives, and comes to no end", "the other says so and computes; answer right",
       short=1, full=8)
def endless_holder(folder: Path, count: int, tally: Tally) -> None:
    catalog, longest = folder / "catalog", 0.0
    run(catalog, workflow(0))
    with mock.patch.object(executing, "WORTH_WAITING", 0.0), mock.patch.object(executing, "LEAST", 1.0):
        for key in tally.rounds(count):
            with hx.Helix(catalog, policy="always") as helix:
                plan = helix.plan(workflow(key))
            held = plan["rows"].signature
            holder = start_python("-c", _HOLDS, catalog / "leases", held, stdin=subprocess.PIPE)
            printed_until(holder, "taken".__eq__)
            begun, heard = time.perf_counter(), Heard()
            outputs = run(catalog, workflow(key), heard)
            longest = max(longest, time.perf_counter() - begun)
            holder.communicate("\n")
            told = [text for text in heard.warnings if "still computes" in text and str(holder.pid) in text]
            right = outputs == answers(key) and len(told) == 1 and "rows" in heard.names
            tally.expect(right, f"round {key}: {outputs}, told {heard.warnings}")
    tally.note = f"longest run {longest:.1f} s, where 1 s was the limit of a wait"


_COLLECTS = """
import sys
from helix_spark.catalog.catalog import Catalog
from helix_spark.errors import CatalogError
print("ready", flush=True)
deleted = 0
while True:
    try:
        deleted += len(Catalog.open(sys.argv[1], create=False).gc(dry_run=False, grace_seconds=0.0))
    except CatalogError as error:
        print(f"refused {error.what}", flush=True)
"""


def _table(number: int) -> pa.Table:
    return pa.table({"x": [number] * 500, "i": list(range(500))})


def _publish(catalog: Catalog, number: int, pause: float) -> ArtifactRecord:
    attempt = catalog.begin_attempt(digest("gc", str(number)), "table")
    fields = written(attempt, _table(number))
    time.sleep(pause)
    return catalog.publish(ArtifactRecord(
        attempt.signature, attempt.attempt, "table", "published", "race", f"n{number}", number, 0.0, **fields
    ))


@fault("`gc` without any grace, again and again, beside a writer, a reader and evictions", "nothing live is lost; a "
       "reader gets all rows, or an error that is no answer", short=6, full=60)
def collected_beside(folder: Path, count: int, tally: Tally) -> None:
    root, chosen = folder / "catalog", random.Random(15)
    catalog = Catalog.open(root, create=True)
    _publish(catalog, 0, 0.0)
    collector = start_python("-c", _COLLECTS, root)
    printed_until(collector, "ready".__eq__)
    read, refused = 0, 0
    try:
        for number in range(1, count + 1):
            record = _publish(catalog, number, chosen.uniform(0, 0.1))

            def evict(signature: str = record.signature) -> None:
                time.sleep(chosen.uniform(0, 0.02))
                Catalog.open(root, create=False).evict_all({signature: "to make room"})

            what, thread = "", threading.Thread(target=evict)
            if number % 2:
                thread.start()
            for again in itertools.count():
                if again >= 4 and not thread.is_alive():
                    break
                try:
                    found = catalog.read_arrow(record)
                    read += 1
                    what = what or ("" if found.sort_by("i").equals(_table(number)) else "other rows were read")
                except CatalogError as error:
                    refused += 1
                    what = what or ("" if number % 2 else f"a live table was refused: {error}")
            if number % 2:
                thread.join()
            live = catalog.artifact(record.signature) is not None
            what = what or ("" if live == (not number % 2) else f"live: {live}")
            tally.expect(not what, f"round {number}: {what}")
        alive = collector.poll() is None
    finally:
        collector.kill()
    said = collector.communicate()[0]
    what = damaged(root)
    tally.expect(alive and not what, f"collector alive: {alive} {said[-300:]}, {what}")
    tally.note = f"{read} reads, {refused} refused as evicted"
