"""Hostile places: logs that name files elsewhere, links, pipes, devices, files without end, folders without end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.faults.row import Tally, fault
from benchmarks.faults.shared_catalogs import Shared, edited_log, hostile, try_all
from helix_spark.catalog.places.place import LocalPath

LOGS, LINKS = "logs of records", "places and links"
_HUGE = 64 << 30


def _outside_parquet(shared: Shared) -> Path:
    """A sound file of records somewhere else, which says what nobody here said."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = shared.rows("iterations")
    schema = pq.read_schema(next(shared.journal("iterations").glob("part-*.parquet")))
    stolen = shared.outside / "part-x.parquet"
    pq.write_table(pa.Table.from_pylist([{**rows[-1], "message": "the-text-of-a-file-outside-7c1f"}], schema), stolen)
    return stolen


def _decoy(shared: Shared) -> None:
    """A file of the same name where the file should be."""
    folder = shared.journal("iterations")
    shutil.copy(next(folder.glob("part-*.parquet")), folder / "part-x.parquet")


def _add(shared: Shared, path: str, size: int, **more: Any) -> None:
    """Adds a file to the newest entry of the iterations' log."""
    add = {
        "path": path, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True,
        "stats": '{"numRecords": 1}', **more,
    }
    with shared.entry("iterations").open("a") as log:
        log.write(f"{json.dumps({'add': add})}\n")


@hostile(LOGS, "a file named by a whole path", usable=False, short=True)
def whole_path(shared: Shared) -> None:
    stolen = _outside_parquet(shared)
    _add(shared, f"file://{stolen}", stolen.stat().st_size)
    _decoy(shared)


@hostile(LOGS, "a file named by a path with dots", usable=False, short=True)
def path_above(shared: Shared) -> None:
    stolen = _outside_parquet(shared)
    _add(shared, os.path.relpath(stolen, shared.journal("iterations")), stolen.stat().st_size)
    _decoy(shared)


@hostile(LOGS, "a file in a store, and one on a server", usable=False, short=True)
def remote_path(shared: Shared) -> None:
    _add(shared, f"http://127.0.0.1:{shared.port}/part-x.parquet", 1000)
    _add(shared, "s3://bucket/part-x.parquet", 1000)
    _decoy(shared)
    shared.project.joinpath(".env").write_text(f"AWS_ENDPOINT_URL=http://127.0.0.1:{shared.port}\n")


@hostile(LOGS, "rows deleted by a file elsewhere", usable=False)
def deletion_vector(shared: Shared) -> None:
    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["deletionVector"] = {
                "storageType": "p", "pathOrInlineDv": f"file://{shared.secret}", "offset": 1, "sizeInBytes": 36,
                "cardinality": 1,
            }
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"],
            }
        return action

    for log in (shared.journal("iterations") / "_delta_log").glob("*.json"):
        edited_log(log, change)


@hostile(LOGS, "an entry that is a pipe", usable=False, short=True)
def entry_is_a_pipe(shared: Shared) -> None:
    log = shared.entry("iterations")
    os.mkfifo(log.with_name(f"{int(log.stem) + 1:020}.json"))


@hostile(LOGS, "an entry that leads elsewhere", usable=False)
def entry_is_a_link(shared: Shared) -> None:
    log = shared.entry("iterations")
    shutil.move(log, shared.outside / "entry.json")
    log.symlink_to(shared.outside / "entry.json")


@hostile(LOGS, "an entry of 64 GiB", usable=False, short=True)
def entry_is_huge(shared: Shared) -> None:
    os.truncate(shared.entry("nodes"), _HUGE)


@hostile(LOGS, "a file of records that leads elsewhere", usable=False)
def file_is_a_link(shared: Shared) -> None:
    file = next(shared.journal("iterations").glob("part-*.parquet"))
    shutil.move(file, shared.outside / "x.parquet")
    file.symlink_to(shared.outside / "x.parquet")


@hostile(LOGS, "a file of records that is a pipe", usable=False)
def file_is_a_pipe(shared: Shared) -> None:
    file = next(shared.journal("nodes").glob("part-*.parquet"))
    file.unlink()
    os.mkfifo(file)


@hostile(LOGS, "a checkpoint that is a pipe, a pointer to one that has no end", usable=False)
def checkpoint_is_a_pipe(shared: Shared) -> None:
    log = shared.journal("iterations") / "_delta_log"
    os.mkfifo(log / f"{1:020}.checkpoint.parquet")
    (log / "_last_checkpoint").symlink_to("/dev/zero")


@hostile(LOGS, "a log of one entry, the quintillionth", usable=False, short=True)
def greatest_version(shared: Shared) -> None:
    for name in ("iterations", "nodes"):
        shared.rewrite(name, lambda rows: rows)
        log = shared.entry(name)
        log.rename(log.with_name(f"{10**18:020}.json"))


@hostile(LOGS, "a checkpoint that is the quintillionth, of a table that was written once", usable=False)
def greatest_checkpoint(shared: Shared) -> None:
    from deltalake import DeltaTable

    shared.rewrite("iterations", lambda rows: rows)
    DeltaTable(str(shared.journal("iterations"))).create_checkpoint()
    log = shared.journal("iterations") / "_delta_log"
    (log / "_last_checkpoint").unlink()
    for file in list(log.iterdir()):
        file.rename(log / file.name.replace(f"{0:020}", f"{10**15:020}"))


@hostile(LOGS, "checksums that are a pipe, and of a piece of no size", usable=False, short=True)
def checksums_are_a_pipe(shared: Shared) -> None:
    file = next(shared.journal("iterations").glob("part-*.parquet"))
    beside = file.with_name(f".{file.name}.crc")
    beside.unlink(missing_ok=True)
    os.mkfifo(beside)


