"""Which columns of a table are not worth storing, because nothing in the current version reads them.

Decided behind the answer, right before the table is written. What cannot be proven to be unread is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from helix_spark.dag.columns_read import declared_reads, taken
from helix_spark.dag.node import Dag, Node
from helix_spark.planner.gaps import whole_by_wish

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructType

LEAST_SHARE = 0.25
"""Of a row's bytes, by the widths of its types, that must go unread for columns to be left out. Leaving out less saves
little room and time, while the first new feature on such a column costs the whole table once more."""

_WIDTHS = {
    "byte": 1, "boolean": 1, "void": 1, "short": 2, "integer": 4, "float": 4, "date": 4, "string": 20, "binary": 20,
}
_NUMBER = 8
_MEMBERS = 4
"""How many members an array, a map or a vector is taken to have; nobody has looked at the data."""

def may_be_narrow(node: Node, dag: Dag) -> bool:
    """Whether something can be left out of a table, as far as that can be told without its schema."""
    return not whole_by_wish(node, dag) and not any(
        declared_reads(dag, name, node.name).whole for name in dag.readers(node.name)
    )


def narrowed(
    node: Node, schema: StructType, dag: Dag, before: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The columns to leave out of a table that may be narrow, in the order of its schema.

    Args:
        before: what the stored table lacks that this one replaces; no column that it holds is left out.
    """
    names = tuple(schema.names)
    if len({name.casefold() for name in names}) < len(names):
        return ()  # two columns of one name: which is read, only Spark knows
    unread = set(names) if before is None else set(names) & set(before)
    for name in dag.readers(node.name):
        unread.difference_update(taken(declared_reads(dag, name, node.name), names))
    return _worth_it(schema, tuple(name for name in names if name in unread))


def _worth_it(schema: StructType, left_out: tuple[str, ...]) -> tuple[str, ...]:
    """Columns to leave out; one stays where nothing reads any, for rows are counted by what they have."""
    widths = {field.name: width(field.dataType) for field in schema.fields}
    if left_out and len(left_out) == len(widths):
        narrowest = min(left_out, key=lambda name: widths[name])
        left_out = tuple(name for name in left_out if name != narrowest)
    unread = sum(widths[name] for name in left_out)
    return left_out if left_out and unread >= LEAST_SHARE * sum(widths.values()) else ()


def width(kind: DataType) -> int:
    """Bytes that a value of a type takes, roughly."""
    from pyspark.sql.types import ArrayType, MapType, StructType, UserDefinedType

    match kind:
        case StructType():
            return 1 + sum(width(field.dataType) for field in kind.fields)
        case ArrayType():
            return _MEMBERS * width(kind.elementType)
        case MapType():
            return _MEMBERS * (width(kind.keyType) + width(kind.valueType))
        case UserDefinedType():
            return _MEMBERS * _NUMBER
    return _WIDTHS.get(kind.typeName(), _NUMBER)
