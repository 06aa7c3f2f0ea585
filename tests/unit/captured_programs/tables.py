"""Relations of every sort that people build."""

from __future__ import annotations

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType


def select_by_name(rows: DataFrame) -> DataFrame:
    return rows.select("id", "k")


def select_own_columns(rows: DataFrame) -> DataFrame:
    return rows.select(rows.id, rows["v"], rows.s.f, rows["s.g"])


def select_stars(rows: DataFrame) -> DataFrame:
    return rows.select("*", rows["*"], "s.*")


def select_nothing_twice(rows: DataFrame) -> DataFrame:
    return rows.select("id").select(F.col("id").alias("other_name"))


def select_expressions(rows: DataFrame) -> DataFrame:
    return rows.selectExpr("id", "upper(k) as big", "v * 2 twice", "CASE WHEN id > 2 THEN 'a' ELSE 'b' END sort")


def later_columns_of_one_select(rows: DataFrame) -> DataFrame:
    return rows.select("id", (F.col("id") + 1).alias("next"), (F.col("next") * 2).alias("double"))


def columns_by_regex(rows: DataFrame) -> DataFrame:
    return rows.select(rows.colRegex("`(id|k)`"))


def filters(rows: DataFrame) -> DataFrame:
    return rows.filter(rows.id > 1).where("v < 10").filter(F.col("k").isNotNull())


def filter_by_brackets(rows: DataFrame) -> DataFrame:
    return rows[rows.id > 1][["id", "k"]]


def filter_by_what_is_gone(rows: DataFrame) -> DataFrame:
    return rows.select("id").filter(F.col("v") > 0)


def with_column(rows: DataFrame) -> DataFrame:
    return rows.withColumn("more", rows.v + 1)


def with_column_in_place(rows: DataFrame) -> DataFrame:
    return rows.withColumn("v", F.col("v") + 1).withColumn("V", F.col("v") * 2)


def own_column_behind_its_successor(rows: DataFrame) -> DataFrame:
    later = rows.withColumn("v", F.lit(0.5))
    return later.select(later.v.alias("new"), "id")


def with_columns(rows: DataFrame) -> DataFrame:
    return rows.withColumns({"a": F.lit(1), "b": F.col("id") + 1, "v": F.col("v") * 2})


def with_columns_in_a_loop(rows: DataFrame) -> DataFrame:
    for number in range(4):
        rows = rows.withColumn(f"c{number}", F.col("id") * number)
    return rows


def with_metadata(rows: DataFrame) -> DataFrame:
    return rows.withMetadata("v", {"unit": "euro"}).select("id", F.col("v").alias("w", metadata={"of": ["v"]}))


def dropped_columns(rows: DataFrame) -> DataFrame:
    return rows.drop("k", "arr").drop(rows.m).drop(F.col("nowhere"))


def renamed_columns(rows: DataFrame) -> DataFrame:
    return rows.withColumnRenamed("id", "ID2").withColumnsRenamed({"k": "key", "v": "k"})


def all_renamed(rows: DataFrame) -> DataFrame:
    return rows.select("id", "k").toDF("a", "b")


def to_schema(rows: DataFrame) -> DataFrame:
    return rows.to(StructType([StructField("k", StringType()), StructField("id", LongType())]))


