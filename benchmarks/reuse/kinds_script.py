"""A plain script that asks Spark for each kind of several right answers; `kinds.py` runs it twice."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.histories.instances import KINDS

spark = SparkSession.builder.master("local[2]").getOrCreate()
rows = spark.read.csv(sys.argv[1], schema="a int, g int, v int", header=True)
for name, kind in KINDS.items():
    print(name, kind(rows).agg(F.sum("a")).first()[0])  # type: ignore[index]  # an aggregate has a row