@hostile(LOGS, "a link to somebody's home among many small files of records", usable=False, short=True)
def link_among_files(shared: Shared) -> None:
    """Records in many files are merged, and what lies beside them unnamed is deleted."""
    from deltalake import DeltaTable, write_deltalake

    for name in ("iterations", "nodes", "artifacts", "results"):
        rows = DeltaTable(str(shared.journal(name))).to_pyarrow_table()
        for _ in range(12):
            write_deltalake(str(shared.journal(name)), rows.slice(0, 0) if name != "results" else rows, mode="append")
        shared.journal(name).with_name(f"{name}.head").write_text("0\n")
        (shared.journal(name) / "beside").symlink_to(shared.home)


@hostile(LOGS, "a head that is a pipe", usable=False)
def head_is_a_pipe(shared: Shared) -> None:
    head = shared.catalog / "records" / "iterations.head"
    head.unlink()
    os.mkfifo(head)


@hostile(LOGS, "a head that has no end", usable=False, short=True)
def head_is_endless(shared: Shared) -> None:
    head = shared.catalog / "records" / "nodes.head"
    head.unlink()
    head.symlink_to("/dev/zero")


@hostile(LOGS, "a log nested without end, and a schema too", usable=False)
def deep_log(shared: Shared) -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    with shared.entry("iterations").open("a") as log:
        log.write(f'{{"commitInfo": {deep}}}\n')

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "metaData" in action:
            action["metaData"]["schemaString"] = '{"type":"struct","fields":' + "[" * 20_000 + "]" * 20_000 + "}"
        return action

    edited_log(min((shared.journal("nodes") / "_delta_log").glob("*.json")), change)


def _add_to(shared: Shared, journal: str, path: Path) -> None:
    add = {
        "path": path.name, "partitionValues": {}, "size": path.stat().st_size, "modificationTime": 0,
        "dataChange": True, "stats": '{"numRecords": 1}',
    }
    with shared.entry(journal).open("a") as log:
        log.write(f"{json.dumps({'add': add})}\n")


@hostile(LINKS, "leases that lead to somebody's home", usable=False, short=True)
def leases_elsewhere(shared: Shared) -> None:
    shutil.rmtree(shared.catalog / "leases", ignore_errors=True)
    (shared.catalog / "leases").symlink_to(shared.home)


@hostile(LINKS, "records that lead elsewhere", usable=False, short=True)
def records_elsewhere(shared: Shared) -> None:
    shutil.move(shared.journal("results"), shared.outside / "results")
    shared.journal("results").symlink_to(shared.outside / "results")


@hostile(LINKS, "notes of runs that lead elsewhere", usable=False)
def running_elsewhere(shared: Shared) -> None:
    running = shared.catalog / "records" / "running"
    shutil.rmtree(running, ignore_errors=True)
    running.symlink_to(shared.outside)


@hostile(LINKS, "tables that lie elsewhere", usable=False)
def tables_elsewhere(shared: Shared) -> None:
    shutil.move(shared.catalog / "tables", shared.outside / "tables")
    (shared.catalog / "tables").symlink_to(shared.outside / "tables")


@hostile(LINKS, "a result that leads to somebody's folder", short=True)
def result_elsewhere(shared: Shared) -> None:
    folder = shared.stored("rows")
    shutil.move(folder, shared.outside / "stored")
    folder.symlink_to(shared.outside / "stored")
    other = shared.catalog / "tables" / ("c" * 64)
    other.symlink_to(shared.home)
    (shared.catalog / "tables" / ("d" * 64)).mkdir()
    (shared.catalog / "tables" / ("d" * 64) / ("e" * 32)).symlink_to(shared.home)


@hostile(LINKS, "a log of records that leads elsewhere", usable=False)
def log_elsewhere(shared: Shared) -> None:
    log = shared.journal("files") / "_delta_log"
    shutil.move(log, shared.outside / "log")
    log.symlink_to(shared.outside / "log")


@hostile(LINKS, "links in a circle, and folders two thousand deep", short=True)
def endless_folders(shared: Shared) -> None:
    folder = shared.catalog / "tables" / ("f" * 64) / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "loop").symlink_to(folder)
    nest = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"
    subprocess.run([sys.executable, "-c", nest], cwd=folder, check=True)


@hostile(LINKS, "a marker that is a pipe", usable=False, short=True)
def marker_is_a_pipe(shared: Shared) -> None:
    (shared.catalog / "helix.json").unlink()
    os.mkfifo(shared.catalog / "helix.json")


@hostile(LINKS, "a marker that has no end, or is nested without one", usable=False)
def marker_is_endless(shared: Shared) -> None:
    (shared.catalog / "helix.json").write_text("[" * 100_000)


@hostile(LINKS, "a marker that leads to what has no end", usable=False)
def marker_is_a_link(shared: Shared) -> None:
    (shared.catalog / "helix.json").unlink()
    (shared.catalog / "helix.json").symlink_to("/dev/zero")


@hostile(LINKS, "a marker that says what a terminal obeys", usable=False)
def marker_of_escapes(shared: Shared) -> None:
    (shared.catalog / "helix.json").write_text(json.dumps({"layout": 99, "created_by": "\x1b]0;owned\x07\u202e"}))


@fault("a shared catalog with hostile logs", "nothing executed, written outside, hung, obeyed or raised",
       short=0, full=99)
def hostile_logs(folder: LocalPath, count: int, tally: Tally) -> None:
    try_all(folder, LOGS, count, tally)


@fault("a shared catalog with hostile links, pipes and devices",
       "nothing executed, written outside, hung, obeyed or raised", short=0, full=99)
def hostile_links(folder: LocalPath, count: int, tally: Tally) -> None:
    try_all(folder, LINKS, count, tally)