def join_on_name(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(other, "id")


def join_on_names(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(other, ["id", "k"], "full_outer")


def join_on_own_columns(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(other, rows.id == other.id, "left").select(rows.id, other.id.alias("oid"), rows.k, "w")


def join_on_conditions(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(other, [rows.id == other.id, rows.v > other.w], "right").drop(other.id).select("id", "w")


def join_semi_and_anti(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(other, "id", "left_semi").join(other.filter("w > 5"), "id", "leftanti")


def join_cross(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.select("id").crossJoin(other.select("w"))


def join_with_itself_by_aliases(rows: DataFrame) -> DataFrame:
    left, right = rows.alias("l"), rows.alias("r")
    return left.join(right, F.col("l.id") == F.col("r.id") + 1).select("l.id", F.col("r.k").alias("before"), "r.v")


def join_with_itself_by_columns(rows: DataFrame) -> DataFrame:
    later = rows.select(rows.id.alias("later"), (rows.id - 1).alias("before"))
    return later.join(rows, later.before == rows.id).select(later.later, "k")


def join_twice(rows: DataFrame, other: DataFrame) -> DataFrame:
    a = other.select(F.col("id").alias("id1"), F.col("k").alias("k1"), other.w.alias("w1"))
    b = other.select(F.col("id").alias("id2"), F.col("k").alias("k2"), other.w.alias("w2"))
    return rows.join(a, rows.id == a.id1).join(b, rows.id == b.id2).select(rows.id, "w1", "w2", a.k1.alias("ka"))


def join_by_hint(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.join(F.broadcast(other), "id").hint("merge")


def unions(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.select("id", "k").union(other.select("id", "k")).unionAll(rows.select("id", "k"))


def union_by_name(rows: DataFrame, other: DataFrame) -> DataFrame:
    return rows.select("id", "k", "v").unionByName(other, allowMissingColumns=True)


def set_operations(rows: DataFrame, other: DataFrame) -> DataFrame:
    a, b = rows.select("id", "k"), other.select("id", "k")
    return a.intersect(b).union(a.intersectAll(b)).union(a.subtract(b)).union(a.exceptAll(b))


def grouped(rows: DataFrame) -> DataFrame:
    return rows.groupBy("k").agg(F.sum("v").alias("total"), F.count("*"), F.countDistinct("id"), F.avg(rows.v))


def grouped_shortly(rows: DataFrame) -> DataFrame:
    return rows.groupBy("k").agg({"v": "max", "id": "min"}).join(rows.groupBy("k").count(), "k")


def grouped_by_expression(rows: DataFrame) -> DataFrame:
    return rows.groupBy((rows.id % 2).alias("odd"), F.col("k")).sum("v", "id")


def having(rows: DataFrame) -> DataFrame:
    sums = rows.groupBy(rows.k).agg(F.sum(rows.v).alias("total"))
    return sums.filter(sums.total > 1).select(sums.k, sums["total"])


def aggregated_whole(rows: DataFrame) -> DataFrame:
    return rows.agg(F.max("v"), F.expr("count(DISTINCT k)"), F.count(rows.k), F.count("*"))


def pivoted(rows: DataFrame) -> DataFrame:
    return rows.groupBy("id").pivot("k", ["a", "b"]).agg(F.sum("v"), F.first("id"))


def rolled_up(rows: DataFrame) -> DataFrame:
    return rows.rollup("k", "flag").agg(F.sum("id"), F.grouping_id())


def cubed(rows: DataFrame) -> DataFrame:
    return rows.cube("k", rows.flag).count()


def grouping_sets(rows: DataFrame) -> DataFrame:
    return rows.groupingSets([["k"], ["flag"], []], "k", "flag").agg(F.sum("id").alias("s"))


def sorted_rows(rows: DataFrame) -> DataFrame:
    return rows.select("id", "k", "v").orderBy(F.desc("k"), rows.id.asc_nulls_last(), "v").limit(4)


def sorted_by_flags(rows: DataFrame) -> DataFrame:
    return rows.select("id", "k").sort("k", "id", ascending=[False, True])


def sorted_by_what_is_gone(rows: DataFrame) -> DataFrame:
    return rows.select("id").orderBy(rows.v, "id")


def sorted_within_partitions(rows: DataFrame) -> DataFrame:
    return rows.repartition(2, "k").sortWithinPartitions("id", F.col("v").desc_nulls_first())


def limits(rows: DataFrame) -> DataFrame:
    return rows.orderBy("id", "k", "v").limit(5).offset(1)


def distinct_rows(rows: DataFrame) -> DataFrame:
    return rows.select("k", "flag").distinct()


def without_duplicates(rows: DataFrame) -> DataFrame:
    return rows.select("id", "k").dropDuplicates(["id", "k"]).drop_duplicates()


def sampled(rows: DataFrame) -> DataFrame:
    return rows.sample(fraction=0.7, seed=3).sample(True, 1.5, 4).sample(withReplacement=False, fraction=0.9, seed=5)


def split(rows: DataFrame) -> DataFrame:
    first, second = rows.select("id").randomSplit([0.6, 0.4], seed=7)
    return first.withColumn("part", F.lit(1)).union(second.withColumn("part", F.lit(2)))


def sampled_by_stratum(rows: DataFrame) -> DataFrame:
    return rows.sampleBy("k", {"a": 0.5, "b": 1.0}, seed=1)


def filled(rows: DataFrame) -> DataFrame:
    return rows.na.fill(0.0, ["v"]).fillna({"k": "none", "id": -1}).fillna("?").na.fill(True)


def without_nulls(rows: DataFrame) -> DataFrame:
    return rows.na.drop("all", subset=["k", "v"]).dropna(subset=["k"]).dropna(thresh=2, subset=["id", "v", "k"])


def replaced(rows: DataFrame) -> DataFrame:
    return rows.na.replace({1: 100, 2: 200}, subset=["id"]).replace(["a", "b"], ["A", "B"], "k").replace(1.5, None)


def described(rows: DataFrame) -> DataFrame:
    return rows.describe("v", "id")


def summarised(rows: DataFrame) -> DataFrame:
    return rows.select("v").summary("count", "min", "max")


def cross_table(rows: DataFrame) -> DataFrame:
    return rows.stat.crosstab("k", "flag")


def hinted(rows: DataFrame) -> DataFrame:
    return rows.hint("broadcast").hint("repartition", 3)


def partitioned(rows: DataFrame) -> DataFrame:
    return rows.repartition(3).repartition("k").repartition(2, rows.id).repartitionByRange(2, F.desc("id")).coalesce(1)


def observed(rows: DataFrame) -> DataFrame:
    return rows.observe("counts", F.count(F.lit(1)).alias("n")).filter(rows.id > 1)


def observed_without_a_name(rows: DataFrame) -> DataFrame:
    return rows.observe(Observation(), F.max("v").alias("top"))


def unpivoted(rows: DataFrame) -> DataFrame:
    return rows.unpivot(["id"], [rows.v, F.col("v2")], "what", "value")


def transposed(rows: DataFrame) -> DataFrame:
    return rows.filter("id = 1").select("k", "v", "v2").transpose()


def own_columns_behind_all_that_pass_them(rows: DataFrame) -> DataFrame:
    rows = rows.select("id", "k", "v")
    found = (
        rows.filter(rows.id > 0).sort(rows.id).limit(100).offset(0).repartition(2).repartition(2, rows.k)
        .hint("broadcast").sample(fraction=0.99, seed=1).distinct().observe("n", F.count(F.lit(1)).alias("n"))
    )
    return found.select(rows.id, rows.k)


def own_columns_in_all_that_takes_them(rows: DataFrame) -> DataFrame:
    rows = rows.select("id", "k", "v", "flag")
    found = rows.observe("n", F.max(rows.v).alias("top")).sampleBy(rows.k, {"a": 1.0, "b": 0.9}, seed=3)
    found = found.groupingSets([[rows.k], [rows.flag], []], rows.k, rows.flag).agg(F.sum(rows.v).alias("s"))
    return found.unpivot([found.k], [found.s], "what", "value").sort(F.col("k"), "value").repartition(1)


def own_columns_behind_a_select(rows: DataFrame) -> DataFrame:
    some = rows.select(rows.id, "v", rows.k, (rows.v2 + 1).alias("more"))
    return some.filter(rows.id > 1).withColumn("w", rows.v).select(rows.k, some.more, "w", rows["id"])


def own_columns_behind_groups(rows: DataFrame) -> DataFrame:
    sums = rows.groupBy(rows.k).agg(F.sum(rows.v).alias("total"))
    return sums.select(rows.k, sums.total).orderBy(rows.k)


def own_columns_behind_renaming(rows: DataFrame) -> DataFrame:
    return rows.withColumnRenamed("v", "w").filter(rows.id > 1).sort(rows.k).select(rows.id, "w")


def own_columns_behind_a_union(rows: DataFrame, other: DataFrame) -> DataFrame:
    both = rows.select("id", "k").union(other.select("id", "k"))
    return both.filter(both.id > 1).select(both.k, both["id"])


def own_columns_behind_what_is_dropped(rows: DataFrame) -> DataFrame:
    return rows.drop("k").sort(rows.k, rows.id).select("id")


def own_columns_behind_an_alias(rows: DataFrame) -> DataFrame:
    return rows.alias("x").filter(rows.id > 1).select(rows.k, "x.v")


def own_columns_behind_a_join(rows: DataFrame, other: DataFrame) -> DataFrame:
    both = rows.join(other.select(other.id.alias("oid"), "w"), F.col("oid") == rows.id)
    return both.filter(rows.v > 0).withColumn("v", rows.v + both.w).select(rows.id, "v", both.oid)


def own_columns_behind_nulls_dropped(rows: DataFrame) -> DataFrame:
    return rows.dropna(subset=["k"]).select(rows.id, rows.k)


def own_columns_behind_a_stratified_sample(rows: DataFrame) -> DataFrame:
    return rows.sampleBy("k", {"a": 0.5}, seed=1).select(rows.id)


def own_columns_behind_nulls_filled(rows: DataFrame) -> DataFrame:
    return rows.fillna({"k": "?"}).select(rows.id)


def one_table_twice(rows: DataFrame, other: DataFrame) -> DataFrame:
    most = other.groupBy("id").agg(F.max("w").alias("most"))
    return other.join(most, "id").filter(other.w == most.most).join(rows, "id").select("id", other.w, rows.v)


def applied_functions(rows: DataFrame) -> DataFrame:
    def positive(table: DataFrame, column: str) -> DataFrame:
        return table.filter(F.col(column) > 0)

    return rows.transform(positive, "v").transform(lambda table: positive(table, column="id"))


def aliased(rows: DataFrame) -> DataFrame:
    named = rows.alias("x")
    return named.select("x.id", named.k, named["x.v"], F.col("x.s.f")).where("x.id > 1")


def odd_names(rows: DataFrame) -> DataFrame:
    odd = rows.withColumn("a.b", rows.id).withColumn("c d", rows.v).withColumn("`", F.lit(1))
    return odd.select("`a.b`", odd["`a.b`"].alias("again"), "`c d`", F.col("````"), "ID")


def a_range(rows: DataFrame) -> DataFrame:
    spark = rows.sparkSession
    return spark.range(3).join(spark.range(1, 10, 2, 4).withColumnRenamed("id", "x")).crossJoin(rows.select("k"))


def a_table_valued_function(rows: DataFrame) -> DataFrame:
    spark = rows.sparkSession
    return spark.tvf.explode(F.array(F.lit(1), F.lit(2))).crossJoin(rows.select("id"))


def a_lateral_join(rows: DataFrame) -> DataFrame:
    return rows.lateralJoin(rows.sparkSession.tvf.explode(F.col("arr").outer())).select("id", "col")
