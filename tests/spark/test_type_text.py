"""Types that are written as text mean what Spark's own parser says, or are left to it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from helix_spark.plans.type_text import UnknownTypeError, parse_type

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SIMPLE = [
    "int", "INT", "integer", "long", "bigint", "short", "smallint", "byte", "tinyint", "float", "real", "double",
    "date",
    "timestamp", "Timestamp", "timestamp_ntz", "timestamp_ltz", "string", "binary", "boolean", "void", "decimal", "dec",
    "numeric", "decimal(5)", "decimal( 38 , 18 )", "numeric(1,1)", "DECIMAL(10,0)",
]
ODD = [
    "", " ", "a", "a int,", ",a int", "a int b int", "a: int", "a:int, b:string", "a int, b: string",
    "a : int not null",
    "int not null", "a int NOT NULL, b string not  null", "a int comment 'x'", "a string collate UTF8_LCASE",
    "varchar(3)", "char(3)", "a varchar(3)", "interval day", "a interval day to second", "variant", "time", "time(3)",
    "decimal(39,1)", "decimal(3,4)", "decimal()", "decimal(1:2)", "decimal(1 2)", "decimal(1,2,3)", "decimal(-1)",
    "decimal(10,-2)", "int(3)", "string(3)", "array", "array<int", "array<int>>", "array<int, int>", "array<>",
    "map<int>",
    "map<string,int,int>", "struct<>", "struct<a>", "struct<a:int,>", "struct<a int, b: string>",
    "struct<a:int not null>",
    "`a b` int", "`a``b` int, `c.d` string", "`` int", "a.b int", "a-b int", "1a int", "a1 int", "_a int", "größe int",
    "a int -- why", "a int /* why */", "'a' int", "\"a\" int", "null int", "not int", "timestamp timestamp", "int int",
    "struct int", "array array<int>", "map map<int,int>", "decimal decimal(3,1)", "a int\n, b string", "a\tint",
    "a int;",
    "interval int", "comment string", "default int", "date date, string string", "a array<struct<b: map<string, int>>>",
    "double precision", "a double precision", "long int", "a long int", "a struct<b int>", "a struct<`b c`: int>",
    "a int default 3", "a int generated always as (b)", "a timestamp without time zone", "a int options",
    "a INT, A string",
    "a int, a int", "struct<a:int, a:int>", "from int", "select int", "a from", "user string", "a decimal (3, 1)",
    "a array <int>", "a map < string , int >", "int ", " int", "INT\n", "a  int", "`a`int", "a`b` int", "a int,,b int",
    "geometry", "object", "byte byte", "any int", "a any", "udt", "struct<a:int>b int", "array<int> not null",
]


def drawn(draw: random.Random, depth: int = 0) -> str:
    """A text of the sort that people write."""
    sort = draw.randrange(8) if depth < 3 else 0
    space = draw.choice(["", " "])
    match sort:
        case 5:
            return f"array{space}<{drawn(draw, depth + 1)}>"
        case 6:
            return f"map<{drawn(draw, depth + 1)},{space}{drawn(draw, depth + 1)}>"
        case 7:
            return f"struct<{_columns(draw, depth + 1, ': ')}>"
    return draw.choice(SIMPLE)


def _columns(draw: random.Random, depth: int, between: str = " ") -> str:
    names = draw.sample(["a", "b", "C", "_d", "e1", "`f g`", "`h``i`", "date", "value", "Count"], draw.randint(1, 4))
    null = [draw.choice(["", "", "", " NOT NULL"]) for _ in names]
    separator = draw.choice([",", ", ", " , "])
    return separator.join(f"{name}{between}{drawn(draw, depth)}{one}" for name, one in zip(names, null, strict=True))


def texts() -> list[str]:
    draw = random.Random(20)
    return [*SIMPLE, *(drawn(draw) for _ in range(150)), *(_columns(draw, 0) for _ in range(250))]


def spark_says(text: str) -> Any:
    """The type that Spark reads in a text; None where it reads none."""
    from pyspark.errors import PySparkException
    from pyspark.sql.types import _parse_datatype_string

    try:
        return _parse_datatype_string(text)
    except PySparkException:
        return None


def here(text: str) -> Any:
    try:
        return parse_type(text, {})
    except UnknownTypeError:
        return None


def test_what_people_write_is_read(spark: SparkSession) -> None:
    assert {text: here(text) for text in texts()} == {text: spark_says(text) for text in texts()}


def test_what_is_odd_is_read_right_or_left_to_spark(spark: SparkSession) -> None:
    read = {text: found for text in ODD if (found := here(text)) is not None}
    assert read == {text: spark_says(text) for text in read}
    assert len(read) > 30


def test_timestamps_are_what_the_session_says(spark: SparkSession) -> None:
    setting = "spark.sql.timestampType"
    before = spark.conf.get(setting)
    try:
        spark.conf.set(setting, "TIMESTAMP_NTZ")
        assert parse_type("a timestamp", {setting: "TIMESTAMP_NTZ"}) == spark_says("a timestamp")
    finally:
        spark.conf.set(setting, str(before))
