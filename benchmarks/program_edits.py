"""Edits of a plain PySpark program, one after the other: what it prints under Helix beside what it prints by itself.

    python -m benchmarks.program_edits [--save FILE]

Each edit is of the program as it is below, of a module beside it or of its data. All runs under Helix share a catalog
and a server that is warm; the program by itself runs in one process, with a session that is warm. What differs is a
false reuse, for nothing in the program draws.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.program_runs import HELIX, Run, fixed, run
from benchmarks.programs import WARM

PROGRAM = '''
import json
from pathlib import Path
import pandas as pd
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession, Window, functions as F
from beside import LEAST, label_of

spark = SparkSession.builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
spark.conf.set("spark.sql.session.timeZone", "UTC")
CONFIG = json.loads(Path("config.json").read_text())
TOWNS = {"north": "N", "south": "S"}

rows = spark.read.csv("rows.csv", header=True, schema="id int, age double, town string, day string, paid double")
rows = rows.where(F.col("age") > LEAST).withColumn("label", label_of(rows)).cache()

@F.udf("string")
def shortened(town, letters=1):
    return TOWNS[town] * letters

@F.pandas_udf("double")
def scaled(values: pd.Series) -> pd.Series:
    return values * 2.0

def doubled(batches):
    for batch in batches:
        batch["paid"] = batch["paid"] + CONFIG["more"]
        yield batch

rows = rows.withColumn("short", shortened("town")).withColumn("scaled", scaled("age"))
print(rows.groupBy("short").agg(F.sum("scaled").alias("total")).orderBy("short").collect())
print(rows.select("id", "paid").mapInPandas(doubled, "id int, paid double").agg(F.max("paid")).first()[0])
rows.createOrReplaceTempView("people")
spark.sql("SELECT town, count(*) AS n FROM people WHERE paid > 10 GROUP BY town ORDER BY town").show()
latest = Window.partitionBy("town").orderBy(F.desc("age"), "id")
newest = rows.withColumn("rank", F.row_number().over(latest)).where("rank <= 2")
print([one.id for one in newest.select("id").orderBy("id").collect()])
print(rows.select(F.date_format(F.to_timestamp("day"), "yyyy-MM-dd HH").alias("hour")).orderBy("hour").first()[0])
towns = spark.createDataFrame([("north", 1), ("south", 2)], "town string, code int")
print(rows.join(towns, "town", "left").agg(F.sum("code")).collect())
train, test = rows.randomSplit([0.7, 0.3], seed=5)
lr = LogisticRegression(maxIter=3)
pipeline = Pipeline(stages=[
    StringIndexer(inputCol="town", outputCol="place"),
    VectorAssembler(inputCols=["scaled", "place"], outputCol="features"),
    lr,
])
grid = ParamGridBuilder().addGrid(lr.regParam, [0.01, 0.1]).build()
evaluator = BinaryClassificationEvaluator(metricName="areaUnderROC")
model = CrossValidator(estimator=pipeline, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=3).fit(train)
print([round(float(one), 9) for one in model.avgMetrics], round(evaluator.evaluate(model.transform(test)), 9))
print([round(float(one), 9) for one in model.bestModel.stages[-1].coefficients])
model.bestModel.write().overwrite().save("model")
print(PipelineModel.load("model").transform(test).where("prediction > 0.5").count())
rows.select("id", "town").orderBy("id").write.mode("overwrite").json("out")
print(spark.read.json("out").where("id % 2 = 0").count())
'''

BESIDE = '''
from pyspark.sql import functions as F
LEAST = 21
LIMIT = 45.0

def label_of(rows):
    return (rows.age + rows.paid > LIMIT).cast("double")
'''

EDITS: Mapping[str, tuple[str, str, str]] = {
    "a filter's constant, in a module beside": ("beside.py", "LEAST = 21", "LEAST = 23"),
    "a constant behind a function beside": ("beside.py", "LIMIT = 45.0", "LIMIT = 50.0"),
    "a function beside": ("beside.py", "rows.age + rows.paid", "rows.age * 2 - rows.paid"),
    "a configuration file": ("config.json", '"more": 1', '"more": 2'),
    "a row of the data": ("rows.csv", "1,27.0,south", "1,28.0,south"),
    "a category of the data": ("rows.csv", "1,27.0,south", "1,27.0,north"),
    "a line at the end of the data": ("rows.csv", "END", "900,33.0,north,2026-01-05 10:30:00,40.0\n"),
    "a type in a schema": ("", "id int, age double", "id int, age float"),
    "another condition": ("", 'F.col("age") > LEAST', 'F.col("age") >= LEAST + 1'),
    "a dictionary that a UDF reads": ("", '"north": "N"', '"north": "M"'),
    "a UDF's default": ("", "letters=1", "letters=2"),
    "a UDF's body": ("", "TOWNS[town] * letters", "TOWNS[town].lower() * letters"),
    "a UDF over pandas": ("", "values * 2.0", "values * 3.0"),
    "a map over batches": ("", 'batch["paid"] + CONFIG', 'batch["paid"] - CONFIG'),
    "an aggregate": ("", 'F.sum("scaled")', 'F.avg("scaled")'),
    "what is grouped by": ("", 'groupBy("short")', 'groupBy("town", "short")'),
    "the order of what is shown": ("", '.orderBy("short")', '.orderBy(F.desc("short"))'),
    "the name of a column": ("", '.alias("total")', '.alias("sum")'),
    "a statement of SQL": ("", "paid > 10", "paid > 12"),
    "what SQL counts": ("", "count(*) AS n", "count(DISTINCT day) AS n"),
    "what a view shows": ("", 'rows.createOrReplaceTempView', 'rows.where("age < 60").createOrReplaceTempView'),
    "the order in a window": ("", 'orderBy(F.desc("age"), "id")', 'orderBy("age", "id")'),
    "how many of a window": ("", "rank <= 2", "rank <= 3"),
    "a time zone": ("", '"spark.sql.session.timeZone", "UTC"', '"spark.sql.session.timeZone", "America/New_York"'),
    "a date's format": ("", "yyyy-MM-dd HH", "yyyy-MM"),
    "rows in the program": ("", '("south", 2)', '("south", 3)'),
    "the sort of a join": ("", '"town", "left"', '"town", "right"'),
    "the weights of a split": ("", "[0.7, 0.3]", "[0.6, 0.4]"),
    "the seed of a split": ("", "seed=5", "seed=6"),
    "steps of a fit": ("", "maxIter=3", "maxIter=4"),
    "an option of a stage": ("", 'outputCol="place"', 'outputCol="place", stringOrderType="alphabetAsc"'),
    "what features are of": ("", '["scaled", "place"]', '["scaled", "place", "paid"]'),
    "a value of the grid": ("", "[0.01, 0.1]", "[0.01, 0.2]"),
    "one more value of the grid": ("", "[0.01, 0.1]", "[0.01, 0.1, 1.0]"),
    "which rows a model learns of": ("", ".fit(train)", '.fit(train.where("age < 50"))'),
    "the number of folds": ("", "numFolds=2", "numFolds=3"),
    "the seed of the folds": ("", "seed=3", "seed=4"),
    "the metric": ("", "areaUnderROC", "areaUnderPR"),
    "which predictions count": ("", "prediction > 0.5", "prediction < 0.5"),
    "what is written": ("", 'rows.select("id", "town").orderBy', 'rows.where("age > 40").select("id", "town").orderBy'),
    "what is read of it": ("", "id % 2 = 0", "id % 3 = 0"),
    "nothing but a comment": ("", "lr = Log", "# the model\nlr = Log"),
    "a local variable's name": ("", "latest", "window"),
}
"""By name: the file (else the program), what was written there, and what is written instead."""


@dataclass(frozen=True, slots=True)
class Edited:
    """One edit: whether Helix printed what the program prints by itself, and what was asked of Spark."""

    name: str
    equal: bool
    asked: int
    reused: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="helix-program-edits-") as folder:
        rows = tried(Path(folder))
    wrong = [row.name for row in rows if not row.equal]
    print(f"{len(rows) - len(wrong)} of {len(rows)} print what they print by themselves; otherwise: {wrong or 'none'}")
    print(f"{sum(row.reused for row in rows)} of {sum(row.asked for row in rows)} answers were from the record")
    if asked.save:
        asked.save.write_text(json.dumps({
            "edits": len(rows), "wrong": wrong, "asked": sum(row.asked for row in rows),
            "reused": sum(row.reused for row in rows),
        }, indent=1) + "\n")


def tried(folder: Path) -> list[Edited]:
    """All edits, each undone before the next."""
    from helix_spark.engine.server.starting import HeldServer

    places = {name: folder / name for name in ("plain", "helix")}
    for place in places.values():
        place.mkdir()
    plain = subprocess.Popen(
        [sys.executable, "-u", "-c", _ONE_BY_ONE], cwd=places["plain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ, **_variables()},
    )
    os.chdir(places["helix"])  # relative paths begin where the server was started, as for `helix watch`
    server = HeldServer({})
    found = []
    try:
        for name in ("as it was first", *EDITS):
            for place in places.values():
                _write(place, EDITS.get(name))
            by_itself = _by_itself(plain)
            done = _under_helix(places["helix"])
            equal = done.printed == by_itself
            found.append(Edited(name, equal, done.asked, done.reused))
            print(f"{name:44} {'equal' if equal else 'OTHER':6} {done.reused:3} of {done.asked:3}", flush=True)
            if not equal:
                print(by_itself, "--- under Helix:", done.printed, sep="\n")
    finally:
        server.close()
        plain.kill()
    return found


_ONE_BY_ONE = WARM.replace("for text in json.load(sys.stdin):", "for text in map(json.loads, sys.stdin):").replace(
    "sys.argv = [sys.argv[0]]", "sys.argv = ['train.py']; sys.path.insert(0, '.'); sys.modules.pop('beside', None)"
)


def _variables() -> dict[str, str]:
    # The folder's own modules are edited, each time within the second in which they were compiled.
    return {**fixed(), "PYTHONDONTWRITEBYTECODE": "1"}


def _write(folder: Path, edit: tuple[str, str, str] | None) -> None:
    days = (f"2026-0{1 + n % 3}-1{n % 9} {n % 24:02}:15:00" for n in range(400))
    rows = "".join(
        f"{n},{20.0 + n * 7 % 50},{'north' if n % 3 else 'south'},{day},{n % 29}.0\n" for n, day in enumerate(days)
    ).replace("1,27.0,north", "1,27.0,south", 1)
    texts = {
        "train.py": PROGRAM, "beside.py": BESIDE, "config.json": '{"more": 1}',
        "rows.csv": "id,age,town,day,paid\n" + rows + "END",
    }
    if edit is not None:
        file, before, after = edit
        assert before in texts[file or "train.py"], before
        texts[file or "train.py"] = texts[file or "train.py"].replace(before, after)
    for name, text in texts.items():
        (folder / name).write_text(text.removesuffix("END"))


def _by_itself(plain: subprocess.Popen[str]) -> str:
    assert plain.stdin is not None
    assert plain.stdout is not None
    folder = Path(f"/proc/{plain.pid}/cwd").resolve()
    plain.stdin.write(json.dumps((folder / "train.py").read_text()) + "\n")
    plain.stdin.flush()
    printed = json.loads(plain.stdout.readline())[1]
    return str(printed)


def _under_helix(folder: Path) -> Run:
    found = run([HELIX, "run", "train.py", "--catalog", "catalog"], folder, _variables())
    return found if found.code == 0 else replace(found, printed=found.printed + found.said[-3000:])


if __name__ == "__main__":
    main()
