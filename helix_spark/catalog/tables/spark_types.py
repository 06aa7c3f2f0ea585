"""Convert Spark's schemas, from the JSON of Spark and Delta, to Arrow types, and Spark ML's vectors, which Arrow does
not know, to lists of doubles with named slots. Pure, and without pyspark.

Spark's names: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#schema-serialization-format. The Arrow types
are those of `DataFrame.toArrow()`, so that a table read here equals Spark's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from helix_spark.catalog.places.json_text import as_type, parsed_as
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa


VECTOR = "org.apache.spark.ml.linalg.VectorUDT"
NO_NAME = re.compile(r"[\n\t]|^$")
"""Names that no column may have. Delta's own writer also refuses any of ` ,;{}()=`, unless columns are mapped
(DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES). We commit files with such names ourselves, and all readers accept them."""

_DECIMAL = re.compile(r"decimal\((\d+),\s*(-?\d+)\)")


class StructType(Struct, tag_field="type", tag="struct"):
    fields: Annotated[list[StructField], Meta(max_length=20_000)]


class StructField(Struct):
    name: Annotated[str, Meta(max_length=10_000)]
    type: SparkType
    nullable: bool
    metadata: dict[str, Any] = {}


class ArrayType(Struct, tag_field="type", tag="array", rename="camel"):
    element_type: SparkType
    contains_null: bool


class MapType(Struct, tag_field="type", tag="map", rename="camel"):
    key_type: SparkType
    value_type: SparkType
    value_contains_null: bool


class UserType(Struct, tag_field="type", tag="udt", rename="camel"):
    sql_type: SparkType


_NAMED = r"^(?!decimal\()|^decimal\(([1-9]|[12]\d|3[0-8]), ?-?(\d|[12]\d|3[0-8])\)\Z"
SparkType = Annotated[str, Meta(max_length=200, pattern=_NAMED)] | StructType | ArrayType | MapType | UserType


@lru_cache(maxsize=256)
def parsed_schema(text: str) -> Mapping[str, Any]:
    """Return a table's Spark schema, checked as `StructType`. Raises ValueError if it is no schema."""
    schema = parsed_as(text, dict[str, Any])
    as_type(schema, StructType)
    return schema


class NeedsSparkError(CatalogError):
    """The table is sound, but only Spark can read it."""


class Column(NamedTuple):
    """A column of a stored table.

    Attributes:
        stored: Arrow type in the files, nullable everywhere, as in all Delta files.
        declared: Arrow type of Spark, with nullability; a list of doubles for a vector.
        is_vector: whether it holds Spark ML vectors, to be converted to lists of doubles.
        unreadable: the part that only Spark can read; empty if there is none.
    """

    name: str
    stored: pa.DataType | None = None
    declared: pa.DataType | None = None
    nullable: bool = True
    is_vector: bool = False
    unreadable: str = ""


def columns(schema: str) -> tuple[Column, ...]:
    """Return the columns of a Spark schema. Raises ValueError if it is no schema.

    >>> [(c.name, str(c.declared)) for c in columns('''{"type": "struct", "fields": [
    ...     {"name": "age", "type": "double", "nullable": true, "metadata": {}},
    ...     {"name": "seen", "type": {"type": "array", "elementType": "timestamp", "containsNull": true},
    ...      "nullable": true, "metadata": {}}]}''')]
    [('age', 'double'), ('seen', 'list<element: timestamp[us, tz=UTC]>')]
    """
    import pyarrow as pa

    stored_columns = list[Column]()
    for field in parsed_schema(schema)["fields"]:
        name, type_, nullable = field["name"], field["type"], bool(field["nullable"])
        try:
            if isinstance(type_, dict) and type_["type"] == "udt" and type_.get("class") == VECTOR:
                stored, declared = _arrow(type_["sqlType"], exact=False), pa.list_(pa.field("element", pa.float64()))
                stored_columns.append(Column(name, stored, declared, nullable, is_vector=True))
            else:
                stored_columns.append(Column(name, _arrow(type_, exact=False), _arrow(type_, exact=True), nullable))
        except NeedsSparkError as error:
            stored_columns.append(Column(name, unreadable=error.what))
    return tuple(stored_columns)


