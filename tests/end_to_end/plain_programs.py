"""A plain PySpark program that fits a search of models, and runs of it under `helix run`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.quick_java import SUBMIT_ARGUMENTS

HELIX = str(Path(sys.executable).with_name("helix"))
PROGRAM = '''
import sys
import zipfile
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
rows = spark.read.csv("rows.csv", header=True, inferSchema=True).withColumn("age2", F.col("age") * 2).cache()
train, test = rows.randomSplit([0.7, 0.3], seed=5)
lr = LogisticRegression(maxIter=3)
pipeline = Pipeline(stages=[
    StringIndexer(inputCol="town", outputCol="place"),
    VectorAssembler(inputCols=["age2", "place"], outputCol="features"),
    lr,
])
grid = ParamGridBuilder().addGrid(lr.regParam, [0.01, 0.1]).build()
evaluator = BinaryClassificationEvaluator()
model = CrossValidator(
    estimator=pipeline, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=3, parallelism=2,
).fit(train)
print([float(one) for one in model.avgMetrics], evaluator.evaluate(model.transform(test)), sys.argv[1:])

@F.udf("string")
def shout(text):
    return text.upper()

rows.createOrReplaceTempView("people")
spark.sql("SELECT town, count(*) AS n FROM people GROUP BY town ORDER BY town").select(shout("town"), "n").show()
spark.sql("SELECT count(*) AS n FROM people WHERE town > :town", {"town": "b"}).show()
rows.orderBy("age", "town").limit(3).write.mode("overwrite").json("out")
print(spark.read.json("out").count())
spark.stop()
'''


@dataclass(frozen=True)
class Ran:
    """What a run printed, and what the line at its end says."""

    iteration: int
    printed: str
    asked: int
    reused: int
    fits: int


def write_program(folder: Path) -> None:
    rows = (f"{20 + n * 7 % 50},{'north' if n % 3 else 'south'},{float(n * 7 % 50 + n % 5 > 25)}" for n in range(300))
    (folder / "rows.csv").write_text("age,town,label\n" + "\n".join(rows) + "\n")
    (folder / "train.py").write_text(PROGRAM)


def run(folder: Path, *command: str, **environ: str) -> tuple[str, str]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYSPARK_PYTHON": sys.executable, **environ},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def under_helix(folder: Path, **environ: str) -> Ran:
    """Run `train.py` of a folder; without further variables it starts a JVM of its own."""
    variables = {"PYSPARK_SUBMIT_ARGS": SUBMIT_ARGUMENTS, **environ}
    command = (sys.executable, "-m", "helix_spark", "run", "train.py", "an argument")
    printed, said = run(folder, *command, **variables)
    told = re.search(r"iteration (\d+): (\d+) of (\d+) answers from", said)
    assert told, said
    fits = re.search(r"; (\d+) fit", said)
    return Ran(int(told[1]), printed, int(told[3]), int(told[2]), int(fits[1]) if fits else 0)
