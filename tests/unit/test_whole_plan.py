"""A plan as it is run: in parts that are not deep, each of which may name those before it."""

from __future__ import annotations

import pyspark.sql.connect.proto as pb
import pytest
from captured_programs.identities import captured
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from helix_spark.capture.captured_function import CapturedFunction
from helix_spark.capture.plan_messages import messages, sort_of


def parts(program: object) -> list[tuple[str, pb.Relation]]:
    built = captured(program)  # type: ignore[arg-type]
    assert isinstance(built, CapturedFunction)
    return [(name, pb.Relation.FromString(part)) for name, part in built.written({0: "input"}, {})]


def named(relation: pb.Relation) -> list[str]:
    """The cached relations that a relation names, from the top down."""
    return [one.relation_id for one in messages(relation) if sort_of(one) == "CachedRemoteRelation"]


@pytest.mark.parametrize("steps", [1, 9, 10, 50])
def test_each_part_rests_on_the_one_before(steps: int) -> None:
    def program(rows: DataFrame) -> DataFrame:
        for number in range(steps):
            rows = rows.filter(rows.id > number)
        return rows

    found = parts(program)
    assert [named(relation) for _, relation in found] == [["input"], *([name] for name, _ in found[:-1])]
    filters = [sum(sort_of(one) == "Filter" for one in messages(relation)) for _, relation in found]
    assert sum(filters) == steps
    assert max(filters) <= 10


def test_a_part_that_is_read_twice_is_one_part() -> None:
    def program(rows: DataFrame) -> DataFrame:
        for number in range(12):
            rows = rows.filter(rows.id > number)
        return rows.union(rows.filter("v > 0"))

    (name, _), (_, top) = parts(program)
    assert named(top) == [name, name]


def test_columns_of_a_table_in_an_earlier_part_name_it_still() -> None:
    def program(rows: DataFrame) -> DataFrame:
        first = rows.withColumn("a", F.lit(1))
        last = first
        for number in range(15):
            last = last.withColumn(f"c{number}", first.a)
        return last.filter(first.v > 1)

    found = parts(program)
    ids = {one.common.plan_id for _, relation in found for one in messages(relation) if sort_of(one) == "Relation"}
    named_by = {
        one.plan_id for _, relation in found for one in messages(relation)
        if sort_of(one) == "Expression.UnresolvedAttribute" and one.HasField("plan_id")
    }
    assert named_by <= ids