def same_types(first: str, second: str) -> bool:
    """True if two schemas have the same names and types in order. Nullability, which Delta changes, may differ."""
    dropped = {"nullable", "metadata", "containsNull", "valueContainsNull", "pyClass", "serializedClass"}

    def bare(spark_type: Any) -> Any:
        if isinstance(spark_type, list):
            return [bare(inner) for inner in spark_type]
        if isinstance(spark_type, dict):
            return {key: bare(value) for key, value in spark_type.items() if key not in dropped}
        return spark_type

    return bool(bare(parsed_schema(first)) == bare(parsed_schema(second)))


_TRUSTED = {
    "class": (VECTOR, "org.apache.spark.ml.linalg.MatrixUDT"),
    "pyClass": ("pyspark.ml.linalg.VectorUDT", "pyspark.ml.linalg.MatrixUDT"),
}


def foreign_classes(schema: str) -> tuple[str, ...]:
    """Return the classes in a schema that are not Spark ML's: reading the table would import them, or unpickle the
    schema's copies. Raises ValueError if it is no schema.

    >>> udt = '{"type": "udt", "pyClass": "posix.Trap", "serializedClass": "gASV", "sqlType": "long"}'
    >>> foreign_classes(f'{{"type": "struct", "fields": [{{"name": "a", "type": {udt}, "nullable": true}}]}}')
    ('posix.Trap',)
    """
    def foreign(spark_type: Any) -> Iterator[str]:
        if isinstance(spark_type, dict):
            for key, trusted in _TRUSTED.items():
                if key in spark_type and spark_type[key] not in trusted and spark_type.get("type") == "udt":
                    yield str(spark_type[key])
        for inner in spark_type.values() if isinstance(spark_type, dict) else spark_type:
            if isinstance(inner, dict | list):
                yield from foreign(inner)

    return tuple(foreign(parsed_schema(schema)))


def _arrow(spark_type: Any, *, exact: bool) -> pa.DataType:
    """Return the Arrow type, nullable everywhere unless `exact`."""
    import pyarrow as pa

    def field(name: str, inner: Any, nullable: bool) -> pa.Field:
        return pa.field(name, _arrow(inner, exact=exact), nullable=nullable or not exact)

    if isinstance(spark_type, str):
        if decimal := _DECIMAL.fullmatch(spark_type):
            return pa.decimal128(int(decimal[1]), int(decimal[2]))
        types = {
            "string": pa.string(), "binary": pa.binary(), "boolean": pa.bool_(),
            "byte": pa.int8(), "short": pa.int16(), "integer": pa.int32(), "long": pa.int64(),
            "float": pa.float32(), "double": pa.float64(), "decimal": pa.decimal128(10, 0), "date": pa.date32(),
            "timestamp": pa.timestamp("us", tz="UTC"), "timestamp_ntz": pa.timestamp("us"), "void": pa.null(),
        }
        is_text = spark_type.startswith(("char(", "varchar(", "string collate"))  # Arrow has one type for all
        name = "string" if is_text else spark_type
        if name not in types:
            raise NeedsSparkError(f"the type {name}")
        return types[name]
    kind = spark_type["type"]
    if kind == "array":
        return pa.list_(field("element", spark_type["elementType"], spark_type["containsNull"]))
    if kind == "map":
        key = pa.field("key", _arrow(spark_type["keyType"], exact=exact), nullable=False)
        return pa.map_(key, field("value", spark_type["valueType"], spark_type["valueContainsNull"]))
    if kind == "struct":
        return pa.struct([field(inner["name"], inner["type"], inner["nullable"]) for inner in spark_type["fields"]])
    raise NeedsSparkError(f"the type {kind} {spark_type.get('class', '')}".rstrip())


MOST_VALUES = 2**31 - 1
"""Maximum values of a list column: Arrow's list offsets have 32 bits."""


