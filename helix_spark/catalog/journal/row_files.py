"""A journal's files of rows, read without its log: each by itself, checked, and with limits, as what lies in a folder
may be damaged or made by somebody else."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.journal.own_files import StrangeFilesError, check_content
from helix_spark.catalog.journal.rows import PLACE, SEQUENCE
from helix_spark.catalog.places.place import Place, is_out_of_reach
from helix_spark.catalog.places.side_checksums import BadSealError, ChecksumError, beside, check_all, with_right_bits

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST = 1 << 30
"""Bytes of a file of rows that is read at most. Upkeep merges rows into files of some megabytes."""


@dataclass(frozen=True)
class RowFile:
    """A file whose rows can all be read.

    Attributes:
        name: in its folder.
        table: its rows.
        size: bytes.
        bare: why its checksum file tells nothing; empty where that is sound, or not there.
    """

    name: str
    table: pa.Table
    size: int
    bare: str = ""

    @cached_property
    def keys(self) -> frozenset[tuple[int, int]]:
        """(sequence, place) of each row: no two committed rows have the same."""
        return frozenset(zip(*(self.table.column(name).to_pylist() for name in (SEQUENCE, PLACE)), strict=True))

    @cached_property
    def sequences(self) -> frozenset[int]:
        """The versions that its rows were written for."""
        return frozenset(sequence for sequence, _ in self.keys)


class UnsoundFileError(Exception):
    """A file that holds no rows which can be relied on; says why.

    Attributes:
        saved: its rows all the same, where its checksums tell what it held before it was damaged.
    """

    def __init__(self, why: str, saved: RowFile | None = None) -> None:
        self.saved = saved
        super().__init__(why)


def row_file(file: Place, rows: int | None = None) -> RowFile:
    """A file of rows, once all of it was read and compared with its checksums.

    Args:
        rows: how many it must have.

    Raises:
        UnsoundFileError: it is gone, cut, garbage, too large, no file, or does not match its checksums.
        OSError: it cannot be reached, which says nothing of what it holds.
    """
    try:
        content = file.read_at_most(LARGEST)
        bare = _seal_damage(file, content)
        table = _decoded(content)
    except FileNotFoundError as error:
        raise UnsoundFileError("is gone") from error
    except OSError as error:
        if is_out_of_reach(error):
            raise
        raise UnsoundFileError(f"cannot be read: {error.strerror or error}") from error
    if rows is not None and len(table) != rows:
        raise UnsoundFileError(f"has {len(table)} rows, not {rows}")
    return RowFile(file.name, table, len(content), bare)


def _seal_damage(file: Place, content: bytes) -> str:
    """Why a file's checksums tell nothing of it; empty where they tell that it is sound, or are not there."""
    try:
        check_all(file)
    except BadSealError as error:
        return str(error)
    except ChecksumError as error:
        assert isinstance(file, Path)
        try:
            right = with_right_bits(file)
        except ChecksumError:
            raise UnsoundFileError("does not match its checksums") from error
        if right != content:
            raise UnsoundFileError("has a wrong bit", RowFile(file.name, _decoded(right), len(right))) from error
        return f"{beside(file).name} has a wrong bit"
    return ""


def _decoded(content: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_content(io.BytesIO(content), "it")
    except StrangeFilesError as error:
        raise UnsoundFileError(f"cannot be read: {error}") from error
    try:
        with pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True) as file:
            table = file.read()
        table.validate(full=True)
    # A damaged footer makes pyarrow fail in its own ways, down to names that are not Unicode.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise UnsoundFileError("cannot be read") from error
    for name in (SEQUENCE, PLACE):
        if name not in table.column_names or not _counts(table.column(name)):
            raise UnsoundFileError(f"has no column {name!r} that numbers its rows")
    return table


def _counts(column: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_int64(column.type) and not column.null_count
