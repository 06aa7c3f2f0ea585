"""Spark's schemas, as the JSON that Spark and Delta write, in Arrow's types. Pure, and without pyspark.

Spark's names: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#schema-serialization-format. The Arrow types
are those of `DataFrame.toArrow()`, so that a table read here equals one that Spark hands over; only vectors of Spark
ML, which Arrow does not know, become lists of doubles.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR = "org.apache.spark.ml.linalg.VectorUDT"
_DECIMAL = re.compile(r"decimal\((\d+),\s*(-?\d+)\)")


class NeedsSparkError(CatalogError):
    """The table is sound, but holds what only Spark can read."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a stored table.

    Attributes:
        name: its name.
        stored: the Arrow type of what lies in the files.
        is_vector: a Spark ML vector, to be unwrapped into a list of doubles.
        unreadable: what prevents reading it without Spark; empty if nothing does.
    """

    name: str
    stored: pa.DataType | None
    is_vector: bool = False
    unreadable: str = ""


def columns(schema: str) -> tuple[Column, ...]:
    """The columns of a Spark schema. Raises ValueError or KeyError for what is no schema.

    >>> [(c.name, str(c.stored)) for c in columns('''{"type": "struct", "fields": [
    ...     {"name": "age", "type": "double", "nullable": true, "metadata": {}},
    ...     {"name": "seen", "type": {"type": "array", "elementType": "timestamp", "containsNull": true},
    ...      "nullable": true, "metadata": {}}]}''')]
    [('age', 'double'), ('seen', 'list<element: timestamp[us, tz=UTC]>')]
    """
    return tuple(_column(field["name"], field["type"]) for field in json.loads(schema)["fields"])


def same_types(one: str, other: str) -> bool:
    """Whether two schemas have the same names and types in the same order.

    Delta makes every column nullable and metadata is for people, so neither is compared.
    """
    return bool(_bare(json.loads(one)) == _bare(json.loads(other)))


def _column(name: str, spark_type: Any) -> Column:
    if isinstance(spark_type, dict) and spark_type["type"] == "udt" and spark_type.get("class") == VECTOR:
        return Column(name, _arrow(spark_type["sqlType"]), is_vector=True)
    try:
        return Column(name, _arrow(spark_type))
    except NeedsSparkError as error:
        return Column(name, None, unreadable=error.what)


def _arrow(spark_type: Any) -> pa.DataType:
    import pyarrow as pa

    if isinstance(spark_type, str):
        return _plain_arrow(spark_type)
    kind = spark_type["type"]
    if kind == "array":
        return pa.list_(pa.field("element", _arrow(spark_type["elementType"])))
    if kind == "map":
        return pa.map_(_arrow(spark_type["keyType"]), _arrow(spark_type["valueType"]))
    if kind == "struct":
        return pa.struct([pa.field(field["name"], _arrow(field["type"])) for field in spark_type["fields"]])
    raise NeedsSparkError(f"the type {kind} {spark_type.get('class', '')}".rstrip())


def _plain_arrow(name: str) -> pa.DataType:
    import pyarrow as pa

    if decimal := _DECIMAL.fullmatch(name):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if name.startswith(("char(", "varchar(", "string collate")):
        return pa.string()
    known = {
        "string": pa.string(), "binary": pa.binary(), "boolean": pa.bool_(),
        "byte": pa.int8(), "short": pa.int16(), "integer": pa.int32(), "long": pa.int64(),
        "float": pa.float32(), "double": pa.float64(), "decimal": pa.decimal128(10, 0), "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"), "timestamp_ntz": pa.timestamp("us"), "void": pa.null(),
    }
    if name not in known:
        raise NeedsSparkError(f"the type {name}")
    return known[name]


def _bare(spark_type: Any) -> Any:
    if isinstance(spark_type, list):
        return [_bare(each) for each in spark_type]
    if isinstance(spark_type, dict):
        dropped = {"nullable", "metadata", "containsNull", "valueContainsNull", "pyClass", "serializedClass"}
        return {key: _bare(value) for key, value in spark_type.items() if key not in dropped}
    return spark_type