def to_lists(vectors: pa.Array, *, most: int = MOST_VALUES) -> pa.Array:
    """Convert vectors (struct array of n) to list<double> of n; a null vector stays null. Raises NeedsSparkError if the
    dense form would have more than `most` values, ValueError for a vector with an index out of range.

    Parquet has them as struct<type: tinyint, size: int, indices: array<int>, values: array<double>>, where type 0 is
    sparse and 1 is dense (org.apache.spark.ml.linalg.VectorUDT).

    >>> import pyarrow as pa
    >>> fields = [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())),
    ...           ("values", pa.list_(pa.float64()))]
    >>> to_lists(pa.array([{"type": 0, "size": 3, "indices": [1], "values": [5.0]}, None,
    ...                    {"type": 1, "size": None, "indices": None, "values": [1.0, 2.0]}],
    ...                   pa.struct(fields))).to_pylist()
    [[0.0, 5.0, 0.0], None, [1.0, 2.0]]
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, size, indices, values = (pc.struct_field(vectors, index) for index in range(4))
    is_null = np.asarray(pc.is_null(vectors).to_numpy(zero_copy_only=False), dtype=bool)
    is_sparse = np.asarray(pc.fill_null(kind, 1).to_numpy(zero_copy_only=False)) == 0
    stored = np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    width = np.where(is_sparse, np.asarray(pc.fill_null(size, 0).to_numpy(zero_copy_only=False)), stored)
    offsets = np.concatenate(([0], np.cumsum(width, dtype=np.int64)))
    if (width < 0).any():
        raise ValueError("a vector has a negative size")
    if offsets[-1] > most:
        raise NeedsSparkError(f"its vectors have {offsets[-1]:,} dense values, too many for a list column")
    # Position of each stored value: the start of its row, plus its index (sparse) or its rank in the row (dense).
    rank = np.arange(stored.sum()) - np.repeat(np.cumsum(stored) - stored, stored)
    within = np.where(np.repeat(is_sparse, stored), 0, rank)
    within[np.repeat(is_sparse, stored)] = np.asarray(pc.list_flatten(indices.filter(pa.array(is_sparse))))
    if ((within < 0) | (within >= np.repeat(width, stored))).any():
        raise ValueError("a vector has an index out of range")
    dense = np.zeros(int(offsets[-1]))
    dense[np.repeat(offsets[:-1], stored) + within] = np.asarray(pc.list_flatten(values))
    type_ = pa.list_(pa.field("element", pa.float64()))
    offsets = pa.array(offsets.astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(dense), type=type_, mask=pa.array(is_null))


_SLOTS = 100_000

class _Slot(Struct):
    idx: int
    name: str


class _Attributes(Struct):
    """Spark ML's metadata of a vector's slots, or of a label's classes."""

    attrs: dict[str, list[_Slot]] = {}
    vals: Annotated[tuple[str, ...], Meta(max_length=_SLOTS)] = ()


def slot_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a vector's slots, in order; empty if there are none, or too many.

    >>> slot_names({"ml_attr": {"attrs": {"numeric": [{"idx": 1, "name": "helix_age"}],
    ...                                   "binary": [{"idx": 0, "name": "helix_sex_is_Male"}]}, "num_attrs": 2}})
    ('sex_is_Male', 'age')
    >>> slot_names({"ml_attr": {"num_attrs": 2}}), slot_names({"ml_attr": 3})
    ((), ())
    """
    with suppress(ValueError):
        slots = as_type(metadata.get("ml_attr"), _Attributes).attrs.values()
        # Extractors' columns have this prefix while a vector is assembled from them.
        names = {slot.idx: slot.name.removeprefix("helix_") for group in slots for slot in group}
        if len(names) <= _SLOTS and sorted(names) == list(range(len(names))):
            return tuple(names[index] for index in range(len(names)))
    return ()


def class_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a label's classes, by their indexes; empty if there are none, or too many.

    >>> class_names({"ml_attr": {"type": "nominal", "vals": ["ham", "spam"]}}), class_names({"ml_attr": {"vals": 3}})
    (('ham', 'spam'), ())
    """
    with suppress(ValueError):
        return as_type(metadata.get("ml_attr"), _Attributes).vals
    return ()


def slot_names_of(schema: str) -> dict[str, tuple[str, ...]]:
    """Return `slot_names` of all columns in a Spark schema."""
    try:
        fields = parsed_schema(schema)["fields"]
    except ValueError:
        return {}
    return {field["name"]: names for field in fields if (names := slot_names(field.get("metadata", {})))}
