"""A script and the workflow that is declared from it: whichever runs second is answered as the first was, and computes
nothing that the first computed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from helix_spark.errors import SourceError
from jobs import datasets

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]

HELIX = str(Path(sys.executable).with_name("helix"))
ROOT = Path(__file__).parents[2]

FUNCTIONS = '''
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator


def prepared(rows: DataFrame) -> DataFrame:
    return examples(rows)


def model(prepared: DataFrame):
    return LogisticRegression(regParam=0.1, maxIter=30).fit(prepared.where("NOT test"))


def predictions(model, prepared: DataFrame) -> DataFrame:
    return model.transform(prepared.where("test"))


def auc(predictions: DataFrame) -> float:
    return BinaryClassificationEvaluator().evaluate(predictions)


def right(predictions: DataFrame) -> int:
    return predictions.where("label = prediction").count()
'''
CENSUS = '''
from benchmarks.plain.plain_census import CATEGORIES, SCHEMA, examples
from jobs.datasets import adult

OPTIONS = dict(comment="|", nullValue="?", ignoreLeadingWhiteSpace=True, ignoreTrailingWhiteSpace=True)


def rows(data: DataFrame) -> DataFrame:
    parted = data.withColumn("test", F.coalesce(F.col("income").endswith("."), F.lit(False)))
    return parted.withColumn("income", F.expr("trim(TRAILING '.' FROM income)"))

'''
CENSUS_SCRIPT = '''
data = spark.read.csv(adult(), schema=SCHEMA, **OPTIONS)
assembled = prepared(rows(data))
found = predictions(model(assembled), assembled)
'''
CENSUS_SOURCES = 'wf.source("data", hx.csv(adult(), schema=SCHEMA, **OPTIONS))'

FLIGHTS = '''
from benchmarks.plain.plain_flights import AIRPORTS, FLIGHTS, PLANES, WEATHER, examples
from jobs.datasets import flights as data_folder

KNOWN = ["month", "day", "hour", "minute", "carrier", "tailnum", "origin", "dest", "distance", "arr_delay"]


def rows(flights: DataFrame, weather: DataFrame, planes: DataFrame, airports: DataFrame) -> DataFrame:
    known = flights.where("arr_delay IS NOT NULL").select(*KNOWN)
    hours = weather.groupBy("origin", "month", "day", "hour").agg(
        *(F.avg(name).alias(name) for name in ("temp", "humid", "wind_speed", "precip", "pressure", "visib"))
    )
    built = planes.select("tailnum", F.col("year").alias("built"), "seats")
    places = airports.select(F.col("faa").alias("dest"), "lat", "lon", "alt")
    joined = known.join(hours, ["origin", "month", "day", "hour"], "left")
    return joined.join(built, "tailnum", "left").join(places, "dest", "left")

'''
FLIGHTS_SCRIPT = '''
tables = [
    spark.read.csv(f"{data_folder()}/{name}.csv", schema=schema, header=True, nullValue="NA")
    for name, schema in (("flights", FLIGHTS), ("weather", WEATHER), ("planes", PLANES), ("airports", AIRPORTS))
]
assembled = prepared(rows(*tables))
found = predictions(model(assembled), assembled)
'''
FLIGHTS_SOURCES = '''
    for name, schema in (("flights", FLIGHTS), ("weather", WEATHER), ("planes", PLANES), ("airports", AIRPORTS)):
        wf.source(name, hx.csv(f"{data_folder()}/{name}.csv", schema=schema, header=True, nullValue="NA"))
'''

SCRIPT = '''
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
{body}
print(auc(found), right(found))
'''
WORKFLOW = '''
import helix_spark as hx


def twin() -> hx.Workflow:
    wf = hx.Workflow("twin")
    {sources}
    for function in (rows, prepared, predictions):
        wf.scanner(function)
    wf.learner(model)
    for function in (auc, right):
        wf.reducer(function, output=True)
    return wf
'''

JOBS = {
    "census": (datasets.adult, CENSUS, CENSUS_SCRIPT, CENSUS_SOURCES),
    "flights": (datasets.flights, FLIGHTS, FLIGHTS_SCRIPT, FLIGHTS_SOURCES),
}


def run(folder: Path, *words: str) -> tuple[str, str]:
    done = subprocess.run(
        [HELIX, "run", *words], cwd=folder, capture_output=True, text=True, timeout=900, check=False,
        # A script has the zone of its machine, a workflow UTC.
        env={**os.environ, "TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def run_script(folder: Path) -> tuple[Sequence[float], int, int]:
    """What it answers, and how many questions it asked, of how many."""
    printed, said = run(folder, "script.py")
    told = re.search(r"(\d+) of (\d+) answers from", said)
    assert told, said
    return [float(one) for one in printed.split()], int(told[2]) - int(told[1]), int(told[2])


def run_workflow(folder: Path) -> tuple[Sequence[float], float]:
    """What it answers, and the seconds that its model took."""
    printed, _ = run(folder, "workflow.py", "--json")
    told = json.loads(printed)
    seconds = {node["name"]: node["seconds"] for node in told["nodes"]}
    return [told["outputs"][name] for name in ("auc", "right")], seconds["model"]


@pytest.fixture(params=JOBS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    provide, functions, script, sources = JOBS[request.param]
    try:
        provide()
    except SourceError as error:
        pytest.skip(str(error))
    (tmp_path / "script.py").write_text(FUNCTIONS + functions + SCRIPT.format(body=script))
    (tmp_path / "workflow.py").write_text(FUNCTIONS + functions + WORKFLOW.format(sources=sources))
    return tmp_path


def test_a_script_asks_nothing_that_its_workflow_was_answered(folder: Path) -> None:
    from_workflow, _ = run_workflow(folder)
    from_script, asked, _ = run_script(folder)
    assert asked == 0
    assert from_script == from_workflow


def test_a_workflow_fits_and_asks_nothing_that_its_script_did(folder: Path) -> None:
    from_script, asked, of = run_script(folder)
    assert asked == of > 0
    entries = fits_on_record(folder)
    from_workflow, _ = run_workflow(folder)
    assert from_workflow == from_script
    assert fits_on_record(folder) == entries


def fits_on_record(folder: Path) -> int:
    """How many answers are on record: what is answered from it is not recorded anew."""
    from helix_spark.catalog.catalog import Catalog

    return len(list(Catalog.open(folder / "catalog", create=False).answers.records()))
