"""Stored tables as plans: parquet files without Delta, and the relation that reads them in place of a plan.

A stored table has one commit, which is checked against its record and names its files. To find the files, Delta makes
Spark read and replay the log: some jobs, and in a fresh process most of a load's time. Delta took 0.97 s to write
337,000 rows, 2.8 s the first time in a session; Spark's parquet writer takes 0.58 s.

Scripts depend on the layout of persisted tables: `randomSplit`, folds and sums of floats follow partitions and the
order of rows. So each row of a script's table is stored with its place, to which the substitute moves it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import helix_spark.plans.connect_proto as pb
from helix_spark.catalog.tables.spark_types import NO_NAME, parsed_schema
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.plans.plan_messages import messages, parts_of, plan_named, type_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_FILES = MappingProxyType({
    "mapreduce.fileoutputcommitter.algorithm.version": "1",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
})
"""Options by which a folder has only the parquet files of successful tasks."""

VERIFIED = MappingProxyType({"parquet.page.verify-checksum.enabled": "true"})
"""Option by which a flipped bit in a stored page is an error (without it, 27 of 40 flips went unnoticed)."""

READ_FILES = MappingProxyType({"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", **VERIFIED})
"""Options to read files: files that Spark did not write name no calendar, and have the common one."""

_PLAIN = re.compile(
    r"byte|short|integer|long|float|double|boolean|string|binary|date|timestamp|timestamp_ntz|decimal\(\d+,-?\d+\)"
    r"|org\.apache\.spark\.ml\.linalg\.(Vector|Matrix)UDT"
)


def frame_over_files(spark: SparkSession, table: CheckedTable) -> DataFrame | None:
    """Return the rows of a checked table, or None if only Delta can read them: because of types that parquet cannot
    express, no files or many, or a path that the reader would read as a pattern."""
    schema = parsed_schema(table.schema)
    # Spark lists more paths in a job (`spark.sql.sources.parallelPartitionDiscovery.threshold`).
    if not 0 < len(table.files) <= 32 or not _has_parquet_types(_parts(schema)):
        return None
    if any(re.search(r"[\[\]{}*?\\,]", str(file)) for file in table.files):
        return None
    from pyspark.sql.types import StructType

    reader = spark.read.options(**READ_FILES).schema(StructType.fromJson(dict(schema)))
    return reader.parquet(*(file.spark_uri for file in table.files))


def can_be_files(schema: str) -> bool:
    """Return whether a table of a schema (Spark's, as JSON) may be written as files that are committed afterwards: its
    types and names can be expressed in parquet, need no feature of Delta, and no two names differ only in case. Else
    Delta writes the table, or raises an error."""
    parts = list(_parts(parsed_schema(schema)))
    structs = [part for part in parts if isinstance(part, list)]
    return (
        bool(structs[0]) and all(len({name.lower() for name in names}) == len(names) for names in structs)
        and not any(NO_NAME.search(name) for names in structs for name in names)
        # Times without a zone are a feature of Delta's protocol.
        and _has_parquet_types(parts) and "timestamp_ntz" not in parts
    )


def _parts(schema: Any) -> Iterator[Any]:
    """Yield the field names of each struct, outermost first, and the types of leaves; of a vector the class."""
    match schema:
        case {"type": "struct", "fields": fields}:
            yield [field["name"] for field in fields]
            for field in fields:
                if "__COLLATIONS" in field.get("metadata", {}):
                    yield "collated"  # parquet has no collations
                yield from _parts(field["type"])
        case {"type": "array" | "map"}:
            for part in {"elementType", "keyType", "valueType"} & schema.keys():
                yield from _parts(schema[part])
        case {"type": "udt"}:
            yield schema.get("class")
        case _:
            yield schema


def _has_parquet_types(parts: Iterable[Any]) -> bool:
    leaves = [part for part in parts if not isinstance(part, list)]
    return all(isinstance(leaf, str) and _PLAIN.fullmatch(leaf) is not None for leaf in leaves)


# A script's tables ----------------------------------------------------------------------------------------------------

PLACE = "helix_place"
"""Column of a script's stored table with the place of each row: its partition above 33 bits of its number there, as
`monotonically_increasing_id` returns."""

_PARTITIONS = "partitions"

MOST_PARTITIONS = 100_000
"""The most partitions of a stored table. Each takes a task, even if it is empty."""


def partitions_of(table: CheckedTable) -> int:
    """Return the number of partitions of a stored table, empty ones too. Raises ValueError if its schema lacks it."""
    for field in parsed_schema(table.schema)["fields"]:
        if field["name"] == PLACE:
            number = field.get("metadata", {}).get(_PARTITIONS)
            if type(number) is not int or not 0 <= number <= MOST_PARTITIONS:
                raise ValueError("it has an invalid number of partitions")
            return number
    raise ValueError("it lacks the places of its rows")


def with_partitions(schema: str, partitions: int) -> str:
    """Return the schema of a table with places, as JSON, with its number of partitions added."""
    struct = json.loads(schema)
    for field in struct["fields"]:
        if field["name"] == PLACE:
            field["metadata"] = {_PARTITIONS: partitions}
    return json.dumps(struct)


def is_exact(table: CheckedTable) -> bool:
    """Return whether a stored table's columns are nullable as before: files' always are, and files record it."""
    from pyspark.sql.types import StructType

    schema = parsed_schema(table.schema)
    columns = [field for field in schema["fields"] if field["name"] != PLACE]
    struct = StructType.fromJson({**schema, "fields": columns})
    return bool(struct == struct.toNullable())


def substitute_for(relation: Any, table: CheckedTable) -> Any:
    """Return the relation that reads a stored table in place of its plan: with the same rows, order, partitions, and
    plan id, by which columns refer to it."""
    read = pb.Relation(read=pb.Read(data_source=pb.Read.DataSource(
        format="parquet", schema=table.schema, options=dict(READ_FILES),
        paths=[file.spark_uri for file in table.files],
    )))
    place = pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=PLACE))
    partition = pb.Expression(unresolved_function=pb.Expression.UnresolvedFunction(
        function_name="shiftright", arguments=[place, pb.Expression(literal=pb.Expression.Literal(integer=33))],
    ))
    number = pb.Expression(cast=pb.Expression.Cast(expr=partition, type_str="int"))
    moved = pb.Relation(repartition_by_expression=pb.RepartitionByExpression(
        input=read, num_partitions=partitions_of(table),
        partition_exprs=[pb.Expression(direct_shuffle_partition_id=pb.Expression.DirectShufflePartitionID(child=number))],
    ))
    order = pb.Expression.SortOrder(
        child=place, direction=pb.Expression.SortOrder.SORT_DIRECTION_ASCENDING,
        null_ordering=pb.Expression.SortOrder.SORT_NULLS_FIRST,
    )
    ordered = pb.Relation(sort=pb.Sort(input=moved, order=[order], is_global=False))
    substitute = pb.Relation(drop=pb.Drop(input=ordered, column_names=[PLACE]))
    substitute.common.CopyFrom(relation.common)
    return substitute


def can_be_substituted(message: Any, relation: Any) -> bool:
    """Return whether a message uses only the rows of a relation. It must not refer to parts of the relation's plan by
    an id, by a name that is defined there, or by the files that it reads."""
    number = relation.common.plan_id
    parts = list(messages(relation))
    relations = [part for part in parts if type_of(part) == "Relation" and part.common.HasField("plan_id")]
    below = {part.common.plan_id for part in relations} - {number}
    has_names = any(type_of(part) in ("SubqueryAlias", "Read.NamedTable", "SQL") for part in parts)
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if type_of(part) == "Relation" and part.common.plan_id == number:
            continue
        if plan_named(part) in below or _refers_below(part, has_names=has_names):
            return False
        waiting.extend(parts_of(part))
    return True


def _refers_below(message: Any, *, has_names: bool) -> bool:
    """Return whether a message may refer to the files of rows, or, if a relation has table names, to a qualified
    column such as ``people.age``."""
    match type_of(message):
        case "Expression.UnresolvedAttribute":
            text = message.unparsed_identifier
            return "_metadata" in text or (has_names and "." in text)
        case "Expression.UnresolvedStar":
            return has_names and bool(message.unparsed_target)
        case "Expression.UnresolvedFunction":
            return bool(message.function_name.lower().startswith("input_file_"))
        case "Expression.ExpressionString":
            return has_names or "_metadata" in message.expression or "input_file_" in message.expression.lower()
        case "SQL" | "Expression.UnresolvedRegex":
            return has_names
    return False


def written_partitions(responses: Iterable[Any]) -> int | None:
    """Return the number of written partitions, the tasks of the last reported stage; None without a report."""
    stages = {
        stage.stage_id: stage.num_tasks
        for response in responses if response.HasField("execution_progress")
        for stage in response.execution_progress.stages
    }
    return stages[max(stages)] if stages else None
