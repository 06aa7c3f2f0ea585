"""Hostile stored tables: bombs, files elsewhere, pipes, schemas nested without end, pickles in footers."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from helix_spark.catalog.places.place import LocalPath
from tests.faults.row import Tally, fault
from tests.faults.shared_catalogs import Shared, edited_log, hostile, try_all

GROUP = "tables"


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def _replace(shared: Shared, table: Any, *, rows: int | None = None, **options: Any) -> None:
    """Puts a table in the place of `rows`, with a log and a record that fit it."""
    import pyarrow.parquet as pq
    from deltalake import Schema

    from helix_spark.catalog.tables.table_reading import digest_of_table

    file = shared.data_of("rows")
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    pq.write_table(table, file, write_page_checksum=True, **options)
    schema = Schema.from_arrow(table.schema).to_json()
    _rewrite_log(shared, file, schema, table.num_rows if rows is None else rows)
    shared.change(
        "artifacts", lambda row: row["node"] == "rows", schema=schema, rows=table.num_rows if rows is None else rows,
        bytes=file.stat().st_size, digest=digest_of_table(file.parent, [file]),
    )


def _rewrite_log(shared: Shared, file: Path, schema: str, rows: int) -> None:
    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"] |= {"size": file.stat().st_size, "stats": json.dumps({"numRecords": rows})}
        if "metaData" in action:
            action["metaData"]["schemaString"] = schema
        return action

    edited_log(shared.log_of("rows"), change)


@hostile(GROUP, "a hundred million rows in some kilobytes", usable=False)
def bomb_of_rows(shared: Shared) -> None:
    import numpy as np
    import pyarrow as pa

    _replace(shared, pa.table({"a": np.zeros(100_000_000)}), compression="zstd")


@hostile(GROUP, "five thousand columns of long names", usable=False)
def many_columns(shared: Shared) -> None:
    import pyarrow as pa

    _replace(shared, pa.table({f"{'c' * 2000}{n}": [1] for n in range(5000)}))


@hostile(GROUP, "columns and texts that a terminal obeys", usable=False)
def odd_columns(shared: Shared) -> None:
    import pyarrow as pa

    script = "<script>alert(1)</script>"
    _replace(shared, pa.table({f"\x1b[2J\u202e{script}": [f"\x1b]0;owned\x07{script}"]}))


@hostile(GROUP, "a footer that carries a pickled type", usable=False, short=True)
def pickled_type(shared: Shared) -> None:
    import base64

    import pyarrow as pa

    field = pa.field("a", pa.int64(), metadata={
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Touches(shared.outside / "sprung")),
    })
    schema = pa.schema([field])
    stored = base64.b64encode(schema.serialize().to_pybytes())
    import pyarrow.parquet as pq

    from helix_spark.catalog.tables.table_reading import digest_of_table

    file = shared.data_of("rows")
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({b"ARROW:schema": stored})
    pq.write_table(table, file, write_page_checksum=True, store_schema=False)
    from deltalake import Schema

    told = Schema.from_arrow(pa.schema([("a", pa.int64())])).to_json()
    _rewrite_log(shared, file, told, 2)
    shared.change(
        "artifacts", lambda row: row["node"] == "rows", schema=told, rows=2, bytes=file.stat().st_size,
        digest=digest_of_table(file.parent, [file]),
    )


def _steal(shared: Shared) -> Path:
    file = shared.data_of("rows")
    stolen = shared.outside / "stolen.parquet"
    shutil.copy(file, stolen)
    return stolen


@hostile(GROUP, "a file that leads elsewhere, by a link as long as the file", short=True)
def file_is_a_link(shared: Shared) -> None:
    stolen, file = _steal(shared), shared.data_of("rows")
    file.unlink()
    size = len(str(stolen))
    file.symlink_to(stolen)

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["size"] = size
        return action

    edited_log(shared.log_of("rows"), change)


@hostile(GROUP, "a file named by a path with dots, and by a whole one")
def path_above(shared: Shared) -> None:
    stolen = _steal(shared)

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["path"] = os.path.relpath(stolen, shared.stored("rows"))
        return action

    edited_log(shared.log_of("rows"), change)
    edited_log(shared.log_of("doubled"), lambda action: json.loads(json.dumps(action).replace("part-", "%2ftmp%2f")))


@hostile(GROUP, "a file that is a pipe", short=True)
def file_is_a_pipe(shared: Shared) -> None:
    file = shared.data_of("rows")
    file.unlink()
    os.mkfifo(file)

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "add" in action:
            action["add"]["size"] = 0
        return action

    edited_log(shared.log_of("rows"), change)


@hostile(GROUP, "a log that is a pipe")
def log_is_a_pipe(shared: Shared) -> None:
    shared.log_of("rows").unlink()
    os.mkfifo(shared.log_of("rows"))


@hostile(GROUP, "a log of 64 GiB")
def log_is_huge(shared: Shared) -> None:
    os.truncate(shared.log_of("rows"), 64 << 30)


@hostile(GROUP, "checksums that are a pipe")
def checksums_are_a_pipe(shared: Shared) -> None:
    file = shared.data_of("rows")
    beside = file.with_name(f".{file.name}.crc")
    beside.unlink(missing_ok=True)
    os.mkfifo(beside)


@hostile(GROUP, "a log nested without end", short=True)
def deep_log(shared: Shared) -> None:
    with shared.log_of("rows").open("a") as log:
        log.write('{"commitInfo":' * 50_000 + "1" + "}" * 50_000 + "\n")


@hostile(GROUP, "a schema nested without end")
def deep_schema(shared: Shared) -> None:
    text = '{"type":"array","containsNull":true,"elementType":' * 5000 + '"long"' + "}" * 5000
    schema = f'{{"type":"struct","fields":[{{"name":"a","type":{text},"nullable":true,"metadata":{{}}}}]}}'

    def change(action: dict[str, Any]) -> dict[str, Any]:
        if "metaData" in action:
            action["metaData"]["schemaString"] = schema
        return action

    edited_log(shared.log_of("rows"), change)
    shared.change("artifacts", lambda row: row["node"] == "rows", schema=schema)

@hostile(GROUP, "a footer that says it has gigabytes")
def long_footer(shared: Shared) -> None:
    file = shared.data_of("rows")
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    data = bytearray(file.read_bytes())
    data[-8:-4] = (0xFFFFFFF0).to_bytes(4, "little")
    file.write_bytes(data)
    shared.change("artifacts", lambda row: row["node"] == "rows", digest=None)


@fault("a shared catalog with hostile tables", "nothing executed, written outside, hung, obeyed or raised",
       short=0, full=99)
def hostile_tables(folder: LocalPath, count: int, tally: Tally) -> None:
    try_all(folder, GROUP, count, tally)
