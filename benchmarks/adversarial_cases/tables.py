"""Changes of what Spark reads, of its settings and of functions in its workers."""

from benchmarks.adversarial_cases.case import Case

TABLES = [
    Case("constant of a module that a pandas UDF's helper reads", "changed", """
--- helper.py
import bounds

def clip(values):
    return values.clip(upper=bounds.UPPER)
--- bounds.py
UPPER = 3
--- job.py
from helper import clip

def answer(data: DataFrame) -> str:
    clipped = F.pandas_udf(lambda values: clip(values), "double")
    return str(data.select(F.sum(clipped("a"))).first()[0])
""", """
--- edit bounds.py
3 ==> 2
""", spark=True),
    Case("function registered for SQL by a helper", "changed", """
--- functions.py
def register(spark):
    spark.udf.register("ours", lambda x: x + 1.0, "double")
--- job.py
from functions import register

def answer(data: DataFrame) -> str:
    register(data.sparkSession)
    return str(data.selectExpr("sum(ours(a))").first()[0])
""", """
--- edit functions.py
x + 1.0 ==> x + 2.0
""", spark=True),
    Case("file that a UDF reads in a worker", "changed", """
--- words.txt
1
--- job.py
import os

WORDS = os.path.abspath("words.txt")

def answer(data: DataFrame) -> str:
    @F.udf("double")
    def read(x):
        with open(WORDS) as file:
            return x + float(file.read())

    return str(data.select(F.sum(read("a"))).first()[0])
""", """
--- words.txt
2
""", spark=True),
    Case("time zone of the session, set by a module", "changed", """
--- session.py
def configure(spark):
    spark.conf.set("spark.sql.session.timeZone", "UTC")
--- script.py
import sys
from pyspark.sql import SparkSession
from session import configure

spark = SparkSession.builder.getOrCreate()
configure(spark)
rows = spark.sql("select cast(timestamp_seconds(0) as string) as at").collect()
print("ANSWER", rows[0]["at"])
""", """
--- edit session.py
UTC ==> Asia/Tokyo
""", spark=True),
    Case("view of the same name, made of another file by a module", "changed", """
--- one.csv
a
1
--- two.csv
a
2
--- views.py
def register(spark):
    spark.read.csv("one.csv", header=True).createOrReplaceTempView("rows")
--- script.py
from pyspark.sql import SparkSession
from views import register

spark = SparkSession.builder.getOrCreate()
register(spark)
print("ANSWER", spark.sql("select sum(a) as total from rows").collect()[0]["total"])
""", """
--- edit views.py
one.csv ==> two.csv
""", spark=True),
    Case("options of CSV in a settings file", "changed", """
--- options.json
{"sep": ";"}
--- rows.csv
1;2
3;4|5
--- script.py
import json
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
with open("options.json") as file:
    rows = spark.read.csv("rows.csv", **json.load(file))
print("ANSWER", [row[0] for row in rows.collect()])
""", """
--- edit options.json
; ==> |
""", spark=True),
    Case("size of the batches that a function in workers gets", "changed", """
--- batches.py
SIZE = "2"
--- script.py
from pyspark.sql import SparkSession
import batches
import pandas as pd

spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", batches.SIZE)

def count(parts):
    for part in parts:
        yield pd.DataFrame({"n": [len(part)]})

print("ANSWER", sorted(row.n for row in spark.range(0, 10, 1, 1).mapInPandas(count, "n long").collect()))
""", """
--- edit batches.py
2 ==> 3
""", spark=True),
    Case("global that a module fills before a UDF is made", "changed", """
--- weights.py
WEIGHTS = {}
--- filling.py
from weights import WEIGHTS

WEIGHTS["x"] = 2.0
--- script.py
from pyspark.sql import SparkSession, functions as F
import filling
from weights import WEIGHTS

spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([("x", 1.0), ("y", 3.0)], "b string, a double")
weigh = F.udf(lambda b, a: a * WEIGHTS.get(b, 1.0), "double")
print("ANSWER", rows.select(F.sum(weigh("b", "a")).alias("total")).collect()[0]["total"])
""", """
--- edit filling.py
2.0 ==> 3.0
""", spark=True),
    Case("module-level state of a class that a UDF's method reads", "changed", """
--- model.py
class Model:
    scale = 2.0

    def __call__(self, x):
        return x * type(self).scale
--- script.py
from pyspark.sql import SparkSession, functions as F
from pyspark.sql.types import DoubleType
from model import Model

spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([(1.0,), (3.0,)], "a double")
print("ANSWER", rows.select(F.sum(F.udf(Model(), DoubleType())("a")).alias("t")).collect()[0]["t"])
""", """
--- edit model.py
2.0 ==> 3.0
""", spark=True),
    Case("file of a parquet folder, rewritten in the same size", "changed", """
--- python
import pandas as pd, os
os.mkdir("rows")
pd.DataFrame({"a": [1, 2]}).to_parquet("rows/part.parquet")
os.utime("rows/part.parquet", (1e9, 1e9))
--- script.py
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
print("ANSWER", spark.read.parquet("rows").agg(F.sum("a").alias("t")).collect()[0]["t"])
""", """
--- python
import pandas as pd, os
pd.DataFrame({"a": [1, 3]}).to_parquet("rows/part.parquet")
os.utime("rows/part.parquet", (1e9, 1e9))
""", spark=True),
    Case("same filter in other words", "same", """
--- job.py
def rows(data: DataFrame) -> DataFrame:
    return data.filter("a > 2").withColumn("c", data.a + 1)

def answer(rows: DataFrame) -> str:
    return str(rows.count())
""", """
--- edit job.py
data.filter("a > 2").withColumn("c", data.a + 1) ==> data.where(F.col("a") > 2).withColumn("c", F.col("a") + F.lit(1))
""", nodes=("rows", "answer"), spark=True),
    Case("rename of a UDF's parameter and of a table's local", "same", """
--- job.py
def answer(data: DataFrame) -> str:
    clean = F.udf(lambda x: x + 1, "double")
    return str(data.select(F.sum(clean("a"))).first()[0])
""", """
--- edit job.py
lambda x: x + 1 ==> lambda value: value + 1
clean ==> cleaned
""", spark=True),
    Case("hidden file in a folder that Spark reads", "same", """
--- rows/one.csv
1
--- script.py
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
print("ANSWER", spark.read.csv("rows", schema="a double").agg(F.sum("a").alias("t")).collect()[0]["t"])
""", """
--- rows/_notes
2
""", spark=True),
    Case("comment and spaces in an SQL file", "same", """
--- total.sql
select sum(a) as t from rows
--- script.py
from pathlib import Path
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.range(10).selectExpr("id as a").createOrReplaceTempView("rows")
print("ANSWER", spark.sql(Path("total.sql").read_text()).collect()[0]["t"])
""", """
--- total.sql
-- The total.
select sum(a) as t
from rows
""", spark=True),
    Case("schema as text and as types", "same", """
--- rows.csv
1,x
--- script.py
from pyspark.sql import SparkSession, functions as F, types

spark = SparkSession.builder.getOrCreate()
SCHEMA = "a double, b string"
print("ANSWER", spark.read.csv("rows.csv", schema=SCHEMA).agg(F.sum("a").alias("t")).collect()[0]["t"])
""", """
--- edit script.py
"a double, b string" ==> types.StructType().add("a", "double").add("b", "string")
""", spark=True),
    Case("question added before others, cache added", "same", """
--- rows.csv
1,x
2,y
--- script.py
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.getOrCreate()
rows = spark.read.csv("rows.csv", schema="a double, b string").filter("a > 0")
total = rows.agg(F.sum("a").alias("t")).collect()
print("ANSWER", total[0]["t"])
""", """
--- edit script.py
total = ==> rows = rows.cache()\\nprint(rows.count())\\ntotal =
""", spark=True),
]
