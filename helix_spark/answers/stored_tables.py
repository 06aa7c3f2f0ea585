"""Stored tables of a program as plans: how a table is written so that its rows come back as they lay, and what reads
them in its place.

Programs rest on the layout of what they persist: `randomSplit`, folds and sums of floats go by partition and by the
order of rows. So each row is stored with its place, and a stand-in brings each back to its partition and order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from helix_spark.catalog.cells import Number, parsed_schema
from helix_spark.plans.plan_messages import messages, parts_of, plan_named, sort_of

PLACE = "helix_place"
"""The column of a stored table that says where each row lay: its partition above 33 bits of its number there, as
`monotonically_increasing_id` has it."""

_PARTITIONS = "partitions"

MOST_PARTITIONS = 100_000
"""Of a table that is stored. Each takes a task, an empty one too."""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A stored table that was found sound.

    Attributes:
        files: where its rows are, as Spark writes paths.
        schema: Spark's, as JSON, `PLACE` with it.
        options: that its files are to be read with.
    """

    files: tuple[str, ...]
    schema: str
    options: Mapping[str, str]

    @property
    def partitions(self) -> int:
        """Number of its partitions, empty ones too. Raises ValueError where its schema does not tell."""
        for field in parsed_schema(self.schema)["fields"]:
            if field["name"] == PLACE:
                number = field.get("metadata", {}).get(_PARTITIONS)
                if wrong := Number(0, MOST_PARTITIONS).misfit(number):
                    raise ValueError(f"the number of its partitions does not fit: {wrong}")
                return int(number)
        raise ValueError("it does not tell where its rows lay")

    @property
    def is_exact(self) -> bool:
        """Whether its columns are what they were: from files all may hold nulls, which a file that is written of them
        would tell."""
        return not _never_null(parsed_schema(self.schema))


def schema_with_place(schema: str, partitions: int) -> str:
    """The schema of a table as it is stored.

    Args:
        schema: the table's, as JSON.

    >>> schema_with_place('{"type": "struct", "fields": []}', 4)[-33:]
    ' "metadata": {"partitions": 4}}]}'
    """
    found = json.loads(schema)
    place = {"name": PLACE, "type": "long", "nullable": True, "metadata": {_PARTITIONS: partitions}}
    return json.dumps({**found, "fields": [*found["fields"], place]})


def write_of(relation: Any, path: str, options: Mapping[str, str]) -> Any:
    """The command that writes a table's rows with their places, as parquet files into a folder that is not there."""
    import pyspark.sql.connect.proto as pb

    place = pb.Expression.Alias(name=[PLACE], expr=_called("monotonically_increasing_id"))
    columns = pb.WithColumns(input=relation, aliases=[place])
    return pb.Command(write_operation=pb.WriteOperation(
        input=pb.Relation(with_columns=columns), source="parquet", path=path, options=dict(options),
        mode=pb.WriteOperation.SAVE_MODE_ERROR_IF_EXISTS,
    ))


def stand_in(relation: Any, table: StoredTable) -> Any:
    """What reads a stored table where a plan has the relation that it was made by: the same rows in the same order in
    the same partitions, under the same id, by which columns refer to it."""
    import pyspark.sql.connect.proto as pb

    read = pb.Relation(read=pb.Read(data_source=pb.Read.DataSource(
        format="parquet", schema=table.schema, options=dict(table.options), paths=table.files,
    )))
    place = pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=PLACE))
    partition = _called("shiftright", place, pb.Expression(literal=pb.Expression.Literal(integer=33)))
    number = pb.Expression(cast=pb.Expression.Cast(expr=partition, type_str="int"))
    moved = pb.Relation(repartition_by_expression=pb.RepartitionByExpression(
        input=read, num_partitions=table.partitions,
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


def _called(name: str, *given: Any) -> Any:
    import pyspark.sql.connect.proto as pb

    return pb.Expression(unresolved_function=pb.Expression.UnresolvedFunction(function_name=name, arguments=given))


def may_stand_in(what: Any, relation: Any) -> bool:
    """Whether the rows of a relation are all that something asks of it: nothing else refers to what lies below it, by
    its id, by a name that is known there only, or by the files that it was read from."""
    number = relation.common.plan_id
    relations = [one for one in messages(relation) if sort_of(one) == "Relation" and one.common.HasField("plan_id")]
    below = {one.common.plan_id for one in relations} - {number}
    named = any(map(_gives_names, messages(relation)))
    return not any(
        plan_named(one) in below or _asks_files(one) or (named and _may_be_qualified(one))
        for one in _around(what, number)
    )


def _around(what: Any, number: int) -> Iterator[Any]:
    """The messages in something that are not in the relation of a number."""
    waiting = [what]
    while waiting:
        one = waiting.pop()
        if sort_of(one) == "Relation" and one.common.plan_id == number:
            continue
        yield one
        waiting.extend(parts_of(one))


def _gives_names(message: Any) -> bool:
    """Return whether columns may be named by it: as ``people.age``."""
    return sort_of(message) in ("SubqueryAlias", "Read.NamedTable", "SQL")


def _may_be_qualified(message: Any) -> bool:
    match sort_of(message):
        case "Expression.UnresolvedAttribute":
            return "." in message.unparsed_identifier
        case "Expression.UnresolvedStar":
            return bool(message.unparsed_target)
        case "Expression.ExpressionString" | "SQL" | "Expression.UnresolvedRegex":
            return True
    return False


def _asks_files(message: Any) -> bool:
    match sort_of(message):
        case "Expression.UnresolvedAttribute":
            return "_metadata" in message.unparsed_identifier
        case "Expression.UnresolvedFunction":
            return bool(message.function_name.lower().startswith("input_file_"))
        case "Expression.ExpressionString":
            return "_metadata" in message.expression or "input_file_" in message.expression.lower()
    return False


def with_stand_ins(request: Any, stand_ins: Mapping[int, Any]) -> Any:
    """A copy of a request with what stands in for some of the relations in it, by their ids; the outermost first."""
    copy = type(request)()
    copy.CopyFrom(request)
    waiting = [copy]
    while waiting:
        one: Any = waiting.pop()
        if sort_of(one) == "Relation" and one.common.HasField("plan_id") and one.common.plan_id in stand_ins:
            one.CopyFrom(stand_ins[one.common.plan_id])
        else:
            waiting.extend(parts_of(one))
    return copy


def partitions_told(responses: Iterable[Any]) -> int | None:
    """How many partitions were written: the tasks of the last stage, as the server tells of its progress; None if it
    does not."""
    stages = {
        stage.stage_id: stage.num_tasks
        for one in responses if one.HasField("execution_progress") for stage in one.execution_progress.stages
    }
    return stages[max(stages)] if stages else None


def _never_null(schema: Any) -> bool:
    """Return whether something in a schema cannot be null."""
    match schema:
        case {"nullable": False} | {"containsNull": False} | {"valueContainsNull": False}:
            return True
        case dict():
            return any(map(_never_null, schema.values()))
        case list():
            return any(map(_never_null, schema))
    return False
