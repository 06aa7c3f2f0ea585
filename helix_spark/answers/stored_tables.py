"""Stored tables as plans: parquet files, written and read with no help of Delta's, and what reads a script's table in
the place of the plan that made it.

A stored table has one commit, which is checked against its record and names its files. Delta would have Spark read and
replay the log for the same: some jobs, and in a fresh process most of a load's time. To write 337,000 rows took Delta
0.97 s, of which Spark's parquet writer needs 0.58; and 2.8 s the first time in a session.

Scripts rest on the layout of what they persist: `randomSplit`, folds and sums of floats go by partition and by the
order of rows. So each row of a script's table is stored with its place, and the stand-in brings it back there.
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
from helix_spark.plans.plan_messages import messages, parts_of, plan_named, sort_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_FILES = MappingProxyType({
    "mapreduce.fileoutputcommitter.algorithm.version": "1",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
})
"""Options by which a folder of parquet files holds those of tasks that came to their end, and nothing else."""

VERIFIED = MappingProxyType({"parquet.page.verify-checksum.enabled": "true"})
"""A flipped bit in a stored page is an error, not another number (without: 27 of 40 flips went unnoticed)."""

READ_FILES = MappingProxyType({"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", **VERIFIED})
"""What was written without Spark does not tell by which calendar: by the one that all others use."""

_PLAIN = re.compile(
    r"byte|short|integer|long|float|double|boolean|string|binary|date|timestamp|timestamp_ntz|decimal\(\d+,-?\d+\)"
    r"|org\.apache\.spark\.ml\.linalg\.(Vector|Matrix)UDT"
)


def frame_over_files(spark: SparkSession, table: CheckedTable) -> DataFrame | None:
    """Return the rows of a table that was checked, or None where only Delta reads them: types that parquet does not
    tell by itself, no files or many, a path that the reader would take for a pattern."""
    schema = parsed_schema(table.schema)
    # Spark lists more paths by a job (`spark.sql.sources.parallelPartitionDiscovery.threshold`).
    if not 0 < len(table.files) <= 32 or not _are_told_by_parquet(_parts(schema)):
        return None
    if any(re.search(r"[\[\]{}*?\\,]", str(file)) for file in table.files):
        return None
    from pyspark.sql.types import StructType

    reader = spark.read.options(**READ_FILES).schema(StructType.fromJson(dict(schema)))
    return reader.parquet(*(file.spark_uri for file in table.files))


def can_be_files(schema: str) -> bool:
    """Return whether a table of a schema (Spark's, as JSON) may be written as files that are committed afterwards: of
    types and names that parquet tells and that take no feature of Delta's, and no two names that differ only in case.
    Else Delta writes it, or says why it cannot be."""
    parts = list(_parts(parsed_schema(schema)))
    structs = [one for one in parts if isinstance(one, list)]
    return (
        bool(structs[0]) and all(len({name.lower() for name in names}) == len(names) for names in structs)
        and not any(NO_NAME.search(name) for names in structs for name in names)
        # Delta notes in its protocol that a table has times without a zone.
        and _are_told_by_parquet(parts) and "timestamp_ntz" not in parts
    )


def _parts(schema: Any) -> Iterator[Any]:
    """Yield the names of a schema's fields, a list for each struct, the outermost first, and its leaves' types; of
    Spark ML's vectors the class."""
    match schema:
        case {"type": "struct", "fields": fields}:
            yield [field["name"] for field in fields]
            for field in fields:
                if "__COLLATIONS" in field.get("metadata", {}):
                    yield "collated"  # which parquet knows nothing of
                yield from _parts(field["type"])
        case {"type": "array" | "map"}:
            for part in {"elementType", "keyType", "valueType"} & schema.keys():
                yield from _parts(schema[part])
        case {"type": "udt"}:
            yield schema.get("class")
        case _:
            yield schema


def _are_told_by_parquet(parts: Iterable[Any]) -> bool:
    leaves = [one for one in parts if not isinstance(one, list)]
    return all(isinstance(one, str) and _PLAIN.fullmatch(one) is not None for one in leaves)


# A script's tables ----------------------------------------------------------------------------------------------------

PLACE = "helix_place"
"""The column of a script's stored table that says where each row lay: its partition above 33 bits of its number there,
as `monotonically_increasing_id` has it."""

_PARTITIONS = "partitions"

MOST_PARTITIONS = 100_000
"""Of a table that is stored. Each takes a task, an empty one too."""


def partitions_of(table: CheckedTable) -> int:
    """Return the number of partitions that a stored table lay in, empty ones too. Raises ValueError where its schema
    does not tell."""
    for field in parsed_schema(table.schema)["fields"]:
        if field["name"] == PLACE:
            number = field.get("metadata", {}).get(_PARTITIONS)
            if type(number) is not int or not 0 <= number <= MOST_PARTITIONS:
                raise ValueError("it has a number of partitions that no table has")
            return number
    raise ValueError("it does not tell where its rows lay")


def with_partitions(schema: str, partitions: int) -> str:
    """Return the schema of a table with places, as JSON, that tells also how many partitions it lay in."""
    whole = json.loads(schema)
    for field in whole["fields"]:
        if field["name"] == PLACE:
            field["metadata"] = {_PARTITIONS: partitions}
    return json.dumps(whole)


def is_exact(table: CheckedTable) -> bool:
    """Return whether the columns of a stored table are what they were: from files all may hold nulls, which a file that
    is written of them would tell."""
    from pyspark.sql.types import StructType

    schema = parsed_schema(table.schema)
    whole = StructType.fromJson({**schema, "fields": [one for one in schema["fields"] if one["name"] != PLACE]})
    return bool(whole == whole.toNullable())


def stand_in(relation: Any, table: CheckedTable) -> Any:
    """Return what reads a stored table where a plan has the relation that it was made by: the same rows in the same
    order in the same partitions, under the same id, by which columns refer to it."""
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
    found = pb.Relation(drop=pb.Drop(input=ordered, column_names=[PLACE]))
    found.common.CopyFrom(relation.common)
    return found


def may_stand_in(what: Any, relation: Any) -> bool:
    """Return whether a message needs nothing of a relation but its rows: nothing else refers to what lies below it, by
    its id, by a name that is known there only, or by the files that it was read from."""
    number = relation.common.plan_id
    relations = [one for one in messages(relation) if sort_of(one) == "Relation" and one.common.HasField("plan_id")]
    below = {one.common.plan_id for one in relations} - {number}
    named = any(sort_of(one) in ("SubqueryAlias", "Read.NamedTable", "SQL") for one in messages(relation))
    waiting = [what]
    while waiting:
        one = waiting.pop()
        if sort_of(one) == "Relation" and one.common.plan_id == number:
            continue
        if plan_named(one) in below or _looks_below(one, named=named):
            return False
        waiting.extend(parts_of(one))
    return True


def _looks_below(message: Any, *, named: bool) -> bool:
    """Return whether a message may ask for the files that rows were read from, or, where a relation has names by which
    its columns may be named, as ``people.age``, for such a column."""
    match sort_of(message):
        case "Expression.UnresolvedAttribute":
            text = message.unparsed_identifier
            return "_metadata" in text or (named and "." in text)
        case "Expression.UnresolvedStar":
            return named and bool(message.unparsed_target)
        case "Expression.UnresolvedFunction":
            return bool(message.function_name.lower().startswith("input_file_"))
        case "Expression.ExpressionString":
            return named or "_metadata" in message.expression or "input_file_" in message.expression.lower()
        case "SQL" | "Expression.UnresolvedRegex":
            return named
    return False


def partitions_told(responses: Iterable[Any]) -> int | None:
    """Return how many partitions were written: the tasks of the last stage, as the server reports its progress; None if
    it does not."""
    stages = {
        stage.stage_id: stage.num_tasks
        for one in responses if one.HasField("execution_progress") for stage in one.execution_progress.stages
    }
    return stages[max(stages)] if stages else None
