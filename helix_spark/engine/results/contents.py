"""Digests of what results hold. Two results with one digest are the same to all that reads them: early cut-off rests on
that, so a result without an exact digest has none.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from helix_spark.engine.results.node_results import NodeResult, TableResult, ValueResult, quoted
from helix_spark.identity.parts import digest

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, Observation
    from pyspark.sql.types import DataType

_HASH, _PLACED = "__helix_hash_of_row", "__helix_hash_of_row_and_place"

_LOW_BITS = 0x7FFFFFFF
"""Of half a hash, those that are added up: the sum of four thousand million of them fits into 64 bits."""


def content_here(result: NodeResult) -> str | None:
    """Return the digest of a value, or of a table whose rows are in this process; None of anything else.

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
    """Hash the schema, its metadata as well, and all buffers, whatever pieces they lie in; None of a type that Arrow
    does not write."""
    import pyarrow as pa

    hashed = _Hashed()
    try:
        with pa.PythonFile(hashed, mode="w") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
    except pa.ArrowException:
        return None
    return hashed.sum.digest()


class _Hashed(io.RawIOBase):
    """A file that keeps nothing but a hash of what is written to it."""

    def __init__(self) -> None:
        self.sum, self._at = hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | pa.Buffer) -> int:
        self.sum.update(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at


def count(frame: DataFrame) -> tuple[int, str | None]:
    """Count the rows of a DataFrame, and return the digest of what they hold, in one job. How they are divided and
    ordered counts. None where a column has no exact hash, as maps of timestamps.
    """
    try:
        summed = _hashed(frame).selectExpr("count(1)", *_SUMMED)
    except _NoHashError:
        return frame.count(), None
    [(rows, *sums)] = summed.collect()
    return rows, _frame_digest(frame, rows, sums)


def observed(frame: DataFrame, seen: Observation) -> tuple[DataFrame, Callable[[], str | None]]:
    """Return a DataFrame whose rows are counted (as `rows`) while they are written, and a function that returns the
    digest of `count` afterwards, without reading them again.

    Args:
        seen: observes the rows.
    """
    from pyspark.sql import functions as F

    rows = F.expr("count(1)").alias("rows")
    try:
        sums = [F.expr(one).alias(f"sum{at}") for at, one in enumerate(_SUMMED)]
        watched = _hashed(frame, keep=True).observe(seen, rows, *sums).select(*map(quoted, frame.columns))
    except _NoHashError:
        return frame.observe(seen, rows), lambda: None

    def content() -> str:
        found = seen.get
        return _frame_digest(frame, found["rows"], [found[f"sum{at}"] for at, _ in enumerate(_SUMMED)])

    return watched, content


_SUMMED = (f"sum({_HASH} & {_LOW_BITS})", f"sum(shiftrightunsigned({_HASH}, 33))", f"bit_xor({_PLACED})")
"""Sums over the hashes of rows, and of their places. Equal rows would cancel each other in a xor without places."""


def _frame_digest(frame: DataFrame, rows: int, sums: Sequence[int | None]) -> str:
    return digest("frame", frame.schema.json(), str(rows), *map(str, sums))


def _hashed(frame: DataFrame, *, keep: bool = False) -> DataFrame:
    """Return a hash of each row, and one of it and its place: as columns, which Spark compiles, as it does not what is
    observed. Raises _NoHashError.

    Args:
        keep: whether to keep the columns of the table.
    """
    from pyspark.sql import functions as F

    fields = frame.schema.fields
    names = [field.name.lower() for field in fields]
    if any(name.startswith(_HASH) for name in names) or len(set(names)) < len(names):  # two may be called alike
        raise _NoHashError
    vectors = [field.name for field in fields if _is_vector(field.dataType)]
    others = [field for field in fields if field.name not in vectors]
    hashed = [text for field in others for text in _parts(quoted(field.name), field.dataType)]
    row = F.expr(f"xxhash64({', '.join(hashed) or 'null'})")
    if vectors:  # which SQL has no function to look into
        row = F.xxhash64(row, *(part for name in vectors for part in _vector_parts(name)))
    placed = F.xxhash64(F.monotonically_increasing_id(), row)  # Spark computes once what occurs twice
    return frame.select(*(["*"] if keep else []), row.alias(_HASH), placed.alias(_PLACED))


class _NoHashError(Exception):
    """A column has no exact hash."""


def _parts(name: str, kind: DataType) -> Iterator[str]:
    """Yield SQL expressions whose hashes tell what a column holds, bit by bit. `xxhash64` passes over nulls, and takes
    0.0 and -0.0 for one number.

    Args:
        name: of the column, or of the field, as SQL writes it.

    Raises:
        _NoHashError: there are none.
    """
    from pyspark.sql import types as t

    if isinstance(kind, t.NullType):
        return
    yield f"isnull({name})"
    match kind:
        case t.StructType():
            for field in kind.fields:
                yield from _parts(f"{name}.{quoted(field.name)}", field.dataType)
        case t.ArrayType(elementType=t.FloatType()):
            yield from _number_parts(name, "0F", f"to_json({name})")
        case t.ArrayType(elementType=t.DoubleType()):
            yield from _number_parts(name, "0D", f"to_json({name})")
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
            raise _NoHashError


def _vector_parts(name: str) -> Iterator[Column]:
    """Yield the same of a vector of Spark ML's, by its fields (`VectorUDT.sqlType`); see `_number_parts`."""
    from pyspark.sql import functions as F

    vector = F.col(quoted(name))
    parts = F.unwrap_udt(vector)
    numbers = parts.getField("values")
    yield F.isnull(vector)
    yield parts
    yield F.size(numbers)
    yield F.when(F.coalesce(F.array_contains(numbers, 0.0), F.lit(True)), vector.cast("string"))


def _number_parts(name: str, zero: str, text: str) -> Iterator[str]:
    """Yield the same of a list of floats. The text of a number takes ten times as long as its hash, so it is made of
    lists alone that have a zero, whose sign the hash leaves out, or a null.

    Args:
        zero: of their type.
        text: the SQL expression of a text that tells all.
    """
    yield f"size({name})"
    yield name
    yield f"CASE WHEN coalesce(array_contains({name}, {zero}), true) THEN {text} END"


def _is_vector(kind: DataType) -> bool:
    """Look without loading Spark ML, which takes long, and is there where a vector is."""
    ml = sys.modules.get("pyspark.ml.linalg")
    return ml is not None and isinstance(kind, ml.VectorUDT)


def _is_exact(kind: DataType) -> bool:
    """Return whether `xxhash64` differs wherever two values of a type do."""
    from pyspark.sql import types as t

    if isinstance(kind, t.StringType):
        return kind == t.StringType()  # and not one that takes letters of two cases for one
    return isinstance(
        kind, t.BooleanType | t.ByteType | t.ShortType | t.IntegerType | t.LongType | t.DecimalType | t.DateType
        | t.TimestampType | t.TimestampNTZType | t.BinaryType,
    )


def _is_plain(kind: DataType) -> bool:
    """Return whether JSON tells all there is to a value, inside of lists, too."""
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
