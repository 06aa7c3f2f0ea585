"""Digests of what results hold. Two results with one digest are the same to whoever reads them: early cut-off rests on
that, so what cannot be told exactly has none."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from helix_spark.engine.results.results import NodeResult, TableResult, ValueResult
from helix_spark.signature.parts import digest

if TYPE_CHECKING:
    import pyarrow as pa


def content_here(result: NodeResult) -> str | None:
    """The digest of a value, or of a table whose rows are in this process in the first place; None of anything else.

    The order of rows, of columns and of keys counts, and floats count bit by bit.

    >>> content_here(ValueResult([1, 2])) == content_here(ValueResult([1, 2]))
    True
    >>> len({content_here(ValueResult(one)) for one in (0.0, -0.0, 0, False, "0", None, [0], {"0": 0})})
    8
    """
    match result:
        case ValueResult(value=value):
            return digest("value", json.dumps(value))
        case TableResult(collected=True, through_frame=False, told_by_rows=True):
            found = _of_rows(result.arrow())
            return None if found is None else digest("rows", found)
    return None


def _of_rows(table: pa.Table) -> bytes | None:
    """A hash of the schema, with what it says beside the types, and of all buffers, whatever pieces they lie in."""
    import pyarrow as pa

    hashed = _Hashed()
    try:
        with pa.PythonFile(hashed, mode="w") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
    except pa.ArrowException:  # a type that cannot be written
        return None
    return hashed.sum.digest()


class _Hashed:
    """A file that keeps nothing but a hash of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sum = hashlib.sha256()
        self._at = 0

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True
