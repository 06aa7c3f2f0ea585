"""Expressions of every sort that people write."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, MapType, StringType, StructField, StructType


def arithmetic(rows: DataFrame) -> DataFrame:
    v, number = rows.v, F.col("id")
    return rows.select(
        v + 1, 1 - v, v * number, v / 2, number % 3, -v, 2 ** number, number.bitwiseAND(3), number.bitwiseXOR(1),
        F.pow("v", 2), F.greatest("v", "v2"), F.round("v", 1), F.abs(v), F.shiftleft(number, 2),
    )


def comparisons(rows: DataFrame) -> DataFrame:
    k = rows.k
    return rows.select(
        rows.id == 1, rows.id != 2, rows.id <= 3, k.eqNullSafe(None), k.isNull(), k.isin("a", "b"), k.isin(["c"]),
        rows.v.between(0, 2), ~rows.flag, (rows.flag & (rows.id > 1)) | rows.flag, k.like("a%"), k.rlike("^a"),
        k.startswith("a"), k.endswith(F.lit("b")), k.contains("c"), F.isnan("v"), k.ilike("A%"),
    )


def choices(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.when(rows.id == 1, "one").when(rows.id == 2, F.col("k")).otherwise("many").alias("words"),
        F.when(F.col("v") > 1, 1), F.coalesce(rows.k, F.lit("none")), F.nvl("k", F.lit("x")), F.nullif("id", F.lit(1)),
        F.expr("if(id > 1, 'a', 'b')"), F.nanvl("v", F.lit(0.0)),
    )


def casts(rows: DataFrame) -> DataFrame:
    return rows.select(
        rows.id.cast("string"), rows.v2.cast(IntegerType()), rows.id.astype("double"), rows.k.try_cast("int"),
        rows.arr.cast("array<string>"), rows.arr.cast(ArrayType(DoubleType())), rows.id.cast("decimal(12,3)"),
        F.to_number(F.lit("12"), F.lit("99")), rows.day.cast("timestamp"), F.col("at").cast("timestamp_ntz").isNull(),
    )


def texts(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.upper("k"), F.concat("k", F.lit("-"), rows.id), F.concat_ws(",", "k", "k"), F.substring("k", 1, 2),
        rows.k.substr(1, 1), F.regexp_replace("k", "(a)(.?)", "$2$1"), F.regexp_extract("k", r"(\w)", 1),
        F.split("k", ","), F.length("k"), F.format_string("%s-%d", "k", "id"), F.lpad("k", 5, "*"), F.trim("k"),
        F.translate("k", "ab", "xy"), F.levenshtein("k", F.lit("abc")), F.md5("k"), F.sha2("k", 256), F.hash("k", "id"),
        F.xxhash64("id"), F.initcap("k"), F.instr("k", "a"), F.split_part("k", F.lit("a"), F.lit(1)),
    )


def times(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.to_date(F.lit("2020-02-03")), F.to_date(F.lit("03/02/2020"), "dd/MM/yyyy"), F.year("day"), F.month(rows.day),
        F.date_add("day", 3), F.datediff("day", F.lit("2020-01-01")), F.date_format("at", "yyyy-MM-dd HH:mm"),
        F.to_timestamp(F.lit("2020-01-01 10:00:00")), F.date_trunc("month", "at"), F.trunc("day", "year"),
        F.unix_timestamp("at"), F.from_unixtime(F.lit(0)), F.months_between("day", F.lit("2019-12-01")),
        F.last_day("day"), F.from_utc_timestamp("at", "Europe/Berlin"), F.hour("at"),
        F.make_date(F.lit(2020), "id", "id"),
        F.col("day") + F.expr("INTERVAL 1 MONTH"), F.date_diff("day", "day"),
    )


def windows_of_time(rows: DataFrame) -> DataFrame:
    return rows.groupBy(F.window("at", "1 day", "12 hours").alias("w"), F.col("k")).count()


def nested(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.struct("id", rows.k.alias("key")), F.named_struct(F.lit("a"), rows.id), rows.s["f"], rows.s.getField("g"),
        F.col("s.f"), rows.s.withField("h", F.lit(1)), rows.s.dropFields("f"), F.array("id", F.lit(2)), F.get("arr", 0),
        rows.m.getItem("y"), F.try_element_at("arr", F.lit(1)), F.size("arr"), F.array_contains("arr", 2),
        F.sort_array("arr", False),
        F.create_map(F.lit("x"), rows.id), rows.m["x"], F.map_keys("m"),
        F.map_from_arrays(F.array(F.lit("z")), F.array("id")),
        F.array_distinct("arr"), F.slice("arr", 1, 2), F.flatten(F.array("arr", "arr")), F.arrays_zip("arr", "arr"),
        F.array_join("arr", "-"), F.map_entries("m"), F.map_concat("m", F.create_map(F.lit("zz"), F.lit(9))),
        F.get("arr", 5),
    )


def generators(rows: DataFrame) -> DataFrame:
    one = rows.select("id", F.explode("arr").alias("item"))
    two = rows.select("id", F.posexplode("arr").alias("place", "item")).select("id", "item")
    three = rows.select("id", F.explode_outer("m").alias("key", "item")).select("id", "item")
    return one.union(two).union(three).union(rows.select("id", F.inline(F.array(F.struct(F.lit(1).alias("q"))))))


def lambdas(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.transform("arr", lambda x: x + 1).alias("a"), F.transform("arr", lambda x, i: x * i).alias("b"),
        F.filter("arr", lambda x: x > 1).alias("c"), F.exists("arr", lambda x: x == 2).alias("d"),
        F.forall("arr", lambda x: x.isNotNull()).alias("e"),
        F.aggregate("arr", F.lit(0), lambda acc, x: acc + x, lambda acc: acc * 10).alias("f"),
        F.zip_with("arr", "arr", lambda x, y: x - y).alias("g"),
        F.transform_values("m", lambda k, v: v + F.length(k)).alias("h"),
        F.map_filter("m", lambda k, v: v > 1).alias("i"),
        F.array_sort("arr", lambda x, y: F.coalesce(y, F.lit(0)) - F.coalesce(x, F.lit(0))).alias("j"),
        F.map_zip_with("m", "m", lambda k, a, b: a + b).alias("l"),
        F.transform(F.array("arr", "arr"), lambda inner: F.transform(inner, lambda x: x + F.size(inner))).alias("n"),
    )


def lambdas_without_a_name(rows: DataFrame) -> DataFrame:
    return rows.select(F.transform("arr", lambda x: x + 1), F.filter("arr", lambda v: v > 1))


def ranked(rows: DataFrame) -> DataFrame:
    by = Window.partitionBy("k").orderBy(F.desc("v"), "id")
    return rows.select(
        "id", "k", F.row_number().over(by).alias("r"), F.rank().over(by), F.dense_rank().over(by), F.ntile(2).over(by),
        F.lag("v", 1, 0.0).over(by), F.lead(rows.id).over(by).alias("next"), F.percent_rank().over(by),
        F.cume_dist().over(by),
    )


def framed(rows: DataFrame) -> DataFrame:
    by = Window.partitionBy(rows.k).orderBy(rows.id)
    return rows.select(
        "id", "k", F.sum("id").over(by.rowsBetween(-1, 0)).alias("a"),
        F.sum("id").over(by.rowsBetween(Window.unboundedPreceding, Window.currentRow)).alias("b"),
        F.sum("id").over(by.rangeBetween(-1, 1)).alias("c"),
        F.max("v").over(by.rangeBetween(Window.unboundedPreceding, Window.unboundedFollowing)).alias("d"),
        F.avg("id").over(Window.partitionBy("k")).alias("e"), F.last("id", ignorenulls=True).over(by).alias("f"),
        F.expr("sum(id) OVER (PARTITION BY k ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)").alias("g"),
    )


def aggregates(rows: DataFrame) -> DataFrame:
    return rows.groupBy("k").agg(
        F.count_if(rows.id > 1), F.stddev("v"), F.variance("v"), F.skewness("v"), F.corr("v", "v2"),
        F.sum_distinct("id"),
        F.approx_count_distinct("id", 0.1), F.percentile_approx("v", [0.25, 0.5], 100), F.max_by("id", "v"),
        F.sort_array(F.collect_set("id")), F.min(F.struct("id", "v")), F.bit_and("id"), F.bool_or("flag"),
        F.median("v2"),
        F.mode("flag"), F.expr("sum(v) FILTER (WHERE id > 1)"), F.array_size(F.array_agg("id")),
        F.sum(F.when(rows.flag, 1).otherwise(0)).alias("flags"),
    )


def json(rows: DataFrame) -> DataFrame:
    schema = StructType([StructField("a", IntegerType()), StructField("b", MapType(StringType(), IntegerType()))])
    return rows.select(
        F.from_json("j", "a INT, b MAP<STRING, INT>"), F.from_json("j", schema), F.get_json_object("j", "$.a"),
        F.json_tuple("j", "a", "b"), F.to_json("s"), F.schema_of_json(F.lit('{"a": 1}')),
        F.from_json("j", F.schema_of_json(F.lit('{"a": 1}')), {"mode": "PERMISSIVE"}),
    )


def csv(rows: DataFrame) -> DataFrame:
    return rows.select(F.from_csv(F.lit("1;x"), "a INT, b STRING", {"sep": ";"}), F.to_csv("s"))


def sql_texts(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.expr("transform(arr, x -> x + 1)"), F.expr("id BETWEEN 1 AND 2 AND k IN ('a', 'b')"),
        F.expr("CAST(id AS STRING) || k").alias("text"), F.expr("aggregate(arr, 0, (a, x) -> a + x)"),
    ).where("text IS NOT NULL")


def reused(rows: DataFrame) -> DataFrame:
    total: Column = rows.v + F.col("v2")
    return rows.select(total.alias("t"), (total * 2).alias("t2"), F.when(total > 1, total).alias("t3"))
