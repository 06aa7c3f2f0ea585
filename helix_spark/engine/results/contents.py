"""Digests of what results hold. Two results with one digest are the same to whoever reads them: early cut-off rests on
that, so what cannot be told exactly has none.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import shake_256
from typing import TYPE_CHECKING
from zlib import crc32

from helix_spark.engine.results.node_results import NodeResult, TableResult, ValueResult, quoted
from helix_spark.identity.parts import digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, Observation
    from pyspark.sql.types import DataType

_HASH, _PLACED = "__helix_hash_of_row", "__helix_hash_of_row_and_place"

_LOW_BITS = 0x7FFFFFFF
"""Of half a hash, those that are added up: the sum of four thousand million of them fits into 64 bits."""


def content_here(result: NodeResult) -> str | None:
    """The digest of a value, or of a table whose rows are in this process; None of anything else.

    The order of rows, of columns and of keys counts, and floats count bit by bit.

    >>> content_here(ValueResult([1, 2])) == content_here(ValueResult([1, 2]))
    True
    >>> len({content_here(ValueResult(one)) for one in (0.0, -0.0, 0, False, "0", None, [0], {"0": 0})})
    8
    """
    match result:
        case ValueResult(value=value):
            return digest("value", json.dumps(value))
        case TableResult(collected=True, told_by_rows=True):
            found = hash_of_rows(result.arrow())
            if found is None:
                return None
            kind = ["fetched", result.frame().schema.json()] if result.through_frame else ["rows"]
            if '"udt"' in kind[-1]:  # vectors are fetched as lists
                return None
            return digest(*kind, found)
    return None


def hash_of_rows(table: pa.Table) -> bytes | None:
    """A hash of the schema, with what it says beside the types, and of all buffers, whatever pieces they lie in.

    No secret is kept by it: long buffers are summed up first, which takes a third of the time.
    """
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

    def write(self, data: bytes | pa.Buffer) -> int:
        told = memoryview(data).cast("B")
        whole = len(told) - len(told) % _BLOCK
        if whole:
            self.sum.update(_summed_up(told[:whole]))
        self.sum.update(told[whole:])
        self._at += len(told)
        return len(told)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True


_BLOCK = 1 << 12
"""Bytes."""


@cache
def _keys() -> Sequence[np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    """Odd numbers, as of a lottery, one for each word of a block."""
    import numpy as np

    return [np.frombuffer(shake_256(name).digest(_BLOCK), "<u8") | np.uint64(1) for name in (b"words", b"halves")]


def _summed_up(blocks: memoryview) -> bytes:
    """Sums of the blocks' words by these keys, and of the upper halves of words, where the signs of floats are: as
    large as they are, they tell less of the highest bits. What two sums do not tell apart, a checksum by division does.
    """
    import numpy as np

    words, halves = _keys()
    return crc32(blocks).to_bytes(4, "little") + b"".join(
        np.einsum("ij,j->i", read.reshape(-1, keys.size), keys).tobytes() for read, keys in (
            (np.frombuffer(blocks, "<u8"), words), (np.frombuffer(blocks, "<u4")[1::2], halves),
        )
    )


def count(frame: DataFrame) -> tuple[int, str | None]:
    """How many rows a DataFrame has, and the digest of what they hold, in one job. How they are divided and ordered
    counts. None where there is a column of which nobody can tell it exactly, as of maps of timestamps.
    """
    try:
        summed = _hashed(frame).selectExpr("count(1)", *_SUMMED)
    except _NotToldError:
        return frame.count(), None
    [(rows, *sums)] = summed.collect()
    return rows, _of_frame(frame, rows, sums)


def observed(frame: DataFrame, seen: Observation) -> tuple[DataFrame, Callable[[], str | None]]:
    """A DataFrame whose rows are counted (as `rows`) while they are written, and what tells the digest of what they
    hold afterwards, that of `count`, without looking at them once more.

    Args:
        seen: takes up what is told.
    """
    from pyspark.sql import functions as F

    rows = F.expr("count(1)").alias("rows")
    try:
        sums = [F.expr(one).alias(f"sum{at}") for at, one in enumerate(_SUMMED)]
        watched = _hashed(frame, keep=True).observe(seen, rows, *sums).select(*map(quoted, frame.columns))
    except _NotToldError:
        return frame.observe(seen, rows), lambda: None

    def told() -> str:
        found = seen.get
        return _of_frame(frame, found["rows"], [found[f"sum{at}"] for at, _ in enumerate(_SUMMED)])

    return watched, told


_SUMMED = (f"sum({_HASH} & {_LOW_BITS})", f"sum(shiftrightunsigned({_HASH}, 33))", f"bit_xor({_PLACED})")
"""What tells rows, by their hashes, and their places. Equal rows would cancel each other in a xor without places."""


def _of_frame(frame: DataFrame, rows: int, sums: Sequence[int | None]) -> str:
    return digest("frame", frame.schema.json(), str(rows), *map(str, sums))


def _hashed(frame: DataFrame, *, keep: bool = False) -> DataFrame:
    """A hash of each row, and one of it and its place: as columns, which are compiled, as what is observed is not.
    Raises _NotToldError.

    Args:
        keep: whether the columns of the table are kept.
    """
    from pyspark.sql import functions as F

    fields = frame.schema.fields
    names = [field.name.lower() for field in fields]
    if any(name.startswith(_HASH) for name in names) or len(set(names)) < len(names):  # two may be called alike
        raise _NotToldError
    vectors = [field.name for field in fields if _is_vector(field.dataType)]
    others = [field for field in fields if field.name not in vectors]
    told = [text for field in others for text in _told(quoted(field.name), field.dataType)]
    row = F.expr(f"xxhash64({', '.join(told) or 'null'})")
    if vectors:  # which SQL has no function to look into
        row = F.xxhash64(row, *(part for name in vectors for part in _told_of_vector(name)))
    placed = F.xxhash64(F.monotonically_increasing_id(), row)  # Spark computes once what occurs twice
    return frame.select(*(["*"] if keep else []), row.alias(_HASH), placed.alias(_PLACED))


class _NotToldError(Exception):
    """Nobody can tell exactly what a column holds."""


def _told(name: str, kind: DataType) -> Iterator[str]:
    """SQL expressions whose values tell what a column holds, bit by bit. `xxhash64` passes over nulls, and takes 0.0
    and -0.0 for one number.

    Args:
        name: of the column, or of the field, as SQL writes it.

    Raises:
        _NotToldError: there are none.
    """
    from pyspark.sql import types as t

    if isinstance(kind, t.NullType):
        return
    yield f"isnull({name})"
    match kind:
        case t.StructType():
            for field in kind.fields:
                yield from _told(f"{name}.{quoted(field.name)}", field.dataType)
        case t.ArrayType(elementType=t.FloatType()):
            yield from _told_of_numbers(name, "0F", f"to_json({name})")
        case t.ArrayType(elementType=t.DoubleType()):
            yield from _told_of_numbers(name, "0D", f"to_json({name})")
        case t.UserDefinedType() if _is_vector(kind):
            yield f"CAST({name} AS STRING)"
        case t.FloatType() | t.DoubleType():
            yield name
            yield f"CASE WHEN {name} = 0 THEN CAST({name} AS STRING) END"
        case t.ArrayType() | t.MapType() if _is_plain(kind):
            yield f"to_json({name}, map('ignoreNullFields', 'false'))"
        case _ if _is_exact(kind):
            yield name
        case _:
            raise _NotToldError


def _told_of_vector(name: str) -> Iterator[Column]:
    """The same of a vector of Spark ML's, by what it consists of (`VectorUDT.sqlType`); see `_told_of_numbers`."""
    from pyspark.sql import functions as F

    vector = F.col(quoted(name))
    parts = F.unwrap_udt(vector)
    numbers = parts.getField("values")
    yield F.isnull(vector)
    yield parts
    yield F.size(numbers)
    yield F.when(F.coalesce(F.array_contains(numbers, 0.0), F.lit(True)), vector.cast("string"))


