"""Hostile stored tables: bombs, files elsewhere, pipes, schemas nested without end, pickles in footers."""

from __future__ import annotations

import base64
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema

from helix_spark.catalog.tables.table_reading import digest_of_table
from tests.faults.shared_catalogs import Shared, edit_log, hostile, hostile_row
from tests.faults.traps import Trap

GROUP = "tables"


def _checksums(file: Path) -> Path:
    """The file of checksums beside a table's file, which is deleted."""
    beside = file.with_name(f".{file.name}.crc")
    beside.unlink(missing_ok=True)
    return beside


def _change_record(shared: Shared, **cells: Any) -> None:
    shared.change("artifacts", lambda row: row["node"] == "rows", **cells)


def _replace(shared: Shared, table: pa.Table, **options: Any) -> None:
    """Put a table in the place of `rows`, with a log and a record that fit it."""
    file = shared.data_of("rows")
    _checksums(file)
    pq.write_table(table, file, write_page_checksum=True, **options)
    schema, size = Schema.from_arrow(table.schema).to_json(), file.stat().st_size
    stats = f'{{"numRecords": {table.num_rows}}}'
    edit_log(shared.log_of("rows"), {"size": size, "stats": stats}, {"schemaString": schema})
    _change_record(
        shared, schema=schema, rows=table.num_rows, bytes=size, digest=digest_of_table(file.parent, [file]),
    )


@hostile(GROUP, "a hundred million rows in some kilobytes", usable=False)
def bomb_of_rows(shared: Shared) -> None:
    _replace(shared, pa.table({"a": np.zeros(100_000_000)}), compression="zstd")


@hostile(GROUP, "five thousand columns of long names", usable=False)
def many_columns(shared: Shared) -> None:
    _replace(shared, pa.table({f"{'c' * 2000}{n}": [1] for n in range(5000)}))


@hostile(GROUP, "columns and texts that a terminal obeys", usable=False)
def odd_columns(shared: Shared) -> None:
    script = "<script>alert(1)</script>"
    _replace(shared, pa.table({f"\x1b[2J\u202e{script}": [f"\x1b]0;owned\x07{script}"]}))


@hostile(GROUP, "a footer that carries a pickled type", usable=False, short=True)
def pickled_type(shared: Shared) -> None:
    field = pa.field("a", pa.int64(), metadata={
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(shared.outside / "sprung")),
    })
    stored = base64.b64encode(pa.schema([field]).serialize().to_pybytes())
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({b"ARROW:schema": stored})
    _replace(shared, table, store_schema=False)


def _steal(shared: Shared) -> Path:
    return Path(shutil.copy(shared.data_of("rows"), shared.outside / "stolen.parquet"))


@hostile(GROUP, "a file that leads elsewhere, by a link as long as the file", short=True)
def file_is_a_link(shared: Shared) -> None:
    stolen, file = _steal(shared), shared.data_of("rows")
    file.unlink()
    file.symlink_to(stolen)
    edit_log(shared.log_of("rows"), {"size": len(str(stolen))})


@hostile(GROUP, "a file named by a path with dots, and by a whole one")
def path_above(shared: Shared) -> None:
    edit_log(shared.log_of("rows"), {"path": os.path.relpath(_steal(shared), shared.stored("rows"))})
    edit_log(shared.log_of("doubled"), {"path": shared.data_of("doubled").name.replace("part-", "%2ftmp%2f")})


@hostile(GROUP, "a file that is a pipe", short=True)
def file_is_a_pipe(shared: Shared) -> None:
    file = shared.data_of("rows")
    file.unlink()
    os.mkfifo(file)
    edit_log(shared.log_of("rows"), {"size": 0})


@hostile(GROUP, "a log that is a pipe")
def log_is_a_pipe(shared: Shared) -> None:
    shared.log_of("rows").unlink()
    os.mkfifo(shared.log_of("rows"))


@hostile(GROUP, "a log of 64 GiB")
def log_is_huge(shared: Shared) -> None:
    os.truncate(shared.log_of("rows"), 64 << 30)


@hostile(GROUP, "checksums that are a pipe")
def checksums_are_a_pipe(shared: Shared) -> None:
    os.mkfifo(_checksums(shared.data_of("rows")))


@hostile(GROUP, "a log nested without end", short=True)
def deep_log(shared: Shared) -> None:
    with shared.log_of("rows").open("a") as log:
        log.write('{"commitInfo":' * 50_000 + "1" + "}" * 50_000 + "\n")


@hostile(GROUP, "a schema nested without end")
def deep_schema(shared: Shared) -> None:
    text = '{"type":"array","containsNull":true,"elementType":' * 5000 + '"long"' + "}" * 5000
    schema = f'{{"type":"struct","fields":[{{"name":"a","type":{text},"nullable":true,"metadata":{{}}}}]}}'
    edit_log(shared.log_of("rows"), metadata={"schemaString": schema})
    _change_record(shared, schema=schema)


@hostile(GROUP, "a footer that says it has gigabytes")
def long_footer(shared: Shared) -> None:
    file = shared.data_of("rows")
    _checksums(file)
    data = bytearray(file.read_bytes())
    data[-8:-4] = (0xFFFFFFF0).to_bytes(4, "little")
    file.write_bytes(data)
    _change_record(shared, digest=None)


hostile_row("a shared catalog with hostile tables", GROUP)