def _told_of_numbers(name: str, zero: str, text: str) -> Iterator[str]:
    """The same of a list of floats. Of texts, of which each number takes ten times as long as its hash, only those are
    made that have a zero, of which a hash does not tell the sign, or a null, over which it passes.

    Args:
        zero: of their type.
        text: the SQL expression of a text that tells all.
    """
    yield f"size({name})"
    yield name
    yield f"CASE WHEN coalesce(array_contains({name}, {zero}), true) THEN {text} END"


def _is_vector(kind: DataType) -> bool:
    """Told without Spark ML, which takes long to load, and is there where a vector is."""
    ml = sys.modules.get("pyspark.ml.linalg")
    return ml is not None and isinstance(kind, ml.VectorUDT)


def _is_exact(kind: DataType) -> bool:
    """Whether `xxhash64` tells two values of a type apart wherever anything does."""
    from pyspark.sql import types as t

    if isinstance(kind, t.StringType):
        return kind == t.StringType()  # and not one that takes letters of two cases for one
    return isinstance(
        kind, t.BooleanType | t.ByteType | t.ShortType | t.IntegerType | t.LongType | t.DecimalType | t.DateType
        | t.TimestampType | t.TimestampNTZType | t.BinaryType,
    )


def _is_plain(kind: DataType) -> bool:
    """Whether JSON tells all there is to a value, inside of lists, too."""
    from pyspark.sql import types as t

    match kind:
        case t.ArrayType():
            return _is_plain(kind.elementType)
        case t.StructType():
            return all(_is_plain(field.dataType) for field in kind.fields)
        case t.MapType():
            return kind.keyType == t.StringType() and _is_plain(kind.valueType)
        case t.FloatType() | t.DoubleType():
            return True
    return _is_exact(kind) and not isinstance(kind, t.TimestampType | t.TimestampNTZType)
